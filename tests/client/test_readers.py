"""Several readers of one profile: all see what is new, what waited before belongs to the first."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client import readers
from e2ee.client.events import (
    KeyChanged,
    MessageFailed,
    MessageReceived,
    ReceiptReceived,
    Selection,
    SentState,
    ShownEvent,
    UnreadOf,
)
from e2ee.client.readers import PAGE, Reader
from e2ee.store.client import arrivals
from e2ee.store.client.arrivals import Arrival, ArrivalKind
from e2ee.store.connection import Connection
from tests.client.people import World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"


class Reading(SynchronousTestCase):
    """Bob reads what Alice and Carol write."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()

    def reader(self, *, listening: bool = True) -> Reader:
        reader = self.bob.messenger.readers.enter()
        if listening:
            self.bob.run(reader.listen(None))
        return reader

    def write(self, *texts: str) -> None:
        for text in texts:
            self.alice.say(self.bob, text)

    def take(self, reader: Reader, most: int | None = None, selection: Selection | None = None) -> list[str]:
        return texts_of(self.bob.run(reader.take(most, selection)))

    def show(self, reader: Reader, most: int | None = None) -> list[str]:
        """Everything that this one may show, shown."""
        shown: list[str] = []
        while most is None or len(shown) < most:
            events = self.bob.run(reader.take(None if most is None else most - len(shown), None))
            if not events:
                break
            positions = [event.position for event in events]
            granted = self.bob.run(reader.mark_printing(positions))
            self.bob.run(reader.mark_shown(granted))
            shown += texts_of([event for event in events if event.position in granted])
        return shown


def texts_of(events: list[ShownEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, MessageReceived)]


class BacklogTests(Reading):
    """What waited before anybody listened."""

    def test_it_belongs_to_the_first_who_asks(self) -> None:
        self.write("one", "two", "three")
        first, second = self.reader(), self.reader()
        self.assertEqual(self.take(first), ["one", "two", "three"])
        self.assertEqual(self.take(second), [])
        self.assertEqual(sum(one.texts for one in self.bob.run(second.unread())), 0)
        self.assertEqual(sum(one.texts for one in self.bob.run(first.unread())), 3)
        self.assertEqual(self.show(first), ["one", "two", "three"])

    def test_the_unread_are_counted_for_each_sender(self) -> None:
        self.write("one", "two")
        first, second = self.reader(), self.reader()
        unread = [UnreadOf(self.alice.address, None, 2)]
        self.assertEqual(self.bob.run(first.unread()), unread)
        self.take(first)
        self.assertEqual(self.bob.run(first.unread()), unread)
        self.assertEqual(self.bob.run(second.unread()), [])
        self.show(first)
        self.assertEqual(self.bob.run(first.unread()), [])

    def test_of_two_who_ask_at_once_one_gets_all(self) -> None:
        self.write("one", "two")
        first, second = self.reader(), self.reader()
        tasks = [Deferred.fromCoroutine(one.take(None, None)) for one in (first, second)]
        self.world.settle()
        self.assertEqual([texts_of(self.successResultOf(task)) for task in tasks], [["one", "two"], []])

    def test_who_wants_only_some_leaves_the_rest(self) -> None:
        self.write("one", "two", "three")
        first, second = self.reader(), self.reader()
        self.assertEqual(self.take(first, 2), ["one", "two"])
        self.assertEqual(self.take(second), ["three"])

    def test_more_than_a_page_is_the_firsts_as_a_whole(self) -> None:
        def fill(tx: Connection) -> None:
            for number in range(2 * PAGE + 1):
                arrivals.add_arrival(tx, Arrival(ArrivalKind.GAP, self.alice.address, number, missing=1))

        self.bob.run(self.bob.vault.write(fill))
        first, second = self.reader(), self.reader()
        self.assertEqual(len(self.bob.run(first.take(None, None))), PAGE)
        self.assertEqual(self.bob.run(second.take(None, None)), [])
        found = 0
        while events := self.bob.run(first.take(None, None)):
            found += len(events)
            self.bob.run(first.mark_shown(event.position for event in events))
        self.assertEqual(found, 2 * PAGE + 1)

    def test_a_page_has_a_size_too(self) -> None:
        self.write(*(f"{number}" + "x" * 60_000 for number in range(12)))
        reader = self.reader()
        page = self.take(reader)
        self.assertLess(len(page), 12)
        self.assertLessEqual(sum(4 * len(text) for text in page), readers.PAGE_BYTES)
        self.assertEqual(len(self.show(reader)), 12)

    def test_what_was_reserved_goes_back_with_who_leaves(self) -> None:
        self.write("one", "two")
        first, second = self.reader(), self.reader()
        self.take(first)
        self.bob.run(first.leave())
        self.bob.run(first.leave())
        self.assertEqual(self.show(second), ["one", "two"])

    def test_what_was_being_printed_comes_as_repeated(self) -> None:
        self.write("one", "two")
        first, second = self.reader(), self.reader()
        events = self.bob.run(first.take(None, None))
        self.bob.run(first.mark_printing([events[0].position]))
        self.bob.run(first.leave())
        again = self.bob.run(second.take(None, None))
        self.assertEqual([event.repeated for event in again], [True, False])

    def test_a_selection_takes_nothing_else(self) -> None:
        carol = self.world.person(CAROL).start()
        self.write("from alice")
        carol.say(self.bob, "from carol")
        self.bob.run(
            self.bob.vault.write(
                lambda tx: arrivals.add_arrival(tx, Arrival(ArrivalKind.KEY_CHANGED, carol.address, 5))
            )
        )
        first, second = self.reader(), self.reader()
        affairs = self.bob.run(first.take(None, Selection(own_affairs=True)))
        self.assertEqual([type(event) for event in affairs], [KeyChanged])
        self.assertEqual(self.take(first, None, Selection(people=(carol.address,))), ["from carol"])
        self.assertEqual(self.take(second), ["from alice"])


