"""Every message of the protocol between client and server, declared once.

Knows names, fields and bounds; not when a message is legal (`phases`) nor how it is framed
(`framing`). Numbers and identifiers are plain `str` and `bytes` here: the edges turn them into the
types of `e2ee.ids`, and nothing but `codec` makes one of these from remote bytes.

Requests carry a number `n` chosen by the client, answers repeat it, pushes have none. Encoded as
MessagePack arrays, so adding a field is a new protocol version. Times are milliseconds since 1970.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from e2ee.wire import limits

RequestNumber = Annotated[int, Meta(ge=0, lt=2**31)]
Count = Annotated[int, Meta(ge=0, lt=2**31)]
Seconds = Annotated[float, Meta(ge=0, le=10**9)]
Milliseconds = Annotated[int, Meta(ge=0, lt=2**53)]
KeyId = Annotated[int, Meta(ge=0, lt=2**32)]
PushNumber = Annotated[int, Meta(ge=1, lt=2**53)]
NoticeNumber = Annotated[int, Meta(ge=1, lt=2**53)]
Number = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{1,14}\Z")]
Recipient = Annotated[str, Meta(min_length=3, max_length=16)]
"""A number again, in what comes most often: looked up at once, and judged only if nobody is known by it."""
Sentence = Annotated[str, Meta(max_length=limits.SENTENCE_CHARACTERS)]
Bytes8 = Annotated[bytes, Meta(min_length=8, max_length=8)]
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes33 = Annotated[bytes, Meta(min_length=33, max_length=33)]
Bytes40 = Annotated[bytes, Meta(min_length=40, max_length=40)]
Bytes64 = Annotated[bytes, Meta(min_length=64, max_length=64)]
Statement = Annotated[bytes, Meta(min_length=1, max_length=limits.STATEMENT_BYTES)]
SignedPreKeyBytes = Annotated[bytes, Meta(min_length=1, max_length=limits.SIGNED_PREKEY_BYTES)]
KemPreKeyBytes = Annotated[bytes, Meta(min_length=1, max_length=limits.KEM_PREKEY_BYTES)]
Identity = Annotated[bytes, Meta(min_length=1, max_length=limits.IDENTITY_BYTES)]
Envelope = Annotated[bytes, Meta(min_length=1, max_length=limits.ENVELOPE_BYTES)]
SealedChunk = Annotated[
    bytes, Meta(min_length=limits.SEALED_CHUNK_BYTES, max_length=limits.SEALED_CHUNK_BYTES)
]
ChunkCount = Annotated[int, Meta(ge=0, le=limits.FILE_CHUNKS)]
OutcomeBytes = Annotated[bytes, Meta(min_length=1, max_length=64)]
Features = Annotated[tuple[Annotated[int, Meta(ge=0, lt=2**16)], ...], Meta(max_length=64)]


class RefusalCode(StrEnum):
    """Why the server (or a peer) did not do what a frame asked for."""

    MALFORMED = "malformed"  # not a message, or a bound exceeded; the connection is closed
    FRAME_TOO_LARGE = "frame_too_large"  # closed
    ILLEGAL = "illegal"  # a known message at the wrong time; closed
    VERSION = "version"  # no common protocol version; closed
    TIMEOUT = "timeout"  # a deadline of the connection passed; closed
    REGISTRATION_CLOSED = "registration_closed"
    INVITE_REFUSED = "invite_refused"
    INVALID_NUMBER = "invalid_number"
    UNKNOWN_SESSION = "unknown_session"  # also: expired, used, or for another number
    CODE_EXHAUSTED = "code_exhausted"  # no guess of this session is left
    PROOF_REFUSED = "proof_refused"  # wrong code, or anything wrong with a proof or its body
    WRONG_PIN = "wrong_pin"  # the code was right and is used up; the account is as it was
    LOGIN_REFUSED = "login_refused"  # unknown account, unknown device, wrong signature: one answer
    LOGGED_OUT = "logged_out"  # the account was taken over or the device logged out; closed
    DISPLACED = "displaced"  # a newer connection of this device; closed
    KEY_REFUSED = "key_refused"  # an uploaded key or signature does not verify
    CONFLICT = "conflict"  # an uploaded id exists with other content
    UNKNOWN_RECIPIENT = "unknown_recipient"
    HELD = "held"  # an earlier `send` to this device was refused; say `restart`
    QUOTA = "quota"
    MAILBOX_FULL = "mailbox_full"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    EXPIRED = "expired"  # there is no such file, or not any more
    UNAVAILABLE = "unavailable"  # no room on the server's disk, or it is shutting down


_HIDDEN = frozenset({"token", "invite", "capability", "chunk"})
"""Fields whose holder may do what others may not, and one that is long: no repr shows them."""


class Message(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The base of every message."""

    def __repr__(self) -> str:
        shown = (
            f"{name}={'…' if name in _HIDDEN else repr(getattr(self, name))}"
            for name in self.__struct_fields__
        )
        return f"{type(self).__name__}({', '.join(shown)})"


