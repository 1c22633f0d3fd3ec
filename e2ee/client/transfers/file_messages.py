"""Between the file inside a content and the file in the vault. Knows both, and no rule about either."""

from __future__ import annotations

from e2ee.client.events import FileState
from e2ee.client.transfers.file_names import safe_name
from e2ee.crypto.content import Text
from e2ee.crypto.shared_file import SharedFile
from e2ee.store.client.files import FileRecord, file_of
from e2ee.store.connection import Connection


def file_offered(content: Text) -> FileRecord | None:
    """The file of a text that came in, to be kept with it; its name is made harmless here."""
    file = content.file
    if file is None:
        return None
    return FileRecord(
        name=safe_name(file.name),
        size=file.size,
        file_id=file.file_id,
        capability=file.capability,
        key=file.key,
        digest=file.digest,
        state=FileState.OFFERED,
    )


def shared_file(tx: Connection, message: int) -> SharedFile | None:
    """The file of an own text, for its recipient; None if it has none."""
    file = file_of(tx, message)
    if file is None:
        return None
    # Of one whose key is gone by age only the name and the digest are left: it cannot be fetched.
    return SharedFile(
        file.name, file.size, file.file_id, file.capability, file.key or bytes(32), file.digest or bytes(32)
    )
