"""The state token: a counter that a device leaves with the server, which can keep it or hide it, not make it.

Layout: counter (8, big-endian), HMAC-SHA256 of the counter (32), under a key that only this device has.
Knows no vault and no server; what follows from a counter is for the client. See
`docs/cryptography.md`, "State tokens".
"""

from __future__ import annotations

from e2ee.crypto import labels, limits, primitives
from e2ee.crypto.encoding import number
from e2ee.crypto.own_device import OwnDevice

_COUNTER_BYTES = 8
_NO_SALT = bytes(32)
STATE_TOKEN_BYTES = _COUNTER_BYTES + 32


def make_state_token(own: OwnDevice, counter: int) -> bytes:
    """The token for this counter, which is below 2**53 (else ValueError)."""
    if not 0 <= counter < limits.COUNTERS:
        raise ValueError("a counter is a number below 2**53")
    encoded = number(counter, _COUNTER_BYTES)
    return encoded + primitives.hmac_sha256(_key(own), encoded)


def read_state_token(own: OwnDevice, token: bytes) -> int | None:
    """The counter in a token of this device; None for anything else."""
    if len(token) != STATE_TOKEN_BYTES:
        return None
    counter = int.from_bytes(token[:_COUNTER_BYTES], "big")
    if counter >= limits.COUNTERS or not primitives.equal(make_state_token(own, counter), token):
        return None
    return counter


def _key(own: OwnDevice) -> bytes:
    return primitives.hkdf(_NO_SALT, own.device_secret.raw, labels.STATE_TOKEN, primitives.KEY_BYTES)
