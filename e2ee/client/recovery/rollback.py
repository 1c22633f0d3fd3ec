"""Whether this vault or the server was put back to an older state, and what follows from it.

Operations over one transaction of the vault, before anything is sent on a new connection. The counter in
the state token decides: above what was ever sent from here, the vault is old, or a copy of it was used;
below what the server is known to have stored, the server is old. See `docs/cryptography.md`, "State
tokens".
"""

from __future__ import annotations

from enum import Enum

from e2ee.client.recovery.renewal import renew
from e2ee.crypto import limits
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.primitives import Entropy
from e2ee.crypto.state_token import read_state_token
from e2ee.store.client import contacts, healings, history, prekeys
from e2ee.store.client.anew import PRESENCE_ANNOUNCED
from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival
from e2ee.store.client.healings import Wanted
from e2ee.store.client.marks import forget_mark
from e2ee.store.client.state_counter import (
    answered_counter,
    expect,
    note_answered,
    raise_state,
    sent_counter,
    take_unknown,
)
from e2ee.store.connection import Connection


class Rollback(Enum):
    """What was put back."""

    PROFILE = "profile"
    SERVER = "server"


def compare(tx: Connection, own: OwnDevice, token: bytes | None) -> Rollback | None:
    """Take note of the state token that a login was answered with; what was put back, if anything.

    One that this device has not made says nothing. After a restoration from a backup everything has been
    made anew already: the counter only goes on above the server's.
    """
    counter = 0 if token is None else read_state_token(own, token)
    if counter is None:
        return None
    sent, answered = sent_counter(tx), answered_counter(tx)
    unknown = take_unknown(tx)
    if counter > sent:
        raise_state(tx, counter)
        expect(tx, counter)
        return None if unknown else Rollback.PROFILE
    if counter < answered:
        expect(tx, counter)
        return Rollback.SERVER
    note_answered(tx, counter)
    return None


def begin_again(
    tx: Connection, own: OwnDevice, rollback: Rollback, now: int, entropy: Entropy
) -> list[int]:
    """Make good for it; the arrivals that tell the user. `now` is ms since 1970."""
    forget_mark(tx, PRESENCE_ANNOUNCED)
    if rollback is Rollback.PROFILE:
        renew(tx, now, entropy)
        kind = ArrivalKind.PROFILE_PUT_BACK
    else:
        _publish_anew(tx, now)
        _ask_around(tx, now)
        kind = ArrivalKind.SERVER_PUT_BACK
    return [add_arrival(tx, Arrival(kind, own.address, now))]


def _publish_anew(tx: Connection, now: int) -> None:
    """The server hands out keys that were used since, and has forgotten those that were published."""
    prekeys.replace_stock(tx)
    prekeys.retire_stock(tx, now)
    prekeys.publish_again(tx)


def _ask_around(tx: Connection, now: int) -> None:
    """What waited in mailboxes may be gone: whoever was written with lately tells what he has."""
    lately = history.addresses_since(tx, now - limits.SENT_AGAIN_MS)
    for address in contacts.accepted_addresses(tx):
        if address in lately:
            healings.want(tx, address, Wanted.EVERYTHING)
