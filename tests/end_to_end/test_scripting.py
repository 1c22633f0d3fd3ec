"""The recipes of docs/scripting.md, run as they stand."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.rpc.methods import METHODS
from e2ee.ui.rpc.objects import NOTIFICATIONS
from examples.stage import program, wait_until
from tests.end_to_end.household import ALICE, BOB, Household, Result
from tests.end_to_end.recipes import DOCS, recipes

PATIENCE = 120.0


class DocumentTests(SynchronousTestCase):
    """Nothing in it is left out."""

    def test_every_recipe_is_run(self) -> None:
        run = {
            "Scripts, bots and services", "An alert from cron", "Piping text", "Waiting until it was read",
            "The end of a long command", "A bot that answers", "A service", "JSON-RPC", "The agent",
        }  # fmt: skip
        self.assertEqual(set(recipes("scripting.md")), run)

    def test_every_method_and_notification_is_named(self) -> None:
        text = (DOCS / "scripting.md").read_text("utf-8")
        self.assertEqual([name for name in (*METHODS, *NOTIFICATIONS) if f"`{name}`" not in text], [])


class ScriptingTests(SynchronousTestCase):
    """One server; the scripts are Alice's, and Bob, whom she knows, is on the other side."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)
        self.house.do("bob", "contacts", "add", ALICE, "alice")
        self.recipes = recipes("scripting.md")
        commands = str(Path(program("e2ee")).parent)
        # Whoever runs the tests with `make` must not make the recipes' `make` one within another.
        outside = ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")
        environment = {name: value for name, value in self.house.environment.items() if name not in outside}
        self.environment = {
            **environment,
            "E2EE_PROFILE": "alice",
            "PATH": os.pathsep.join([commands, os.environ["PATH"]]),
        }
        self.script("Scripts, bots and services")

    def path_of(self, title: str) -> Path:
        """The recipe as a file."""
        path = self.house.directory / f"recipe-{abs(hash(title))}"
        path.write_text(self.recipes[title].code)
        return path

    def script(self, title: str, *arguments: str) -> Result:
        """What a shell sees of a recipe."""
        done = subprocess.run(
            ["sh", str(self.path_of(title)), *arguments],
            cwd=self.house.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def bobs(self) -> list[str]:
        """The texts that have come to Bob."""
        found = self.house.do("bob", "receive", "--json").objects
        return [one["text"] for one in found if one["type"] == "message"]

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A program that goes on."""
        started = subprocess.Popen(
            command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

        def end() -> None:
            started.kill()
            started.communicate()

        self.addCleanup(end)
        return started

    def test_shell(self) -> None:
        """What one line of a shell can do."""
        self.an_alert_comes_once()
        self.text_is_piped()
        self.the_end_of_a_command_is_told()
        self.one_request_on_a_pipe()
        self.waiting_until_it_was_read()

    def an_alert_comes_once(self) -> None:
        for _ in range(2):
            done = self.script("An alert from cron", "0")
            self.assertEqual((done.status, done.out, done.err), (0, "", ""))
        self.assertEqual(self.script("An alert from cron", "101").status, 0)
        (text,) = self.bobs()
        self.assertRegex(text, r"^the root disk is more than 0 % full \(\d{4}-\d\d-\d\d\)$")

    def text_is_piped(self) -> None:
        (self.house.directory / "notes.txt").write_text("one\ntwo ä\n")
        (self.house.directory / "build.log").write_text("".join(f"{number}\n" for number in range(30)))
        self.assertEqual(self.script("Piping text").status, 0)
        self.assertEqual(self.bobs(), ["one\ntwo ä", "\n".join(str(number) for number in range(10, 30))])

    def waiting_until_it_was_read(self) -> None:
        code = self.recipes["Waiting until it was read"].code
        path = self.house.directory / "short"
        for seconds in (1, 5, 20, 60):
            path.write_text(code.replace("--timeout 30", f"--timeout {seconds}"))
            done = subprocess.run(
                ["sh", str(path)], env=self.environment, capture_output=True, text=True, check=False
            )
            if done.stdout != "there is no server\n":
                break  # the machine was fast enough
        self.assertNotEqual(path.read_text(), code)
        self.assertEqual(done.stdout, "bob has not seen it yet\n")
        reader = self.start(program("e2ee"), "--profile", "bob", "receive", "--follow")
        assert reader.stdout is not None
        self.assertIn("Shall I", reader.stdout.readline())
        self.assertEqual(self.script("Waiting until it was read").out, "bob has seen it\n")

    def the_end_of_a_command_is_told(self) -> None:
        (self.house.directory / "Makefile").write_text("test:\n\t@echo all is well\n")
        done = self.script("The end of a long command")
        self.assertEqual((done.status, done.out), (0, "all is well\n"))
        self.assertRegex(self.bobs()[0], r"^make test: exit status 0 after [0-9.]+ s\nall is well$")

    def test_programs_that_go_on(self) -> None:
        """A bot, and a service with a program that asks it."""
        self.the_bot_answers_and_goes_on_after_a_kill()
        self.the_service_starts_serves_and_ends()

    def the_bot_answers_and_goes_on_after_a_kill(self) -> None:
        path = str(self.path_of("A bot that answers"))
        for number in range(2):
            bot = self.start(sys.executable, path)
            self.house.do("bob", "send", ALICE, "-m", f"hello {number}")
            answer = self.house.do(
                "bob", "receive", "--wait-first", "--max", "1", "--timeout", "200", "--json"
            )
            texts = [one["text"] for one in answer.objects if one["type"] == "message"]
            self.assertEqual(texts, [f"you said: hello {number}"], answer.err)
            bot.kill()
            bot.wait(PATIENCE)
        self.assertEqual(self.bobs(), [])

    def the_service_starts_serves_and_ends(self) -> None:
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(self.recipes["A service"].code)
        self.assertEqual(unit["Service"]["RestartPreventExitStatus"], "2 4 6")
        runtime = str(self.house.directory)
        _, *arguments = shlex.split(unit["Service"]["ExecStart"].replace("%t", runtime))
        agent = self.start(program("e2ee"), *arguments)
        assert agent.stdout is not None
        self.assertEqual(agent.stdout.readline(), f"listening on {runtime}/e2ee-agent\n")
        self.environment["AGENT_SOCKET"] = f"{runtime}/e2ee-agent"
        path = str(self.path_of("The agent"))

        def connected() -> bool:
            done = subprocess.run(
                [sys.executable, path], env=self.environment, capture_output=True, text=True, check=True
            )
            return done.stdout == "connected\n"

        wait_until("a connection", connected, PATIENCE)
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(PATIENCE), 0)
        self.assertFalse(os.path.exists(f"{runtime}/e2ee-agent"))

    def one_request_on_a_pipe(self) -> None:
        done = self.script("JSON-RPC")
        answer = json.loads(done.out)
        self.assertEqual((done.status, answer["id"], answer["result"][0]["state"]), (0, 1, "stored"))
        self.assertEqual(self.bobs(), ["hello"])
