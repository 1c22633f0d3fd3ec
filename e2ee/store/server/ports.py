"""The interfaces between the server and whatever keeps its state.

Knows value types only: no SQL, no wire, no cryptography. Every method is asynchronous, and its
answer means that the change is on disk. `sql` implementations stand beside this module, twins in
`e2ee.store.memory`; both pass one contract suite (`tests/store/contract`). The shapes are made
for several nodes: batches, epochs, and operations that may be repeated.

`now` is service time in seconds everywhere: it runs only while the server runs and never jumps
(`service_clock`), so a wall clock that jumps expires nothing. Wall times, where a person sees them,
are milliseconds since 1970 and named `…_at`.

Every method raises StoreUnavailable when the disk is full (nothing was written). Any other failure
of a commit never returns: the database reports it once as StoreBroken and the process ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import NamedTuple, Protocol

from e2ee.ids import Address, DeviceAddress, DeviceId, EnvelopeId, PasscodeSessionId

# --- accounts ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """One account with its one device. `statement` is the signed account statement, as received.

    `has_identity`: an X.509 identity is kept with it, which `Accounts.identity` has.
    """

    address: Address
    device: DeviceId
    account_key: bytes
    device_signing_key: bytes
    generation: int
    statement: bytes
    statement_hash: bytes
    token_hash: bytes | None
    hidden: bool
    last_login_at: int | None
    logged_out: bool = False
    has_identity: bool = False
    where: DeviceAddress = field(init=False, repr=False)
    """The device as mailboxes and prekeys know it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", DeviceAddress(self.address, self.device))


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What a proven registration stores."""

    address: Address
    device: DeviceId
    account_key: bytes
    device_signing_key: bytes
    generation: int
    statement: bytes
    statement_hash: bytes
    signed_prekey: bytes
    last_resort_prekey: bytes


@dataclass(frozen=True, slots=True)
class Registered:
    """`displaced` is the device whose account was taken over, if there was one."""

    displaced: DeviceId | None


@dataclass(frozen=True, slots=True)
class StoredPin:
    """A registration PIN: the salt that its owner's client chose, and a hash of the stretched PIN."""

    salt: bytes
    hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PinAsked:
    """The code is used, and the account is as it was: it has a registration PIN with this salt.

    `invite` is the hash of the one that is used up once the PIN is right, if there is one.
    """

    salt: bytes
    invite: bytes | None = None


class RegistrationSpent(Enum):
    """Why nothing was changed."""

    SPENT = "spent"  # the passcode session was used or has expired in the meantime
    OLDER_STATEMENT = "older_statement"  # this account key has made a later statement, or another one
    WRONG_PIN = "wrong_pin"
    INVITE_SPENT = "invite_spent"  # somebody else has registered with this invite in the meantime


