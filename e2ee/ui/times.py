"""Points in time as people and scripts read them. Knows milliseconds since 1970, UTC, and no clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from e2ee.errors import Code, Failure

LATEST_MS = 253_370_764_800_000
"""The end of the year 9998: what a sender claims can be any number, and zones must fit as well."""

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}

_SPANS = (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def rfc3339(milliseconds: int) -> str:
    """RFC 3339, UTC, with milliseconds: ``2026-11-21T09:30:00.000Z``."""
    moment = _moment(milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def short_time(milliseconds: int, now: int, zone: tzinfo | None = None) -> str:
    """For a person: ``09:30`` today, ``2026-11-20 09:30`` on other days; `zone` None is the local one."""
    moment = _moment(milliseconds).astimezone(zone)
    if moment.date() == _moment(now).astimezone(zone).date():
        return f"{moment:%H:%M}"
    return f"{moment:%Y-%m-%d %H:%M}"


def parse_since(text: str, now: int, zone: tzinfo | None = None) -> int:
    """Milliseconds of a time as people write it: ``2026-11-20``, RFC 3339, or ``90m``, ``2h``, ``7d`` ago.

    A time without a zone is in `zone` (None: the local one). Raises Failure(USAGE).
    """
    ago = re.fullmatch(r"([0-9]{1,6})([smhdw])", text, re.ASCII)
    if ago:
        return max(0, now - int(ago[1]) * _UNITS[ago[2]])
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
        return max(0, round(moment.timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        raise Failure(
            Code.USAGE, f"{text!r} is not a time such as 2026-11-20, 2026-11-20T09:30:00Z or 2h"
        ) from None


def parse_span(text: str) -> int:
    """Seconds of ``30s``, ``5m``, ``8h``, ``1d``, ``4w``; 0 for ``off``. Raises Failure(USAGE)."""
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text, re.ASCII)
    if found:
        return int(found[1]) * _UNITS[found[2]] // 1000
    if text != "off":
        raise Failure(Code.USAGE, f"{text!r} is not a time such as 30s, 5m, 8h, 1d, 4w, nor off")
    return 0


def span_words(seconds: int) -> str:
    """For a person, in the largest unit that fits: ``1 day``, ``90 seconds``."""
    name, size = next((name, size) for name, size in _SPANS if seconds % size == 0)
    count = seconds // size
    return f"1 {name}" if count == 1 else f"{count} {name}s"


def _moment(milliseconds: int) -> datetime:
    clamped = min(max(milliseconds, 0), LATEST_MS)
    return datetime.fromtimestamp(clamped // 1000, UTC) + timedelta(milliseconds=clamped % 1000)
