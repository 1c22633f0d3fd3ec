"""What X.509 identities prove about account keys: whose word counts, and for which key.

Operations over one transaction of the vault. An identity is judged whenever it is asked for, with the
authorities and revocation lists of that moment: so it ends by itself when it expires, is revoked, or the
authority is not trusted any more. Knows no directory. See `docs/cryptography.md`, "X.509 identities".
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from e2ee.crypto.certified_identity import CertifiedIdentity, identity_message
from e2ee.crypto.keys import AccountKey
from e2ee.errors import EncodingRefused
from e2ee.ids import Address
from e2ee.net.certificate_path import Trusted, check_path, check_subject, load_chain
from e2ee.net.identity_key import verify
from e2ee.net.x509 import CredentialsRefused
from e2ee.store.client import authorities
from e2ee.store.client.authorities import IdentityRecord
from e2ee.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Certification:
    """Who vouches that an account key belongs to a number; or why the identity that came proves nothing.

    Both None: there was no identity. `until` is ms since 1970, and only there with an issuer.
    """

    issuer: str | None = None
    refusal: str | None = None
    until: int = 0


NONE = Certification()


def moment(now: int) -> datetime.datetime:
    """A time in ms since 1970 as X.509 has it."""
    return datetime.datetime.fromtimestamp(now / 1000, datetime.UTC)


def milliseconds(time: datetime.datetime) -> int:
    """The reverse."""
    return int(time.timestamp() * 1000)


def judge_identity(
    encoded: bytes, address: Address, account_key: bytes, trusted: Trusted, now: int
) -> Certification:
    """What this identity proves for the account key of this number at `now` (ms). Never raises."""
    try:
        identity = CertifiedIdentity.decode(encoded)
    except EncodingRefused:
        return Certification(refusal="what the server has as a certificate cannot be read")
    at = moment(now)
    try:
        chain = load_chain(identity.chain)
        check_subject(chain[0], str(address), at)
        verify(chain[0], identity_message(address, AccountKey(account_key)), identity.signature)
        authority = check_path(chain, trusted, at)
    except CredentialsRefused as refused:
        return Certification(refusal=str(refused))
    return Certification(issuer=authority.name, until=milliseconds(chain[0].not_valid_after_utc))


def load_trusted(tx: Connection) -> Trusted:
    """Whose word counts."""
    return Trusted(
        tuple(one.certificate for one in authorities.list_authorities(tx)),
        tuple(one.content for one in authorities.list_revocations(tx)),
    )


def certification(tx: Connection, address: Address, account_key: bytes | None, now: int) -> Certification:
    """What is known of the account key of this number. `now` is ms since 1970."""
    encoded = None if account_key is None else authorities.load_identity(tx, address, account_key)
    if encoded is None or account_key is None:
        return NONE
    return judge_identity(encoded, address, account_key, load_trusted(tx), now)


def issuer_of(tx: Connection, address: Address, account_key: bytes | None, now: int) -> str | None:
    """The authority by which this account key is certified, or None."""
    if not authorities.trusts_any(tx):
        return None
    return certification(tx, address, account_key, now).issuer


def keep_identity(
    tx: Connection, address: Address, account_key: bytes, identity: bytes | None, now: int
) -> None:
    """Take note of what the directory serves with an account key.

    A server that serves an older one, or none, takes nothing away: what has been proven stays so until
    it expires or is revoked. `now` is ms since 1970.
    """
    known = authorities.load_identity(tx, address, account_key)
    if identity is None or identity == known:
        authorities.note_asked(tx, address, account_key, now)
        return
    if known is not None:
        trusted = load_trusted(tx)
        before, after = (judge_identity(one, address, account_key, trusted, now) for one in (known, identity))
        if before.until > after.until:
            authorities.note_asked(tx, address, account_key, now)
            return
    authorities.save_identity(tx, IdentityRecord(address, account_key, identity, now))
