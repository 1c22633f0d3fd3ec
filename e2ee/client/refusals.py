"""What the server's refusals mean to a user, and the two ways in which a request can fail.

The one place that turns codes of the wire into codes of the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from e2ee.errors import Code, Failure
from e2ee.wire.messages import RefusalCode, Refused

CODES: Final[Mapping[RefusalCode, Code]] = MappingProxyType(
    {
        RefusalCode.MALFORMED: Code.FAILED,
        RefusalCode.FRAME_TOO_LARGE: Code.FAILED,
        RefusalCode.ILLEGAL: Code.FAILED,
        RefusalCode.VERSION: Code.CERTIFICATE,
        RefusalCode.TIMEOUT: Code.UNREACHABLE,
        RefusalCode.REGISTRATION_CLOSED: Code.REGISTRATION_CLOSED,
        RefusalCode.INVITE_REFUSED: Code.INVITE_REFUSED,
        RefusalCode.INVALID_NUMBER: Code.USAGE,
        RefusalCode.UNKNOWN_SESSION: Code.WRONG_CODE,
        RefusalCode.CODE_EXHAUSTED: Code.CODE_EXHAUSTED,
        RefusalCode.PROOF_REFUSED: Code.WRONG_CODE,
        RefusalCode.WRONG_PIN: Code.WRONG_PIN,
        RefusalCode.LOGIN_REFUSED: Code.LOGGED_OUT,
        RefusalCode.LOGGED_OUT: Code.LOGGED_OUT,
        RefusalCode.DISPLACED: Code.DISPLACED,
        RefusalCode.KEY_REFUSED: Code.FAILED,
        RefusalCode.CONFLICT: Code.FAILED,
        RefusalCode.UNKNOWN_RECIPIENT: Code.UNKNOWN_RECIPIENT,
        RefusalCode.HELD: Code.FAILED,
        RefusalCode.QUOTA: Code.QUOTA,
        RefusalCode.MAILBOX_FULL: Code.MAILBOX_FULL,
        RefusalCode.RATE_LIMITED: Code.RATE_LIMITED,
        RefusalCode.BUSY: Code.BUSY,
        RefusalCode.EXPIRED: Code.FAILED,
        RefusalCode.UNAVAILABLE: Code.UNAVAILABLE,
    }
)
"""VERSION is a matter of trust (exit 4): less than what was agreed on before is a downgrade."""

OWN_SENTENCES: Final[Mapping[RefusalCode, str]] = MappingProxyType(
    {
        RefusalCode.LOGIN_REFUSED: (
            "the server does not know this device: its account was taken over, logged out or deleted;"
            " `e2ee register --again` makes new keys"
        ),
        RefusalCode.LOGGED_OUT: (
            "this device was logged out: its number was registered on another one, or the server's operator"
            " has logged it out or deleted its account; `e2ee register --again` makes new keys"
        ),
        RefusalCode.DISPLACED: "this profile has connected from elsewhere, so this connection has ended",
        RefusalCode.UNKNOWN_SESSION: "this code has expired or was used; `e2ee register` asks for a new one",
        RefusalCode.CODE_EXHAUSTED: (
            "no guess at this code is left; `e2ee register` asks for a new one"
        ),
        RefusalCode.PROOF_REFUSED: "the code is wrong",
        RefusalCode.WRONG_PIN: "the registration PIN is wrong",
        RefusalCode.VERSION: "the server speaks no version of the protocol that this client accepts",
    }
)
"""Where this side knows better than the server what to tell its user."""

FINAL = frozenset(
    {
        Code.PIN_MISMATCH,
        Code.CERTIFICATE,
        Code.NAME_MISMATCH,
        Code.NOT_REGISTERED,
        Code.LOGGED_OUT,
        Code.DISPLACED,
    }
)
"""Failures of a connection after which trying again by itself would be wrong."""


class Refusal(Failure):
    """The server did not do what was asked for; `refusal` is its own code."""

    def __init__(self, refused: Refused) -> None:
        sentence = OWN_SENTENCES.get(refused.code, refused.sentence)
        super().__init__(CODES[refused.code], sentence, refused.retry_after)
        self.refusal = refused.code


class LinkLost(Failure):
    """There is no connection, or it ended before the answer: what was asked for may have been done."""

    def __init__(self, sentence: str = "the connection to the server was lost") -> None:
        super().__init__(Code.UNREACHABLE, sentence)
