"""An X.509 identity: a chain of certificates, and what the key of its first one says about an account.

Knows how one is encoded and what the certificate's key signs; not X.509 itself (`e2ee.net.x509` and its
neighbours) nor which certification authority anybody trusts. See `docs/cryptography.md`, "X.509
identities".

Layout, all numbers big-endian: type 0x05, version 0x01, number of certificates (1), each certificate in
DER behind its length (2), the account's own first; signature behind its length (2).
"""

from __future__ import annotations

from dataclasses import dataclass

from e2ee.crypto import labels, limits
from e2ee.crypto.encoding import FieldReader, number, prefixed
from e2ee.crypto.keys import AccountKey
from e2ee.errors import EncodingRefused
from e2ee.ids import Address

_HEAD = b"\x05\x01"


@dataclass(frozen=True, slots=True)
class CertifiedIdentity:
    """What an account shows of itself. Nothing in here is verified."""

    chain: tuple[bytes, ...]
    """Certificates in DER, each issued by the next; the authority itself may be left out."""
    signature: bytes

    def encode(self) -> bytes:
        """As it travels. Raises ValueError for what is out of bounds."""
        if not 1 <= len(self.chain) <= limits.IDENTITY_CERTIFICATES or not all((*self.chain, self.signature)):
            raise ValueError(f"an identity has 1 to {limits.IDENTITY_CERTIFICATES} certificates")
        encoded = b"".join((
            _HEAD,
            number(len(self.chain), 1),
            *(prefixed(certificate, 2) for certificate in self.chain),
            prefixed(self.signature, 2),
        ))
        if len(encoded) > limits.IDENTITY_BYTES:
            raise ValueError(f"an identity has {limits.IDENTITY_BYTES} bytes at the most")
        return encoded

    @classmethod
    def decode(cls, encoded: bytes) -> CertifiedIdentity:
        """The reverse; raises EncodingRefused for anything else than its one encoding."""
        if len(encoded) > limits.IDENTITY_BYTES:
            raise EncodingRefused("too long")
        reader = FieldReader(encoded)
        reader.expect(_HEAD)
        count = reader.number(1)
        if not 1 <= count <= limits.IDENTITY_CERTIFICATES:
            raise EncodingRefused("no certificate, or too many")
        chain = tuple(reader.prefixed(2) for _ in range(count))
        signature = reader.prefixed(2)
        reader.end()
        if not all((*chain, signature)):
            raise EncodingRefused("empty")
        return cls(chain, signature)


def identity_message(address: Address, account_key: AccountKey) -> bytes:
    """What the certificate's key signs: label, number and account key, so that it is of use for no other."""
    return labels.in_context(labels.X509_IDENTITY, prefixed(address.encode(), 1) + account_key.raw)
