"""A world that damages, drops and forgets on top of disconnecting and killing, and heals all the same.

Each example has many steps of talking and small troubles, and two that destroy something, since a text is
sent again at most twice. In the end every text has been shown once, whatever the order of it all was.
"""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import MessageReceived
from e2ee.store.client import prekeys
from e2ee.wire import messages as m
from tests.client.fake_relay import Account, Waiting
from tests.client.people import Person, World

ALICE, BOB = "+15550100101", "+15550100102"
DAY = 24 * 3600.0
STEPS = ("say", "say", "say", "say", "disconnect", "connect", "connect", "kill", "twice", "wait")
DESTRUCTION = ("damage", "drop", "garbage", "lose sessions", "lose prekeys", "server put back")


class HealingWorldTests(SynchronousTestCase):
    """Two people who have accepted each other."""

    def test_the_kinds_of_destruction_one_by_one(self) -> None:
        for kind in DESTRUCTION:
            for seed in range(2):
                self.live(random.Random(seed), [kind])

    @settings(max_examples=8, deadline=None)
    @example(1001090105, ["garbage", "garbage"])  # both begin to heal at the same moment
    @given(st.integers(0, 2**32), st.lists(st.sampled_from(DESTRUCTION), min_size=2, max_size=2))
    def test_every_text_is_shown_once(self, seed: int, destruction: list[str]) -> None:
        self.live(random.Random(seed), destruction)

    def live(self, chance: random.Random, destruction: list[str]) -> None:
        self.world = World(self)
        self.said: Counter[tuple[str, str]] = Counter()
        self.shown: Counter[tuple[str, str]] = Counter()
        people = (self.world.person(ALICE).start(), self.world.person(BOB).start())
        for one, other in (people, people[::-1]):
            self.say(one, other)
            self.world.settle()
        self.copy = self.world.relay.backup()
        steps = [chance.choice(STEPS) for _ in range(24)]
        for kind in destruction:
            steps.insert(chance.randrange(4, len(steps)), kind)
        for what in steps:
            one, other = chance.sample(people, 2)
            self.step(chance, one, other, what)
            for _ in range(chance.randrange(6)):
                self.world.clock.advance(0)
                self.world.lanes.step()
        self.come_to_rest(people)
        self.assertEqual(self.shown, self.said, steps)
        self.world.close()
        self.world.people.clear()

    def say(self, one: Person, other: Person) -> None:
        text = f"{sum(self.said.values())}"
        self.said[(one.address, text)] += 1
        one.queue(other, text)

    def step(self, chance: random.Random, one: Person, other: Person, what: str) -> None:
        if what == "say":
            self.say(one, other)
        elif what == "disconnect" and one.stored.link is not None:
            one.link.disconnect()
        elif what == "connect" and one.stored.link is None:
            one.link.connect()
        elif what == "kill":
            self.read(one)
            one.kill()
            one.start()
        elif what == "twice":
            self.world.relay.push_twice = not self.world.relay.push_twice
        elif what == "wait":
            self.world.wait(2)
        else:
            self.destroy(chance, one, other, what)

    def destroy(self, chance: random.Random, one: Person, other: Person, what: str) -> None:
        mailbox = one.stored.mailbox
        if what == "damage":
            for waiting in mailbox:
                at = chance.randrange(len(waiting.envelope))
                changed = bytes([waiting.envelope[at] ^ 1])
                waiting.envelope = waiting.envelope[:at] + changed + waiting.envelope[at + 1 :]
        elif what == "drop":
            if one.stored.link is not None:
                one.link.disconnect()
            self.world.settle()
            mailbox.clear()
        elif what == "garbage":
            waiting = Waiting(other.address, other.own.device, chance.randbytes(300))
            mailbox.append(waiting)
            if one.stored.link is not None:
                one.link.push_envelopes([waiting])
        elif what == "lose sessions":
            one.look("DELETE FROM session RETURNING 1")
        elif what == "lose prekeys":
            kinds = ", ".join(f"'{kind}'" for kind in prekeys.ONE_TIME_KINDS)
            one.look(f"DELETE FROM prekey WHERE kind IN ({kinds}) RETURNING 1")
        else:
            self.put_server_back(one, other)

    def put_server_back(self, *people: Person) -> None:
        for one in people:
            if one.stored.link is not None:
                one.link.disconnect()
        self.world.settle()
        copy: dict[str, Account] = self.copy  # type: ignore[assignment]
        self.world.relay.accounts = copy  # type: ignore[assignment]
        self.copy = self.world.relay.backup()

    def read(self, one: Person) -> None:
        (other,) = {ALICE, BOB} - {str(one.address)}
        for event in one.seen():
            if isinstance(event, MessageReceived) and not event.repeated:
                self.shown[(other, event.text)] += 1

    def come_to_rest(self, people: tuple[Person, Person]) -> None:
        """Everybody is connected, writes once more, and days go by."""
        self.world.relay.push_twice = False
        for one, other in (people, people[::-1]):
            if one.stored.link is None:
                one.link.connect()
            self.say(one, other)
        self.world.wait(8)
        for round_ in range(6):
            self.world.clock.advance(DAY + 1)
            self.world.wait(8)
            for one, other in (people, people[::-1]):
                if round_ < 3:
                    self.say(one, other)
            self.world.wait(8)
        for one in people:
            self.read(one)
            self.assertEqual(one.run(one.messenger.outbox()), [])
            self.assertEqual(one.stored.mailbox, [])
            sent = self.world.relay.count(one.address, m.FetchBundle)
            self.assertLess(sent, 30)
