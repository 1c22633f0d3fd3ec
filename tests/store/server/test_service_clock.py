"""Service time never jumps, whatever the wall clock does."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from e2ee.store.server.service_clock import SAVE_SECONDS, STOPPED_SECONDS_AT_MOST, ServiceClock
from e2ee.store.stepping import sqlite_error
from tests.store.server.sql import OnDatabase


class ServiceTime(OnDatabase):
    """Over several runs of one server."""

    def setUp(self) -> None:
        super().setUp()
        self.wall = 1_700_000_000.0
        self.service = self.start()

    def start(self) -> ServiceClock:
        service = ServiceClock(self.database, self.clock, self.clock.seconds, lambda: self.wall)
        self.done(service.start())
        return service

    def stop(self) -> None:
        self.done(self.service.stop())

    def tearDown(self) -> None:
        self.stop()
        super().tearDown()

    def test_it_begins_at_zero_and_runs_with_the_monotonic_clock(self) -> None:
        self.assertEqual(self.service.now(), 0.0)
        self.clock.advance(12.5)
        self.assertEqual(self.service.now(), 12.5)

    def test_a_wall_clock_that_jumps_while_it_runs_changes_nothing(self) -> None:
        for jump in (10**9, -(10**9)):
            self.wall += jump
            self.clock.advance(1.0)
        self.assertEqual(self.service.now(), 2.0)

    def test_the_minutes_leave_nothing_to_tidy_but_the_start_does(self) -> None:
        """What a killed run has left is tidied after the next start; an idle server writes one row."""
        traceless: list[bool] = []
        write = self.database.write

        def noted(*arguments: Any, **options: Any) -> Any:
            traceless.append(options["traceless"])
            return write(*arguments, **options)

        self.patch(self.database, "write", noted)
        self.service = self.start()
        self.clock.advance(SAVE_SECONDS)
        self.assertEqual(traceless[:2], [False, True])

    def restarted_after(self, wall_seconds: float) -> float:
        self.clock.advance(100.0)
        self.wall += 100.0
        self.stop()
        self.wall += wall_seconds
        self.clock.advance(12_345.0)
        self.service = self.start()
        return self.service.now()

    def test_across_a_stop_the_walls_difference_counts(self) -> None:
        self.assertEqual(self.restarted_after(3600.0), 3700.0)

    def test_a_wall_clock_set_back_counts_nothing(self) -> None:
        self.assertEqual(self.restarted_after(-3600.0), 100.0)

    def test_a_stop_counts_one_day_at_most(self) -> None:
        self.assertEqual(self.restarted_after(STOPPED_SECONDS_AT_MOST), 100.0 + 86_400.0)
        self.assertEqual(self.restarted_after(10.0**9), 86_500.0 + 100.0 + 86_400.0)

    def test_after_a_kill_what_was_saved_last_counts_and_the_wall_the_rest(self) -> None:
        self.wall += SAVE_SECONDS
        self.clock.advance(SAVE_SECONDS)
        self.clock.advance(30.0)
        self.wall += 30.0
        self.service._saving.stop()  # killed: nothing is saved
        self.service = self.start()
        self.assertEqual(self.service.now(), SAVE_SECONDS + 30.0)

    def test_a_full_disk_only_delays_the_saving(self) -> None:
        self.faults.add("INSERT OR REPLACE INTO service_time", sqlite_error(13, "full"))
        self.faults.add("INSERT OR REPLACE INTO service_time", sqlite_error(13, "full"))
        self.clock.advance(SAVE_SECONDS)
        self.clock.advance(SAVE_SECONDS)
        self.service._saving.stop()
        self.service = self.start()
        self.assertEqual(self.service.now(), 2 * SAVE_SECONDS)
        self.assertEqual(self.broken, [])

    def test_stopping_twice_saves_once(self) -> None:
        self.stop()
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(self.service.stop())))
