"""`e2ee run`: a command as ever, and somebody who is told how it ended."""

from __future__ import annotations

from shlex import quote

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import program
from tests.end_to_end.household import ALICE, BOB, Household


class RunTests(SynchronousTestCase):
    """One server, two registered profiles."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)

    def test_the_end_of_a_command_is_told_and_its_exit_code_kept(self) -> None:
        done = self.house.do(
            "alice", "run", "--to", BOB, "--", "sh", "-c", "cat; echo wrong >&2; exit 3", given="said\n"
        )
        self.assertEqual((done.status, done.out, done.err), (3, "said\n", "wrong\n"))
        first, *tail = self.house.do("bob", "receive", "--json").objects[0]["text"].splitlines()
        self.assertRegex(first, r"^sh -c 'cat; echo wrong >&2; exit 3': exit status 3 after [0-9.]+ s$")
        self.assertEqual(sorted(tail), ["said", "wrong"])

    def test_the_profile_is_free_while_the_command_runs(self) -> None:
        inner = f"{quote(program('e2ee'))} --profile alice send {BOB} -m 'from within' --json"
        done = self.house.do("alice", "run", "--to", BOB, "--", "sh", "-c", inner)
        self.assertEqual((done.status, done.objects[0]["state"]), (0, "stored"), done.err)
        received = [one["text"] for one in self.house.do("bob", "receive", "--json").objects]
        self.assertEqual(received[0], "from within")
        self.assertIn(": exit status 0 after ", received[1])

    def test_nothing_but_a_usage_error_keeps_it_from_running(self) -> None:
        self.house.stop_server()
        for profile, code in (("alice", "unreachable"), ("nobody", "not_registered")):
            done = self.house.do(
                profile, "run", "--to", BOB, "--json", "--timeout", "1", "--", "sh", "-c", "echo ran; exit 7"
            )
            self.assertEqual((done.status, done.out, done.error["code"]), (7, "ran\n", code))
        self.assertEqual(len(self.house.do("alice", "outbox", "--json").objects), 1)
        done = self.house.do("alice", "run", "--to", "+1", "--", "sh", "-c", "echo ran")
        self.assertEqual((done.status, done.out), (2, ""))

    def test_what_is_not_found_is_127(self) -> None:
        done = self.house.do("alice", "run", "--to", BOB, "--", "no-such-command")
        self.assertEqual((done.status, done.err), (127, "e2ee: no-such-command: No such file or directory\n"))
        self.assertIn("could not be started", self.house.do("bob", "receive").out)
