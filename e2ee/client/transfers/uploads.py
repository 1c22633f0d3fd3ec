"""Own files that wait to be uploaded: one after the other, again on every connection. The message goes out
once its file is there, so that no other message waits behind it.

Knows the vault, timers and what a refusal means; one upload stands in `file_upload`.
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.context import Context
from e2ee.client.events import Event, FileState, MessageSent
from e2ee.client.refusals import Refusal
from e2ee.client.rounds import Rounds
from e2ee.client.sending.outgoing import WAITING_MS, Outgoing, fail_text
from e2ee.client.sending.settling import LEAST_RETRY_SECONDS, RETRY_SECONDS, WAITING_CODES
from e2ee.client.shown import (
    CANCELLED,
    FILE_CHANGED,
    FILE_TOO_LARGE,
    FILE_UNREADABLE,
    describe,
    sent_state,
)
from e2ee.client.threads import InThread
from e2ee.client.transfers.file_pace import Pace
from e2ee.client.transfers.file_source import SourceChanged
from e2ee.client.transfers.file_upload import FileUpload, UploadEnded
from e2ee.crypto import limits
from e2ee.errors import Code
from e2ee.ids import Address, MessageId
from e2ee.store.client import contacts, files, messages, outbox
from e2ee.store.client.files import FileRecord
from e2ee.store.client.messages import MessageRecord
from e2ee.store.connection import Connection
from e2ee.wire import messages as m

CONFLICT_SECONDS = 1.0
"""Before an upload of which the server has lost track is begun again."""


class Uploads:
    """One profile's. `wake` is called with each number for whom a message has been put into the outbox,
    `changed` when one waits for another reason, `given_up` when the server may forget a file."""

    def __init__(
        self,
        context: Context,
        outgoing: Outgoing,
        in_thread: InThread,
        wake: Callable[[Address], None],
        changed: Callable[[Address | None], None],
        given_up: Callable[[], None],
    ) -> None:
        self._context = context
        self._outgoing = outgoing
        self._in_thread = in_thread
        self._wake = wake
        self._changed = changed
        self._given_up = given_up
        self._rounds = Rounds(context, self._upload_all)
        self._current: tuple[int, FileUpload] | None = None

    def look(self) -> None:
        """Go on, unless that is being done."""
        self._rounds.look()

    def stop(self) -> None:
        """The profile is about to be closed: nothing of it is lost."""
        self._rounds.stop()
        self._end_current()

    def _end_current(self) -> None:
        if self._current is not None:
            self._current[1].end()

    async def _upload_all(self) -> None:
        while self._rounds.go_on and await self._next():
            pass
        due = await self._context.vault.read(files.upload_due)
        seconds = None if due is None else max(LEAST_RETRY_SECONDS, (due - self._context.now) / 1000)
        self._rounds.look_in(seconds)

    async def _next(self) -> bool:
        """Upload one file, or find out why it has to wait; False if there is none."""
        now = self._context.now
        found = await self._context.vault.read(lambda tx: _next_upload(tx, now))
        if found is None:
            return False
        file, message = found
        pace = Pace(self._context, message, file, FileState.UPLOADING)
        upload = FileUpload(self._context, self._in_thread, file, pace.reached)
        self._current = file.message, upload
        try:
            await self._uploaded(file, await upload.run())
        except UploadEnded:
            self._given_up()
        except Refusal as refusal:
            await self._refused(file, refusal)
        except SourceChanged:
            await self._fail(file.message, FILE_CHANGED)
        except OSError:
            await self._fail(file.message, FILE_UNREADABLE)
        finally:
            self._current = None
        return True

    # --- what became of one -------------------------------------------------------------------

    async def _uploaded(self, file: FileRecord, digest: bytes) -> None:
        """The server has all of it: its message goes into the outbox, behind what waits there now."""
        now = self._context.now

        def queue(tx: Connection) -> MessageRecord | None:
            if not files.note_uploaded(tx, file.message, digest):
                return None
            text = messages.message_by_row(tx, file.message)
            messages.set_sequence(tx, text.row, contacts.next_sequence(tx, text.address))
            outbox.add_to_outbox(tx, text.address, text.row, now)
            self._outgoing.seal_waiting(tx, text.address, now)
            return text

        text = await self._context.write(queue)
        if text is None:
            self._given_up()
        else:
            self._wake(text.address)

    async def _refused(self, file: FileRecord, refusal: Refusal) -> None:
        """What can never fit fails; all else waits."""
        if refusal.refusal is m.RefusalCode.QUOTA and refusal.retry_after is None:
            await self._fail(file.message, FILE_TOO_LARGE)
            return
        asked = RETRY_SECONDS if refusal.retry_after is None else refusal.retry_after
        if refusal.refusal is m.RefusalCode.CONFLICT:
            asked = CONFLICT_SECONDS
        code = refusal.code if refusal.code in WAITING_CODES else Code.UNAVAILABLE
        until = self._context.now + int(1000 * max(LEAST_RETRY_SECONDS, asked))

        def note(tx: Connection) -> list[Event]:
            text = messages.find_message(tx, file.message)
            if text is None:
                return []
            files.save_error(tx, file.message, code, refusal.sentence, until)
            return [MessageSent(sent_state(tx, text, self._context.now))]

        self._tell(await self._context.write(note))

    async def _fail(self, message: int, reason: str) -> None:
        self._tell(await self._context.write(lambda tx: _failed(tx, message, reason, self._context.now)))
        self._given_up()

    def _tell(self, events: list[Event]) -> None:
        self._context.listeners.tell(events)
        self._changed(None)

    # --- giving up ----------------------------------------------------------------------------

    async def cancel(self, message_id: MessageId) -> bool:
        """Do not send this message, if it still waits for its file; whether it did."""

        def cancel(tx: Connection) -> int | None:
            text = messages.sent_message(tx, message_id)
            file = None if text is None else files.file_of(tx, text.row)
            if file is None or file.state != FileState.UPLOADING:
                return None
            files.set_file_state(tx, file.message, FileState.FAILED, reason=CANCELLED)
            messages.set_sent_state(tx, file.message, "failed", CANCELLED)
            return file.message

        row = await self._context.write(cancel)
        if row is not None and self._current is not None and self._current[0] == row:
            # Only when nothing more of it is on its way can the server be told to forget it.
            self._end_current()
        elif row is not None:
            self._given_up()
        return row is not None

    async def fail_overdue(self) -> None:
        """Fail what has waited for 30 days; and forget the keys of what is as old."""
        now = self._context.now

        def fail(tx: Connection) -> list[Event]:
            files.forget_keys(tx, now - limits.SENT_AGAIN_MS)
            rows = files.overdue_uploads(tx, now - WAITING_MS)
            return [event for row in rows for event in _failed(tx, row, "not_accepted", now)]

        self._tell(await self._context.write(fail))
        self._given_up()


def _next_upload(tx: Connection, now: int) -> tuple[FileRecord, MessageRecord] | None:
    file = files.next_upload(tx, now)
    return None if file is None else (file, messages.message_by_row(tx, file.message))


def _failed(tx: Connection, row: int, reason: str, now: int) -> list[Event]:
    file = files.file_of(tx, row)
    if file is None or file.state != FileState.UPLOADING:
        return []
    files.set_file_state(tx, row, FileState.FAILED, reason=reason)
    text, arrival = fail_text(tx, messages.message_by_row(tx, row), reason, now)
    return [*describe(tx, [arrival]), MessageSent(sent_state(tx, text, now))]
