"""The agent of several programs: whom it lets in, and that it parts from all of them."""

from __future__ import annotations

from typing import cast

from e2ee.ui.invocation import Invocation
from e2ee.ui.rpc import agent as agent_module
from e2ee.ui.rpc.agent import Agent
from e2ee.ui.rpc.connection import Connection
from tests.ui.fakes import CoroutineTestCase, FakeCall, FakeMessenger


class Program:
    """A connection of which only its end counts."""

    aborted = False

    def abort(self) -> None:
        """See `Connection.abort`."""
        self.aborted = True


class AgentTests(CoroutineTestCase):
    """Room for two programs."""

    def setUp(self) -> None:
        self.patch(agent_module, "PROGRAMS", 2)
        self.call = FakeCall(FakeMessenger())
        self.agent = Agent(cast(Invocation, self.call))
        self.programs = [Program() for _ in range(3)]

    def came(self, number: int) -> bool:
        return self.agent.came(cast(Connection, self.programs[number]))

    def go(self, number: int) -> None:
        self.agent.went(cast(Connection, self.programs[number]))

    def test_so_many_are_served_and_no_more_until_one_goes(self) -> None:
        self.assertEqual([self.came(number) for number in range(3)], [True, True, False])
        self.go(0)
        self.assertTrue(self.came(2))

    def test_its_end_cuts_all_waits_for_them_and_lets_nobody_in(self) -> None:
        self.came(0)
        ending = self.start(self.agent.end())
        self.assertTrue(self.programs[0].aborted)
        self.assertFalse(self.came(1))
        self.assertNoResult(ending)
        self.go(0)
        self.successResultOf(ending)

    def test_its_end_waits_for_the_last_of_them(self) -> None:
        for number in range(2):
            self.came(number)
        ending = self.start(self.agent.end())
        self.go(1)
        self.assertNoResult(ending)
        self.go(0)
        self.successResultOf(ending)

    def test_without_programs_it_ends_at_once(self) -> None:
        self.successResultOf(self.start(self.agent.end()))

    def test_whoever_is_there_may_go_for_a_while_and_nobody_comes_in(self) -> None:
        self.came(0)
        leaving = self.start(self.agent.left_within(1.0))
        self.assertFalse(self.came(1))
        self.call.reactor.advance(0.9)
        self.assertNoResult(leaving)
        self.go(0)
        self.successResultOf(leaving)
        self.assertEqual((self.call.reactor.getDelayedCalls(), self.programs[0].aborted), ([], False))

    def test_who_does_not_go_is_not_waited_for_longer(self) -> None:
        self.came(0)
        leaving = self.start(self.agent.left_within(1.0))
        self.call.reactor.advance(1.0)
        self.successResultOf(leaving)