class Accounts(Protocol):
    """Who exists."""

    async def find(self, address: Address) -> Account | None:
        """The account of this number."""

    async def register(
        self, session: PasscodeSessionId, account: NewAccount, now: float
    ) -> Registered | PinAsked | RegistrationSpent:
        """Mark the session's code and its invite used and make or replace the account, in one transaction.

        Where the account has a registration PIN, only the code is used: see `register_with_pin`.
        Where the invite is used already, the code is so too, and no account is made.
        A replaced device loses its prekeys and its mailbox; each waiting envelope leaves a notice
        TAKEN_OVER for its sender, and notices for the replaced device itself are dropped.
        A statement of the stored account key with a lower generation, or with the same and other
        content, is refused: every client would call it a trust error.
        """

    async def register_with_pin(
        self, account: NewAccount, pin_hash: bytes, invite: bytes | None, now: float
    ) -> Registered | RegistrationSpent:
        """Replace an account if this is the hash of its PIN, which it keeps, in one transaction.

        For whoever was answered PinAsked, with the invite named there, which is used up with a right
        PIN; he has no code any more. An account that has lost its PIN
        in the meantime, or is gone, asks for none. The rest is as with `register`.
        """

    async def set_pin(self, where: DeviceAddress, pin: StoredPin | None) -> bool:
        """Protect the account with a registration PIN, or with none; False if the device is gone."""

    async def record_login(self, where: DeviceAddress, at: int, now: float) -> None:
        """Remember the time of this login (wall, milliseconds) and that the device is in use."""

    async def set_presence(self, where: DeviceAddress, token_hash: bytes, hidden: bool) -> bool:
        """Store the hash of the contact token and whether the account hides; False if gone."""

    async def set_identity(self, where: DeviceAddress, identity: bytes | None) -> bool:
        """Keep an X.509 identity with the account, as opaque bytes, or none; False if the device is gone.

        It goes with the account: whoever takes the number over begins without one.
        """

    async def identity(self, address: Address) -> bytes | None:
        """The X.509 identity that is kept with the account of this number."""

    async def delete(
        self, address: Address, now: float, device: DeviceId | None = None
    ) -> DeviceId | None:
        """Remove an account with all that belongs to it; senders of waiting envelopes get notices.

        With `device` only if that is its device still. The device that it had; None: there is no such
        account.
        """

    async def log_out(self, address: Address) -> DeviceId | None:
        """Let no login of this account's device succeed any more, until the number is registered anew.

        The device; None: there is no such account. Account, PIN and mailbox stay.
        """

    async def expire_unused(self, now: float, unused_seconds: float) -> int:
        """Delete the prekeys of devices unused for so long; the number of devices."""

    async def count(self) -> int:
        """How many accounts there are."""


# --- prekeys ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredPreKey:
    """A prekey by its id: the bytes are opaque here (signed structures, or a bare X25519 key)."""

    key_id: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class PreKeyUpload:
    """`replace_stock` first drops the one-time keys of both kinds."""

    signed_prekey: StoredPreKey | None = None
    last_resort_prekey: StoredPreKey | None = None
    one_time: Sequence[StoredPreKey] = ()
    kem_one_time: Sequence[StoredPreKey] = ()
    replace_stock: bool = False


@dataclass(frozen=True, slots=True)
class Stock:
    """One-time keys left."""

    one_time: int
    kem_one_time: int


class UploadRefused(Enum):
    """Why nothing of an upload was stored."""

    CONFLICT = "conflict"  # an id exists, or was handed out, with other content
    STOCK_FULL = "stock_full"  # more than the stock may hold
    NO_DEVICE = "no_device"


@dataclass(frozen=True, slots=True)
class BundleKeys:
    """What one fetch hands out. `kem_prekey` is a one-time key if `kem_is_one_time`."""

    signed_prekey: bytes
    kem_prekey: bytes
    kem_is_one_time: bool
    one_time: StoredPreKey | None
    stock: Stock


class PreKeys(Protocol):
    """Public prekeys, each one-time key handed out once, oldest first."""

    async def publish(self, where: DeviceAddress, upload: PreKeyUpload) -> Stock | UploadRefused:
        """Store an upload whole or not at all; the same upload twice is the same as once."""

    async def take(self, where: DeviceAddress, one_time: bool) -> BundleKeys | None:
        """The keys of one bundle; without `one_time` none of the stock is used. None: no device."""

    async def stock(self, where: DeviceAddress) -> Stock:
        """What is left."""


# --- mailbox ----------------------------------------------------------------------------------


class MailItem(NamedTuple):
    """One envelope for one device. `known` says that its sender showed the contact token.

    `state_token` is the sender's, opaque here but for its order: the bytes are compared.
    """

    to: DeviceAddress
    sender: DeviceAddress
    envelope_id: EnvelopeId
    envelope: bytes
    known: bool = False
    state_token: bytes = b""

    def __repr__(self) -> str:
        return f"MailItem({self.to}, {self.sender}, {self.envelope_id!r}, …, known={self.known})"


@dataclass(frozen=True, slots=True)
class MailRow:
    """A stored item with its place in the device's mailbox."""

    seq: int
    item: MailItem


@dataclass(frozen=True, slots=True)
class Appended:
    """Stored under `seq`; `repeated` if this envelope was there already."""

    seq: int
    repeated: bool = False


