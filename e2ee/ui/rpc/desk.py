"""One program that asks over JSON-RPC: its lines in, answers and notifications out.

Knows order, room and the end of it; not what methods do (`methods`), nor what carries the lines. Requests
are begun in their order and answered as they are done; no more than IN_FLIGHT run at once, and no further
line is taken meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from e2ee.errors import Code, E2eeError, Failure
from e2ee.ui.invocation import Invocation
from e2ee.ui.rpc.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    LINE_BYTES,
    PARSE_ERROR,
    Asked,
    Refused,
    RpcError,
    batch_text,
    error_of,
    error_text,
    parse,
    result_text,
)
from e2ee.ui.rpc.methods import perform
from e2ee.ui.rpc.news import News
from e2ee.ui.rpc.request import Request, Room
from e2ee.ui.streams import Interrupted, OutputClosed

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

IN_FLIGHT = 32
"""Lines that are being worked on at once."""

_log = Logger()
AfterFlush = Callable[[], Awaitable[None]]


class Desk:
    """From the first line to `end`. `write` returns when a line has been taken. Raises OutputClosed."""

    def __init__(
        self,
        call: Invocation,
        conversations: Conversations,
        write: Callable[[str], Awaitable[None]],
        broken: Callable[[], None],
    ) -> None:
        self.conversations = conversations
        self.queueing = DeferredLock()
        """Texts are queued in the order in which they were given."""
        self.news = News(conversations, call.reactor, write)
        self.news.on_failure(self._failed)
        self._call = call
        self._write = write
        self._broken = broken
        self._running: set[Deferred[None]] = set()
        self._room: Deferred[None] | None = None
        self._ended = False

    # --- lines --------------------------------------------------------------------------------

    async def take(self, line: str) -> None:
        """Begin what a line asks for, and return when there is room for the next."""
        if line.strip():
            self._start(self._answer(line))
            await self._until_less_than(IN_FLIGHT)

    async def refuse_long(self) -> None:
        """A line was too long and has been skipped."""
        await self._refuse(RpcError(INVALID_REQUEST, f"the line is longer than {LINE_BYTES} bytes"))

    async def refuse_bytes(self) -> None:
        """A line was no text."""
        await self._refuse(RpcError(PARSE_ERROR, "the line is not UTF-8"))

    async def _refuse(self, error: RpcError) -> None:
        self._start(self._say(error_text(None, error)))
        await self._until_less_than(IN_FLIGHT)

    async def finish(self) -> None:
        """Wait until all has been answered."""
        await self._until_less_than(1)

    def end(self) -> None:
        """Answer nothing more, and tell nothing more. What was queued stays queued."""
        self._ended = True
        self.news.unsubscribe()
        for running in tuple(self._running):
            running.cancel()

    # --- work ---------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        running = Deferred.fromCoroutine(work)
        self._running.add(running)
        running.addErrback(self._failed)
        running.addBoth(lambda _: self._done(running))

    def _done(self, running: Deferred[None]) -> None:
        self._running.discard(running)
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    async def _until_less_than(self, count: int) -> None:
        while len(self._running) >= count:
            self._room = Deferred()
            await self._room

    def _failed(self, reason: TwistedFailure) -> None:
        """Nothing can be said any more, or we end."""
        if self._ended or reason.check(CancelledError):
            return
        if not reason.check(OutputClosed, Interrupted):
            _log.failure("a program cannot be served", failure=reason)
        self._broken()

    async def _answer(self, line: str) -> None:
        incoming, room = parse(line), Room()
        answering = [Deferred.fromCoroutine(self._one(entry, room)) for entry in incoming.entries]
        found = await gatherResults(answering, consumeErrors=True)
        texts = [text for text, _ in found if text is not None]
        said = batch_text(texts) if incoming.batch else (texts[0] if texts else None)
        if said is not None:
            self.news.answering(room)
            await self._say(said)
        for _, after in found:
            if after is not None:
                await after()

    async def _one(self, entry: Asked | Refused, room: Room) -> tuple[str | None, AfterFlush | None]:
        """The answer to one entry, None where none is wanted, and what is to be done once it was taken."""
        if isinstance(entry, Refused):
            return error_text(entry.id, entry.error), None
        after = None
        try:
            result, after = await self._result(entry, room)
            text = result_text(entry.id, result)
        except RpcError as error:
            text = error_text(entry.id, error)
        return (text if entry.answered else None), after

    async def _result(self, asked: Asked, room: Room) -> tuple[str, AfterFlush | None]:
        """Raises RpcError."""
        try:
            return await perform(lambda timeout: Request(self._call, self, timeout, room), asked)
        except (RpcError, CancelledError):
            raise
        except Failure as failure:
            raise error_of(failure) from failure
        except E2eeError as error:
            raise RpcError(INTERNAL_ERROR, str(error), code=Code.FAILED) from error
        except OSError as error:
            sentence = f"the system refused: {error.strerror}"
            raise RpcError(INTERNAL_ERROR, sentence, code=Code.FAILED) from error
        except Exception as error:
            _log.failure("a request has failed")
            raise RpcError(INTERNAL_ERROR, "unexpected error", code=Code.FAILED) from error

    async def _say(self, text: str) -> None:
        await self._write(text)
