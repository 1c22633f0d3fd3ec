"""What waits for devices, in SQL. Knows order, quotas and notices; never looks into an envelope.

A mailbox and each sender's share of it have counters, so that an append costs the same in a full mailbox
as in an empty one: `Appending` counts what comes, a trigger of the schema what goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import takewhile

from e2ee.ids import Address, DeviceAddress, DeviceId, EnvelopeId
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.store.server.appending import Appending, AppendPart, Results
from e2ee.store.server.devices import device_row, keep_state_tokens, leave_notices, split_ids
from e2ee.store.server.ports import (
    Appended,
    AppendRefused,
    Attached,
    MailboxLimits,
    MailItem,
    MailRow,
    NoticeKind,
    StoredNotice,
)
from e2ee.store.server.quotas import Quotas

APPENDED_TOGETHER = 128
"""Envelopes that are judged without a statement in between: the reactor may wait for so long, about 1 ms."""
EXPIRED_AT_ONCE = 1000
"""Rows in one transaction of `expire`: others wait for it."""


class SqlMailbox:
    """`ports.Mailbox` on a database."""

    def __init__(self, database: Database, limits: MailboxLimits) -> None:
        self._database = database
        self._joint = self._append
        self.apply(limits)

    def apply(self, limits: MailboxLimits) -> None:
        """See `ports.Mailbox.apply`."""
        self._limits, self._quotas = limits, Quotas(limits)

    def _append(self, connection: Connection, parts: Sequence[AppendPart]) -> Sequence[Results]:
        """What is appended in one commit, in the writer's thread: some of it at a time, since without a
        statement the interpreter's lock is not given away."""
        results: list[Results] = []
        some: list[tuple[Sequence[MailItem], float]] = []
        count = 0
        for items, now in parts:
            begun = list(items)
            if some and count + len(begun) > APPENDED_TOGETHER:
                results += Appending(connection, self._quotas).run(some)
                some, count = [], 0
            some.append((begun, now))
            count += len(begun)
        return results + Appending(connection, self._quotas).run(some)

    async def attach(self, where: DeviceAddress) -> Attached | None:
        """See `ports.Mailbox.attach`."""
        return await self._database.write(lambda connection: _attach(connection, where), frees_room=True)

    async def append(self, items: Iterable[MailItem], now: float) -> Sequence[Appended | AppendRefused]:
        """See `ports.Mailbox.append`."""
        results: Sequence[Appended | AppendRefused]
        results = await self._database.write_with_others(self._joint, (items, now))
        return results

    async def keep_state_token(self, where: DeviceAddress, token: bytes) -> None:
        """See `ports.Mailbox.keep_state_token`."""
        await self._database.write(lambda connection: keep_state_tokens(connection, {where: token}))

    async def after(self, where: DeviceAddress, seq: int, count: int, size: int) -> Sequence[MailRow]:
        """See `ports.Mailbox.after`."""
        return await self._database.read(lambda connection: _after(connection, where, seq, count, size))

    async def remove(self, where: DeviceAddress, epoch: int, seqs: Sequence[int]) -> None:
        """See `ports.Mailbox.remove`."""

        def delete(connection: Connection) -> None:
            # One statement: SQLite's cost of undoing one grows with those before it in a savepoint.
            connection.execute(
                "DELETE FROM mail WHERE seq IN (SELECT value FROM json_each(?))"
                " AND device_id = (SELECT id FROM device WHERE id = ? AND epoch = ?)",
                (json.dumps(seqs), device_row(connection, where), epoch),
            )

        await self._database.write(delete, frees_room=True)

    async def expire(self, now: float) -> int:
        """See `ports.Mailbox.expire`."""
        if not self._limits.seconds:
            return 0
        total, count = 0, EXPIRED_AT_ONCE
        while count == EXPIRED_AT_ONCE:
            count = await self._database.write(
                lambda connection: _expire(connection, now - self._limits.seconds), frees_room=True
            )
            total += count
        return total

    async def notices(self, where: DeviceAddress, count: int) -> Sequence[StoredNotice]:
        """See `ports.Mailbox.notices`."""

        def oldest(connection: Connection) -> list[StoredNotice]:
            rows = connection.execute(
                "SELECT number, kind, envelope_ids FROM notice WHERE device_id = ?"
                " ORDER BY number LIMIT ?",
                (device_row(connection, where), count),
            )
            return [StoredNotice(number, NoticeKind(kind), split_ids(ids)) for number, kind, ids in rows]

        return await self._database.read(oldest)

    async def remove_notices(self, where: DeviceAddress, numbers: Sequence[int]) -> None:
        """See `ports.Mailbox.remove_notices`."""

        def delete(connection: Connection) -> None:
            device_id = device_row(connection, where)
            connection.executemany(
                "DELETE FROM notice WHERE number = ? AND device_id = ?",
                [(number, device_id) for number in numbers],
            )

        await self._database.write(delete, frees_room=True)

    async def count(self) -> int:
        """See `ports.Mailbox.count`."""
        return await self._database.read(
            lambda connection: int(
                connection.execute("SELECT coalesce(sum(messages), 0) FROM device").fetchone()[0]
            )
        )


def _attach(connection: Connection, where: DeviceAddress) -> Attached | None:
    row = connection.execute(
        "UPDATE device SET epoch = epoch + 1 WHERE address = ? AND device = ? AND NOT logged_out"
        " RETURNING epoch, messages, id, state_token",
        (str(where.address), bytes(where.device)),
    ).fetchone()
    if row is None:
        return None
    epoch, waiting, device_id, state_token = row
    (end,) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM mail WHERE device_id = ?", (device_id,)
    ).fetchone()
    return Attached(epoch, end, waiting, state_token)


def _after(
    connection: Connection, where: DeviceAddress, seq: int, count: int, size: int
) -> list[MailRow]:
    cursor = connection.execute(
        "SELECT seq, sender_address, sender_device, envelope_id, envelope, known FROM mail"
        " WHERE device_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (device_row(connection, where), seq, count),
    )
    rows: list[MailRow] = []
    for number, address, device, envelope_id, envelope, known in cursor:
        size -= len(envelope)
        if rows and size < 0:
            break
        sender = DeviceAddress(Address(address), DeviceId(device))
        item = MailItem(where, sender, EnvelopeId(envelope_id), envelope, bool(known))
        rows.append(MailRow(number, item))
    return rows


def _expire(connection: Connection, before: float) -> int:
    # In the order of arrival, which is that of their times: no index of these, which every append would
    # have to keep. Only after a crash may service time go on up to a minute before it was, and for so long
    # what came last before it holds up what is behind it.
    oldest = connection.execute(
        "SELECT rowid, sender_address, sender_device, envelope_id, at FROM mail"
        " WHERE rowid > 0 ORDER BY rowid LIMIT ?",
        (EXPIRED_AT_ONCE,),
    )
    rows = [row[:4] for row in takewhile(lambda row: row[4] <= before, oldest)]
    # First the room is made, then it is needed: so this works on a full disk as well.
    connection.executemany("DELETE FROM mail WHERE rowid = ?", [row[:1] for row in rows])
    leave_notices(connection, (row[1:] for row in rows), NoticeKind.EXPIRED)
    return len(rows)
