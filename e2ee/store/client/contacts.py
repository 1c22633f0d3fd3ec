"""The address book, and which account key belongs to whom.

Functions over one transaction of the vault. Knows numbers, names and keys as bytes; the rules of
trust stand in `e2ee.client.trust`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.ids import Address, ContactToken
from e2ee.store.client.numbering import first_sequence, forget_numbering
from e2ee.store.connection import Connection

NUMBERED_ELSEWHERE = 2**52
"""A contact's word is not taken for more than this: half of all numbers are left."""


@dataclass(frozen=True, slots=True)
class ContactRecord:
    """What is known of a number's owner. `pending_key` is an account key that nobody has accepted."""

    address: Address
    name: str | None
    listed: bool
    accepted: bool
    blocked: bool
    verified: bool
    trusted_key: bytes | None
    pending_key: bytes | None
    token: ContactToken | None = field(repr=False)

    @property
    def is_request(self) -> bool:
        """Whether the user has said nothing yet about what this one writes."""
        return not self.accepted and not self.blocked


_COLUMNS = "address, name, listed, accepted, blocked, verified, trusted_key, pending_key, token"


def _record(row: tuple[object, ...]) -> ContactRecord:
    address, name, listed, accepted, blocked, verified, trusted, pending, token = row
    return ContactRecord(
        Address(str(address)),
        None if name is None else str(name),
        bool(listed),
        bool(accepted),
        bool(blocked),
        bool(verified),
        trusted,  # type: ignore[arg-type]
        pending,  # type: ignore[arg-type]
        None if token is None else ContactToken(token),  # type: ignore[arg-type]
    )


def load_contact(tx: Connection, address: Address) -> ContactRecord:
    """What is known of this number; an unknown one has a record that is not kept yet."""
    row = tx.execute(f"SELECT {_COLUMNS} FROM contact WHERE address = ?", (address,)).fetchone()  # noqa: S608
    if row is None:
        return ContactRecord(address, None, False, False, False, False, None, None, None)
    return _record(row)


def list_contacts(tx: Connection) -> list[ContactRecord]:
    """The address book, sorted by number."""
    rows = tx.execute(f"SELECT {_COLUMNS} FROM contact WHERE listed ORDER BY address")  # noqa: S608
    return [_record(row) for row in rows]


def accepted_addresses(tx: Connection) -> list[Address]:
    """The numbers whose owners are accepted and not blocked."""
    rows = tx.execute("SELECT address FROM contact WHERE accepted AND NOT blocked ORDER BY address")
    return [Address(address) for (address,) in rows]


def waiting_contacts(tx: Connection) -> list[ContactRecord]:
    """Those whose account key is another one, which waits for the user's word."""
    rows = tx.execute(f"SELECT {_COLUMNS} FROM contact WHERE pending_key IS NOT NULL ORDER BY address")  # noqa: S608
    return [_record(row) for row in rows]


def address_of_name(tx: Connection, name: str) -> Address | None:
    """Whose name this is, or None."""
    row = tx.execute("SELECT address FROM contact WHERE name = ?", (name,)).fetchone()
    return None if row is None else Address(row[0])


def names(tx: Connection) -> list[tuple[Address, str]]:
    """Every name that somebody has."""
    rows = tx.execute("SELECT address, name FROM contact WHERE name IS NOT NULL")
    return [(Address(address), name) for address, name in rows]


def known_address(tx: Connection, text: str) -> Address | None:
    """The number with exactly these digits if there is a record of it, or None."""
    row = tx.execute("SELECT address FROM contact WHERE address = ?", (text,)).fetchone()
    return None if row is None else Address(row[0])


def keep_contact(tx: Connection, address: Address) -> None:
    """Have a record of this number, outside the address book if there is none yet."""
    tx.execute("INSERT OR IGNORE INTO contact (address, listed) VALUES (?, 0)", (address,))


def touch_contact(tx: Connection, address: Address, *, accepted: bool) -> None:
    """Have this number in the address book; `accepted` accepts it, and never takes that back."""
    tx.execute(
        "INSERT INTO contact (address, accepted) VALUES (:address, :accepted) ON CONFLICT (address)"
        " DO UPDATE SET listed = 1, accepted = max(accepted, :accepted)",
        {"address": address, "accepted": int(accepted)},
    )


def name_contact(tx: Connection, address: Address, name: str | None) -> None:
    """Give a contact that is kept this name, or none."""
    tx.execute("UPDATE contact SET name = ? WHERE address = ?", (name, address))


def block_contact(tx: Connection, address: Address) -> None:
    """Show nothing more of this contact, and let it see nothing more."""
    tx.execute("UPDATE contact SET blocked = 1, accepted = 0 WHERE address = ?", (address,))


