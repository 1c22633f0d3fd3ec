"""Keeps the directory supplied with this device's prekeys.

Rotates the weekly ones, refills the one-time ones, forgets retired private halves. Everything is on
disk before it is uploaded, and an upload whose answer was lost is repeated with the same bytes. How keys
are made, and how many may be, stands in `new_prekeys`. See `docs/protocol.md`, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from e2ee.client.context import Context
from e2ee.client.deadline import Deadline
from e2ee.client.new_prekeys import NewPreKeys
from e2ee.client.recovery.unknown_keys import leave_taken_ids, replace_unknown
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.client.threads import InThread
from e2ee.crypto import limits
from e2ee.crypto.keys import KemSuite
from e2ee.errors import Code
from e2ee.store.client import prekeys
from e2ee.store.client.prekeys import PreKeyKind, PreKeyRecord
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from e2ee.wire.limits import KEM_ONE_TIME_UPLOAD, ONE_TIME_UPLOAD

STOCK = 100
"""One-time keys of each kind that the directory holds for this device, at the most."""
LOW_STOCK = 50
"""Below this, or below half of a smaller stock, it is filled up."""
REFILL_SECONDS = 2.0
"""After the login, unless less than half of that is left: a command that only sends is gone by then, and
has not made keys."""
RSA_STOCK = 10
"""Of RSA prekeys, each of which takes a good part of a second to make."""
RETRY_SECONDS = 60.0
UPLOAD_ATTEMPTS = 3
SUPPLIED_POLL_SECONDS = 0.05
"""How often `supplied` looks: nobody waits for it but a command that is about to end."""
UPLOADS_AT_ONCE = -(-STOCK // KEM_ONE_TIME_UPLOAD)
"""What an empty stock needs: a directory that always wants more would fill the vault for ever."""

_UPLOADS = ((PreKeyKind.ONE_TIME, ONE_TIME_UPLOAD), (PreKeyKind.KEM_ONE_TIME, KEM_ONE_TIME_UPLOAD))
_TRANSIENT = frozenset({Code.RATE_LIMITED, Code.BUSY, Code.UNAVAILABLE})


class PreKeeper:
    """One device's. Works whenever it is told that there may be something to do."""

    def __init__(self, context: Context, in_thread: InThread) -> None:
        self._context = context
        kems = RSA_STOCK if context.own.statement.suite is KemSuite.RSA_3072 else STOCK
        self._full = {PreKeyKind.ONE_TIME: STOCK, PreKeyKind.KEM_ONE_TIME: kems}
        self._new = NewPreKeys(context, in_thread, self._full)
        self._stock = dict(self._full)
        self._postponed = False
        self._replacing = False
        self._resting = False
        self._take_back_timer: Callable[[], None] = _nothing
        self._busy = False
        self._again = False

    def stock_is(self, one_time: int, kem_one_time: int) -> None:
        """The directory holds so many one-time keys: at the login, or when they run low."""
        self._stock = {PreKeyKind.ONE_TIME: one_time, PreKeyKind.KEM_ONE_TIME: kem_one_time}
        postponed = all(count >= self._low(kind) // 2 for kind, count in self._stock.items())
        if postponed and not self._postponed:
            self._context.tasks.later(REFILL_SECONDS, self._refill_now)
        self._postponed = postponed
        self.wake()

    def _refill_now(self) -> None:
        self._postponed = False
        self.wake()

    def stock_unknown(self) -> None:
        """A first message named a one-time key that is not here: replace the whole stock."""
        self._context.tasks.spawn(self._want_replacement())

    async def supplied(self, timeout: float | None) -> None:
        """Wait until nothing is being made or uploaded, or for the timeout."""
        deadline = Deadline(self._context.clock, timeout)
        while self._busy and not deadline.passed:
            await self._context.tasks.sleep(SUPPLIED_POLL_SECONDS)

    async def replaced(self, timeout: float | None) -> None:
        """The same, only if what the directory has is being replaced: it may open nothing here."""
        if self._replacing:
            await self.supplied(timeout)

    def wake(self) -> None:
        """Look what there is to do, unless it is being done, or the directory has just refused every id."""
        self._again = True
        if not (self._busy or self._resting) and self._context.is_up:
            self._busy = True
            self._context.tasks.spawn(self._run())

    async def forget_retired(self) -> None:
        """The mailbox is empty: what was retired a mailbox's life ago cannot be named any more."""
        before = self._context.now - limits.RETIRED_PREKEY_MS
        await self._context.write(lambda tx: prekeys.delete_retired(tx, before))

    async def _want_replacement(self) -> None:
        now = self._context.now
        if await self._context.write(lambda tx: replace_unknown(tx, now)):
            self.wake()

    async def _run(self) -> None:
        try:
            while self._again and self._context.is_up:
                self._again = False
                self._replacing = await self._context.vault.read(prekeys.must_replace_stock)
                await self._rotate()
                await self._refill()
        except LinkLost:
            pass
        except Refusal as refusal:
            taken = refusal.refusal is m.RefusalCode.CONFLICT
            pause = await self._leave_taken_ids() if taken else refusal.retry_after or RETRY_SECONDS
            # Another connection is no reason to ask sooner: that would leave the pace to the server.
            self._resting = taken and pause > 0
            self._take_back_timer()
            self._take_back_timer = self._context.tasks.later(pause, self._wake_rested)
            if not taken and refusal.code not in _TRANSIENT:
                raise
        finally:
            self._busy = self._replacing = False

    async def _leave_taken_ids(self) -> float:
        """This vault is older than what was published; seconds to the next attempt, which is at once unless
        that was found within the hour."""
        now = self._context.now
        left = await self._context.write(lambda tx: leave_taken_ids(tx, now))
        return 0.0 if left else RETRY_SECONDS

    def _wake_rested(self) -> None:
        self._resting = False
        self.wake()

    # --- weekly keys ------------------------------------------------------------------------

    async def _rotate(self) -> None:
        """Replace the signed and the last-resort prekey after a week; publish what is not yet."""
        read = self._context.vault.read
        # Asked first: a read costs no commit, and at most logins there is nothing to do.
        if not await read(self._is_weekly_due):
            return
        await self._new.make_spare(1 if await read(self._is_week_over) else 0)
        fresh = await self._context.write(self._make_weekly)
        signed = next((one for one in fresh if one.kind is PreKeyKind.SIGNED), None)
        last_resort = next((one for one in fresh if one.kind is PreKeyKind.LAST_RESORT), None)
        message = m.Publish(
            n=0,
            signed_prekey=None if signed is None else signed.public,
            last_resort_prekey=None if last_resort is None else last_resort.public,
            one_time=(),
            kem_one_time=(),
        )
        await self._context.ask(message, m.Published)
        await self._context.write(lambda tx: prekeys.mark_published(tx, fresh, self._context.now))

    def _make_weekly(self, tx: Connection) -> list[PreKeyRecord]:
        """Those to publish: new ones, or older ones whose upload was not confirmed."""
        fresh: list[PreKeyRecord] = []
        for kind in prekeys.ROTATED_KINDS:
            newest = prekeys.newest_prekey(tx, kind)
            if newest is None or self._is_old(newest):
                newest = self._new.weekly(tx, kind)
            if not newest.published:
                fresh.append(newest)
        return fresh

    def _is_weekly_due(self, tx: Connection) -> bool:
        newest = [prekeys.newest_prekey(tx, kind) for kind in prekeys.ROTATED_KINDS]
        return any(one is None or self._is_old(one) or not one.published for one in newest)

    def _is_week_over(self, tx: Connection) -> bool:
        """Whether there will be a new last-resort prekey."""
        newest = prekeys.newest_prekey(tx, PreKeyKind.LAST_RESORT)
        return newest is None or self._is_old(newest)

    def _is_old(self, newest: PreKeyRecord) -> bool:
        return self._context.now - newest.created_at >= limits.SIGNED_PREKEY_LIFE_MS

    # --- one-time keys ----------------------------------------------------------------------

    async def _refill(self) -> None:
        replace = self._replacing
        enough = all(count >= self._low(kind) for kind, count in self._stock.items())
        if not replace and (enough or self._postponed):
            return
        if replace:
            self._stock = dict.fromkeys(self._stock, 0)
        refused = uploads = 0
        read = self._context.vault.read
        # Replaced is at once, if by nothing; what may not be made yet comes with a later round.
        while replace or (uploads < UPLOADS_AT_ONCE and await read(self._has_upload)):
            await self._new.make_spare(await read(self._kems_to_make))
            records = await self._context.write(self._next_upload)
            try:
                await self._upload(records, replace)
            except Refusal as refusal:
                if refusal.code in _TRANSIENT:
                    raise
                await self._context.write(lambda tx, bad=records: self._new.drop(tx, bad))  # type: ignore[misc]
                refused += 1
                if refused >= UPLOAD_ATTEMPTS:
                    raise
            else:
                replace = False
                uploads += 1

    async def _upload(self, records: Sequence[PreKeyRecord], replace: bool) -> None:
        message = m.Publish(
            n=0,
            signed_prekey=None,
            last_resort_prekey=None,
            one_time=tuple(
                m.OneTimePreKey(one.key_id, one.public)
                for one in records
                if one.kind is PreKeyKind.ONE_TIME
            ),
            kem_one_time=tuple(one.public for one in records if one.kind is PreKeyKind.KEM_ONE_TIME),
            replace_stock=replace,
        )
        answer = await self._context.ask(message, m.Published)
        before = dict(self._stock)
        self._stock = {
            PreKeyKind.ONE_TIME: answer.one_time_stock,
            PreKeyKind.KEM_ONE_TIME: answer.kem_one_time_stock,
        }

        def confirm(tx: Connection) -> None:
            prekeys.mark_published(tx, records, self._context.now)
            if replace:
                prekeys.note_stock_replaced(tx)

        await self._context.write(confirm)
        if self._stock == before and not replace:
            # A stock that does not grow would be filled for ever.
            self._stock = dict(self._full)

    def _low(self, kind: PreKeyKind) -> int:
        return min(LOW_STOCK, self._full[kind] // 2)

    def _missing(self, kind: PreKeyKind) -> int:
        """How many the directory has too few."""
        return max(0, self._full[kind] - self._stock[kind])

    def _next_upload(self, tx: Connection) -> list[PreKeyRecord]:
        """As many of each kind as are missing and fit, those first whose upload was not confirmed."""
        records: list[PreKeyRecord] = []
        for kind, most in _UPLOADS:
            wanted = self._wanted(tx, kind, most)
            records += prekeys.unpublished_prekeys(tx, kind, most)
            records += self._new.one_time(tx, kind, wanted)
        return records

    def _has_upload(self, tx: Connection) -> bool:
        """Whether a kind is missing of which some wait here, or may be made."""
        return any(
            prekeys.count_unpublished(tx, kind) or self._new.one_time_makeable(tx, kind, most) > 0
            for kind, most in _UPLOADS
            if self._missing(kind)
        )

    def _kems_to_make(self, tx: Connection) -> int:
        """How many KEM keys the next upload needs that are not here."""
        kind = PreKeyKind.KEM_ONE_TIME
        return self._new.one_time_makeable(tx, kind, self._wanted(tx, kind, KEM_ONE_TIME_UPLOAD))

    def _wanted(self, tx: Connection, kind: PreKeyKind, most: int) -> int:
        """How many of an upload of `most` are still to be made."""
        return max(0, min(most, self._missing(kind)) - prekeys.count_unpublished(tx, kind))


def _nothing() -> None:
    """No timer runs."""
