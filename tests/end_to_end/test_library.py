"""The bot of docs/library.md, run as it stands, and the names that the page promises."""

from __future__ import annotations

import inspect
import re
import signal
import subprocess
import sys
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client import api
from e2ee.client.events import ShownEvent
from e2ee.client.holding.past import Past
from e2ee.client.holding.shared_files import SharedFiles
from examples.stage import PATIENCE_SECONDS
from tests.end_to_end.household import ALICE, BOB, Household
from tests.end_to_end.recipes import DOCS, recipes

BOT_LINES = 40
PARTS = {"": api.Conversations, "archive": Past, "files": SharedFiles}
"""Where the methods are that the page names."""


class LibraryTests(SynchronousTestCase):
    """One server; the bot has Alice's number."""

    def test_the_bot_is_short_and_answers(self) -> None:
        code = recipes("library.md")["The library"].code
        self.assertLess(len(code.splitlines()), BOT_LINES)
        house = Household("--presence", "everyone")
        self.addCleanup(house.__exit__)
        link = house.start_server()
        house.register("bot", link, ALICE)
        house.register("bob", link, BOB)
        path = house.directory / "bot.py"
        path.write_text(code)
        bot = subprocess.Popen(
            [sys.executable, str(path)],
            env=house.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        self.addCleanup(bot.kill)
        assert bot.stdout is not None
        self.assertEqual(bot.stdout.readline(), f"this is {ALICE}\n")
        for asked, answered in (("time", r"\d\d:\d\d UTC"), ("hello", "I know one word: time")):
            self.assertEqual(house.do("bob", "send", ALICE, "-m", asked).status, 0)
            got = house.do("bob", "receive", "--wait-first", "--max", "1", "--timeout", "200", "--json")
            texts = [one["text"] for one in got.objects if one["type"] == "message"]
            self.assertEqual(len(texts), 1, got)
            self.assertRegex(texts[0], f"^{answered}$")
        self.assertEqual(house.do("bot", "status").status, 0, "a command beside it")
        bot.send_signal(signal.SIGTERM)
        _, errors = bot.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual(errors, "")
        self.assertEqual(house.do("bot", "receive").out, "", "all is shown")

    def test_the_page_names_what_there_is(self) -> None:
        text = (DOCS / "library.md").read_text("utf-8")
        table = text[text.index("## `Account.conversations`") : text.index("## Events")]
        cells = " ".join(re.findall(r"^\| (`.*?) \|", table, re.M))
        names = re.findall(r"`([a-z_.]+)(?:\((.*?)\))?`", cells)
        self.assertGreater(len(names), 20)
        for name, parameters in names:
            part, _, method = name.rpartition(".")
            found = inspect.signature(getattr(PARTS[part], method)).parameters
            self.assertEqual(set(re.findall("[a-z_]+", parameters)) - set(found), set(), name)

    def test_the_page_names_the_events_that_there_are(self) -> None:
        text = (DOCS / "library.md").read_text("utf-8")
        names = set(re.findall(r"`([A-Z]\w+)[(`]", text[text.index("## Events") :]))
        self.assertEqual(names - set(api.__all__), set())
        self.assertEqual({event.__name__ for event in get_args(ShownEvent)} - names, set())
