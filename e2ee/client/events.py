"""What the client's conversations tell whoever shows them: events and plain values.

Frozen values without behaviour. Knows nothing of the vault, the wire or terminals; text and names in
here come from other people and go through the user interface's sanitiser before they are printed.
All times are whole milliseconds since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from e2ee.errors import Failure
from e2ee.ids import Address, DeviceId, MessageId


class SentState(StrEnum):
    """How far an own message has come. What the contact has said is never taken back by what the server
    says."""

    QUEUED = "queued"  # committed to the outbox, not accepted by the server
    STORED = "stored"  # the server has it on disk, or the recipient's vault keeps it unread
    DELIVERED = "delivered"  # the recipient's vault has opened it: the server or the recipient says so
    READ = "read"  # the recipient says that it was shown
    FAILED = "failed"  # it will not be delivered

    def reaches(self, wanted: SentState) -> bool:
        """Whether it has come at least as far as `wanted`; a failed one has not, whatever that is."""
        return self is not SentState.FAILED and _ORDER.index(self) >= _ORDER.index(wanted)


_ORDER = (SentState.QUEUED, SentState.STORED, SentState.DELIVERED, SentState.READ)


class FailedReason(StrEnum):
    """Why an own message will not be delivered."""

    EXPIRED = "expired"
    TAKEN_OVER = "taken_over"
    DELETED = "deleted"
    NOT_ACCEPTED = "not_accepted"


class FileState(StrEnum):
    """Where a file is."""

    UPLOADING = "uploading"  # own: the server does not have all of it, and the message waits for it
    UPLOADED = "uploaded"  # own: the message goes out, or has gone
    OFFERED = "offered"  # waits on the server: its sender is not accepted, or nobody has read the message
    FETCHING = "fetching"
    SAVED = "saved"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file that a message brings. `name` was made harmless; `path` is what is sent, or where it is kept.

    `reason`: why it failed, or why it is not here yet.
    """

    name: str
    size: int
    state: FileState
    path: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SentMessage:
    """An own message as it stands now. `error` says why it waits, or why it failed."""

    message_id: MessageId
    to: Address
    state: SentState
    error: Failure | None = None
    file: FileFacts | None = None


# --- events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A text. `repeated`: it may have been printed before a crash. `late`: its gap was marked.

    `verified_by`: the authority that certified the sender's account key when it came. `request`: its
    sender is nobody whom the user has accepted.
    `expires_in`: so many seconds after it was shown it is deleted, 0 for never.
    `position` is its place among what is unshown in the vault; pass the event to
    `Messenger.mark_printing` before, and `Messenger.mark_shown` after it was flushed.
    """

    message_id: MessageId
    address: Address
    name: str | None
    device: DeviceId
    sent_at: int
    received_at: int
    text: str = field(repr=False)
    verified: bool
    repeated: bool = False
    late: bool = False
    position: int = 0
    verified_by: str | None = None
    request: bool = False
    expires_in: int = 0
    file: FileFacts | None = None


@dataclass(frozen=True, slots=True)
class KeyChanged:
    """The account key of a contact is another one since `at`; nothing is sent until it is trusted.

    `verified_by`: a trusted authority certifies it, and it is used already.
    """

    address: Address
    name: str | None
    at: int
    repeated: bool = False
    position: int = 0
    verified_by: str | None = None


@dataclass(frozen=True, slots=True)
class Undecryptable:
    """An envelope that claims to come from `address` and could not be read. It proves nothing."""

    address: Address
    name: str | None
    received_at: int
    repeated: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """`missing` messages of `address` have not arrived before the one that follows."""

    address: Address
    name: str | None
    missing: int
    repeated: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class MessageFailed:
    """An own message will not be delivered."""

    message_id: MessageId
    to: Address
    name: str | None
    reason: FailedReason
    repeated: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class ReceiptReceived:
    """A contact says that an own message is kept there (DELIVERED), or that it was READ at `at`, by his
    clock. The newer of the two takes the place of an older one that nobody has seen."""

    message_id: MessageId
    address: Address
    name: str | None
    state: SentState
    at: int
    repeated: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class TimerChanged:
    """A contact has set that texts of this conversation disappear after so many `seconds`; 0: never."""

    address: Address
    name: str | None
    seconds: int
    at: int
    repeated: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class FileReceived:
    """The file of a message that was shown is here, SAVED at its path, or FAILED; or FETCHING still: the own
    disk does not take it now, and it is tried again."""

    message_id: MessageId
    address: Address
    name: str | None
    file: FileFacts
    repeated: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class SentAgain:
    """`messages` own messages that `address` says not to have wait in the outbox once more."""

    address: Address
    name: str | None
    messages: int
    at: int
    repeated: bool = False
    position: int = 0


class WhatWasPutBack(StrEnum):
    """Whose state is an older one."""

    PROFILE = "profile"  # a copy of the vault was put back, or used elsewhere
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class PutBack:
    """This profile, or its server, goes on from an older state; `address` is the own number."""

    what: WhatWasPutBack
    address: Address
    at: int
    repeated: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class MessageSent:
    """The state of an own message has changed, or the reason why it waits.

    Comes after the MessageFailed of the same message: who only waits for the end has heard the news.
    """

    message: SentMessage


@dataclass(frozen=True, slots=True)
class FileProgress:
    """So many bytes of the file of a message to or from `address` have gone through. Kept nowhere."""

    message_id: MessageId
    address: Address
    file: FileFacts
    done: int


@dataclass(frozen=True, slots=True)
class LinkUp:
    """Logged in. `waiting` counts the mailbox at that moment."""

    waiting: int


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The connection is lost, or could not be made; it is tried again."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class LinkEnded:
    """The connection is given up: displaced, logged out, or a trust failure; see `failure.code`."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Drained:
    """Everything that waited in the mailbox at the login has been taken over by the vault."""


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Somebody came or left; only after `Messenger.watch_presence`."""

    address: Address
    name: str | None
    online: bool


@dataclass(frozen=True, slots=True)
class ContactTyping:
    """A contact is writing to us at this moment. Comes again every few seconds while that is so."""

    address: Address


ShownEvent = (
    MessageReceived
    | KeyChanged
    | Undecryptable
    | Gap
    | MessageFailed
    | ReceiptReceived
    | TimerChanged
    | FileReceived
    | SentAgain
    | PutBack
)
"""Kept in the vault until a reader has shown it; has a `position`."""

Event = (
    ShownEvent | MessageSent | FileProgress | LinkUp | LinkDown | LinkEnded | Drained | PresenceChanged
    | ContactTyping
)


# --- questions and answers ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the unshown is wanted: of these `people`, or of all; `own_affairs`: only what no person
    wrote, such as changed keys and own messages that failed."""

    people: tuple[Address, ...] | None = None
    own_affairs: bool = False


