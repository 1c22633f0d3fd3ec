"""The server goes over to its backup key, and has a new one (`docs/protocol.md`, section 1).

Knows the order that makes this safe: at every moment, and after a crash at any, clients find one of
the keys that they expect, and no key is lost that they may yet need. Not how a client learns of it.

1. a certificate for the backup key is in place: it is shown from now on, also after a restart;
2. the next backup key is on disk;
3. its pin is in the database, and announced.

A rotation that ended between two steps is finished by the next start or by asking again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from twisted.logger import Logger

from e2ee.errors import E2eeError
from e2ee.net import x509
from e2ee.server import credentials
from e2ee.server.directory import InThread
from e2ee.server.identity import Identity
from e2ee.server.state_directory import BACKUP_KEY
from e2ee.store.server.ports import Census, Facts

BACKUP_PIN = "backup_pin"
ACTIVE_PIN = "pin"
ROTATED_AT = "rotated_at"


class RotationRefused(E2eeError):
    """Nothing was changed; the text tells the operator why."""


@dataclass(slots=True)
class Rotation:
    """One for the server. `wall` gives seconds since 1970; `announce` gets each new backup pin."""

    identity: Identity
    facts: Facts
    census: Census
    in_thread: InThread
    wall: Callable[[], float]
    announce: Callable[[bytes], None]
    _log: ClassVar[Logger] = Logger()
    _running: bool = False

    async def begin(self) -> None:
        """At the start: the backup pin as clients know it, made with its key if this is the first."""
        identity, state = self.identity, self.identity.state
        pin, before = await self.facts.get(BACKUP_PIN), await self.facts.get(ACTIVE_PIN)
        if pin is None:
            pin = await self.in_thread(lambda: credentials.first_backup_pin(state))
            await self.facts.put(BACKUP_PIN, pin)
            self._log.info("a backup key was made: move backup-key.pem off this machine")
        elif pin == identity.pin:
            pin = await self._resumed(pin)
        elif before not in (None, identity.pin):
            self._log.error(
                "the certificate is for another key than before, and not for the backup key: clients refuse"
                " it until their users have the new connect link"
            )
        if before != identity.pin:
            # Else nothing is new, and a start needs no room on the disk.
            await self.facts.put(ACTIVE_PIN, identity.pin)
        identity.backup_pin = pin

    async def rotate(self, backup_key: bytes | None, force: bool) -> None:
        """Go over to the backup key: that of `backup_key` (PEM), else of the state directory.

        With a certificate of a CA, that for the backup key has to be in place already. Raises
        RotationRefused, StateRefused, CredentialsRefused or StoreUnavailable.
        """
        if self._running:
            raise RotationRefused("a rotation is under way")
        self._running = True
        try:
            half_done = self.identity.pin == self.identity.backup_pin
            if not half_done:
                if not force:
                    await self._refuse_too_early()
                await self._change_key(backup_key)
            await self._next_backup(half_done)
            self._log.info("the server shows its backup key now, and has a new one: give out the new link")
        finally:
            self._running = False

    async def rotated_at(self) -> int | None:
        """When the last rotation ended, in milliseconds since 1970."""
        value = await self.facts.get(ROTATED_AT)
        return None if value is None else int.from_bytes(value, "big")

    async def _resumed(self, pin: bytes) -> bytes:
        """The backup key is shown already: the pin of the one after it, if that is there."""
        state = self.identity.state
        here = await self.in_thread(lambda: credentials.backup_pin_here(state))
        if here is None or here == pin:
            self._log.error(
                "a rotation was cut off, or the database is older than the last one: put the newest"
                " backup-key.pem back and start again, or make another one with e2ee-admin rotate-certificate"
            )
            return pin
        await self.facts.put(BACKUP_PIN, here)
        return here

    async def _refuse_too_early(self) -> None:
        """Who has not connected since the last rotation knows neither key after a second one."""
        last = await self.rotated_at()
        unseen = 0 if last is None else await self.census.not_seen_since(last)
        if unseen:
            raise RotationRefused(
                f"accounts that have not connected since the last rotation: {unseen}; after another one they"
                " would need a new connect link (--force does it nevertheless)"
            )

    async def _change_key(self, backup_key: bytes | None) -> None:
        configuration, expected = self.identity.configuration, self.identity.backup_pin
        state, now = self.identity.state, datetime.fromtimestamp(self.wall(), UTC)

        def certify() -> x509.Credentials:
            if not credentials.is_self_made(self.identity.credentials):
                return _issued(self.identity.load(configuration, now), expected)
            if backup_key is None and not state.has(BACKUP_KEY):
                raise RotationRefused("backup-key.pem is not on this machine: name it with --backup-key")
            key = state.read(BACKUP_KEY) if backup_key is None else backup_key
            if x509.key_pin(key) != expected:
                raise RotationRefused("this is not the backup key whose pin stands in the connect link")
            return credentials.certify_backup_key(configuration, state, key, now)

        shown = await self.in_thread(certify)
        self.identity.context.replace(shown)

    async def _next_backup(self, half_done: bool) -> None:
        """After a rotation that was cut off, the next key may be there already."""
        identity = self.identity

        def make() -> bytes:
            here = credentials.backup_pin_here(identity.state) if half_done else None
            if here is not None and here != identity.pin:
                return here
            return credentials.next_backup_pin(identity.state, identity.pin)

        pin = await self.in_thread(make)
        await self.facts.put(BACKUP_PIN, pin)
        await self.facts.put(ACTIVE_PIN, identity.pin)
        await self.facts.put(ROTATED_AT, int(self.wall() * 1000).to_bytes(8, "big"))
        identity.backup_pin = pin
        self.announce(pin)
        await self.in_thread(identity.publish)


def _issued(loaded: x509.Credentials, expected: bytes) -> x509.Credentials:
    if loaded.pin == expected:
        return loaded
    raise RotationRefused(
        "the certificate in place is not one for the backup key: have one issued for that key, put it and the"
        " key where the present ones are, and run this again"
    )
