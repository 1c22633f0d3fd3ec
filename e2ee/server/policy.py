"""The numbers and rules that an operator may choose, each with its reason (`docs/limits.md`).

Knows values and their bounds; not who enforces them. What both sides of a connection must agree on
is not policy and stands in `e2ee.wire.limits`. A count, size or rate of 0 means: no limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from e2ee.errors import E2eeError
from e2ee.store.server.ports import Bucket, FileLimits, MailboxLimits, PasscodeLimits
from e2ee.wire.limits import FILE_CHUNK_BYTES

DAY_SECONDS = 86_400.0
HOUR_SECONDS = 3_600.0

CODE_LIFE_SECONDS = 600.0
"""Long enough for a slow SMS, short enough that guesses run out first."""
CODE_GUESSES = 5
CODE_LIVE_SESSIONS = 3
"""For one number: nobody can push another's session out, nobody can hoard them."""
CODE_WAITS_SECONDS = (60.0, 120.0, 300.0, 600.0, 600.0)
CODE_WAITS_FORGET_SECONDS = DAY_SECONDS
GUESS_REFILL_SECONDS = 7_200.0
"""With a burst of 8: twelve guesses a day in the long run, against a million codes."""
WRONG_GUESSES = Bucket(4_000, DAY_SECONDS / 4_000)
"""Guesses at codes on the whole server that lead to no registration: the breaker against guessing at
many numbers at once. At most 8,000 in any day, each right with one in a million: fewer than 0.01
takeovers a day (`docs/threat-model.md` computes it). No configuration lifts it.
"""
CODES_UNDER_WAY = 64
"""Codes that are being sent; a gateway that hangs must not fill the machine with them."""
CODE_SENDING_SECONDS = 60.0
"""What a sender may take for one code, with all its tries: later it would hardly be of use."""
CODE_ANSWER_SECONDS = 2.0
"""When a request is answered whose code takes its time: most gateways have answered by then, so that a
failure can be told; and it is the same for every number, so that the answer tells nothing of it.
"""
CODE_RETRY_SECONDS = CODE_WAITS_SECONDS[0]
"""When to ask again for a code that could not be sent: not before the wait of the number is over."""
INVITE_BYTES = 16
"""Random: nobody finds one by trying, and a link with it still fits into a QR code for a terminal."""
INVITE_LONGEST_SECONDS = 366 * DAY_SECONDS

PROOF_QUEUE = 64
"""SPAKE2 exchanges that wait for a worker; half a second of one core."""
PROOF_GRID_SECONDS = 0.05
"""Answers of the proof workers leave on this grid, since their time depends on the code."""
BUSY_RETRY_SECONDS = 2.0
PIN_TRIES = Bucket(10, DAY_SECONDS)
"""Tries at the registration PIN of one number, each with a code of its own: ten, then one a day.

With four digits somebody who reads all codes is right with one in 27 in the first year.
"""

BUNDLE_REFILL_SECONDS = 300.0
"""One-time keys of one target to strangers: 288 a day, so a stock of 100 can be refilled."""
ONE_TIME_STOCK = 100
KEM_ONE_TIME_STOCK = 100
ONE_TIME_LOW_WATER = 25
KEM_ONE_TIME_LOW_WATER = 10
"""Below these the owner is told: room for the fetches until the refill arrives."""

SEAT_QUEUE_MESSAGES = 2_048
SEAT_QUEUE_BYTES = 16 * 1024 * 1024
"""What may wait in memory to be written for one device: several turns of a slow disk."""
BATCH_MESSAGES = 512
BATCH_BYTES = 4 * 1024 * 1024
"""Envelopes of one device in one append."""
LISTEN_BACKLOG = 1024
"""Connections that wait for the reactor to take them: those of a second. With Twisted's 50 a few hundred
strangers at once keep honest people waiting for the retries of TCP. The kernel may allow fewer."""
HELD_RECIPIENTS = 10_000
"""To whom one connection has a refused message: more than a client has contacts, and some hundred KiB."""
LEAVING_CONNECTIONS = 64
"""Connections that were turned away and have not taken the reason yet: the next one cuts the oldest. They are
counted nowhere else, so they must fit into `open_files.RESERVED_FILES`."""
FRONT_WAITING_CONNECTIONS = 256
"""Connections through a front from which nothing has come: the next one cuts the oldest. Who they are is not
known yet, so they count for no source; who is far away needs a round trip for the first byte."""
RESERVE_BYTES = 8 * 1024 * 1024
"""Of the disk, for logins and removals when it is full: the write-ahead log and its checkpoint."""
FILE_CHUNKS_WAITING = 8
"""Of one upload, in memory on their way to the disk: twice what an honest client has in flight. After a
restart an upload goes on as many before its end: more cannot be torn."""
FILES_WAITING_BYTES = 32 * 1024 * 1024
"""Of all uploads together."""
FILES_HEADROOM_BYTES = 64 * 1024 * 1024
"""Of the disk, that files leave to mail: a full disk stops files first."""
UPLOADS_REMEMBERED = 4_096
"""Uploads of which the server knows what is on its disk without looking."""
FILES_BUSY_RETRY_SECONDS = 1.0
NOTICES_AT_ONCE = 16
"""Unacknowledged notices on one connection."""
UNUSED_PREKEYS_SECONDS = 90 * DAY_SECONDS
SETTLE_SECONDS = 4.0
"""SIGTERM: what is in memory is written within this time, so that the end comes within five."""


