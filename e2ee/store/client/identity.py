"""Who the profile is, which server it belongs to, and a registration under way.

Functions over one transaction of the vault. Knows columns, not keys: everything secret arrives and
leaves as encoded bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.connection import Connection


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A server as the profile remembers it.

    `link` is a connect link without an invite, with the pins that hold now; `ca` is PEM;
    `highest_version` is the highest protocol version seen there, 0 before the first greeting.
    """

    link: str
    ca: bytes | None = None
    highest_version: int = 0


@dataclass(frozen=True, slots=True)
class PasscodeSession:
    """A run of registration by passcode that the server has begun.

    `until` is ms since 1970; `guesses` counts those that were made from here.
    """

    session: PasscodeSessionId
    until: int
    guesses: int = 0


@dataclass(frozen=True, slots=True)
class PendingKeys:
    """The keys of an identity that the server may not know yet. `own_device` and `*_secret` are
    encoded private keys; the other two are what the server gets. `made_at` is ms since 1970."""

    own_device: bytes = field(repr=False)
    signed_prekey_id: int
    signed_prekey: bytes
    signed_prekey_secret: bytes = field(repr=False)
    last_resort_id: int
    last_resort: bytes
    last_resort_secret: bytes = field(repr=False)
    made_at: int


@dataclass(frozen=True, slots=True)
class PendingRegistration:
    """A registration under way. `proved`: a proof has left, so the server may have these keys."""

    server: ServerRecord
    address: Address
    session: PasscodeSession | None = None
    keys: PendingKeys | None = None
    proved: bool = False


def load_identity(tx: Connection) -> bytes | None:
    """The encoded own device, or None where this profile is not registered."""
    row = tx.execute("SELECT own_device FROM identity").fetchone()
    return None if row is None else bytes(row[0])


def save_identity(tx: Connection, own_device: bytes, registered_at: int) -> None:
    """Make this the profile's identity, in place of one that was there. `registered_at` is ms."""
    tx.execute(
        "INSERT OR REPLACE INTO identity (one, own_device, registered_at) VALUES (1, ?, ?)",
        (own_device, registered_at),
    )


def mark_deleted(tx: Connection, now: int) -> None:
    """The account of this identity is no more; `now` is ms. The next identity has one again."""
    tx.execute("UPDATE identity SET deleted_at = ?", (now,))


def is_deleted(tx: Connection) -> bool:
    """Whether the account of this identity was deleted from here."""
    return tx.execute("SELECT 1 FROM identity WHERE deleted_at IS NOT NULL").fetchone() is not None


def load_server(tx: Connection) -> ServerRecord | None:
    """The server of this profile, or None where it is not registered."""
    row = tx.execute("SELECT link, ca, highest_version FROM server").fetchone()
    return None if row is None else ServerRecord(*row)


def save_server(tx: Connection, server: ServerRecord) -> None:
    """Remember this of the profile's server: link, pins, highest version."""
    tx.execute(
        "INSERT OR REPLACE INTO server (one, link, ca, highest_version) VALUES (1, ?, ?, ?)",
        (server.link, server.ca, server.highest_version),
    )


_PENDING_COLUMNS = (
    "link, ca, highest_version, address, session, session_until, guesses, own_device, signed_prekey_id,"
    " signed_prekey, signed_prekey_secret, last_resort_id, last_resort, last_resort_secret, made_at, proved"
)


def load_registration(tx: Connection) -> PendingRegistration | None:
    """The registration under way, or None."""
    row = tx.execute(f"SELECT {_PENDING_COLUMNS} FROM registration").fetchone()  # noqa: S608 - a constant
    if row is None:
        return None
    link, ca, version, address, session, until, guesses, *keys, proved = row
    return PendingRegistration(
        server=ServerRecord(link, ca, version),
        address=Address(address),
        session=None if session is None else PasscodeSession(PasscodeSessionId(session), until, guesses),
        keys=None if keys[0] is None else PendingKeys(*keys),
        proved=bool(proved),
    )


def save_registration(tx: Connection, pending: PendingRegistration) -> None:
    """Remember this registration in place of the one that was under way."""
    session, keys = pending.session, pending.keys
    values = (
        pending.server.link,
        pending.server.ca,
        pending.server.highest_version,
        str(pending.address),
        None if session is None else bytes(session.session),
        None if session is None else session.until,
        0 if session is None else session.guesses,
        *_key_values(keys),
        int(pending.proved),
    )
    marks = ", ".join("?" * len(values))
    tx.execute(
        f"INSERT OR REPLACE INTO registration (one, {_PENDING_COLUMNS}) VALUES (1, {marks})",  # noqa: S608
        values,
    )


def _key_values(keys: PendingKeys | None) -> tuple[object, ...]:
    if keys is None:
        return (None,) * 8
    return (
        keys.own_device,
        keys.signed_prekey_id,
        keys.signed_prekey,
        keys.signed_prekey_secret,
        keys.last_resort_id,
        keys.last_resort,
        keys.last_resort_secret,
        keys.made_at,
    )


def forget_registration(tx: Connection) -> None:
    """Nothing is under way any more."""
    tx.execute("DELETE FROM registration")


def burn_passcode(tx: Connection, digest: bytes, until: int) -> None:
    """Never run this code again; `until` (ms) is when its session is over anyway."""
    tx.execute("INSERT OR REPLACE INTO burnt_passcode (digest, until) VALUES (?, ?)", (digest, until))


def unburn_passcode(tx: Connection, digest: bytes) -> None:
    """This code may be run again."""
    tx.execute("DELETE FROM burnt_passcode WHERE digest = ?", (digest,))


def unburn_all(tx: Connection) -> None:
    """A registration has succeeded: what was burnt on the way to it is of no interest any more."""
    tx.execute("DELETE FROM burnt_passcode")


def is_burnt(tx: Connection, digest: bytes, now: int) -> bool:
    """Whether this code was burnt; those whose session is over by `now` (ms) are forgotten."""
    tx.execute("DELETE FROM burnt_passcode WHERE until <= ?", (now,))
    return tx.execute("SELECT 1 FROM burnt_passcode WHERE digest = ?", (digest,)).fetchone() is not None


def is_blank(tx: Connection) -> bool:
    """Whether nothing of a registration, begun or done, is in this vault."""
    for table in ("identity", "registration", "burnt_passcode"):
        if tx.execute(f"SELECT 1 FROM {table}").fetchone() is not None:  # noqa: S608 - constants
            return False
    return True
