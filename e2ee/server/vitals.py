"""How the server is at this moment: what a scrape shows beside the counters, and whether it is ready.

Knows where each figure comes from, and how long a costly one may be remembered; not who asks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from e2ee.errors import StoreError
from e2ee.server.copying import Copying
from e2ee.server.running import Running
from e2ee.server.state_directory import BACKUP_KEY
from e2ee.store.server.ports import Survey

SURVEY_SECONDS = 60.0
"""How old sums over all accounts may be: each reads every mailbox's counters."""
PROBE_SECONDS = 5.0
"""A database that takes longer for one small write is not ready."""
PROBE_KEPT_SECONDS = 1.0
"""However often somebody asks: one write a second at the most."""
PROBED_AT = "probed_at"
BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """The fields are those of `metrics.GAUGES`; None: could not be found out."""

    connections_open: int = 0
    connections_before_login: int = 0
    devices_connected: int = 0
    accounts: int | None = None
    mailbox_messages: int | None = None
    mailbox_bytes: int | None = None
    mailbox_deepest: int | None = None
    mailbox_oldest_seconds: float | None = None
    files: int | None = None
    files_bytes: int | None = None
    database_operations_waiting: int = 0
    database_bytes: int | None = None
    database_log_bytes: int | None = None
    disk_free_bytes: int | None = None
    certificate_expiry_timestamp_seconds: float | None = None
    backup_key_present: bool = False
    last_backup_timestamp_seconds: float | None = None
    ready: bool = False
    prekeys: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By kind: keys in stock, and accounts without any."""


class Pulse:
    """Takes the vitals of one server."""

    def __init__(self, running: Running, copying: Copying, clock: IReactorTime) -> None:
        self._running = running
        self._copying = copying
        self._clock = clock
        self._survey: Survey | None = None
        self._surveyed_at = 0.0
        self._probe: tuple[float, str] | None = None
        self._probing: list[Deferred[str]] = []
        self._beat = LoopingCall.withCount(self._beaten)
        self._beat.clock = clock
        self._beaten_at = 0.0

    def start(self) -> None:
        """Measure from now on how late the reactor comes round."""
        self._beaten_at = self._clock.seconds()
        self._beat.start(BEAT_SECONDS, now=False)

    def stop(self) -> None:
        """No more."""
        if self._beat.running:
            self._beat.stop()

    def _beaten(self, count: int) -> None:
        now = self._clock.seconds()
        late = now - self._beaten_at - BEAT_SECONDS
        self._beaten_at = now
        self._running.rooms.counters.reactor_seconds.observe(max(0.0, late))

    async def take(self) -> Vitals:
        """Now. Nothing of it raises: an operator looks here when things go wrong."""
        running = self._running
        survey = await self._surveyed()
        disk = await running.in_thread(self._disk)
        rooms, identity = running.rooms, running.identity
        return Vitals(
            connections_open=len(rooms.admission),
            connections_before_login=rooms.admission.waiting,
            devices_connected=rooms.presence.connected,
            database_operations_waiting=running.database.waiting,
            certificate_expiry_timestamp_seconds=identity.credentials.certificate.not_valid_after_utc.timestamp(),
            backup_key_present=disk.pop("backup_key_present") == 1,
            last_backup_timestamp_seconds=await self._last_backup(),
            ready=not await self.ailment(),
            **self._of(survey),
            **disk,
            prekeys={} if survey is None else _prekeys(survey),
        )  # fmt: skip

    async def ailment(self) -> str:
        """Why the server is not ready; empty if it is."""
        if self._running.rooms.stopping:
            return "stopping"
        if not self._running.listening():
            return "not_listening"
        if self._probe is not None and self._clock.seconds() - self._probe[0] < PROBE_KEPT_SECONDS:
            return self._probe[1]
        answered: Deferred[str] = Deferred()
        self._probing.append(answered)
        if len(self._probing) == 1:
            Deferred.fromCoroutine(self._ask_database()).addCallback(self._tell)
        return await answered

    async def _ask_database(self) -> str:
        """One small write; those that ask meanwhile wait for the same."""
        value = int(self._running.wall()).to_bytes(8, "big")
        writing = Deferred.fromCoroutine(self._running.facts.put(PROBED_AT, value))
        try:
            await writing.addTimeout(PROBE_SECONDS, self._clock)
        except DeferredTimeout:
            return "database_slow"
        except StoreError:
            return "database_takes_no_writes"
        return ""

    def _tell(self, ailment: str) -> None:
        self._probe = (self._clock.seconds(), ailment)
        waiting, self._probing = self._probing, []
        for each in waiting:
            each.callback(ailment)

    async def _surveyed(self) -> Survey | None:
        now = self._clock.seconds()
        if self._survey is None or now - self._surveyed_at >= SURVEY_SECONDS:
            try:
                self._survey = await self._running.stores.census.survey()
            except StoreError:
                self._survey = None
            self._surveyed_at = now
        return self._survey

    def _of(self, survey: Survey | None) -> dict[str, int | None]:
        if survey is None:
            return {}
        oldest = 0.0 if survey.oldest_at is None else max(0.0, self._running.now() - survey.oldest_at)
        return {
            "accounts": survey.accounts,
            "mailbox_messages": survey.waiting,
            "mailbox_bytes": survey.waiting_bytes,
            "mailbox_deepest": survey.deepest,
            "mailbox_oldest_seconds": int(oldest),
            "files": survey.files,
            "files_bytes": survey.files_bytes,
        }

    async def _last_backup(self) -> float | None:
        try:
            return await self._copying.last() or 0.0
        except StoreError:
            return None

    def _disk(self) -> dict[str, int | None]:
        """Blocks."""
        path = self._running.identity.configuration.database
        try:
            free: int | None = shutil.disk_usage(path.parent).free
        except OSError:
            free = None
        return {
            "database_bytes": _size(path),
            "database_log_bytes": _size(path.with_name(path.name + "-wal")),
            "disk_free_bytes": free,
            "backup_key_present": int(self._running.state.has(BACKUP_KEY)),
        }


def _prekeys(survey: Survey) -> dict[str, tuple[int, int]]:
    return {
        "x25519": (survey.one_time_prekeys, survey.without_one_time),
        "kem": (survey.kem_one_time_prekeys, survey.without_kem_one_time),
    }


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None
