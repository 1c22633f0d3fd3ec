"""Who makes room, beside a slow and simple list."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.waiting_room import WaitingRoom

STEPS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5)), max_size=60)
"""A source that one comes from, and which one leaves then, if there are so many."""


class WaitingRoomTests(SynchronousTestCase):
    """Of each source, and of the source that has the most, the one that has waited longest."""

    def test_of_sources_with_one_each_it_is_who_has_waited_longest(self) -> None:
        room: WaitingRoom[int] = WaitingRoom()
        for guest, source in enumerate("abc"):
            self.assertEqual(room.enter(guest, source), 1)
        self.assertEqual(room.first_of_most(), 0)
        room.leave(0)
        self.assertEqual(room.first_of_most(), 1)

    def test_who_is_not_here_may_leave(self) -> None:
        room: WaitingRoom[int] = WaitingRoom()
        room.leave(1)
        room.enter(1, "a")
        room.leave(1)
        room.leave(1)
        self.assertEqual(len(room), 0)

    @settings(deadline=None, max_examples=100)
    @given(STEPS)
    def test_it_is_as_a_list_says(self, steps: list[tuple[str, int]]) -> None:
        room: WaitingRoom[int] = WaitingRoom()
        here: dict[int, str] = {}
        for guest, (source, leaving) in enumerate(steps):
            here[guest] = source
            self.assertEqual(room.enter(guest, source), Counter(here.values())[source])
            if leaving < len(here):
                gone = list(here)[leaving]
                room.leave(gone)
                del here[gone]
            self.assertEqual(len(room), len(here))
            counts = Counter(here.values())
            first = {name: next(one for one in here if here[one] == name) for name in counts}
            for name, one in first.items():
                self.assertEqual(room.first_of(name), one)
            if here:
                most = [name for name in counts if counts[name] == max(counts.values())]
                self.assertIn(room.first_of_most(), [first[name] for name in most])
