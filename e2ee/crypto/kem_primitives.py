"""The primitives of key encapsulation: ML-KEM (FIPS 203), of the library `cryptography`.

Knows algorithms, not protocols. The library takes no entropy for an encapsulation, so the functions
here that encapsulate are not called by name: callers get one passed in (see `kem`).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)

from e2ee.errors import KeyRefused, OpenFailed

MlKemPublic = MLKEM1024PublicKey
MlKemSecret = MLKEM1024PrivateKey
MlKem768Public = MLKEM768PublicKey
MlKem768Secret = MLKEM768PrivateKey
"""The library's parsed keys, opaque outside of this module; kept, because parsing costs time."""

MLKEM_SEED_BYTES = 64
MLKEM_SECRET_BYTES = 32
MLKEM_PUBLIC_BYTES = 1568
MLKEM_CIPHERTEXT_BYTES = 1568
MLKEM768_PUBLIC_BYTES = 1184
MLKEM768_CIPHERTEXT_BYTES = 1088


# --- ML-KEM-1024: for handshakes ---------------------------------------------------------------


def mlkem_public(raw: bytes) -> MlKemPublic:
    """Parse an encapsulation key; raises KeyRefused if it fails the checks of FIPS 203, section 7.2."""
    try:
        return MlKemPublic.from_public_bytes(raw)
    except ValueError:
        raise KeyRefused("not an ML-KEM-1024 key") from None


def mlkem_secret(seed: bytes) -> MlKemSecret:
    """A decapsulation key from its seed; raises KeyRefused for another length than 64 bytes."""
    if len(seed) != MLKEM_SEED_BYTES:
        raise KeyRefused("an ML-KEM seed has 64 bytes")
    return MlKemSecret.from_seed_bytes(seed)


def mlkem_encapsulate(public: MlKemPublic) -> tuple[bytes, bytes]:
    """A fresh secret of 32 bytes and its ciphertext of 1,568. Takes the library's own randomness."""
    return public.encapsulate()


def mlkem_decapsulate(secret: MlKemSecret, ciphertext: bytes) -> bytes:
    """The secret; a wrong ciphertext of the right length gives another one (implicit rejection)."""
    if len(ciphertext) != MLKEM_CIPHERTEXT_BYTES:
        raise OpenFailed
    return secret.decapsulate(ciphertext)


# --- ML-KEM-768: for the ratchet, where keys are many and live for a turn ---------------------------


def mlkem768_public(raw: bytes) -> MlKem768Public:
    """As `mlkem_public`."""
    try:
        return MlKem768Public.from_public_bytes(raw)
    except ValueError:
        raise KeyRefused("not an ML-KEM-768 key") from None


def mlkem768_secret(seed: bytes) -> MlKem768Secret:
    """As `mlkem_secret`."""
    if len(seed) != MLKEM_SEED_BYTES:
        raise KeyRefused("an ML-KEM seed has 64 bytes")
    return MlKem768Secret.from_seed_bytes(seed)


def mlkem768_encapsulate(public: MlKem768Public) -> tuple[bytes, bytes]:
    """A fresh secret of 32 bytes and its ciphertext of 1,088. Takes the library's own randomness."""
    return public.encapsulate()


def mlkem768_decapsulate(secret: MlKem768Secret, ciphertext: bytes) -> bytes:
    """As `mlkem_decapsulate`."""
    if len(ciphertext) != MLKEM768_CIPHERTEXT_BYTES:
        raise OpenFailed
    return secret.decapsulate(ciphertext)
