"""The ledger finds what is lost, doubled, unexpected and reordered, and nothing else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.ledger import Accepted, Shown, Verdict, judge, total

ONE, TWO, THREE = (Accepted(f"text {n}", f"{n:032x}") for n in range(3))
SENT = (ONE, TWO, THREE)


def shown(*accepted: Accepted) -> list[Shown]:
    return [Shown(one.text, one.message_id) for one in accepted]


class LedgerTests(SynchronousTestCase):
    """One stream of three texts."""

    def test_everything_once_and_in_order_is_good(self) -> None:
        self.assertTrue(judge(SENT, shown(*SENT)).good)
        self.assertTrue(judge(SENT, [Shown(one.text) for one in SENT]).good)

    def test_what_is_not_shown_is_lost(self) -> None:
        self.assertEqual(judge(SENT, shown(ONE, THREE)), Verdict(lost=(TWO.text,)))

    def test_what_is_shown_twice_is_doubled_unless_it_says_so(self) -> None:
        again = Shown(TWO.text, TWO.message_id, repeated=True)
        self.assertEqual(judge(SENT, shown(ONE, TWO, TWO, THREE)), Verdict(doubled=(TWO.text,)))
        self.assertTrue(judge(SENT, [*shown(ONE, TWO), again, *shown(THREE)]).good)

    def test_a_line_may_say_that_it_is_repeated_where_nobody_saw_it_before(self) -> None:
        """It was cut by the kill."""
        marked = Shown(TWO.text, TWO.message_id, repeated=True)
        self.assertTrue(judge(SENT, [*shown(ONE), marked, *shown(THREE)]).good)

    def test_what_nobody_sent_is_unexpected_and_so_is_another_id(self) -> None:
        self.assertEqual(judge(SENT, [*shown(*SENT), Shown("else")]), Verdict(unexpected=("else",)))
        wrong = judge(SENT, [Shown(ONE.text, TWO.message_id), *shown(TWO, THREE)])
        self.assertEqual(wrong, Verdict(lost=(ONE.text,), unexpected=(ONE.text,)))

    def test_what_comes_after_its_successor_is_reordered_even_if_it_is_marked_late(self) -> None:
        self.assertEqual(judge(SENT, shown(TWO, ONE, THREE)), Verdict(reordered=(ONE.text,)))
        late = Shown(ONE.text, ONE.message_id, late=True)
        self.assertEqual(judge(SENT, [late, *shown(TWO, THREE)]), Verdict(reordered=(ONE.text,)))

    def test_a_total_has_all_of_all_streams(self) -> None:
        streams = [judge(SENT, shown(ONE, THREE)), judge(SENT, shown(ONE, ONE, TWO, THREE))]
        self.assertEqual(total(streams), Verdict(lost=(TWO.text,), doubled=(ONE.text,)))
        self.assertIn("lost 1 (text 1), doubled 1", str(total(streams)))

    @settings(max_examples=200, deadline=None)
    @given(st.permutations(range(6)), st.sets(st.integers(0, 5)), st.lists(st.integers(0, 5), max_size=3))
    def test_exactly_the_sent_order_without_loss_is_good(
        self, order: list[int], dropped: set[int], doubled: list[int]
    ) -> None:
        """Any order, any loss, any doubling: good only if there is none of them."""
        sent = [Accepted(str(n), str(n)) for n in range(6)]
        lines = [n for n in order if n not in dropped] + doubled
        verdict = judge(sent, [Shown(str(n), str(n)) for n in lines])
        self.assertEqual(verdict.good, lines == list(range(6)))
        self.assertEqual(set(verdict.lost), {str(n) for n in range(6)} - {str(n) for n in lines})