class AppendRefused(Enum):
    """Why one item of a batch was not stored; the others are not affected."""

    FULL = "full"  # the mailbox has no room
    QUOTA = "quota"  # this sender, or all without contact token, have their share
    NO_DEVICE = "no_device"
    HELD = "held"  # an earlier item of this sender in this batch was refused: none overtakes it


@dataclass(frozen=True, slots=True)
class Attached:
    """A login's place: `epoch` fences older ones, `end` is the last seq that waits now (0: none).

    `state_token` is the highest that the device has left.
    """

    epoch: int
    end: int
    waiting: int
    state_token: bytes | None = None


class NoticeKind(StrEnum):
    """Why stored envelopes will not be delivered; the values of `wire.messages.NoticeReason`."""

    EXPIRED = "expired"
    TAKEN_OVER = "taken_over"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A durable notice to the sender of envelopes."""

    number: int
    kind: NoticeKind
    envelope_ids: Sequence[EnvelopeId]


@dataclass(frozen=True, slots=True)
class MailboxLimits:
    """See `server.policy` for the values and their reasons. 0 = no limit."""

    messages: int
    bytes: int
    share: float
    strangers_waiting: int
    stranger_waiting: int
    seconds: float


class Mailbox(Protocol):
    """What waits for devices that do not take it now."""

    def apply(self, limits: MailboxLimits) -> None:
        """Go on under other limits; what waits already stays."""

    async def attach(self, where: DeviceAddress) -> Attached | None:
        """Raise the device's epoch for a new connection; None: no device, or it is logged out."""

    async def append(
        self, items: Iterable[MailItem], now: float
    ) -> Sequence[Appended | AppendRefused]:
        """Store items in this order, one result each; sequence numbers grow in commit order.

        All items are for one device. They are read when the write begins, where the store works: what reads
        them once more reads the same. An envelope that waits already from the same sender is `repeated`,
        but may be taken for a new one under a higher state token than any before. Once an item is refused,
        every later one of its sender in this batch is HELD, so that a refusal never lets a later message of
        the same pair pass. In the same transaction each sender's device keeps the highest of its state
        tokens, whatever became of the item.
        """

    async def keep_state_token(self, where: DeviceAddress, token: bytes) -> None:
        """Keep this state token of a device, unless a higher one is there."""

    async def after(
        self, where: DeviceAddress, seq: int, count: int, size: int
    ) -> Sequence[MailRow]:
        """The next rows behind `seq`: at most `count`, and at most `size` bytes but for the first."""

    async def remove(self, where: DeviceAddress, epoch: int, seqs: Sequence[int]) -> None:
        """Forget acknowledged rows; an older epoch, or a missing row, does nothing."""

    async def expire(self, now: float) -> int:
        """Turn rows past their time into notices EXPIRED; their number.

        Each row and its notice change in one transaction; many rows go in several.
        """

    async def notices(self, where: DeviceAddress, count: int) -> Sequence[StoredNotice]:
        """The oldest notices for a sender's device."""

    async def remove_notices(self, where: DeviceAddress, numbers: Sequence[int]) -> None:
        """Forget notices that were acknowledged."""

    async def count(self) -> int:
        """How many envelopes wait in all."""


# --- files ------------------------------------------------------------------------------------


CHUNK_BYTES = 64 * 1024 + 64
"""A sealed chunk, as it lies on the disk: SEALED_CHUNK_BYTES of the wire."""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Chunks of one file, and of all files of one account; how long they are kept. 0: no limit."""

    chunks: int
    chunks_of_account: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of a file. Its chunks lie elsewhere; `complete`: all of them."""

    file_id: bytes
    owner: Address
    capability_hash: bytes
    chunks: int
    complete: bool = False


class FileRefused(Enum):
    """Why a file is not taken."""

    TOO_LARGE = "too_large"
    QUOTA = "quota"
    CONFLICT = "conflict"  # another file has this id


