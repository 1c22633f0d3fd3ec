"""Passcodes, registration PINs and invites at rest on the server.

Codes are encrypted under a key that is not in the database: a copy of the database alone gives no
code, and a sealed code moved to another session or number does not open. Of a PIN, which the client
has stretched, and of an invite, which is random, a hash is kept. Knows neither who asked
nor what is compared when.
"""

from __future__ import annotations

from e2ee.crypto import labels, primitives
from e2ee.crypto.primitives import NONCE_BYTES, Entropy
from e2ee.ids import Address, PasscodeSessionId

_NO_SALT = bytes(primitives.HASH_BYTES)


def derive_code_key(server_secret: bytes) -> bytes:
    """The key for `seal_code` from the server's secret (HKDF, RFC 5869); 32 bytes."""
    return primitives.hkdf(_NO_SALT, server_secret, labels.PASSCODE_STORE_KEY, primitives.KEY_BYTES)


def seal_code(
    key: bytes, session: PasscodeSessionId, address: Address, code: str, entropy: Entropy
) -> bytes:
    """The code as the database keeps it: nonce(12), ciphertext, tag(16)."""
    nonce = entropy(NONCE_BYTES)
    return nonce + primitives.aead_seal(key, nonce, code.encode("ascii"), _bound_to(session, address))


def open_code(key: bytes, session: PasscodeSessionId, address: Address, sealed: bytes) -> str:
    """The code; raises OpenFailed for another key, session or number, or changed bytes."""
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    return primitives.aead_open(key, nonce, ciphertext, _bound_to(session, address)).decode("ascii")


def hash_pin(stretched: bytes) -> bytes:
    """What the database keeps of a stretched PIN: who copies it cannot register with it; 32 bytes."""
    return primitives.sha256(labels.PIN_AT_REST + stretched)


def hash_invite(invite: bytes) -> bytes:
    """What the database keeps of an invite: who copies it is not invited; 32 bytes."""
    return primitives.sha256(labels.INVITE_AT_REST + invite)


def _bound_to(session: PasscodeSessionId, address: Address) -> bytes:
    # The session has a fixed length, so no two pairs give the same bytes.
    return labels.PASSCODE_AT_REST + bytes(session) + address.encode("ascii")
