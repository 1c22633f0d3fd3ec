"""A registration under way, in memory and in the vault at once.

Every change is on the disk before it counts. Knows the vault's records, no connection and no person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from e2ee.client import prekey_allowance
from e2ee.client.linking.known_server import KnownServer
from e2ee.client.registering.new_identity import PREKEYS, make_keys, next_generation
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.own_device import OwnDevice
from e2ee.ids import Address
from e2ee.net.connect_link import ConnectLink
from e2ee.store.client.adoption import adopt_registration
from e2ee.store.client.identity import (
    PasscodeSession,
    PendingKeys,
    PendingRegistration,
    ServerRecord,
    burn_passcode,
    forget_registration,
    is_burnt,
    load_identity,
    load_registration,
    load_server,
    save_registration,
    unburn_passcode,
)
from e2ee.store.client.prekeys import next_key_ids
from e2ee.store.client.vault import Vault
from e2ee.store.connection import Connection

BURNT_MS = 24 * 3600 * 1000
"""How long a code stays burnt at the least: longer than an honest server lets one live, whatever a
false one says of its session."""
_BURNT_LABEL = b"e2ee burnt passcode 1"
_REFUSED_LABEL = b"e2ee refused passcode 1"


class PendingState:
    """What is under way, and the server it is under way with. `load_pending` makes one."""

    def __init__(self, vault: Vault, registered: OwnDevice | None, pending: PendingRegistration) -> None:
        self._vault = vault
        self.registered = registered
        self._pending = pending
        self.server = KnownServer(pending.server, self._keep_server)

    @property
    def address(self) -> Address:
        """The number that is being registered."""
        return self._pending.address

    @property
    def proved(self) -> bool:
        """Whether a proof has left, so that the server may have these keys."""
        return self._pending.proved

    @property
    def keys(self) -> PendingKeys | None:
        """The new keys, where they have been made."""
        return self._pending.keys

    @property
    def own(self) -> OwnDevice | None:
        """The new identity, where its keys have been made."""
        return None if self.keys is None else OwnDevice.decode(self.keys.own_device)

    def session(self, now: int, guesses: int) -> PasscodeSession | None:
        """The session to go on with, where it lives at `now` (ms) and of `guesses` one is left."""
        session = self._pending.session
        if session is None or session.until <= now or session.guesses >= guesses:
            return None
        return session

    async def begin(self, session: PasscodeSession) -> None:
        """The server has begun this session: a new run, with keys of its own."""
        await self._change(session=session, keys=None, proved=False)

    async def make_keys(self, now: int, entropy: Callable[[int], bytes], suite: KemSuite) -> None:
        """Have the private halves of the new identity on disk. `now` is ms since 1970.

        Keys for another KEM, of a registration that went no further, are replaced.
        """
        if self.own is not None and (self.proved or self.own.statement.suite is suite):
            return
        generation = next_generation(self.registered, now)

        def make(tx: Connection) -> PendingRegistration:
            keys = make_keys(self.address, generation, next_key_ids(tx, PREKEYS), now, entropy, suite)
            pending = replace(self._pending, keys=keys)
            save_registration(tx, pending)
            return pending

        self._pending = await self._vault.write(make)

    async def charge(self, session: PasscodeSession, code: str, now: int) -> None:
        """A proof is about to leave: a guess is gone, the server may get to have these keys, and until
        it has answered the code counts as burnt, so that a crash does not give it a second run."""
        digest = self._digest(_BURNT_LABEL, code)
        charged = replace(session, guesses=session.guesses + 1)
        pending = replace(self._pending, session=charged, proved=True)

        def charge(tx: Connection) -> None:
            burn_passcode(tx, digest, _burnt_until(session, now))
            save_registration(tx, pending)

        await self._vault.write(charge)
        self._pending = pending

    async def found_wrong(self, used: PasscodeSession, code: str, now: int) -> None:
        """The server has answered that the code is wrong: a guess, counted in `used`.

        Nobody has proven that answer, so this code has had its one run all the same.
        """
        burnt, refused = self._digest(_BURNT_LABEL, code), self._digest(_REFUSED_LABEL, code)
        pending = replace(self._pending, server=self.server.record, session=used, proved=False)

        def note(tx: Connection) -> None:
            unburn_passcode(tx, burnt)
            burn_passcode(tx, refused, _burnt_until(used, now))
            save_registration(tx, pending)

        await self._vault.write(note)
        self._pending = pending

    async def refused(self) -> None:
        """The server does not have these keys, and the code that was to bring them there has had its
        run: nothing is under way any more."""
        await self._forget()

    async def drop_session(self) -> None:
        """The session is of no use any more; keys that the server may have are kept."""
        if self.proved:
            await self._change(session=None)
        else:
            await self._forget()

    async def burn(self, code: str, now: int) -> None:
        """Never run this code again, as long as it could live; the session goes with it."""
        session = self._pending.session
        digest = self._digest(_BURNT_LABEL, code)
        if session is not None:
            until = _burnt_until(session, now)
            await self._vault.write(lambda tx: burn_passcode(tx, digest, until))
        await self.drop_session()

    async def is_burnt(self, code: str, now: int) -> bool:
        """Whether this code was burnt."""
        digest = self._digest(_BURNT_LABEL, code)
        return await self._vault.write(lambda tx: is_burnt(tx, digest, now))

    async def was_refused(self, code: str, now: int) -> bool:
        """Whether this code has had its run, and was called wrong."""
        digest = self._digest(_REFUSED_LABEL, code)
        return await self._vault.write(lambda tx: is_burnt(tx, digest, now))

    async def adopt(self, now: int) -> None:
        """The server has these keys: they are the profile's identity from now on."""

        def operation(tx: Connection) -> None:
            adopt_registration(tx, now)
            prekey_allowance.begin_anew(tx)

        await self._vault.write(operation)

    def _digest(self, label: bytes, code: str) -> bytes:
        return hashlib.sha256(label + self.address.encode() + code.encode()).digest()

    async def _forget(self) -> None:
        await self._vault.write(forget_registration)
        self._pending = PendingRegistration(self.server.record, self.address)

    async def _change(self, **changes: Any) -> None:
        pending = replace(self._pending, server=self.server.record, **changes)
        await self._vault.write(lambda tx: save_registration(tx, pending))
        self._pending = pending

    async def _keep_server(self, record: ServerRecord) -> None:
        if self._pending.session is not None or self._pending.keys is not None:
            pending = replace(self._pending, server=record)
            await self._vault.write(lambda tx: save_registration(tx, pending))
            self._pending = pending


