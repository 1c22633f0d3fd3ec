"""One append to mailboxes: each envelope is judged by the counters as those before it leave them.

Knows SQL and quotas; runs inside one operation, in the writer's thread. The counters of a mailbox and
of a sender's share of it are read once, counted on here, and written once, with `finish`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from e2ee.ids import Address, DeviceAddress
from e2ee.store.connection import Connection
from e2ee.store.server.ports import Appended, AppendRefused, MailboxLimits, MailItem
from e2ee.store.server.quotas import Usage, refusal

ONCE_BYTES = 16
"""Of SHA-256: as hard to meet on purpose as an envelope id."""


@dataclass(slots=True)
class _Target:
    """The mailbox of one device."""

    device_id: int
    last_seq: int
    usage: Usage
    shares: dict[Address, Usage] = field(default_factory=dict)
    has_grown: bool = False


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
        if self._refused and (item.to, item.sender) in self._refused:
            return AppendRefused.HELD
        if item.to not in self._targets:
            self._targets[item.to] = self._target(item.to)
        target = self._targets[item.to]
        result = AppendRefused.NO_DEVICE if target is None else self._judged(target, item)
        if isinstance(result, AppendRefused):
            self._refused.add((item.to, item.sender))
        return result

    def finish(self) -> None:
        """Write the counters; to be called once, after the last envelope."""
        for target in self._targets.values():
            if target is not None and target.has_grown:
                self._write_counters(target)

    def _judged(self, target: _Target, item: MailItem) -> Appended | AppendRefused:
        address = item.sender.address
        share = target.shares.get(address)
        if share is None:
            share = target.shares[address] = self._share(target.device_id, address)
        size, once = len(item.envelope), _once(item)
        refused = refusal(self._limits, target.usage, share, size, item.known)
        if refused is not None:
            row = self._row(target, once)
            return refused if row is None else Appended(row[0], repeated=True)
        seq = self._insert(target, item, size, once)
        if seq <= target.last_seq:
            return Appended(seq, repeated=True)
        target.last_seq = seq
        target.has_grown = True
        target.usage.add(size, item.known)
        share.add(size, item.known)
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

    def _insert(self, target: _Target, item: MailItem, size: int, once: bytes) -> int:
        """The seq of the new row, or of the one that has been there before."""
        seq = target.last_seq + 1
        # Plain types: the binding looks for an adapter of every other one, at the price of the insert.
        inserted = self._connection.execute(
            "INSERT INTO mail VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (device_id, once) DO NOTHING",
            (
                target.device_id,
                seq,
                once,
                str(item.sender.address),
                bytes(item.sender.device),
                bytes(item.envelope_id),
                int(item.known),
                size,
                self._now,
                item.envelope,
            ),
        )
        return seq if inserted.rowcount else int(self._row(target, once)[0])

    def _row(self, target: _Target, once: bytes) -> Any:
        """The seq of an envelope, if it waits already."""
        return self._connection.execute(
            "SELECT seq FROM mail WHERE device_id = ? AND once = ?", (target.device_id, once)
        ).fetchone()

    def _write_counters(self, target: _Target) -> None:
        """Of the mailbox, and of the senders who have something in it: no other has a row."""
        usage = target.usage
        self._connection.execute(
            "UPDATE device SET last_seq = ?, messages = ?, bytes = ?, strangers = ? WHERE id = ?",
            (target.last_seq, usage.messages, usage.bytes, usage.strangers, target.device_id),
        )
        for address, share in target.shares.items():
            if share.messages:
                self._connection.execute(
                    "INSERT INTO share VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                    " messages = excluded.messages, bytes = excluded.bytes, strangers = excluded.strangers",
                    (target.device_id, str(address), share.messages, share.bytes, share.strangers),
                )


def _once(item: MailItem) -> bytes:
    """What makes an item one in its mailbox, 16 bytes.

    With the sender in it, so that nobody takes the place of another's envelope by sending the same bytes.
    """
    sender = item.sender
    return hashlib.sha256(item.envelope_id + sender.device + sender.address.encode()).digest()[:ONCE_BYTES]
