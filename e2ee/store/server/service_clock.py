"""Service time: seconds that the server has been serving, which never jump.

Knows a monotonic clock for while it runs, and the wall clock only for how long it stood still,
believed up to one day. So no clock that jumps expires a mailbox (`docs/protocol.md`, section 6).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from e2ee.errors import StoreUnavailable
from e2ee.store.connection import Connection
from e2ee.store.database import Database

SAVE_SECONDS = 60.0
STOPPED_SECONDS_AT_MOST = 86_400.0
"""What a stop counts at most: a wall clock set wrongly by years must not expire anything."""


class ServiceClock:
    """Service time from `start` to `stop`; `now()` in seconds.

    `clock` only schedules, whatever its own seconds are: `monotonic` measures. `wall` gives seconds
    since 1970.
    """

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._wall = wall
        self._base = 0.0
        self._started = monotonic()
        self._saving = LoopingCall(self._save_in_time)
        self._saving.clock = clock

    def now(self) -> float:
        """Service time in seconds."""
        return self._base + self._monotonic() - self._started

    async def start(self) -> None:
        """Go on where the last run ended; saves the time now and every SAVE_SECONDS."""
        stored = await self._database.read(_stored)
        if stored is not None:
            seconds, wall = stored
            stopped = min(max(self._wall() - wall, 0.0), STOPPED_SECONDS_AT_MOST)
            self._base = seconds + stopped
        self._started = self._monotonic()
        # Not traceless: what the last run left is tidied in this one.
        await self._save(traceless=False)
        self._saving.start(SAVE_SECONDS, now=False)

    async def stop(self) -> None:
        """Save the time reached."""
        if self._saving.running:
            self._saving.stop()
            await self._save(traceless=True)

    def _save_in_time(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._save(traceless=True))

    async def _save(self, traceless: bool) -> None:
        reached, wall = self.now(), self._wall()

        def save(connection: Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO service_time VALUES (1, ?, ?)", (reached, wall))

        try:
            await self._database.write(save, frees_room=True, traceless=traceless)
        except StoreUnavailable:
            Logger().warn("the service time was not saved: there is no room on the disk")


def _stored(connection: Connection) -> tuple[float, float] | None:
    row = connection.execute("SELECT seconds, wall FROM service_time").fetchone()
    return None if row is None else (float(row[0]), float(row[1]))
