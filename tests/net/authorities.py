"""Certification authorities for tests, which issue whatever they are asked to, right or wrong."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from e2ee.net.certificate_path import Trusted
from e2ee.net.identity_issuing import identity_key_to_pem
from e2ee.net.x509 import key_usage

NOW = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)
"""1,700,000,000 seconds since 1970: noon of the tests' world."""
DAY = datetime.timedelta(days=1)
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)


def der(certificate: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def pem(*certificates: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def tel(*numbers: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(f"tel:{number}") for number in numbers]


class TestAuthority:
    """A self-signed one, or one below `above`."""

    def __init__(
        self, name: str = "Our company", above: TestAuthority | None = None, key: Any = None, **wrong: Any
    ) -> None:
        self.name = called(name)
        self.key = key or p256()
        issuer = above or self
        wrong.setdefault("ends", NOW + 3650 * DAY)
        self.certificate = issuer.sign(
            self.name, self.key, ca=True, usage=key_usage(ca=True), extended=None, names=None, **wrong
        )

    def sign(
        self,
        subject: x509.Name,
        key: Any,
        *,
        ca: bool = False,
        names: Sequence[x509.GeneralName] | None = None,
        usage: x509.KeyUsage | None = None,
        extended: Sequence[x509.ObjectIdentifier] | None = CLIENT,
        begins: datetime.datetime = NOW - DAY,
        ends: datetime.datetime = NOW + 30 * DAY,
        path_length: int | None = None,
        more: Sequence[x509.ExtensionType] = (),
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca, path_length), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if subject != self.name:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        if usage is not None:
            builder = builder.add_extension(usage, critical=True)
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        if names is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        for extension in more:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self.key, self._hash)

    @property
    def _hash(self) -> Any:
        return None if isinstance(self.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()

    def issue(self, number: str, key: Any, **other: Any) -> x509.Certificate:
        """A certificate for a person; `other` makes it a wrong one."""
        wanted = {"names": tel(number), "usage": key_usage(ca=False), **other}
        return self.sign(called("A person"), key, **wanted)

    def revoke(
        self,
        *revoked: x509.Certificate,
        made: datetime.datetime = NOW - DAY,
        until: datetime.datetime | None = NOW + 10 * DAY,
        more: Sequence[x509.ExtensionType] = (),
        key: Any = None,
    ) -> x509.CertificateRevocationList:
        """Its list of those that it has taken back."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(made)
        builder = builder.next_update(until or made + DAY)
        for certificate in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(made)
                .build()
            )
        for extension in more:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(key or self.key, self._hash)


def trusting(*trusted: TestAuthority, lists: Sequence[x509.CertificateRevocationList] = ()) -> Trusted:
    """Who trusts these."""
    return Trusted(tuple(der(one.certificate) for one in trusted), tuple(map(der, lists)))


def key_pem(key: Any) -> bytes:
    return identity_key_to_pem(key)
