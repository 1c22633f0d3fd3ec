"""A server's desks over a real database file, asked by many at once, that can be restarted in between.

Knows how to build them and how to let attackers run side by side; not which limit is tested.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address, DeviceAddress, PasscodeSessionId
from e2ee.server.directory import Directory
from e2ee.server.known_accounts import KnownAccounts
from e2ee.server.lookups import LookUps
from e2ee.server.policy import KEM_ONE_TIME_STOCK, ONE_TIME_STOCK, Policy
from e2ee.server.workers import ProofWorkers
from e2ee.store.database import Database
from e2ee.store.memory.limits import MemoryLimits
from e2ee.store.memory.state import MemoryStore
from e2ee.store.server.prekeys import SqlPreKeys
from e2ee.store.stepping import SteppedLanes
from tests.server.process_double import FakeProcesses
from tests.server.registration_house import ALICE, House, Stores
from tests.store.contract.fixture import new_account
from tests.store.server.sql import KEY

LIFTABLE = ("codes_burst", "guesses_burst", "codes_per_source", "codes_total", "codes_per_prefix")
"""The limits of passcodes that an operator can lift."""


class Besieged:
    """`lifted` are names of `[limits]` that are 0; `changed` are limits of the passcodes that have no name.

    `sessions` are those that a test has opened.
    """

    def __init__(self, path: Path, lifted: Iterable[str], **changed: Any) -> None:
        self._path = path
        self._policy = Policy().with_limits(dict.fromkeys(lifted, 0))
        self._changed = changed
        self._starts = 0
        self.service_time = 1000.0
        self.sessions: list[PasscodeSessionId] = []
        self.open()

    def open(self) -> None:
        """The database and the desks over it, for the first time or after a restart."""
        self.lanes = SteppedLanes()
        self.database = self._now(
            Database.open(self._path, KEY, "server", Clock(), self._broken, lanes=self.lanes)
        )
        stores = Stores.in_database(self.database, self._policy)
        passcodes: Any = stores.passcodes
        passcodes._limits = replace(passcodes._limits, **self._changed)
        self.house = House(self._policy, stores=stores)
        self.house.registration.now = self.house.registration.pins._now = lambda: self.service_time
        self.office = self.house.registration.office
        self.office._now = lambda: self.service_time
        self._starts += 1
        self.office._entropy = random.Random(self._starts).randbytes
        self.prekeys = SqlPreKeys(self.database, ONE_TIME_STOCK, KEM_ONE_TIME_STOCK)
        lookups = LookUps(self._policy.lookups_per_day, lambda: self.service_time, bytes)
        self.directory = Directory(
            KnownAccounts(stores.accounts), self.prekeys, MemoryLimits(MemoryStore()), lookups,
            self._policy, lambda: self.service_time, lambda step: succeed(step()), lambda where, stock: None,
            self.house.counters,
        )  # fmt: skip
        self.workers = ProofWorkers(FakeProcesses(), Clock())

    def restart(self) -> None:
        """Another process on the same file, a moment later."""
        self.close()
        self.open()

    def close(self) -> None:
        """Let go of the file."""
        self._now(self.database.close())

    def let_through(self, *attempts: Coroutine[Any, Any, bool]) -> int:
        """All of them begin before any is answered; how many were let through."""
        self.lanes.automatic = False
        running = [Deferred.fromCoroutine(attempt) for attempt in attempts]
        self.lanes.run()
        self.lanes.automatic = True
        return sum(SynchronousTestCase().successResultOf(each) for each in running)

    def settle_in(self, address: Address = ALICE) -> DeviceAddress:
        """An account that others ask for."""
        account = new_account(address)
        registered = self.house.accounts.register_with_pin(account, b"", None, self.service_time)
        self._now(registered)
        return DeviceAddress(address, account.device)

    def _now(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return SynchronousTestCase().successResultOf(Deferred.fromCoroutine(coroutine))

    def _broken(self, error: BaseException) -> None:
        raise AssertionError(error)
