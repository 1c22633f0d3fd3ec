"""How the server is: ready or not and why, and what a costly figure may cost."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from e2ee.server.copying import Copying
from e2ee.server.vitals import (
    PROBE_KEPT_SECONDS,
    PROBE_SECONDS,
    SURVEY_SECONDS,
    Pulse,
    Vitals,
)
from e2ee.store.stepping import sqlite_error
from tests.server.running_house import KEY, RunningCase
from tests.server.town import ALICE, BOB


class PulseTests(RunningCase):
    """Taken on a clock that the test turns."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.pulse = Pulse(self.running, Copying(self.running, KEY), self.clock)

    def take(self) -> Vitals:
        return self.now(self.pulse.take())

    def ailment(self) -> str:
        return self.now(self.pulse.ailment())

    def test_what_is_there(self) -> None:
        self.now(self.town.log_in(ALICE))
        self.town.submit(self.town.peer(ALICE), self.town.send(BOB, b"twelve bytes"))
        self.town.network.advance(90)
        vitals = self.take()
        self.assertEqual(
            (vitals.accounts, vitals.devices_connected, vitals.mailbox_messages, vitals.mailbox_bytes),
            (2, 1, 1, 12),
        )
        self.assertEqual((vitals.mailbox_deepest, vitals.mailbox_oldest_seconds), (1, 90))
        self.assertEqual(vitals.prekeys, {"x25519": (0, 2), "kem": (0, 2)})
        self.assertEqual((vitals.ready, vitals.backup_key_present), (True, True))
        self.assertEqual(vitals.last_backup_timestamp_seconds, 0.0)
        self.assertGreater(vitals.database_bytes or 0, 0)

    def test_sums_over_all_accounts_are_remembered_for_a_while(self) -> None:
        self.assertEqual(self.take().accounts, 2)
        self.now(self.town.rooms.delete_account(ALICE, 0.0))
        self.clock.advance(SURVEY_SECONDS - 1)
        self.assertEqual(self.take().accounts, 2)
        self.clock.advance(1)
        self.assertEqual(self.take().accounts, 1)

    def test_a_server_that_listens_and_whose_database_takes_writes_is_ready(self) -> None:
        self.assertEqual(self.ailment(), "")
        self.listening = False
        self.assertEqual(self.ailment(), "not_listening")
        self.town.rooms.stopping = True
        self.assertEqual(self.ailment(), "stopping")

    def test_a_full_disk_is_seen_and_its_end_as_well(self) -> None:
        self.faults.add("INSERT OR REPLACE INTO fact", sqlite_error(13, "database or disk is full"))
        self.assertEqual(self.ailment(), "database_takes_no_writes")
        self.clock.advance(PROBE_KEPT_SECONDS / 2)
        self.assertEqual(self.ailment(), "database_takes_no_writes")
        self.clock.advance(PROBE_KEPT_SECONDS / 2)
        self.assertEqual(self.ailment(), "")

    def test_a_database_that_takes_too_long(self) -> None:
        asked: list[Any] = []

        async def put(name: str, value: bytes) -> None:
            asked.append(name)
            await Deferred()

        self.patch(type(self.running.facts), "put", lambda facts, name, value: put(name, value))
        waiting = [Deferred.fromCoroutine(self.pulse.ailment()) for _ in range(3)]
        self.clock.advance(PROBE_SECONDS - 1)
        self.assertNoResult(waiting[0])
        self.clock.advance(1)
        self.assertEqual([self.successResultOf(each) for each in waiting], ["database_slow"] * 3)
        self.assertEqual(len(asked), 1)

    def test_a_figure_that_cannot_be_found_out_is_left_out(self) -> None:
        self.listening = False
        self.now(self.database.close())
        vitals = self.take()
        self.assertEqual((vitals.last_backup_timestamp_seconds, vitals.ready), (None, False))

    def test_how_late_the_reactor_comes_round(self) -> None:
        tally = self.town.rooms.counters.reactor_seconds
        self.pulse.start()
        self.clock.advance(1)
        self.assertEqual((sum(tally.counts), tally.counts[0]), (1, 1))
        self.clock.advance(1.3)
        self.assertEqual(sum(tally.counts), 2)
        self.assertAlmostEqual(tally.total, 0.3)
        self.pulse.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
