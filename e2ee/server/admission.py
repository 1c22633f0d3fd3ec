"""Which connections may stay: so many of one source before login, so many in all.

Knows limits; not transports. Of those that wait before login, the one that has waited longest makes room, in
a full house of those of the source that has the most: a newcomer is never kept out for ever, nor one of few
driven out by many of another source. Who was turned away may still take the reason, if not too many do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from e2ee.server.counters import Counters, Limit
from e2ee.server.policy import LEAVING_CONNECTIONS, Policy
from e2ee.server.waiting_room import WaitingRoom


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
        self._all: dict[Guest, None] = {}
        self._waiting: WaitingRoom[Guest] = WaitingRoom()
        self._leaving: dict[Guest, None] = {}  # turned away, and not gone yet

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
        self._all[guest] = None
        waiting = self._waiting.enter(guest, source)
        if 0 < self.policy.connections_before_login < waiting:
            self._counters.hit(Limit.CONNECTIONS_BEFORE_LOGIN)
            self._turn_away(self._waiting.first_of(source))
        if 0 < self.policy.connections < len(self._all):
            self._counters.hit(Limit.CONNECTIONS)
            self._turn_away(self._waiting.first_of_most())
        if 0 < self._most < len(self._all):
            self._counters.hit(Limit.OPEN_FILES)
            self._turn_away(self._waiting.first_of_most())

    def logged_in(self, guest: Guest) -> None:
        """It waits no more."""
        self._waiting.leave(guest)

    def left(self, guest: Guest) -> None:
        """It is gone."""
        self.logged_in(guest)
        self._all.pop(guest, None)
        self._leaving.pop(guest, None)

    def _turn_away(self, guest: Guest) -> None:
        self.left(guest)
        self._leaving[guest] = None
        guest.turn_away()
        if len(self._leaving) > LEAVING_CONNECTIONS:
            # It does not take the reason, and each of them is an open file of ours.
            oldest = next(iter(self._leaving))
            del self._leaving[oldest]
            oldest.abort()
