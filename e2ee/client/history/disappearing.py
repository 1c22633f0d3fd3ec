"""Texts that disappear: whose timer counts, which texts it is for, and what becomes of them.

Operations over one transaction of the vault. Both sides keep the newest setting that they know of; each text
carries the time that its sender meant it to have, and how the conversation stands at his side, so that a
lost notice is made good by the next text. See `docs/protocol.md`, section 6, "Disappearing messages".
"""

from __future__ import annotations

from collections.abc import Sequence

from e2ee.client.sending.receipting import may_tell
from e2ee.crypto.content import Content, Text, TimerNotice
from e2ee.crypto.expiry import Expiry, Timer
from e2ee.crypto.limits import TIMER_SECONDS
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.store.client import history, timers, traces
from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.timers import TimerRecord
from e2ee.store.connection import Connection


def set_timer(tx: Connection, address: Address, seconds: int, now: int) -> bool:
    """The user wants texts with this number to disappear after so long, 0: never. Whether that is new.

    Raises Failure(USAGE) for a time that is too long.
    """
    if not 0 <= seconds <= TIMER_SECONDS:
        raise Failure(Code.USAGE, "a timer has at most 366 days")
    before = timers.load_timer(tx, address)
    if before.seconds == seconds:
        return False
    timers.save_timer(tx, address, TimerRecord(seconds, before.version + 1, now, own=True))
    return True


def timer_to_tell(tx: Connection, address: Address) -> Timer | None:
    """How the conversation stands, as a content says it; None if it never had a timer."""
    timer = timers.load_timer(tx, address)
    return Timer(timer.seconds, timer.version, timer.set_at, timer.own) if timer.version else None


def expiry_to_tell(tx: Connection, address: Address, lifetime: int) -> Expiry | None:
    """The same for a text that was written with this lifetime."""
    timer = timer_to_tell(tx, address)
    return None if timer is None else Expiry(lifetime, timer)


# --- what has come ----------------------------------------------------------------------------


def note_timer(
    tx: Connection, contact: ContactRecord, account_key: bytes, content: Content, now: int
) -> Sequence[int]:
    """Take over the timer of a content if it is the newer one; the arrival that tells of it.

    Nothing from whom the user has not accepted: what strangers write stays.
    """
    timer = _timer_of(content)
    if timer is None or not may_tell(contact, account_key):
        return ()
    before = timers.load_timer(tx, contact.address)
    if _order(timer) <= _order(before):
        return ()
    theirs = TimerRecord(timer.seconds, timer.version, timer.set_at, own=not timer.by_sender)
    timers.save_timer(tx, contact.address, theirs)
    if timer.seconds == before.seconds or not timer.by_sender:
        return ()
    told = Arrival(ArrivalKind.TIMER, contact.address, min(timer.set_at, now), missing=timer.seconds)
    return (add_arrival(tx, told),)


def lifetime_of(contact: ContactRecord, account_key: bytes, content: Text) -> int:
    """After how many seconds this text goes once it was shown, 0 for never."""
    if content.expiry is None or not may_tell(contact, account_key):
        return 0
    return content.expiry.lifetime


def _timer_of(content: Content) -> Timer | None:
    if isinstance(content, TimerNotice):
        return content.timer
    return content.expiry.timer if isinstance(content, Text) and content.expiry else None


def _order(timer: Timer | TimerRecord) -> tuple[int, int, int]:
    """Which of two settings is newer. Two that were made at once have the same version: the later clock
    counts, and then the longer time, at both ends alike."""
    return timer.version, timer.set_at, timer.seconds


# --- what goes --------------------------------------------------------------------------------


def forget_expired(tx: Connection, now: int) -> int:
    """Delete for good what has had its time; how many texts. `now` is ms since 1970."""
    timers.start_sent(tx, now)
    rows = timers.expired_texts(tx, now)
    if rows:
        history.forget(tx, rows, now)
        traces.note_forgotten(tx)
    return len(rows)
