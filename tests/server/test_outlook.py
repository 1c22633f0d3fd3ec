"""What operators are shown: the metrics, and a line in the log when the server had to refuse."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger, LogLevel, globalLogPublisher

from e2ee.errors import StoreUnavailable
from e2ee.server.outlook import Outlook
from e2ee.store.stepping import sqlite_error
from tests.server.running_house import KEY, RunningCase


class OutlookTests(RunningCase):
    """With a log that is read."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactorClock()
        self.outlook = Outlook(self.running, KEY, self.reactor)
        self.addCleanup(self.outlook.stop)
        self.said: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.said.append)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, self.said.append)  # type: ignore[arg-type]

    def lines(self, level: Any) -> list[str]:
        return [event["log_format"] for event in self.said if event.get("log_level") is level]

    def test_refusals_for_want_of_room_are_told_once(self) -> None:
        self.now(self.outlook.look_at_the_database())
        self.faults.add("COMMIT", sqlite_error(13, "database or disk is full"))
        writing = Deferred.fromCoroutine(self.running.facts.put("a", b"b"))
        self.failureResultOf(writing, StoreUnavailable)
        for _ in range(2):
            self.now(self.outlook.look_at_the_database())
        self.assertEqual(len(self.lines(LogLevel.error)), 1)

    def test_lines_of_the_log_are_counted(self) -> None:
        log, counts = Logger(), self.town.rooms.counters.log_events
        log.info("nothing")
        log.warn("a thing")
        log.error("another")
        self.assertEqual((counts["warn"], counts["error"]), (1, 1))
        self.outlook.stop()
        log.error("after the end")
        self.assertEqual(counts["error"], 1)
        globalLogPublisher.addObserver(self.outlook._log_counter)

    def test_the_metrics_listen_where_they_are_told_to(self) -> None:
        self.now(self.outlook.serve_metrics("tcp:9464:interface=127.0.0.1"))
        [listening] = self.reactor.tcpServers
        self.assertEqual((listening[0], listening[3]), (9464, "127.0.0.1"))
        self.assertEqual(self.lines(LogLevel.warn), [])

    def test_an_endpoint_that_others_reach_is_said(self) -> None:
        self.now(self.outlook.serve_metrics("tcp:9464"))
        self.assertEqual(len(self.lines(LogLevel.warn)), 1)
