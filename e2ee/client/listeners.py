"""Who is told of events. One that fails does not keep the others from hearing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.logger import Logger

from e2ee.client.events import Event

_log = Logger()


class Listeners:
    """Calls each subscriber with each event, in order, on the reactor's thread."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], None]] = []

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell this one from now on; returns what ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def tell(self, events: Iterable[Event]) -> None:
        """Tell all subscribers of each of these."""
        for event in events:
            for listener in tuple(self._listeners):
                try:
                    listener(event)
                except Exception:
                    _log.failure("a listener failed")
