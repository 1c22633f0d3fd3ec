"""`e2ee agent` and `e2ee rpc` as programs meet them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import program, wait_until
from tests.end_to_end.household import ALICE, BOB, Household
from tests.ui.described import check

PATIENCE = 120.0


class Client:
    """A program that talks to an agent."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(path)
        self._lines = self._socket.makefile("rw", encoding="utf-8")
        self.told: list[dict[str, Any]] = []

    def close(self) -> None:
        """Go."""
        self._lines.close()
        self._socket.close()

    def say(self, method: str, identified: int = 1, **params: Any) -> None:
        """Ask for something."""
        body = {"jsonrpc": "2.0", "id": identified, "method": method, "params": params}
        print(json.dumps(body), file=self._lines, flush=True)

    def hear(self) -> dict[str, Any]:
        """The next line."""
        said: dict[str, Any] = json.loads(self._lines.readline())
        check(said, "#/$defs/rpc")
        return said

    def answer(self) -> Any:
        """The next answer; notifications before it are kept."""
        while "method" in (said := self.hear()):
            self.told.append(said)
        return said

    def result(self, method: str, **params: Any) -> Any:
        """What it answers, as the schema says of this method."""
        self.say(method, **params)
        answer = self.answer()
        check(answer["result"], f"#/methods/{method}/result")
        return answer["result"]

    def notified(self, method: str) -> Any:
        """The next notification of this name."""
        while True:
            said = self.told.pop(0) if self.told else self.hear()
            if said.get("method") == method:
                return said["params"]


class RpcTests(SynchronousTestCase):
    """One server; Alice has an agent, Bob is on the other side."""

    def setUp(self) -> None:
        self.house = Household("--presence", "everyone")
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)

    def agent(self) -> tuple[subprocess.Popen[str], str]:
        """One that listens, and where."""
        started = subprocess.Popen(
            [program("e2ee"), "--profile", "alice", "agent", "--json"],
            env=self.house.environment,
            stdout=subprocess.PIPE,
            text=True,
        )

        def end() -> None:
            started.kill()
            started.communicate()

        self.addCleanup(end)
        assert started.stdout is not None
        shown = json.loads(started.stdout.readline())
        check(shown, "#/$defs/agent")
        return started, shown["socket"]

    def client(self, path: str) -> Client:
        made = Client(path)
        self.addCleanup(made.close)
        return made

    def test_an_agent_beside_commands(self) -> None:
        agent, path = self.agent()
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        second = self.house.do("alice", "agent", "--json")
        self.assertEqual((second.status, second.error["code"]), (8, "profile_busy"))

        one, two = self.client(path), self.client(path)
        one.result("contacts.add", address=BOB, name="bob")
        two.result("subscribe", acknowledge=True)
        for number in range(30):
            one.say("send", number, to="bob", text=f"text {number}", timeout=PATIENCE)
        answers = {one.answer()["id"] for _ in range(30)}
        self.assertEqual(answers, set(range(30)))
        texts = [shown["text"] for shown in self.house.do("bob", "receive", "--json").objects]
        self.assertEqual(texts, [f"text {number}" for number in range(30)])

        secret = self.house.directory / "secret"
        secret.write_text("correct horse")
        secret.chmod(0o600)
        path_of_backup = str(self.house.directory / "alice.backup")
        made = one.result("backup", file=path_of_backup, passphrase_file=str(secret))
        self.assertEqual((made["messages"], made["bytes"]), (30, os.stat(path_of_backup).st_size))

        self.house.do("bob", "send", ALICE, "-m", "first")
        self.assertEqual(two.notified("message")["text"], "first")
        self.house.do("bob", "send", ALICE, "-m", "second")
        self.assertEqual(two.result("acknowledge"), None)
        self.assertEqual(two.notified("message")["text"], "second")
        two.close()
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(PATIENCE), 0)
        self.assertFalse(os.path.exists(path))
        left = self.house.do("alice", "receive", "--json").objects
        self.assertEqual([(shown["text"], shown["repeated"]) for shown in left], [("second", True)])

    def test_an_agent_is_killed_and_another_one_comes(self) -> None:
        agent, path = self.agent()
        client = self.client(path)
        self.assertFalse(client.result("contacts"))
        agent.kill()
        agent.wait(PATIENCE)
        self.assertTrue(os.path.exists(path), "nobody has tidied up")
        _, again = self.agent()
        self.assertEqual(again, path)
        self.assertEqual(self.client(again).result("contacts"), [])

    def test_an_agent_goes_on_when_the_holder_of_the_vault_ends(self) -> None:
        holder = subprocess.Popen(
            [program("e2ee"), "--profile", "alice", "receive", "--follow"], env=self.house.environment
        )
        self.addCleanup(holder.wait)
        lock = os.path.join(self.house.environment["E2EE_DATA_DIR"], "alice", "lock")

        def held() -> bool:
            with open(lock) as text:
                return len(text.read().splitlines()) == 2

        wait_until("the holder", held, PATIENCE)
        _, path = self.agent()
        client = self.client(path)
        client.result("subscribe")
        holder.kill()
        holder.wait(PATIENCE)
        self.house.do("bob", "send", ALICE, "-m", "hello")
        self.assertEqual(client.notified("message")["text"], "hello")
        self.assertEqual(client.result("send", to=BOB, text="hello", timeout=PATIENCE)[0]["error"], None)

    def test_an_agent_that_is_logged_out_says_so_and_ends(self) -> None:
        agent, path = self.agent()
        client = self.client(path)
        client.result("subscribe")
        subprocess.run(
            [program("e2ee-admin"), "--state-dir", str(self.house.state), "account", ALICE, "--log-out"],
            env=self.house.environment,
            check=True,
            capture_output=True,
        )
        told = client.notified("connection")
        while not told["ended"]:
            told = client.notified("connection")
        self.assertEqual(told["error"]["code"], "logged_out")
        self.assertEqual(agent.wait(PATIENCE), 6)

    def test_rpc_ends_with_its_input_and_works_without_a_server(self) -> None:
        lines = (
            '{"jsonrpc":"2.0","id":1,"method":"contacts"}\n'
            '{"jsonrpc":"2.0","id":2,"method":"online","params":{"timeout":0.2}}'
        )
        self.house.stop_server()
        done = self.house.do("alice", "rpc", given=lines)
        self.assertEqual((done.status, done.err), (0, ""))
        answers = {answer["id"]: answer for answer in map(json.loads, done.out.splitlines())}
        self.assertEqual(answers[1]["result"], [])
        self.assertEqual(answers[2]["error"]["data"]["code"], "unreachable")
        nobody = self.house.do("nobody", "rpc", "--json", given=lines)
        self.assertEqual((nobody.status, nobody.error["code"]), (6, "not_registered"))
