"""Points in time as people and scripts read them."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code, Failure
from e2ee.ui.times import parse_since, parse_span, rfc3339, short_time, span_words
from tests.ui.fakes import NOON

EAST = timezone(timedelta(hours=2))


class TimesTests(SynchronousTestCase):
    """docs/command-line.md: RFC 3339 UTC with milliseconds in JSON."""

    def test_rfc3339_has_milliseconds_and_utc(self) -> None:
        self.assertEqual(rfc3339(NOON + 7), "2023-11-15T12:00:00.007Z")
        self.assertEqual(rfc3339(0), "1970-01-01T00:00:00.000Z")

    @given(st.integers(-(2**70), 2**70))
    @settings(deadline=None, max_examples=100)
    def test_any_claimed_time_can_be_shown(self, claimed: int) -> None:
        self.assertRegex(rfc3339(claimed), r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
        self.assertRegex(short_time(claimed, NOON, EAST), r"\A(\d{4}-\d\d-\d\d )?\d\d:\d\d\Z")

    def test_a_time_of_today_has_no_date(self) -> None:
        self.assertEqual(short_time(NOON, NOON + 3_600_000, EAST), "14:00")

    def test_a_time_of_another_day_has_its_date(self) -> None:
        self.assertEqual(short_time(NOON, NOON + 86_400_000, UTC), "2023-11-15 12:00")

    def test_since_takes_dates_times_and_spans(self) -> None:
        self.assertEqual(parse_since("2023-11-15", NOON, UTC), NOON - 12 * 3_600_000)
        self.assertEqual(parse_since("2023-11-15T12:00:00.007Z", NOON, EAST), NOON + 7)
        self.assertEqual(parse_since("2023-11-15T14:00:00", NOON, EAST), NOON)
        self.assertEqual(parse_since("90m", NOON), NOON - 90 * 60_000)
        self.assertEqual(parse_since("2w", NOON), NOON - 14 * 86_400_000)

    def test_anything_else_is_a_usage_error(self) -> None:
        for text in ("", "yesterday", "12", "2h ago", "２h", "2023-13-01", "-1h"):
            error = self.assertRaises(Failure, parse_since, text, NOON, UTC)
            self.assertIs(error.code, Code.USAGE)


class SpanTests(SynchronousTestCase):
    """How long something lasts."""

    def test_spans(self) -> None:
        for text, seconds, words in (
            ("30s", 30, "30 seconds"), ("1m", 60, "1 minute"), ("90s", 90, "90 seconds"),
            ("8h", 28_800, "8 hours"),
            ("1d", 86_400, "1 day"), ("7d", 604_800, "1 week"), ("4w", 2_419_200, "4 weeks"),
        ):  # fmt: skip
            self.assertEqual((parse_span(text), span_words(seconds)), (seconds, words))
        self.assertEqual(parse_span("off"), 0)

    def test_what_is_none_is_refused(self) -> None:
        for text in ("", "1", "d", "-1d", "1 d", "1D", "١d", "1.5h", "OFF", "1y", "9999999s"):
            with self.assertRaises(Failure) as caught:
                parse_span(text)
            self.assertIs(caught.exception.code, Code.USAGE)
