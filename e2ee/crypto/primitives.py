"""The primitives: ciphers and curves of the library `cryptography`, hashes of the standard library.

Knows algorithms, not protocols; those of key encapsulation stand in `kem_primitives`, and nothing else
of this package imports either. Entropy is an argument everywhere. Every comparison of secrets is
in constant time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from hmac import compare_digest

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from e2ee.crypto import labels, limits
from e2ee.errors import KeyRefused, OpenFailed, SignatureRefused

Entropy = Callable[[int], bytes]
"""Gives that many unpredictable bytes: `os.urandom`, or a seeded one in tests."""

Ed25519Public = Ed25519PublicKey
Ed25519Secret = Ed25519PrivateKey
X25519Public = X25519PublicKey
X25519Secret = X25519PrivateKey
"""The library's parsed keys, opaque outside of this module; kept, because parsing costs time."""

HASH_BYTES = 32
KEY_BYTES = 32
SIGNATURE_BYTES = 64
IV_BYTES = 16
BLOCK_BYTES = 16
NONCE_BYTES = 12

_SHA256 = SHA256()
_hash = hashlib.sha256
_HASH_BLOCK_BYTES = 64
_XOR_IPAD = bytes(byte ^ 0x36 for byte in range(256))
_XOR_OPAD = bytes(byte ^ 0x5C for byte in range(256))
"""Tables for `bytes.translate`."""
_PKCS7 = tuple(bytes((fill,)) * fill for fill in range(BLOCK_BYTES + 1))
"""The padding of each length."""
_FIELD = 2**255 - 19
_SIGN_BIT = 1 << 255

_X25519_LOW_ORDER = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)
"""The canonical u-coordinates of order 1, 2, 4 and 8, on the curve and its twist (RFC 7748, section 6.1)."""

_ED25519_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        _FIELD - 2707385501144840649318225287225658788936804267575313519463743609750303402022,
    }
)
"""The y-coordinates of the eight points of small order (RFC 8032, section 5.1), sign bit left out."""


# --- hashes and keyed hashes -------------------------------------------------------------------


def sha256(message: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(message).digest()


def sha512(message: bytes) -> bytes:
    """SHA-512, 64 bytes."""
    return hashlib.sha512(message).digest()


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104, section 2), 32 bytes."""
    inner, outer = _hmac_blocks(key)
    return _hash(outer + _hash(inner + message).digest()).digest()


def hmac_sha256_pair(key: bytes, one: bytes, other: bytes) -> tuple[bytes, bytes]:
    """HMAC-SHA256 of two messages under one key, which is set up once."""
    inner, outer = _hmac_blocks(key)
    return (
        _hash(outer + _hash(inner + one).digest()).digest(),
        _hash(outer + _hash(inner + other).digest()).digest(),
    )


def hkdf_expand_pair(key: bytes, info: bytes) -> tuple[bytes, bytes]:
    """HKDF-Expand to 64 bytes (RFC 5869, section 2.3), as its two blocks: T(1) and T(2)."""
    inner, outer = _hmac_blocks(key)
    first = _hash(outer + _hash(inner + info + b"\x01").digest()).digest()
    return first, _hash(outer + _hash(inner + first + info + b"\x02").digest()).digest()


def _hmac_blocks(key: bytes) -> tuple[bytes, bytes]:
    """The key XOR ipad, which the inner hash begins with, and XOR opad, which the outer one does.

    HMAC is two hashes. Made of them here, as the standard library does it too, because the objects that
    libraries have for it take longer to be set up than these hashes take, and a message needs five.
    """
    block = (key if len(key) <= _HASH_BLOCK_BYTES else sha256(key)).ljust(_HASH_BLOCK_BYTES, b"\0")
    return block.translate(_XOR_IPAD), block.translate(_XOR_OPAD)


def equal(a: bytes, b: bytes) -> bool:
    """Whether two byte strings are the same, in constant time for equal lengths."""
    return compare_digest(a, b)


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-256 (RFC 5869, section 2.3). `length` is at most 255 · 32 bytes."""
    return HKDFExpand(_SHA256, length, info).derive(key)


def hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869): extract, then expand to `length` bytes."""
    return HKDF(_SHA256, length, salt, info).derive(secret)


def argon2id(
    passphrase: bytes,
    salt: bytes,
    memory_kib: int = limits.ARGON2_MEMORY_KIB,
    iterations: int = limits.ARGON2_ITERATIONS,
    lanes: int = limits.ARGON2_LANES,
) -> bytes:
    """A 32-byte key from a passphrase (RFC 9106). Takes 0.1 s and 64 MiB: run it in a thread."""
    derivation = Argon2id(
        salt=salt, length=KEY_BYTES, iterations=iterations, lanes=lanes, memory_cost=memory_kib
    )
    return derivation.derive(passphrase)


# --- symmetric encryption ----------------------------------------------------------------------


def aes_cbc_encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """AES-256-CBC with the padding of PKCS#7."""
    padded = plaintext + _PKCS7[BLOCK_BYTES - len(plaintext) % BLOCK_BYTES]
    return Cipher(AES256(key), CBC(iv)).encryptor().update(padded)


