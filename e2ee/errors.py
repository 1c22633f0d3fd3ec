"""The families of errors.

Knows nothing of wire, databases or terminals: each room raises these, and the edges decide what
leaves the process. Texts here never contain a secret.
"""

from __future__ import annotations

from enum import StrEnum


class E2eeError(Exception):
    """The root of every error that this package raises on purpose."""


class InvalidAddress(E2eeError, ValueError):
    """A text that is not a possible phone number in international form; the text says why."""


class InvalidIdentifier(E2eeError, ValueError):
    """An identifier of the wrong length or spelling."""


# --- cryptography -----------------------------------------------------------------------------


class CryptoError(E2eeError):
    """The root of what `e2ee.crypto` raises."""


class KeyRefused(CryptoError):
    """A public key that is malformed, small-order, low-order, non-canonical or of the wrong kind."""


class SignatureRefused(CryptoError):
    """A signature that does not verify, or a signed structure that is not in its one encoding."""


class EncodingRefused(CryptoError):
    """Stored bytes of `e2ee.crypto` that are not in their one encoding."""


class OpenFailed(CryptoError):
    """The one error for every envelope that cannot be opened, whatever the reason."""

    def __init__(self) -> None:
        super().__init__("the envelope could not be opened")


class RepeatedFirstMessage(CryptoError):
    """A handshake whose ephemeral key has been seen: acknowledge it, and nothing else."""


class ProofRefused(CryptoError):
    """The one error for everything that can be wrong with a passcode proof."""

    def __init__(self) -> None:
        super().__init__("the passcode proof was refused")


# --- stores -----------------------------------------------------------------------------------


class StoreError(E2eeError):
    """The root of what `e2ee.store` raises."""


class StoreUnavailable(StoreError):
    """There is no room on the disk: nothing was written, and it can be tried again later."""


class StoreBroken(StoreError):
    """A commit failed for another reason than room: nothing may be answered, the process must end."""


class StoreLocked(StoreError):
    """The key does not open the database, or the file is not one."""


# --- what a user or a script is told ----------------------------------------------------------


class Code(StrEnum):
    """The error codes of the command line; each has one exit code, in `e2ee.ui.exit_codes`."""

    USAGE = "usage"
    ALREADY_REGISTERED = "already_registered"
    NOT_REGISTERED = "not_registered"
    LOGGED_OUT = "logged_out"
    DISPLACED = "displaced"
    WRONG_CODE = "wrong_code"
    CODE_EXHAUSTED = "code_exhausted"
    WRONG_PIN = "wrong_pin"
    PIN_REQUIRED = "pin_required"
    REGISTRATION_CLOSED = "registration_closed"
    INVITE_REFUSED = "invite_refused"
    UNKNOWN_RECIPIENT = "unknown_recipient"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of an error, not a secret
    UNREACHABLE = "unreachable"
    PIN_MISMATCH = "pin_mismatch"
    CERTIFICATE = "certificate"
    NAME_MISMATCH = "name_mismatch"
    KEY_CHANGED = "key_changed"
    SAFETY_NUMBER = "safety_number"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    MAILBOX_FULL = "mailbox_full"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    PROFILE_BUSY = "profile_busy"
    TIMEOUT = "timeout"
    NOT_AVAILABLE = "not_available"
    FAILED = "failed"


class Failure(E2eeError):
    """Something a user asked for did not happen: a code, a sentence, and when trying again helps.

    `sentence` may hold text from the network; whoever prints it passes it through the sanitiser.
    """

    def __init__(self, code: Code, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.retry_after = retry_after
