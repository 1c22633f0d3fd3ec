"""Two or three people and the real server, in whatever order things may happen; in the end all must agree.

Longer: E2EE_MODEL_EXAMPLES and E2EE_MODEL_STEPS.
"""

from __future__ import annotations

import os
from collections import defaultdict

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import (
    Gap,
    HistoryQuery,
    KeyChanged,
    MessageFailed,
    MessageReceived,
    SentState,
    Undecryptable,
)
from e2ee.server.delivery import Delivery
from tests.model.people import ModelPerson, ModelWorld
from tests.model.server import Mischief

NAMES = ("alice", "bob", "carol")
NUMBERS = dict(zip(NAMES, ("+15550100101", "+15550100102", "+15550100103"), strict=True))
NAME = st.sampled_from(NAMES)
PAIR = st.permutations(NAMES).map(lambda names: (names[0], names[1]))
Pair = tuple[str, str]


class Conversations(RuleBasedStateMachine):
    """What is said, what is seen, and everything that can come between."""

    case: SynchronousTestCase
    mischief: Mischief

    @initialize()
    def begin(self) -> None:
        self.world = ModelWorld(self.case)
        self.people: dict[str, ModelPerson] = {}
        for name in NAMES:
            person = self.people[name] = self.world.person(NUMBERS[name])
            person.start()
        self.said: dict[Pair, list[str]] = defaultdict(list)
        self.seen: dict[Pair, list[str]] = defaultdict(list)
        self.oddities: list[object] = []
        self.days = 0

    # --- what people do -----------------------------------------------------------------------

    @rule(pair=PAIR, count=st.integers(1, 4))
    def say(self, pair: Pair, count: int) -> None:
        """Some texts, without waiting for anything."""
        sender, recipient = pair
        for _ in range(count):
            text = f"{sender} to {recipient} {len(self.said[pair])}"
            self.said[pair].append(text)
            self.people[sender].queue(self.people[recipient].address, text)

    @rule(name=NAME, flushed=st.booleans())
    def read(self, name: str, flushed: bool) -> None:
        """What is unshown is printed; without `flushed` the program is killed before it can note that."""
        person = self.people[name]
        while events := person.unshown():
            positions = [event.position for event in events]
            person.run(person.reader.mark_printing(positions))
            for event in events:
                self.note(name, event)
            if not flushed:
                self.kill(name)
                return
            person.run(person.reader.mark_shown(positions))

    def note(self, name: str, event: object) -> None:
        """Somebody has seen this."""
        match event:
            case MessageReceived():
                sender = next(one for one in NAMES if self.people[one].address == event.address)
                if not (event.repeated and event.text in self.seen[sender, name]):
                    self.seen[sender, name].append(event.text)
                if event.late:
                    self.oddities.append(event)
            case Gap() | Undecryptable():
                self.oddities.append(event)

    @rule(name=NAME)
    def kill(self, name: str) -> None:
        """SIGKILL, and a new start."""
        self.people[name].kill()
        self.people[name].start()

    @rule(name=NAME)
    def stop_and_start(self, name: str) -> None:
        """In good order."""
        self.people[name].stop()
        self.people[name].start()

    @rule(name=NAME)
    def register_again(self, name: str) -> None:
        """A new identity, of somebody to whom and from whom nothing is on its way."""
        self.come_to_rest()
        self.people[name].stop()
        self.people[name].register()
        self.people[name].start()

    # --- what the network does ----------------------------------------------------------------

    @rule(name=NAME)
    def cut(self, name: str) -> None:
        """A wire breaks."""
        self.people[name].cut()

    @rule(name=NAME, up=st.booleans())
    def stall(self, name: str, up: bool) -> None:
        """A wire swallows one direction until somebody's deadline ends it."""
        self.people[name].stall(up=up)

    @rule(turns=st.integers(1, 12))
    def go_on(self, turns: int) -> None:
        """A little happens."""
        for _ in range(turns):
            self.world.nudge()

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 6.0, 120.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.wait(seconds)

    # --- what the server does -----------------------------------------------------------------

    @rule(down=st.sampled_from([0.0, 3.0]))
    def kill_server(self, down: float) -> None:
        """SIGKILL, and a new start."""
        self.world.server.kill()
        self.world.wait(down)
        self.world.server.start()

    @rule(name=NAME, twice=st.booleans(), backwards=st.booleans())
    def push_badly(self, name: str, twice: bool, backwards: bool) -> None:
        """Pushes to somebody come twice, or two by two in the wrong order, or well again."""
        address = self.people[name].address
        for choice, chosen in ((self.mischief.twice, twice), (self.mischief.backwards, backwards)):
            (choice.add if chosen else choice.discard)(address)

    @rule(name=NAME)
    def exhaust(self, name: str) -> None:
        """Somebody takes all one-time keys of a device."""
        self.world.server.exhaust(self.people[name].where)

    @rule()
    def rotate(self) -> None:
        """Eight days, after which all weekly keys are new. Once: later a mailbox might expire."""
        if not self.days:
            self.days = 8
            self.world.pass_days(8)

    # --- the end ------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """No more trouble; everybody connects, trusts who has changed, and reads."""
        self.mischief.twice.clear()
        self.mischief.backwards.clear()
        for _ in range(4):
            for person in self.people.values():
                person.cut()
            self.world.wait(10)
            for name, person in self.people.items():
                self.read(name, flushed=True)
                for changed in person.heard(KeyChanged):
                    person.run(person.messenger.trust(changed.address))
        self.world.wait(10)
        for name in NAMES:
            self.read(name, flushed=True)

    def teardown(self) -> None:
        """Every text was seen once and in order, or its sender knows that it was not."""
        if not hasattr(self, "world"):
            return
        self.come_to_rest()
        for pair, said in self.said.items():
            self.check(pair, said)
        self.case.assertEqual(self.oddities, [])
        for one in NAMES:
            self.case.assertEqual(self.people[one].run(self.people[one].messenger.outbox()), [])
            self.case.assertEqual(self.world.server.waiting(self.people[one].where), 0)
        self.world.close()
        self.world.people.clear()

    def check(self, pair: Pair, said: list[str]) -> None:
        """One direction between two people."""
        sender = self.people[pair[0]]
        to = self.people[pair[1]].address
        own = [one for one in sender.past(HistoryQuery(address=to)) if one.direction == "out"]
        self.case.assertEqual([one.text for one in own], said)
        failed = {one.text for one in own if one.state is SentState.FAILED}
        told = {event.message_id for event in sender.heard(MessageFailed)}
        self.case.assertEqual(failed, {one.text for one in own if one.message_id in told})
        seen = self.seen[pair]
        self.case.assertEqual([text for text in said if text in seen], seen, "once, and in order")
        self.case.assertEqual([text for text in said if text not in seen and text not in failed], [])


class ConversationTests(SynchronousTestCase):
    """docs/protocol.md, section 6."""

    def test_all_agree_in_the_end(self) -> None:
        """Whatever was cut, swallowed, repeated, reordered, killed, rotated, exhausted or replaced."""
        mischief = Mischief()
        self.patch(Delivery, "_push", lambda delivery, message: mischief.push(delivery, message))
        machine = type("Machine", (Conversations,), {"case": self, "mischief": mischief})
        chosen = settings(
            max_examples=int(os.environ.get("E2EE_MODEL_EXAMPLES", "6")),
            stateful_step_count=int(os.environ.get("E2EE_MODEL_STEPS", "25")),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(machine, settings=chosen)
        except AssertionError as error:
            # The steps stand in notes, which the runner of the tests does not print.
            self.fail("\n".join([str(error), *getattr(error, "__notes__", ())]))
