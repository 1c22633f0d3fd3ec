"""Three people who talk, and what must be true in the end, as a state machine of Hypothesis.

Knows what people do, what they see and what is excused (`ledger`); what comes between them, older vaults and
servers among it, stands in `test_conversations`.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import (
    Gap,
    HistoryQuery,
    KeyChanged,
    MessageFailed,
    MessageReceived,
    PutBack,
    SentState,
    ShownEvent,
    Undecryptable,
    WhatWasPutBack,
)
from tests.chaos.key_use import used_twice
from tests.model.ledger import Ledger, Pair
from tests.model.older import Age, Confirmations, Copy
from tests.model.people import ModelPerson, ModelWorld
from tests.model.server import Mischief

NAMES = ("alice", "bob", "carol")
NUMBERS = dict(zip(NAMES, ("+15550100101", "+15550100102", "+15550100103"), strict=True))
NAME = st.sampled_from(NAMES)
PAIR = st.permutations(NAMES).map(lambda names: (names[0], names[1]))
PAIRS = tuple((one, other) for one in NAMES for other in NAMES if one != other)


class Talk(RuleBasedStateMachine):
    """What is said and what is seen."""

    case: SynchronousTestCase
    mischief: Mischief
    confirmations: Confirmations

    def begin_talk(self) -> None:
        """All are there, and nothing was said."""
        self.world = ModelWorld(self.case)
        self.people: dict[str, ModelPerson] = {}
        for name in NAMES:
            person = self.people[name] = self.world.person(NUMBERS[name])
            person.start()
        self.ledger = Ledger()
        self.copies: dict[str, Copy] = {}
        self.ages: dict[str, Age] = {}
        self.is_told: dict[tuple[str, WhatWasPutBack], bool] = {}
        self.server_is_older = False
        self.oddities: list[object] = []
        self.put_backs = 0
        self.is_over = False

    # --- what people do -----------------------------------------------------------------------

    @rule(pair=PAIR, count=st.integers(1, 4))
    def say(self, pair: Pair, count: int) -> None:
        """Some texts, without waiting for anything."""
        sender, recipient = pair
        for _ in range(count):
            self.people[sender].queue(self.people[recipient].address, self.ledger.say(pair))

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

    def note(self, name: str, event: ShownEvent) -> None:
        """Somebody has seen this."""
        match event:
            case MessageReceived():
                pair = self.name_of(event.address), name
                self.ledger.show(pair, event.text, repeated=event.repeated, late=event.late)
                if event.late and not self.is_troubled(*pair):
                    self.oddities.append((name, event))
            case Gap() | Undecryptable():
                pair = self.name_of(event.address), name
                if isinstance(event, Undecryptable):
                    self.ledger.show_unreadable(pair)
                expected = self.server_is_older or name in self.ages or self.ages.get(pair[0]) is Age.HIDDEN
                if self.is_over or not expected:
                    self.oddities.append((name, event))
            case PutBack():
                self.is_told[name, event.what] = True
                if event.what is WhatWasPutBack.SERVER and not self.server_is_older:
                    self.oddities.append((name, event))

    def name_of(self, address: str) -> str:
        """Whose number this is."""
        return next(one for one in NAMES if self.people[one].address == address)

    def is_troubled(self, *names: str) -> bool:
        """Whether one of these has had an older vault, or all an older server."""
        return self.server_is_older or not self.ages.keys().isdisjoint(names)

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

    # --- the end ------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """No more trouble; everybody connects, trusts who has changed, and reads."""
        self.mischief.twice.clear()
        self.mischief.backwards.clear()
        for _ in range(4):
            for person in self.people.values():
                person.cut()
            self.world.wait_until(lambda: all(one.messenger.is_connected for one in self.people.values()))
            self.world.wait(10)
            for name, person in self.people.items():
                self.read(name, flushed=True)
                for changed in person.heard(KeyChanged):
                    person.run(person.messenger.trust(changed.address))
        self.world.wait(10)
        for name in NAMES:
            self.read(name, flushed=True)

    def heal(self) -> None:
        """Who could not know that his vault was older finds out by what others say, and once an hour."""
        if self.server_is_older or Age.HIDDEN in self.ages.values():
            for _ in range(3):
                self.world.pass_days(1)
                self.say_goodbye()
                self.come_to_rest()

    def say_goodbye(self) -> None:
        """Each says something to each."""
        for pair in PAIRS:
            self.say(pair, 1)

    def teardown(self) -> None:
        """Every text was seen once and in order, or its sender knows that it was not."""
        if not hasattr(self, "world"):
            return
        self.come_to_rest()
        if self.server_is_older or self.ages:
            self.heal()
            for self.is_over in (False, False, True):  # two round trips heal what is left
                self.say_goodbye()
                self.come_to_rest()
        for pair in PAIRS:
            self.check(pair)
        self.case.assertEqual(self.oddities, [])
        self.check_people()
        self.check_keys()
        self.case.assertEqual(self.case.flushLoggedErrors(), [])
        self.world.close()
        self.world.people.clear()

    def check(self, pair: Pair) -> None:
        """One direction between two people."""
        sender = self.people[pair[0]]
        to = self.people[pair[1]].address
        own = [one for one in sender.past(HistoryQuery(address=to)) if one.direction == "out"]
        self.case.assertEqual([one.text for one in own], self.ledger.known(pair))
        failed = {one.text for one in own if one.state is SentState.FAILED}
        told = {event.message_id for event in sender.heard(MessageFailed)}
        self.case.assertEqual(failed, {one.text for one in own if one.message_id in told})
        said, seen = self.ledger.in_order(pair)
        self.case.assertEqual(said, seen, "in order")
        hidden = self.server_is_older or self.ages.get(pair[0]) is Age.HIDDEN
        self.case.assertEqual(self.ledger.lost(pair, failed, unreadable=hidden), [], "lost")
        self.case.assertEqual(self.ledger.doubled, [], "doubled")

    def check_people(self) -> None:
        """Nothing waits, and who could know that his vault or the server was older was told."""
        for one in NAMES:
            self.case.assertEqual(self.people[one].run(self.people[one].messenger.outbox()), [])
            self.case.assertEqual(self.world.server.waiting(self.people[one].where), 0)
        self.case.assertEqual([one for one, told in self.is_told.items() if not told], [], "told")

    def check_keys(self) -> None:
        """No place of a chain was used twice, but where a server has forgotten how far it had come."""
        if Age.HIDDEN not in self.ages.values():
            self.case.assertEqual(used_twice(self.world.envelopes), [])
