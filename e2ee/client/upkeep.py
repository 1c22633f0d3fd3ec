"""What has to be done at the start, at the end, and from time to time in between.

Knows when; what is done stands with those who do it.
"""

from __future__ import annotations

from e2ee.client.context import Context
from e2ee.client.history.erasure import Erasure
from e2ee.client.history.expiring import Expiring
from e2ee.client.prekeeper import PreKeeper
from e2ee.client.recovery.healing import Healer
from e2ee.client.sending.sender import Sender
from e2ee.client.transfers.files import Files
from e2ee.crypto.limits import DAY_MS
from e2ee.store.client import arrivals, envelopes, history
from e2ee.store.connection import Connection

ROUND_SECONDS = 60 * 60.0
ENVELOPE_MEMORY_MS = 90 * DAY_MS
"""A mailbox keeps envelopes for 30 days by default; thrice that leaves room for a longer one."""


class Upkeep:
    """One profile's."""

    def __init__(
        self, context: Context, sender: Sender, prekeeper: PreKeeper, healer: Healer, files: Files
    ) -> None:
        self._context = context
        self._sender = sender
        self._prekeeper = prekeeper
        self._healer = healer
        self._files = files
        self.erasure = Erasure(context)
        self.expiring = Expiring(context, self.erasure.expired)

    async def begin(self) -> None:
        """Prepare the vault."""
        now = self._context.now

        def prepare(tx: Connection) -> None:
            arrivals.note_interrupted(tx)
            envelopes.forget_envelopes(tx, now - ENVELOPE_MEMORY_MS)
            history.forget_forgotten(tx, now - ENVELOPE_MEMORY_MS)
            fatal = self._context.opening.left()
            if fatal is not None:
                envelopes.count_crash(tx, fatal)
                self._context.opening.clear()

        await self._context.vault.write(prepare)
        await self.expiring.begin()
        await self.erasure.run()

    async def go_online(self) -> None:
        """What belongs before the first connection."""
        await self._sender.fail_overdue()
        await self._files.uploads.fail_overdue()
        self._context.tasks.later(ROUND_SECONDS, self._round)

    async def end(self) -> None:
        """Leave no traces of what was forgotten."""
        await self.erasure.run()

    def _round(self) -> None:
        self._context.tasks.spawn(self._sender.fail_overdue())
        self._context.tasks.spawn(self._files.uploads.fail_overdue())
        self._context.tasks.spawn(self.erasure.run())
        self._prekeeper.wake()
        self._healer.look()
        self._context.tasks.later(ROUND_SECONDS, self._round)
