"""One table: error code → exit code of the process, as `docs/command-line.md` promises it.

Knows nothing of what went wrong; also the one place that joins the outcomes of several recipients.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from e2ee.errors import Code

DONE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
TRUST = 4
LIMITED = 5
NOT_LOGGED_IN = 6
MIXED = 7
PROFILE_BUSY = 8
TIMED_OUT = 9
INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""
TERMINATED = 143
"""128 + SIGTERM, for one-shot commands; what runs for long ends with DONE."""

MEANINGS = MappingProxyType(
    {
        DONE: "done; also if whoever read the output has closed the pipe",
        FAILED: "failed otherwise: unknown recipient, passphrase, registration closed, already registered",
        USAGE: "usage: an option, address, link or file that cannot be, or nowhere to get a code from",
        UNREACHABLE: "the server could not be reached",
        TRUST: "trust: wrong pin, certificate or name, a changed key, a wrong safety number",
        LIMITED: "a limit of the server, which says how long to wait: rate, quota, full mailbox, busy",
        NOT_LOGGED_IN: "not registered, logged out or displaced; a wrong, expired or exhausted code or PIN",
        MIXED: "several recipients, who ended with different codes",
        PROFILE_BUSY: "the profile was busy for longer than --timeout",
        TIMED_OUT: "the state that was asked for was not reached within --timeout",
        INTERRUPTED: "interrupted",
    }
)
"""What each says to a person; the manual prints it."""

EXIT_CODES = MappingProxyType(
    {
        Code.USAGE: USAGE,
        Code.NOT_AVAILABLE: USAGE,
        Code.ALREADY_REGISTERED: FAILED,
        Code.REGISTRATION_CLOSED: FAILED,
        Code.INVITE_REFUSED: FAILED,
        Code.UNKNOWN_RECIPIENT: FAILED,
        Code.PASSPHRASE: FAILED,
        Code.FAILED: FAILED,
        Code.UNREACHABLE: UNREACHABLE,
        Code.PIN_MISMATCH: TRUST,
        Code.CERTIFICATE: TRUST,
        Code.NAME_MISMATCH: TRUST,
        Code.KEY_CHANGED: TRUST,
        Code.SAFETY_NUMBER: TRUST,
        Code.RATE_LIMITED: LIMITED,
        Code.QUOTA: LIMITED,
        Code.MAILBOX_FULL: LIMITED,
        Code.BUSY: LIMITED,
        Code.UNAVAILABLE: LIMITED,
        Code.NOT_REGISTERED: NOT_LOGGED_IN,
        Code.LOGGED_OUT: NOT_LOGGED_IN,
        Code.DISPLACED: NOT_LOGGED_IN,
        Code.WRONG_CODE: NOT_LOGGED_IN,
        Code.CODE_EXHAUSTED: NOT_LOGGED_IN,
        Code.WRONG_PIN: NOT_LOGGED_IN,
        Code.PIN_REQUIRED: NOT_LOGGED_IN,
        Code.PROFILE_BUSY: PROFILE_BUSY,
        Code.TIMEOUT: TIMED_OUT,
    }
)


def exit_code(code: Code) -> int:
    """The exit code of a process that ends with this error."""
    return EXIT_CODES[code]


def joined(outcomes: Iterable[int]) -> int:
    """The exit code for several recipients: their common one, or MIXED. No recipients: DONE."""
    distinct = set(outcomes)
    if len(distinct) > 1:
        return MIXED
    return distinct.pop() if distinct else DONE
