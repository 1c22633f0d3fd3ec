"""Certification authorities that a user trusts, and their revocation lists. An importer of `cryptography`.

Knows what makes a certificate an authority's and a list usable (RFC 5280, sections 4.2.1 and 5); not how
a path is checked (`certificate_path`), nor where any of it is kept. Times are arguments.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from e2ee.net.x509 import UNREADABLE, CredentialsRefused

AUTHORITIES_FILE_BYTES: Final = 64 * 1024
REVOCATION_FILE_BYTES: Final = 512 * 1024
"""About 12,000 revoked certificates; with authorities it fits into one request to the holder of a vault."""
RSA_BITS_MIN: Final = 2048
NAME_CHARACTERS: Final = 100
_REMEMBERED: Final = 16


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate whose key may issue others."""

    certificate: x509.Certificate

    @property
    def encoded(self) -> bytes:
        """In DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate, 32 bytes."""
        return self.certificate.fingerprint(hashes.SHA256())

    @property
    def name(self) -> str:
        """What it calls itself: common name, else organisation, else the beginning of its fingerprint."""
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
            for attribute in self.certificate.subject.get_attributes_for_oid(oid):
                if str(attribute.value).strip():
                    return str(attribute.value).strip()[:NAME_CHARACTERS]
        return self.fingerprint[:8].hex()

    @property
    def not_after(self) -> datetime.datetime:
        """The end of its validity."""
        return self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True)
class RevocationList:
    """Certificates that their issuer has taken back."""

    content: x509.CertificateRevocationList
    next_update: datetime.datetime

    @property
    def encoded(self) -> bytes:
        """In DER."""
        return self.content.public_bytes(serialization.Encoding.DER)

    @property
    def issued_at(self) -> datetime.datetime:
        """When it was made; a later one takes its place."""
        return self.content.last_update_utc

    def is_current(self, now: datetime.datetime) -> bool:
        """Whether it is not outdated. That of tomorrow counts: it knows more, not less."""
        return now <= self.next_update

    def is_signed_by(self, issuer: x509.Certificate) -> bool:
        """Whether this is the issuer's list: by its name, its signature, and its right to issue lists."""
        if self.content.issuer != issuer.subject or not _may(issuer, "crl_sign"):
            return False
        try:
            key = issuer.public_key()
            if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
                return False
            return _is_strong(self.content) and self.content.is_signature_valid(key)
        except UNREADABLE:
            return False

    def revokes(self, certificate: x509.Certificate) -> bool:
        """Whether it names this certificate of its issuer."""
        return self.content.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None


@lru_cache(maxsize=_REMEMBERED)
def load_authority(encoded: bytes) -> Authority:
    """From DER. Raises CredentialsRefused for what is no certificate of an authority."""
    try:
        certificate = x509.load_der_x509_certificate(encoded)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = None
    except UNREADABLE:
        raise CredentialsRefused("there is no readable certificate") from None
    if constraints is None or not constraints.ca or not _may(certificate, "key_cert_sign", unsaid=False):
        raise CredentialsRefused(
            "the certificate is not one of a certification authority: it needs the basic constraint CA"
            " and the key usage keyCertSign"
        )
    _check_key(certificate)
    return Authority(certificate)


def _check_key(certificate: x509.Certificate) -> None:
    try:
        key = certificate.public_key()
    except UNREADABLE:
        key = None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN:
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return
    raise CredentialsRefused(
        f"the key of an authority is RSA of at least {RSA_BITS_MIN} bits, or ECDSA on P-256, P-384 or P-521"
    )


_CURVES: Final = {ec.SECP256R1.name, ec.SECP384R1.name, ec.SECP521R1.name}


def load_authorities(pem: bytes, now: datetime.datetime) -> tuple[Authority, ...]:
    """The authorities of a file. Raises CredentialsRefused if one is none, or is not valid now."""
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except UNREADABLE:
        raise CredentialsRefused("there is no readable certificate in PEM form") from None
    found = tuple(load_authority(one.public_bytes(serialization.Encoding.DER)) for one in certificates)
    for authority in found:
        if not authority.certificate.not_valid_before_utc <= now <= authority.not_after:
            raise CredentialsRefused(f"the certificate of the authority {authority.name} is not valid now")
    return found


@lru_cache(maxsize=_REMEMBERED)
def load_revocation_list(encoded: bytes) -> RevocationList:
    """From DER. Raises CredentialsRefused for what is none, or not a whole one."""
    try:
        content = x509.load_der_x509_crl(encoded)
        critical = [one.oid for one in content.extensions if one.critical]
    except UNREADABLE:
        raise CredentialsRefused("there is no readable revocation list") from None
    if critical:
        # A part of a list, or the difference to another one (RFC 5280, sections 5.2.4 and 5.2.5).
        raise CredentialsRefused("the revocation list is a partial one, or has unknown critical extensions")
    if content.next_update_utc is None:
        raise CredentialsRefused("the revocation list does not say until when it is valid")
    return RevocationList(content, content.next_update_utc)


def load_revocation_lists(pem: bytes) -> tuple[RevocationList, ...]:
    """The lists of a file, in PEM, or one in DER as authorities publish it. Raises CredentialsRefused."""
    return tuple(load_revocation_list(encoded) for encoded in _lists_in(pem))


_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


def _lists_in(pem: bytes) -> Iterable[bytes]:
    if _BEGIN not in pem:
        return [pem]
    try:
        return [
            x509.load_pem_x509_crl(_BEGIN + part.partition(_END)[0] + _END + b"\n").public_bytes(
                serialization.Encoding.DER
            )
            for part in pem.split(_BEGIN)[1:]
        ]
    except UNREADABLE:
        raise CredentialsRefused("there is no readable revocation list in PEM form") from None


def _may(certificate: x509.Certificate, right: str, *, unsaid: bool = True) -> bool:
    """Whether the key usage has this right; `unsaid`: what a certificate without key usage may."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return unsaid
    except UNREADABLE:
        return False
    return bool(getattr(usage, right))


def _is_strong(content: x509.CertificateRevocationList) -> bool:
    algorithm = content.signature_hash_algorithm
    return isinstance(algorithm, (hashes.SHA256, hashes.SHA384, hashes.SHA512))