def unblock_contact(tx: Connection, address: Address) -> None:
    """Show this contact's messages again."""
    tx.execute("UPDATE contact SET blocked = 0 WHERE address = ?", (address,))


def unlist_contact(tx: Connection, address: Address) -> None:
    """Take this number out of the address book. Keys and sessions stay: trust never resets silently."""
    tx.execute(
        "UPDATE contact SET listed = 0, name = NULL, accepted = 0, blocked = 0 WHERE address = ?", (address,)
    )


def save_token(tx: Connection, address: Address, token: ContactToken) -> bool:
    """Keep the contact token that this contact gave; whether it is another than before."""
    saved = tx.execute(
        "UPDATE contact SET token = :token WHERE address = :address AND token IS NOT :token",
        {"token": bytes(token), "address": address},
    )
    return saved.rowcount > 0


def trust_key(tx: Connection, address: Address, account_key: bytes) -> None:
    """Use this account key from now on, unverified; nothing is pending any more."""
    tx.execute(
        "UPDATE contact SET trusted_key = ?, pending_key = NULL, verified = 0 WHERE address = ?",
        (account_key, address),
    )


def mark_pending(tx: Connection, address: Address, account_key: bytes | None) -> None:
    """Another account key waits for the user's word; None: the used one is served again."""
    tx.execute("UPDATE contact SET pending_key = ? WHERE address = ?", (account_key, address))


def mark_verified(tx: Connection, address: Address) -> None:
    """The user has compared the safety number."""
    tx.execute("UPDATE contact SET verified = 1 WHERE address = ?", (address,))


def load_statement(tx: Connection, address: Address, account_key: bytes) -> bytes | None:
    """The newest statement seen of this account key for this number, as signed, or None."""
    row = tx.execute(
        "SELECT statement FROM account_statement WHERE address = ? AND account_key = ?",
        (address, account_key),
    ).fetchone()
    return None if row is None else bytes(row[0])


def save_statement(tx: Connection, address: Address, account_key: bytes, statement: bytes) -> None:
    """Keep this as the newest statement of this account key."""
    tx.execute(
        "INSERT INTO account_statement (address, account_key, statement) VALUES (?, ?, ?)"
        " ON CONFLICT (address, account_key) DO UPDATE SET statement = excluded.statement",
        (address, account_key, statement),
    )


def newest_prekey_time(tx: Connection, address: Address, account_key: bytes) -> int:
    """When the newest signed prekey seen of this account key was made, ms since 1970; 0 for none."""
    row = tx.execute(
        "SELECT prekey_at FROM account_statement WHERE address = ? AND account_key = ?",
        (address, account_key),
    ).fetchone()
    return 0 if row is None else int(row[0])


def note_prekey_time(tx: Connection, address: Address, account_key: bytes, made_at: int) -> None:
    """A signed prekey of this account key was seen that was made then."""
    tx.execute(
        "UPDATE account_statement SET prekey_at = max(prekey_at, ?) WHERE address = ? AND account_key = ?",
        (made_at, address, account_key),
    )


def next_sequence(tx: Connection, address: Address) -> int:
    """The number of the next text to this contact, which must be kept."""
    row = tx.execute(
        "UPDATE contact SET next_sequence = max(next_sequence, ?) + 1 WHERE address = ?"
        " RETURNING next_sequence - 1",
        (first_sequence(tx), address),
    ).fetchone()
    return int(row[0])


def restart_sequence(tx: Connection, address: Address) -> None:
    """Number the texts to this contact's new account from the first number on."""
    tx.execute("UPDATE contact SET next_sequence = 1, have_up_to = 0 WHERE address = ?", (address,))


def restart_all_sequences(tx: Connection) -> None:
    """Number the texts of a new own device from 1, to everybody."""
    tx.execute("UPDATE contact SET next_sequence = 1, have_up_to = 0")
    forget_numbering(tx)


def have_up_to(tx: Connection, address: Address) -> int:
    """The highest number of ours that this contact has ever confirmed."""
    row = tx.execute("SELECT have_up_to FROM contact WHERE address = ?", (address,)).fetchone()
    return 0 if row is None else int(row[0])


def save_have_up_to(tx: Connection, address: Address, have_up_to: int) -> None:
    """Keep what this contact says to have of ours; it never has less.

    More than was ever numbered here was sent from another copy of this vault: the numbers go on behind it.
    """
    tx.execute(
        "UPDATE contact SET have_up_to = max(have_up_to, :count),"
        " next_sequence = max(next_sequence, min(:count, :most) + 1) WHERE address = :address",
        {"count": have_up_to, "most": NUMBERED_ELSEWHERE, "address": address},
    )
