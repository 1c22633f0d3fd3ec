"""The real `twistd e2ee-server` as a process: start, connect link, modes, signals, exit codes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from e2ee.net.connect_link import ConnectLink
from e2ee.net.steady_time import steady_seconds
from e2ee.server import ending, tap
from e2ee.server.admin import main
from twisted import internet

PATIENCE_SECONDS = 120.0
LOOPBACK = "tcp:0:interface=127.0.0.1"


class ProcessCase(SynchronousTestCase):
    """Starts servers in a directory of its own."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute()
        self.environment = {n: v for n, v in os.environ.items() if not n.startswith("E2EE_")}

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "e2ee-server"]
        process = subprocess.Popen(
            [*command, "--state-dir", str(self.state), *options], env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, umask=0,
        )  # fmt: skip
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            process.kill()
        process.communicate()

    def wait_until_it_listens(self, process: subprocess.Popen[str]) -> ConnectLink:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self.state / "connect-link").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(process.communicate())
            time.sleep(0.02)
        return ConnectLink.parse((self.state / "connect-link").read_text().strip())

    def assert_ends(self, process: subprocess.Popen[str], status: int, sentence: str) -> None:
        """With this exit code and one sentence on standard error, and no traceback anywhere."""
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual(process.returncode, status, err)
        self.assertNotIn("Traceback", out + err)
        self.assertIn(sentence, err)
        self.assertEqual(err.count("\n"), 1)


class LifeTests(ProcessCase):
    """One server from its first start to its end."""

    def test_start_status_reload_and_sigterm(self) -> None:
        process = self.start("--listen", LOOPBACK, "--host", "chat.example.org")
        link = self.wait_until_it_listens(process)
        self.assertEqual((link.host, len(link.pins)), ("chat.example.org", 2))
        modes = {path.name: path.stat().st_mode & 0o777 for path in self.state.iterdir()}
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)
        self.assertEqual(set(modes.values()), {0o600}, modes)
        for name in ("server.sqlite3", "server.pem", "backup-key.pem", "server.secret", "connect-link"):
            self.assertIn(name, modes)

        process.send_signal(signal.SIGHUP)
        status = json.loads(self.admin("status", "--json"))
        self.assertEqual((status["accounts"], status["waiting"], status["connections"]), (0, 0, 0))
        self.assertEqual(self.admin("connect-link").strip(), str(link))

        other = self.start("--listen", LOOPBACK)
        self.assert_ends(other, 1, "another server is running")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual((process.returncode, err), (0, ""))
        [line] = [line for line in out.splitlines() if "listening on" in line]
        self.assertIn(f"listening on 127.0.0.1:{link.port} connect link {link}", line)

        (self.state / "backup-key.pem").unlink()
        again = self.start("--listen", LOOPBACK, "--host", "chat.example.org")
        self.assertEqual(self.wait_until_it_listens(again).pins, link.pins)
        self.assertFalse((self.state / "backup-key.pem").exists())
        again.send_signal(signal.SIGTERM)
        again.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual(again.returncode, 0)

    def admin(self, *arguments: str) -> str:
        before = os.getcwd()
        try:
            result = CliRunner().invoke(main, ["--state-dir", str(self.state), *arguments])
        finally:
            os.chdir(before)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            process = self.start("--listen", f"tcp:{port}:interface=127.0.0.1")
            self.assert_ends(process, 1, "cannot listen on")

    def test_a_database_that_is_none(self) -> None:
        self.state.mkdir()
        for name, content in (("server.sqlite3", b"no database" * 1000), ("server.secret", b"ab" * 32)):
            (self.state / name).write_bytes(content)
            (self.state / name).chmod(0o600)
        self.assert_ends(self.start("--listen", LOOPBACK), 1, "server.sqlite3 cannot be used")

    def test_usage(self) -> None:
        self.assert_ends(self.start("--nope"), 2, "--nope")


class UsageTests(SynchronousTestCase):
    """One sentence on standard error and exit code 2, before anything is made."""

    def refused(self, *arguments: str) -> str:
        said: list[str] = []
        self.patch(ending, "say", said.append)
        with self.assertRaises(SystemExit) as caught:
            options = tap.Options()
            options.parseOptions(arguments)
            tap.makeService(options)
        self.assertEqual(caught.exception.code, 2)
        [sentence] = said
        return sentence

    def test_each_is_refused(self) -> None:
        for arguments, part in (
            (["surplus"], "arguments"),
            (["--metrics", "nowhere:1"], "metrics is no endpoint"),
            (["--log-format", "xml"], "text or json"),
            (["--registration", "maybe"], "open, invite or closed"),
            (["--allow-prefix", "0049"], "allow-prefix '0049'"),
            (["--database", "postgresql://x"], "not available yet"),
            (["--otp", "smtp://x"], "needs from=…"),
            (["--otp", "https://x"], "needs #json=FILE"),
            (["--otp", "pigeon"], "pigeon"),
            (["--listen", "nowhere:1"], "endpoint"),
            (["--listen", "tcp:many"], "endpoint"),
            (["--listen", "systemd:domain=INET6:index=0"], "no service manager has handed over"),
            (["--listen", "haproxy:systemd:domain=INET:name=e2ee"], "no service manager has handed over"),
            (["--secret", "ab" * 32], "never the secret itself"),
        ):
            self.assertIn(part, self.refused(*arguments))


class SteadyTimeTests(SynchronousTestCase):
    """The server's reactor does not follow the wall clock."""

    def test_the_service_is_made_over_steady_time(self) -> None:
        class Reactor:
            seconds = staticmethod(lambda: 1.8e9)

            def getThreadPool(self) -> None:
                """There is none."""

        import_module("twisted.internet.reactor")  # so that there is one to be replaced
        reactor = Reactor()
        self.patch(internet, "reactor", reactor)
        options = tap.Options()
        options.parseOptions(["--state-dir", self.mktemp()])
        tap.makeService(options)
        self.assertIs(reactor.seconds, steady_seconds)


class AdminTests(SynchronousTestCase):
    """What `e2ee-admin` says without a server, and of what is not there yet."""

    def run_admin(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["--state-dir", "/nonexistent", *arguments])
        return result.exit_code, result.stderr

    def test_no_server(self) -> None:
        status, err = self.run_admin("status", "--json")
        self.assertEqual((status, json.loads(err.splitlines()[-1])["code"]), (3, "unreachable"))

    def test_what_is_no_verb(self) -> None:
        self.assertEqual(self.run_admin("nonsense")[0], 2)
