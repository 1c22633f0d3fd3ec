"""The counter behind the state token: how often this vault has advanced a sending chain.

Functions over one transaction. Of the counters given to envelopes, `sent` is the highest one that may have
left this vault, and `answered` the highest one that the server is known to have on its disk. What follows
from the two is for `e2ee.client.recovery.rollback`. See `docs/cryptography.md`, "State tokens".
"""

from __future__ import annotations

from e2ee.store.client.marks import forget_mark, load_count, load_mark, next_count, raise_count, save_mark
from e2ee.store.connection import Connection

_COUNTER = "state_counter"
_SENT = "state_sent"
_ANSWERED = "state_answered"
_UNKNOWN = "state_unknown"
_PUT_BACK_AT = "put_back_at"
_NUMBER_BYTES = 8


def advance_state(tx: Connection) -> int:
    """A sending chain advances in this transaction: the next number."""
    return next_count(tx, _COUNTER)


def raise_state(tx: Connection, counter: int) -> None:
    """Go on above this number, which was sent."""
    raise_count(tx, _COUNTER, counter)
    note_sent(tx, counter)


def sent_counter(tx: Connection) -> int:
    """The highest that may have been sent; 0 for none. What was sealed without a connection does not count:
    it would hide that others were sent from another copy of this vault."""
    return _load_number(tx, _SENT)


def note_sent(tx: Connection, counter: int) -> None:
    """An envelope with this counter may leave after this transaction."""
    if counter > sent_counter(tx):
        _save_number(tx, _SENT, counter)


def note_all_sent(tx: Connection) -> None:
    """There is a connection: whatever was sealed may leave at once."""
    note_sent(tx, load_count(tx, _COUNTER) - 1)


def answered_counter(tx: Connection) -> int:
    """What the server is known to have on its disk; 0 for nothing."""
    return _load_number(tx, _ANSWERED)


def note_answered(tx: Connection, counter: int) -> None:
    """The server has said that it stored the envelope with this counter."""
    if counter > answered_counter(tx):
        expect(tx, counter)


def expect(tx: Connection, counter: int) -> None:
    """The server is known to have this counter, and no higher one."""
    _save_number(tx, _ANSWERED, counter)


def forget_state(tx: Connection) -> None:
    """The server has no token of a new device."""
    forget_mark(tx, _ANSWERED)


def note_unknown(tx: Connection) -> None:
    """This vault was restored from a backup: the server's counter is the right one, whatever it is."""
    save_mark(tx, _UNKNOWN, b"\1")


def take_unknown(tx: Connection) -> bool:
    """Whether that was so until now."""
    unknown = load_mark(tx, _UNKNOWN) is not None
    forget_mark(tx, _UNKNOWN)
    return unknown


def note_put_back(tx: Connection, at: int) -> None:
    """This vault goes on from an older state since then, ms since 1970."""
    _save_number(tx, _PUT_BACK_AT, at)


def put_back_at(tx: Connection) -> int:
    """Since when it does; 0 if it never was put back. What was sent before may have been shown before."""
    return _load_number(tx, _PUT_BACK_AT)


def _save_number(tx: Connection, name: str, value: int) -> None:
    save_mark(tx, name, value.to_bytes(_NUMBER_BYTES, "big"))


def _load_number(tx: Connection, name: str) -> int:
    kept = load_mark(tx, name)
    return 0 if kept is None else int.from_bytes(kept, "big")
