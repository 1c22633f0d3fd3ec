"""What has to be done at the start, at the end, and from time to time in between.

Knows when; what is done stands with those who do it.
"""

from __future__ import annotations

from e2ee.client.context import Context
from e2ee.client.erasure import Erasure
from e2ee.client.prekeeper import PreKeeper
from e2ee.client.sender import Sender
from e2ee.crypto.limits import DAY_MS
from e2ee.store.client import arrivals, envelopes, history
from e2ee.store.client.marks import forget_mark, load_mark, save_mark
from e2ee.store.connection import Connection

ROUND_SECONDS = 60 * 60.0
ENVELOPE_MEMORY_MS = 90 * DAY_MS
"""A mailbox keeps envelopes for 30 days by default; thrice that leaves room for a longer one."""

_RUNNING = "running"


class Upkeep:
    """One profile's."""

    def __init__(self, context: Context, sender: Sender, prekeeper: PreKeeper) -> None:
        self._context = context
        self._sender = sender
        self._prekeeper = prekeeper
        self.erasure = Erasure(context)
        self._connects = False

    async def begin(self) -> bool:
        """Prepare the vault; whether the last process that was to connect did not end cleanly."""
        now = self._context.now

        def prepare(tx: Connection) -> bool:
            arrivals.note_interrupted(tx)
            envelopes.forget_envelopes(tx, now - ENVELOPE_MEMORY_MS)
            history.forget_forgotten(tx, now - ENVELOPE_MEMORY_MS)
            return load_mark(tx, _RUNNING) is not None

        crashed = await self._context.vault.write(prepare)
        await self.erasure.run()
        return crashed

    async def go_online(self) -> None:
        """What belongs before the first connection."""
        self._connects = True
        await self._context.vault.write(lambda tx: save_mark(tx, _RUNNING, b"\1"))
        await self._sender.fail_overdue()
        self._context.tasks.later(ROUND_SECONDS, self._round)

    async def end(self) -> None:
        """Note that this process ended cleanly, and leave no traces of what was forgotten."""
        await self.erasure.run()
        if self._connects:
            await self._context.vault.write(lambda tx: forget_mark(tx, _RUNNING))

    def _round(self) -> None:
        self._context.tasks.spawn(self._sender.fail_overdue())
        self._context.tasks.spawn(self.erasure.run())
        self._prekeeper.wake()
        self._context.tasks.later(ROUND_SECONDS, self._round)
