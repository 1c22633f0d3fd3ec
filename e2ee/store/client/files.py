"""The files of messages: what opens them, where they are, and how far they have come.

Functions over one transaction of the vault. Knows rows; neither chunks nor directories.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.ids import Address, MessageId
from e2ee.store.connection import Connection


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The file of the message in row `message`; the columns stand in the schema. `state` is a FileState.

    `begun`: it was to be fetched before.
    """

    name: str
    size: int
    file_id: bytes
    capability: bytes = field(repr=False)
    key: bytes | None = field(repr=False)
    digest: bytes | None
    state: str
    path: str | None = None
    stamp: str | None = None
    directory: str | None = None
    reason: str | None = None
    message: int = 0
    begun: bool = False


_COLUMNS = (
    "file.name, size, file_id, capability, key, digest, file.state, path, stamp, directory, file.reason,"
    " file.message, begun"
)


def add_file(tx: Connection, message: int, file: FileRecord) -> None:
    """The message in this row has a file."""
    tx.execute(
        "INSERT INTO file (message, name, size, file_id, capability, key, digest, state, path, stamp)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message,
            file.name,
            file.size,
            file.file_id,
            file.capability,
            file.key,
            file.digest,
            file.state,
            file.path,
            file.stamp,
        ),
    )


def file_of(tx: Connection, message: int) -> FileRecord | None:
    """The file of the message in this row, or None."""
    row = tx.execute(f"SELECT {_COLUMNS} FROM file WHERE message = ?", (message,)).fetchone()  # noqa: S608
    return None if row is None else FileRecord(*row)


def row_of_received(tx: Connection, address: Address, message_id: MessageId) -> int | None:
    """Where the message is that came with this id from this number."""
    row = tx.execute(
        "SELECT row FROM message WHERE direction = 'in' AND address = ? AND message_id = ?",
        (address, message_id),
    ).fetchone()
    return None if row is None else int(row[0])


# --- own files --------------------------------------------------------------------------------


def next_upload(tx: Connection, now: int) -> FileRecord | None:
    """The oldest file that is to be uploaded and does not wait for a reason. `now` is ms since 1970."""
    row = tx.execute(
        f"SELECT {_COLUMNS} FROM file WHERE state = 'uploading'"  # noqa: S608
        " AND (error_until IS NULL OR error_until <= ?) ORDER BY message LIMIT 1",
        (now,),
    ).fetchone()
    return None if row is None else FileRecord(*row)


def upload_due(tx: Connection) -> int | None:
    """When the first of those that wait for a reason is to be tried again, ms since 1970."""
    query = "SELECT min(error_until) FROM file WHERE state = 'uploading'"
    found = tx.execute(query).fetchone()[0]
    return None if found is None else int(found)


def overdue_uploads(tx: Connection, before: int) -> list[int]:
    """The messages queued before this time (ms) whose file is not uploaded."""
    rows = tx.execute(
        "SELECT row FROM file JOIN message ON row = message WHERE file.state = 'uploading' AND sent_at < ?",
        (before,),
    )
    return [row for (row,) in rows]


def note_uploaded(tx: Connection, message: int, digest: bytes) -> bool:
    """All of it is on the server; False if nobody wants that any more."""
    return (
        tx.execute(
            "UPDATE file SET state = 'uploaded', digest = ?, error_code = NULL, error_sentence = NULL,"
            " error_until = NULL WHERE message = ? AND state = 'uploading'",
            (digest, message),
        ).rowcount
        == 1
    )


def save_error(tx: Connection, message: int, code: str, sentence: str, until: int) -> None:
    """Why this upload waits, and until when (ms) it is not tried again."""
    tx.execute(
        "UPDATE file SET error_code = ?, error_sentence = ?, error_until = ? WHERE message = ?",
        (code, sentence, until, message),
    )


