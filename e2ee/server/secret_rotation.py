"""The server's secret: found at the start, and changed for another one so that no kill loses anything.

Knows the state directory, where else a secret may come from, and what hangs on it: the key of the
database, and, derived from it, that of passcodes on their way. Everything here blocks.

A rotation in the state directory has four steps, each whole or not done: the next secret is written to
a file of its own, the database is put under it, it becomes the secret, its file goes. Whatever was
killed in between, one of both files opens the database, and the next start goes on with that one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from twisted.logger import Logger

from e2ee.crypto.passcode_store import derive_code_key, open_code, seal_code
from e2ee.errors import OpenFailed, StoreError
from e2ee.ids import Address, PasscodeSessionId
from e2ee.server.configuration import Configuration
from e2ee.server.state_directory import (
    NEXT_SECRET,
    OLD_SECRET,
    SECRET,
    StateDirectory,
    StateRefused,
    decode_secret,
    encode_secret,
)
from e2ee.store.server.rekey import Reseal, discard_copy, opens, rekey

Entropy = Callable[[int], bytes]
WRONG_SECRET = "; if a rotation of the secret was interrupted, repeat it: it says which one opens it"  # noqa: S105
_log = Logger()


def find_secret(
    configuration: Configuration, state: StateDirectory, environment: Mapping[str, str]
) -> bytes:
    """What the configuration names, else what lies in the state directory, made at the first start.

    Raises StateRefused, and StoreError if the database cannot be looked at.
    """
    # Who rotates holds the state directory as the one who starts does: nobody is at work on it.
    discard_copy(configuration.database)
    if configuration.secret is not None:
        return configuration.secret.read(environment)
    secret = state.secret(configuration.database)
    if not state.has(NEXT_SECRET):
        return secret
    following = _following(state)
    if following != secret and not opens(configuration.database, secret):
        if not opens(configuration.database, following):
            raise StateRefused(
                f"neither {SECRET} nor {NEXT_SECRET} in {state.path} opens {configuration.database}"
            )
        _log.warn("an interrupted rotation of the secret is finished: the database is under the new one")
        state.write(SECRET, encode_secret(following))
        secret = following
    elif following != secret:
        _log.warn(
            "a rotation of the secret was interrupted: the database is under the old one; repeat it with"
            " e2ee-admin rotate-secret"
        )
    state.remove(NEXT_SECRET)
    return secret


def rotate_here(state: StateDirectory, database: Path, new: bytes) -> None:
    """Put the database under a new secret, which becomes the one in the state directory.

    The old one is kept as `server.secret.old`, for the backups that were made under it. Goes on with a
    rotation that was interrupted. Raises StateRefused and StoreError; then everything is as it was, or the
    database is under the new one, and the next start goes on from there.
    """
    if not database.exists():
        raise StateRefused(f"there is no database {database}")
    secret = state.secret(database)
    following = _following(state) if state.has(NEXT_SECRET) else new
    if not opens(database, following):
        if not opens(database, secret):
            raise StateRefused(f"{state.path / SECRET} does not open {database}")
        _change(state, database, secret, following)
    state.write(SECRET, encode_secret(following))
    state.remove(NEXT_SECRET)


def _change(state: StateDirectory, database: Path, secret: bytes, following: bytes) -> None:
    """The steps up to the database's; what they made goes if it stays under the old one."""
    made = [name for name in (NEXT_SECRET, OLD_SECRET) if not state.has(name)]
    try:
        _keep(state, secret)
        state.write(NEXT_SECRET, encode_secret(following))
        rekey(database, secret, following, resealing(secret, following))
    except (StateRefused, StoreError):
        if opens(database, secret):
            for name in made:
                state.remove(name)
        raise


def rotate_elsewhere(database: Path, old: bytes, new: bytes) -> bool:
    """Put the database under `new`, whose keeping is the operator's; False if it is already.

    Raises StateRefused if neither of both opens it, StoreError for the rest; then it is as it was.
    """
    if not database.exists():
        raise StateRefused(f"there is no database {database}")
    if opens(database, new):
        return False
    if not opens(database, old):
        raise StateRefused(f"neither the old nor the new secret opens {database}")
    rekey(database, old, new, resealing(old, new))
    return True


def resealing(old: bytes, new: bytes, entropy: Entropy = os.urandom) -> Reseal:
    """Passcodes on their way stay good: each is opened and sealed again.

    What does not open is left as it is, and opens for nobody.
    """
    old_key, new_key = derive_code_key(old), derive_code_key(new)

    def reseal(session: PasscodeSessionId, address: Address, sealed: bytes) -> bytes:
        try:
            code = open_code(old_key, session, address, sealed)
        except OpenFailed:
            return sealed
        return seal_code(new_key, session, address, code, entropy)

    return reseal


def _following(state: StateDirectory) -> bytes:
    return decode_secret(state.read(NEXT_SECRET), str(state.path / NEXT_SECRET))


def _keep(state: StateDirectory, secret: bytes) -> None:
    """Never over another one: some backup may open with it alone."""
    if state.has(OLD_SECRET) and decode_secret(state.read(OLD_SECRET), OLD_SECRET) != secret:
        raise StateRefused(
            f"{state.path / OLD_SECRET} holds the secret before this one: move it away first, to the backups"
            " that open with it"
        )
    state.write(OLD_SECRET, encode_secret(secret))