class Files(Protocol):
    """Which files there are, whose, and who may fetch them. All times are service time in seconds."""

    def apply(self, limits: FileLimits) -> None:
        """Go on under other limits; what is there stays."""

    async def offer(self, offered: StoredFile, now: float) -> StoredFile | FileRefused:
        """Make room for a file, counted whole from now on; or find it, if it is the same."""

    async def find(self, file_id: bytes) -> StoredFile | None:
        """The file with this id."""

    async def complete(self, file_id: bytes) -> bool:
        """All of its chunks are on the disk; False if it has gone meanwhile."""

    async def remove(self, file_id: bytes) -> bool:
        """Forget it; whether it was there."""

    async def expire(self, now: float) -> int:
        """Forget the files past their time, and those whose account is gone; their number."""

    async def known(self, file_ids: Sequence[bytes]) -> set[bytes]:
        """Which of these there are."""


class Shelf(Protocol):
    """The chunks of files. Every method blocks: it is called in a thread, one at a time for a file."""

    def stored(self, file_id: bytes) -> int:
        """How many whole chunks of this file there are."""

    def cut(self, file_id: bytes, chunks: int) -> None:
        """Forget what is behind so many chunks."""

    def append(self, file_id: bytes, after: int, chunks: Sequence[bytes]) -> None:
        """Put these behind the first `after` chunks; they are on the disk on return.

        Raises StoreUnavailable without room, having kept nothing of them, and OSError for the rest, such
        as where there are fewer than `after`.
        """

    def read(self, file_id: bytes, index: int) -> bytes | None:
        """One chunk, or None if it is not there."""

    def remove(self, file_id: bytes) -> None:
        """Forget a file, if it is there."""

    def file_ids(self) -> list[bytes]:
        """All files of which there is something."""


# --- the installation -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What an operator may know of one account. `waiting` and `waiting_bytes` are its mailbox."""

    address: Address
    device: DeviceId
    last_login_at: int | None
    logged_out: bool
    has_pin: bool
    waiting: int
    waiting_bytes: int
    one_time_prekeys: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What all accounts add up to. `oldest_at` is service time; None: nothing waits."""

    accounts: int
    waiting: int
    waiting_bytes: int
    deepest: int
    oldest_at: float | None
    one_time_prekeys: int
    kem_one_time_prekeys: int
    without_one_time: int
    without_kem_one_time: int
    files: int
    files_bytes: int


class Census(Protocol):
    """The operator's look at everybody. Nothing here opens a message or a code."""

    async def accounts(self, after: str, count: int) -> Sequence[AccountFacts]:
        """The next accounts behind this number, in the order of their numbers."""

    async def not_seen_since(self, at: int) -> int:
        """How many accounts have not logged in since then (wall, milliseconds)."""

    async def survey(self) -> Survey:
        """Sums over everybody; reads for long, and nobody else waits for it."""


class Facts(Protocol):
    """Small facts about this installation, such as the pin of its backup key."""

    async def get(self, name: str) -> bytes | None:
        """What was put under this name."""

    async def put(self, name: str, value: bytes) -> None:
        """Remember it."""


# --- limits -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `burst` at once, one back every `refill_seconds`. burst 0 = no limit."""

    burst: float
    refill_seconds: float


class Limits(Protocol):
    """Counted limits, changed by single atomic statements."""

    async def take(self, name: str, key: str, bucket: Bucket, now: float, cost: float = 1.0) -> float:
        """Take `cost` from the bucket of (name, key): 0.0, or the seconds until it is there.

        A refusal takes nothing.
        """

    async def give_back(self, name: str, key: str, bucket: Bucket, cost: float = 1.0) -> None:
        """Undo a `take` of this cost that was not long ago: sooner than `cost` comes back by itself."""

    async def expire(self, now: float) -> int:
        """Forget the buckets that are full again, and whose keys they were; their number."""


# --- passcodes --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PasscodeLimits:
    """See `server.policy` for the values and their reasons."""

    life_seconds: float
    guesses: int
    live_sessions: int
    waits_seconds: Sequence[float]
    waits_forget_seconds: float
    codes: Bucket  # for one number
    number_guesses: Bucket  # for one number
    source: Bucket  # codes and guesses asked from one source
    total: Bucket  # codes of the whole server
    prefix: Bucket  # codes of one country prefix
    breaker: Bucket  # guesses of the whole server, those given back that were right


