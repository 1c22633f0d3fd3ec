"""The line below the one being typed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ui.sanitiser import cells
from e2ee.ui.status_line import Partner, Standing, fitted, status_line
from tests.ui.fakes import BOB


class StatusLineTests(SynchronousTestCase):
    """Who is it, who is there, what waits."""

    def said(self, standing: Standing, columns: int = 200) -> str:
        return status_line(standing, columns)

    def test_who_is_not_verified_is_shown_with_the_number(self) -> None:
        for partner, said in (
            (Partner(BOB, None), "+15550100102, not verified"),
            (Partner(BOB, "bob"), "bob +15550100102, not verified"),
            (Partner(BOB, "bob", verified=True), "bob, verified"),
            (Partner(BOB, "bob", verified_by="Example CA"), "bob, verified by Example CA"),
            (Partner(BOB, None, verified=True), "+15550100102, verified"),
            (Partner(BOB, "bob", verified=True, online=True), "bob, verified, online"),
        ):
            self.assertEqual(self.said(Standing(partner=partner)), said)

    def test_what_is_unread_waits_or_is_online_follows(self) -> None:
        standing = Standing(unread=(("carol", 2), ("dave", 1)), online=("carol", "erin"), waiting=3)
        self.assertEqual(
            self.said(standing), "unread: carol 2, dave 1 | 3 not accepted yet | online: carol, erin"
        )

    def test_without_a_connection_nobody_is_said_to_be_online(self) -> None:
        partner = Partner(BOB, "bob", verified=True, online=True)
        self.assertEqual(
            self.said(Standing(connected=False, partner=partner, online=("carol",))),
            "not connected, trying again | bob, verified",
        )

    def test_many_names_are_counted(self) -> None:
        self.assertEqual(self.said(Standing(online=tuple("abcdefg"))), "online: a, b, c, d, e and 2 more")

    def test_names_pass_the_sanitiser(self) -> None:
        self.assertEqual(self.said(Standing(online=("\x1b[2J\u202ex\n",))), "online: \ufffd[2J\ufffdx\ufffd")

    @given(st.text(), st.integers(1, 60))
    @settings(deadline=None, max_examples=200)
    def test_it_fits(self, text: str, columns: int) -> None:
        said = fitted(text, columns)
        if columns > 1:
            self.assertLessEqual(sum(map(cells, said)), columns)
        self.assertTrue(text.startswith(said.removesuffix("…")) or said == text)
