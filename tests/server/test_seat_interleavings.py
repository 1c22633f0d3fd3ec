"""The five invariants of delivery in every order in which a few things can happen.

Unlike the random histories of `test_seat_model` this leaves nothing out: from each world every step
that is possible is taken, and worlds that are equal are followed once. From each of them a good end
must be reached, with nothing lost, doubled or out of order. `E2EE_INTERLEAVINGS=long` takes the larger
cases (`make interleavings`).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.seat_terms import Outcome, State
from tests.server.seat_model import World

Step = tuple[str, int]
LONG = os.environ.get("E2EE_INTERLEAVINGS") == "long"
INTERNAL = ("write", "report", "read", "find", "receive", "acknowledge")
"""Each goes on with the oldest of what is under way."""


@dataclass(frozen=True)
class Case:
    """What may happen: messages of each sender (True: he may know), and how often which fault."""

    messages: tuple[tuple[bool, ...], ...]
    connected: bool = True
    faults: dict[str, int] = field(default_factory=dict)


class Explorer:
    """Goes through all orders of one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.worlds = 0
        self.seen: Counter[State | Outcome] = Counter()

    def run(self) -> None:
        """Take every step from every world."""
        known: set[bytes] = set()
        waiting: list[tuple[Step, ...]] = [()]
        while waiting:
            path = waiting.pop()
            world = self.replayed(path)
            mark = self.mark(world, path)
            if mark in known:
                continue
            known.add(mark)
            self.worlds += 1
            waiting += [(*path, step) for step in self.possible(world, path)]
            self.end(world, path)

    def replayed(self, path: tuple[Step, ...]) -> World:
        """The world after these steps."""
        world = World()
        if self.case.connected:
            world.connect(0)
            for name in ("write", "report"):
                getattr(world, name)(0)
        for step in path:
            self.take(world, step)
        return world

    def take(self, world: World, step: Step) -> None:
        """One step; each of the world's own checks is made."""
        name, number = step
        world.seen[world.seat.state] += 1
        if name == "send":
            sender = world.senders[number]
            knows = self.case.messages[number][min(sender.next, len(self.case.messages[number]) - 1)]
            world.send(number + 2 * knows)
        elif name == "refuse":
            world.failing = 2
            world.write(0)
        elif name == "no room":
            world.failing = 1
            world.write(0)
        elif name == "tick":
            world.tick(0)
            world.tick(0)
        elif name == "set aside":
            world.receive(0)
        else:
            getattr(world, name)(1 if name in INTERNAL else 0)

    def possible(self, world: World, path: tuple[Step, ...]) -> Iterator[Step]:
        """Every step that changes something."""
        used = Counter(name for name, _ in path)
        under_way = (
            world.orders, world.reports, world.reading, world.found, world.wire, world.acknowledgements
        )  # fmt: skip
        yield from ((name, 0) for name, jobs in zip(INTERNAL, under_way, strict=True) if jobs)
        for number, messages in enumerate(self.case.messages):
            sender = world.senders[number]
            again = sender.holding and not sender.waiting
            if again or (not sender.holding and sender.next < len(messages)):
                yield "send", number
        for name, count in self.case.faults.items():
            if used[name] < count and self.makes_sense(world, name):
                yield name, 0

    def makes_sense(self, world: World, name: str) -> bool:
        """Whether this fault would change anything now."""
        if name in ("refuse", "no room"):
            return bool(world.orders) and hasattr(world.orders[0].what, "items")
        if name == "lose":
            return world.connected
        if name == "tick":
            return world.seat.deadline is not None
        if name == "set aside":
            return bool(world.wire)
        return True

    def mark(self, world: World, path: tuple[Step, ...]) -> bytes:
        """Equal for worlds that have the same future."""
        window = world.seat._window
        places = {number: getattr(one, "seq", "in memory") for number, one in window._pushed.items()}
        pushed = [(number, one.key, places[number]) for number, one in window._pushed.items()]
        facts: dict[str, Any] = {
            name: value for name, value in vars(world).items()
            if name not in ("seat", "steps", "seen", "joined")
        }  # fmt: skip
        for jobs in ("orders", "reports", "reading", "found"):
            facts[jobs] = [job.what for job in facts[jobs]]
        for name in ("answered", "noticed", "being_written", "being_inserted", "written", "early", "refused",
                     "pushed"):  # fmt: skip
            facts[name] = sorted(facts[name])
        faults = Counter(name for name, _ in path if name in self.case.faults)
        seat = repr(world.seat).replace(repr(window), "")
        text = repr((seat, window.last_push, window.needs, pushed, sorted(faults.items()), facts))
        return hashlib.blake2b(text.encode(), digest_size=16).digest()

    def end(self, world: World, path: tuple[Step, ...]) -> None:
        """From here everything goes well, until nothing is left to do."""
        try:
            world.settle()
            world.check_at_rest()
        except AssertionError as error:
            raise AssertionError(f"{error} after {path}") from error
        self.seen += world.seen


CASES: dict[str, Case] = {
    "two messages and a connection that breaks": Case(
        ((True, True),), faults={"lose": 1, "connect": 1}
    ),
    "a message on each path": Case(((True, False),), faults={"lose": 1, "connect": 1}),
    "two senders of whom one may not know": Case(((True,), (False,)), faults={"lose": 1, "connect": 1}),
    "a displaced connection": Case(((True, True),), faults={"connect": 2}),
    "no acknowledgement in time": Case(((True, True),), faults={"tick": 2, "set aside": 1}),
    "a recipient who comes": Case(((False, True),), connected=False, faults={"connect": 1, "lose": 1}),
    "a full disk": Case(((True, False),), faults={"no room": 1, "lose": 1, "tick": 1}),
    "a refused row": Case(((False, True),), faults={"refuse": 1, "tick": 1}),
}
LONG_CASES: dict[str, Case] = {
    "three messages of one": Case(((True, True, False),), faults={"lose": 1, "connect": 1}),
    "two messages and every fault": Case(
        ((True, False),), faults={"lose": 1, "connect": 1, "tick": 1, "no room": 1}
    ),
    "two senders and a full disk": Case(((True,), (True,)), faults={"lose": 1, "connect": 1, "no room": 1}),
    "connections again and again": Case(((True, True),), faults={"connect": 2, "lose": 2}),
}


class InterleavingTests(SynchronousTestCase):
    """docs/protocol.md, "Delivery": the invariants hold whatever comes before what."""

    def test_every_order_of_a_few_things(self) -> None:
        seen: Counter[State | Outcome] = Counter()
        for name, case in {**CASES, **(LONG_CASES if LONG else {})}.items():
            explorer = Explorer(case)
            explorer.run()
            self.assertGreater(explorer.worlds, 50, name)
            seen += explorer.seen
        outcomes = {*Outcome} - {Outcome.QUOTA, Outcome.NO_DEVICE, Outcome.BUSY}
        for kind in {*State, *outcomes}:
            self.assertGreater(seen[kind], 0, f"{kind} never happens")
