"""What is said of contacts that come from a file, or go into one: plain values.

Frozen, without behaviour. Names in here are other people's, and go through the user interface's sanitiser
before they are printed.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2ee.ids import Address

IMPORTED_CONTACTS = 5000
"""At once: more than people know, and what the vault takes in one transaction without anybody noticing."""


@dataclass(frozen=True, slots=True)
class NamedNumber:
    """A contact as a file has it; without a `name` it is only accepted."""

    address: Address
    name: str | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of a file that is not imported: what, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """`added` are new, or have a name now; `known` were there already; `kept` have another name here,
    which stays. `left_out`: see `LeftOut`."""

    added: int
    known: int
    kept: tuple[LeftOut, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
