"""Who exists, in SQL. Knows accounts and what goes with them when they are replaced or deleted."""

from __future__ import annotations

import hmac

from e2ee.ids import Address, DeviceAddress, DeviceId, PasscodeSessionId
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.store.server.devices import leave_notices
from e2ee.store.server.invites import use_invite
from e2ee.store.server.ports import (
    Account,
    NewAccount,
    NoticeKind,
    PinAsked,
    Registered,
    RegistrationSpent,
    StoredPin,
)

_OF_DEVICE = (
    "address = ? AND EXISTS"
    " (SELECT 1 FROM device WHERE device.address = account.address AND device = ?)"
)
"""The account of a number, if this device is still the one that it has."""


class SqlAccounts:
    """`ports.Accounts` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, address: Address) -> Account | None:
        """See `ports.Accounts.find`."""
        return await self._database.read(lambda connection: _find(connection, address))

    async def register(
        self, session: PasscodeSessionId, account: NewAccount, now: float
    ) -> Registered | PinAsked | RegistrationSpent:
        """See `ports.Accounts.register`."""
        return await self._database.write(lambda connection: _register(connection, session, account, now))

    async def register_with_pin(
        self, account: NewAccount, pin_hash: bytes, invite: bytes | None, now: float
    ) -> Registered | RegistrationSpent:
        """See `ports.Accounts.register_with_pin`."""
        return await self._database.write(
            lambda connection: _register_with_pin(connection, account, pin_hash, invite, now)
        )

    async def set_pin(self, where: DeviceAddress, pin: StoredPin | None) -> bool:
        """See `ports.Accounts.set_pin`."""
        return await self._database.write(lambda connection: _set_pin(connection, where, pin))

    async def record_login(self, where: DeviceAddress, at: int, now: float) -> None:
        """See `ports.Accounts.record_login`."""

        def record(connection: Connection) -> None:
            used = connection.execute(
                "UPDATE device SET used_at = ? WHERE address = ? AND device = ?",
                (now, where.address, bytes(where.device)),
            )
            if used.rowcount:
                connection.execute(
                    "UPDATE account SET last_login_at = ? WHERE address = ?", (at, where.address)
                )

        await self._database.write(record)

    async def set_presence(self, where: DeviceAddress, token_hash: bytes, hidden: bool) -> bool:
        """See `ports.Accounts.set_presence`."""

        def store(connection: Connection) -> bool:
            stored = connection.execute(
                f"UPDATE account SET token_hash = ?, hidden = ? WHERE {_OF_DEVICE}",  # noqa: S608
                (token_hash, hidden, where.address, bytes(where.device)),
            )
            return stored.rowcount > 0

        return await self._database.write(store)

    async def set_identity(self, where: DeviceAddress, identity: bytes | None) -> bool:
        """See `ports.Accounts.set_identity`."""

        def store(connection: Connection) -> bool:
            stored = connection.execute(
                f"UPDATE account SET identity = ? WHERE {_OF_DEVICE}",  # noqa: S608
                (identity, where.address, bytes(where.device)),
            )
            return stored.rowcount > 0

        return await self._database.write(store, frees_room=identity is None)

    async def identity(self, address: Address) -> bytes | None:
        """See `ports.Accounts.identity`."""

        def find(connection: Connection) -> bytes | None:
            row = connection.execute("SELECT identity FROM account WHERE address = ?", (address,)).fetchone()
            return None if row is None else row[0]

        return await self._database.read(find)

    async def delete(
        self, address: Address, now: float, device: DeviceId | None = None
    ) -> DeviceId | None:
        """See `ports.Accounts.delete`."""
        return await self._database.write(
            lambda connection: _remove(connection, address, NoticeKind.DELETED, device), frees_room=True
        )

    async def log_out(self, address: Address) -> DeviceId | None:
        """See `ports.Accounts.log_out`."""

        def log_out(connection: Connection) -> DeviceId | None:
            row = connection.execute(
                "UPDATE device SET logged_out = 1 WHERE address = ? RETURNING device", (address,)
            ).fetchone()
            return None if row is None else DeviceId(row[0])

        return await self._database.write(log_out, frees_room=True)

    async def expire_unused(self, now: float, unused_seconds: float) -> int:
        """See `ports.Accounts.expire_unused`."""

        def expire(connection: Connection) -> int:
            unused = connection.execute(
                "SELECT id FROM device WHERE used_at <= ? AND"
                " EXISTS (SELECT 1 FROM lasting_prekey WHERE device_id = device.id)",
                (now - unused_seconds,),
            ).fetchall()
            for table in ("lasting_prekey", "one_time_prekey"):
                connection.executemany(f"DELETE FROM {table} WHERE device_id = ?", unused)  # noqa: S608
            return len(unused)

        return await self._database.write(expire, frees_room=True)

    async def count(self) -> int:
        """See `ports.Accounts.count`."""
        return await self._database.read(
            lambda connection: int(connection.execute("SELECT count(*) FROM account").fetchone()[0])
        )


def _find(connection: Connection, address: Address) -> Account | None:
    row = connection.execute(
        "SELECT device, account_key, signing_key, generation, statement, statement_hash,"
        " token_hash, hidden, last_login_at, logged_out, identity IS NOT NULL"
        " FROM account JOIN device USING (address) WHERE address = ?",
        (address,),
    ).fetchone()
    if row is None:
        return None
    device, account_key, signing_key, generation, statement, statement_hash, token = row[:7]
    hidden, login, logged_out, has_identity = row[7:]
    return Account(
        address=address,
        device=DeviceId(device),
        account_key=account_key,
        device_signing_key=signing_key,
        generation=generation,
        statement=statement,
        statement_hash=statement_hash,
        token_hash=token,
        hidden=bool(hidden),
        last_login_at=login,
        logged_out=bool(logged_out),
        has_identity=bool(has_identity),
    )


def _register(
    connection: Connection, session: PasscodeSessionId, account: NewAccount, now: float
) -> Registered | PinAsked | RegistrationSpent:
    if _is_outdated(connection, account):
        return RegistrationSpent.OLDER_STATEMENT
    used = connection.execute(
        "DELETE FROM passcode WHERE session = ? AND address = ? AND expires_at > ? RETURNING invite",
        (bytes(session), account.address, now),
    ).fetchone()
    if used is None:
        return RegistrationSpent.SPENT
    (invite,) = used
    pin = _pin(connection, account.address)
    if pin is not None:
        return PinAsked(pin.salt, invite)
    if not use_invite(connection, invite):
        return RegistrationSpent.INVITE_SPENT
    return _replace(connection, account, None, now)


def _register_with_pin(
    connection: Connection, account: NewAccount, pin_hash: bytes, invite: bytes | None, now: float
) -> Registered | RegistrationSpent:
    if _is_outdated(connection, account):
        return RegistrationSpent.OLDER_STATEMENT
    pin = _pin(connection, account.address)
    if pin is not None and not hmac.compare_digest(pin.hash, pin_hash):
        return RegistrationSpent.WRONG_PIN
    if not use_invite(connection, invite):
        return RegistrationSpent.INVITE_SPENT
    return _replace(connection, account, pin, now)


def _replace(
    connection: Connection, account: NewAccount, pin: StoredPin | None, now: float
) -> Registered:
    displaced = _remove(connection, account.address, NoticeKind.TAKEN_OVER)
    _insert(connection, account, now)
    if pin is not None:
        _set_pin(connection, DeviceAddress(account.address, account.device), pin)
    return Registered(displaced)


def _pin(connection: Connection, address: Address) -> StoredPin | None:
    row = connection.execute(
        "SELECT pin_salt, pin_hash FROM account WHERE address = ? AND pin_salt IS NOT NULL", (address,)
    ).fetchone()
    return None if row is None else StoredPin(*row)


def _set_pin(connection: Connection, where: DeviceAddress, pin: StoredPin | None) -> bool:
    stored = connection.execute(
        f"UPDATE account SET pin_salt = ?, pin_hash = ? WHERE {_OF_DEVICE}",  # noqa: S608
        (
            None if pin is None else pin.salt,
            None if pin is None else pin.hash,
            where.address,
            bytes(where.device),
        ),
    )
    return stored.rowcount > 0


def _is_outdated(connection: Connection, account: NewAccount) -> bool:
    """Whether the same account key has already made a later statement, or another of this generation."""
    row = connection.execute(
        "SELECT generation, statement_hash FROM account WHERE address = ? AND account_key = ?",
        (account.address, account.account_key),
    ).fetchone()
    if row is None:
        return False
    generation, statement_hash = row
    if account.generation == generation:
        return bool(account.statement_hash != statement_hash)
    return bool(account.generation < generation)


def _remove(
    connection: Connection, address: Address, kind: NoticeKind, only: DeviceId | None = None
) -> DeviceId | None:
    """Remove the account with all that refers to it, and leave notices to the senders of its mail.

    With `only` nothing is done where it has another device.
    """
    row = connection.execute("SELECT id, device FROM device WHERE address = ?", (address,)).fetchone()
    if row is None or only not in (None, DeviceId(row[1])):
        return None
    device_id, device = row
    waiting = connection.execute(
        "SELECT sender_address, sender_device, envelope_id FROM mail WHERE device_id = ? ORDER BY seq",
        (device_id,),
    ).fetchall()
    # First the room is made, then it is needed: so this works on a full disk as well.
    connection.execute("DELETE FROM account WHERE address = ?", (address,))
    leave_notices(connection, waiting, kind)
    return DeviceId(device)


def _insert(connection: Connection, account: NewAccount, now: float) -> None:
    connection.execute(
        "INSERT INTO account (address, account_key, generation, statement, statement_hash)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            account.address,
            account.account_key,
            account.generation,
            account.statement,
            account.statement_hash,
        ),
    )
    (device_id,) = connection.execute(
        "INSERT INTO device (address, device, signing_key, used_at) VALUES (?, ?, ?, ?) RETURNING id",
        (account.address, bytes(account.device), account.device_signing_key, now),
    ).fetchone()
    connection.executemany(
        "INSERT INTO lasting_prekey (device_id, kind, encoded) VALUES (?, ?, ?)",
        [
            (device_id, "signed", account.signed_prekey),
            (device_id, "last_resort", account.last_resort_prekey),
        ],
    )