@dataclass(frozen=True, slots=True)
class UnreadOf:
    """How many texts of somebody no reader has shown yet."""

    address: Address
    name: str | None
    texts: int


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody in the address book. Who only wrote to us has no name and is not accepted.

    `verified`: the user has compared the safety number. `verified_by`: the trusted certification
    authority that certifies the account key now. `request`: has written, and was neither accepted nor
    blocked. `timer`: texts disappear after so many seconds, 0 for never.
    """

    address: Address
    name: str | None
    accepted: bool
    blocked: bool
    verified: bool
    verified_by: str | None = None
    request: bool = False
    timer: int = 0


@dataclass(frozen=True, slots=True)
class SafetyNumber:
    """60 digits that are the same at both ends, unless somebody is in between.

    `verified_by` as in Contact; `refusal`: why a certificate that came with the key proves nothing.
    """

    address: Address
    digits: str
    verified: bool
    verified_by: str | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class TrustChange:
    """What `trust` did: both None if there was nothing to accept."""

    old_digits: str | None
    new_digits: str | None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A text of the past. `state` is None for what came in; `from_address` is the own one for `out`."""

    direction: str  # "in" or "out"
    message_id: MessageId
    from_address: Address
    to: Address
    name: str | None  # of the other side
    device: DeviceId | None  # the sender's, of what came in
    sent_at: int
    received_at: int | None
    text: str = field(repr=False)
    verified: bool
    late: bool
    state: SentState | None
    verified_by: str | None = None
    request: bool = False  # as in MessageReceived, by what the user has accepted now
    expires_in: int = 0  # seconds, 0 for never
    expires_at: int | None = None  # once that time runs
    file: FileFacts | None = None


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which texts of the past are wanted; all of them by default.

    `search` has words that all must begin a word of the text, and ``"phrases"``. `since` and `until` (not
    included) go by our clock where a text came in. `limit` counts from the newest on.
    """

    address: Address | None = None
    search: str | None = None
    since: int | None = None
    until: int | None = None
    direction: str | None = None  # "in" or "out"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many texts were deleted for good, and how many were not since they wait to be accepted."""

    messages: int
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """What the vault and the link know about this profile's conversations."""

    connected: bool
    key_exchange: str | None  # the TLS group of the present connection
    peer_pin: bytes | None  # SHA-256 of the server's public key on the present connection
    outbox: int
    unshown: int
    one_time_prekeys: int  # private halves that wait in the vault
    kem_one_time_prekeys: int
    failure: Failure | None  # why there is no connection
    address: Address
    device: DeviceId
    server: str  # host and port
    pin: str  # the one that is expected, as the connect link writes it
    passphrase: str  # where it comes from, as in `PassphraseSource`
