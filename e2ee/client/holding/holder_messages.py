"""Everything that a command and the process that holds its profile's vault say to each other.

Declared once, here and in `events`. Knows names, fields and bounds; not who answers (`clerk`) nor how
it travels (`holder_codec`). A change that an older process would misunderstand is a new VERSION.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Generic, TypeVar, get_args

from msgspec import Meta, Raw, Struct

from e2ee.client.contacts.contact_values import IMPORTED_CONTACTS, Imported, NamedNumber
from e2ee.client.events import (
    Contact,
    ContactTyping,
    Drained,
    FileFacts,
    FileProgress,
    FileReceived,
    Forgotten,
    Gap,
    HistoryEntry,
    HistoryQuery,
    KeyChanged,
    LinkDown,
    LinkEnded,
    LinkUp,
    MessageFailed,
    MessageReceived,
    MessageSent,
    PresenceChanged,
    PutBack,
    ReceiptReceived,
    SafetyNumber,
    Selection,
    SentAgain,
    SentMessage,
    SentState,
    Status,
    TimerChanged,
    TrustChange,
    Undecryptable,
    UnreadOf,
)
from e2ee.client.identification.certificate_values import OwnIdentity, TrustedAuthority
from e2ee.errors import Failure
from e2ee.ids import Address, MessageId

T_co = TypeVar("T_co", covariant=True)

VERSION: Final = 1

ASKED_FRAME_BYTES: Final = 1024 * 1024
"""What a command may say at once: a text of 64 KiB, or the positions of a long page."""
TOLD_FRAME_BYTES: Final = 4 * 1024 * 1024
"""What a holder may say at once: a page of texts, with the longest one behind its end."""
PART_BYTES: Final = 256 * 1024
"""Longer lists go out in parts of about this size."""
UNSENT_BYTES: Final = 8 * 1024 * 1024
"""Events that a command has not taken; more, and it is left alone with the vault."""
CONFIG_BYTES: Final = 64 * 1024
"""More than anybody writes into `config.toml`."""
REQUESTS_IN_FLIGHT: Final = 256
CALLERS: Final = 500
"""Commands that are served at once: below the usual limit of open files."""
HELLO_SECONDS: Final = 10.0

Number = Annotated[int, Meta(ge=0, lt=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=10**9)]
Line = Annotated[str, Meta(max_length=1000)]
FilePlace = Annotated[str, Meta(max_length=4096)]
Body = Annotated[str, Meta(max_length=128 * 1024)]
Certificates = Annotated[bytes, Meta(max_length=64 * 1024)]
RevocationLists = Annotated[bytes, Meta(max_length=512 * 1024)]
NamedNumbers = Annotated[tuple[NamedNumber, ...], Meta(max_length=IMPORTED_CONTACTS)]
BackupSecret = Annotated[bytes, Meta(min_length=32, max_length=32)]
ConfigText = Annotated[str, Meta(max_length=CONFIG_BYTES)]
Positions = Annotated[tuple[Number, ...], Meta(max_length=10_000)]


# --- requests: the type in brackets is the answer's ------------------------------------------


class Request(Struct, Generic[T_co], frozen=True, forbid_unknown_fields=True):
    """Something that is asked of the holder; `T_co` is what it answers."""

    def __repr__(self) -> str:
        """Without what it says: texts belong into no log."""
        return f"{type(self).__name__}(…)"


class Connect(Request[None], frozen=True, tag="connect"):
    """Have a connection to the server; with `once` a single attempt is enough."""

    once: bool


class Connected(Request[None], frozen=True, tag="connected"):
    """Wait until logged in; with `once` only while nothing has gone wrong."""

    timeout: Seconds | None
    once: bool = False


class DrainedAt(Request[None], frozen=True, tag="drained"):
    """Wait until the mailbox is drained."""

    timeout: Seconds | None


class Queue(Request[SentMessage], frozen=True, tag="queue"):
    """Commit a text to the outbox; the caller chooses the id, so that it is one message."""

    to: Address
    text: Body
    message_id: MessageId


class QueueFile(Request[SentMessage], frozen=True, tag="queue_file"):
    """Send a file, with a text that may be empty; the holder reads it, in this same user's name."""

    to: Address
    path: FilePlace
    text: Body
    message_id: MessageId


class WantFile(Request[FileFacts | None], frozen=True, tag="want_file"):
    """The message with this file is about to be shown; it is to go into this folder."""

    address: Address
    message_id: MessageId
    folder: FilePlace | None


class Fetching(Request[int], frozen=True, tag="fetching"):
    """How many files of others are on their way."""


