"""A wall clock that is set expires nothing early and revives no passcode: with the real stores."""

from __future__ import annotations

from dataclasses import replace

from e2ee.server.policy import Policy
from e2ee.store.server.ports import GuessAllowed, GuessRefused, PasscodeAllotted, PasscodeRequest
from e2ee.store.server.service_clock import ServiceClock
from tests.store.contract.fixture import ALICE, BOB, at, item, new_account, session_id
from tests.store.server.sql import OnDatabase

HOUR, DAY = 3600.0, 86_400.0
STEPS = (HOUR, -HOUR, 30 * DAY, -DAY)
POLICY = Policy()
CODE_SECONDS = POLICY.passcode_limits().life_seconds
MAIL_SECONDS = POLICY.mailbox_limits().seconds


class ClockSteps(OnDatabase):
    """A server with a message that waits, a passcode that lives and one that has expired."""

    def setUp(self) -> None:
        super().setUp()
        for address in (ALICE, BOB):
            self.register(new_account(address))
        self.wall = 1_700_000_000.0
        self.start()
        self.ask(1)
        self.go_on(CODE_SECONDS + 1)
        self.ask(2)
        self.done(self.mailbox.append([item(ALICE, BOB, 1)], self.service.now()))

    def start(self) -> None:
        """A server on this database."""
        # Requests are not what this is about: they have waits of their own.
        limits = replace(POLICY.passcode_limits(), waits_seconds=())
        self.mailbox = self.stores.mailbox(POLICY.mailbox_limits())
        self.passcodes = self.stores.passcodes(limits)
        self.service = ServiceClock(self.database, self.clock, self.clock.seconds, lambda: self.wall)
        self.done(self.service.start())

    def tearDown(self) -> None:
        self.done(self.service.stop())
        super().tearDown()

    def go_on(self, seconds: float) -> None:
        """Real time passes: both clocks run."""
        self.clock.advance(seconds)
        self.wall += seconds

    def restart(self, step: float) -> None:
        """The server stops, the wall clock is set, the server starts; no time passes."""
        self.done(self.service.stop())
        self.wall += step
        self.start()

    def kill(self, step: float) -> None:
        """The same without a word of farewell."""
        self.service._saving.stop()
        self.wall += step
        self.start()

    def ask(self, number: int) -> None:
        request = PasscodeRequest(session_id(number), BOB, "1", b"sealed")
        allotted = self.done(self.passcodes.request(request, self.service.now()))
        self.assertEqual(allotted, PasscodeAllotted(0.0, ""))

    def lives(self, number: int) -> bool:
        guessed = self.done(self.passcodes.guess(session_id(number), BOB, self.service.now()))
        self.assertIsInstance(guessed, (GuessAllowed, GuessRefused))
        return isinstance(guessed, GuessAllowed)

    def expired(self) -> int:
        """How many messages go now."""
        self.done(self.passcodes.expire(self.service.now()))
        return self.done(self.mailbox.expire(self.service.now()))

    def waiting(self) -> int:
        return len(self.done(self.mailbox.after(at(ALICE), 0, 10, 10**6)))

    def test_while_it_runs(self) -> None:
        """Nothing happens at any step, and what is left of each life is what it was."""
        for step in STEPS:
            self.wall += step
            self.assertEqual(self.expired(), 0)
            self.assertFalse(self.lives(1))
        self.assertTrue(self.lives(2))
        self.go_on(CODE_SECONDS - 1)
        self.assertTrue(self.lives(2))
        self.go_on(2)
        self.assertFalse(self.lives(2))
        self.go_on(MAIL_SECONDS - CODE_SECONDS - 2)
        self.assertEqual((self.expired(), self.waiting()), (0, 1))
        self.go_on(2)
        self.assertEqual((self.expired(), self.waiting()), (1, 0))

    def test_across_a_stop_set_back(self) -> None:
        """No passcode comes to life again, and none lives longer than its ten minutes."""
        for step in (-HOUR, -DAY):
            self.restart(step)
            self.assertEqual(self.expired(), 0)
            self.assertFalse(self.lives(1))
            self.assertTrue(self.lives(2))
        self.go_on(CODE_SECONDS + 1)
        self.assertFalse(self.lives(2))

    def test_across_a_stop_set_forward(self) -> None:
        """Thirty days count as one: a message that has just come stays for its month."""
        self.restart(HOUR)
        self.restart(30 * DAY)
        self.assertEqual((self.expired(), self.waiting()), (0, 1))
        self.assertFalse(self.lives(1))
        self.go_on(MAIL_SECONDS - DAY - HOUR - 1)
        self.assertEqual((self.expired(), self.waiting()), (0, 1))

    def test_across_a_kill(self) -> None:
        """The time is saved each minute: what is lost of it revives nothing either."""
        self.clock.advance(61)
        for step in STEPS:
            self.kill(step)
            self.assertFalse(self.lives(1), step)
        self.assertEqual((self.expired(), self.waiting()), (0, 1))

    def test_forward_and_back_again(self) -> None:
        """A clock that is wrong at one start and right at the next takes one day and gives none back."""
        self.restart(30 * DAY)
        self.restart(-30 * DAY)
        self.assertFalse(self.lives(2))
        self.assertEqual((self.expired(), self.waiting()), (0, 1))
