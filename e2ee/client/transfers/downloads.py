"""Files of others that somebody wants: fetched one after the other, again on every connection, as soon as
their sender is accepted.

Knows the vault, timers and what a failure means; one download stands in `file_download`.
"""

from __future__ import annotations

from pathlib import Path

from e2ee.client.context import Context
from e2ee.client.events import Event, FileState
from e2ee.client.refusals import Refusal
from e2ee.client.rounds import Rounds
from e2ee.client.shown import describe
from e2ee.client.threads import InThread
from e2ee.client.transfers.file_download import DownloadEnded, FileDownload
from e2ee.client.transfers.file_pace import Pace
from e2ee.client.transfers.file_target import DigestRefused, TargetRefused
from e2ee.errors import OpenFailed
from e2ee.ids import Address
from e2ee.store.client import files, messages
from e2ee.store.client.arrivals import add_file_arrival
from e2ee.store.client.contacts import load_contact
from e2ee.store.client.files import FileRecord
from e2ee.store.client.messages import MessageRecord
from e2ee.store.connection import Connection
from e2ee.wire import messages as m

RETRY_SECONDS = 30.0
"""After the server could not give a chunk, or the own disk could not take it."""

EXPIRED = "expired"
DAMAGED = "damaged"


class Downloads:
    """One profile's. `own_folder` is the one that is made where it is missing."""

    def __init__(self, context: Context, in_thread: InThread, own_folder: Path) -> None:
        self._context = context
        self._in_thread = in_thread
        self._own_folder = own_folder
        self._rounds = Rounds(context, self._fetch_all_and_tidy)
        self._current: tuple[Address, FileDownload] | None = None
        self._held_back = True
        self._held_up: dict[int, str] = {}
        """The messages whose file the own disk does not take, and why, as has been told since the start."""

    def look(self) -> None:
        """Go on, unless that is being done."""
        self._rounds.look()

    def wanted(self, *, held_back: bool) -> None:
        """Somebody wants one more; `held_back`: it waits for its sender to be accepted."""
        self._held_back = self._held_back or held_back
        self.look()

    def settled(self) -> None:
        """Somebody may be accepted now whose files wait for that."""
        if self._held_back:
            self.look()

    def blocked(self, address: Address) -> None:
        """Nothing of this number is wanted any more."""
        if self._current is not None and self._current[0] == address:
            self._current[1].end()

    def stop(self) -> None:
        """The profile is about to be closed: what is here stays."""
        self._rounds.stop()
        if self._current is not None:
            self._current[1].end()

    async def under_way(self) -> int:
        """How many files are on their way, or waiting for their turn; not those that the own disk does not
        take."""
        rows = await self._context.vault.read(files.rows_fetched)
        return len(set(rows) - self._held_up.keys())

    async def _fetch_all_and_tidy(self) -> None:
        self._rounds.look_in(None)
        await self._fetch_all()
        await self._tidy()
        self._held_back = await self._context.vault.read(files.any_held_back)

    async def _fetch_all(self) -> None:
        after = 0
        while self._rounds.go_on:
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
                self._rounds.look_in(RETRY_SECONDS)
                return
            await self._context.write(lambda tx, row=file.message: files.note_gone(tx, row))  # type: ignore[misc]

    # --- one file -----------------------------------------------------------------------------

    async def _fetch(self, file: FileRecord, message: MessageRecord) -> None:
        pace = Pace(self._context, message, file, FileState.FETCHING)
        make = file.directory == str(self._own_folder)
        download = FileDownload(self._context, self._in_thread, file, pace.reached, make_folder=make)
        self._current = message.address, download
        try:
            path = await download.run()
            await self._end(file, FileState.SAVED, path=str(path))
        except DownloadEnded:
            return
        except Refusal as refusal:
            if refusal.refusal is m.RefusalCode.EXPIRED:
                await self._end(file, FileState.FAILED, reason=EXPIRED)
            else:
                self._rounds.look_in(RETRY_SECONDS)
        except (OpenFailed, DigestRefused):
            await self._end(file, FileState.FAILED, reason=DAMAGED)
        except TargetRefused as refused:
            await self._end(file, FileState.FAILED, reason=str(refused))
        except OSError as error:
            await self._hold_up(file, f"{file.directory}: {error.strerror or error}")
        finally:
            self._current = None

    async def _hold_up(self, file: FileRecord, reason: str) -> None:
        """The own disk does not take it now: nothing is lost, and it is told once."""
        if self._held_up.get(file.message) != reason:
            told = await self._note(file, FileState.FETCHING, reason=reason)
            self._held_up[file.message] = reason
            self._context.listeners.tell(told)
        self._rounds.look_in(RETRY_SECONDS)

    async def _end(
        self, file: FileRecord, state: FileState, *, path: str | None = None, reason: str | None = None
    ) -> None:
        told = await self._note(file, state, path=path, reason=reason)
        self._held_up.pop(file.message, None)
        try:
            await self._tidy()
        finally:
            self._context.listeners.tell(told)

    async def _note(
        self, file: FileRecord, state: FileState, *, path: str | None = None, reason: str | None = None
    ) -> list[Event]:
        """Where it is from now on; what is to be told of that, unless its sender is blocked by now."""
        now = self._context.now

        def note(tx: Connection) -> list[Event]:
            message = messages.find_message(tx, file.message)
            if message is None:
                return []
            files.set_file_state(tx, file.message, state, path=path, reason=reason)
            if load_contact(tx, message.address).blocked:
                return []
            return list(describe(tx, [add_file_arrival(tx, message.address, file.message, now)]))

        return await self._context.write(note)


def _next_download(tx: Connection, after: int) -> tuple[FileRecord, MessageRecord] | None:
    file = files.next_download(tx, after)
    if file is None:
        return None
    files.set_file_state(tx, file.message, FileState.FETCHING, reason=file.reason)
    files.note_begun(tx, file.message)
    return file, messages.message_by_row(tx, file.message)
