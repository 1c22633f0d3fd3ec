"""The own X.509 identity: made from a certificate and its key, and described to its owner.

Pure but for the library's own randomness in signatures. Knows PEM; not the vault, nor which authority
anybody trusts.
"""

from __future__ import annotations

from typing import Final

from e2ee.client.identification.certificate_values import OwnIdentity
from e2ee.client.identification.certification import milliseconds, moment
from e2ee.crypto.certified_identity import CertifiedIdentity, identity_message
from e2ee.crypto.keys import AccountKey
from e2ee.errors import Code, EncodingRefused, Failure
from e2ee.ids import Address
from e2ee.net.certificate_path import check_subject, load_chain
from e2ee.net.identity_key import load_identity_key, sign, verify
from e2ee.net.x509 import UNREADABLE, CredentialsRefused, certificates_to_der, load_certificates

FILE_BYTES: Final = 64 * 1024
"""A chain or a key in PEM; what a mistaken file may cost to read."""


def prove_identity(
    certificate_pem: bytes, key_pem: bytes, address: Address, account_key: bytes, now: int
) -> bytes:
    """An encoded identity: the certificates, and the key's signature over this account. `now` is ms.

    Raises Failure(USAGE) for a certificate that is not for this number or not valid now, a weak or another
    key, and more than an identity has room for.
    """
    try:
        chain = load_certificates(certificate_pem)
        check_subject(chain[0], str(address), moment(now))
        key = load_identity_key(key_pem, chain[0])
        signature = sign(key, identity_message(address, AccountKey(account_key)))
        return CertifiedIdentity(certificates_to_der(chain), signature).encode()
    except (CredentialsRefused, ValueError) as error:
        raise Failure(Code.USAGE, str(error)) from None


def describe_identity(encoded: bytes, address: Address, account_key: bytes, now: int) -> OwnIdentity:
    """What is in an identity, and why it proves nothing, whoever's word counts, if that is so.

    Raises Failure(FAILED) for what cannot be read at all.
    """
    try:
        identity = CertifiedIdentity.decode(encoded)
        chain = load_chain(identity.chain)
        subject, issuer = (name.rfc4514_string() for name in (chain[0].subject, chain[0].issuer))
    except (EncodingRefused, CredentialsRefused, *UNREADABLE):
        raise Failure(Code.FAILED, "what the server has as a certificate cannot be read") from None
    refusal = None
    try:
        check_subject(chain[0], str(address), moment(now))
        verify(chain[0], identity_message(address, AccountKey(account_key)), identity.signature)
    except CredentialsRefused as refused:
        refusal = str(refused)
    return OwnIdentity(
        subject=subject,
        issuer=issuer,
        serial=f"{chain[0].serial_number:x}",
        not_before=milliseconds(chain[0].not_valid_before_utc),
        not_after=milliseconds(chain[0].not_valid_after_utc),
        refusal=refusal,
    )
