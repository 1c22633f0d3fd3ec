"""Which connections may stay: so many of one source before login, so many in all.

Knows sources and the order of arrival; not transports. Of those that wait before login, the one that
has waited longest makes room: a full house never keeps a newcomer out for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from e2ee.server.counters import Counters, Limit
from e2ee.server.policy import Policy


class Guest(Protocol):
    """One connection. Compared and hashed by identity."""

    def turn_away(self) -> None:
        """End it: there are too many."""

    def stop(self) -> None:
        """End it: the server ends."""

    def abort(self) -> None:
        """Cut it."""


class Admission:
    """One for the server."""

    def __init__(self, policy: Policy, counters: Counters, most: int = 0) -> None:
        """`most` connections are all that the process can have, whatever the policy; 0: no limit."""
        self.policy = policy
        self._most = most
        self._counters = counters
        self._all: dict[Guest, str] = {}
        self._waiting: dict[Guest, str] = {}  # in the order of arrival
        self._of_source: dict[str, dict[Guest, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def waiting(self) -> int:
        """How many have not logged in."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[Guest]:
        return iter(list(self._all))

    def enter(self, guest: Guest, source: str) -> None:
        """A new connection; one that has waited longest may be turned away for it, even itself."""
        self._counters.connections += 1
        self._all[guest] = source
        self._waiting[guest] = source
        waiting = self._of_source.setdefault(source, {})
        waiting[guest] = None
        if 0 < self.policy.connections_before_login < len(waiting):
            self._counters.hit(Limit.CONNECTIONS_BEFORE_LOGIN)
            self._turn_away(next(iter(waiting)))
        if 0 < self.policy.connections < len(self._all):
            self._counters.hit(Limit.CONNECTIONS)
            self._turn_away(next(iter(self._waiting)))
        if 0 < self._most < len(self._all):
            self._counters.hit(Limit.OPEN_FILES)
            self._turn_away(next(iter(self._waiting)))

    def logged_in(self, guest: Guest) -> None:
        """It waits no more."""
        source = self._waiting.pop(guest, None)
        if source is not None:
            waiting = self._of_source[source]
            del waiting[guest]
            if not waiting:
                del self._of_source[source]

    def left(self, guest: Guest) -> None:
        """It is gone."""
        self.logged_in(guest)
        self._all.pop(guest, None)

    def _turn_away(self, guest: Guest) -> None:
        self.left(guest)
        guest.turn_away()
