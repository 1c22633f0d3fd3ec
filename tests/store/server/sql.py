"""The SQL stores on a real encrypted file, without threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred

from e2ee.store.database import Database
from e2ee.store.server import ports
from e2ee.store.server.accounts import SqlAccounts
from e2ee.store.server.census import SqlCensus
from e2ee.store.server.files import SqlFiles
from e2ee.store.server.invites import SqlInvites
from e2ee.store.server.limits import SqlLimits
from e2ee.store.server.mailbox import SqlMailbox
from e2ee.store.server.passcodes import SqlPasscodes
from e2ee.store.server.prekeys import SqlPreKeys
from e2ee.store.stepping import Faults, SteppedLanes
from tests.store.contract import fixture

KEY = bytes(range(32))


class SqlStores:
    """All of them on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.accounts: ports.Accounts = SqlAccounts(database)
        self.prekeys: ports.PreKeys = SqlPreKeys(database, fixture.STOCK, fixture.KEM_STOCK)
        self.limits: ports.Limits = SqlLimits(database)
        self.census: ports.Census = SqlCensus(database)
        self.invites: ports.Invites = SqlInvites(database)

    def prekeys_for(self, stock: int) -> ports.PreKeys:
        return SqlPreKeys(self.database, stock, stock)

    def files(self, limits: ports.FileLimits) -> ports.Files:
        return SqlFiles(self.database, limits)

    def mailbox(self, limits: ports.MailboxLimits) -> ports.Mailbox:
        return SqlMailbox(self.database, limits)

    def passcodes(self, limits: ports.PasscodeLimits) -> ports.Passcodes:
        return SqlPasscodes(self.database, limits)


class OnDatabase(fixture.ContractCase):
    """Mixed in before a contract: `stores` on a new database file, which can be opened again."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.clock = task.Clock()
        self.lanes = SteppedLanes()
        self.faults = Faults()
        self.broken: list[BaseException] = []
        self.open()
        super().setUp()

    def tearDown(self) -> None:
        self.lanes.automatic = True
        self.close()
        super().tearDown()

    def open(self) -> None:
        """Open the file, anew or for the first time."""
        self.database: Database = self.successResultOf(
            Deferred.fromCoroutine(
                Database.open(
                    self.path,
                    KEY,
                    "server",
                    self.clock,
                    self.broken.append,
                    lanes=self.lanes,
                    connector=self.faults.connector,
                )
            )
        )
        self.stores = SqlStores(self.database)

    def close(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))

    def together(self, *coroutines: Any) -> list[Any]:
        """All in one batch, so far as a batch goes."""
        self.lanes.automatic = False
        return super().together(*coroutines)

    def settle(self) -> None:
        self.lanes.run()
        self.lanes.automatic = True
