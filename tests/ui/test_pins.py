"""`pin set`, `pin remove`, and where `register` finds a PIN: docs/command-line.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.defer import execute

from e2ee.client.refusals import LinkLost
from e2ee.client.registering.registration import CodeSource
from e2ee.errors import Code, Failure
from e2ee.ui.exit_codes import exit_code
from e2ee.ui.options import Options
from e2ee.ui.pins import pin_source, remove_pin, set_pin
from tests.ui.fakes import CoroutineTestCase, FakeCall, FakeMessenger

T = TypeVar("T")


class Person:
    """In place of a terminal: types these lines, unseen ones only."""

    def __init__(self, *typed: str) -> None:
        self.typed = list(typed)
        self.questions: list[str] = []

    def ask(self, question: str, *, hidden: bool = False) -> str:
        assert hidden, "a PIN is never shown"
        self.questions.append(question)
        return self.typed.pop(0)

    def new_pin(self) -> str:
        return self.ask("twice", hidden=True)


class KeptPin:
    """In place of the client's: keeps what is set."""

    def __init__(self) -> None:
        self.value: str | None = "none yet"
        self.failure: Failure | None = None

    async def set(self, text: str) -> None:
        await self.remove()
        self.value = text

    async def remove(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.value = None


class PinCall(FakeCall):
    """A call with or without somebody at a terminal."""

    def __init__(self, person: Person | None = None, json: bool = False) -> None:
        super().__init__(FakeMessenger(), Options(json=json))
        self.somebody = person
        self.kept = KeptPin()
        self.messenger.set_pin = self.kept.set  # type: ignore[attr-defined]
        self.messenger.remove_pin = self.kept.remove  # type: ignore[attr-defined]

    def terminal(self) -> Person | None:
        return self.somebody

    def in_thread(self, work: Callable[[], T], /) -> Awaitable[T]:
        return execute(work)


class Source:
    """A source of codes; `interactive` if a person types them."""

    def __init__(self, interactive: bool) -> None:
        self.interactive = interactive


class PinTestCase(CoroutineTestCase):
    def file(self, content: str, mode: int = 0o600) -> Path:
        path = Path(self.mktemp())
        path.write_text(content)
        path.chmod(mode)
        return path


class SetTests(PinTestCase):
    """Set from a file or a terminal, removed without a question."""

    def test_it_is_read_from_the_file(self) -> None:
        call = PinCall(Person())
        self.assertEqual(self.result(set_pin(call.as_invocation(), self.file("4711\n"))), 0)
        self.assertEqual((call.kept.value, call.printed), ("4711", ["registration PIN set"]))
        self.assertEqual(call.connected, [True])

    def test_it_is_typed_twice_at_a_terminal(self) -> None:
        call = PinCall(Person("correct horse"))
        self.assertEqual(self.result(set_pin(call.as_invocation(), None)), 0)
        self.assertEqual(call.kept.value, "correct horse")
        self.assertNotIn("horse", "".join(call.printed + call.mentioned))

    def test_there_is_no_source_without_file_and_terminal(self) -> None:
        call = PinCall()
        failure = self.failure(set_pin(call.as_invocation(), None))
        self.assertEqual((failure.code, call.connected), (Code.USAGE, []))

    def test_what_is_no_pin_is_refused_before_anything_is_opened(self) -> None:
        for file, person in (
            (self.file(""), None),
            (self.file("123"), None),
            (self.file("4711", 0o644), None),
            (Path(self.mktemp()), None),
            (None, Person("")),
            (None, Person("123")),
        ):
            call = PinCall(person)
            failure = self.failure(set_pin(call.as_invocation(), file))
            self.assertEqual((failure.code, call.connected), (Code.USAGE, []))

    def test_it_is_removed(self) -> None:
        call = PinCall()
        self.assertEqual(self.result(remove_pin(call.as_invocation())), 0)
        self.assertEqual((call.kept.value, call.printed), (None, ["registration PIN removed"]))

    def test_with_json_there_is_an_object(self) -> None:
        call = PinCall(json=True)
        self.result(set_pin(call.as_invocation(), self.file("4711")))
        self.result(remove_pin(call.as_invocation()))
        self.assertEqual(call.printed, ["registration_pin"] * 2)

    def test_nothing_is_printed_where_it_was_not_done(self) -> None:
        call = PinCall()
        call.kept.failure = LinkLost()
        failure = self.failure(set_pin(call.as_invocation(), self.file("4711")))
        self.assertEqual((failure.code, call.printed), (Code.UNREACHABLE, []))
        call = PinCall()
        call.messenger.connection = Failure(Code.LOGGED_OUT, "taken over")
        self.assertEqual(self.failure(remove_pin(call.as_invocation())).code, Code.LOGGED_OUT)


class SourceTests(PinTestCase):
    """What `register` does about a PIN."""

    def pin(self, call: PinCall, file: Path | None, interactive: bool) -> str | None:
        codes: Any = Source(interactive)
        source = self.result(pin_source(call.as_invocation(), file, cast(CodeSource, codes)))
        return None if source is None else self.result(source.pin())

    def test_a_file_is_read_at_once_and_nobody_is_asked(self) -> None:
        person = Person()
        self.assertEqual(self.pin(PinCall(person), self.file("4711\n"), True), "4711")
        self.assertEqual(person.questions, [])

    def test_an_empty_file_is_no_pin(self) -> None:
        self.assertEqual(self.pin(PinCall(), self.file(""), False), "")

    def test_a_wrong_file_is_found_before_a_code_is_asked_for(self) -> None:
        call, codes = PinCall(), cast(CodeSource, Source(False))
        failure = self.failure(pin_source(call.as_invocation(), self.file("1"), codes))
        self.assertEqual(failure.code, Code.USAGE)

    def test_who_types_the_code_is_asked_for_the_pin(self) -> None:
        person = Person("correct horse")
        self.assertEqual(self.pin(PinCall(person), None, True), "correct horse")
        self.assertEqual(len(person.questions), 1)

    def test_nothing_typed_is_no_pin(self) -> None:
        self.assertEqual(self.pin(PinCall(Person("")), None, True), "")

    def test_what_cannot_be_a_pin_is_asked_for_again(self) -> None:
        call = PinCall(Person("123", "1234"))
        self.assertEqual(self.pin(call, None, True), "1234")
        self.assertIn("4 to 64", call.mentioned[0])

    def test_nobody_is_asked_where_the_code_comes_from_elsewhere(self) -> None:
        self.assertIsNone(self.pin(PinCall(Person()), None, False))
        self.assertIsNone(self.pin(PinCall(), None, True))


class ExitCodeTests(CoroutineTestCase):
    def test_a_wrong_or_missing_pin_is_6(self) -> None:
        for code in (Code.WRONG_PIN, Code.PIN_REQUIRED):
            self.assertEqual(exit_code(code), 6)
