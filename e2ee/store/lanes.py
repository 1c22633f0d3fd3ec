"""Threads in which connections live: a lane takes all that came while it worked, and works on it.

Knows threads, queues and the way back to the reactor; knows nothing of databases. Tests use
`e2ee.store.stepping` in its place.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorFromThreads

BATCH_ITEMS = 500
"""The most that one turn of a lane takes: what one commit may keep others waiting for."""
BUSY_ITEMS = 16
"""A turn with so many is followed by more."""
TURN_SECONDS = 0.025
"""Where a lane gathers, the next turn begins so long after a busy one did: what a commit costs is shared
by all that came meanwhile. On a disk that takes as long to write, or with little to do, nobody waits."""


class Worker(Protocol):
    """What runs in a lane. No method may raise: there is nobody to tell."""

    def begin(self) -> None:
        """Called once, first."""

    def work(self, batch: list[Any]) -> None:
        """Called with 1 to BATCH_ITEMS items, oldest first."""

    def end(self) -> None:
        """Called once, last."""


class Lane(Protocol):
    """A queue with one worker behind it; its callers bound it."""

    def put(self, item: Any) -> None:
        """Queue an item; never blocks."""

    def stop(self, ended: Callable[[], None]) -> None:
        """End after all that is queued; `ended` is called on the reactor's thread."""


class Lanes(Protocol):
    """Where lanes come from, and how their workers answer."""

    def start(self, name: str, worker: Worker, *, gathers: bool = False) -> Lane:
        """A new lane; its worker begins at once.

        `gathers`: a turn costs much whatever is in it, so a busy lane waits for more: see TURN_SECONDS.
        """

    def deliver(self, call: Callable[..., object], *args: object) -> None:
        """Call this on the reactor's thread, soon."""


class ThreadLanes:
    """Lanes that are threads of their own. They end when stopped, and only then."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor

    def start(self, name: str, worker: Worker, *, gathers: bool = False) -> Lane:
        """A new thread of this name."""
        return _ThreadLane(self._reactor, name, worker, gathers)

    def deliver(self, call: Callable[..., object], *args: object) -> None:
        """Through the reactor's own queue."""
        self._reactor.callFromThread(call, *args)


class _Stop:
    """The last item of a lane."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self.ended = ended


class _ThreadLane:
    def __init__(
        self, reactor: IReactorFromThreads, name: str, worker: Worker, gathers: bool
    ) -> None:
        self._reactor = reactor
        self._worker = worker
        self._gathers = gathers
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def put(self, item: Any) -> None:
        self._queue.put(item)

    def stop(self, ended: Callable[[], None]) -> None:
        self._queue.put(_Stop(ended))

    def _run(self) -> None:
        self._worker.begin()
        stop: _Stop | None = None
        while stop is None:
            batch, stop = self._gather()
            began = monotonic()
            if batch:
                self._worker.work(batch)
            if self._gathers and BUSY_ITEMS <= len(batch) < BATCH_ITEMS:
                sleep(max(0.0, began + TURN_SECONDS - monotonic()))
        self._worker.end()
        self._reactor.callFromThread(self._ended, stop.ended)

    def _gather(self) -> tuple[list[Any], _Stop | None]:
        batch: list[Any] = []
        item = self._queue.get()
        while not isinstance(item, _Stop):
            batch.append(item)
            if len(batch) == BATCH_ITEMS:
                return batch, None
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, None
        return batch, item

    def _ended(self, ended: Callable[[], None]) -> None:
        # The thread has nothing left to do but to return: this does not block.
        self._thread.join()
        ended()
