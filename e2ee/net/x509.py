"""Certificates, keys and their pins: made, read and checked. The only importer of `cryptography` in net.

Knows X.509 (RFC 5280) and PEM; not sockets or files.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from e2ee.errors import E2eeError

SELF_SIGNED_YEARS: Final = 10
CLOCK_SKEW: Final = datetime.timedelta(days=1)
"""A new certificate begins this long ago, for clients whose clock is behind."""
RSA_BITS: Final = 3072

Certificate = x509.Certificate
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for certificates and lists that it cannot read, wherever it looks into them."""


class CredentialsRefused(E2eeError):
    """A certificate or key that cannot be used; the text says why, and holds no secret."""


class KeyKind(Enum):
    """What kinds of key are made."""

    ECDSA_P256 = "ecdsa-p256"
    RSA_3072 = "rsa-3072"

    def generate(self) -> PrivateKey:
        """A new private key of this kind."""
        if self is KeyKind.RSA_3072:
            return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        return ec.generate_private_key(ec.SECP256R1())


def certificate_pin(certificate: Certificate) -> bytes:
    """SHA-256 of the certificate's SubjectPublicKeyInfo, 32 bytes (RFC 7469, section 2.4)."""
    return _spki_pin(certificate.public_key())  # type: ignore[arg-type]


def key_pin(key_pem: bytes) -> bytes:
    """The pin that a certificate for this private key has. Raises CredentialsRefused."""
    return _spki_pin(load_key(key_pem).public_key())


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate chain, leaf first, and the private key of the leaf."""

    chain: tuple[Certificate, ...]
    key: PrivateKey = field(repr=False)

    @property
    def certificate(self) -> Certificate:
        """The leaf."""
        return self.chain[0]

    @property
    def pin(self) -> bytes:
        """The pin of the leaf."""
        return certificate_pin(self.certificate)

    def to_pem(self) -> bytes:
        """Key and chain in one file (PKCS #8 and certificates), to be kept with mode 0600."""
        return key_to_pem(self.key) + certificates_to_pem(self.chain)

    def check(self, now: datetime.datetime) -> None:
        """Raise CredentialsRefused if the leaf is not valid at `now`."""
        if now < self.certificate.not_valid_before_utc:
            raise CredentialsRefused(
                f"the certificate is not valid before {self.certificate.not_valid_before_utc.isoformat()}"
            )
        if now > self.certificate.not_valid_after_utc:
            raise CredentialsRefused(
                f"the certificate expired at {self.certificate.not_valid_after_utc.isoformat()}"
            )


def load_credentials(certificate_pem: bytes, key_pem: bytes | None = None) -> Credentials:
    """A chain and its key, from two files or, without `key_pem`, from one.

    Raises CredentialsRefused if one is missing or unreadable, or the key is not the leaf's.
    """
    try:
        chain = tuple(x509.load_pem_x509_certificates(certificate_pem))
    except UNREADABLE:
        raise CredentialsRefused("there is no readable certificate in PEM form") from None
    key = load_key(certificate_pem if key_pem is None else key_pem)
    if _spki_pin(key.public_key()) != certificate_pin(chain[0]):
        raise CredentialsRefused("the private key does not belong to the first certificate")
    return Credentials(chain, key)


def load_certificates(pem: bytes) -> tuple[Certificate, ...]:
    """The certificates of a CA file. Raises CredentialsRefused if there is none."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except UNREADABLE:
        raise CredentialsRefused("there is no readable certificate in PEM form") from None


def load_key(pem: bytes) -> PrivateKey:
    """A private key without a passphrase. Raises CredentialsRefused."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise CredentialsRefused("the private key is protected by a passphrase; store it without") from None
    except ValueError:
        raise CredentialsRefused("there is no readable private key in PEM form") from None
    if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        return key
    raise CredentialsRefused("the private key is neither ECDSA nor RSA")


def names_of(certificate: Certificate) -> tuple[str, ...]:
    """The host names and IP addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress))
    )


def key_to_pem(key: PrivateKey) -> bytes:
    """A private key, unencrypted (PKCS #8)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificates_to_pem(chain: Sequence[Certificate]) -> bytes:
    """Certificates one after the other."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)


def certificates_to_der(chain: Sequence[Certificate]) -> tuple[bytes, ...]:
    """Each by itself."""
    return tuple(certificate.public_bytes(serialization.Encoding.DER) for certificate in chain)


def make_backup_key() -> bytes:
    """A key pair for a later certificate, as PEM; its `key_pin` is handed out from day one."""
    return key_to_pem(KeyKind.ECDSA_P256.generate())


def make_self_signed(
    names: Sequence[str],
    now: datetime.datetime,
    years: int = SELF_SIGNED_YEARS,
    key: PrivateKey | None = None,
) -> Credentials:
    """A certificate for these host names and IP addresses that vouches for itself."""
    key = KeyKind.ECDSA_P256.generate() if key is None else key
    subject = distinguished_name(names[0])
    builder = _server_builder(names, key, now, years).issuer_name(subject)
    return Credentials((builder.sign(key, hashes.SHA256()),), key)


def make_authority(
    name: str, now: datetime.datetime, years: int = SELF_SIGNED_YEARS, kind: KeyKind = KeyKind.ECDSA_P256
) -> Credentials:
    """A private certification authority that may issue server certificates and nothing below."""
    key = kind.generate()
    subject = distinguished_name(name)
    builder = (
        certificate_builder(subject, key.public_key(), now, years)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(ca=True), critical=True)
    )
    return Credentials((builder.sign(key, hashes.SHA256()),), key)


def issue(
    authority: Credentials,
    names: Sequence[str],
    now: datetime.datetime,
    years: int,
    key: PrivateKey,
) -> Credentials:
    """A server certificate from this authority; the same `key` again keeps the same pin."""
    issuer = authority.certificate
    builder = (
        _server_builder(names, key, now, years)
        .issuer_name(issuer.subject)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )
    return Credentials((builder.sign(authority.key, hashes.SHA256()),), key)


def _server_builder(
    names: Sequence[str], key: PrivateKey, now: datetime.datetime, years: int
) -> x509.CertificateBuilder:
    return (
        certificate_builder(distinguished_name(names[0]), key.public_key(), now, years)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def certificate_builder(
    subject: x509.Name, key: PublicKey, now: datetime.datetime, years: int
) -> x509.CertificateBuilder:
    """What every certificate has. The issuer is still to be named."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=365 * years + years // 4))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def key_usage(ca: bool) -> x509.KeyUsage:
    """An authority signs certificates and revocation lists, anybody else whatever else."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def distinguished_name(text: str) -> x509.Name:
    """A name of one part."""
    # A common name has 64 characters at the most (RFC 5280, appendix A); names are matched by SAN.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError:
        raise CredentialsRefused(f"{text!a} cannot stand in a certificate as a host name") from None


def public_key_bytes(key: PublicKey) -> bytes:
    """A public key as certificates have it: SubjectPublicKeyInfo in DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _spki_pin(key: PublicKey) -> bytes:
    return hashlib.sha256(public_key_bytes(key)).digest()
