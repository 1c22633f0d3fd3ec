"""Sessions of registration, in SQL. Knows codes only as sealed bytes, and everything that limits them.

All checks and charges of one request stand in one transaction of the one writer, so that any number
of them at once counts as if they had come one after another.
"""

from __future__ import annotations

from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.store.server.limits import missing_from, take_from
from e2ee.store.server.ports import (
    Bucket,
    GuessAllowed,
    GuessRefusal,
    GuessRefused,
    PasscodeAllotted,
    PasscodeLimit,
    PasscodeLimits,
    PasscodeRequest,
)
from e2ee.store.server.waits import code_wait, codes_counted, session_wait

NUMBER_GUESSES = "guesses_burst"
"""The name of the bucket of guesses on one number."""


class SqlPasscodes:
    """`ports.Passcodes` on a database."""

    def __init__(self, database: Database, limits: PasscodeLimits) -> None:
        self._database = database
        self._limits = limits

    def apply(self, limits: PasscodeLimits) -> None:
        """See `ports.Passcodes.apply`."""
        self._limits = limits

    async def request(self, request: PasscodeRequest, now: float) -> PasscodeAllotted:
        """See `ports.Passcodes.request`."""

        def allot(connection: Connection) -> PasscodeAllotted:
            refused = _refusal(connection, self._limits, request, now)
            if refused is None:
                _open_session(connection, self._limits, request, now)
            return refused or PasscodeAllotted()

        return await self._database.write(allot)

    async def guess(
        self, session: PasscodeSessionId, address: Address, now: float
    ) -> GuessAllowed | GuessRefused:
        """See `ports.Passcodes.guess`."""
        return await self._database.write(
            lambda connection: _guess(connection, self._limits, session, address, now)
        )

    async def expire(self, now: float) -> int:
        """See `ports.Passcodes.expire`. Waits that nobody remembers any more go as well."""

        def forget(connection: Connection) -> int:
            connection.execute(
                "DELETE FROM passcode_wait WHERE last_at <= ?", (now - self._limits.waits_forget_seconds,)
            )
            return connection.execute("DELETE FROM passcode WHERE expires_at <= ?", (now,)).rowcount

        return await self._database.write(forget, frees_room=True)


def buckets(limits: PasscodeLimits, request: PasscodeRequest) -> list[tuple[PasscodeLimit, str, Bucket]]:
    """The buckets that one code is charged to: limit, key, bucket."""
    return [
        (PasscodeLimit.CODES, request.address, limits.codes),
        (PasscodeLimit.TOTAL, "", limits.total),
        (PasscodeLimit.PREFIX, request.prefix, limits.prefix),
    ]


def _refusal(
    connection: Connection, limits: PasscodeLimits, request: PasscodeRequest, now: float
) -> PasscodeAllotted | None:
    """The limit that refuses longest, if any does; charges nothing."""
    live = connection.execute(
        "SELECT expires_at FROM passcode WHERE address = ? AND expires_at > ? AND guesses_left > 0",
        (request.address, now),
    ).fetchall()
    waits: dict[PasscodeLimit, float] = {
        PasscodeLimit.LIVE_SESSIONS: session_wait(limits, [row[0] for row in live], now),
        PasscodeLimit.WAITS: code_wait(limits, *_codes(connection, request.address), now),
    }
    for name, key, bucket in buckets(limits, request):
        waits[name] = missing_from(connection, name, key, bucket, now)
    longest = max(waits, key=lambda name: waits[name])
    return PasscodeAllotted(waits[longest], longest) if waits[longest] > 0 else None


def _codes(connection: Connection, address: Address) -> tuple[int, float]:
    """How many codes this number was sent in a row, and when the last one was."""
    row = connection.execute(
        "SELECT codes, last_at FROM passcode_wait WHERE address = ?", (address,)
    ).fetchone()
    return row or (0, 0.0)


def _open_session(
    connection: Connection, limits: PasscodeLimits, request: PasscodeRequest, now: float
) -> None:
    for name, key, bucket in buckets(limits, request):
        take_from(connection, name, key, bucket, now)
    codes, last_at = _codes(connection, request.address)
    connection.execute(
        "INSERT OR REPLACE INTO passcode_wait VALUES (?, ?, ?)",
        (request.address, codes_counted(limits, codes, last_at, now) + 1, now),
    )
    connection.execute(
        "INSERT INTO passcode VALUES (?, ?, ?, ?, ?)",
        (
            bytes(request.session),
            request.address,
            request.sealed_code,
            limits.guesses,
            now + limits.life_seconds,
        ),
    )


def _guess(
    connection: Connection,
    limits: PasscodeLimits,
    session: PasscodeSessionId,
    address: Address,
    now: float,
) -> GuessAllowed | GuessRefused:
    row = connection.execute(
        "SELECT guesses_left FROM passcode WHERE session = ? AND address = ? AND expires_at > ?",
        (bytes(session), address, now),
    ).fetchone()
    if row is None:
        return GuessRefused(GuessRefusal.UNKNOWN_SESSION)
    if row[0] <= 0:
        return GuessRefused(GuessRefusal.EXHAUSTED)
    retry_after = take_from(connection, NUMBER_GUESSES, address, limits.number_guesses, now)
    if retry_after:
        return GuessRefused(GuessRefusal.LIMITED, retry_after)
    (sealed_code,) = connection.execute(
        "UPDATE passcode SET guesses_left = guesses_left - 1 WHERE session = ? AND guesses_left > 0"
        " RETURNING sealed_code",
        (bytes(session),),
    ).fetchone()
    return GuessAllowed(sealed_code)
