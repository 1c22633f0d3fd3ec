"""Makes this device's prekeys, and keeps them before anybody sees them.

Knows how each kind is made and how many may be; not what the directory has. Keys are made in the vault's
thread, those of RSA in one of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from e2ee.client import prekey_allowance
from e2ee.client.context import Context
from e2ee.client.threads import InThread
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.prekey_secrets import make_one_time_prekey, make_signed_prekey, sign_kem_prekey
from e2ee.crypto.secret_keys import KemSecretKey
from e2ee.store.client import prekeys
from e2ee.store.client.prekeys import PreKeyKind, PreKeyRecord
from e2ee.store.connection import Connection


class NewPreKeys:
    """Those of one device, of whose one-time keys the directory holds `full` at the most."""

    def __init__(self, context: Context, in_thread: InThread, full: Mapping[PreKeyKind, int]) -> None:
        self._context = context
        self._in_thread = in_thread
        self._full = full
        self._suite = context.own.statement.suite
        self._spare: list[KemSecretKey] = []

    async def make_spare(self, count: int) -> None:
        """Have so many RSA keys at hand: they take long, and the vault's thread is not kept waiting."""
        if self._suite is not KemSuite.RSA_3072:
            return
        entropy = self._context.entropy
        while len(self._spare) < count:
            self._spare.append(await self._in_thread(lambda: KemSecretKey.generate(self._suite, entropy)))

    def weekly(self, tx: Connection, kind: PreKeyKind) -> PreKeyRecord:
        """A new signed or last-resort prekey."""
        return self._make(tx, kind, 1)[0]

    def one_time_makeable(self, tx: Connection, kind: PreKeyKind, wanted: int) -> int:
        """How many of so many wanted ones may be made now."""
        return min(wanted, prekey_allowance.makeable(tx, kind, self._full[kind], self._context.now))

    def one_time(self, tx: Connection, kind: PreKeyKind, wanted: int) -> list[PreKeyRecord]:
        """As many of the wanted ones as may be made now."""
        count = self.one_time_makeable(tx, kind, wanted)
        if count <= 0:
            return []
        prekey_allowance.note_made(tx, kind, self._full[kind], count, self._context.now)
        return self._make(tx, kind, count)

    def drop(self, tx: Connection, records: Sequence[PreKeyRecord]) -> None:
        """Forget one-time keys that the directory does not take: others may be made in their place."""
        for one in records:
            prekeys.delete_prekey(tx, one.kind, one.key_id)
            prekey_allowance.note_dropped(tx, one.kind, self._full[one.kind], 1, self._context.now)

    def _make(self, tx: Connection, kind: PreKeyKind, count: int) -> list[PreKeyRecord]:
        records = [self._make_one(kind, key_id) for key_id in prekeys.next_key_ids(tx, count)]
        prekeys.add_prekeys(tx, records)
        return records

    def _make_one(self, kind: PreKeyKind, key_id: int) -> PreKeyRecord:
        context = self._context
        owner, entropy, now = context.own.device_signing_secret, context.entropy, context.now
        if kind is PreKeyKind.SIGNED:
            signed, public = make_signed_prekey(owner, key_id, now, entropy)
            return PreKeyRecord(key_id, kind, signed.encode(), public, now)
        if kind is PreKeyKind.ONE_TIME:
            one_time, half = make_one_time_prekey(key_id, entropy)
            return PreKeyRecord(key_id, kind, one_time.encode(), half.key.raw, now)
        kem, public = sign_kem_prekey(owner, key_id, now, kind is PreKeyKind.KEM_ONE_TIME, self._kem_key())
        return PreKeyRecord(key_id, kind, kem.encode(), public, now)

    def _kem_key(self) -> KemSecretKey:
        """A new one for the KEM of the own statement."""
        return self._spare.pop() if self._spare else KemSecretKey.generate(self._suite, self._context.entropy)
