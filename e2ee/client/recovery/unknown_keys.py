"""Prekeys that the directory has of this device, and that are not in this vault: how they are replaced.

Functions over one transaction. The server remembers each id with its key and refuses another key under it, so
a vault that is older than what was published from it has to go on above that. Knows no link. See
`docs/protocol.md`, section 5, and `docs/cryptography.md`, section 10.
"""

from __future__ import annotations

from e2ee.store.client import prekeys
from e2ee.store.client.marks import load_mark, save_mark
from e2ee.store.connection import Connection

IDS_PER_SECOND = 4
"""More prekeys than a device makes, on an average: 2**32 ids last for 34 years."""
IDS_BEGIN = 1_577_836_800
"""2020-01-01, seconds since 1970."""
IDS_SKIPPED = 65_536
"""At the least, whatever the clock says."""
REPLACE_AGAIN_MS = 60 * 60 * 1000
"""At the most once an hour a stock is replaced, since anybody can name a key that never was, and taken ids
are left, since a server can call all of them taken: they last for years all the same."""

_REPLACED_AT = "stock_replaced_at"
_LEFT_AT = "taken_ids_left_at"


def unused_id(tx: Connection, now: int) -> int:
    """An id above all that any copy of this vault has used, as far as the clock can say. `now` is ms since
    1970."""
    elapsed = max(0, now // 1000 - IDS_BEGIN)
    return max(prekeys.last_key_id(tx) + IDS_SKIPPED, elapsed * IDS_PER_SECOND)


def leave_taken_ids(tx: Connection, now: int) -> bool:
    """The directory has other keys under these ids, so another copy of this vault has published there: all
    keys are made anew, above them, unless that was done within the hour; whether they will be."""
    if not _first_in_an_hour(tx, _LEFT_AT, now):
        return False
    prekeys.retire_all(tx, now)
    prekeys.skip_key_ids(tx, unused_id(tx, now))
    prekeys.replace_stock(tx)
    return True


def replace_unknown(tx: Connection, now: int) -> bool:
    """Somebody was given a one-time key that is not here: have the stock replaced, unless that was done
    within the hour; whether it will be."""
    if not _first_in_an_hour(tx, _REPLACED_AT, now):
        return False
    prekeys.replace_stock(tx)
    prekeys.retire_stock(tx, now)
    return True


def _first_in_an_hour(tx: Connection, name: str, now: int) -> bool:
    """Whether this was not done within the hour; then it counts as done now. A clock that was set back puts
    nothing off."""
    last = load_mark(tx, name)
    if last is not None and 0 <= now - int.from_bytes(last, "big") < REPLACE_AGAIN_MS:
        return False
    save_mark(tx, name, now.to_bytes(8, "big"))
    return True