def error_of(tx: Connection, message: int) -> tuple[str, str, int | None] | None:
    """Code, sentence and end (ms) of what the upload of this message waits for."""
    row = tx.execute(
        "SELECT error_code, error_sentence, error_until FROM file"
        " WHERE message = ? AND state = 'uploading' AND error_code IS NOT NULL",
        (message,),
    ).fetchone()
    return None if row is None else (str(row[0]), str(row[1]), row[2])


def forget_keys(tx: Connection, before: int) -> None:
    """Own files sent before this time (ms) are not offered again: what opens them goes."""
    tx.execute(
        "UPDATE file SET key = NULL WHERE state = 'uploaded' AND key IS NOT NULL"
        " AND message IN (SELECT row FROM message WHERE direction = 'out' AND sent_at < ?)",
        (before,),
    )


# --- files of others --------------------------------------------------------------------------


def want(tx: Connection, message: int, directory: str) -> bool:
    """Somebody has read the message: its file is to go into this directory, unless one was named before.
    Whether this is the first one."""
    query = "UPDATE file SET directory = ? WHERE message = ? AND state = 'offered' AND directory IS NULL"
    return tx.execute(query, (directory, message)).rowcount == 1


_MAY_BE_FETCHED = (
    "file JOIN message ON row = file.message JOIN contact USING (address)"
    " WHERE direction = 'in' AND file.state IN ('offered', 'fetching') AND directory IS NOT NULL"
    " AND accepted AND NOT blocked AND trusted_key = account_key"
)


def next_download(tx: Connection, after: int) -> FileRecord | None:
    """The first file behind the message in row `after` that is wanted, of somebody who is accepted."""
    row = tx.execute(
        f"SELECT {_COLUMNS} FROM {_MAY_BE_FETCHED} AND file.message > ? ORDER BY file.message LIMIT 1",  # noqa: S608
        (after,),
    ).fetchone()
    return None if row is None else FileRecord(*row)


def any_held_back(tx: Connection) -> bool:
    """Whether a file is wanted whose sender is not accepted, or whose key is not."""
    query = "SELECT 1 FROM file WHERE state = 'offered' AND directory IS NOT NULL LIMIT 1"
    return tx.execute(query).fetchone() is not None


def rows_fetched(tx: Connection) -> list[int]:
    """The messages whose files are being fetched, or can be."""
    return [row for (row,) in tx.execute(f"SELECT file.message FROM {_MAY_BE_FETCHED}")]  # noqa: S608


def may_be_fetched(tx: Connection, message: int) -> bool:
    """Whether the file of this message is wanted, of somebody who is accepted."""
    query = f"SELECT 1 FROM {_MAY_BE_FETCHED} AND file.message = ?"  # noqa: S608
    return tx.execute(query, (message,)).fetchone() is not None


def note_begun(tx: Connection, message: int) -> None:
    """The file of this message is about to be fetched."""
    tx.execute("UPDATE file SET begun = 1 WHERE message = ?", (message,))


def set_file_state(
    tx: Connection, message: int, state: str, *, path: str | None = None, reason: str | None = None
) -> None:
    """Where the file of this message is; what is here, or will never be, needs its key no more."""
    ended = state in ("saved", "failed")
    tx.execute(
        "UPDATE file SET state = :state, path = coalesce(:path, path), reason = :reason,"
        " key = CASE WHEN :ended THEN NULL ELSE key END WHERE message = :message",
        {"state": state, "path": path, "reason": reason, "ended": int(ended), "message": message},
    )


def still_on_server(tx: Connection) -> list[FileRecord]:
    """Files that the server may forget, and has not been told to."""
    rows = tx.execute(f"SELECT {_COLUMNS} FROM file WHERE there AND state IN ('saved', 'failed')")  # noqa: S608
    return [FileRecord(*row) for row in rows]


def note_gone(tx: Connection, message: int) -> None:
    """The server has forgotten it."""
    tx.execute("UPDATE file SET there = 0 WHERE message = ?", (message,))
