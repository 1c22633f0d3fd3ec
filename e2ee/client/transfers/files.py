"""Files that are sent and received: one object that whoever sends and shows messages talks to.

Composes uploads and downloads of one profile. Knows which file belongs to which message; not how bytes
travel.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from e2ee.client.context import Context
from e2ee.client.events import Event, FileFacts, FileState, MessageSent, SentMessage
from e2ee.client.profile import OpenProfile
from e2ee.client.sending.outgoing import Outgoing, check_text, keep_text
from e2ee.client.sending.sender import Sender
from e2ee.client.shown import file_facts, sent_state
from e2ee.client.threads import InThread
from e2ee.client.transfers.downloads import Downloads
from e2ee.client.transfers.file_names import safe_name
from e2ee.client.transfers.file_source import look_at
from e2ee.client.transfers.uploads import Uploads
from e2ee.crypto.file_chunks import CAPABILITY_BYTES, FILE_ID_BYTES
from e2ee.crypto.limits import FILE_NAME_BYTES
from e2ee.crypto.primitives import KEY_BYTES
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.store.client import files, messages
from e2ee.store.client.files import FileRecord
from e2ee.store.connection import Connection


class Files:
    """One profile's. `folder` is where files go if nobody says otherwise."""

    def __init__(
        self, context: Context, uploads: Uploads, downloads: Downloads, in_thread: InThread, folder: Path
    ) -> None:
        self._context = context
        self._in_thread = in_thread
        self._folder = folder
        self.uploads = uploads
        self.downloads = downloads
        context.listeners.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        """Whoever is written to is accepted."""
        if isinstance(event, MessageSent):
            self.downloads.settled()

    def look(self) -> None:
        """Go on with whatever there is to do, such as on a new connection."""
        self.uploads.look()
        self.downloads.look()

    def stop(self) -> None:
        """End at the next chunk; the next process goes on from there."""
        self.uploads.stop()
        self.downloads.stop()

    # --- sending ------------------------------------------------------------------------------

    async def queue(self, to: Address, path: str, text: str, message_id: MessageId) -> SentMessage:
        """Send a file, with a text that may be empty; the message goes out once the file is uploaded.

        Raises Failure(USAGE), nothing kept then: as `Sender.queue`, and for what is no readable file.
        """
        context = self._context
        check_text(context.own.address, to, text)
        size, stamp = await self._in_thread(lambda: look_at(Path(path)))
        entropy, now = context.entropy, context.now
        file = FileRecord(
            name=_name_of(path),
            size=size,
            file_id=entropy(FILE_ID_BYTES),
            capability=entropy(CAPABILITY_BYTES),
            key=entropy(KEY_BYTES),
            digest=None,
            state=FileState.UPLOADING,
            path=path,
            stamp=stamp,
        )

        def operation(tx: Connection) -> SentMessage:
            row = _queue(tx, to, text, message_id, file, now)
            return sent_state(tx, messages.message_by_row(tx, row), now)

        sent = await context.vault.write(operation)
        self.uploads.look()
        return sent

    # --- receiving ----------------------------------------------------------------------------

    async def want(self, address: Address, message_id: MessageId, folder: str | None) -> FileFacts | None:
        """Somebody has read this message: its file is to go into this folder, the profile's without one.

        It is fetched as soon as the sender is accepted. The file as it stands; None if there is none.
        """
        place = folder or str(self._folder)

        def note(tx: Connection) -> FileFacts | None:
            row = files.row_of_received(tx, address, message_id)
            if row is None:
                return None
            files.want(tx, row, place)
            facts = file_facts(tx, row)
            if facts is not None and facts.state is FileState.OFFERED and files.may_be_fetched(tx, row):
                files.set_file_state(tx, row, FileState.FETCHING)
                facts = file_facts(tx, row)
            return facts

        found = await self._context.write(note)
        self.downloads.wanted(held_back=found is not None and found.state is FileState.OFFERED)
        return found

    def note_shown(self, tx: Connection, rows: Iterable[int]) -> bool:
        """These texts were shown: their files are to go into the profile's folder, unless one was named.
        Whether there are any; then `look` once that is committed."""
        return sum(files.want(tx, row, str(self._folder)) for row in rows) > 0

    async def fetching(self) -> int:
        """How many files of others are on their way, or waiting for their turn."""
        return await self.downloads.under_way()


def files_of(
    context: Context, profile: OpenProfile, outgoing: Outgoing, in_thread: InThread, sender: Sender
) -> Files:
    """Those of an open profile; messages that wait for a file are the sender's once it is uploaded."""
    own_folder = profile.profile.downloads_path
    downloads = Downloads(context, in_thread, own_folder)
    uploads = Uploads(context, outgoing, in_thread, sender.wake, sender.changed, downloads.look)
    return Files(context, uploads, downloads, in_thread, profile.config.downloads or own_folder)


def _queue(
    tx: Connection, to: Address, text: str, message_id: MessageId, file: FileRecord, now: int
) -> int:
    """The row of the message, which is queued now or was before."""
    known = messages.sent_message(tx, message_id)
    if known is not None:
        before = files.file_of(tx, known.row)
        same = before is not None and (before.path, before.size) == (file.path, file.size)
        if same and (known.address, known.text) == (to, text):
            return known.row
        raise Failure(Code.USAGE, f"the id {message_id} belongs to another message")
    row = keep_text(tx, to, text, message_id, now, numbered=False)
    files.add_file(tx, row, file)
    return row


def _name_of(path: str) -> str:
    """What the recipient is told; he makes it harmless for himself."""
    name = Path(path).name
    try:
        fits = 0 < len(name.encode("utf-8")) <= FILE_NAME_BYTES
    except UnicodeEncodeError:
        fits = False
    return name if fits else safe_name(name.encode("utf-8", "replace").decode())
