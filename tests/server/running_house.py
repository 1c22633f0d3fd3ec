"""A running server for its operator's tests: a town in memory, with real files and a real database."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.configuration import Configuration, configure
from e2ee.server.identity import Identity
from e2ee.server.rotation import Rotation
from e2ee.server.running import Running
from e2ee.server.state_directory import StateDirectory
from e2ee.store.database import Database
from e2ee.store.server.facts import SqlFacts
from e2ee.store.stepping import Faults, SteppedLanes
from tests.server.town import ALICE, BOB, Town

T = TypeVar("T")
WALL = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()
KEY = b"k" * 32


def at_once(step: Callable[[], T], /) -> Awaitable[T]:
    """In the caller's thread."""
    return succeed(step())


class RunningCase(SynchronousTestCase):
    """Alice and Bob have accounts in memory; facts and copies come from a database on disk."""

    options: dict[str, str] = {}  # noqa: RUF012 - never changed

    def setUp(self) -> None:
        self.town = Town()
        for address in (ALICE, BOB):
            self.now(self.town.settle_in(address))
        self.path = Path(self.mktemp()).absolute()
        self.wall = WALL
        self.listening = True
        self.faults = Faults()
        self.state = StateDirectory(self.path)
        self.state.prepare()
        self.addCleanup(self.state.close)
        self.state.secret(self.path / "server.sqlite3")
        self.configuration = self.configured()
        self.database = self.now(
            Database.open(
                self.configuration.database, KEY, "server", self.town.network, self.fail,
                lanes=SteppedLanes(), connector=self.faults.connector,
            )
        )  # fmt: skip
        self.addCleanup(lambda: self.now(self.database.close()))
        self.running = self.start()

    def configured(self, **options: str) -> Configuration:
        """As an operator has chosen."""
        given: dict[str, Any] = {"state_dir": str(self.path), "host": ["chat.example.org"], "otp": "file:x"}
        return configure({**given, **self.options, **options}, {})

    def start(self) -> Running:
        """Start (again) over the same files and database."""
        moment = datetime.fromtimestamp(self.wall, UTC)
        identity = Identity(self.configuration, self.state, moment)
        facts, rooms = SqlFacts(self.database), self.town.rooms

        def announce(pin: bytes) -> None:
            rooms.backup_pin = pin

        rotation = Rotation(
            identity, facts, self.town.stores.census, at_once, lambda: self.wall, announce
        )
        self.now(rotation.begin())
        rooms.backup_pin = identity.backup_pin
        identity.bound_to("127.0.0.1", 8443)
        return Running(
            rooms, self.town.stores, facts, self.database, self.state, identity, rotation,
            self.town.delivery, at_once, self.town.network.seconds, lambda: self.wall, self.wall,
            lambda: self.listening,
        )  # fmt: skip

    def reconfigure(self, **changes: Any) -> None:
        """Go on with another configuration."""
        self.configuration = replace(self.configuration, **changes)
        self.running.identity.configuration = self.configuration

    def now(self, step: Coroutine[Deferred[Any], Any, T]) -> T:
        """The result of what does not wait."""
        return self.successResultOf(Deferred.fromCoroutine(step))

    def refused(self, step: Coroutine[Deferred[Any], Any, Any], kind: type[Exception]) -> str:
        """The sentence of what fails at once."""
        return str(self.failureResultOf(Deferred.fromCoroutine(step), kind).value)

    def files(self) -> set[str]:
        """What lies in the state directory."""
        return set(os.listdir(self.path))
