"""The private halves of the own prekeys, and the ephemeral keys of first messages that used them.

Functions over one transaction of the vault. Knows ids, times and bytes; not what a prekey is.
See `docs/protocol.md`, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from e2ee.store.client.marks import (
    forget_mark,
    load_count,
    load_mark,
    next_count,
    raise_count,
    save_mark,
)
from e2ee.store.connection import Connection

ONE_TIME_IN_USE = 200
"""Published one-time keys of a kind that count as unused: twice what the directory holds. It hands out
the oldest first, so that those before them went to people of whom most never wrote."""
RETIRED_KEPT = 12_600
"""Retired keys of a kind, the oldest of which go first. As many as can be made and retired while one of them
may be named (`prekey_allowance`), so that none goes early; a bound for a server that never says that the
mailbox is empty, which is what they otherwise wait for."""

_COUNTER = "prekey_id"
_REPLACE = "replace_stock"


class PreKeyKind(StrEnum):
    """What a prekey is for."""

    SIGNED = "signed"
    LAST_RESORT = "last_resort"
    ONE_TIME = "one_time"
    KEM_ONE_TIME = "kem_one_time"


ONE_TIME_KINDS = (PreKeyKind.ONE_TIME, PreKeyKind.KEM_ONE_TIME)
ROTATED_KINDS = (PreKeyKind.SIGNED, PreKeyKind.LAST_RESORT)


@dataclass(frozen=True, slots=True)
class PreKeyRecord:
    """A prekey of this device: the encoded private half, and what the directory gets of it.

    `public` is empty once that cannot be uploaded again: of KEM keys it is by far the larger half.
    """

    key_id: int
    kind: PreKeyKind
    secret: bytes = field(repr=False)
    public: bytes
    created_at: int  # ms since 1970
    published: bool = False


def next_key_ids(tx: Connection, count: int) -> range:
    """Ids that no prekey of this vault ever had, whatever its kind."""
    first = next_count(tx, _COUNTER, count)
    return range(first, first + count)


def last_key_id(tx: Connection) -> int:
    """The highest id that a prekey of this vault has had; 0 without any."""
    return max(0, load_count(tx, _COUNTER) - 1)


def skip_key_ids(tx: Connection, up_to: int) -> None:
    """Never use the ids up to this one: they may have named keys that are not known here any more."""
    raise_count(tx, _COUNTER, up_to)


def add_prekeys(tx: Connection, records: Sequence[PreKeyRecord]) -> None:
    """Keep these, before anything of them is uploaded."""
    tx.executemany(
        "INSERT INTO prekey (key_id, kind, secret, public, created_at, published) VALUES (?, ?, ?, ?, ?, ?)",
        [(r.key_id, r.kind, r.secret, r.public, r.created_at, int(r.published)) for r in records],
    )


def adopt_prekeys(tx: Connection, records: Sequence[PreKeyRecord]) -> None:
    """Begin anew with these of a new identity: all others belonged to the old one."""
    tx.execute("DELETE FROM prekey")
    tx.execute("DELETE FROM first_message")
    add_prekeys(tx, records)
    raise_count(tx, _COUNTER, max(record.key_id for record in records))


def prekey_secret(tx: Connection, kind: PreKeyKind, key_id: int) -> bytes | None:
    """The encoded private half, or None where there is none (any more)."""
    row = tx.execute("SELECT secret FROM prekey WHERE key_id = ? AND kind = ?", (key_id, kind)).fetchone()
    return None if row is None else bytes(row[0])


def delete_prekey(tx: Connection, kind: PreKeyKind, key_id: int) -> None:
    """Forget this private half for good."""
    tx.execute("DELETE FROM prekey WHERE kind = ? AND key_id = ?", (kind, key_id))


def newest_prekey(tx: Connection, kind: PreKeyKind) -> PreKeyRecord | None:
    """The newest of this kind that is not retired, published or not."""
    rows = _select(tx, "kind = ? AND retired_at IS NULL ORDER BY key_id DESC LIMIT 1", (kind,))
    return rows[0] if rows else None


def unpublished_prekeys(tx: Connection, kind: PreKeyKind, limit: int) -> list[PreKeyRecord]:
    """Those of this kind that the directory has not confirmed, oldest first."""
    return _select(tx, "kind = ? AND NOT published ORDER BY key_id LIMIT ?", (kind, limit))


def count_unpublished(tx: Connection, kind: PreKeyKind) -> int:
    """How many of this kind the directory has not confirmed."""
    row = tx.execute("SELECT count(*) FROM prekey WHERE kind = ? AND NOT published", (kind,)).fetchone()
    return int(row[0])


def count_prekeys(tx: Connection, kind: PreKeyKind) -> int:
    """How many private halves of this kind wait to be used."""
    row = tx.execute("SELECT count(*) FROM prekey WHERE kind = ? AND retired_at IS NULL", (kind,)).fetchone()
    return int(row[0])


def mark_published(tx: Connection, records: Sequence[PreKeyRecord], now: int) -> None:
    """The directory has these; those that they replace are retired from `now` (ms) on.

    These are older signed and last-resort ones, and one-time ones before the newest ONE_TIME_IN_USE.
    """
    for record in records:
        kept = b"" if record.kind in ONE_TIME_KINDS else record.public
        tx.execute(
            "UPDATE prekey SET published = 1, public = ? WHERE kind = ? AND key_id = ?",
            (kept, record.kind, record.key_id),
        )
    for kind in ROTATED_KINDS:
        tx.execute(
            "UPDATE prekey SET retired_at = :now, public = x'' WHERE kind = :kind AND retired_at IS NULL"
            " AND key_id < (SELECT max(key_id) FROM prekey WHERE kind = :kind AND published)",
            {"now": now, "kind": kind},
        )
    for kind in ONE_TIME_KINDS:
        tx.execute(
            "UPDATE prekey SET retired_at = ? WHERE key_id IN"
            " (SELECT key_id FROM prekey WHERE kind = ? AND published AND retired_at IS NULL"
            "  ORDER BY key_id DESC LIMIT -1 OFFSET ?)",
            (now, kind, ONE_TIME_IN_USE),
        )
    _bound_retired(tx)


def retire_stock(tx: Connection, now: int) -> None:
    """Retire all one-time keys, published or not: others will take their place."""
    tx.execute(
        "UPDATE prekey SET retired_at = ?, published = 1, public = x'' WHERE retired_at IS NULL"
        " AND kind IN ('one_time', 'kem_one_time')",
        (now,),
    )


def retire_all(tx: Connection, now: int) -> None:
    """Retire every key: the directory may have others of this device by now. They can still be named."""
    tx.execute(
        "UPDATE prekey SET retired_at = ?, published = 1, public = x'' WHERE retired_at IS NULL", (now,)
    )


def publish_again(tx: Connection) -> None:
    """Have the present signed and last-resort keys published again: the directory may have older ones."""
    tx.execute(
        "UPDATE prekey SET published = 0 WHERE retired_at IS NULL AND kind IN ('signed', 'last_resort')"
    )


def replace_stock(tx: Connection) -> None:
    """Have the whole stock in the directory replaced at the next connection, with keys that are here."""
    save_mark(tx, _REPLACE, b"\1")


def must_replace_stock(tx: Connection) -> bool:
    """Whether that is still to be done."""
    return load_mark(tx, _REPLACE) is not None


def note_stock_replaced(tx: Connection) -> None:
    """The directory has confirmed the first of the new ones, in place of all others."""
    forget_mark(tx, _REPLACE)


def delete_retired(tx: Connection, before: int) -> int:
    """Forget what was retired before this time (ms), and the first messages to it; their number."""
    return _delete(tx, "retired_at < ?", (before,))


def _bound_retired(tx: Connection) -> None:
    """Forget the oldest of a kind of which too many are retired."""
    for kind in PreKeyKind:
        last = tx.execute(
            "SELECT key_id FROM prekey WHERE kind = ? AND retired_at IS NOT NULL"
            " ORDER BY key_id DESC LIMIT 1 OFFSET ?",
            (kind, RETIRED_KEPT),
        ).fetchone()
        if last is not None:
            _delete(tx, "retired_at IS NOT NULL AND kind = ? AND key_id <= ?", (kind, last[0]))


def _delete(tx: Connection, where: str, parameters: Sequence[object]) -> int:
    """Forget these, and the first messages to them; how many they were."""
    tx.execute(
        "DELETE FROM first_message WHERE signed_prekey IN"  # noqa: S608 - constants
        f" (SELECT key_id FROM prekey WHERE kind = 'signed' AND {where})",
        parameters,
    )
    return tx.execute(f"DELETE FROM prekey WHERE {where}", parameters).rowcount  # noqa: S608


def first_message_seen(tx: Connection, ephemeral_key: bytes) -> bool:
    """Whether a first message with this ephemeral key was opened before."""
    row = tx.execute("SELECT 1 FROM first_message WHERE ephemeral_key = ?", (ephemeral_key,)).fetchone()
    return row is not None


def remember_first_message(tx: Connection, ephemeral_key: bytes, signed_prekey: int) -> None:
    """Remember this ephemeral key as long as the signed prekey lives."""
    tx.execute(
        "INSERT OR IGNORE INTO first_message (ephemeral_key, signed_prekey) VALUES (?, ?)",
        (ephemeral_key, signed_prekey),
    )


def _select(tx: Connection, where: str, parameters: Sequence[object]) -> list[PreKeyRecord]:
    rows = tx.execute(
        "SELECT key_id, kind, secret, public, created_at, published FROM prekey WHERE " + where,  # noqa: S608
        parameters,
    )
    return [
        PreKeyRecord(key_id, PreKeyKind(kind), bytes(secret), bytes(public), created_at, bool(published))
        for key_id, kind, secret, public, created_at, published in rows
    ]