class NewsTests(Reading):
    """What comes while readers listen."""

    def test_all_who_listen_see_it_once_each(self) -> None:
        first, second, third = self.reader(), self.reader(), self.reader()
        self.write("one", "two")
        for reader in (first, second, third):
            self.assertEqual(self.show(reader), ["one", "two"])
            self.assertEqual(self.show(reader), [])
        self.assertEqual(self.show(self.reader()), [])

    def test_it_is_shown_when_the_first_has_flushed_it(self) -> None:
        first, second = self.reader(), self.reader()
        self.write("one")
        self.assertEqual(self.show(first), ["one"])
        self.assertEqual(self.show(self.reader()), [])
        self.assertEqual(sum(one.texts for one in self.bob.run(second.unread())), 1)
        self.bob.run(second.leave())
        self.assertEqual(self.show(self.reader()), [])

    def test_both_may_be_printing_it(self) -> None:
        first, second = self.reader(), self.reader()
        self.write("one")
        (event,) = self.bob.run(first.take(None, None))
        self.assertEqual(self.bob.run(first.mark_printing([event.position])), [event.position])
        self.assertEqual(self.show(second), ["one"])
        self.bob.run(first.mark_shown([event.position]))

    def test_who_does_not_listen_gets_what_is_left(self) -> None:
        first, idle = self.reader(), self.reader(listening=False)
        self.write("one")
        self.assertEqual(self.show(first), ["one"])
        self.assertEqual(self.show(idle), [])

    def test_each_keeps_the_order(self) -> None:
        self.write("old")
        first, second = self.reader(), self.reader()
        self.assertEqual(self.show(first), ["old"])
        self.write("one", "two", "three")
        self.assertEqual(self.show(second, 1), ["one"])
        self.assertEqual(self.show(first), ["one", "two", "three"])
        self.write("four")
        self.assertEqual(self.show(second), ["two", "three", "four"])

    def test_what_was_shown_since_is_not_granted(self) -> None:
        first, late = self.reader(), self.reader(listening=False)
        self.write("one")
        (event,) = self.bob.run(first.take(None, None))
        self.assertEqual(self.bob.run(late.mark_printing([event.position])), [])
        self.bob.run(first.mark_shown([event.position]))
        self.assertEqual(self.bob.run(late.mark_printing([event.position])), [])

    def test_a_slow_one_is_kept_a_bounded_amount(self) -> None:
        self.patch(readers, "KEPT_BYTES", 5000)
        first, slow = self.reader(), self.reader()
        self.write(*(f"{number} " + "x" * 200 for number in range(10)))
        self.assertEqual(len(self.show(first)), 10)
        kept = self.show(slow)
        self.assertEqual([text.split()[0] for text in kept], ["7", "8", "9"])

    def test_who_listens_again_learns_what_he_missed(self) -> None:
        self.write("old")
        position, missed = self.bob.run(self.reader(listening=False).listen(None))
        self.assertEqual(missed, [])
        self.write("new")
        _, missed = self.bob.run(self.reader(listening=False).listen(position))
        self.assertEqual(texts_of(missed), ["new"])


