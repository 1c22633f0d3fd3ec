"""A world that loses, repeats, reorders, disconnects and kills, and must come to the right end all the same.

Each example is a list of steps; whatever they were, in the end every text has been shown exactly once and
in its sender's order, and its sender knows that it was.
"""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.config import Config
from e2ee.client.events import Gap, MessageReceived, SentState, Undecryptable
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.people import Person, World

ALICE, BOB = "+15550100101", "+15550100102"
STEPS = (
    "say",
    "say",
    "say",
    "disconnect",
    "connect",
    "kill",
    "lose",
    "twice",
    "backwards",
    "refuse",
    "wait",
)


class LossyWorldTests(SynchronousTestCase):
    """Random interleavings of two people and their troubles."""

    @settings(max_examples=8, deadline=None)
    @given(st.integers(0, 2**32))
    def test_every_text_is_shown_once_and_in_order(self, seed: int) -> None:
        chance = random.Random(seed)
        world = World(self)
        self.said: dict[str, list[str]] = {ALICE: [], BOB: []}
        self.shown: dict[str, list[str]] = {ALICE: [], BOB: []}
        people = (world.person(ALICE, Config()).start(), world.person(BOB, Config()).start())
        for _ in range(30):
            one, other = chance.sample(people, 2)
            self.step(world, one, other, chance.choice(STEPS))
            for _ in range(chance.randrange(6)):
                world.clock.advance(0)
                world.lanes.step()
        self.make_good(world, people)
        for one, other in (people, people[::-1]):
            self.assertEqual(self.shown[one.address], self.said[other.address])
            self.assertEqual(one.run(one.messenger.outbox()), [])
            self.assertEqual(one.stored.mailbox, [])
        self.check_receipts(world, people)
        world.close()
        world.people.clear()

    def step(self, world: World, one: Person, other: Person, what: str) -> None:
        relay = world.relay
        if what == "say":
            self.said[one.address].append(f"{len(self.said[one.address])}")
            one.queue(other, self.said[one.address][-1])
        elif what == "disconnect" and one.stored.link is not None:
            one.link.disconnect()
        elif what == "connect" and one.stored.link is None:
            one.link.connect()
        elif what == "kill":
            one.kill()
            one.start()
        elif what == "lose":
            relay.lose_answers = not relay.lose_answers
        elif what == "twice":
            relay.push_twice = not relay.push_twice
        elif what == "backwards":
            relay.backwards = not relay.backwards
        elif what == "refuse":
            count = iter(range(1000))
            relay.intercept[one.address] = lambda message: (
                refused(m.RefusalCode.BUSY, 1.0)
                if isinstance(message, m.Send) and next(count) in (1, 2, 5)
                else None
            )
        elif what == "wait":
            world.wait(2)

    def check_receipts(self, world: World, people: tuple[Person, Person]) -> None:
        """Whoever has written tells that he has read everything; who has not, tells nothing."""
        for one in people:
            one.read()
        world.wait(5)
        for one, other in (people, people[::-1]):
            states = {entry.state for entry in one.past() if entry.direction == "out"}
            if self.said[other.address]:
                self.assertLessEqual(states, {SentState.READ})
            else:
                self.assertNotIn(SentState.READ, states)
            self.assertEqual(one.look("SELECT * FROM receipt"), [])

    def make_good(self, world: World, people: tuple[Person, Person]) -> None:
        """All troubles end; both come and stay; everything is read."""
        world.relay.lose_answers = world.relay.push_twice = world.relay.backwards = False
        world.relay.intercept.clear()
        for _ in range(3):
            for one in people:
                if one.stored.link is not None:
                    one.link.disconnect()
                one.link.connect()
            world.wait(8)
        for one in people:
            events = one.unshown()
            self.assertEqual([e for e in events if isinstance(e, Gap | Undecryptable)], [])
            self.shown[one.address] = [e.text for e in events if isinstance(e, MessageReceived)]
            self.assertEqual([e for e in events if isinstance(e, MessageReceived) and e.late], [])