class Reached(Request[SentMessage], frozen=True, tag="reached"):
    """Wait until a text has come so far, or it has failed."""

    message_id: MessageId
    state: SentState
    timeout: Seconds | None


class Sent(Request[SentMessage], frozen=True, tag="sent"):
    """An own text as it stands."""

    message_id: MessageId


class NoteTold(Request[None], frozen=True, tag="note_told"):
    """The caller has told that this text has failed: no reader has to be."""

    message_id: MessageId


class Outbox(Request[tuple[SentMessage, ...]], frozen=True, tag="outbox"):
    """What waits to be accepted."""


class Cancel(Request[SentMessage], frozen=True, tag="cancel"):
    """Take a text out of the outbox."""

    message_id: MessageId


class Unread(Request[tuple[UnreadOf, ...]], frozen=True, tag="unread"):
    """From whom how many texts are that this caller could show."""


class MarkPrinting(Request[tuple[int, ...]], frozen=True, tag="mark_printing"):
    """These are about to be printed; the answer is which of them may be."""

    positions: Positions


class MarkShown(Request[None], frozen=True, tag="mark_shown"):
    """These were printed and flushed."""

    positions: Positions


class FindHistory(Request[tuple[int, ...]], frozen=True, tag="find_history"):
    """Where in the vault the texts of the past are that are wanted."""

    query: HistoryQuery


class LoadHistory(Request[tuple[HistoryEntry, ...]], frozen=True, tag="load_history"):
    """Those in these rows."""

    rows: Positions


class ForgetMessage(Request[Forgotten], frozen=True, tag="forget_message"):
    """Delete a text for good."""

    message_id: MessageId


class ForgetConversation(Request[Forgotten], frozen=True, tag="forget_conversation"):
    """Delete all texts with one number for good."""

    address: Address


class RememberLine(Request[None], frozen=True, tag="remember_line"):
    """Keep a line that was typed in a chat."""

    line: Body


class TellTyping(Request[None], frozen=True, tag="tell_typing"):
    """The user is writing to this number."""

    address: Address


class TypedLines(Request[tuple[str, ...]], frozen=True, tag="typed_lines"):
    """The lines that are kept, oldest first."""


class Online(Request[tuple[tuple[Address, str | None], ...]], frozen=True, tag="online"):
    """Who else is connected."""


class WatchPresence(Request[None], frozen=True, tag="watch_presence"):
    """Have changes told."""


class Resolve(Request[Address], frozen=True, tag="resolve"):
    """The number that a person means."""

    text: Line


class Contacts(Request[tuple[Contact, ...]], frozen=True, tag="contacts"):
    """The address book."""


class AddContact(Request[Contact], frozen=True, tag="add_contact"):
    """Name a number and accept it."""

    address: Address
    name: Line


class AcceptContact(Request[Contact], frozen=True, tag="accept_contact"):
    """Accept a number without naming it."""

    address: Address


class ImportContacts(Request[Imported], frozen=True, tag="import_contacts"):
    """Add what a file has; with `skip` without what cannot be added."""

    contacts: NamedNumbers
    skip: bool


class SetTimer(Request[Contact], frozen=True, tag="set_timer"):
    """Texts with this number disappear after so many seconds; 0: never, None: as they do."""

    address: Address
    seconds: Number | None


class RenameContact(Request[Contact], frozen=True, tag="rename_contact"):
    """Another name."""

    address: Address
    name: Line


class BlockContact(Request[Contact], frozen=True, tag="block_contact"):
    """Never show it again."""

    address: Address


class RemoveContact(Request[Contact], frozen=True, tag="remove_contact"):
    """Out of the address book."""

    address: Address


class AskSafetyNumber(Request[SafetyNumber], frozen=True, tag="safety_number"):
    """The safety number with somebody."""

    address: Address


class Confirm(Request[SafetyNumber], frozen=True, tag="confirm"):
    """Compare, and mark verified."""

    address: Address
    digits: Line


class Trust(Request[TrustChange], frozen=True, tag="trust"):
    """Accept a changed key."""

    address: Address


class SetPin(Request[None], frozen=True, tag="set_pin"):
    """The account has this registration PIN."""

    text: Line


class RemovePin(Request[None], frozen=True, tag="remove_pin"):
    """The account has none."""


class DeleteAccount(Request[None], frozen=True, tag="delete_account"):
    """The account is no more; the profile stays."""


class AttachIdentity(Request[OwnIdentity], frozen=True, tag="attach_identity"):
    """Show contacts this certificate; its key signs once. Both are PEM."""

    certificate: Certificates
    key: Certificates


