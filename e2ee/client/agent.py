"""A profile's conversations, through whichever process holds its vault.

This is what whoever shows them talks to: the same calls whether this process holds the vault or
another one does. Knows what can be asked for; neither sockets nor what answers. Values and events stand
in `events`.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from e2ee.client.contacts.contact_values import Imported, NamedNumber
from e2ee.client.deadline import Deadline
from e2ee.client.events import (
    Contact,
    SafetyNumber,
    Selection,
    SentMessage,
    SentState,
    ShownEvent,
    Status,
    TrustChange,
    UnreadOf,
)
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.certificates import Certificates
from e2ee.client.holding.past import Past
from e2ee.client.holding.roaming import Roaming
from e2ee.client.holding.shared_files import SharedFiles
from e2ee.client.holding.way import Way
from e2ee.crypto.primitives import Entropy
from e2ee.ids import Address, MessageId

__all__ = ["Conversations", "Way"]


class Conversations(Roaming):
    """The conversations of one profile; `archive` is their past, `files` is what is sent with
    messages, `certificates` says who vouches for whom. All methods are called on the reactor's thread.

    Nothing is asked before `start` and nothing after `close`. All calls may raise
    Failure(PROFILE_BUSY) where the holder of the vault does not answer, and what `start` raises when
    he has ended.
    """

    def __init__(
        self, way: Way, clock: IReactorTime, entropy: Entropy, *, connect: bool = True, once: bool = False
    ) -> None:
        super().__init__(way, clock, connect=connect, once=once)
        self._entropy = entropy
        self.archive = Past(self)
        self.certificates = Certificates(self)
        self.files = SharedFiles(self, entropy)

    # --- the link ---------------------------------------------------------------------------

    async def connected(self, timeout: float | None, *, once: bool | None = None) -> None:
        """Wait until logged in. Raises the Failure why not: UNREACHABLE at the timeout, or at once a
        matter of trust, DISPLACED, LOGGED_OUT, and with `once` whatever the last attempt has failed for."""
        until = Deadline(self._clock, timeout)
        patience = self._once if once is None else once
        await self.ask(lambda: h.Connected(until.left(), patience), until)

    async def drained(self, timeout: float | None) -> None:
        """Wait until everything that waited in the mailbox is in the vault. Raises as `connected`, or
        Failure(TIMEOUT)."""
        until = Deadline(self._clock, timeout)
        await self.ask(lambda: h.DrainedAt(until.left()), until)

    async def set_pin(self, text: str) -> None:
        """From now on the number is registered anew only with this PIN, too.

        Returns when the server has it. Raises Failure: USAGE for what is no PIN, UNREACHABLE where the
        answer does not come: it may have been done then.
        """
        await self.ask(lambda: h.SetPin(text))

    async def remove_pin(self) -> None:
        """From now on a passcode is enough. Raises Failure as `set_pin`."""
        await self.ask(h.RemovePin)

    async def delete_account(self) -> None:
        """The server deletes the account with all that waits for it; the profile stays, unconnected.

        Returns when it is done. Raises Failure as `set_pin`.
        """
        await self.ask(h.DeleteAccount)

    async def status(self) -> Status:
        """What vault and link know."""
        return await self.ask(h.AskStatus)

    # --- sending ----------------------------------------------------------------------------

    async def queue(self, to: Address, text: str, message_id: MessageId | None = None) -> SentMessage:
        """Commit a text to the outbox, from where it is sent by itself.

        The same id with the same text and recipient is one message however often it is queued.
        Raises Failure(USAGE), nothing kept, for an empty text, one over 64 KiB of UTF-8 or with lone
        surrogates, the own number, or an id that belongs to another message.
        """
        chosen = message_id or MessageId(self._entropy(MessageId.SIZE))
        return await self.ask(lambda: h.Queue(to, text, chosen))

    async def accepted(self, message_id: MessageId, timeout: float | None) -> SentMessage:
        """Wait until the server has accepted a text, or it has failed; as `reached`."""
        return await self.reached(message_id, SentState.STORED, timeout)

    async def reached(
        self, message_id: MessageId, state: SentState, timeout: float | None
    ) -> SentMessage:
        """Wait until a text has come as far as `state`, or it has failed.

        Returns earlier, with `error`, if it waits for something that does not come within `timeout`
        seconds; at the timeout as it stands, without error. Raises the link's last Failure if that is
        given up, Failure(USAGE) for an unknown id.
        """
        until = Deadline(self._clock, timeout)
        return await self.ask(lambda: h.Reached(message_id, state, until.left()), until)

    async def sent(self, message_id: MessageId) -> SentMessage:
        """An own text as it stands. Raises Failure(USAGE) for an unknown id."""
        return await self.ask(lambda: h.Sent(message_id))

    async def note_told(self, message_id: MessageId) -> None:
        """Somebody was told that this text has failed: no reader has to be. Raises Failure(USAGE)."""
        await self.ask(lambda: h.NoteTold(message_id))

    async def outbox(self) -> list[SentMessage]:
        """All texts that wait to be accepted, in order."""
        return list(await self.ask(h.Outbox))

    async def cancel(self, message_id: MessageId) -> SentMessage:
        """Take a text out of the outbox. It may have left already: then only its state says so."""
        return await self.ask(lambda: h.Cancel(message_id))

    # --- reading ----------------------------------------------------------------------------

    async def take(self, most: int | None, selection: Selection | None = None) -> list[ShownEvent]:
        """What is unshown is this one's to show, up to `most` texts; returns the first of it, oldest
        first. Others that read see only what comes from now on."""
        return [told.event for told in await self.ask(lambda: h.Take(most, selection))]

    async def unread(self) -> list[UnreadOf]:
        """From whom how many texts could be taken, sorted by number."""
        return list(await self.ask(h.Unread))

    async def mark_printing(self, events: Sequence[ShownEvent]) -> list[ShownEvent]:
        """Before these are printed: after a crash they are marked as repeated. Returns those that still
        are to be printed; the others have been shown meanwhile."""
        positions = tuple(event.position for event in events)
        granted = set(await self.ask(lambda: h.MarkPrinting(positions)))
        return [event for event in events if event.position in granted]

    async def mark_shown(self, events: Sequence[ShownEvent]) -> None:
        """After these were printed and flushed."""
        positions = tuple(event.position for event in events)
        await self.ask(lambda: h.MarkShown(positions))

    # --- what was typed ---------------------------------------------------------------------

    async def remember_line(self, line: str) -> None:
        """Keep a line that was typed in a chat; a thousand are kept, within the vault."""
        await self.ask(lambda: h.RememberLine(line))

    async def typed_lines(self) -> list[str]:
        """Those that are kept, oldest first."""
        return list(await self.ask(h.TypedLines))

    async def tell_typing(self, address: Address) -> None:
        """Let an accepted contact know that the user is writing to him. For whom the server says to be
        connected only: for others it would wait there. At most one in five seconds is sent."""
        await self.ask(lambda: h.TellTyping(address))

    # --- people -----------------------------------------------------------------------------

    async def online(self) -> list[tuple[Address, str | None]]:
        """Who else is connected, sorted by number, with names. Raises Failure."""
        return list(await self.ask(h.Online))

    async def watch_presence(self) -> None:
        """Have PresenceChanged told from now on, on later connections too. Raises Failure."""
        await self.ask(h.WatchPresence)

    async def resolve(self, text: str) -> Address:
        """The number that a person means: an address, or a contact's name. Raises Failure(USAGE)."""
        return await self.ask(lambda: h.Resolve(text))

    async def contacts(self) -> list[Contact]:
        """The address book, sorted by number."""
        return list(await self.ask(h.Contacts))

    async def add_contact(self, address: Address, name: str) -> Contact:
        """Name a number and accept it. Raises Failure(USAGE)."""
        return await self.ask(lambda: h.AddContact(address, name))

    async def accept_contact(self, address: Address) -> Contact:
        """Accept whoever writes from a number, without naming him. Raises Failure(USAGE)."""
        return await self.ask(lambda: h.AcceptContact(address))

    async def import_contacts(self, entries: Sequence[NamedNumber], *, skip: bool = False) -> Imported:
        """Add what a file has and accept it, all or nothing: neither renames, unblocks nor verifies anybody,
        and sends nothing. `skip`: without what `add_contact` would refuse, which is Failure(USAGE) else."""
        return await self.ask(lambda: h.ImportContacts(tuple(entries), skip))

    async def set_timer(self, address: Address, seconds: int | None) -> Contact:
        """Have texts with this number disappear after so long, 0: never, None: as they do, on both sides: own
        ones counted from when they were sent, received ones from when they were first shown. Raises
        Failure(USAGE)."""
        return await self.ask(lambda: h.SetTimer(address, seconds))

    async def rename_contact(self, address: Address, name: str) -> Contact:
        """Raises Failure(USAGE)."""
        return await self.ask(lambda: h.RenameContact(address, name))

    async def block_contact(self, address: Address) -> Contact:
        """Acknowledge what comes from a number and never show it."""
        return await self.ask(lambda: h.BlockContact(address))

    async def remove_contact(self, address: Address) -> Contact:
        """Take a number out of the address book. Raises Failure(USAGE)."""
        return await self.ask(lambda: h.RemoveContact(address))

    async def safety_number(self, address: Address) -> SafetyNumber:
        """The safety number with somebody; asks the directory where the key is not known yet.

        Raises Failure: UNREACHABLE without a connection then, UNKNOWN_RECIPIENT, USAGE.
        """
        return await self.ask(lambda: h.AskSafetyNumber(address))

    async def confirm(self, address: Address, digits: str) -> SafetyNumber:
        """Compare and mark verified; accepts a changed key. Raises Failure(SAFETY_NUMBER) and as above."""
        return await self.ask(lambda: h.Confirm(address, digits))

    async def trust(self, address: Address) -> TrustChange:
        """Accept the changed key of somebody; what waits is sent then."""
        return await self.ask(lambda: h.Trust(address))
