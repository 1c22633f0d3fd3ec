"""The PIN of the own account: what the server is told of it, and where one is read from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.refusals import LinkLost
from e2ee.client.registering.pin_sources import GivenPin, checked_pin, pin_in_file
from e2ee.client.registering.registration_pin import RegistrationPin
from e2ee.crypto.registration_pin import stretch_pin
from e2ee.errors import Code, Failure
from e2ee.wire import messages as m
from tests.client.people import World

T = TypeVar("T")
ALICE = "+15550100101"


class SettingTests(SynchronousTestCase):
    """Set and removed on the connection of the device."""

    def setUp(self) -> None:
        self.world = World(self)
        self.threaded = 0
        self.alice = self.world.person(ALICE)
        self.alice.start()
        self.account = self.world.relay.accounts[self.alice.address]
        self.pin = RegistrationPin(self.alice.messenger._context, self.in_thread)

    def in_thread(self, work: Callable[[], T], /) -> Awaitable[T]:
        self.threaded += 1
        return execute(work)

    def test_the_server_gets_a_salt_and_the_stretched_pin(self) -> None:
        self.world.result(self.pin.set("correct horse"))
        assert self.account.pin is not None
        salt, stretched = self.account.pin
        self.assertEqual(len(salt), 16)
        self.assertEqual(stretched, stretch_pin("correct horse", self.alice.address, salt))
        self.assertNotIn("correct horse", repr(self.world.relay.requests))
        self.assertEqual(self.threaded, 1)

    def test_each_time_with_a_new_salt(self) -> None:
        salts = set()
        for _ in range(2):
            self.world.result(self.pin.set("1234"))
            assert self.account.pin is not None
            salts.add(self.account.pin[0])
        self.assertEqual(len(salts), 2)

    def test_it_can_be_removed(self) -> None:
        self.world.result(self.pin.set("1234"))
        self.world.result(self.pin.remove())
        self.assertIsNone(self.account.pin)

    def test_what_is_no_pin_is_not_sent(self) -> None:
        failure = self.assertRaises(Failure, self.world.result, self.pin.set("123"))
        self.assertEqual((failure.code, self.account.pin), (Code.USAGE, None))

    def test_without_a_connection_it_says_so(self) -> None:
        self.alice.link.disconnect()
        self.assertRaises(LinkLost, self.world.result, self.pin.remove())

    def test_a_server_that_refuses_is_believed(self) -> None:
        self.world.relay.intercept[self.alice.address] = lambda message: m.Refused(
            0, m.RefusalCode.UNAVAILABLE, "no room", 5.0
        )
        failure = self.assertRaises(Failure, self.world.result, self.pin.remove())
        self.assertEqual((failure.code, failure.retry_after), (Code.UNAVAILABLE, 5.0))

    def test_the_messenger_has_it(self) -> None:
        self.assertIsInstance(self.alice.messenger.registration_pin, RegistrationPin)


class FileTests(SynchronousTestCase):
    """`--pin-file`: its content less one final newline."""

    def file(self, content: bytes, mode: int = 0o600) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def refused(self, path: Path) -> str:
        failure: Failure = self.assertRaises(Failure, pin_in_file, path)
        self.assertEqual(failure.code, Code.USAGE)
        return failure.sentence

    def test_one_final_newline_is_not_part_of_it(self) -> None:
        self.assertEqual(pin_in_file(self.file(b"1234")), "1234")
        self.assertEqual(pin_in_file(self.file(b"1234\n")), "1234")
        self.assertIn("control", self.refused(self.file(b"1234\n\n")))

    def test_an_empty_file_is_no_pin(self) -> None:
        for content in (b"", b"\n"):
            self.assertEqual(pin_in_file(self.file(content)), "")

    def test_the_longest_pin_fits_and_what_is_longer_is_refused(self) -> None:
        self.assertEqual(pin_in_file(self.file("🔑".encode() * 64 + b"\n")), "🔑" * 64)
        self.assertIn("64 characters", self.refused(self.file(b"1" * 65)))
        self.assertIn("longer", self.refused(self.file(b"1" * 100_000)))

    def test_a_file_that_others_can_read_is_refused_with_what_mends_it(self) -> None:
        self.assertIn("chmod 600", self.refused(self.file(b"1234", 0o640)))

    def test_what_cannot_be_read_or_is_not_text_is_refused(self) -> None:
        self.assertIn("cannot be read", self.refused(Path(self.mktemp())))
        self.assertIn("UTF-8", self.refused(self.file(b"caf\xe9 au lait")))

    def test_no_text_of_an_error_repeats_the_pin(self) -> None:
        self.assertNotIn("hunter", self.refused(self.file(b"hunter\x07two")))

    def test_a_given_pin_is_given_and_not_shown(self) -> None:
        given = GivenPin("correct horse")
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(given.pin())), "correct horse")
        self.assertNotIn("horse", repr(given))

    def test_a_pin_is_taken_in_its_one_form(self) -> None:
        self.assertEqual(checked_pin("cafe\u0301"), "caf\u00e9")
        self.assertEqual(self.assertRaises(Failure, checked_pin, "123").code, Code.USAGE)
