"""A server's disk that is full, and one that fails: docs/protocol.md, "Delivery", failures."""

from __future__ import annotations

import resource
import subprocess
from hashlib import sha256
from pathlib import Path

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import StoreUnavailable
from e2ee.store.database import Database
from e2ee.store.server.facts import SqlFacts
from e2ee.store.stepping import SteppedLanes
from examples.stage import PATIENCE_SECONDS, program
from tests.end_to_end.household import ALICE, BOB, Household
from tests.end_to_end.small_disk import SmallDisk


class FullDiskTests(SynchronousTestCase):
    """What cannot be stored is answered `unavailable`; service returns by itself."""

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        self.disk = SmallDisk(self.house.state, 24)
        self.addCleanup(self.disk.unmount)
        self.addCleanup(self.house.stop_server)
        link = self.house.start_server()
        for profile, address in (("alice", ALICE), ("bob", BOB)):
            self.house.register(profile, link, address)

    def send(self, text: str) -> tuple[int, str]:
        sent = self.house.do("alice", "send", BOB, "-m", text, "--json")
        return sent.status, sent.error["code"] if sent.status else ""

    def is_refused(self, text: str) -> tuple[int, str]:
        """One message, however often it is tried until the server has answered in time."""
        sent = self.house.do_in_time(
            "alice", "send", BOB, "-m", text, "--json", "--id", sha256(text.encode()).hexdigest()[:32],
            came_so_far=lambda sent: sent.status == 0 or sent.error["code"] not in ("timeout", "unreachable"),
        )  # fmt: skip
        return sent.status, sent.error["code"] if sent.status else ""

    def received(self) -> list[str]:
        objects = self.house.do("bob", "receive", "--json").objects
        return [one["text"] for one in objects if "text" in one]

    def test_new_messages_wait_and_old_ones_can_be_fetched_until_there_is_room(self) -> None:
        self.assertEqual(self.send("one"), (0, ""))
        self.disk.fill()
        # The log of earlier writes gives its room back once; then the disk is full for good.
        self.assertEqual(self.send("two"), (0, ""))
        self.disk.fill()
        self.assertEqual(self.is_refused("three"), (5, "unavailable"))
        waiting = self.house.do("alice", "outbox", "--json").objects
        self.assertEqual([one["state"] for one in waiting], ["queued"])
        self.assertEqual(self.received(), ["one", "two"])
        self.assertEqual(self.is_refused("four"), (5, "unavailable"))
        self.disk.make_room()
        self.assertEqual(self.send("five"), (0, ""))
        self.assertEqual(self.received(), ["three", "four", "five"])
        self.assertEqual(self.house.stop_server(), 0)
        log = (self.house.directory / "server.log").read_text()
        self.assertIn("the disk is full", log)
        self.assertNotIn("Traceback", log)


class FullDiskAtTheStartTests(SynchronousTestCase):
    """A database that was closed, on a disk that has been filled to the last byte since."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.disk = SmallDisk(self.path, 4)
        self.addCleanup(self.disk.unmount)
        self.close(self.successResultOf(self.open()))

    def open(self, reserve_bytes: int = 2**20) -> Deferred[Database]:
        return Deferred.fromCoroutine(Database.open(
            self.path / "database", bytes(32), "server", task.Clock(), lambda error: None,
            reserve_bytes=reserve_bytes, lanes=SteppedLanes(),
        ))  # fmt: skip

    def close(self, database: Database) -> None:
        self.successResultOf(Deferred.fromCoroutine(database.write(lambda tx: None, frees_room=True)))
        self.successResultOf(Deferred.fromCoroutine(database.close()))

    def test_it_opens_in_the_room_that_was_set_aside(self) -> None:
        self.disk.fill()
        database = self.successResultOf(self.open())
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(SqlFacts(database).get("any"))), None)
        self.close(database)

    def test_without_such_room_it_says_that_there_is_none(self) -> None:
        self.disk.fill()
        error = self.failureResultOf(self.open(reserve_bytes=0), StoreUnavailable)
        self.assertIn("no room", error.getErrorMessage())


class FailingDiskTests(SynchronousTestCase):
    """Any other error of a commit: nobody is answered, and the process ends with the reason."""

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        self.link = self.house.start_server()
        for profile, address in (("alice", ALICE), ("bob", BOB)):
            self.house.register(profile, self.link, address)

    def let_the_disk_fail(self) -> None:
        """No file of the server may grow beyond what its log has now: writes fail with EFBIG."""
        server = self.house._server
        assert server is not None
        size = (self.house.state / "server.sqlite3-wal").stat().st_size
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, size))

    def test_exit_one_with_the_reason_and_the_sender_sends_again(self) -> None:
        self.let_the_disk_fail()
        sending = subprocess.Popen(
            [program("e2ee"), "--profile", "alice", "send", BOB, "-m", "hello", "--timeout", "600"],
            env=self.house.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        server = self.house._server
        assert server is not None
        self.assertEqual(server.wait(PATIENCE_SECONDS), 1)
        log = (self.house.directory / "server.log").read_text()
        self.assertIn("e2ee-server: the database failed: disk I/O error", log)
        self.assertNotIn("Traceback", log)
        self.assertIsNone(sending.poll(), "the sender was answered, or has given up")
        (self.house.state / "connect-link").unlink(missing_ok=True)
        self.house.start_server()
        self.assertEqual(sending.wait(PATIENCE_SECONDS), 0)
        received = self.house.do("bob", "receive", "--json").objects
        self.assertEqual([one["text"] for one in received if "text" in one], ["hello"])