# --- greeting ---------------------------------------------------------------------------------


class Hello(Message, tag="hi", frozen=True):
    """Client, first: the protocol versions and features that it has."""

    n: RequestNumber
    versions: Annotated[tuple[Annotated[int, Meta(ge=1, lt=2**16)], ...], Meta(min_length=1, max_length=16)]
    features: Features


class Welcome(Message, tag="hi=", frozen=True):
    """The answer: the version chosen, the server's features, and its backup pin (protocol 1)."""

    n: RequestNumber
    version: Annotated[int, Meta(ge=1, lt=2**16)]
    features: Features
    backup_pin: Bytes32


# --- registration -----------------------------------------------------------------------------


class RequestCode(Message, tag="code", frozen=True):
    """Ask for a passcode for this number. `invite` is empty where there is none."""

    n: RequestNumber
    number: Number
    invite: Annotated[bytes, Meta(max_length=32)] = b""


class CodeRequested(Message, tag="code=", frozen=True):
    """The same for every number. With `retry_after` nothing was sent and `session` has no code."""

    n: RequestNumber
    session: Bytes16
    expires_in: Seconds
    retry_after: Seconds | None = None


class Start(Message, tag="start", frozen=True):
    """Begin SPAKE2 for a session: takes one guess."""

    n: RequestNumber
    session: Bytes16
    number: Number
    account_key: Bytes32
    a: Bytes33


class Started(Message, tag="start=", frozen=True):
    n: RequestNumber
    b: Bytes33


class RegistrationBody(Message, frozen=True):
    """What `Prove` confirms; encoded on its own, hashed as received."""

    statement: Statement
    signed_prekey: SignedPreKeyBytes
    last_resort_prekey: KemPreKeyBytes
    account_signature: Bytes64
    device_signature: Bytes64


class Prove(Message, tag="prove", frozen=True):
    """The client confirms first: HMAC(Kc, SHA-256(body))."""

    n: RequestNumber
    body: Annotated[bytes, Meta(min_length=1, max_length=4096)]
    confirmation: Bytes32


class OutcomeKind(StrEnum):
    REGISTERED = "registered"
    PIN_REQUIRED = "pin_required"  # the code is used up, the account is as it was


class RegistrationOutcome(Message, frozen=True):
    """What the server did; encoded on its own inside `Proved` or `PinRequired`, authenticated as received.

    `salt` is that of the account's registration PIN, and there is one only with `PIN_REQUIRED`.
    """

    kind: OutcomeKind
    salt: Bytes16 | None = None


class Proved(Message, tag="prove=", frozen=True):
    """HMAC(Ks, SHA-256(body) ‖ outcome): without it the client believes nothing."""

    n: RequestNumber
    outcome: OutcomeBytes
    confirmation: Bytes32


class PinRequired(Message, tag="pin?", frozen=True):
    """The code is proven, and the account has a registration PIN; confirmed like `Proved`."""

    n: RequestNumber
    outcome: OutcomeBytes
    confirmation: Bytes32


class ProvePin(Message, tag="prove-pin", frozen=True):
    """The stretched PIN, confirmed with the keys of this run as the body of a second step."""

    n: RequestNumber
    stretched: Bytes32
    confirmation: Bytes32


# --- login ------------------------------------------------------------------------------------


class LogIn(Message, tag="login", frozen=True):
    n: RequestNumber
    number: Number
    device: Bytes8
    signature: Bytes64


class LoggedIn(Message, tag="login=", frozen=True):
    """`waiting` counts the mailbox at this moment; pushes follow, then `Drained`.

    `state_token` is the one with the highest counter that came with a `Send` of this device.
    """

    n: RequestNumber
    last_login: Milliseconds | None
    waiting: Count
    one_time_stock: Count
    kem_one_time_stock: Count
    state_token: Bytes40 | None = None


