"""Passcodes on their way out: how many at once, for how long, what is told of a failure, and to whom.

Knows one sender and time; not sessions or limits. The operator reads each failure in the log, and
whoever observes is told each outcome. A requester is told of a failure only if it has nothing to do
with his number, and at a time that is the same for every number: else the answer would tell whom the
operator's files or gateway know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from e2ee.ids import Address
from e2ee.server.counters import CodeOutcome
from e2ee.server.policy import CODE_ANSWER_SECONDS, CODE_SENDING_SECONDS, CODES_UNDER_WAY
from e2ee.server.senders.interface import CodeNotSent, CodeSender, Reachable

STOP_SECONDS = 1.0
"""How long senders may take to give up, when the server has a few seconds in all to stop."""

Observe = Callable[[CodeOutcome, float], object]
"""Told of each code that was sent or not, with the seconds that it took."""


class CodeDelivery:
    """The way out, one for the server. `observers` are told of each outcome at once."""

    _log = Logger()

    def __init__(self, sender: CodeSender, clock: IReactorTime) -> None:
        self._sender = sender
        self._clock = clock
        self._started = False
        self._under_way: set[Deferred[CodeNotSent | None]] = set()
        self._retiring: set[Deferred[None]] = set()
        self.observers: list[Observe] = []

    def start(self) -> None:
        """Before the first code."""
        self._started = True
        self._sender.start()

    def replace(self, sender: CodeSender) -> None:
        """Send later codes through this one. The other is stopped when its last code has ended."""
        if not self._started:
            self._sender = sender
            return
        sender.start()
        former, self._sender = self._sender, sender
        retiring = Deferred.fromCoroutine(_retire(former, list(self._under_way)))
        self._retiring.add(retiring)
        retiring.addErrback(self._not_stopped)
        retiring.addBoth(lambda _: self._retiring.discard(retiring))

    async def reach(self) -> bool:
        """Whether the sender can be reached; False if it cannot be tried without sending a code.

        Raises CodeNotSent with the reason if it would not work.
        """
        sender = self._sender
        if not isinstance(sender, Reachable):
            return False
        try:
            await Deferred.fromCoroutine(sender.reach()).addTimeout(CODE_SENDING_SECONDS, self._clock)
        except CodeNotSent:
            raise
        except TimeoutError:
            raise CodeNotSent(_too_slow()) from None
        except Exception as error:
            raise CodeNotSent(f"its sender failed ({type(error).__name__})") from None
        return True

    async def deliver(self, address: Address, code: str, expires_at: int) -> None:
        """Send a code; see `CodeSender.send`. Returns when the requester may be answered.

        Raises CodeNotSent if by then it has failed for a reason that the requester may know.
        """
        if len(self._under_way) >= CODES_UNDER_WAY:
            problem = CodeNotSent(f"{CODES_UNDER_WAY} others are being sent already")
            self._note(CodeOutcome.FULL, 0.0, str(problem))
            raise problem
        sending = Deferred.fromCoroutine(self._send(address, code, expires_at))
        self._under_way.add(sending)
        sending.addBoth(self._ended, sending)
        found = await (_end_of(sending) if self._sender.at_once else self._until_answer(sending))
        if found is not None and not found.about_number:
            raise found

    async def stop(self) -> None:
        """Give up what is under way, then stop the sender; one that does not give up is not waited for."""
        self._started = False
        under_way = list(self._under_way)
        for sending in under_way:
            sending.cancel()
        patience: Deferred[Any] = deferLater(self._clock, STOP_SECONDS)
        first: list[Deferred[Any]] = [DeferredList([*under_way, *self._retiring]), patience]
        await DeferredList(first, fireOnOneCallback=True, consumeErrors=True)
        patience.cancel()
        await self._sender.stop()

    async def _until_answer(self, sending: Deferred[CodeNotSent | None]) -> CodeNotSent | None:
        """What is known after the fixed time."""
        found: list[CodeNotSent | None] = []

        def keep(result: CodeNotSent | None) -> CodeNotSent | None:
            found.append(result)
            return result

        sending.addCallback(keep)
        await deferLater(self._clock, CODE_ANSWER_SECONDS)
        return found[0] if found else None

    async def _send(self, address: Address, code: str, expires_at: int) -> CodeNotSent | None:
        """Never raises: what went wrong is logged, counted and returned."""
        begun = self._clock.seconds()
        sending = Deferred.fromCoroutine(self._sender.send(address, code, expires_at))
        try:
            await sending.addTimeout(CODE_SENDING_SECONDS, self._clock)
        except CodeNotSent as error:
            outcome = CodeOutcome.NUMBER if error.about_number else CodeOutcome.FAILED
            problem = error
        except TimeoutError:
            outcome = CodeOutcome.LATE
            problem = CodeNotSent(_too_slow())
        except CancelledError:
            outcome, problem = CodeOutcome.LATE, CodeNotSent("the server stopped")
        except Exception as error:
            # The text of an unexpected error might repeat the code: only its kind is logged.
            outcome, problem = CodeOutcome.DEFECT, CodeNotSent(type(error).__name__)
        else:
            self._note(CodeOutcome.SENT, self._clock.seconds() - begun)
            return None
        self._note(outcome, self._clock.seconds() - begun, str(problem))
        return problem

    def _note(self, outcome: CodeOutcome, seconds: float, reason: str = "") -> None:
        for observe in self.observers:
            observe(outcome, seconds)
        if reason:
            self._log.error("a passcode was not sent: {reason}", reason=reason)

    def _not_stopped(self, failure: Failure) -> None:
        self._log.error("a former passcode sender did not stop: {kind}", kind=type(failure.value).__name__)

    def _ended(
        self, result: CodeNotSent | None, sending: Deferred[CodeNotSent | None]
    ) -> CodeNotSent | None:
        self._under_way.discard(sending)
        return result


async def _retire(sender: CodeSender, under_way: list[Deferred[CodeNotSent | None]]) -> None:
    await DeferredList(under_way)
    await sender.stop()


def _too_slow() -> str:
    return f"its sender took more than {CODE_SENDING_SECONDS:.0f} seconds"


async def _end_of(sending: Deferred[CodeNotSent | None]) -> CodeNotSent | None:
    """What it ends with. Whoever waits may go away: his code goes on being sent."""
    ended: Deferred[CodeNotSent | None] = Deferred()

    def pass_on(result: CodeNotSent | None) -> CodeNotSent | None:
        if not ended.called:
            ended.callback(result)
        return result

    sending.addCallback(pass_on)
    return await ended
