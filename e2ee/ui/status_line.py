"""The line below the one being typed: with whom, who is there, what waits. Pure.

Knows what it is told; the names in it are other people's and pass the sanitiser.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2ee.ids import Address
from e2ee.ui.sanitiser import cells, clean_line

MOST_NAMES = 5
"""More are counted."""
_BETWEEN = " | "


@dataclass(frozen=True, slots=True)
class Partner:
    """Whom the open chat is with. Not `online` may mean that the server does not say.

    `verified` by the user, `verified_by` an authority that he trusts.
    """

    address: Address
    name: str | None
    verified: bool = False
    verified_by: str | None = None
    online: bool = False
    typing: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """All that the line can say. `unread` has names and counts; `online` those who are there, `moving` is the
    file that is on its way."""

    connected: bool = True
    partner: Partner | None = None
    unread: tuple[tuple[str, int], ...] = ()
    online: tuple[str, ...] = ()
    waiting: int = 0
    moving: str = ""


def status_line(standing: Standing, columns: int) -> str:
    """What is said, the most important first, cut to the width."""
    parts = [] if standing.connected else ["not connected, trying again"]
    if standing.partner is not None:
        parts.append(_partner(standing.partner, standing.connected))
    if standing.unread:
        parts.append("unread: " + _listed([f"{name} {count}" for name, count in standing.unread]))
    if standing.moving:
        parts.append(standing.moving)
    if standing.waiting:
        parts.append(f"{standing.waiting} not accepted yet")
    if standing.online and standing.connected:
        parts.append("online: " + _listed(list(standing.online)))
    return fitted(clean_line(_BETWEEN.join(parts)), columns)


def _partner(partner: Partner, connected: bool) -> str:
    """Who it is: whoever is not verified, or has no name, is shown with his number."""
    number = str(partner.address)
    if partner.verified or partner.verified_by:
        by = "" if partner.verified else f" by {partner.verified_by}"
        who = f"{partner.name or number}, verified{by}"
    else:
        who = f"{partner.name} {number}, not verified" if partner.name else f"{number}, not verified"
    if not connected:
        return who
    return who + ", online" * partner.online + ", typing" * partner.typing


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def fitted(line: str, columns: int) -> str:
    """The line, or as much of it as fits with an ellipsis."""
    if sum(map(cells, line)) <= columns:
        return line
    width, kept = 2, ""
    for character in line:
        width += cells(character)
        if width > columns:
            break
        kept += character
    return f"{kept}…"
