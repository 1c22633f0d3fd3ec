"""The log: one event a line whatever stands in it, and no phone number."""

from __future__ import annotations

import json
import os
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.log_lines import LINE_CHARACTERS, json_line, observer, text_line
from e2ee.server.senders.console import ConsoleSender


def event(text: str, **fields: Any) -> LogEvent:
    return {
        "log_format": text, "log_level": LogLevel.warn, "log_namespace": "e2ee.server.thing",
        "log_time": 1_767_225_600.25, **fields,
    }  # fmt: skip


class LineTests(SynchronousTestCase):
    """Both forms."""

    def text(self, text: str, **fields: Any) -> str:
        line = text_line(event(text, **fields))
        assert line is not None
        return line

    def json(self, text: str, **fields: Any) -> dict[str, Any]:
        line = json_line(event(text, **fields))
        assert line is not None
        self.assertEqual((line.count("\n"), line.isascii()), (1, True))
        found: dict[str, Any] = json.loads(line)
        return found

    def test_text(self) -> None:
        self.assertEqual(
            self.text("{count} are left", count=3),
            "2026-01-01T00:00:00.250Z [e2ee.server.thing#warn] 3 are left\n",
        )

    def test_json(self) -> None:
        self.assertEqual(
            self.json("{count} are left", count=3),
            {
                "time": "2026-01-01T00:00:00.250Z",
                "level": "warn",
                "system": "e2ee.server.thing",
                "message": "3 are left",
                "fields": {"count": 3},
            },
        )

    def test_a_traceback_stays_on_its_line(self) -> None:
        try:
            raise KeyError("first\nsecond")
        except KeyError:
            failure = Failure()
        line = self.text("it failed", log_failure=failure)
        self.assertEqual((line.count("\n"), "KeyError" in line), (1, True))
        self.assertIn("KeyError", self.json("it failed", log_failure=failure)["error"])

    def test_what_cannot_be_shown_is_escaped(self) -> None:
        line = self.text("{evil}", evil="a\nb\r\x1b[31m\u202e\u2028é")
        self.assertIn("a\\nb\\r\\x1b[31m\\u202e\\u2028é", line)

    def test_no_number_is_written(self) -> None:
        for number in ("+15550100101", "tel:+442079460000", "x +15550100101."):
            self.assertNotIn("0100", self.text("{who}", who=number).replace("2026", ""))
            self.assertNotIn("0794", self.text("{who}", who=number))
            found = self.json("{who}", who=number)
            self.assertNotIn("0100", found["message"] + found["fields"]["who"])

    def test_what_is_no_number_is_written(self) -> None:
        for text in ("+1", "e2ee://localhost:8443/sha256:abc", "1+15550100101", "2026-01-01T00:00:00+0000"):
            self.assertIn(text, self.text("{said}", said=text))

    def test_the_line_of_the_console_sender_is_the_one_exception(self) -> None:
        namespace = ConsoleSender.__module__ + ".ConsoleSender"
        line = self.text("passcode for {address}", address="+15550100101", log_namespace=namespace)
        self.assertIn("+15550100101", line)

    def test_a_line_has_a_length(self) -> None:
        self.assertLess(len(self.text("{said}", said="x" * 100_000)), LINE_CHARACTERS + 200)
        self.assertLess(len(json.dumps(self.json("{said}", said="x" * 100_000))), 2 * LINE_CHARACTERS + 400)

    def test_details_for_developers_are_not_logged(self) -> None:
        self.assertIsNone(text_line(event("x", log_level=LogLevel.debug)))
        self.assertIsNone(json_line(event("x", log_level=LogLevel.debug)))

    def test_what_old_parts_of_twisted_say(self) -> None:
        line = text_line({"message": ("Port", "closed"), "isError": 0, "log_time": 0.0, "log_text": "x",
                          "log_format": "{log_text}"})  # fmt: skip
        self.assertEqual(line, "1970-01-01T00:00:00.000Z [-#info] x\n")

    @settings(deadline=None, max_examples=100)
    @given(st.text(), st.text(), st.text())
    def test_whatever_is_in_an_event_it_is_one_line(self, text: str, value: str, namespace: str) -> None:
        for made in (event(text, value=value, log_namespace=namespace), event("{value}", value=value)):
            for form in (text_line, json_line):
                line = form(made)
                if line is not None:
                    self.assertEqual(len(line.splitlines()), 1, repr(line))


class ObserverTests(SynchronousTestCase):
    """Where twistd's options want the log."""

    def test_standard_output_where_twistd_does_not_become_a_daemon(self) -> None:
        out = StringIO()
        self.patch(sys, "stdout", out)
        made = observer("json", {"nodaemon": True, "logfile": None})
        assert made is not None
        made(event("x"))
        self.assertEqual(json.loads(out.getvalue())["message"], "x")

    def test_a_file(self) -> None:
        path = self.mktemp()
        made = observer("text", {"nodaemon": True, "logfile": path})
        assert made is not None
        made(event("x"))
        self.assertTrue(Path(path).read_text().endswith("#warn] x\n"))

    def test_another_choice_of_twistds_stays(self) -> None:
        for choice in ({"syslog": True}, {"logger": Logger}):
            self.assertIsNone(observer("json", {"nodaemon": True, **choice}))

    def test_a_daemon_has_a_file(self) -> None:
        os.chdir(self._made_folder())
        made = observer("text", {"nodaemon": False, "logfile": ""})
        assert made is not None
        made(event("x"))
        self.assertTrue(os.path.exists("twistd.log"))

    def _made_folder(self) -> str:
        folder = str(self.mktemp())
        os.mkdir(folder)
        self.addCleanup(os.chdir, os.getcwd())
        return folder
