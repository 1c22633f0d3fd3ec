"""What an authority does for people: certificates for phone numbers, and the list of those taken back.

An importer of `cryptography`. Knows X.509 (RFC 5280); not sockets, files, or what a client checks
(`certificate_path`). Used by the tool in `certs/` and by tests.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from e2ee.net.identity_key import IdentityKey
from e2ee.net.x509 import (
    CLOCK_SKEW,
    RSA_BITS,
    UNREADABLE,
    Certificate,
    Credentials,
    CredentialsRefused,
    PublicKey,
    certificate_builder,
    distinguished_name,
    key_usage,
)

IDENTITY_YEARS: Final = 1
REVOCATION_LIST_DAYS: Final = 30


class IdentityKeyKind(Enum):
    """What kinds of key a person is made."""

    ECDSA_P256 = "ecdsa-p256"
    RSA_3072 = "rsa-3072"
    ED25519 = "ed25519"

    def generate(self) -> IdentityKey:
        """A new private key of this kind."""
        if self is IdentityKeyKind.RSA_3072:
            return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        if self is IdentityKeyKind.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        return ec.generate_private_key(ec.SECP256R1())


def identity_key_to_pem(key: IdentityKey) -> bytes:
    """A private key, unencrypted (PKCS #8)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def issue_identity(
    authority: Credentials,
    number: str,
    name: str,
    key: PublicKey,
    now: datetime.datetime,
    years: int = IDENTITY_YEARS,
) -> Certificate:
    """A certificate for a phone number, `+…`; `name` is for whoever looks at it."""
    builder = (
        certificate_builder(distinguished_name(name), key, now, years)
        .issuer_name(authority.certificate.subject)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"tel:{number}")]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )
    return builder.sign(authority.key, hashes.SHA256())


def make_revocation_list(
    authority: Credentials,
    revoked: Sequence[Certificate],
    before: bytes | None,
    now: datetime.datetime,
    days: int = REVOCATION_LIST_DAYS,
) -> bytes:
    """A list in PEM: those of the list `before`, and these. Raises CredentialsRefused.

    That one is the only record of what was taken back, so one that is not the authority's is refused.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - CLOCK_SKEW)
        .next_update(now + datetime.timedelta(days=days))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )
    number, known = 1, {}
    if before is not None:
        old = _own_list(authority, before)
        number = old.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
        known = {one.serial_number: one for one in old}
    for certificate in revoked:
        known.setdefault(certificate.serial_number, _entry(authority, certificate, now))
    for entry in known.values():
        builder = builder.add_revoked_certificate(entry)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _own_list(authority: Credentials, pem: bytes) -> x509.CertificateRevocationList:
    try:
        content = x509.load_pem_x509_crl(pem)
    except UNREADABLE:
        raise CredentialsRefused("the revocation list that is there cannot be read") from None
    if not content.is_signature_valid(authority.key.public_key()):
        raise CredentialsRefused("the revocation list that is there is not this authority's")
    return content


def _entry(
    authority: Credentials, certificate: Certificate, now: datetime.datetime
) -> x509.RevokedCertificate:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        raise CredentialsRefused("this authority has not issued the certificate") from None
    return (
        x509.RevokedCertificateBuilder()
        .serial_number(certificate.serial_number)
        .revocation_date(now)
        .build()
    )