class Gate(Enum):
    """Who may have a code; the same for numbers with and without an account."""

    OPEN = "open"  # everybody; an invite for the number still opens a session outside the buckets
    INVITED = "invited"  # whoever shows an invite for any number, or for this one
    NAMED = "named"  # whoever shows an invite for this number


@dataclass(frozen=True, slots=True)
class PasscodeRequest:
    """A request for a code; `sealed_code` is stored only if gate and limits allow it.

    `invite` is the hash of what was shown, empty if nothing was.
    """

    session: PasscodeSessionId
    address: Address
    prefix: str
    sealed_code: bytes = field(repr=False)
    gate: Gate = Gate.OPEN
    invite: bytes = b""


class NotInvited(Enum):
    """The gate is shut: the invite is unknown, used, expired, or another number's, or there is none."""

    NOT_INVITED = "not_invited"


class PasscodeLimit(StrEnum):
    """What can refuse a code; where an operator can change it, under the name in `[limits]`."""

    LIVE_SESSIONS = "live_sessions"
    WAITS = "waits"
    CODES = "codes_burst"
    TOTAL = "codes_total"
    PREFIX = "codes_per_prefix"
    BREAKER = "wrong_guesses"


@dataclass(frozen=True, slots=True)
class PasscodeAllotted:
    """With `retry_after` 0 the session lives and its code must be sent; else it has no code.

    `limit` is a PasscodeLimit: TOTAL, PREFIX and BREAKER say nothing about the number, and are refused as
    such.
    """

    retry_after: float = 0.0
    limit: str = ""


@dataclass(frozen=True, slots=True)
class GuessAllowed:
    """A guess has been taken; this is the code to compare it with. `counted`: by the breaker as well."""

    sealed_code: bytes = field(repr=False)
    counted: bool = True


@dataclass(frozen=True, slots=True)
class GuessRefused:
    """No guess: the session is unknown (or used, expired, another number's), spent, or a limit."""

    reason: GuessRefusal
    retry_after: float = 0.0


class GuessRefusal(Enum):
    UNKNOWN_SESSION = "unknown_session"
    EXHAUSTED = "exhausted"
    LIMITED = "limited"
    BREAKER = "breaker"


class Passcodes(Protocol):
    """Sessions of registration: code, guesses and expiry belong to the session."""

    def apply(self, limits: PasscodeLimits) -> None:
        """Go on under other limits; sessions keep the guesses and the life that they have."""

    async def request(self, request: PasscodeRequest, now: float) -> PasscodeAllotted | NotInvited:
        """Open a session, in one transaction with its gate and all its limits but the source's.

        Three live sessions of a number, the wait since its last code, the buckets of number, server
        and prefix, and the breaker each refuse with the seconds until it helps to ask again. A refused
        request stores nothing and charges nothing. An invite for the number opens one session that
        none of them refuses or counts, now and when it is guessed at. Asking uses no invite up: a
        registration that fails can be begun again. One that expires while a session lives still holds.
        """

    async def guess(
        self, session: PasscodeSessionId, address: Address, now: float
    ) -> GuessAllowed | GuessRefused:
        """Take a guess of session, number and server in one atomic step, before comparing."""

    async def expire(self, now: float) -> int:
        """Forget sessions past their life, and invites; the number of sessions."""


INVITE_ID_BYTES = 8
"""The first bytes of an invite's hash: enough to tell invites apart, and of no use to a guest."""


@dataclass(frozen=True, slots=True)
class InviteFacts:
    """An invite that nobody has used up, as its operator may see it. `expires_at` is service time."""

    id: bytes
    address: Address | None
    expires_at: float


class Invites(Protocol):
    """What the operator hands out, kept as hashes."""

    async def add(self, invite: bytes, address: Address | None, expires_at: float) -> None:
        """Remember an invite by its hash, for one number or any, until `expires_at` (service time)."""

    async def outstanding(self, after: bytes, count: int, now: float) -> Sequence[InviteFacts]:
        """So many of those that hold now, in the order of their ids, behind one (empty: from the first)."""

    async def revoke(self, invite: bytes) -> bool:
        """Forget the invite with this id, as if it had been used; False if there is none."""
