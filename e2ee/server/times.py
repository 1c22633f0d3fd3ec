"""Times as operators read them. Knows RFC 3339 and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional(milliseconds: int | None) -> str | None:
    """Milliseconds since 1970, where there is a moment at all."""
    return None if milliseconds is None else rfc3339(milliseconds / 1000)
