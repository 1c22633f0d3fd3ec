"""The end of an account: deleted at the server at the wish of its owner, while the profile stays.

Knows what is said and what is remembered of it. A profile whose account was deleted does not connect any
more; its history can be read. See `docs/protocol.md`, section 4.
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.context import Context
from e2ee.client.link import LinkPhase, LinkState
from e2ee.errors import Code, Failure
from e2ee.store.client.identity import is_deleted, mark_deleted
from e2ee.wire import messages as m


class Departure:
    """One profile's. `entered` is told of the last state of the link."""

    def __init__(self, context: Context, entered: Callable[[LinkState], None]) -> None:
        self._context = context
        self._entered = entered

    async def delete_account(self) -> None:
        """Delete the account, and connect no more.

        Returns when the server has done it. Raises LinkLost where the answer does not come: it may have
        been done then; Refusal.
        """
        await self._context.ask(m.DeleteAccount(0), m.Done)
        now = self._context.now
        await self._context.write(lambda tx: mark_deleted(tx, now))
        await self._context.link.stop()
        self._tell()

    async def is_over(self) -> bool:
        """Whether there is no account to connect to; who waits for a connection is told then."""
        over = await self._context.vault.read(is_deleted)
        if over:
            self._tell()
        return over

    def _tell(self) -> None:
        sentence = (
            f"the account of {self._context.own.address} was deleted; `e2ee register --again` makes a new one"
        )
        self._entered(LinkState(LinkPhase.STOPPED, failure=Failure(Code.NOT_REGISTERED, sentence)))
