"""Certification authorities that the user trusts, their revocation lists, and identities seen of contacts.

Functions over one transaction of the vault. Knows bytes and times; what any of it proves stands in
`e2ee.client.identification.certification`.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2ee.ids import Address
from e2ee.store.connection import Connection


@dataclass(frozen=True, slots=True)
class AuthorityRecord:
    """A trusted authority: SHA-256 of its certificate, that certificate in DER, what it calls itself."""

    fingerprint: bytes
    certificate: bytes
    name: str


@dataclass(frozen=True, slots=True)
class RevocationRecord:
    """The revocation list, in DER, of the authority with this fingerprint. Times are ms since 1970."""

    authority: bytes
    content: bytes
    issued_at: int
    next_update: int


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    """The X.509 identity that was served with an account key, and when the directory was asked last."""

    address: Address
    account_key: bytes
    identity: bytes
    asked_at: int  # ms since 1970


# --- authorities ------------------------------------------------------------------------------


def list_authorities(tx: Connection) -> list[AuthorityRecord]:
    """All that are trusted, by name."""
    rows = tx.execute("SELECT fingerprint, certificate, name FROM authority ORDER BY name, fingerprint")
    return [AuthorityRecord(*row) for row in rows]


def trusts_any(tx: Connection) -> bool:
    """Whether there is one."""
    return tx.execute("SELECT 1 FROM authority LIMIT 1").fetchone() is not None


def save_authority(tx: Connection, authority: AuthorityRecord) -> None:
    """Trust this one, too."""
    tx.execute(
        "INSERT OR REPLACE INTO authority (fingerprint, certificate, name) VALUES (?, ?, ?)",
        (authority.fingerprint, authority.certificate, authority.name),
    )


def delete_authority(tx: Connection, fingerprint: bytes) -> None:
    """Trust it no more; its revocation list goes with it."""
    tx.execute("DELETE FROM authority WHERE fingerprint = ?", (fingerprint,))
    tx.execute("DELETE FROM revocation_list WHERE authority = ?", (fingerprint,))


def list_revocations(tx: Connection) -> list[RevocationRecord]:
    """The lists of all trusted authorities."""
    rows = tx.execute(
        "SELECT authority, content, issued_at, next_update FROM revocation_list ORDER BY authority"
    )
    return [RevocationRecord(*row) for row in rows]


def save_revocation(tx: Connection, record: RevocationRecord) -> None:
    """Keep this list in place of the one that the authority had."""
    tx.execute(
        "INSERT OR REPLACE INTO revocation_list (authority, content, issued_at, next_update)"
        " VALUES (?, ?, ?, ?)",
        (record.authority, record.content, record.issued_at, record.next_update),
    )


# --- identities -------------------------------------------------------------------------------


def load_identity(tx: Connection, address: Address, account_key: bytes) -> bytes | None:
    """The identity that was served with this account key, or None."""
    row = tx.execute(
        "SELECT identity FROM contact_identity WHERE address = ? AND account_key = ?", (address, account_key)
    ).fetchone()
    return None if row is None else bytes(row[0])


def save_identity(tx: Connection, record: IdentityRecord) -> None:
    """Keep this as the identity of the account key."""
    tx.execute(
        "INSERT OR REPLACE INTO contact_identity (address, account_key, identity, asked_at)"
        " VALUES (?, ?, ?, ?)",
        (record.address, record.account_key, record.identity, record.asked_at),
    )


def note_asked(tx: Connection, address: Address, account_key: bytes, now: int) -> None:
    """The directory was asked for this one, whatever it said."""
    tx.execute(
        "UPDATE contact_identity SET asked_at = ? WHERE address = ? AND account_key = ?",
        (now, address, account_key),
    )


def used_identities(tx: Connection, asked_before: int) -> list[IdentityRecord]:
    """Those of the account keys in use, about which the directory was not asked since (ms), oldest first."""
    rows = tx.execute(
        "SELECT address, account_key, identity, asked_at FROM contact_identity JOIN contact USING (address)"
        " WHERE account_key = trusted_key AND asked_at < ? ORDER BY asked_at",
        (asked_before,),
    )
    return [IdentityRecord(Address(address), *rest) for address, *rest in rows]
