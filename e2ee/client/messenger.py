"""The client's conversations: one object that whoever shows them talks to.

Composes sender, receiver, prekeeper, presence and address book around one open vault and one link.
Knows nothing of terminals, files or arguments; everything that it answers stands in `events`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from e2ee.client.backups.sealed_copies import SealedCopies
from e2ee.client.contacts.address_book import AddressBook
from e2ee.client.context import context_of
from e2ee.client.directory import Directory
from e2ee.client.events import Contact, Event, SafetyNumber, SentMessage, SentState, Status, TrustChange
from e2ee.client.history.archive import Archive
from e2ee.client.history.typed import Typed
from e2ee.client.identification.identities import Identities
from e2ee.client.linking.link_watch import LinkWatch
from e2ee.client.linking.network_link import MakeLink, network_link
from e2ee.client.prekeeper import PreKeeper
from e2ee.client.presence import Presence
from e2ee.client.profile import OpenProfile
from e2ee.client.readers import Readers
from e2ee.client.receiving.gaps import Gaps
from e2ee.client.receiving.incoming import Incoming
from e2ee.client.receiving.receiver import Receiver
from e2ee.client.recovery.healing import Healer
from e2ee.client.recovery.state_watch import StateWatch
from e2ee.client.registering.departure import Departure
from e2ee.client.registering.registration_pin import RegistrationPin
from e2ee.client.sending.outgoing import Outgoing
from e2ee.client.sending.receipts import Receipts
from e2ee.client.sending.sender import Sender
from e2ee.client.sending.typing_notices import TypingNotices
from e2ee.client.standing import find_status
from e2ee.client.threads import InThread, threads_of
from e2ee.client.transfers.files import files_of
from e2ee.client.upkeep import Upkeep
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.primitives import Entropy
from e2ee.errors import Failure
from e2ee.ids import Address, MessageId
from e2ee.wire import messages as m


class Messenger:
    """The conversations of one open profile. All methods are called on the reactor's thread.

    `reactor` schedules, `wall` gives seconds since 1970. With `once` the link does not try a second time
    until somebody wants more; `make_link` is the network's, unless given. `readers` have what is unshown,
    `archive` has the past, `book` the people. Stop it before the profile is closed.
    """

    def __init__(
        self,
        open_profile: OpenProfile,
        reactor: Any,
        entropy: Entropy,
        *,
        once: bool = False,
        make_link: MakeLink | None = None,
        wall: Callable[[], float] = time.time,
        in_thread: InThread | None = None,
    ) -> None:
        context = context_of(open_profile, reactor, entropy, wall)
        in_thread = in_thread or threads_of(reactor)
        outgoing, directory = Outgoing(context.own, entropy, encapsulate), Directory(context)
        self._context = context
        self._sender = Sender(context, outgoing, self._timed)
        self._prekeeper = PreKeeper(context, in_thread)
        self._presence = Presence(context)
        self._watch = LinkWatch(context, self._connected, lambda: self._sender.changed(None))
        healer = Healer(context, self._sender.wake)
        self._receipts = Receipts(context, self._sender.wake)
        self._receiver = Receiver(
            context, directory, Incoming(context.own, context.warn, context.receipts),
            Gaps(context, healer), healer, self._receipts,
            changed=self._sender.wake, learned=self._presence.learned,
            stock_unknown=self._prekeeper.stock_unknown, drained=self._drained,
        )  # fmt: skip
        self.book = AddressBook(
            context, directory, outgoing,
            changed=self._key_settled, token_replaced=self._token_replaced, timed=self._timed,
        )  # fmt: skip
        self._profile, self._online = open_profile, False
        self.identities = Identities(context, in_thread, self._key_settled)
        self.registration_pin = RegistrationPin(context, in_thread)
        self.departure = Departure(context, self._watch.entered)
        self.files = files_of(context, open_profile, outgoing, in_thread, self._sender)
        self._upkeep = Upkeep(context, self._sender, self._prekeeper, healer, self.files)
        self.readers = Readers(context, self._receipts, self.files, self._timed)
        self.copies = SealedCopies(context, open_profile, in_thread)
        self.archive = Archive(context, self._upkeep.erasure.forgotten)
        self.typing = TypingNotices(context, outgoing, self._sender.wake)
        self.typed = Typed(context)
        self._state_watch = StateWatch(context, self._state_known)
        make_link = make_link or network_link(open_profile, reactor, entropy, once)
        context.link = make_link(self._push, self._watch.entered)

    # --- life -------------------------------------------------------------------------------

    async def start(self, *, connect: bool = True) -> None:
        """Prepare the vault, then connect, unless only what it holds is wanted."""
        await self._upkeep.begin()
        await self._receipts.begin()
        if connect:
            await self.connect(once=True)

    async def connect(self, *, once: bool) -> None:
        """Have a connection from now on; unless `once`, whatever becomes of the first attempt."""
        if not once:
            self._context.link.keep_trying()
        if not self._online:
            self._online = True
            if not await self.departure.is_over():
                await self._upkeep.go_online()
                self._context.link.start()

    async def stop(self) -> None:
        """End the connection and everything that runs. The profile may be closed then."""
        self.files.stop()
        await self._context.link.stop()
        await self._context.tasks.finish()
        await self._upkeep.end()

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell `listener` of every event from now on; returns what ends that."""
        return self._context.listeners.subscribe(listener)

    @property
    def own_address(self) -> Address:
        """The own number."""
        return self._context.own.address

    @property
    def is_connected(self) -> bool:
        """Whether the link is logged in now."""
        return self._context.is_up

    @property
    def was_connected(self) -> bool:
        """Whether it was logged in at least once since the start."""
        return self._context.connection > 0

    async def connected(self, timeout: float | None, *, once: bool = False) -> None:
        """Wait until logged in, with `once` only while nothing goes wrong. Raises the Failure why not."""
        await self._watch.connected(timeout, once=once)

    @property
    def given_up(self) -> Failure | None:
        """Why there will be no connection any more, if that is so."""
        return self._watch.given_up

    async def drained(self, timeout: float | None) -> None:
        """Wait until everything that waited in the mailbox is in the vault. Raises Failure."""
        await self._watch.drained(timeout)

    async def supplied(self, timeout: float | None) -> None:
        """Wait until the directory has this device's present prekeys; returns early at the timeout."""
        await self._prekeeper.supplied(timeout)

    # --- sending ----------------------------------------------------------------------------

    async def queue(self, to: Address, text: str, message_id: MessageId | None = None) -> SentMessage:
        """Commit a text to the outbox, from where it is sent by itself; see `agent.Conversations`."""
        return await self._sender.queue(to, text, message_id)

    async def reached(self, message_id: MessageId, state: SentState, timeout: float | None) -> SentMessage:
        """Wait until a text has come so far, or it has failed; see `agent.Conversations`."""
        return await self._sender.reached(message_id, state, timeout)

    async def outbox_sent(self, timeout: float | None) -> None:
        """Wait until the server has answered to all in the outbox that does not have to wait, to the
        receipts that are owed, too, and has new prekeys if others had to go; returns early without a
        connection, and at the timeout."""
        await self._receipts.flush()
        await self._sender.has_sent(timeout)
        await self._prekeeper.replaced(timeout)

    async def sent(self, message_id: MessageId) -> SentMessage:
        """An own text as it stands. Raises Failure(USAGE) for an unknown id."""
        return await self._sender.sent(message_id)

    async def note_told(self, message_id: MessageId) -> None:
        """Somebody was told that this text has failed: no reader has to be. Raises Failure(USAGE)."""
        await self._sender.note_told(message_id)

    async def outbox(self) -> list[SentMessage]:
        """All texts that wait to be accepted, in order."""
        return await self._sender.outbox()

    async def cancel(self, message_id: MessageId) -> SentMessage:
        """Take a text out of the outbox. It may have left already: then only its state says so."""
        await self.files.uploads.cancel(message_id)
        return await self._sender.cancel(message_id)

    # --- presence ---------------------------------------------------------------------------

    async def online(self) -> list[tuple[Address, str | None]]:
        """Who else is connected, sorted by number, with names. Raises Failure."""
        return await self._presence.online()

    async def watch_presence(self) -> None:
        """Have PresenceChanged told from now on, on later connections too. Raises Failure."""
        await self._presence.watch()

    # --- people -----------------------------------------------------------------------------

    async def resolve(self, text: str) -> Address:
        """The number that a person means: an address, or a contact's name. Raises Failure(USAGE)."""
        return await self.book.resolve(text)

    async def contacts(self) -> list[Contact]:
        """The address book, sorted by number."""
        return await self.book.contacts()

    async def add_contact(self, address: Address, name: str) -> Contact:
        """Name a number and accept it. Raises Failure(USAGE)."""
        return await self.book.add(address, name)

    async def rename_contact(self, address: Address, name: str) -> Contact:
        """Raises Failure(USAGE)."""
        return await self.book.rename(address, name)

    async def block_contact(self, address: Address) -> Contact:
        """Acknowledge what comes from a number and never show it."""
        contact = await self.book.block(address)
        self.files.downloads.blocked(address)
        return contact

    async def remove_contact(self, address: Address) -> Contact:
        """Take a number out of the address book. Raises Failure(USAGE)."""
        return await self.book.remove(address)

    async def safety_number(self, address: Address) -> SafetyNumber:
        """The safety number with somebody; asks the directory where the key is not known yet.
        Raises Failure: UNREACHABLE without a connection then, UNKNOWN_RECIPIENT, USAGE."""
        if not await self.book.knows_key(address) and address != self.own_address:
            await self.book.look_up(address)
        return await self.book.safety_number(address)

    async def confirm(self, address: Address, digits: str) -> SafetyNumber:
        """Compare and mark verified; accepts a changed key. Raises Failure(SAFETY_NUMBER) and as above."""
        await self.safety_number(address)
        return await self.book.confirm(address, digits)

    async def trust(self, address: Address) -> TrustChange:
        """Accept the changed key of somebody; what waits is sent then."""
        return await self.book.trust(address)

    async def status(self) -> Status:
        """What vault and link know."""
        return await find_status(self._context, self._profile)

    # --- what comes from the link -----------------------------------------------------------

    def _connected(self, logged_in: m.LoggedIn) -> None:
        self._receiver.connected()
        self._state_watch.connected(logged_in)

    def _state_known(self, logged_in: m.LoggedIn) -> None:
        self._presence.connected()
        self.typing.connected()
        self.identities.connected()
        self._sender.wake_all()
        self.files.look()
        self._prekeeper.stock_is(logged_in.one_time_stock, logged_in.kem_one_time_stock)

    def _push(self, message: m.Message) -> None:
        if isinstance(message, m.Push):
            self._receiver.push(message)
        elif isinstance(message, m.Drained):
            self._receiver.drained()
        elif isinstance(message, m.Notice):
            self._context.tasks.spawn(self._sender.notice(message))
        elif isinstance(message, m.StockLow):
            self._prekeeper.stock_is(message.one_time_stock, message.kem_one_time_stock)
        elif isinstance(message, m.PresenceChanged):
            self._context.tasks.spawn(self._presence.changed(message))

    def _drained(self) -> None:
        self._watch.note_drained()
        self._context.tasks.spawn(self._prekeeper.forget_retired())

    def _key_settled(self, address: Address) -> None:
        self._sender.changed(address)
        self._sender.wake(address)
        self._presence.learned()
        self.files.look()

    def _timed(self) -> None:
        self._upkeep.expiring.look()

    def _token_replaced(self) -> None:
        if self._context.is_up:
            self._presence.connected()
            self._sender.wake_all()
