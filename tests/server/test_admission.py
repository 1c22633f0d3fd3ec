"""Connections before login and in all: who makes room for whom."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.admission import Admission
from e2ee.server.counters import Counters, Limit
from e2ee.server.open_files import RESERVED_FILES
from e2ee.server.policy import LEAVING_CONNECTIONS, Policy


class GuestDouble:
    """Keeps whether it was turned away."""

    def __init__(self) -> None:
        self.away = False
        self.cut = False

    def turn_away(self) -> None:
        self.away = True

    def stop(self) -> None:
        """Not asked for here."""

    def abort(self) -> None:
        """Cut."""
        self.cut = True


class AdmissionTests(SynchronousTestCase):
    """Two before login from one source, five in all."""

    def setUp(self) -> None:
        self.admission = Admission(Policy(connections_before_login=2, connections=5), Counters())

    def enter(self, source: str = "192.0.2.1") -> GuestDouble:
        guest = GuestDouble()
        self.admission.enter(guest, source)
        return guest

    def test_the_one_that_has_waited_longest_makes_room(self) -> None:
        guests = [self.enter() for _ in range(3)]
        self.assertEqual([guest.away for guest in guests], [True, False, False])

    def test_the_files_of_the_process_are_a_limit_whatever_the_policy(self) -> None:
        counters = Counters()
        self.admission = Admission(Policy(connections_before_login=0, connections=0), counters, 2)
        inside, waiting, newest = self.enter(), self.enter("192.0.2.2"), None
        self.admission.logged_in(inside)
        self.assertEqual(counters.limits[Limit.OPEN_FILES], 0)
        newest = self.enter("192.0.2.3")
        self.assertEqual((inside.away, waiting.away, newest.away), (False, True, False))
        self.admission.logged_in(newest)
        self.assertTrue(self.enter("192.0.2.4").away)
        self.assertEqual(counters.limits[Limit.OPEN_FILES], 2)

    def test_who_has_logged_in_or_left_is_not_counted(self) -> None:
        first, second = self.enter(), self.enter()
        self.admission.logged_in(first)
        self.admission.left(second)
        guests = [self.enter(), self.enter(), first, second]
        self.assertFalse(any(guest.away for guest in guests))

    def test_sources_do_not_touch_each_other(self) -> None:
        guests = [self.enter(f"192.0.2.{n}") for n in (1, 1, 2, 2)]
        self.assertFalse(any(guest.away for guest in guests))

    def test_a_full_house_turns_away_who_has_waited_longest(self) -> None:
        inside = [self.enter(f"192.0.2.{n}") for n in range(4)]
        for guest in inside:
            self.admission.logged_in(guest)
        waiting, newest = self.enter(), self.enter()
        self.assertEqual((waiting.away, newest.away), (True, False))
        self.admission.logged_in(newest)
        self.assertTrue(self.enter().away)
        self.assertFalse(any(guest.away for guest in inside))

    def test_a_full_house_turns_away_those_of_the_source_that_has_the_most(self) -> None:
        """Somebody who is alone keeps his place, however long he has waited."""
        for policy, most in ((Policy(connections_before_login=0, connections=5), 0), (Policy(), 5)):
            self.admission = Admission(policy, Counters(), most)
            alone = self.enter("192.0.2.9")
            crowd = [self.enter(f"192.0.2.{n}") for n in (1, 2, 2, 1, 2, 1, 2)]
            self.assertEqual([guest.away for guest in crowd], [True] * 3 + [False] * 4)
            self.assertFalse(alone.away)

    def test_zero_is_no_limit(self) -> None:
        self.admission = Admission(Policy(connections_before_login=0, connections=0), Counters())
        self.assertFalse(any(guest.away for guest in [self.enter() for _ in range(100)]))
        self.assertEqual(len(self.admission), 100)

    def test_who_was_turned_away_and_does_not_go_is_cut_by_the_next_beyond_their_number(self) -> None:
        guests = [self.enter() for _ in range(2 + LEAVING_CONNECTIONS)]
        self.assertFalse(any(guest.cut for guest in guests))
        self.admission.left(guests[1])
        guests += [self.enter() for _ in range(2)]
        self.assertEqual([guest.cut for guest in guests], [True] + [False] * (len(guests) - 1))
        self.assertTrue(self.enter() and guests[2].cut)

    def test_their_number_fits_into_the_files_that_the_server_has_for_itself(self) -> None:
        self.assertLessEqual(2 * LEAVING_CONNECTIONS, RESERVED_FILES)
