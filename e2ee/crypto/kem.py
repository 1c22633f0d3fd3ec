"""Key encapsulation, in handshakes and in hybrid chains, behind a small interface.

Knows which KEM belongs to which suite, not what its secrets are used for.
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.crypto import kem_primitives, rsa_transport
from e2ee.crypto.keys import KemKey, KemSuite, RatchetKemKey
from e2ee.crypto.secret_keys import KemSecretKey

Encapsulate = Callable[[KemKey | RatchetKemKey], tuple[bytes, bytes]]
"""A fresh secret of 32 bytes for a public key, and the ciphertext that carries it.

An argument of handshake and ratchet, because the library takes no entropy for this step: callers pass
`encapsulate`, tests may pass one with known answers.
"""

_NAMES = {KemSuite.ML_KEM_1024: b"ML-KEM-1024", KemSuite.RSA_3072: b"RSA-3072-OAEP-SHA256"}


def kem_name(suite: KemSuite) -> bytes:
    """The name that stands in the transcript."""
    return _NAMES[suite]


def encapsulate(key: KemKey | RatchetKemKey) -> tuple[bytes, bytes]:
    """The Encapsulate of the library, with its own randomness."""
    if isinstance(key, RatchetKemKey):
        return kem_primitives.mlkem768_encapsulate(key.parsed)
    if isinstance(key.parsed, kem_primitives.RsaPublic):
        return rsa_transport.encapsulate(key.parsed, key.raw)
    return kem_primitives.mlkem_encapsulate(key.parsed)


def decapsulate(secret: KemSecretKey, ciphertext: bytes) -> bytes:
    """The secret, 32 bytes. OpenFailed for another length; a wrong ciphertext gives another secret."""
    if isinstance(secret.parsed, kem_primitives.RsaSecret):
        rsa, rejection_key = secret.parsed, secret.rejection_key
        return rsa_transport.decapsulate(rsa, rejection_key, secret.public_raw, ciphertext)
    return kem_primitives.mlkem_decapsulate(secret.parsed, ciphertext)
