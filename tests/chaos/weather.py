"""What becomes of each connection, drawn from a seed. Pure: knows no sockets.

A fate counts the bytes of one direction and strikes after so many. The same seed gives the same fate to
the connection with the same number; when a process makes its next connection is up to the machine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum


class Way(Enum):
    """A direction, seen from the client."""

    UP = "up"
    DOWN = "down"


class End(Enum):
    """How a connection ends. Where it says "then" or "for a while", the fate's `silence` lies between."""

    NONE = "never struck"
    CUT = "both sides are closed in good order"
    RESET = "both sides get a reset"
    HOLE_BOTH = "a black hole, then a reset"
    HOLE_UP = "what the client sends disappears, then a reset"
    HOLE_DOWN = "what the server sends disappears, then a reset"
    CLIENT_GONE = "the client gets a reset, the server hears nothing for a while"
    SERVER_GONE = "the server gets a reset, the client hears nothing for a while"


STRIKES = tuple(end for end in End if end is not End.NONE)


@dataclass(frozen=True, slots=True)
class Fate:
    """Of one connection. Bytes in the direction `way` are passed on until there are `after` of them."""

    end: End = End.NONE
    way: Way = Way.UP
    after: int = 0
    silence: float = 0.0
    delay: float = 0.0  # seconds for each piece
    dribble: int = 0  # so many bytes go one by one

    def __str__(self) -> str:
        if self.end is End.NONE:
            return str(self.end.value)
        return f"{self.end.name} after {self.after} bytes {self.way.value}"


CLEAR = Fate()


@dataclass(frozen=True, slots=True)
class Weather:
    """`typical_bytes`: half of the connections are struck before so many bytes in their direction.

    `silence` is the longest that a connection is dead without anybody being told.
    """

    seed: int
    typical_bytes: int = 16_384
    silence: float = 2.0
    share: float = 0.9

    def fate(self, number: int) -> Fate:
        """Of the connection with this number, from 0."""
        # Not a tuple, whose hash would be another one in each process.
        chance = random.Random(f"{self.seed}/{number}")
        slow = chance.random()
        delay = chance.uniform(0.0, 0.02) if slow < 0.2 else 0.0
        dribble = chance.randrange(1, 3_000) if slow > 0.9 else 0
        if chance.random() > self.share:
            return Fate(delay=delay, dribble=dribble)
        return Fate(
            end=chance.choice(STRIKES),
            way=chance.choice(tuple(Way)),
            after=self._bytes(chance),
            silence=chance.uniform(0.0, self.silence),
            delay=delay,
            dribble=dribble,
        )

    def _bytes(self, chance: random.Random) -> int:
        """One in ten within the handshake, the others spread around the typical number."""
        if chance.random() < 0.1:
            return chance.randrange(3_000)
        return 3_000 + int(chance.expovariate(0.7 / self.typical_bytes))
