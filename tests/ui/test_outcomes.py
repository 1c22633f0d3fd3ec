"""All verbs × all failures: the exit code is the one of docs/command-line.md, wherever the failure comes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure as TwistedFailure

from e2ee.client.events import Contact, SentMessage, SentState, Status
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.ui import cli, printer, runner
from e2ee.ui.exit_codes import DONE, EXIT_CODES
from e2ee.ui.invocation import Invocation
from e2ee.ui.options import Options
from e2ee.ui.streams import OutputClosed
from tests.ui.fakes import ALICE, BOB, DEVICE, CoroutineTestCase, FakeCall, FakeMessenger, message
from tests.ui.test_identities import Kept

ID = "0" * 31 + "1"

VERBS = (
    "send bob -m hello",
    "send bob +15550100103 -m hello --wait read",
    "receive",
    "receive --follow --max 1",
    "receive --wait-first",
    "online",
    "contacts",
    "contacts add +15550100103 carol",
    "contacts rename bob robert",
    "contacts block bob",
    "contacts remove bob",
    "verify bob",
    "trust bob",
    "history",
    "history bob",
    f"forget {ID}",
    "forget --conversation bob",
    "status",
    "outbox",
    f"outbox cancel {ID}",
    "pin remove",
    "identity show",
    "identity remove",
    "trust --list-ca",
    "trust --remove-ca company",
    "contacts timer bob",
    "contacts timer bob 1d",
    "account delete --yes",
)
"""Every verb whose requests can fail; `chat`, `run`, `rpc` and `agent` go on then."""

TOLERATED = {
    ("trust bob", "outbox"),
    ("trust bob", "accepted"),
}
"""What is only mentioned: the trust is settled by then, and the outbox waits for the next connection."""

FAILED_IS_PRINTED = {"reached"}
"""A text that waits or has failed is printed with the reason, which decides the exit code as well."""


class Failing:
    """A messenger whose call number `count` fails. `asked` has the names of all calls until then."""

    def __init__(self, messenger: FakeMessenger, count: int | None, failure: Failure) -> None:
        self._messenger = messenger
        self._count = count
        self._failure = failure
        self.asked: list[str] = []
        self.archive = _Part(self, messenger.archive)
        self.certificates = _Part(self, messenger.certificates)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._messenger, name)
        return self.guard(name, found) if callable(found) and name != "subscribe" else found

    def guard(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, unless it is the one that fails."""

        async def asked(*arguments: Any, **named: Any) -> Any:
            self.note(name)
            return await call(*arguments, **named)

        return asked

    def note(self, name: str) -> None:
        """It is called. Raises Failure."""
        self.asked.append(name)
        if self._count is not None and len(self.asked) > self._count:
            raise self._failure


class _Part:
    """A facade of it."""

    def __init__(self, failing: Failing, part: Any) -> None:
        self._failing = failing
        self._part = part

    async def pages(self, query: Any) -> AsyncIterator[Any]:
        self._failing.note("pages")
        async for page in self._part.pages(query):
            yield page

    def __getattr__(self, name: str) -> Any:
        return self._failing.guard(name, getattr(self._part, name))


