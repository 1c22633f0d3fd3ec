"""Two kinds of load: as fast as the answers come, and so many a second."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from benchmarks.lines import Line
from benchmarks.processes import cpu_seconds
from benchmarks.residents import ENVELOPE_BYTES

STAMP = struct.Struct(">d")


@dataclass(frozen=True)
class Figures:
    """What `count` messages have cost the process of the server."""

    cpu_us: float
    per_second: float


class Flood:
    """`messages` of each line, `in_flight` of them unanswered at any time."""

    def __init__(self, lines: Sequence[Line], messages: int, in_flight: int) -> None:
        self._unanswered = len(lines) * messages
        self._unsent = dict.fromkeys(lines, messages)
        self._in_flight = in_flight
        self.over: Deferred[None] = Deferred()

    async def run(self, pid: int) -> Figures:
        """Send them all; returns when the last one is answered."""
        count, began, before = self._unanswered, time.perf_counter(), cpu_seconds(pid)
        for line in self._unsent:
            for _ in range(self._in_flight):
                self._send(line)
        await self.over
        return Figures((cpu_seconds(pid) - before) / count * 1e6, count / (time.perf_counter() - began))

    def _send(self, line: Line) -> None:
        if self._unsent[line]:
            self._unsent[line] -= 1
            line.submit(os.urandom(ENVELOPE_BYTES), lambda: self._answered(line))

    def _answered(self, line: Line) -> None:
        self._unanswered -= 1
        self._send(line)
        if not self._unanswered:
            self.over.callback(None)


async def steadily(
    reactor: Any, lines: Sequence[Line], per_second: int, seconds: float
) -> tuple[list[float], list[float]]:
    """Milliseconds to the recipient and to the answer, both sorted, at an even rate over all lines."""
    arrived: list[float] = []
    answered: list[float] = []
    for line in lines:
        line.partner.arrived = lambda envelope: arrived.append(_since(STAMP.unpack_from(envelope)[0]))
    began, sent = time.perf_counter(), 0

    def send_due() -> None:
        nonlocal sent
        while sent < min((time.perf_counter() - began), seconds) * per_second:
            now = time.perf_counter()
            envelope = STAMP.pack(now) + os.urandom(ENVELOPE_BYTES - STAMP.size)
            lines[sent % len(lines)].submit(envelope, lambda now=now: answered.append(_since(now)))  # type: ignore[misc]
            sent += 1

    loop = LoopingCall(send_due)
    loop.start(1 / per_second)
    await deferLater(reactor, seconds)
    loop.stop()
    while len(answered) < sent:
        await deferLater(reactor, 0.01)
    for line in lines:
        line.partner.arrived = lambda envelope: None
    return sorted(arrived), sorted(answered)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of sorted figures."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _since(moment: float) -> float:
    return (time.perf_counter() - moment) * 1000
