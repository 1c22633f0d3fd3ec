"""X.509 identities: the own one at the server, and those of contacts, asked for again in time.

Knows vault and directory; not files. What an identity proves stands in `certification`, what follows for
a changed key in `trust`, whose word counts in `authorities`. See `docs/cryptography.md`, "X.509 identities".
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.context import Context
from e2ee.client.identification.authorities import Authorities
from e2ee.client.identification.certificate_values import OwnIdentity
from e2ee.client.identification.certification import certification, issuer_of
from e2ee.client.identification.identity_proof import describe_identity, prove_identity
from e2ee.client.refusals import LinkLost
from e2ee.client.sending.settling import look_up_again
from e2ee.client.threads import InThread
from e2ee.client.trust import shown_key
from e2ee.crypto.limits import DAY_MS
from e2ee.ids import Address
from e2ee.store.client import authorities, contacts
from e2ee.store.connection import Connection
from e2ee.wire import messages as m

ASK_AGAIN_MS = DAY_MS
"""About an identity that proves nothing (any more) the directory is asked once a day."""
EXPIRES_SOON_MS = 7 * DAY_MS
"""Within a week of its end there may be a new one."""
ASKED_AT_ONCE = 50
"""Contacts that are asked about in one go: each counts against the look-ups of the account."""


class Identities:
    """One profile's; `authorities` are those whose word counts.

    `changed` is called with each number whose messages may go on now.
    """

    def __init__(self, context: Context, in_thread: InThread, changed: Callable[[Address], None]) -> None:
        self._context = context
        self._in_thread = in_thread
        self._changed = changed
        self.authorities = Authorities(context, changed)

    # --- the own one ------------------------------------------------------------------------

    async def attach(self, certificate_pem: bytes, key_pem: bytes) -> OwnIdentity:
        """Have the server hand this certificate out, with its key's signature over the own account.

        The key is not kept. Raises Failure(USAGE) for a certificate that proves nothing, LinkLost, Refusal.
        """
        own, now = self._context.own, self._context.now
        account_key = own.statement.account_key.raw
        encoded = await self._in_thread(
            lambda: prove_identity(certificate_pem, key_pem, own.address, account_key, now)
        )
        await self._context.ask(m.SetIdentity(0, encoded), m.Done)
        return describe_identity(encoded, own.address, account_key, now)

    async def remove(self) -> None:
        """Have it handed out no more. Raises LinkLost, Refusal."""
        await self._context.ask(m.SetIdentity(0, None), m.Done)

    async def own(self) -> OwnIdentity | None:
        """What the server hands out for the own number; None: nothing. Raises LinkLost, Refusal."""
        own, now = self._context.own, self._context.now
        answer = await self._context.ask(m.LookUp(0, str(own.address)), m.LookedUp)
        if answer.identity is None:
            return None
        return describe_identity(answer.identity, own.address, own.statement.account_key.raw, now)

    # --- those of contacts ------------------------------------------------------------------

    async def is_open(self, address: Address) -> bool:
        """Whether an authority is trusted, and none certifies the account key of this number.

        That is the key whose safety number is shown: one that waits for a word, else the used one.
        """
        now = self._context.now

        def find(tx: Connection) -> bool:
            key = shown_key(contacts.load_contact(tx, address))
            return authorities.trusts_any(tx) and key is not None and issuer_of(tx, address, key, now) is None

        return await self._context.vault.read(find)

    async def ask(self, address: Address) -> None:
        """Ask the directory about a number whose account key is known. Raises LinkLost."""
        _, events = await look_up_again(self._context, address)
        self._context.listeners.tell(events)
        self._changed(address)

    async def all_open(self) -> list[Address]:
        """Those in the address book about whom to `ask`: no authority certifies them, and one might."""
        book = await self._context.vault.read(contacts.list_contacts)
        known = [one.address for one in book if one.trusted_key is not None and not one.blocked]
        return [one for one in known if await self.is_open(one)][:ASKED_AT_ONCE]

    def connected(self) -> None:
        """A new connection: ask for those that have run out, or are about to."""
        self._context.tasks.spawn(self._renew())

    async def _renew(self) -> None:
        try:
            for address in await self._context.vault.read(self._running_out):
                await self.ask(address)
        except LinkLost:
            pass  # the next connection does it

    def _running_out(self, tx: Connection) -> list[Address]:
        if not authorities.trusts_any(tx):
            return []
        now = self._context.now
        asked_long_ago = authorities.used_identities(tx, now - ASK_AGAIN_MS)
        return [
            one.address
            for one in asked_long_ago
            if certification(tx, one.address, one.account_key, now).until < now + EXPIRES_SOON_MS
        ][:ASKED_AT_ONCE]