class RemoveIdentity(Request[None], frozen=True, tag="remove_identity"):
    """Show none."""


class AskOwnIdentity(Request[OwnIdentity | None], frozen=True, tag="own_identity"):
    """What the server shows."""


class IsIdentityOpen(Request[bool], frozen=True, tag="is_identity_open"):
    """Whether the directory could have a certificate that the vault has not."""

    address: Address


class AskIdentity(Request[None], frozen=True, tag="ask_identity"):
    """Ask it about this number."""

    address: Address


class OpenIdentities(Request[tuple[Address, ...]], frozen=True, tag="open_identities"):
    """About whom in the address book it is worth asking."""


class TrustAuthorities(Request[tuple[TrustedAuthority, ...]], frozen=True, tag="trust_authorities"):
    """Trust these certification authorities, and keep these revocation lists."""

    certificates: Certificates | None
    lists: RevocationLists | None


class AskAuthorities(Request[tuple[TrustedAuthority, ...]], frozen=True, tag="authorities"):
    """Those that are trusted."""


class Distrust(Request[TrustedAuthority], frozen=True, tag="distrust"):
    """Trust one no more."""

    which: Line


class MakeBackup(Request[None], frozen=True, tag="make_backup"):
    """Begin to seal the vault under this key, for this caller; he may if he has the vault's own (`permit`).

    A caller has one at a time, until he goes. A key is for one time: asked again, it is with another.
    """

    chunk_key: BackupSecret
    permit: BackupSecret
    version: Line
    config: ConfigText | None


