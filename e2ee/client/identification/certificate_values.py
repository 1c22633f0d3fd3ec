"""What the client's conversations tell of X.509 certificates and authorities: plain values.

Frozen, without behaviour. Names in here are other people's, and go through the user interface's
sanitiser before they are printed. All times are whole milliseconds since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """The X.509 certificate that contacts get of the own account; `refusal`: why it proves nothing."""

    subject: str
    issuer: str
    serial: str  # hexadecimal
    not_before: int
    not_after: int
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class TrustedAuthority:
    """A certification authority whose word counts. `fingerprint` is SHA-256 of its certificate.

    `revocations_until`: the end of its revocation list; None: there is none, and nothing is revoked.
    """

    name: str
    fingerprint: bytes
    not_after: int
    revocations_until: int | None = None
