"""How long texts stay, as contents say it: the lifetime of one text, and the timer of the conversation.

Knows fields and bounds; which of two timers counts, `e2ee.client.history.disappearing` says.

Layout: a timer is its seconds (4), version (8), time (8) and whether the sender of the content has set it
(1). A text that has one ends with its own lifetime in seconds (4) and the timer.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2ee.crypto import limits
from e2ee.crypto.encoding import FieldReader, number
from e2ee.errors import EncodingRefused


@dataclass(frozen=True, slots=True)
class Timer:
    """After how many `seconds` texts disappear, 0 for never. `version` counts the settings of both sides
    from 1; `set_at` is ms since 1970, by the clock of whoever has set it."""

    seconds: int
    version: int
    set_at: int
    by_sender: bool


@dataclass(frozen=True, slots=True)
class Expiry:
    """`lifetime`: of this text, in seconds; 0 for ever. `timer`: how its sender's side of the conversation
    stands."""

    lifetime: int
    timer: Timer


def encode_timer(timer: Timer) -> bytes:
    """Its bytes; ValueError for what has no encoding."""
    if not 1 <= timer.version < limits.TIMER_VERSIONS or not 0 <= timer.set_at < limits.COUNTERS:
        raise ValueError("a timer has a version from 1, and both it and its time are bounded")
    moment = number(timer.version, 8) + number(timer.set_at, 8)
    return _seconds(timer.seconds) + moment + number(timer.by_sender, 1)


def encode_expiry(expiry: Expiry) -> bytes:
    """The end of a text; ValueError as above."""
    return _seconds(expiry.lifetime) + encode_timer(expiry.timer)


def read_timer(reader: FieldReader) -> Timer:
    """The reverse of `encode_timer`. Raises EncodingRefused."""
    timer = Timer(_read_seconds(reader), reader.number(8), reader.number(8), reader.flag())
    if not 1 <= timer.version < limits.TIMER_VERSIONS or timer.set_at >= limits.COUNTERS:
        raise EncodingRefused("a number out of its range")
    return timer


def read_expiry(reader: FieldReader) -> Expiry:
    """The reverse of `encode_expiry`. Raises EncodingRefused."""
    return Expiry(_read_seconds(reader), read_timer(reader))


def _seconds(value: int) -> bytes:
    if not 0 <= value <= limits.TIMER_SECONDS:
        raise ValueError(f"a timer has at most {limits.TIMER_SECONDS} seconds")
    return number(value, 4)


def _read_seconds(reader: FieldReader) -> int:
    value = reader.number(4)
    if value > limits.TIMER_SECONDS:
        raise EncodingRefused("a time out of its range")
    return value