class PeopledMessenger(FakeMessenger):
    """One with everything that the verbs ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = Kept()
        self.people = {BOB: "bob"}
        self.answer = SentMessage(MessageId.from_hex(ID), BOB, SentState.READ)
        self.cancelled = SentMessage(MessageId.from_hex(ID), BOB, SentState.FAILED)
        self.queued = [SentMessage(MessageId.from_hex(ID), BOB, SentState.QUEUED)]
        self.waiting = [message("hello")]
        self.present = [(BOB, "bob")]
        self.state = Status(
            True, "X25519", None, 0, 0, 1, 1, None, ALICE, DEVICE, "x:1", "sha256:A", "key_file"
        )

    @property
    def certificates(self) -> Any:
        return self.kept

    async def delete_account(self) -> None:
        """Done."""

    async def _changed(self, address: Address, name: str | None = None) -> Contact:
        return Contact(address, name, True, False, False)

    add_contact = rename_contact = block_contact = remove_contact = _changed

    async def remove_pin(self) -> None:
        """Done."""


class OutcomeTests(CoroutineTestCase):
    """`cli.call` with everything but the reactor and the network."""

    def setUp(self) -> None:
        self.errors: list[str] = []
        self.patch(printer, "print_error", self.errors.append)
        self.patch(runner, "print_error", self.errors.append)
        self.patch(runner, "run", self.run_verb)
        for name in cli.VARIABLES:
            if name in os.environ:
                self.addCleanup(os.environ.__setitem__, name, os.environ.pop(name))
        self.make: Callable[[Options], FakeCall] = lambda options: FakeCall(PeopledMessenger(), options)

    def run_verb(
        self, options: Options, main: Callable[..., Coroutine[Any, Any, int]], *, long_running: bool = False
    ) -> int:
        found: list[Any] = []
        Deferred.fromCoroutine(main(cast(Invocation, self.make(options)))).addBoth(found.append)
        (result,) = found
        return runner.outcome_of(result, options) if isinstance(result, TwistedFailure) else result

    def outcome(self, verb: str, count: int | None, failure: Failure) -> tuple[int, list[str]]:
        """The exit code, and what was asked for until then."""
        failing = Failing(PeopledMessenger(), count, failure)
        self.make = lambda options: FakeCall(cast(FakeMessenger, failing), options)
        return cli.call(verb.split()), failing.asked

    def test_all_is_done_without_a_failure(self) -> None:
        for verb in VERBS:
            code, asked = self.outcome(verb, None, Failure(Code.FAILED, ""))
            self.assertEqual((code, self.errors), (DONE, []), verb)
            self.assertTrue(asked, verb)

    def test_whatever_fails_wherever_it_fails(self) -> None:
        """Each call that a verb makes fails once, with each code that there is."""
        for verb in VERBS:
            _, calls = self.outcome(verb, None, Failure(Code.FAILED, ""))
            for count, name in enumerate(calls):
                if name in FAILED_IS_PRINTED:
                    continue
                for error in Code:
                    self.errors.clear()
                    code, _ = self.outcome(verb, count, Failure(error, "why"))
                    expected = DONE if (verb, name) in TOLERATED else EXIT_CODES[error]
                    self.assertEqual(code, expected, (verb, name, error))
                    self.assertTrue(code == DONE or "why" in self.errors[-1], (verb, name, error))

    def test_a_text_that_waits_or_failed_has_the_exit_code_of_its_reason(self) -> None:
        for error in Code:
            for state in (SentState.QUEUED, SentState.FAILED):
                messenger = PeopledMessenger()
                messenger.answer = SentMessage(MessageId.from_hex(ID), BOB, state, Failure(error, "why"))
                self.make = lambda options, one=messenger: FakeCall(one, options)  # type: ignore[misc]
                self.assertEqual(cli.call(["send", "bob", "-m", "x"]), EXIT_CODES[error], (error, state))

    def test_a_link_that_is_given_up_while_a_text_waits(self) -> None:
        for error in Code:
            messenger = PeopledMessenger()
            messenger.answer = Failure(error, "why")
            messenger.queued.clear()
            self.make = lambda options, one=messenger: FakeCall(one, options)  # type: ignore[misc]
            self.assertEqual(cli.call(["send", "bob", "-m", "x"]), EXIT_CODES[error], error)

    def test_a_profile_that_cannot_be_opened(self) -> None:
        for verb in (*VERBS, "chat", "rpc", "agent"):
            for error in Code:
                self.make = lambda options, why=error: Unopened(why, options)  # type: ignore[misc]
                self.assertEqual(cli.call(verb.split()), EXIT_CODES[error], (verb, error))

    def test_a_closed_pipe_is_no_failure(self) -> None:
        for verb in VERBS:
            self.errors.clear()
            self.make = lambda options: Unread(PeopledMessenger(), options)
            self.assertEqual((cli.call(verb.split()), self.errors), (DONE, []), verb)


class Unopened(FakeCall):
    """The profile does not open."""

    def __init__(self, code: Code, options: Options) -> None:
        super().__init__(PeopledMessenger(), options)
        self._code = code

    @asynccontextmanager
    async def conversations(self, **_: Any) -> AsyncIterator[FakeMessenger]:
        raise Failure(self._code, "why")
        yield self.messenger

    def lines(self, limit: int = 0) -> None:
        """Never read."""


class Unread(FakeCall):
    """Nobody reads what is printed."""

    async def show(self, records: list[str], *objects: Any) -> None:
        raise OutputClosed

    async def show_event(self, event: Any) -> None:
        raise OutputClosed
