"""A server that runs out of open files: docs/limits.md."""

from __future__ import annotations

import contextlib
import re
import socket
from contextlib import ExitStack
from itertools import cycle, islice
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from examples.stage import wait_until
from tests.end_to_end.household import ALICE, BOB, Household

FILES = 300
CONNECTIONS = 500
SOURCES = 20


class NarrowHousehold(Household):
    """The server may have few files open."""

    def command(self) -> list[str]:
        """Under a limit of the shell's."""
        return ["sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh", *super().command()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class OpenFilesTests(SynchronousTestCase):
    """More idle connections than it has files, from many addresses, each below its own limit."""

    def test_honest_people_are_served_meanwhile_and_it_is_counted(self) -> None:
        port = free_port()
        house = NarrowHousehold("--presence", "everyone", "--metrics", f"tcp:{port}:interface=127.0.0.1")
        self.addCleanup(house.__exit__)
        link = house.start_server()
        house.register("alice", link, ALICE)
        house.register("bob", link, BOB)
        with ExitStack() as stack:
            for number in islice(cycle(range(SOURCES)), CONNECTIONS):
                idle = stack.enter_context(socket.socket())
                idle.bind((f"127.0.1.{number + 1}", 0))
                idle.settimeout(10.0)
                with contextlib.suppress(OSError):
                    idle.connect(("127.0.0.1", house.port))
            sent = house.do("alice", "send", BOB, "-m", "in spite of them")
            self.assertEqual(sent.status, 0, sent.err)

        def hits() -> int:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
                found = re.search(r'hit_total\{limit="open_files"\} ([0-9.]+)', page.read().decode())
            return int(float(found.group(1))) if found else 0

        wait_until("the limit in the metrics", lambda: hits() >= CONNECTIONS - FILES)
        received = house.do("bob", "receive", "--json").objects
        self.assertIn("in spite of them", [one.get("text") for one in received])
        log = (house.directory / "server.log").read_text()
        self.assertNotIn("Traceback", log)
        self.assertNotIn("EMFILE", log)
