"""The stores in memory keep the contract."""

from __future__ import annotations

from e2ee.store.memory.accounts import MemoryAccounts
from e2ee.store.memory.census import MemoryCensus
from e2ee.store.memory.files import MemoryFiles, MemoryShelf
from e2ee.store.memory.invites import MemoryInvites
from e2ee.store.memory.limits import MemoryLimits
from e2ee.store.memory.mailbox import MemoryMailbox
from e2ee.store.memory.passcodes import MemoryPasscodes
from e2ee.store.memory.prekeys import MemoryPreKeys
from e2ee.store.memory.state import MemoryStore
from e2ee.store.server import ports
from tests.store.contract import (
    accounts,
    census,
    files,
    fixture,
    invites,
    limits,
    mailbox,
    passcodes,
    prekeys,
)


class MemoryStores:
    """All of them on one state."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.accounts: ports.Accounts = MemoryAccounts(self.store)
        self.prekeys: ports.PreKeys = MemoryPreKeys(self.store, fixture.STOCK, fixture.KEM_STOCK)
        self.limits: ports.Limits = MemoryLimits(self.store)
        self.census: ports.Census = MemoryCensus(self.store)
        self.invites: ports.Invites = MemoryInvites(self.store)

    def prekeys_for(self, stock: int) -> ports.PreKeys:
        return MemoryPreKeys(self.store, stock, stock)

    def files(self, limits: ports.FileLimits) -> ports.Files:
        return MemoryFiles(self.store, limits)

    def mailbox(self, limits: ports.MailboxLimits) -> ports.Mailbox:
        return MemoryMailbox(self.store, limits)

    def passcodes(self, limits: ports.PasscodeLimits) -> ports.Passcodes:
        return MemoryPasscodes(self.store, limits)


class InMemory:
    """Mixed in before a contract."""

    stores: fixture.Stores

    def setUp(self) -> None:
        self.stores = MemoryStores()
        super().setUp()  # type: ignore[misc]


class MemoryAccountsTests(InMemory, accounts.AccountsContract):
    """Accounts."""


class MemoryCensusTests(InMemory, census.CensusContract):
    """The operator's look at everybody."""


class MemoryPreKeysTests(InMemory, prekeys.PreKeysContract):
    """Prekeys."""


class MemoryMailboxTests(InMemory, mailbox.MailboxContract):
    """Mailboxes."""


class MemoryLimitsTests(InMemory, limits.LimitsContract):
    """Limits."""


class MemoryInvitesTests(InMemory, invites.InvitesContract):
    """Invites."""


class MemoryPasscodesTests(InMemory, passcodes.PasscodesContract):
    """Passcodes."""


class MemoryFilesTests(InMemory, files.FilesContract):
    """Files."""


class MemoryShelfTests(files.ShelfContract):
    """Their chunks."""

    def new_shelf(self) -> ports.Shelf:
        return MemoryShelf()