def _burnt_until(session: PasscodeSession, now: int) -> int:
    return max(session.until, now + BURNT_MS)


async def load_pending(vault: Vault, link: ConnectLink, ca: bytes | None, address: Address) -> PendingState:
    """Go on with what the vault has under way for this number and server, or begin anew.

    What stands in `link` and `ca` now holds; of a server that is known already, its highest protocol
    version is remembered.
    """
    own, server, pending = await vault.read(
        lambda tx: (load_identity(tx), load_server(tx), load_registration(tx))
    )
    record = _server_record(link, ca, [known for known in (pending and pending.server, server) if known])
    if pending is None or pending.address != address or not _same_place(pending.server, link):
        pending = PendingRegistration(record, address)
    registered = None if own is None else OwnDevice.decode(own)
    return PendingState(vault, registered, replace(pending, server=record))


def _server_record(link: ConnectLink, ca: bytes | None, known: list[ServerRecord]) -> ServerRecord:
    versions = (record.highest_version for record in known if _same_place(record, link))
    return ServerRecord(str(replace(link, invite=b"")), ca, max(versions, default=0))


def _same_place(record: ServerRecord, link: ConnectLink) -> bool:
    known = ConnectLink.parse(record.link)
    return (known.host, known.port) == (link.host, link.port)
