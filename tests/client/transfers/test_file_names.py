"""Names of files that come from others."""

from __future__ import annotations

import unicodedata
from itertools import islice

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.transfers.file_names import FALLBACK, NAME_BYTES, candidates, safe_name

ALLOWED = frozenset(" ._-+,=@()[]")


class NameTests(SynchronousTestCase):
    """Made anew from an allow-list."""

    def test_ordinary_names_stay(self) -> None:
        for name in ("report.pdf", "Photo 2026-01-02 (1).jpg", "naïve.txt", "日本語.txt", "a_b-c+d.tar.gz"):
            self.assertEqual(safe_name(name), name)

    def test_hostile_names(self) -> None:
        for given_name, safe in (
            ("../../etc/passwd", "passwd"),
            ("/etc/cron.d/job", "job"),
            ("C:\\Windows\\system32\\evil.dll", "evil.dll"),
            ("..", FALLBACK), (".", FALLBACK), ("", FALLBACK), ("/", FALLBACK), ("...", FALLBACK),
            (".bashrc", "bashrc"), ("-rf", "rf"), ("--help", "help"), ("~", FALLBACK),
            ("a\nb", "a_b"), ("a\x1b[31mb", "a_[31mb"), ("a\x00.txt", "a_.txt"),
            ("invoice\u202efdp.exe", "invoice_fdp.exe"), ("a\u200bb", "a_b"),
            ("con", "_con"), ("NUL.txt", "_NUL.txt"), ("Com1.tar.gz", "_Com1.tar.gz"),
            ("name. ", "name"), ("  a   b  ", "a b"), ("a:b|c*d?", "a_b_c_d_"), ("$(reboot)", "(reboot)"),
            ("a;b&c`d", "a_b_c_d"), ("'quoted'", "quoted_"), ('"', FALLBACK),
        ):  # fmt: skip
            self.assertEqual(safe_name(given_name), safe, repr(given_name))

    def test_a_long_name_keeps_its_ending(self) -> None:
        name = safe_name("x" * 300 + ".pdf")
        self.assertEqual((len(name), name[-4:]), (NAME_BYTES, ".pdf"))
        self.assertLessEqual(len(safe_name("漢" * 300 + ".txt").encode()), NAME_BYTES)

    def test_any_text_becomes_one_harmless_name(self) -> None:
        @settings(deadline=None, max_examples=500)
        @example("\ud800")
        @example("e\u0301" * 200)
        @given(st.text(max_size=300) | st.text("./\\- ~\u202e\x1b\0con", max_size=30))
        def harmless(text: str) -> None:
            name = safe_name(text)
            self.assertTrue(0 < len(name.encode()) <= NAME_BYTES + 1)
            self.assertNotIn(name[0], ".- ")
            self.assertNotIn(name[-1], ". ")
            for each in name:
                self.assertTrue(each in ALLOWED or unicodedata.category(each)[0] in "LNM", repr(each))
            self.assertEqual(safe_name(name), name)

        harmless()

    def test_the_next_free_name(self) -> None:
        self.assertEqual(list(islice(candidates("a.b.txt"), 3)), ["a.b.txt", "a.b (1).txt", "a.b (2).txt"])
        self.assertEqual(list(islice(candidates("name"), 2)), ["name", "name (1)"])
