"""Two or three people and the real server, in whatever order things may happen; in the end all must agree.

Longer: E2EE_MODEL_EXAMPLES and E2EE_MODEL_STEPS.
"""

from __future__ import annotations

import os
from typing import cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import WhatWasPutBack
from e2ee.client.sending.outgoing import Outgoing
from e2ee.crypto import limits
from e2ee.server.delivery import Delivery
from e2ee.store.client.state_counter import answered_counter
from e2ee.store.memory.state import MemoryStore
from tests.model.older import Age, Confirmations, copy_of, put_back
from tests.model.server import Mischief
from tests.model.talk import NAME, NAMES, PAIRS, Talk

PUT_BACKS = 2
"""In one example: a text is sent again twice at the most."""


class Conversations(Talk):
    """Everything that can come between."""

    @initialize(copied=st.booleans(), worn=st.sampled_from((limits.UNANSWERED_MESSAGES, 3)))
    def begin(self, copied: bool, worn: int) -> None:
        """With `copied` all know each other, and there is an older copy of everything. After `worn` messages
        without an answer a new session is begun."""
        self.case.patch(limits, "UNANSWERED_MESSAGES", worn)
        self.begin_talk()
        self.server_copy: MemoryStore | None = None
        self.days = 0
        if copied:
            self.say_goodbye()
            self.world.settle()
            for name in NAMES:
                self.copy_vault(name)
            self.copy_server()

    @rule(name=NAME)
    def register_again(self, name: str) -> None:
        """A new identity, of somebody to whom and from whom nothing is on its way."""
        self.come_to_rest()
        self.copies.pop(name, None)
        self.server_copy = None
        self.people[name].stop()
        self.people[name].register()
        self.people[name].start()

    # --- older vaults -------------------------------------------------------------------------

    @rule(name=NAME)
    def copy_vault(self, name: str) -> None:
        """The files are copied while the program does not run."""
        person = self.people[name]
        person.kill()
        self.copies[name] = copy_of(person)
        person.start()

    @precondition(lambda self: self.copies and self.put_backs < PUT_BACKS)
    @rule(data=st.data(), speaks=st.booleans())
    def put_vault_back(self, data: st.DataObject, speaks: bool) -> None:
        """The program goes on from the copy, perhaps with a text before it is connected."""
        name = data.draw(st.sampled_from(sorted(self.copies)))
        self.put_backs += 1
        person = self.people[name]
        person.kill()
        self.world.settle()
        age = put_back(person, self.copies[name], self.ledger, self.confirmations)
        if age is not Age.PRESENT and self.ages.get(name) is not Age.HIDDEN:
            self.ages[name] = age
        self.is_told[name, WhatWasPutBack.PROFILE] = age is not Age.KNOWN
        self.is_told[name, WhatWasPutBack.SERVER] = True  # as far as this vault can know
        person.start(connect=False)
        if speaks:
            for pair in PAIRS:
                if pair[0] == name:
                    self.say(pair, 1)
        person.go_online()

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

    @rule()
    def copy_server(self) -> None:
        """A backup is made."""
        self.server_copy = self.world.server.copy()

    @precondition(lambda self: self.server_copy is not None and self.put_backs < PUT_BACKS)
    @rule()
    def put_server_back(self) -> None:
        """The server goes on from its backup."""
        self.put_backs += 1
        self.server_is_older = True
        self.world.server.put_back(cast(MemoryStore, self.server_copy))
        for name, person in self.people.items():
            answered = person.run(person.vault.read(answered_counter))
            knows = answered > self.world.server.state_counter(person.own)
            self.is_told[name, WhatWasPutBack.SERVER] = not knows

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


class ConversationTests(SynchronousTestCase):
    """docs/protocol.md, section 6."""

    def test_all_agree_in_the_end(self) -> None:
        """Whatever was cut, swallowed, repeated, reordered, killed, rotated, exhausted or replaced."""
        mischief, confirmations = Mischief(), Confirmations()
        self.patch(Delivery, "_push", lambda delivery, message: mischief.push(delivery, message))
        self.patch(Outgoing, "_content", lambda *arguments: confirmations.content(*arguments))
        made = {"case": self, "mischief": mischief, "confirmations": confirmations}
        machine = type("Machine", (Conversations,), made)
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