# --- directory --------------------------------------------------------------------------------


class OneTimePreKey(Message, frozen=True):
    key_id: KeyId
    key: Bytes32


class Publish(Message, tag="publish", frozen=True):
    """Add prekeys; idempotent by id and content. `replace_stock` first drops the one-time keys."""

    n: RequestNumber
    signed_prekey: SignedPreKeyBytes | None
    last_resort_prekey: KemPreKeyBytes | None
    one_time: Annotated[tuple[OneTimePreKey, ...], Meta(max_length=limits.ONE_TIME_UPLOAD)]
    kem_one_time: Annotated[tuple[KemPreKeyBytes, ...], Meta(max_length=limits.KEM_ONE_TIME_UPLOAD)]
    replace_stock: bool = False


class Published(Message, tag="publish=", frozen=True):
    n: RequestNumber
    one_time_stock: Count
    kem_one_time_stock: Count


class SetIdentity(Message, tag="identity", frozen=True):
    """Hand this X.509 identity out with the account statement from now on, or none."""

    n: RequestNumber
    identity: Identity | None


class LookUp(Message, tag="lookup", frozen=True):
    """The account statement of a number; consumes nothing."""

    n: RequestNumber
    number: Number


class LookedUp(Message, tag="lookup=", frozen=True):
    n: RequestNumber
    statement: Statement
    identity: Identity | None = None


class FetchBundle(Message, tag="bundle", frozen=True):
    n: RequestNumber
    number: Number
    token: Bytes16 | None


class Bundle(Message, tag="bundle=", frozen=True):
    """`kem_prekey` is a one-time one or the last-resort one; its own type byte says which."""

    n: RequestNumber
    statement: Statement
    signed_prekey: SignedPreKeyBytes
    kem_prekey: KemPreKeyBytes
    one_time: OneTimePreKey | None
    identity: Identity | None = None


class StockLow(Message, tag="stock", frozen=True):
    """Push: the one-time keys run low."""

    one_time_stock: Count
    kem_one_time_stock: Count


# --- delivery ---------------------------------------------------------------------------------


class Send(Message, tag="send", frozen=True):
    """Carry an envelope to the device of `statement_hash` (SHA-256 of the signed statement).

    `state_token` is the sender's own, made when this envelope was sealed: kept for his next login.
    """

    n: RequestNumber
    number: Recipient
    statement_hash: Bytes32
    token: Bytes16 | None
    envelope: Envelope
    state_token: Bytes40
    restart: bool = False


class Outcome(StrEnum):
    STORED = "stored"
    DELIVERED = "delivered"


class Accepted(Message, tag="send=", frozen=True):
    n: RequestNumber
    outcome: Outcome


class StaleDevice(Message, tag="stale", frozen=True):
    """The answer to a `Send` for another statement than the current one, which it carries."""

    n: RequestNumber
    statement: Statement
    identity: Identity | None = None


class Push(Message, tag="push", frozen=True):
    """An envelope for this device. `push` counts from 1 on each connection."""

    push: PushNumber
    number: Number
    device: Bytes8
    envelope: Envelope


class Verdict(StrEnum):
    OPENED = "opened"
    SET_ASIDE = "set_aside"


class Acknowledge(Message, tag="ack", frozen=True):
    """After the recipient's commit. The envelope id must be that of this push."""

    push: PushNumber
    envelope_id: Bytes16
    verdict: Verdict


class Drained(Message, tag="drained", frozen=True):
    """Push: every envelope that waited at the login has been pushed."""


class NoticeReason(StrEnum):
    EXPIRED = "expired"
    TAKEN_OVER = "taken_over"
    DELETED = "deleted"


class Notice(Message, tag="notice", frozen=True):
    """Push: envelopes answered `stored` that will not be delivered. Repeated until acknowledged."""

    notice: NoticeNumber
    reason: NoticeReason
    envelope_ids: Annotated[tuple[Bytes16, ...], Meta(min_length=1, max_length=limits.NOTICE_ENVELOPES)]


class AcknowledgeNotice(Message, tag="notice-ack", frozen=True):
    notice: NoticeNumber


# --- files ------------------------------------------------------------------------------------


