"""Any order of writes, turns, slowness and ends: what arrives is what was written."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.net.prompt_server import House
from tests.net.turning import Pair


class Story:
    """One connection, what was written to it, and whether all of it must arrive."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.pair: Pair = house.connect()
        self.written = b""
        self.open, self.cut = True, False

    def take(self, step: str, number: int, size: int) -> None:
        transport, socket = self.pair.server.transport, self.pair.socket
        if step == "write":
            data = b"%06d" % number + bytes(size)
            self.written += data if self.open else b""
            transport.write(data)
        elif step == "turn":
            self.house.reactor.advance(0)
        elif step == "poll":
            self.house.reactor.poll()
        elif step == "room":
            socket.room = size
        elif step == "lose":
            transport.loseConnection()
            self.open = False
        elif not self.pair.server.reasons:
            self.open, self.cut = False, True
            if step == "reset":
                socket.reset = True
            else:
                transport.abortConnection()

    @property
    def in_order(self) -> bool:
        """Whether what a prompt send looks at shows all that waits, as long as the socket is to live."""
        socket = self.pair.descriptor
        return bool(socket.dataBuffer or socket.disconnecting or not socket._tempDataBuffer)


STEPS = st.tuples(
    st.sampled_from(["write"] * 6 + ["turn", "poll"] * 2 + ["room"] * 2 + ["lose", "abort", "reset"]),
    st.sampled_from([0, 1, 300, 17_000, 64_000, 140_000]),
)


class PropertyTests(SynchronousTestCase):
    """One connection."""

    @given(st.lists(STEPS, max_size=40))
    @settings(deadline=None, max_examples=100)
    def test_what_arrives_is_what_was_written_or_its_beginning_where_it_was_cut(
        self, steps: list[tuple[str, int]]
    ) -> None:
        house = House()
        story = Story(house)
        for number, (step, size) in enumerate(steps):
            story.take(step, number, size)
            self.assertTrue(story.in_order or story.cut)
        story.pair.socket.room = None
        house.reactor.settle()
        arrived = story.pair.client.data
        self.assertEqual(arrived, story.written[: len(arrived)])
        self.assertTrue(story.cut or arrived == story.written)
        self.assertEqual(len(story.pair.server.reasons), int(not story.open))
