"""Somebody who writes line after line into a chat on a pipe, and is killed now and then.

Knows the line interface, and how to learn which lines are in the vault.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Final

from tests.chaos.house import ChaosHouse
from tests.chaos.ledger import Shown
from tests.chaos.talkers import Program

LINES_BEFORE_MARK: Final = 20
"""A writer asks so often whether its lines are in the vault."""
LONGEST_REST_SECONDS: Final = 1.5
LINES_AHEAD: Final = 60
"""So many lines may wait in the pipe: what is in it when the program is killed was never accepted."""
_MARK = re.compile(r"there is no command /kept(\d+);")
_NEVER = ("could not be read", "missing here", "has changed", "was not delivered")
"""Of notices: what nobody should have had to be told."""
_ARRIVAL = re.compile(r"\[[^]]*?(?P<late> late)?(?P<repeated> repeated)?\] (?P<who>\+\d+): (?P<text>.*)")


@dataclass(eq=False)
class _Sitting:
    """What was typed into one run of the program. `sure` lines of it are known to be in the vault."""

    stdin: IO[bytes]
    lines: list[str] = field(default_factory=list)
    sure: int = 0
    over: bool = False


class Writer(Program):
    """`e2ee chat ADDRESS` on a pipe, fed until enough lines are known to be in the vault.

    After every few lines it asks for a command that does not exist: the complaint means that the lines
    before it are committed. What the other side says is shown here, too, without ids.
    """

    def __init__(
        self,
        house: ChaosHouse,
        profile: str,
        to: str,
        pause: float,
        enough: Callable[[int], bool],
        ahead: Callable[[int], bool],
    ) -> None:
        """`enough`: whether so many lines in the vault are enough; `ahead`: whether they are too many now."""
        super().__init__(house, profile, "chat", to)
        self.to = to
        self.kept: list[str] = []
        self.shown: list[Shown] = []
        self._enough = enough
        self._ahead = ahead
        self._pause = pause
        self._typed = 0
        self._news = threading.Condition()
        self._sitting: _Sitting

    @property
    def done(self) -> bool:
        """Whether as many lines as wanted are known to be in the vault."""
        return self._enough(len(self.kept))

    def began(self, process: subprocess.Popen[bytes]) -> None:
        """Type from a thread of its own: both ends of a pipe can be full."""
        assert process.stdin is not None
        self._sitting = _Sitting(process.stdin)
        threading.Thread(target=self._type, args=(self._sitting,), daemon=True).start()

    def over(self) -> None:
        """What was not known to be kept may or may not have been."""
        with self._news:
            self._sitting.over = True
            self._news.notify_all()

    def heard(self, line: str) -> None:
        """A mark, an arrival, or a notice."""
        mark = _MARK.search(line)
        arrival = _ARRIVAL.fullmatch(line)
        if mark:
            with self._news:
                sitting, sure = self._sitting, int(mark[1])
                self.kept += sitting.lines[sitting.sure : sure]
                sitting.sure = sure
                self._news.notify_all()
        elif arrival:
            marks = bool(arrival["repeated"]), bool(arrival["late"])
            self.shown.append(Shown(arrival["text"], None, *marks))
        elif any(sign in line for sign in _NEVER):
            self.shown.append(Shown(line))

    def bid_farewell(self, process: subprocess.Popen[bytes]) -> None:
        """End of input."""
        with self._news:
            self._news.notify_all()

    def _type(self, sitting: _Sitting) -> None:
        try:
            sitting.stdin.write(b"/offline\n")
            while not (self._ending or self.done or sitting.over):
                self._type_some(sitting)
                with self._news:
                    self._news.wait_for(lambda: self._may_go_on(sitting))
                time.sleep(self._pause)
                self._fall_back(sitting)
            with self._news:
                self._news.wait_for(lambda: self._ending or sitting.over)
            sitting.stdin.close()
        except BrokenPipeError:
            return

    def _fall_back(self, sitting: _Sitting) -> None:
        """Let the weather come up, but not for long: it strikes only where something is said."""
        until = time.monotonic() + LONGEST_REST_SECONDS
        while self._ahead(len(self.kept)) and time.monotonic() < until and not (self._ending or sitting.over):
            time.sleep(0.1)

    def _type_some(self, sitting: _Sitting) -> None:
        for _ in range(LINES_BEFORE_MARK):
            self._typed += 1
            text = f"{self.profile} {self._typed:06}"
            sitting.lines.append(text)
            sitting.stdin.write(text.encode("utf-8") + b"\n")
        sitting.stdin.write(f"/kept{len(sitting.lines)}\n".encode())
        sitting.stdin.flush()

    def _may_go_on(self, sitting: _Sitting) -> bool:
        waiting = len(sitting.lines) - sitting.sure
        return self._ending or sitting.over or self.done or waiting <= LINES_AHEAD - LINES_BEFORE_MARK