class OfferFile(Message, tag="file", frozen=True):
    """Begin to upload a file of so many chunks, or go on. Whoever shows the capability may fetch it."""

    n: RequestNumber
    file: Bytes16
    capability: Bytes16
    chunks: Annotated[int, Meta(ge=1, le=limits.FILE_CHUNKS)]


class PutChunk(Message, tag="put", frozen=True):
    """The chunk with this index, counted from 0; they come in order."""

    n: RequestNumber
    file: Bytes16
    index: ChunkCount
    chunk: SealedChunk


class FileHeld(Message, tag="file=", frozen=True):
    """So many chunks from the first on are on the server's disk."""

    n: RequestNumber
    chunks: ChunkCount


class FetchChunk(Message, tag="chunk", frozen=True):
    n: RequestNumber
    file: Bytes16
    capability: Bytes16
    index: ChunkCount


class Chunk(Message, tag="chunk=", frozen=True):
    n: RequestNumber
    chunk: SealedChunk


class RemoveFile(Message, tag="file-remove", frozen=True):
    """The file is where it was to go, or nobody wants it any more. Done whether it was there or not."""

    n: RequestNumber
    file: Bytes16
    capability: Bytes16


# --- presence ---------------------------------------------------------------------------------


class SetPresence(Message, tag="presence", frozen=True):
    """SHA-256 of the own contact token, and whether this account hides."""

    n: RequestNumber
    token_hash: Bytes32
    hidden: bool


class SetPin(Message, tag="pin", frozen=True):
    """Protect the account with a registration PIN: the PIN stretched with a salt of the client's choice."""

    n: RequestNumber
    salt: Bytes16
    stretched: Bytes32


class RemovePin(Message, tag="pin-remove", frozen=True):
    """From now on the passcode alone registers this number anew."""

    n: RequestNumber


class DeleteAccount(Message, tag="delete", frozen=True):
    """Delete the own account with all that belongs to it. The answer is the last thing before the end."""

    n: RequestNumber


class Done(Message, tag="done", frozen=True):
    """`SetPresence`, `SetPin`, `RemovePin`, `SetIdentity`, `DeleteAccount` or `RemoveFile` is on the disk."""

    n: RequestNumber


class Target(Message, frozen=True):
    """Somebody whose presence is asked for, with the contact token that he gave."""

    number: Number
    token: Bytes16


class Watch(Message, tag="watch", frozen=True):
    """Who of `targets` (with the policy `everyone`: who at all, in pages) is connected.

    `after` is the last number of the page before, empty for the first. With `subscribe`, changes
    are pushed from now on; each request replaces the targets of the one before.
    """

    n: RequestNumber
    targets: Annotated[tuple[Target, ...], Meta(max_length=limits.WATCHED_TARGETS)]
    after: Annotated[str, Meta(max_length=16)] = ""
    subscribe: bool = False


class Online(Message, tag="watch=", frozen=True):
    """Sorted numbers without the asker's own; `more` if there is a further page."""

    n: RequestNumber
    numbers: Annotated[tuple[Number, ...], Meta(max_length=limits.ONLINE_PAGE)]
    more: bool


class PresenceChanged(Message, tag="presence!", frozen=True):
    """Push, to those who subscribed."""

    number: Number
    online: bool


# --- always -----------------------------------------------------------------------------------


class Ping(Message, tag="ping", frozen=True):
    n: RequestNumber


class Pong(Message, tag="pong", frozen=True):
    n: RequestNumber


class Refused(Message, tag="no", frozen=True):
    """The answer to a request that was not done; without `n`, the last frame before the end."""

    n: RequestNumber | None
    code: RefusalCode
    sentence: Sentence
    retry_after: Seconds | None = None


ClientMessage = (
    Hello | RequestCode | Start | Prove | ProvePin | LogIn | Publish | LookUp | FetchBundle | Send
    | Acknowledge | AcknowledgeNotice | SetPresence | SetPin | RemovePin | SetIdentity | DeleteAccount
    | OfferFile | PutChunk | FetchChunk | RemoveFile | Watch | Ping
)
ServerMessage = (
    Welcome | CodeRequested | Started | Proved | PinRequired | LoggedIn | Published | LookedUp | Bundle
    | StockLow | Accepted | StaleDevice | Push | Drained | Notice | Done | FileHeld | Chunk | Online
    | PresenceChanged | Pong | Refused
)
