"""Whether a certificate leads to an authority that is trusted, now. An importer of `cryptography`.

The path itself (signatures, validity, authorities' rights, critical extensions, strength of their keys)
is checked by the library's verifier (RFC 5280, section 6); what the first certificate is for, and
revocation lists (section 5), here. Knows no accounts, files or clock: times are arguments.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from e2ee.net.authority import Authority, RevocationList, load_authority, load_revocation_list
from e2ee.net.identity_key import checked_key
from e2ee.net.x509 import UNREADABLE, CredentialsRefused

INTERMEDIATES: Final = 3
"""Certificates between an account's own and a trusted authority."""
_SCHEME: Final = "tel:"


@dataclass(frozen=True, slots=True)
class Trusted:
    """Authorities that a user trusts, and their revocation lists; each in DER, checked when it was taken."""

    authorities: tuple[bytes, ...] = ()
    revocation_lists: tuple[bytes, ...] = ()


def load_chain(chain: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    """Certificates from DER. Raises CredentialsRefused."""
    try:
        return tuple(x509.load_der_x509_certificate(certificate) for certificate in chain)
    except UNREADABLE:
        raise CredentialsRefused("the certificate cannot be read") from None


def numbers_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The phone numbers for which a certificate is: URIs `tel:+…` among its alternative names (RFC 3966).

    Raises CredentialsRefused where its extensions cannot be read.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    except UNREADABLE:
        raise CredentialsRefused("the extensions of the certificate cannot be read") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return tuple(uri.removeprefix(_SCHEME) for uri in uris if uri.startswith(_SCHEME))


def check_subject(certificate: x509.Certificate, number: str, now: datetime.datetime) -> None:
    """Raises CredentialsRefused unless this is a certificate for the number, valid now, with a good key.

    This much its owner can check, too, without trusting an authority.
    """
    numbers = numbers_of(certificate)
    if number not in numbers:
        names = ", ".join(numbers) or "no number"
        raise CredentialsRefused(f"the certificate is for {names}, not for {number}")
    checked_key(certificate)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise CredentialsRefused(f"the certificate expired at {end:%Y-%m-%d %H:%M} UTC")
    if now < begin:
        raise CredentialsRefused(f"the certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC")


def check_path(
    chain: Sequence[x509.Certificate], trusted: Trusted, now: datetime.datetime
) -> Authority:
    """The trusted authority to which the first of these certificates leads. Raises CredentialsRefused.

    The others are taken for the way; what is not needed of them does not count.
    """
    authorities = [load_authority(encoded) for encoded in trusted.authorities]
    if not authorities:
        raise CredentialsRefused("no certification authority is trusted here")
    store = Store([authority.certificate for authority in authorities])
    verifier = (
        PolicyBuilder()
        .time(now)
        .store(store)
        .max_chain_depth(INTERMEDIATES)
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=_owner_policy())
        .build_client_verifier()
    )
    try:
        path = verifier.verify(chain[0], list(chain[1:])).chain
    except (VerificationError, *UNREADABLE) as error:
        raise CredentialsRefused(_sentence(error)) from None
    lists = [load_revocation_list(encoded) for encoded in trusted.revocation_lists]
    candidates = [*path, *(authority.certificate for authority in authorities)]
    for certificate in path:
        _check_not_revoked(certificate, lists, candidates, now)
    return next(authority for authority in authorities if authority.certificate == path[-1])


def _sentence(error: Exception) -> str:
    text = str(error)
    for part, sentence in _SENTENCES:
        if part in text:
            return sentence
    return "the certificate does not lead to a trusted certification authority"


_SENTENCES: Final = (
    ("NoKeyUsage", "the certificate is not for signatures: its key usage is another one"),
    ("NoClientUsage", "the certificate is not for clients: its extended key usage is another one"),
)
"""What our own rules below say, as the library passes it on; its own words are not part of its interface."""


def _has_key_usage(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage) -> None:
    if not usage.digital_signature:
        raise ValueError("NoKeyUsage")


def _has_client_usage(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    accepted = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not accepted & set(usage):
        raise ValueError("NoClientUsage")


@lru_cache(maxsize=1)
def _owner_policy() -> ExtensionPolicy:
    """The certificate of an account: key usage digitalSignature; where it has an extended one, clientAuth."""
    return (
        ExtensionPolicy.webpki_defaults_ee()
        .require_present(x509.KeyUsage, Criticality.AGNOSTIC, _has_key_usage)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _has_client_usage)
    )


def _check_not_revoked(
    certificate: x509.Certificate,
    lists: Sequence[RevocationList],
    candidates: Sequence[x509.Certificate],
    now: datetime.datetime,
) -> None:
    """Against every list of its issuer. Where there is one, an outdated one is as bad as a revocation."""
    issuers = [one for one in candidates if one.subject == certificate.issuer]
    for each in lists:
        if not any(each.is_signed_by(issuer) for issuer in issuers):
            continue
        if each.revokes(certificate):
            raise CredentialsRefused("the certificate, or one on its way to the authority, was revoked")
        if not each.is_current(now):
            raise CredentialsRefused(
                f"the revocation list is not valid any more (until {each.next_update:%Y-%m-%d %H:%M} UTC):"
                " get a new one (trust --crl)"
            )
