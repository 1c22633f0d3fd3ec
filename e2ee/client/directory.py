"""Look-ups in the server's directory, joined and tried again.

Knows what may be asked; not what is believed (`trust`). The verified statements in the vault are the
cache: nothing is asked for an account key that is known. See `docs/protocol.md`, section 5.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure as TwistedFailure

from e2ee.client.context import Context
from e2ee.client.refusals import Refusal
from e2ee.client.trust import Served
from e2ee.errors import Code
from e2ee.ids import Address
from e2ee.wire import messages as m

FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0
_TRANSIENT = frozenset({Code.RATE_LIMITED, Code.BUSY, Code.UNAVAILABLE})


class Directory:
    """Asks the server for account statements."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._asked: dict[Address, list[Deferred[Served]]] = {}

    async def look_up(self, address: Address) -> Served:
        """What the server has for this number; no statement if it knows no such account.

        Asks once for all who ask meanwhile, and again where the server says that waiting helps.
        Raises LinkLost if the connection ends first. Nothing is verified here.
        """
        if address in self._asked:
            waiting: Deferred[Served] = Deferred()
            self._asked[address].append(waiting)
            return await waiting
        self._asked[address] = []
        try:
            served = await self._ask(address)
        except BaseException:
            reason = TwistedFailure()
            for waiting in self._asked.pop(address):
                waiting.errback(reason)
            raise
        for waiting in self._asked.pop(address):
            waiting.callback(served)
        return served

    async def _ask(self, address: Address) -> Served:
        wait = FIRST_RETRY_SECONDS
        while True:
            try:
                answer = await self._context.ask(m.LookUp(0, str(address)), m.LookedUp)
                return Served(answer.statement, answer.identity)
            except Refusal as refusal:
                if refusal.refusal is m.RefusalCode.UNKNOWN_RECIPIENT:
                    return Served(None)
                if refusal.code not in _TRANSIENT:
                    raise
                await self._context.tasks.sleep(refusal.retry_after or wait)
                wait = min(2 * wait, LAST_RETRY_SECONDS)
