"""The keys of X.509 identities: which are good enough, and how they sign. An importer of `cryptography`.

Knows algorithms, with all their parameters fixed: an identity says nowhere how it was signed, its
certificate's key does. Not certificates' paths (`certificate_path`), nor what is signed.

RSA of 2048 to 8192 bits: RSASSA-PSS with SHA-256, MGF1 with SHA-256, a salt of 32 bytes (RFC 8017, section
8.1). ECDSA on P-256, P-384, P-521 with SHA-256, SHA-384, SHA-512, in DER (FIPS 186-5; RFC 3279, section
2.2.3). Ed25519 (RFC 8032).
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from e2ee.net.x509 import UNREADABLE, CredentialsRefused, public_key_bytes

RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
"""A signature of such a key takes a millisecond to verify: more would be work for strangers to give."""
RSA_EXPONENT: Final = 65537

IdentityKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_SHA256 = hashes.SHA256()
_PSS = padding.PSS(padding.MGF1(_SHA256), 32)
_CURVES: Final[dict[str, ec.ECDSA]] = {
    ec.SECP256R1.name: ec.ECDSA(_SHA256),
    ec.SECP384R1.name: ec.ECDSA(hashes.SHA384()),
    ec.SECP521R1.name: ec.ECDSA(hashes.SHA512()),
}


def checked_key(certificate: x509.Certificate) -> _Public:
    """The public key of a certificate. Raises CredentialsRefused for a weak one, or one of another kind."""
    try:
        key = certificate.public_key()
    except UNREADABLE:
        raise CredentialsRefused("the key of the certificate cannot be read") from None
    if isinstance(key, rsa.RSAPublicKey):
        if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
            raise CredentialsRefused(
                f"the certificate has an RSA key of {key.key_size} bits:"
                f" {RSA_BITS_MIN} to {RSA_BITS_MAX} are accepted"
            )
        if key.public_numbers().e != RSA_EXPONENT:
            raise CredentialsRefused(f"its RSA key has another exponent than {RSA_EXPONENT}")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise CredentialsRefused(
        "the key of the certificate is none of RSA, Ed25519, and ECDSA on P-256, P-384 or P-521"
    )


def load_identity_key(pem: bytes, certificate: x509.Certificate) -> IdentityKey:
    """The private key of a certificate, without a passphrase. Raises CredentialsRefused."""
    public = checked_key(certificate)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise CredentialsRefused("the private key is protected by a passphrase; store it without") from None
    except UNREADABLE:
        raise CredentialsRefused("there is no readable private key in PEM form") from None
    if not isinstance(key, IdentityKey) or public_key_bytes(key.public_key()) != public_key_bytes(public):
        raise CredentialsRefused("the private key does not belong to the first certificate")
    return key


def sign(key: IdentityKey, message: bytes) -> bytes:
    """The signature of a key whose certificate has been checked."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, _PSS, _SHA256)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, _CURVES[key.curve.name])
    return key.sign(message)


def verify(certificate: x509.Certificate, message: bytes, signature: bytes) -> None:
    """Raises CredentialsRefused unless the key of this certificate, which must be a good one, has signed."""
    key = checked_key(certificate)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, _PSS, _SHA256)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, _CURVES[key.curve.name])
        else:
            key.verify(signature, message)
    except (InvalidSignature, *UNREADABLE):
        raise CredentialsRefused("the key of the certificate has not signed this account key") from None
