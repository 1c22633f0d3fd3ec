"""The primitives of key encapsulation: ML-KEM (FIPS 203) and RSA-OAEP (RFC 8017), of `cryptography`.

Knows algorithms, not protocols. The library takes no entropy for an encapsulation, for OAEP and for
RSA keys: so encapsulators are passed in (see `kem`), and tests have RSA keys that were made before.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from e2ee.errors import KeyRefused, OpenFailed

MlKemPublic = MLKEM1024PublicKey
MlKemSecret = MLKEM1024PrivateKey
MlKem768Public = MLKEM768PublicKey
MlKem768Secret = MLKEM768PrivateKey
RsaPublic = rsa.RSAPublicKey
RsaSecret = rsa.RSAPrivateKey
"""The library's parsed keys, opaque outside of this module; kept, because parsing costs time."""

MLKEM_SEED_BYTES = 64
MLKEM_SECRET_BYTES = 32
MLKEM_PUBLIC_BYTES = 1568
MLKEM_CIPHERTEXT_BYTES = 1568
MLKEM768_PUBLIC_BYTES = 1184
MLKEM768_CIPHERTEXT_BYTES = 1088
RSA_BITS = 3072
RSA_BYTES = RSA_BITS // 8
"""Of a modulus, and of a ciphertext."""
RSA_PRIMES_BYTES = RSA_BYTES
"""Of both primes together."""
_RSA_EXPONENT = 65537


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


# --- RSA-3072 with OAEP: for handshakes of installations that must use RSA -------------------------


def rsa_public(modulus: bytes) -> RsaPublic:
    """The key of a modulus, e = 65537; raises KeyRefused if it is even or has not exactly 3072 bits."""
    if len(modulus) != RSA_BYTES or modulus[0] < 0x80 or not modulus[-1] & 1:
        raise KeyRefused("an RSA modulus is an odd number of 3072 bits")
    return rsa.RSAPublicNumbers(_RSA_EXPONENT, int.from_bytes(modulus, "big")).public_key()


def rsa_modulus(public: RsaPublic) -> bytes:
    """The modulus, 384 bytes, big-endian."""
    return public.public_numbers().n.to_bytes(RSA_BYTES, "big")


def rsa_generate() -> bytes:
    """Both primes of a new key, 192 bytes each. Takes up to seconds: run it in a thread."""
    numbers = rsa.generate_private_key(_RSA_EXPONENT, RSA_BITS).private_numbers()
    return b"".join(prime.to_bytes(RSA_PRIMES_BYTES // 2, "big") for prime in (numbers.p, numbers.q))


def rsa_secret(primes: bytes) -> RsaSecret:
    """The private key of both primes, which were made here; raises KeyRefused for other sizes."""
    if len(primes) != RSA_PRIMES_BYTES:
        raise KeyRefused("the primes of an RSA key have 192 bytes each")
    p, q = (int.from_bytes(half, "big") for half in (primes[:192], primes[192:]))
    if (p * q).bit_length() != RSA_BITS or p == q or not p & q & 1:
        raise KeyRefused("the primes of an RSA key of another size")
    try:
        exponent = rsa.rsa_recover_private_exponent(_RSA_EXPONENT, p, q)
        return rsa.RSAPrivateNumbers(
            p=p,
            q=q,
            d=exponent,
            dmp1=rsa.rsa_crt_dmp1(exponent, p),
            dmq1=rsa.rsa_crt_dmq1(exponent, q),
            iqmp=rsa.rsa_crt_iqmp(p, q),
            public_numbers=rsa.RSAPublicNumbers(_RSA_EXPONENT, p * q),
        ).private_key(unsafe_skip_rsa_key_validation=True)
    except ValueError:
        raise KeyRefused("not the primes of an RSA key") from None


def random_seed() -> bytes:
    """32 bytes of the library's own randomness, for a key transport."""
    return AESGCM.generate_key(256)


def rsa_encrypt(public: RsaPublic, plaintext: bytes, label: bytes) -> bytes:
    """RSAES-OAEP with SHA-256 (RFC 8017, section 7.1). Takes the library's own randomness."""
    return public.encrypt(plaintext, _oaep(label))


def rsa_decrypt(secret: RsaSecret, ciphertext: bytes, label: bytes) -> bytes | None:
    """The plaintext; None, and nothing about why, if there is none."""
    try:
        return secret.decrypt(ciphertext, _oaep(label))
    except ValueError:
        return None


def _oaep(label: bytes) -> OAEP:
    return OAEP(MGF1(SHA256()), SHA256(), label)
