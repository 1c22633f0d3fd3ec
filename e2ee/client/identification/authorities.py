"""Which certification authorities this profile trusts, and the revocation lists that belong to them.

Knows the vault; not files, nor what an identity proves (`certification`). See `docs/cryptography.md`,
"X.509 identities".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from e2ee.client.context import Context
from e2ee.client.events import Event
from e2ee.client.identification.certificate_values import TrustedAuthority
from e2ee.client.identification.certification import milliseconds, moment
from e2ee.client.shown import describe
from e2ee.client.trust import accept_certified
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.net.authority import (
    Authority,
    RevocationList,
    load_authorities,
    load_authority,
    load_revocation_lists,
)
from e2ee.net.x509 import CredentialsRefused
from e2ee.store.client import authorities, contacts
from e2ee.store.client.authorities import AuthorityRecord, RevocationRecord
from e2ee.store.connection import Connection

AUTHORITIES = 100
"""Trusted at once: each is tried for each certificate."""
FINGERPRINT_DIGITS = 8
"""Of its hex form, by which one may be named."""


class Authorities:
    """One profile's. `changed` is called with each number whose messages may go on now."""

    def __init__(self, context: Context, changed: Callable[[Address], None]) -> None:
        self._context = context
        self._changed = changed

    async def all(self) -> list[TrustedAuthority]:
        """Those that are trusted, by name."""
        return await self._context.vault.read(_all)

    async def trust(self, certificates_pem: bytes | None, lists: bytes | None) -> list[TrustedAuthority]:
        """Trust the authorities of a file, and keep revocation lists (PEM, or one in DER) of trusted ones.

        Contacts whose changed key waits for a word and is certified by them are used from now on, with a
        notice. Returns those that were named. Raises Failure(USAGE), nothing changed, for what is none,
        is not valid now, or is a list that no trusted authority has signed, or an older one than is here.
        """
        now = self._context.now
        try:
            found = () if certificates_pem is None else load_authorities(certificates_pem, moment(now))
            revocations = () if lists is None else load_revocation_lists(lists)
        except CredentialsRefused as refused:
            raise Failure(Code.USAGE, str(refused)) from None
        named, events, moved = await self._context.write(lambda tx: _trust(tx, found, revocations, now))
        self._context.listeners.tell(events)
        for address in moved:
            self._changed(address)
        return named

    async def distrust(self, which: str) -> TrustedAuthority:
        """Trust one no more, by its name or the beginning of its fingerprint. Raises Failure(USAGE)."""
        return await self._context.write(lambda tx: _distrust(tx, which))


def _trust(
    tx: Connection, found: Sequence[Authority], lists: Sequence[RevocationList], now: int
) -> tuple[list[TrustedAuthority], list[Event], list[Address]]:
    for one in found:
        authorities.save_authority(tx, AuthorityRecord(one.fingerprint, one.encoded, one.name))
    known = [load_authority(one.certificate) for one in authorities.list_authorities(tx)]
    if len(known) > AUTHORITIES:
        raise Failure(Code.USAGE, f"{AUTHORITIES} certification authorities are trusted at the most")
    signers = [_keep_list(tx, known, one, now) for one in lists]
    named = {one.fingerprint for one in (*found, *signers)}
    arrivals, moved = [], []
    for contact in contacts.waiting_contacts(tx):
        arrival = accept_certified(tx, contact, now)
        if arrival is not None:
            arrivals.append(arrival)
            moved.append(contact.address)
    return [one for one in _all(tx) if one.fingerprint in named], list(describe(tx, arrivals)), moved


def _keep_list(tx: Connection, known: Sequence[Authority], one: RevocationList, now: int) -> Authority:
    """The authority whose list this is."""
    signer = next((each for each in known if one.is_signed_by(each.certificate)), None)
    if signer is None:
        raise Failure(Code.USAGE, "no certification authority that is trusted has signed the revocation list")
    if not one.is_current(moment(now)):
        raise Failure(Code.USAGE, f"the revocation list of {signer.name} is not valid any more")
    record = RevocationRecord(
        signer.fingerprint, one.encoded, milliseconds(one.issued_at), milliseconds(one.next_update)
    )
    for kept in authorities.list_revocations(tx):
        if kept.authority == record.authority and kept.issued_at > record.issued_at:
            raise Failure(Code.USAGE, f"there is a later revocation list of {signer.name} already")
    authorities.save_revocation(tx, record)
    return signer


def _distrust(tx: Connection, which: str) -> TrustedAuthority:
    known = _all(tx)
    found = [one for one in known if one.name == which]
    if not found and len(which) >= FINGERPRINT_DIGITS:
        found = [one for one in known if one.fingerprint.hex().startswith(which.lower())]
    if len(found) != 1:
        sentence = "several trusted authorities have this name: use the fingerprint" if found else (
            "no trusted authority has this name or fingerprint"
        )
        raise Failure(Code.USAGE, f"{which}: {sentence}")
    authorities.delete_authority(tx, found[0].fingerprint)
    return found[0]


def _all(tx: Connection) -> list[TrustedAuthority]:
    ends = {one.authority: one.next_update for one in authorities.list_revocations(tx)}
    return [
        TrustedAuthority(
            name=one.name,
            fingerprint=one.fingerprint,
            not_after=milliseconds(load_authority(one.certificate).not_after),
            revocations_until=ends.get(one.fingerprint),
        )
        for one in authorities.list_authorities(tx)
    ]
