"""Accounts written straight into the database of a server that does not run.

A load needs hundreds of accounts, and a registration costs both sides an exchange of SPAKE2: that has
benchmarks of its own. Knows the server's stores, not its connections.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from benchmarks.processes import Server
from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.crypto.prekey_secrets import make_kem_prekey, make_signed_prekey
from e2ee.ids import Address, DeviceAddress, EnvelopeId, PasscodeSessionId
from e2ee.server.policy import Policy
from e2ee.store.database import Database
from e2ee.store.server.accounts import SqlAccounts
from e2ee.store.server.mailbox import SqlMailbox
from e2ee.store.server.passcodes import SqlPasscodes
from e2ee.store.server.ports import Appended, MailItem, NewAccount, PasscodeRequest, Registered

TOKEN = b"everybody's token"[:16]
"""All residents are contacts of each other."""
FIRST_NUMBER = 15550100101
AT_ONCE = 1000
"""Envelopes in one transaction of `fill`."""
_POLICY = Policy(codes_burst=0, codes_per_source=0, codes_total=0, codes_per_prefix=0, mailbox_share=1.0)


@dataclass(frozen=True)
class Resident:
    """Somebody with an account."""

    own: OwnDevice

    @property
    def where(self) -> DeviceAddress:
        """The one device."""
        return DeviceAddress(self.own.address, self.own.device)


class Registry:
    """The database of a server that is stopped."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._accounts = SqlAccounts(database)
        self._passcodes = SqlPasscodes(database, _POLICY.passcode_limits())
        self._mailbox = SqlMailbox(database, _POLICY.mailbox_limits())

    @classmethod
    async def open(cls, reactor: Any, state: Path) -> Registry:
        """Open the database in this state directory."""
        key = bytes.fromhex((state / "server.secret").read_text().strip())
        path = state / "server.sqlite3"
        return cls(await Database.open(path, key, "server", reactor, _give_up))

    async def settle(self, count: int, first: int = 0) -> list[Resident]:
        """So many new accounts, from the number `first` on."""
        residents = [
            Resident(create_device(Address(f"+{FIRST_NUMBER + number}"), 1, os.urandom))
            for number in range(first, first + count)
        ]
        await gatherResults([Deferred.fromCoroutine(self._register(one)) for one in residents])
        return residents

    async def fill(self, senders: Sequence[Resident], recipients: Sequence[Resident], count: int) -> None:
        """Let `count` envelopes of each sender wait for his recipient."""
        for sender, recipient in zip(senders, recipients, strict=True):
            for begin in range(0, count, AT_ONCE):
                some = range(begin, min(begin + AT_ONCE, count))
                items = [_item(sender, recipient, os.urandom(ENVELOPE_BYTES)) for _ in some]
                results = await self._mailbox.append(items, 0.0)
                if not all(isinstance(one, Appended) for one in results):
                    raise RuntimeError("a mailbox is full")

    async def waiting(self) -> int:
        """Messages in all mailboxes."""
        return await self._mailbox.count()

    async def close(self) -> None:
        """Let the server have it."""
        await self._database.close()

    async def _register(self, one: Resident) -> None:
        session = PasscodeSessionId(os.urandom(16))
        await self._passcodes.request(PasscodeRequest(session, one.own.address, "1", b"sealed"), 0.0)
        registered = await self._accounts.register(session, _account(one.own), 0.0)
        if not isinstance(registered, Registered):
            raise RuntimeError("not registered")
        await self._accounts.set_presence(one.where, hashlib.sha256(TOKEN).digest(), hidden=False)


ENVELOPE_BYTES = 628
"""The envelope of a text of 400 bytes, in the middle of a conversation."""


async def settled(reactor: Any, server: Server, count: int) -> list[Resident]:
    """Accounts for a server that has not been started yet; it is running afterwards."""
    server.start_server()
    server.stop_server()
    registry = await Registry.open(reactor, server.state)
    residents = await registry.settle(count)
    await registry.close()
    server.start_server()
    return residents


def _item(sender: Resident, recipient: Resident, envelope: bytes) -> MailItem:
    return MailItem(recipient.where, sender.where, EnvelopeId.of(envelope), envelope, known=True)


def _account(own: OwnDevice) -> NewAccount:
    owner = own.device_signing_secret
    return NewAccount(
        own.address, own.device, own.statement.account_key.raw, own.statement.device_signing_key.raw,
        own.generation, own.signed_statement, own.statement_hash,
        make_signed_prekey(owner, 1, 1, os.urandom)[1],
        make_kem_prekey(owner, 1, 1, False, os.urandom)[1],
    )  # fmt: skip


def _give_up(error: BaseException) -> None:
    raise SystemExit(str(error))
