"""What a running server counts, as plain numbers. Knows names of limits and outcomes; nobody's number.

Counting costs an addition: what Prometheus needs is made of it when somebody asks (`metrics`). Every
label that can ever be shown is declared here or in `wire.messages`; none is made from what a client
sends.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from e2ee.store.figures import CODE_SECONDS, SECONDS, Tally
from e2ee.wire.messages import RefusalCode


class Limit(StrEnum):
    """A limit that was hit. Where `[limits]` has a name for it, that name (`docs/limits.md`)."""

    CONNECTIONS_BEFORE_LOGIN = "connections_before_login"
    CONNECTIONS = "connections"
    OPEN_FILES = "open_files"  # of the process: each connection is one
    FRONT_WAITING = "front_waiting"  # behind a front: nothing has come from it
    LOGIN_SECONDS = "login_seconds"  # handshake and login took too long
    IDLE_SECONDS = "idle_seconds"  # nothing was heard
    UNREAD_SECONDS = "unread_seconds"  # what was sent was not taken
    FRAME_BYTES = "frame_bytes"
    MESSAGES = "messages_burst"
    MAILBOX = "mailbox"  # mailbox_messages or mailbox_bytes
    MAILBOX_SHARE = "mailbox_share"  # or strangers_waiting, stranger_waiting
    MAILBOX_DAYS = "mailbox_days"
    SEAT_QUEUE = "seat_queue"  # envelopes of one device that wait for the disk
    CODES = "codes_burst"
    CODE_WAITS = "waits"
    LIVE_SESSIONS = "live_sessions"
    CODES_TOTAL = "codes_total"
    CODES_PER_PREFIX = "codes_per_prefix"
    CODES_PER_SOURCE = "codes_per_source"
    SESSION_GUESSES = "session_guesses"
    GUESSES = "guesses_burst"
    WRONG_GUESSES = "wrong_guesses"  # the breaker against guessing at many numbers
    REGISTRATION_PIN = "registration_pin"
    PROOF_QUEUE = "proof_queue"  # SPAKE2 exchanges that wait for a worker
    BUNDLES = "bundles_per_target"
    LOOKUPS = "lookups_per_day"
    PREKEY_STOCK = "prekey_stock"
    FILE_BYTES = "file_bytes"
    FILE_DAYS = "file_days"
    FILES_BYTES = "files_bytes"
    FILES_WAITING = "files_waiting"  # chunks on their way to the disk


class CodeOutcome(StrEnum):
    """What became of a passcode on its way out."""

    SENT = "sent"
    NUMBER = "number"  # the reason lies in this number: no route, a recipient that does not exist
    FAILED = "failed"  # the sender said why it could not
    LATE = "late"  # it took too long, or the server stopped meanwhile
    FULL = "full"  # too many were under way already
    DEFECT = "defect"  # the sender raised what it should not


FAILURES = (CodeOutcome.FAILED, CodeOutcome.LATE, CodeOutcome.FULL, CodeOutcome.DEFECT)
"""Those that the operator can mend; whoever asks for a code cannot bring them about with a number."""


class Counters:
    """One for the server, from its start to its end; changed on the reactor's thread alone."""

    __slots__ = (
        "accounts_deleted", "code_seconds", "codes", "codes_withheld", "connections", "delivered", "expired",
        "fallbacks", "files_expired", "files_uploaded", "handshakes", "limits", "log_events",
        "login_seconds", "logins", "reactor_seconds", "refusals", "registrations", "stale", "stored",
        "submit_seconds",
    )  # fmt: skip

    def __init__(self) -> None:
        self.connections = 0
        self.handshakes = 0
        self.fallbacks = 0
        """Handshakes without ML-KEM."""
        self.logins = 0
        self.login_seconds = Tally(SECONDS)
        self.registrations = 0
        self.accounts_deleted = 0
        self.delivered = 0
        self.stored = 0
        self.stale = 0
        """Envelopes for a device that is not its account's any more."""
        self.expired = 0
        self.files_uploaded = 0
        self.files_expired = 0
        self.submit_seconds = Tally(SECONDS)
        self.reactor_seconds = Tally(SECONDS)
        """How much later than planned the reactor came round."""
        self.codes = dict.fromkeys(CodeOutcome, 0)
        self.codes_withheld = 0
        """Not handed to the sender: a limit."""
        self.code_seconds = Tally(CODE_SECONDS)
        self.limits = dict.fromkeys(Limit, 0)
        self.refusals: dict[tuple[str, RefusalCode], int] = {}
        """By the tag of the request and the code of its answer."""
        self.log_events = {"warn": 0, "error": 0, "critical": 0}

    def code(self, outcome: CodeOutcome, seconds: float) -> None:
        """A code was sent or not, so long after it was handed to its sender."""
        self.codes[outcome] += 1
        self.code_seconds.observe(seconds)

    def hit(self, limit: Limit | None) -> None:
        """A limit has said no."""
        if limit is not None:
            self.limits[limit] += 1

    def refused(self, request: Any, code: RefusalCode, limit: Limit | None) -> None:
        """A request (a message of `wire.messages`) was answered with this code."""
        key = (str(request.__struct_config__.tag), code)
        self.refusals[key] = self.refusals.get(key, 0) + 1
        self.hit(limit)
