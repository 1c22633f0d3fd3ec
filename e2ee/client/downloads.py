"""Files of others that somebody wants: fetched one after the other, again on every connection, as soon as
their sender is accepted.

Knows the vault, timers and what a failure means; one download stands in `file_download`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from e2ee.client.context import Context
from e2ee.client.events import Event, FileState
from e2ee.client.file_download import DownloadEnded, FileDownload
from e2ee.client.file_pace import Pace
from e2ee.client.file_target import DigestRefused, TargetRefused
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.client.shown import describe
from e2ee.client.threads import InThread
from e2ee.errors import OpenFailed
from e2ee.store.client import files, messages
from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival
from e2ee.store.client.files import FileRecord
from e2ee.store.client.messages import MessageRecord
from e2ee.store.connection import Connection
from e2ee.wire import messages as m

RETRY_SECONDS = 30.0
"""After the server could not give a chunk."""

EXPIRED = "expired"
DAMAGED = "damaged"


class Downloads:
    """One profile's. `own_folder` is the one that is made where it is missing."""

    def __init__(self, context: Context, in_thread: InThread, own_folder: Path) -> None:
        self._context = context
        self._in_thread = in_thread
        self._own_folder = own_folder
        self._busy = False
        self._again = False
        self._current: FileDownload | None = None
        self._held_back = True
        self._take_back_timer: Callable[[], None] | None = None

    def look(self) -> None:
        """Go on, unless that is being done."""
        if not self._context.is_up:
            return
        self._again = True
        if not self._busy:
            self._busy = True
            self._context.tasks.spawn(self._run())

    def wanted(self, *, held_back: bool) -> None:
        """Somebody wants one more; `held_back`: it waits for its sender to be accepted."""
        self._held_back = self._held_back or held_back
        self.look()

    def settled(self) -> None:
        """Somebody may be accepted now whose files wait for that."""
        if self._held_back:
            self.look()

    def stop(self) -> None:
        """The profile is about to be closed: what is here stays."""
        if self._current is not None:
            self._current.end()

    async def _run(self) -> None:
        try:
            while self._again and self._context.is_up:
                self._again = False
                await self._fetch_all()
                await self._tidy()
                self._held_back = await self._context.vault.read(files.any_held_back)
        except LinkLost:
            self._again = False
        finally:
            self._busy = False

    async def _fetch_all(self) -> None:
        after = 0
        while self._context.is_up:
            found = await self._context.write(lambda tx, after=after: _next_download(tx, after))  # type: ignore[misc]
            if found is None:
                return
            file, message = found
            after = file.message
            await self._fetch(file, message)

    async def _tidy(self) -> None:
        """Tell the server which files it may forget."""
        for file in await self._context.vault.read(files.still_on_server):
            try:
                await self._context.ask(m.RemoveFile(0, file.file_id, file.capability), m.Done)
            except Refusal:
                self._later()
                return
            await self._context.write(lambda tx, row=file.message: files.note_gone(tx, row))  # type: ignore[misc]

    # --- one file -----------------------------------------------------------------------------

    async def _fetch(self, file: FileRecord, message: MessageRecord) -> None:
        pace = Pace(self._context, message, file, FileState.FETCHING)
        make = file.directory == str(self._own_folder)
        download = FileDownload(self._context, self._in_thread, file, pace.reached, make_folder=make)
        self._current = download
        try:
            await self._saved(file, await download.run())
        except DownloadEnded:
            raise
        except Refusal as refusal:
            if refusal.refusal is m.RefusalCode.EXPIRED:
                await self._failed(file, EXPIRED)
            else:
                self._later()
        except (OpenFailed, DigestRefused):
            await self._failed(file, DAMAGED)
        except TargetRefused as refused:
            await self._failed(file, str(refused))
        except OSError as error:
            await self._failed(file, f"{file.directory}: {error.strerror}")
        finally:
            self._current = None

    def _later(self) -> None:
        if self._take_back_timer is None:
            self._take_back_timer = self._context.tasks.later(RETRY_SECONDS, self._due)

    def _due(self) -> None:
        self._take_back_timer = None
        self.look()

    async def _saved(self, file: FileRecord, path: Path) -> None:
        await self._end(file, FileState.SAVED, path=str(path))

    async def _failed(self, file: FileRecord, reason: str) -> None:
        await self._end(file, FileState.FAILED, reason=reason)

    async def _end(
        self, file: FileRecord, state: FileState, *, path: str | None = None, reason: str | None = None
    ) -> None:
        now = self._context.now

        def note(tx: Connection) -> list[Event]:
            message = messages.find_message(tx, file.message)
            if message is None:
                return []
            files.set_file_state(tx, file.message, state, path=path, reason=reason)
            arrival = Arrival(ArrivalKind.FILE, message.address, now, message=file.message)
            return list(describe(tx, [add_arrival(tx, arrival)]))

        told = await self._context.write(note)
        try:
            await self._tidy()
        finally:
            self._context.listeners.tell(told)


def _next_download(tx: Connection, after: int) -> tuple[FileRecord, MessageRecord] | None:
    file = files.next_download(tx, after)
    if file is None:
        return None
    files.set_file_state(tx, file.message, FileState.FETCHING)
    return file, messages.message_by_row(tx, file.message)
