"""One append to mailboxes: each envelope is judged by the counters as those before it leave them.

Knows SQL and quotas; runs inside one operation, in the writer's thread. A mailbox and a sender's
share of it are read once and counted on here; the schema's triggers keep what is on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.ids import Address, DeviceAddress
from e2ee.store.connection import Connection
from e2ee.store.server.ports import Appended, AppendRefused, MailboxLimits, MailItem
from e2ee.store.server.quotas import Usage, refusal


@dataclass(slots=True)
class _Target:
    """The mailbox of one device."""

    device_id: int
    last_seq: int
    usage: Usage
    shares: dict[Address, Usage] = field(default_factory=dict)


class Appending:
    """Use one for one operation. `now` is service time in seconds."""

    def __init__(self, connection: Connection, limits: MailboxLimits, now: float) -> None:
        self._connection = connection
        self._limits = limits
        self._now = now
        self._targets: dict[DeviceAddress, _Target | None] = {}
        self._refused: set[tuple[DeviceAddress, DeviceAddress]] = set()

    def append(self, item: MailItem) -> Appended | AppendRefused:
        """Store one envelope; after a refusal, none of the same pair any more (HELD)."""
        pair = (item.to, item.sender)
        if pair in self._refused:
            return AppendRefused.HELD
        result = self._judged(item)
        if isinstance(result, AppendRefused):
            self._refused.add(pair)
        return result

    def _judged(self, item: MailItem) -> Appended | AppendRefused:
        if item.to not in self._targets:
            self._targets[item.to] = self._target(item.to)
        target = self._targets[item.to]
        if target is None:
            return AppendRefused.NO_DEVICE
        address = item.sender.address
        share = target.shares.get(address)
        if share is None:
            share = self._share(target.device_id, address)
        size = len(item.envelope)
        refused = refusal(self._limits, target.usage, share, size, item.known)
        if refused is not None:
            return self._repeated(target, item) or refused
        seq = self._insert(target, item)
        if seq <= target.last_seq:
            return Appended(seq, repeated=True)
        target.last_seq = seq
        target.usage = target.usage.plus(size, item.known)
        target.shares[address] = share.plus(size, item.known)
        return Appended(seq)

    def _target(self, where: DeviceAddress) -> _Target | None:
        row = self._connection.execute(
            "SELECT id, last_seq, messages, bytes, strangers FROM device WHERE address = ? AND device = ?",
            (str(where.address), bytes(where.device)),
        ).fetchone()
        return None if row is None else _Target(row[0], row[1], Usage(*row[2:]))

    def _share(self, device_id: int, sender: Address) -> Usage:
        row = self._connection.execute(
            "SELECT messages, bytes, strangers FROM share WHERE device_id = ? AND sender_address = ?",
            (device_id, str(sender)),
        ).fetchone()
        return Usage(*row) if row else Usage()

    def _insert(self, target: _Target, item: MailItem) -> int:
        """The seq of the new row, or of the one that has been there before."""
        # Plain types: the binding looks for an adapter of every other one, at the price of the insert.
        (seq,) = self._connection.execute(
            "INSERT INTO mail VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (device_id, envelope_id, sender_address, sender_device)"
            " DO UPDATE SET seq = seq RETURNING seq",
            (
                target.device_id,
                target.last_seq + 1,
                str(item.sender.address),
                bytes(item.sender.device),
                bytes(item.envelope_id),
                int(item.known),
                len(item.envelope),
                self._now,
                item.envelope,
            ),
        ).fetchone()
        return int(seq)

    def _repeated(self, target: _Target, item: MailItem) -> Appended | None:
        row = self._connection.execute(
            "SELECT seq FROM mail WHERE device_id = ? AND envelope_id = ?"
            " AND sender_address = ? AND sender_device = ?",
            (
                target.device_id,
                bytes(item.envelope_id),
                str(item.sender.address),
                bytes(item.sender.device),
            ),
        ).fetchone()
        return None if row is None else Appended(row[0], repeated=True)
