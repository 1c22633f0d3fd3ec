"""Which records may still change on a terminal, and which it keeps."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.live_records import LiveRecords, Row, Tone


def texts(rows: list[Row]) -> list[str]:
    return [row.text for row in rows]


class LiveRecordsTests(SynchronousTestCase):
    """Records in order, the first that may change on top."""

    def setUp(self) -> None:
        self.live = LiveRecords()

    def test_what_cannot_change_scrolls_at_once(self) -> None:
        self.live.add("one")
        self.live.add("* two")
        self.assertEqual(self.live.scrolled(80, 10), [Row("one", Tone.PLAIN), Row("* two", Tone.NOTICE)])
        self.assertEqual(self.live.rows(80), [])

    def test_behind_an_own_message_on_its_way_everything_stays(self) -> None:
        self.live.add("before")
        self.live.add("own (queued)", key=1)
        self.live.add("behind")
        self.assertEqual(texts(self.live.scrolled(80, 10)), ["before"])
        self.assertEqual(self.live.rows(80), [Row("own (queued)", Tone.OWN), Row("behind", Tone.PLAIN)])

    def test_it_changes_in_its_place_and_goes_when_it_is_settled(self) -> None:
        self.live.add("own (queued)", key=1)
        self.live.add("behind")
        self.assertTrue(self.live.change(1, "own (stored)", settled=False))
        self.assertEqual(texts(self.live.scrolled(80, 10)), [])
        self.assertEqual(texts(self.live.rows(80)), ["own (stored)", "behind"])
        self.assertTrue(self.live.change(1, "own (read)", settled=True))
        self.assertEqual(texts(self.live.scrolled(80, 10)), ["own (read)", "behind"])
        self.assertFalse(self.live.change(1, "own (stored)", settled=False))

    def test_what_exceeds_the_room_scrolls_from_the_top(self) -> None:
        for number in range(5):
            self.live.add(f"own {number}", key=number)
        self.assertEqual(texts(self.live.scrolled(80, 3)), ["own 0", "own 1"])
        self.assertFalse(self.live.change(1, "late", settled=True))
        self.assertEqual(texts(self.live.scrolled(80, 3)), [])

    def test_folded_rows_count_and_are_marked(self) -> None:
        self.live.add("own\nwith a second line", key=1)
        self.assertEqual(texts(self.live.rows(14)), ["own", "    | with a ", "    | second ", "    | line"])
        self.assertEqual(len(self.live.scrolled(14, 3)), 4)

    def test_every_record_passes_the_sanitiser(self) -> None:
        self.live.add("own \x1b[2J\r* forged", key=1)
        self.assertEqual(texts(self.live.rows(80)), ["own \ufffd[2J", "    | * forged"])
