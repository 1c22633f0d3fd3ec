"""RSA-3072-OAEP-SHA256 as a KEM: 32 random bytes are encrypted, and the secret is derived from them.

Knows no handshake. Where RSA itself binds nothing, key and ciphertext go into label and derivation. A
ciphertext that does not decrypt gives another secret (implicit rejection, as ML-KEM has it), so that
whoever sent it learns nothing from how it was refused.
"""

from __future__ import annotations

from e2ee.crypto import labels
from e2ee.crypto.kem_primitives import (
    RSA_BYTES,
    RsaPublic,
    RsaSecret,
    random_seed,
    rsa_decrypt,
    rsa_encrypt,
)
from e2ee.crypto.primitives import HASH_BYTES, KEY_BYTES, hkdf, hmac_sha256, sha256
from e2ee.errors import OpenFailed

KEM_ID = b"\x02"
"""The number of the suite."""
_NO_SALT = bytes(HASH_BYTES)


def encapsulate(public: RsaPublic, modulus: bytes) -> tuple[bytes, bytes]:
    """A fresh secret of 32 bytes and its ciphertext of 384, for the key with this modulus."""
    seed = random_seed()
    ciphertext = rsa_encrypt(public, seed, _oaep_label(modulus))
    return _secret(seed, modulus, ciphertext), ciphertext


def decapsulate(secret: RsaSecret, rejection_key: bytes, modulus: bytes, ciphertext: bytes) -> bytes:
    """The secret; OpenFailed for another length. What takes its place is derived in every case."""
    if len(ciphertext) != RSA_BYTES:
        raise OpenFailed
    rejected = hmac_sha256(rejection_key, ciphertext)
    seed = rsa_decrypt(secret, ciphertext, _oaep_label(modulus))
    if seed is None or len(seed) != KEY_BYTES:
        seed = rejected
    return _secret(seed, modulus, ciphertext)


def _oaep_label(modulus: bytes) -> bytes:
    return KEM_ID + sha256(modulus)


def _secret(seed: bytes, modulus: bytes, ciphertext: bytes) -> bytes:
    info = labels.RSA_TRANSPORT + KEM_ID + sha256(modulus + ciphertext)
    return hkdf(_NO_SALT, seed, info, KEY_BYTES)