def aes_cbc_decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """The reverse; raises OpenFailed. Only for ciphertexts whose MAC was checked before."""
    if not ciphertext or len(ciphertext) % BLOCK_BYTES:
        raise OpenFailed
    padded = Cipher(AES256(key), CBC(iv)).decryptor().update(ciphertext)
    fill = padded[-1]
    if not 1 <= fill <= BLOCK_BYTES or not padded.endswith(_PKCS7[fill]):
        raise OpenFailed
    return padded[:-fill]


def aead_seal(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """AES-256-GCM (NIST SP 800-38D): ciphertext, then a tag of 16 bytes. A nonce is used once for a key."""
    return AESGCM(key).encrypt(nonce, plaintext, associated)


def aead_open(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """The reverse; raises OpenFailed."""
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, associated)
    except (InvalidTag, ValueError):
        raise OpenFailed from None


def wrap_key(wrapping_key: bytes, key: bytes, entropy: Entropy) -> bytes:
    """A key encrypted under another of 32 bytes: nonce(12), ciphertext, tag(16)."""
    nonce = entropy(NONCE_BYTES)
    return nonce + aead_seal(wrapping_key, nonce, key, labels.WRAPPED_KEY)


def unwrap_key(wrapping_key: bytes, wrapped: bytes) -> bytes:
    """The key; raises OpenFailed if `wrapping_key` is another or the bytes were changed."""
    return aead_open(wrapping_key, wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], labels.WRAPPED_KEY)


# --- X25519 (RFC 7748) -------------------------------------------------------------------------


def x25519_public(raw: bytes) -> X25519Public:
    """Parse a public key; raises KeyRefused for another length, a non-canonical or a low-order one.

    The library computes with non-canonical bytes, which would give one key several spellings.
    """
    if len(raw) != KEY_BYTES:
        raise KeyRefused("an X25519 key has 32 bytes")
    coordinate = int.from_bytes(raw, "little")
    if coordinate >= _FIELD:
        raise KeyRefused("an X25519 key that is not in canonical form")
    if coordinate in _X25519_LOW_ORDER:
        raise KeyRefused("an X25519 key of low order")
    return X25519Public.from_public_bytes(raw)


def x25519_secret(raw: bytes) -> X25519Secret:
    """Any 32 bytes are a private key; raises KeyRefused for another length."""
    if len(raw) != KEY_BYTES:
        raise KeyRefused("an X25519 private key has 32 bytes")
    return X25519Secret.from_private_bytes(raw)


def x25519(secret: X25519Secret, public: X25519Public) -> bytes:
    """The shared secret, 32 bytes; raises KeyRefused if it is zero (a point of low order)."""
    try:
        return secret.exchange(public)
    except ValueError:
        raise KeyRefused("an X25519 key of low order") from None


# --- Ed25519 (RFC 8032) ------------------------------------------------------------------------


def ed25519_public(raw: bytes) -> Ed25519Public:
    """Parse a public key; raises KeyRefused for another length, a non-canonical or a small-order one.

    Under a small-order key one signature verifies for any message, and the library accepts it.
    """
    if len(raw) != KEY_BYTES:
        raise KeyRefused("an Ed25519 key has 32 bytes")
    coordinate = int.from_bytes(raw, "little") & ~_SIGN_BIT
    if coordinate >= _FIELD:
        raise KeyRefused("an Ed25519 key that is not in canonical form")
    if coordinate in _ED25519_SMALL_ORDER:
        raise KeyRefused("an Ed25519 key of small order")
    return Ed25519Public.from_public_bytes(raw)


def ed25519_secret(seed: bytes) -> Ed25519Secret:
    """A private key from its seed; raises KeyRefused for another length than 32 bytes."""
    if len(seed) != KEY_BYTES:
        raise KeyRefused("an Ed25519 seed has 32 bytes")
    return Ed25519Secret.from_private_bytes(seed)


def ed25519_sign(secret: Ed25519Secret, message: bytes) -> bytes:
    """A signature, 64 bytes."""
    return secret.sign(message)


def ed25519_verify(public: Ed25519Public, message: bytes, signature: bytes) -> None:
    """Raises SignatureRefused."""
    try:
        public.verify(signature, message)
    except InvalidSignature:
        raise SignatureRefused("a signature does not verify") from None
