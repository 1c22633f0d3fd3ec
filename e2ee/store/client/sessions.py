"""The sessions with contacts' devices, as encoded states.

Functions over one transaction of the vault. Knows which session is sent on and how many older ones
are kept; not what a session is. See `docs/cryptography.md`, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from e2ee.ids import Address, DeviceId
from e2ee.store.client.marks import load_count, next_count
from e2ee.store.connection import Connection

SESSIONS_PER_DEVICE = 5
"""Of those in which something was opened: the one that is sent on, and four older ones that only receive."""
UNANSWERED_SESSIONS = 32
"""Of those that we began with a number and that nothing was opened in yet: each may be the next that the
other side answers in, however many were begun after it. A mailbox and an outbox of 32,000 texts. For all
devices together, since whoever has the number and the server shows as many devices as he likes."""

_RANK = "session_rank"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session with a device of this number, begun with the statement of this hash."""

    address: Address
    device: DeviceId
    session_id: bytes
    account_key: bytes
    statement_hash: bytes
    state: bytes = field(repr=False)


_COLUMNS = "address, device, session_id, account_key, statement_hash, state"


def _record(row: tuple[object, ...]) -> SessionRecord:
    record = SessionRecord(*row)  # type: ignore[arg-type]
    return replace(record, address=Address(record.address), device=DeviceId(record.device))


def session_by_id(tx: Connection, address: Address, session_id: bytes) -> SessionRecord | None:
    """The session with this number's owner that has this id, or None."""
    row = tx.execute(
        f"SELECT {_COLUMNS} FROM session WHERE address = ? AND session_id = ?",  # noqa: S608
        (address, session_id),
    ).fetchone()
    return None if row is None else _record(row)


def session_to_send_on(tx: Connection, address: Address, statement_hash: bytes) -> SessionRecord | None:
    """The session with this statement in which a message was opened last; one just begun counts from its
    beginning.

    One that was retired is not sent on any more.
    """
    row = tx.execute(
        f"SELECT {_COLUMNS} FROM session WHERE address = ? AND statement_hash = ?"  # noqa: S608
        " AND NOT retired ORDER BY rank DESC LIMIT 1",
        (address, statement_hash),
    ).fetchone()
    return None if row is None else _record(row)


def begun_since(tx: Connection, record: SessionRecord) -> SessionRecord | None:
    """The newest session with the same statement, if it was begun later than this one's sending chain."""
    row = tx.execute(
        f"SELECT {_COLUMNS} FROM session WHERE address = :address"  # noqa: S608
        " AND statement_hash = :statement_hash AND NOT retired AND begun >="
        " (SELECT chain_begun FROM session WHERE address = :address AND session_id = :session_id)"
        " ORDER BY begun DESC LIMIT 1",
        {
            "address": record.address,
            "statement_hash": record.statement_hash,
            "session_id": record.session_id,
        },
    ).fetchone()
    return None if row is None else _record(row)


def add_session(tx: Connection, record: SessionRecord, *, answered: bool) -> None:
    """Keep a new session and send on it from now on; the oldest beyond the limit of its kind goes.

    `answered`: something was opened in it.
    """
    tx.execute(
        f"INSERT INTO session ({_COLUMNS}, begun, chain_begun, rank, answered)"  # noqa: S608
        " VALUES (:address, :device, :session_id, :account_key, :statement_hash, :state, :count, :count + 1,"
        " :count, :answered)",
        {
            "address": record.address,
            "device": record.device,
            "session_id": record.session_id,
            "account_key": record.account_key,
            "statement_hash": record.statement_hash,
            "state": record.state,
            "count": next_count(tx, _RANK),
            "answered": answered,
        },
    )
    _forget_oldest(tx, record, answered=answered)


def _forget_oldest(tx: Connection, like: SessionRecord, *, answered: bool) -> None:
    """The one that was begun last stays, whatever is opened in others: a worn one is followed by it."""
    kept = SESSIONS_PER_DEVICE if answered else UNANSWERED_SESSIONS
    of_kind = "address = :address AND answered = :answered" + (" AND device = :device" if answered else "")
    newest = f"begun = (SELECT max(begun) FROM session WHERE {of_kind})"  # noqa: S608 - constants
    tx.execute(
        f"DELETE FROM session WHERE {of_kind} AND rank NOT IN"  # noqa: S608 - constants
        f" (SELECT rank FROM session WHERE {of_kind} ORDER BY {newest} DESC, rank DESC LIMIT :kept)",
        {"address": like.address, "device": like.device, "answered": answered, "kept": kept},
    )


def save_sent(tx: Connection, record: SessionRecord, *, first: bool) -> None:
    """Keep the state after sealing; the `first` of a sending chain was among what was sealed."""
    tx.execute(
        "UPDATE session SET state = ? WHERE address = ? AND session_id = ?",
        (record.state, record.address, record.session_id),
    )
    if first:
        tx.execute(
            "UPDATE session SET chain_begun = ? WHERE address = ? AND session_id = ?",
            (load_count(tx, _RANK), record.address, record.session_id),
        )


def save_opened(tx: Connection, record: SessionRecord, *, first: bool) -> None:
    """Keep the state after a message was opened, the `first` in it: from now on this session is sent on."""
    tx.execute(
        "UPDATE session SET state = ?, rank = ?, answered = 1 WHERE address = ? AND session_id = ?",
        (record.state, next_count(tx, _RANK), record.address, record.session_id),
    )
    if first:
        _forget_oldest(tx, record, answered=True)


def retire_sessions(tx: Connection) -> None:
    """Only receive in all of these from now on: their sending chains may have gone on without this vault."""
    tx.execute("UPDATE session SET retired = 1")


def forget_sessions(tx: Connection) -> None:
    """Forget all sessions: they belonged to another identity of this profile."""
    tx.execute("DELETE FROM session")