class MadeBackup(Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup has. `size`: bytes of all its chunks."""

    contacts: Number
    messages: Number
    size: Number


class BackupPart(Struct, frozen=True, forbid_unknown_fields=True):
    """Up to PART_BYTES of it; `made` once it is whole."""

    content: bytes
    made: MadeBackup | None

    def __repr__(self) -> str:
        """Without all those bytes."""
        return f"BackupPart({len(self.content)} bytes, {self.made})"


class ReadBackup(Request[BackupPart | None], frozen=True, tag="read_backup"):
    """What there is of it behind `offset`; None where none was begun: this is another holder."""

    offset: Number


class AskStatus(Request[Status], frozen=True, tag="status"):
    """What vault and link know."""


# --- events: each in its own wrapping, so that its kind can be told ---------------------------


class Told(Struct, frozen=True, forbid_unknown_fields=True):
    """An event on its way to a caller."""


class MessageTold(Told, frozen=True, tag="message"):
    """A text."""

    event: MessageReceived


class KeyChangedTold(Told, frozen=True, tag="key_changed"):
    """Somebody's key."""

    event: KeyChanged


class UndecryptableTold(Told, frozen=True, tag="undecryptable"):
    """What could not be read."""

    event: Undecryptable


class GapTold(Told, frozen=True, tag="gap"):
    """What is missing."""

    event: Gap


class FailedTold(Told, frozen=True, tag="failed"):
    """An own text."""

    event: MessageFailed


class ReceiptTold(Told, frozen=True, tag="receipt"):
    """What a contact says of an own text."""

    event: ReceiptReceived


class TimerTold(Told, frozen=True, tag="timer"):
    """After what time texts disappear."""

    event: TimerChanged


class FileTold(Told, frozen=True, tag="file"):
    """A file that is here, or will not be."""

    event: FileReceived


class FileProgressTold(Told, frozen=True, tag="file_progress"):
    """How far a file has come."""

    event: FileProgress


class SentAgainTold(Told, frozen=True, tag="sent_again"):
    """Own texts that wait once more."""

    event: SentAgain


class PutBackTold(Told, frozen=True, tag="put_back"):
    """An older state of the profile, or of the server."""

    event: PutBack


class SentTold(Told, frozen=True, tag="sent"):
    """An own text's state."""

    event: MessageSent


class LinkUpTold(Told, frozen=True, tag="link_up"):
    """The connection is there."""

    event: LinkUp


class LinkDownTold(Told, frozen=True, tag="link_down"):
    """The connection is lost."""

    event: LinkDown


class LinkEndedTold(Told, frozen=True, tag="link_ended"):
    """The connection is given up."""

    event: LinkEnded


class DrainedTold(Told, frozen=True, tag="drained"):
    """The mailbox is drained."""

    event: Drained


class PresenceTold(Told, frozen=True, tag="presence"):
    """Somebody came or left."""

    event: PresenceChanged


class TypingTold(Told, frozen=True, tag="typing"):
    """A contact is writing."""

    event: ContactTyping


ShownTold = (
    MessageTold | KeyChangedTold | UndecryptableTold | GapTold | FailedTold | ReceiptTold | TimerTold
    | FileTold | SentAgainTold | PutBackTold
)  # fmt: skip
AnyTold = (
    ShownTold | SentTold | FileProgressTold | LinkUpTold | LinkDownTold | LinkEndedTold | DrainedTold
    | PresenceTold | TypingTold
)  # fmt: skip

WRAPPINGS: Final[dict[type, Any]] = {
    MessageReceived: MessageTold,
    KeyChanged: KeyChangedTold,
    Undecryptable: UndecryptableTold,
    Gap: GapTold,
    MessageFailed: FailedTold,
    ReceiptReceived: ReceiptTold,
    TimerChanged: TimerTold,
    FileReceived: FileTold,
    FileProgress: FileProgressTold,
    SentAgain: SentAgainTold,
    PutBack: PutBackTold,
    MessageSent: SentTold,
    LinkUp: LinkUpTold,
    LinkDown: LinkDownTold,
    LinkEnded: LinkEndedTold,
    Drained: DrainedTold,
    PresenceChanged: PresenceTold,
    ContactTyping: TypingTold,
}
"""Kind of event → how it travels."""


class Take(Request[tuple[ShownTold, ...]], frozen=True, tag="take"):
    """What is unshown is this caller's to show, up to `most` texts; the answer is the first page of it."""

    most: Number | None
    selection: Selection | None


class Subscribed(Struct, frozen=True, forbid_unknown_fields=True):
    """`position` is the newest there is; `missed` came behind the one that was named."""

    position: Number
    missed: tuple[ShownTold, ...]


class Subscribe(Request[Subscribed], frozen=True, tag="subscribe"):
    """Tell every event from now on; `since` is the last position that was heard of elsewhere."""

    since: Number | None


AnyRequest = (
    Connect | Connected | DrainedAt | Queue | QueueFile | WantFile | Fetching | Reached | Sent | NoteTold
    | Outbox | Cancel
    | Unread | MarkPrinting | MarkShown | FindHistory | LoadHistory | ForgetMessage
    | ForgetConversation | RememberLine | TypedLines | TellTyping | Online | WatchPresence | Resolve
    | Contacts | AddContact | AcceptContact | ImportContacts | SetTimer | RenameContact | BlockContact
    | RemoveContact | AskSafetyNumber | Confirm | Trust | SetPin | RemovePin | DeleteAccount
    | AttachIdentity | RemoveIdentity | AskOwnIdentity | IsIdentityOpen | AskIdentity | OpenIdentities
    | TrustAuthorities
    | MakeBackup | ReadBackup
    | AskAuthorities | Distrust | AskStatus | Take | Subscribe
)  # fmt: skip
WAITS: Final = (Connected, DrainedAt, Reached)
"""What waits for something else than this machine: it may be asked again elsewhere, at any time."""


def answer_type(kind: type[Request[Any]]) -> Any:
    """What a request of this kind is answered with."""
    return get_args(kind.__orig_bases__[0])[0]  # type: ignore[attr-defined]


# --- frames -----------------------------------------------------------------------------------


class Hello(Struct, frozen=True, forbid_unknown_fields=True, tag="hello"):
    """The first frame of a command. `lasting`: it does not end by itself."""

    versions: Annotated[tuple[int, ...], Meta(max_length=16)]
    lasting: bool


class Ask(Struct, frozen=True, forbid_unknown_fields=True, tag="ask"):
    """A request with a number of the caller's."""

    number: Number
    request: AnyRequest


class Welcome(Struct, frozen=True, forbid_unknown_fields=True, tag="welcome"):
    """The first frame of a holder. `lasting`: it does not end by itself."""

    version: int
    lasting: bool
    address: Address
    connected: bool
    was_connected: bool


class Answer(Struct, frozen=True, forbid_unknown_fields=True, tag="answer"):
    """The answer to a request, or a part of a list of which there is `more`."""

    number: Number
    value: Raw
    more: bool = False


class Refused(Struct, frozen=True, forbid_unknown_fields=True, tag="refused"):
    """Why a request was not carried out."""

    number: Number
    failure: Failure


class Tell(Struct, frozen=True, forbid_unknown_fields=True, tag="tell"):
    """An event."""

    told: AnyTold


class Leaving(Struct, frozen=True, forbid_unknown_fields=True, tag="leaving"):
    """The holder has done its own work: who is not about to end goes to the next one."""


AskedFrame = Hello | Ask
ToldFrame = Welcome | Answer | Refused | Tell | Leaving
