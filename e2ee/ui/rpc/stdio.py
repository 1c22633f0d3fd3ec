"""`e2ee rpc`: one program, at the other end of standard input and output.

Knows how its lines come and go; what they say, the desk knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred

from e2ee.errors import Failure
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation
from e2ee.ui.rpc.desk import Desk
from e2ee.ui.rpc.jsonrpc import LINE_BYTES
from e2ee.ui.streams import LineTooLong, OutputClosed

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations


async def run_rpc(call: Invocation) -> int:
    """Serve until the input has ended and everything is answered. Raises Failure, OutputClosed."""
    async with call.conversations(lasting=True, patient=True, reads_lines=True) as conversations:
        await _Served(call, conversations).until_end()
    return DONE


class _Served:
    """The program at standard input and output."""

    def __init__(self, call: Invocation, conversations: Conversations) -> None:
        self._lines = call.lines(LINE_BYTES)
        self._call = call
        self._broken = False
        self._desk = Desk(call, conversations, call.printer.print, self._break)
        self._reading: Deferred[None] | None = None

    async def until_end(self) -> None:
        """Until there are no more lines, or nobody reads what is answered: OutputClosed."""
        try:
            self._reading = Deferred.fromCoroutine(self._read())
            await self._reading
        except CancelledError:
            if self._broken:
                raise OutputClosed from None
            raise
        finally:
            self._desk.end()

    async def _read(self) -> None:
        while not self._broken:
            try:
                line = await self._call.in_thread(self._lines.read_line)
            except LineTooLong:
                await self._desk.refuse_long()
            except Failure:
                await self._desk.refuse_bytes()
            else:
                if line is None:
                    break
                await self._desk.take(line)
        await self._desk.finish()

    def _break(self) -> None:
        """Nobody reads the answers any more: nobody has to be listened to."""
        self._broken = True
        if self._reading is not None:
            self._reading.cancel()
