"""People with X.509 identities, and authorities that some of them trust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from e2ee.client.events import Contact, SafetyNumber
from e2ee.client.identification.certificate_values import OwnIdentity, TrustedAuthority
from e2ee.crypto.certified_identity import CertifiedIdentity, identity_message
from e2ee.net.identity_key import sign
from tests.client.people import Person
from tests.client.test_trust import TrustCase
from tests.net.authorities import NOW, TestAuthority, der, key_pem, p256, pem

NOW_MS = int(NOW.timestamp() * 1000)


def identity_of(person: Person, authority: TestAuthority, key: Any = None, **wrong: Any) -> bytes:
    """What the person uploads, without a look at whether it proves anything."""
    key = key or p256()
    number = wrong.pop("number", str(person.address))
    chain = [authority.issue(number, key, **wrong)]
    message = identity_message(person.address, person.own.statement.account_key)
    return CertifiedIdentity(tuple(map(der, chain)), sign(key, message)).encode()


class CertifiedCase(TrustCase):
    """Alice and Bob have talked; there is an authority."""

    def setUp(self) -> None:
        super().setUp()
        self.company = TestAuthority()

    # --- what people do -----------------------------------------------------------------------

    def trust(
        self, *authorities: TestAuthority, lists: Sequence[x509.CertificateRevocationList] = ()
    ) -> list[TrustedAuthority]:
        """Alice trusts these."""
        certificates = pem(*(one.certificate for one in authorities)) if authorities else None
        named = self.alice.run(
            self.alice.messenger.identities.authorities.trust(certificates, pem(*lists) if lists else None)
        )
        self.world.settle()
        return named

    def attach(self, authority: TestAuthority | None = None, **other: Any) -> OwnIdentity:
        """Bob has a certificate, and shows it."""
        key: ec.EllipticCurvePrivateKey = p256()
        certificate = (authority or self.company).issue(str(self.bob.address), key, **other)
        return self.bob.run(self.bob.messenger.identities.attach(pem(certificate), key_pem(key)))

    def serve(self, identity: bytes | None) -> None:
        """The server hands this out with Bob's statement."""
        self.bob.stored.identity = identity

    def ask(self) -> None:
        """Alice asks the directory about Bob."""
        self.alice.run(self.alice.messenger.identities.ask(self.bob.address))
        self.world.settle()

    # --- what is seen of it -------------------------------------------------------------------

    def contact(self) -> Contact:
        return next(
            one
            for one in self.alice.run(self.alice.messenger.contacts())
            if one.address == self.bob.address
        )

    def number(self) -> SafetyNumber:
        return self.alice.run(self.alice.messenger.safety_number(self.bob.address))

    @property
    def issuer(self) -> str | None:
        """By whom Bob is verified."""
        return self.contact().verified_by

    def assertNotVerified(self, because: str) -> None:
        self.assertIsNone(self.issuer)
        self.assertIn(because, self.number().refusal or "nothing")