class PolicyError(E2eeError, ValueError):
    """A limit that does not exist, or a value that it cannot have; the text says which."""


class RegistrationMode(StrEnum):
    """Who may register; the same for numbers with and without an account."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class PresencePolicy(StrEnum):
    """Who may see who is connected, as far as the person does not hide."""

    EVERYONE = "everyone"
    CONTACTS = "contacts"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices. The fields from `connections_before_login` on are the names of `[limits]`."""

    registration: RegistrationMode = RegistrationMode.OPEN
    presence: PresencePolicy = PresencePolicy.CONTACTS
    allowed_prefixes: tuple[str, ...] = ()
    """Beginnings of the numbers that may register, such as ``+44``; none: all of them."""

    connections_before_login: int = 64
    connections: int = 0
    mailbox_messages: int = 10_000
    mailbox_bytes: int = 64 * 1024 * 1024
    mailbox_days: float = 30.0
    mailbox_share: float = 0.5
    strangers_waiting: int = 1_000
    stranger_waiting: int = 50
    messages_burst: int = 200
    messages_per_second: int = 20
    codes_burst: int = 6
    codes_per_hour: int = 1
    guesses_burst: int = 8
    codes_per_source: int = 20
    codes_total: int = 1_000
    codes_per_prefix: int = 200
    bundles_per_target: int = 30
    lookups_per_day: int = 1_000
    file_bytes: int = 100 * 1024 * 1024
    file_days: float = 30.0
    files_bytes: int = 1024 * 1024 * 1024

    def with_limits(self, limits: Mapping[str, object]) -> Policy:
        """This policy with some limits replaced; raises PolicyError for a wrong name or value."""
        return replace(self, **{name: _checked(name, value) for name, value in limits.items()})  # type: ignore[arg-type]

    def mailbox_limits(self) -> MailboxLimits:
        """What the mailbox enforces."""
        return MailboxLimits(
            messages=self.mailbox_messages,
            bytes=self.mailbox_bytes,
            share=self.mailbox_share,
            strangers_waiting=self.strangers_waiting,
            stranger_waiting=self.stranger_waiting,
            seconds=self.mailbox_days * DAY_SECONDS,
        )

    def file_limits(self) -> FileLimits:
        """What the store of files enforces. A file counts as it is kept: sealed, in whole chunks."""
        return FileLimits(
            chunks=-(-self.file_bytes // FILE_CHUNK_BYTES),
            chunks_of_account=-(-self.files_bytes // FILE_CHUNK_BYTES),
            seconds=self.file_days * DAY_SECONDS,
        )

    def passcode_limits(self) -> PasscodeLimits:
        """What the passcode store enforces. `codes_burst` 0 switches the waits off, too."""
        waits = CODE_WAITS_SECONDS if self.codes_burst else ()
        return PasscodeLimits(
            life_seconds=CODE_LIFE_SECONDS,
            guesses=CODE_GUESSES,
            live_sessions=CODE_LIVE_SESSIONS,
            waits_seconds=waits,
            waits_forget_seconds=CODE_WAITS_FORGET_SECONDS,
            codes=_bucket(self.codes_burst, self.codes_per_hour, HOUR_SECONDS),
            number_guesses=Bucket(self.guesses_burst, GUESS_REFILL_SECONDS),
            source=hourly(self.codes_per_source),
            total=hourly(self.codes_total),
            prefix=hourly(self.codes_per_prefix),
            breaker=WRONG_GUESSES,
        )

    def messages(self) -> Bucket:
        """Messages of one account."""
        return _bucket(self.messages_burst, self.messages_per_second, 1.0)

    def bundles(self) -> Bucket:
        """One-time keys of one target handed to those without its contact token."""
        return Bucket(self.bundles_per_target, BUNDLE_REFILL_SECONDS)


_CHOICES = ("registration", "presence", "allowed_prefixes")
_FRACTIONS = ("mailbox_share", "mailbox_days", "file_days")
LIMIT_NAMES = tuple(field.name for field in fields(Policy) if field.name not in _CHOICES)
"""What `[limits]` of the configuration file may name."""
LARGEST_LIMIT = 2**53


def hourly(count: int) -> Bucket:
    """So many an hour, all at once if they like; 0: no limit."""
    return _bucket(count, count, HOUR_SECONDS)


def _bucket(burst: int, rate: int, seconds: float) -> Bucket:
    """A bucket with `rate` back in `seconds`; either number 0: no limit."""
    if not burst or not rate:
        return Bucket(0, 1.0)
    return Bucket(burst, seconds / rate)


def _checked(name: str, value: object) -> int | float:
    if name not in LIMIT_NAMES:
        raise PolicyError(f"there is no limit named {name!r}")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PolicyError(f"the limit {name} is a number")
    if name not in _FRACTIONS and not isinstance(value, int):
        raise PolicyError(f"the limit {name} is a whole number")
    if not 0 <= value <= LARGEST_LIMIT:
        raise PolicyError(f"the limit {name} is not below 0 and not above {LARGEST_LIMIT}")
    if name == "mailbox_share" and value > 1:
        raise PolicyError("the limit mailbox_share is a fraction between 0 and 1")
    return value
