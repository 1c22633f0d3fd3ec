"""The address book and the user's word on keys: names, blocking, safety numbers, trust.

Knows the vault, and asks the directory for a key that was never seen. See `docs/cryptography.md`,
section 5, and `docs/protocol.md`, section 7.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from e2ee.client.contacts.blocking import show_nothing, tell_nothing
from e2ee.client.contacts.contact_values import Imported, NamedNumber
from e2ee.client.contacts.importing import import_contacts
from e2ee.client.contacts.lookalikes import look_alike, name_refused
from e2ee.client.contacts.own_token import replace_token
from e2ee.client.context import Context
from e2ee.client.directory import Directory
from e2ee.client.events import Contact, SafetyNumber, TrustChange
from e2ee.client.history.disappearing import set_timer
from e2ee.client.identification.certification import certification, issuer_of
from e2ee.client.sending.outgoing import Outgoing
from e2ee.client.trust import StatementRefused, digits_of, note_statement, shown_key, use_key
from e2ee.client.trust import refused_statement_failure as refused_failure
from e2ee.errors import Code, Failure, InvalidAddress
from e2ee.ids import Address
from e2ee.store.client import contacts
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.timers import load_timer
from e2ee.store.connection import Connection

SAFETY_NUMBER_DIGITS = 60


class AddressBook:
    """One profile's. `changed` is called with each number whose messages may go on now, `timed` when the time
    of texts may run now that nobody is shown."""

    def __init__(
        self,
        context: Context,
        directory: Directory,
        outgoing: Outgoing,
        *,
        changed: Callable[[Address], None],
        token_replaced: Callable[[], None],
        timed: Callable[[], None],
    ) -> None:
        self._context = context
        self._directory = directory
        self._outgoing = outgoing
        self._changed = changed
        self._token_replaced = token_replaced
        self._timed = timed

    async def resolve(self, text: str) -> Address:
        """The number that a person means: an address, or a contact's name. Raises Failure(USAGE)."""
        if text.strip(" ").startswith(("+", "tel:+")):
            # What was accepted before needs no second look at the numbering plans of the world.
            known = await self._context.vault.read(lambda tx: contacts.known_address(tx, text))
            if known is not None:
                return known
            try:
                return Address.parse(text)
            except InvalidAddress as error:
                raise Failure(Code.USAGE, f"{text}: {error}") from None
        address = await self._context.vault.read(lambda tx: contacts.address_of_name(tx, text))
        if address is None:
            raise Failure(Code.USAGE, f"{text}: no contact has this name, and a number begins with +")
        return address

    async def contacts(self) -> list[Contact]:
        """All contacts, sorted by number."""
        return await self._context.vault.read(
            lambda tx: [self._contact(tx, record) for record in contacts.list_contacts(tx)]
        )

    async def add(self, address: Address, name: str) -> Contact:
        """Name a number, and accept it. Raises Failure(USAGE)."""
        self._refuse_own(address)

        def operation(tx: Connection) -> Contact:
            _refuse_name(tx, address, name)
            self._accept(tx, address)
            contacts.name_contact(tx, address, name)
            return self._contact(tx, contacts.load_contact(tx, address))

        contact = await self._context.write(operation)
        self._changed(address)
        return contact

    async def take_in(self, entries: Sequence[NamedNumber], *, skip: bool) -> Imported:
        """Add what a file has, all or nothing; see `importing`. Raises Failure(USAGE)."""
        own = self._context.own.address
        return await self._context.write(lambda tx: import_contacts(tx, own, entries, skip=skip))

    async def accept(self, address: Address) -> Contact:
        """Accept whoever writes from this number, blocked ones too, without naming him. Raises
        Failure(USAGE) for the own number."""
        self._refuse_own(address)

        def operation(tx: Connection) -> Contact:
            self._accept(tx, address)
            return self._contact(tx, contacts.load_contact(tx, address))

        contact = await self._context.write(operation)
        self._changed(address)
        return contact

    def _accept(self, tx: Connection, address: Address) -> None:
        contacts.touch_contact(tx, address, accepted=True)
        contacts.unblock_contact(tx, address)
        self._outgoing.queue_token(tx, address, self._context.now)

    async def set_timer(self, address: Address, seconds: int | None) -> Contact:
        """From now on texts with this number disappear after so long, 0: never, on both sides; None: as they
        do. Somebody who is accepted is told at once, others with the next text. Raises Failure(USAGE)."""
        self._refuse_own(address)
        now = self._context.now

        def operation(tx: Connection) -> Contact:
            contact = contacts.load_contact(tx, address)
            new = seconds is not None and set_timer(tx, address, seconds, now)
            if new and contact.accepted and not contact.blocked:
                self._outgoing.queue_timer(tx, address, now)
            return self._contact(tx, contact)

        contact = await self._context.write(operation)
        self._changed(address)
        return contact

    async def rename(self, address: Address, name: str) -> Contact:
        """Give a contact another name. Raises Failure(USAGE)."""

        def operation(tx: Connection) -> Contact:
            _require(tx, address)
            _refuse_name(tx, address, name)
            contacts.name_contact(tx, address, name)
            return self._contact(tx, contacts.load_contact(tx, address))

        return await self._context.write(operation)

    async def block(self, address: Address) -> Contact:
        """Show nothing more of this number, and let it see nothing more: all others get a new token, and what
        goes by itself does not go to it."""
        self._refuse_own(address)
        now = self._context.now

        def operation(tx: Connection) -> Contact:
            was_blocked = contacts.load_contact(tx, address).blocked
            contacts.touch_contact(tx, address, accepted=False)
            contacts.block_contact(tx, address)
            show_nothing(tx, address, now)
            tell_nothing(tx, address)
            if not was_blocked:
                # Whoever is not accepted now may have been, and then has the token all the same.
                replace_token(tx, self._context.entropy)
                self._hand_out_token(tx)
            return self._contact(tx, contacts.load_contact(tx, address))

        contact = await self._context.write(operation)
        self._token_replaced()
        self._changed(address)
        self._timed()
        return contact

    def _hand_out_token(self, tx: Connection) -> None:
        for contact in contacts.list_contacts(tx):
            if contact.accepted:
                self._outgoing.queue_token(tx, contact.address, self._context.now)

    async def remove(self, address: Address) -> Contact:
        """Take a contact out of the address book: he is a stranger again, and told nothing any more.
        Raises Failure(USAGE) if there is none."""

        def operation(tx: Connection) -> Contact:
            _require(tx, address)
            contacts.unlist_contact(tx, address)
            tell_nothing(tx, address)
            return self._contact(tx, contacts.load_contact(tx, address))

        contact = await self._context.write(operation)
        self._changed(address)
        return contact

    # --- trust ------------------------------------------------------------------------------

    async def knows_key(self, address: Address) -> bool:
        """Whether an account key of this number is known."""
        contact = await self._context.vault.read(lambda tx: contacts.load_contact(tx, address))
        return shown_key(contact) is not None

    async def look_up(self, address: Address) -> None:
        """Learn the account key of a number. Raises Failure."""
        served = await self._directory.look_up(address)
        signed, identity = served.statement, served.identity
        if signed is None:
            raise Failure(Code.UNKNOWN_RECIPIENT, f"nobody is registered as {address}")
        warn, now = self._context.warn, self._context.now
        try:
            await self._context.write(
                lambda tx: note_statement(tx, signed, address, identity=identity, warn=warn, now=now)
            )
        except StatementRefused as refused:
            raise refused_failure(refused) from None

    async def safety_number(self, address: Address) -> SafetyNumber:
        """The safety number with a contact whose key is known: of the key that waits for a word, if any."""
        self._refuse_own(address)
        return await self._context.vault.read(lambda tx: self._safety_number(tx, address))

    def _safety_number(self, tx: Connection, address: Address) -> SafetyNumber:
        contact = contacts.load_contact(tx, address)
        key = shown_key(contact)
        if key is None:
            raise Failure(Code.UNKNOWN_RECIPIENT, f"the key of {address} is not known yet")
        verified = contact.verified and contact.pending_key is None
        certified = certification(tx, address, key, self._context.now)
        digits = digits_of(self._context.own, address, key)
        return SafetyNumber(address, digits, verified, certified.issuer, certified.refusal)

    async def confirm(self, address: Address, digits: str) -> SafetyNumber:
        """Mark a contact verified whose safety number is this. Raises Failure(SAFETY_NUMBER)."""
        compared = "".join(one for one in digits if one.isascii() and one.isdigit())

        def operation(tx: Connection) -> SafetyNumber:
            number = self._safety_number(tx, address)
            if not hmac.compare_digest(number.digits.encode(), compared.encode()):
                raise Failure(
                    Code.SAFETY_NUMBER,
                    f"this is not the safety number with {address}; somebody may be in between",
                )
            self._use_pending(tx, address)
            contacts.mark_verified(tx, address)
            return self._safety_number(tx, address)

        number = await self._context.write(operation)
        self._changed(address)
        return number

    async def trust(self, address: Address) -> TrustChange:
        """Accept the changed key of a contact, unverified."""

        def operation(tx: Connection) -> TrustChange:
            contact = contacts.load_contact(tx, address)
            if contact.pending_key is None or contact.trusted_key is None:
                return TrustChange(None, None)
            old = digits_of(self._context.own, address, contact.trusted_key)
            self._use_pending(tx, address)
            return TrustChange(old, digits_of(self._context.own, address, contact.pending_key))

        change = await self._context.write(operation)
        self._changed(address)
        return change

    @staticmethod
    def _use_pending(tx: Connection, address: Address) -> None:
        pending = contacts.load_contact(tx, address).pending_key
        if pending is not None:
            use_key(tx, address, pending)

    def _contact(self, tx: Connection, record: ContactRecord) -> Contact:
        issuer = issuer_of(tx, record.address, record.trusted_key, self._context.now)
        return Contact(
            record.address, record.name, record.accepted, record.blocked, record.verified, issuer,
            request=record.listed and record.is_request,
            timer=load_timer(tx, record.address).seconds,
        )  # fmt: skip

    def _refuse_own(self, address: Address) -> None:
        if address == self._context.own.address:
            raise Failure(Code.USAGE, f"{address} is your own number")


def _require(tx: Connection, address: Address) -> None:
    if not contacts.load_contact(tx, address).listed:
        raise Failure(Code.USAGE, f"{address} is not in the address book")


def _refuse_name(tx: Connection, address: Address, name: str) -> None:
    refused = name_refused(name)
    if refused is not None:
        raise Failure(Code.USAGE, refused)
    for theirs, other in contacts.names(tx):
        if theirs != address and look_alike(name, other):
            alike = "has this name" if name == other else f"is called {other}, which looks the same"
            raise Failure(Code.USAGE, f"{name}: another contact {alike}")
