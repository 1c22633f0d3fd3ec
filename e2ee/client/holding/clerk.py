"""Carries out what one command asks for, on the messenger of the vault's holder.

The one table from requests to what answers them, for commands in this process and in others. Knows
no socket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from e2ee.client.backups.sealed_copies import SealedCopy
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.holder_codec import wrapped
from e2ee.client.messenger import Messenger

T = TypeVar("T")


class Clerk:
    """One caller's: with the messenger, and the caller's own place among its readers."""

    def __init__(self, messenger: Messenger) -> None:
        self.messenger = messenger
        self.reader = messenger.readers.enter()
        self.copy: SealedCopy | None = None

    async def perform(self, request: h.Request[T]) -> T:
        """The answer. Raises Failure."""
        return cast(T, await _PERFORM[type(request)](self, request))

    async def leave(self) -> None:
        """The caller has gone."""
        self.drop_copy()
        await self.reader.leave()

    def drop_copy(self) -> None:
        """He has no backup here any more."""
        copy, self.copy = self.copy, None
        if copy is not None:
            copy.drop()


async def _take(clerk: Clerk, asked: h.Take) -> tuple[h.AnyTold, ...]:
    return tuple(wrapped(event) for event in await clerk.reader.take(asked.most, asked.selection))


async def _subscribe(clerk: Clerk, asked: h.Subscribe) -> h.Subscribed:
    position, missed = await clerk.reader.listen(asked.since)
    return h.Subscribed(position, tuple(wrapped(event) for event in missed))  # type: ignore[misc]


async def _make_backup(clerk: Clerk, asked: h.MakeBackup) -> None:
    clerk.drop_copy()
    clerk.copy = clerk.messenger.copies.begin(asked)


async def _read_backup(clerk: Clerk, asked: h.ReadBackup) -> h.BackupPart | None:
    return None if clerk.copy is None else await clerk.copy.part(asked.offset)


def _listed(find: Callable[[Clerk, Any], Awaitable[list[Any]]]) -> Callable[[Clerk, Any], Awaitable[Any]]:
    """For answers that are lists."""

    async def found(clerk: Clerk, asked: Any) -> tuple[Any, ...]:
        return tuple(await find(clerk, asked))

    return found


_PERFORM: dict[type, Callable[[Clerk, Any], Awaitable[Any]]] = {
    h.Connect: lambda clerk, asked: clerk.messenger.connect(once=asked.once),
    h.Connected: lambda clerk, asked: clerk.messenger.connected(asked.timeout, once=asked.once),
    h.DrainedAt: lambda clerk, asked: clerk.messenger.drained(asked.timeout),
    h.Subscribe: _subscribe,
    h.Queue: lambda clerk, asked: clerk.messenger.queue(asked.to, asked.text, asked.message_id),
    h.QueueFile: lambda clerk, asked: clerk.messenger.files.queue(
        asked.to, asked.path, asked.text, asked.message_id
    ),
    h.WantFile: lambda clerk, asked: clerk.messenger.files.want(
        asked.address, asked.message_id, asked.folder
    ),
    h.Fetching: lambda clerk, _: clerk.messenger.files.fetching(),
    h.Reached: lambda clerk, asked: clerk.messenger.reached(asked.message_id, asked.state, asked.timeout),
    h.Sent: lambda clerk, asked: clerk.messenger.sent(asked.message_id),
    h.NoteTold: lambda clerk, asked: clerk.messenger.note_told(asked.message_id),
    h.Outbox: _listed(lambda clerk, _: clerk.messenger.outbox()),
    h.Cancel: lambda clerk, asked: clerk.messenger.cancel(asked.message_id),
    h.Take: _take,
    h.Unread: _listed(lambda clerk, _: clerk.reader.unread()),
    h.MarkPrinting: _listed(lambda clerk, asked: clerk.reader.mark_printing(asked.positions)),
    h.MarkShown: lambda clerk, asked: clerk.reader.mark_shown(asked.positions),
    h.FindHistory: _listed(lambda clerk, asked: clerk.messenger.archive.find(asked.query)),
    h.LoadHistory: _listed(lambda clerk, asked: clerk.messenger.archive.load(asked.rows)),
    h.ForgetMessage: lambda clerk, asked: clerk.messenger.archive.forget_message(asked.message_id),
    h.ForgetConversation: lambda clerk, asked: clerk.messenger.archive.forget_conversation(asked.address),
    h.RememberLine: lambda clerk, asked: clerk.messenger.typed.remember(asked.line),
    h.TypedLines: _listed(lambda clerk, _: clerk.messenger.typed.lines()),
    h.TellTyping: lambda clerk, asked: clerk.messenger.typing.tell(asked.address),
    h.Online: _listed(lambda clerk, _: clerk.messenger.online()),
    h.WatchPresence: lambda clerk, _: clerk.messenger.watch_presence(),
    h.Resolve: lambda clerk, asked: clerk.messenger.resolve(asked.text),
    h.Contacts: _listed(lambda clerk, _: clerk.messenger.contacts()),
    h.AddContact: lambda clerk, asked: clerk.messenger.add_contact(asked.address, asked.name),
    h.AcceptContact: lambda clerk, asked: clerk.messenger.book.accept(asked.address),
    h.ImportContacts: lambda clerk, asked: clerk.messenger.book.take_in(asked.contacts, skip=asked.skip),
    h.SetTimer: lambda clerk, asked: clerk.messenger.book.set_timer(asked.address, asked.seconds),
    h.RenameContact: lambda clerk, asked: clerk.messenger.rename_contact(asked.address, asked.name),
    h.BlockContact: lambda clerk, asked: clerk.messenger.block_contact(asked.address),
    h.RemoveContact: lambda clerk, asked: clerk.messenger.remove_contact(asked.address),
    h.AskSafetyNumber: lambda clerk, asked: clerk.messenger.safety_number(asked.address),
    h.Confirm: lambda clerk, asked: clerk.messenger.confirm(asked.address, asked.digits),
    h.Trust: lambda clerk, asked: clerk.messenger.trust(asked.address),
    h.SetPin: lambda clerk, asked: clerk.messenger.registration_pin.set(asked.text),
    h.RemovePin: lambda clerk, _: clerk.messenger.registration_pin.remove(),
    h.DeleteAccount: lambda clerk, _: clerk.messenger.departure.delete_account(),
    h.AttachIdentity: lambda clerk, asked: clerk.messenger.identities.attach(asked.certificate, asked.key),
    h.RemoveIdentity: lambda clerk, _: clerk.messenger.identities.remove(),
    h.AskOwnIdentity: lambda clerk, _: clerk.messenger.identities.own(),
    h.IsIdentityOpen: lambda clerk, asked: clerk.messenger.identities.is_open(asked.address),
    h.AskIdentity: lambda clerk, asked: clerk.messenger.identities.ask(asked.address),
    h.OpenIdentities: _listed(lambda clerk, _: clerk.messenger.identities.all_open()),
    h.TrustAuthorities: _listed(
        lambda clerk, asked: clerk.messenger.identities.authorities.trust(asked.certificates, asked.lists)
    ),
    h.AskAuthorities: _listed(lambda clerk, _: clerk.messenger.identities.authorities.all()),
    h.Distrust: lambda clerk, asked: clerk.messenger.identities.authorities.distrust(asked.which),
    h.MakeBackup: _make_backup,
    h.ReadBackup: _read_backup,
    h.AskStatus: lambda clerk, _: clerk.messenger.status(),
}
