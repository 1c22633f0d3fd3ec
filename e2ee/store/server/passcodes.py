"""Sessions of registration, in SQL. Knows codes only as sealed bytes, and everything that limits them.

All checks and charges of one request stand in one transaction of the one writer, so that any number
of them at once counts as if they had come one after another.
"""

from __future__ import annotations

from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.store.server.invites import Shown, admits, bound_invite, shown_invite
from e2ee.store.server.limits import missing_from, take_from
from e2ee.store.server.ports import (
    Bucket,
    GuessAllowed,
    GuessRefusal,
    GuessRefused,
    NotInvited,
    PasscodeAllotted,
    PasscodeLimit,
    PasscodeLimits,
    PasscodeRequest,
)
from e2ee.store.server.waits import code_wait, codes_counted, session_wait

NUMBER_GUESSES = "guesses_burst"
"""The name of the bucket of guesses on one number; the breaker's is PasscodeLimit.BREAKER."""


class SqlPasscodes:
    """`ports.Passcodes` on a database."""

    def __init__(self, database: Database, limits: PasscodeLimits) -> None:
        self._database = database
        self._limits = limits

    def apply(self, limits: PasscodeLimits) -> None:
        """See `ports.Passcodes.apply`."""
        self._limits = limits

    async def request(self, request: PasscodeRequest, now: float) -> PasscodeAllotted | NotInvited:
        """See `ports.Passcodes.request`."""
        return await self._database.write(
            lambda connection: _allot(connection, self._limits, request, now)
        )

    async def guess(
        self, session: PasscodeSessionId, address: Address, now: float
    ) -> GuessAllowed | GuessRefused:
        """See `ports.Passcodes.guess`."""
        return await self._database.write(
            lambda connection: _guess(connection, self._limits, session, address, now)
        )

    async def expire(self, now: float) -> int:
        """See `ports.Passcodes.expire`. Waits that nobody remembers any more go as well.

        An invite goes once every session that it has opened is over.
        """

        def forget(connection: Connection) -> int:
            connection.execute(
                "DELETE FROM passcode_wait WHERE last_at <= ?", (now - self._limits.waits_forget_seconds,)
            )
            connection.execute(
                "DELETE FROM invite WHERE expires_at <= ?", (now - self._limits.life_seconds,)
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


def _allot(
    connection: Connection, limits: PasscodeLimits, request: PasscodeRequest, now: float
) -> PasscodeAllotted | NotInvited:
    shown = shown_invite(connection, request, now)
    if not admits(request.gate, shown):
        return NotInvited.NOT_INVITED
    if shown is not None and shown.privileged:
        connection.execute("UPDATE invite SET privileges = privileges - 1 WHERE hash = ?", (request.invite,))
    else:
        refused = _refusal(connection, limits, request, now)
        if refused is not None:
            return refused
        _charge(connection, limits, request, now)
    _open_session(connection, limits, request, shown, now)
    return PasscodeAllotted()


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
    # What nobody may guess at need not be sent.
    waits[PasscodeLimit.BREAKER] = missing_from(
        connection, PasscodeLimit.BREAKER, "", limits.breaker, now
    )
    longest = max(waits, key=lambda name: waits[name])
    return PasscodeAllotted(waits[longest], longest) if waits[longest] > 0 else None


def _codes(connection: Connection, address: Address) -> tuple[int, float]:
    """How many codes this number was sent in a row, and when the last one was."""
    row = connection.execute(
        "SELECT codes, last_at FROM passcode_wait WHERE address = ?", (address,)
    ).fetchone()
    return row or (0, 0.0)


def _charge(
    connection: Connection, limits: PasscodeLimits, request: PasscodeRequest, now: float
) -> None:
    for name, key, bucket in buckets(limits, request):
        take_from(connection, name, key, bucket, now)
    codes, last_at = _codes(connection, request.address)
    connection.execute(
        "INSERT OR REPLACE INTO passcode_wait VALUES (?, ?, ?)",
        (request.address, codes_counted(limits, codes, last_at, now) + 1, now),
    )


def _open_session(
    connection: Connection,
    limits: PasscodeLimits,
    request: PasscodeRequest,
    shown: Shown | None,
    now: float,
) -> None:
    connection.execute(
        "INSERT INTO passcode VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            bytes(request.session),
            request.address,
            request.sealed_code,
            limits.guesses,
            now + limits.life_seconds,
            bound_invite(request, shown),
            shown is not None and shown.privileged,
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
        "SELECT guesses_left, privileged FROM passcode WHERE session = ? AND address = ? AND expires_at > ?",
        (bytes(session), address, now),
    ).fetchone()
    if row is None:
        return GuessRefused(GuessRefusal.UNKNOWN_SESSION)
    guesses_left, privileged = row
    if guesses_left <= 0:
        return GuessRefused(GuessRefusal.EXHAUSTED)
    if not privileged:
        refused = _count_guess(connection, limits, address, now)
        if refused is not None:
            return refused
    (sealed_code,) = connection.execute(
        "UPDATE passcode SET guesses_left = guesses_left - 1 WHERE session = ? AND guesses_left > 0"
        " RETURNING sealed_code",
        (bytes(session),),
    ).fetchone()
    return GuessAllowed(sealed_code, counted=not privileged)


def _count_guess(
    connection: Connection, limits: PasscodeLimits, address: Address, now: float
) -> GuessRefused | None:
    """Take one of the server's and one of the number's, or neither."""
    wait = missing_from(connection, PasscodeLimit.BREAKER, "", limits.breaker, now)
    if wait:
        return GuessRefused(GuessRefusal.BREAKER, wait)
    wait = take_from(connection, NUMBER_GUESSES, address, limits.number_guesses, now)
    if wait:
        return GuessRefused(GuessRefusal.LIMITED, wait)
    take_from(connection, PasscodeLimit.BREAKER, "", limits.breaker, now)
    return None
