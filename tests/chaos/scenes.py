"""Short stories with one cruelty each, at a moment that is certain. Each ends in a verdict.

Told with a healthy program they are good; told with a planted fault (`tests.chaos.faults`) they must not be.
Knows somebody who sends and somebody who reads, and nobody else.
"""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.chaos.house import ChaosHouse
from tests.chaos.ledger import Shown, Verdict, judge
from tests.chaos.talkers import PATIENCE_SECONDS, Reader, shown_objects, wait_until
from tests.chaos.weather import End, Way

FILLING = "x" * 30_000
"""Three texts with this fill a pipe that nobody reads."""


@dataclass(frozen=True)
class Pair:
    """Two profiles of a house. Every text of a story begins with its `title`."""

    house: ChaosHouse
    title: str
    sender: str
    recipient: str
    address: str  # the recipient's

    def send(self, *texts: str) -> None:
        """Send these, each accepted before the next."""
        for text in texts:
            (sent,) = self.house.objects(
                self.sender, "send", self.address, "-m", f"{self.title}: {text}"
            )
            assert sent["state"] in ("stored", "delivered"), sent

    def chat(self, lines: Sequence[str]) -> None:
        """Send these in one go."""
        writer = self.house.spawn(self.sender, "chat", self.address)
        typed = "".join(f"{self.title}: {line}\n" for line in lines)
        writer.communicate(typed.encode("utf-8"), PATIENCE_SECONDS)
        assert writer.returncode == 0, self.house.log_of(self.sender)

    def reader(self) -> Reader:
        """The recipient's, who is connected and has read a first message."""
        reader = Reader(self.house, self.recipient)
        reader.start()
        self.send("hello")
        wait_until("the first message", lambda: bool(reader.shown))
        return reader

    def receive(self) -> list[Shown]:
        """What the recipient reads now, until nothing is left."""
        return [one for _, one in shown_objects(self.house.objects(self.recipient, "receive"))]

    def verdict(self, shown: Sequence[Shown]) -> Verdict:
        """What the sender's records say of this story against what was shown in it."""
        sent = self.house.accepted(self.sender, self.address)
        return judge([one for one in sent if one.text.startswith(self.title)], shown)

    def end(self, reader: Reader) -> Verdict:
        """The reader ends, and what is left is read."""
        reader.end()
        return self.verdict([one for _, one in reader.shown] + self.receive())


def bytes_in(process: subprocess.Popen[bytes]) -> int:
    """How much a program has printed that nobody has read."""
    assert process.stdout is not None
    return int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)), sys.byteorder)


Scene = Callable[[Pair], Verdict]


def server_killed_after_its_answer(pair: Pair) -> Verdict:
    """The recipient is away. What the server has answered for survives a SIGKILL right behind the answer."""
    pair.send("one", "two")
    pair.house.stop_server(signal.SIGKILL)
    pair.house.start_server()
    return pair.verdict(pair.receive())


def recipient_killed_after_its_acknowledgement(pair: Pair) -> Verdict:
    """The recipient's program is killed as soon as the server has its word that it has the message."""
    reader = Reader(pair.house, pair.recipient)
    reader.start()
    wait_until("the recipient online", lambda: bool(pair.house.objects(pair.sender, "online")))
    pair.send("one", "two")
    reader.kill()
    return pair.end(reader)


def acknowledgement_lost(pair: Pair) -> Verdict:
    """What the recipient acknowledges disappears; the server pushes it again on the next connection."""
    reader = pair.reader()
    pair.house.proxy.swallow(Way.UP)
    # The sender's connections are new ones, and are not swallowed; the answer is `stored`, a second later.
    pair.send("one", "two")
    wait_until("both", lambda: len(reader.shown) >= 3)
    pair.house.proxy.cut()
    # A fifth of a second after this one there is nothing left that could come twice.
    pair.send("three")
    wait_until("the last", lambda: any(one.text.endswith("three") for _, one in reader.shown))
    return pair.end(reader)


def in_one_go(pair: Pair) -> Verdict:
    """The recipient was away, and reads twelve messages."""
    pair.chat([f"line {number}" for number in range(12)])
    return pair.verdict(pair.receive())


def in_two_goes(pair: Pair) -> Verdict:
    """The same, written by two programs one after the other: the second goes on where the first has ended."""
    for turn in ("first", "second"):
        pair.chat([f"{turn} {number}" for number in range(6)])
    return pair.verdict(pair.receive())


def recipient_killed_before_its_output(pair: Pair) -> Verdict:
    """Its output is a full pipe: the vault has everything, whoever reads the pipe has seen a part."""
    pair.send(*(f"{number} {FILLING}" for number in range(6)))
    blocked = pair.house.spawn(pair.recipient, "receive", "--follow", "--json")
    pair.house.wait_for_empty_mailboxes()
    wait_until("a line in the pipe", lambda: bytes_in(blocked) > len(FILLING) + 1_000)
    blocked.kill()
    out, _ = blocked.communicate(timeout=PATIENCE_SECONDS)
    seen = [one for _, one in shown_objects(map(json.loads, out.split(b"\n")[:-1]))]
    assert len(seen) < 6, "the pipe took everything, and nothing is proven"
    pair.house.stop_server()
    # The server is gone, so this comes from the vault.
    offline = pair.house.do(pair.recipient, "receive", "--json", "--timeout", "1")
    assert offline.status == 3, offline
    pair.house.start_server()
    return pair.verdict(seen + [one for _, one in shown_objects(offline.objects)])


def newer_connection(pair: Pair) -> Verdict:
    """The server does not hear that a connection is gone; the next one of that device displaces it,
    with messages on their way to the old one."""
    reader = pair.reader()
    for turn in range(3):
        # Both sides of the recipient's connection are up; the client's is reset, the server's is not.
        pair.house.proxy.strike(End.CLIENT_GONE, silence=60.0)
        pair.chat([f"line {turn} {number}" for number in range(10)])
        wait_until("all lines", lambda turn=turn: len(reader.shown) >= 1 + 10 * (turn + 1))  # type: ignore[misc]
    return pair.end(reader)


def holder_killed_under_sends(pair: Pair) -> Verdict:
    """Fifty commands send at once through a chat that holds the vault, which is killed in the middle."""
    holder = pair.house.spawn(pair.sender, "chat", pair.address)
    assert holder.stdout is not None
    holder.stdout.readline()
    sends = [
        pair.house.spawn(
            pair.sender, "send", pair.address, "--json", "--timeout", str(PATIENCE_SECONDS),
            "--id", f"{number:032x}", "-m", f"{pair.title}: {number}",
        )
        for number in range(50)
    ]  # fmt: skip
    wait_until("some of them", lambda: sum(one.poll() is not None for one in sends) >= 10)
    holder.kill()
    holder.communicate()
    results = [one.communicate(timeout=PATIENCE_SECONDS)[0] for one in sends]
    assert [one.returncode for one in sends] == [0] * 50, pair.house.log_of(pair.sender)
    assert all(json.loads(line)["state"] in ("stored", "delivered") for line in results), results
    return pair.verdict(pair.receive())
