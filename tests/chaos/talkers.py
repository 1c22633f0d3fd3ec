"""Programs of a run that may be killed: one that only reads, and one-shots that only send.

Knows what they print, and what that means for what was kept and what was shown. Who writes line after line
has a module of his own (`writer`).
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from tests.chaos.house import ChaosHouse
from tests.chaos.ledger import Shown

PATIENCE_SECONDS: Final = 120.0


class Program:
    """A program that is started again whenever it has ended; `killed` counts how often we ended it."""

    def __init__(self, house: ChaosHouse, profile: str, *arguments: str) -> None:
        self.house = house
        self.profile = profile
        self.killed = 0
        self.ended_with: list[int] = []
        """Exit codes of runs that nobody wanted to end."""
        self._arguments = arguments
        self._ending = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._live, name=profile, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def kill(self) -> None:
        """SIGKILL. It is started again by itself."""
        process = self._process
        if process is not None and process.poll() is None:
            self.killed += 1
            process.kill()

    def end(self) -> None:
        """Let it end in its own way, and do not start it again."""
        self._ending = True
        process = self._process
        if process is not None:
            self.bid_farewell(process)
        self._thread.join(PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise AssertionError(f"{self.profile} does not end; {self.house.log_of(self.profile)[-2000:]}")

    def abandon(self) -> None:
        """End it at once, if it still runs, when nobody waits for it any more."""
        self._ending = True
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()

    def bid_farewell(self, process: subprocess.Popen[bytes]) -> None:
        """What ends the program in good order, once it listens to it: before, it would be killed."""
        wait_until(
            f"{self.profile} to listen to SIGTERM",
            lambda: process.poll() is not None or _catches(process.pid, signal.SIGTERM),
        )
        process.terminate()

    def _live(self) -> None:
        while not self._ending:
            cuts = self.house.cuts
            process = self._process = self.house.spawn(self.profile, *self._arguments)
            self.began(process)
            if self._ending:
                self.bid_farewell(process)
            assert process.stdout is not None
            for line in _whole_lines(process.stdout):
                self.heard(line)
            if process.wait() != -signal.SIGKILL and cuts == self.house.cuts:
                self.ended_with.append(process.returncode)
            self.over()

    # --- for those who know what it prints ----------------------------------------------------

    def began(self, process: subprocess.Popen[bytes]) -> None:
        """It was started."""

    def heard(self, line: str) -> None:
        """It has printed a line."""

    def over(self) -> None:
        """It has ended."""


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for this signal (proc(5), SigCgt); True where nobody can tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return True
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _whole_lines(stream: IO[bytes]) -> Iterator[str]:
    """A line without its end was cut by a kill: nobody has read it."""
    for line in stream:
        if line.endswith(b"\n"):
            yield line[:-1].decode("utf-8")


class Reader(Program):
    """`e2ee receive --follow --json`; what is neither message nor receipt counts as shown, too, and is never
    expected."""

    def __init__(self, house: ChaosHouse, profile: str) -> None:
        super().__init__(house, profile, "receive", "--follow", "--json")
        self.shown: list[tuple[str, Shown]] = []

    def heard(self, line: str) -> None:
        """One object."""
        self.shown += shown_objects([json.loads(line)])

    def of(self, sender: str) -> list[Shown]:
        """What was shown of one sender."""
        return [one for who, one in self.shown if who == sender]


def shown_objects(found: Iterable[dict[str, object]]) -> list[tuple[str, Shown]]:
    """Who is shown to have said it, and what `receive --json` has shown. Receipts say nothing new."""
    return [_shown_object(one) for one in found if one["type"] != "receipt"]


def _shown_object(found: dict[str, object]) -> tuple[str, Shown]:
    who = str(found.get("from") or found.get("address") or found.get("to"))
    if found["type"] != "message":
        return who, Shown(json.dumps(found, sort_keys=True))
    marks = bool(found["repeated"]), bool(found["late"])
    return who, Shown(str(found["text"]), str(found["id"]), *marks)


class OneShots(threading.Thread):
    """`e2ee send` again and again: each text under an id of ours, repeated until it is accepted.

    `kill` ends the one that runs, at whatever it is doing.
    """

    def __init__(self, house: ChaosHouse, profile: str, to: str, count: int) -> None:
        super().__init__(name=profile, daemon=True)
        self.house = house
        self.profile = profile
        self.to = to
        self.killed = 0
        self.kept: list[str] = []
        self.ended_with: list[int] = []
        self._count = count
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def done(self) -> bool:
        """Whether all were accepted."""
        return len(self.kept) >= self._count

    def kill(self) -> None:
        """SIGKILL."""
        process = self._process
        if process is not None and process.poll() is None:
            self.killed += 1
            process.kill()

    def run(self) -> None:
        """All of them, one after the other."""
        for number in range(self._count):
            text = f"{self.profile} {number:06}"
            message_id = hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]
            while not self._accepted(text, message_id):
                pass
            self.kept.append(text)

    def _accepted(self, text: str, message_id: str) -> bool:
        arguments = ("send", self.to, "--json", "--timeout", "10", "--id", message_id, "-m", text)
        cuts = self.house.cuts
        self._process = self.house.spawn(self.profile, *arguments)
        out, _ = self._process.communicate()
        unasked = self._process.returncode not in (0, 3, 5, 9, -signal.SIGKILL)
        if unasked and cuts == self.house.cuts:
            self.ended_with.append(self._process.returncode)
        states = [json.loads(line)["state"] for line in out.splitlines() if line.endswith(b"}")]
        return states in (["stored"], ["delivered"])


def wait_until(what: str, condition: Callable[[], bool], patience: float = PATIENCE_SECONDS) -> None:
    """Wait for something in another process; AssertionError when it does not come."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up waiting for {what}")
        time.sleep(0.05)
