"""Where `register` takes the code from, and what it prints."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from e2ee.errors import Code, Failure
from e2ee.ids import DeviceId
from e2ee.ui import registering
from e2ee.ui.options import Options
from e2ee.ui.registering import CERTIFICATES_BYTES, Asked, PromptedCode, code_source, run_registration
from tests.ui.fakes import ALICE, CoroutineTestCase, FakeCall, FakeMessenger


class RegisteringTests(CoroutineTestCase):
    """docs/command-line.md, `register`."""

    def setUp(self) -> None:
        self.call = FakeCall(FakeMessenger(), Options())
        self.given: dict[str, Any] = {}
        self.patch(registering, "register", self.register)

    async def register(self, *_: object, **given: Any) -> object:
        self.given = given
        return SimpleNamespace(address=ALICE, device=DeviceId(b"\x9f" * 8), fingerprint="ab" * 32)

    def asked(self, **settings: Any) -> Asked:
        return Asked("LINK", ALICE, **settings)

    def source(self, **settings: Any) -> Any:
        return code_source(self.call.as_invocation(), self.asked(**settings))

    def test_without_a_source_nothing_is_begun(self) -> None:
        error = self.failure(run_registration(self.call.as_invocation(), self.asked()))
        self.assertIs(error.code, Code.USAGE)
        self.assertEqual(self.given, {})

    def test_two_sources_are_one_too_many(self) -> None:
        error = self.assertRaises(Failure, self.source, code_file=Path("f"), code_command="c")
        self.assertIs(error.code, Code.USAGE)

    def test_a_person_is_asked_only_where_no_other_source_is_given(self) -> None:
        self.call.person = SimpleNamespace(ask=lambda question: " 123456 ")
        self.assertNotIsInstance(self.source(code_command="c"), PromptedCode)
        self.assertNotIsInstance(self.source(code_file=Path("f")), PromptedCode)
        prompted = self.source()
        self.assertTrue(prompted.interactive)
        self.assertFalse(prompted.timed)
        self.assertEqual(self.result(prompted.code()), "123456")

    def test_it_prints_who_is_registered(self) -> None:
        asked = self.asked(code_command="c", no_passphrase=True, again=True)
        self.assertEqual(self.result(run_registration(self.call.as_invocation(), asked)), 0)
        self.assertEqual(self.call.printed, [f"registered {ALICE} device 9f9f9f9f9f9f9f9f"])
        self.assertEqual(
            (self.given["no_passphrase"], self.given["again"], self.given["ca"]), (True, True, None)
        )
        self.assertEqual(self.given["timeout"], 30.0)

    def test_a_ca_file_is_read_and_has_a_bound(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"certificates")
        asked = self.asked(code_command="c", ca=path)
        self.result(run_registration(self.call.as_invocation(), asked))
        self.assertEqual(self.given["ca"], b"certificates")
        path.write_bytes(bytes(CERTIFICATES_BYTES + 1))
        self.assertIs(self.failure(run_registration(self.call.as_invocation(), asked)).code, Code.USAGE)
        path.unlink()
        self.assertIs(self.failure(run_registration(self.call.as_invocation(), asked)).code, Code.USAGE)
