"""The real server under a service manager: a port that is open before it, signs of life, a restart.

The manager is played by the test, with the sockets and the environment that systemd gives.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import program, wait_until
from tests.end_to_end.household import ALICE, BOB, Household

_FIRST = 3
"""The first file that a service manager hands over (sd_listen_fds(3))."""
_HAND_OVER = (
    "import os, sys\n"
    f"os.dup2(int(sys.argv[1]), {_FIRST})\n"
    "mine = str(os.getpid())\n"
    "os.environ.update(LISTEN_PID=mine, LISTEN_FDS='1', LISTEN_FDNAMES='e2ee', WATCHDOG_PID=mine)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


class Managed(Household):
    """A server that is handed its port, and tells how it is."""

    def __init__(self, *server_options: str) -> None:
        super().__init__(*server_options)
        self.port_socket = socket.create_server(("127.0.0.1", 0))
        self.passed_files = (self.port_socket.fileno(),)
        self._folder = tempfile.mkdtemp()  # a short path: a socket's has 108 bytes
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"{self._folder}/notify")
        self.environment.update(NOTIFY_SOCKET=f"{self._folder}/notify", WATCHDOG_USEC="200000")
        self.told: list[str] = []
        self._ear = threading.Thread(target=self._listen_to_it, daemon=True)
        self._ear.start()

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self._notify.sendto(b"", f"{self._folder}/notify")
        self._ear.join()
        self._notify.close()
        self.port_socket.close()
        shutil.rmtree(self._folder)

    def command(self) -> list[str]:
        """Through a program that puts the port where a service manager puts it."""
        port = str(self.port_socket.fileno())
        return [sys.executable, "-c", _HAND_OVER, port, *super().command()]

    def listen(self) -> str:
        """What the unit says."""
        return "systemd:domain=INET:index=0"

    def _listen_to_it(self) -> None:
        while message := self._notify.recv(4096):
            self.told.append(message.decode())

    def heard(self, what: str, before: int = 0) -> bool:
        """Whether a message that begins like this has come, after so many others."""
        return any(message.startswith(what) for message in self.told[before:])


class ServiceManagerTests(SynchronousTestCase):
    """As docs/operations/install.md promises."""

    def setUp(self) -> None:
        self.house = Managed("--presence", "everyone", "--host", "localhost")
        self.addCleanup(self.house.__exit__)

    def test_it_says_how_it_is_from_start_to_end(self) -> None:
        house = self.house
        link = house.start_server()
        wait_until("readiness", lambda: house.heard("READY=1"))
        port = house.port_socket.getsockname()[1]
        self.assertIn(f"e2ee://localhost:{port}/", link)
        self.assertEqual(house.told[0], f"READY=1\nSTATUS=listening on 127.0.0.1:{port}")
        wait_until("signs of life", lambda: house.told.count("WATCHDOG=1") > 2)
        before = len(house.told)
        house.signal_server(signal.SIGHUP)
        wait_until("the end of a reload", lambda: house.heard("READY=1", before))
        self.assertTrue(house.heard("RELOADING=1\nMONOTONIC_USEC=", before))
        self.assertEqual(house.stop_server(), 0)
        wait_until("the end", lambda: house.heard("STOPPING=1"))

    def test_a_command_of_the_server_has_no_way_to_speak_for_it(self) -> None:
        seen = self.house.directory / "environment"
        command = self.house.directory / "send-code"
        command.write_text(f"#!/bin/sh\nenv > {seen}.part\nmv {seen}.part {seen}\n")
        command.chmod(0o700)
        self.house.server_options = ("--otp", f"command:{command}", "--host", "localhost")
        link = self.house.start_server()
        options = ("--no-passphrase", "--code-command", "echo 1")
        asking = self.house.do("alice", "register", link, ALICE, *options)
        self.assertNotEqual(asking.status, 0)
        wait_until("a code", seen.exists)
        names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
        ours = {name for name in names if name.startswith(("NOTIFY_", "WATCHDOG_", "LISTEN_FDS"))}
        self.assertEqual(ours, set())

    def test_who_comes_while_it_restarts_waits_at_the_port_and_is_served(self) -> None:
        house = self.house
        link = house.start_server()
        house.register("alice", link, ALICE)
        house.register("bob", link, BOB)
        self.assertEqual(house.stop_server(), 0)
        sending = subprocess.Popen(
            [program("e2ee"), "--profile", "alice", "--timeout", "200", "send", BOB, "-m", "meanwhile"],
            env=house.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(sending.communicate)
        self.addCleanup(sending.kill)
        wait_until("somebody at the port", self._somebody_waits)
        house.start_server()
        out, err = sending.communicate(timeout=240)
        self.assertEqual((sending.returncode, err), (0, ""), out)
        received = house.do("bob", "receive", "--json")
        self.assertEqual([one["text"] for one in received.objects if one["type"] == "message"], ["meanwhile"])

    def _somebody_waits(self) -> bool:
        """An accepted connection would be the server's; this one is the kernel's (proc(5), net/tcp)."""
        port = f":{self.house.port_socket.getsockname()[1]:04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(line[1].endswith(port) and line[3] == "01" for line in lines)


if not os.path.exists("/proc/net/tcp"):
    ServiceManagerTests.skip = "the sockets of this system cannot be looked at"
