"""The key encapsulation of the handshake, behind a small interface.

Knows which KEM belongs to which suite, not what its secrets are used for.
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.crypto import primitives
from e2ee.crypto.keys import KemKey, KemSuite
from e2ee.crypto.secret_keys import KemSecretKey

Encapsulate = Callable[[KemKey], tuple[bytes, bytes]]
"""A fresh secret of 32 bytes for a public key, and the ciphertext that carries it.

An argument of the handshake, because the library takes no entropy for this step: callers pass
`encapsulate`, tests may pass one with known answers.
"""

_NAMES = {KemSuite.ML_KEM_1024: b"ML-KEM-1024"}


def kem_name(suite: KemSuite) -> bytes:
    """The name that stands in the transcript."""
    return _NAMES[suite]


def encapsulate(key: KemKey) -> tuple[bytes, bytes]:
    """The Encapsulate of the library, with its own randomness."""
    return primitives.mlkem_encapsulate(key.parsed)


def decapsulate(secret: KemSecretKey, ciphertext: bytes) -> bytes:
    """The secret, 32 bytes. OpenFailed for another length; a wrong ciphertext gives another secret."""
    return primitives.mlkem_decapsulate(secret.parsed, ciphertext)