class GoneTests(Reading):
    """What came while two listened, and went before the second has shown it."""

    def setUp(self) -> None:
        super().setUp()
        self.bob.say(self.alice, "hello")
        self.first, self.second = self.reader(), self.reader()

    def assertNotShown(self, reader: Reader) -> None:
        self.assertEqual(self.bob.run(reader.unread()), [])
        self.assertEqual(self.show(reader), [])

    def block(self) -> None:
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))

    def test_of_somebody_who_is_blocked_neither_shows_anything(self) -> None:
        self.write("one")
        self.alice.run(self.alice.messenger.book.set_timer(self.bob.address, 60))
        self.world.settle()
        self.block()
        for reader in (self.first, self.second):
            self.assertNotShown(reader)
            self.assertEqual(self.bob.run(reader.take(None, None)), [])

    def test_nor_does_the_second_what_the_first_has_shown(self) -> None:
        self.write("one")
        self.assertEqual(self.show(self.first), ["one"])
        self.block()
        self.assertNotShown(self.second)

    def test_nor_what_it_was_about_to_show(self) -> None:
        self.write("one")
        (event,) = self.bob.run(self.second.take(None, None))
        self.block()
        self.assertEqual(self.bob.run(self.second.mark_printing([event.position])), [])
        self.assertNotShown(self.second)

    def test_what_others_wrote_is_shown_all_the_same(self) -> None:
        carol = self.world.person(CAROL).start()
        self.write("one")
        carol.say(self.bob, "from carol")
        self.block()
        self.assertEqual(self.show(self.first), ["from carol"])
        self.assertEqual(self.show(self.second), ["from carol"])

    def test_and_that_an_own_text_to_a_blocked_one_has_failed(self) -> None:
        self.bob.link.disconnect()
        self.bob.say(self.alice, "late")
        self.world.clock.advance(31 * 86_400)
        self.bob.link.connect()
        self.world.settle()
        self.block()
        for reader in (self.first, self.second):
            (event,) = self.bob.run(reader.take(None, None))
            assert isinstance(event, MessageFailed)
            self.bob.run(reader.mark_shown(self.bob.run(reader.mark_printing([event.position]))))

    def test_what_was_forgotten_is_shown_to_nobody(self) -> None:
        self.write("one", "two")
        self.assertEqual(self.show(self.first, 1), ["one"])
        self.bob.run(self.bob.messenger.archive.forget_conversation(self.alice.address))
        self.assertNotShown(self.first)
        self.assertNotShown(self.second)

    def test_nor_what_has_disappeared(self) -> None:
        self.alice.run(self.alice.messenger.book.set_timer(self.bob.address, 60))
        self.write("one")
        self.assertEqual(self.show(self.first), ["one"])
        self.assertEqual([one.texts for one in self.bob.run(self.second.unread())], [1])
        self.world.wait(61)
        self.assertNotShown(self.second)

    def test_nor_that_an_own_text_was_read_which_was_forgotten_since(self) -> None:
        sent = self.bob.say(self.alice, "mine")
        told = ReceiptReceived(sent.message_id, self.alice.address, None, SentState.READ, 0, False, 1000)
        self.second.keep(told)
        self.assertEqual(self.bob.run(self.second.take(None, None)), [told])
        self.bob.run(self.bob.messenger.archive.forget_message(sent.message_id))
        self.assertEqual(self.bob.run(self.second.take(None, None)), [])
        self.assertEqual(self.bob.run(self.second.mark_printing([1000])), [])
