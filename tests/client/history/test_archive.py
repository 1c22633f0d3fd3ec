"""The past, and texts that are forgotten without a trace in the conversation."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import Forgotten, Gap, HistoryQuery, MessageReceived
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.store.client import contacts, messages
from tests.client.people import World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"


class ArchiveCase(SynchronousTestCase):
    """Bob, who talks to Alice and Carol."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.carol = self.world.person(CAROL).start()

    def texts(self, query: HistoryQuery | None = None) -> list[str]:
        return [entry.text for entry in self.bob.past(query)]

    def forget(self, message_id: MessageId) -> Forgotten:
        return self.bob.run(self.bob.messenger.archive.forget_message(message_id))


class QueryTests(ArchiveCase):
    """docs/command-line.md, `history`."""

    def test_all_that_a_query_says_counts(self) -> None:
        self.alice.say(self.bob, "invoice one")
        self.bob.say(self.alice, "invoice two")
        self.world.wait(1)
        self.carol.say(self.bob, "invoice three")
        now = int(self.world.clock.seconds() * 1000)
        for query, texts in (
            (HistoryQuery(search="invoice t"), ["invoice two", "invoice three"]),
            (HistoryQuery(self.alice.address, "invoice"), ["invoice one", "invoice two"]),
            (HistoryQuery(search="INV", direction="in"), ["invoice one", "invoice three"]),
            (HistoryQuery(until=now), ["invoice one", "invoice two"]),
            (HistoryQuery(since=now), ["invoice three"]),
            (HistoryQuery(search="invoice", limit=1), ["invoice three"]),
        ):
            self.assertEqual(self.texts(query), texts, query)


class ForgetTests(ArchiveCase):
    """docs/command-line.md, `forget`."""

    def test_a_message_goes_and_the_others_stay(self) -> None:
        self.alice.say(self.bob, "one")
        self.alice.say(self.bob, "two")
        mine = self.bob.say(self.alice, "three")
        (one, two) = [event.message_id for event in self.bob.heard(MessageReceived)]
        self.assertEqual(self.forget(one), Forgotten(1))
        self.assertEqual(self.forget(mine.message_id), Forgotten(1))
        self.assertEqual(self.texts(), ["two"])
        self.assertEqual(self.bob.read(), ["two"])
        for unknown in (one, mine.message_id):
            with self.assertRaises(Failure) as caught:
                self.forget(unknown)
            self.assertIs(caught.exception.code, Code.USAGE)
        self.forget(two)

    def test_the_other_side_keeps_it_and_the_conversation_goes_on(self) -> None:
        self.alice.say(self.bob, "one")
        self.bob.say(self.alice, "two")
        forgotten = self.bob.run(self.bob.messenger.archive.forget_conversation(self.alice.address))
        self.assertEqual((forgotten, self.texts()), (Forgotten(2), []))
        self.alice.say(self.bob, "three")
        self.assertEqual((self.texts(), self.bob.heard(Gap)), (["three"], []))
        self.assertEqual(self.alice.read(), ["two"])

    def test_a_conversation_goes_without_its_neighbours_and_without_its_keys(self) -> None:
        self.alice.say(self.bob, "one")
        self.carol.say(self.bob, "two")
        self.bob.run(self.bob.messenger.archive.forget_conversation(self.alice.address))
        self.assertEqual(self.texts(), ["two"])
        known = self.bob.run(
            self.bob.vault.read(lambda tx: contacts.load_contact(tx, self.alice.address))
        )
        self.assertIsNotNone(known.trusted_key)

    def test_what_waits_to_be_accepted_stays(self) -> None:
        self.bob.say(self.alice, "left")
        self.bob.link.disconnect()
        waiting = self.bob.queue(self.alice, "waits")
        with self.assertRaises(Failure) as caught:
            self.forget(waiting.message_id)
        self.assertIs(caught.exception.code, Code.FAILED)
        self.assertIn("outbox cancel", caught.exception.sentence)
        forgotten = self.bob.run(self.bob.messenger.archive.forget_conversation(self.alice.address))
        self.assertEqual((forgotten, self.texts()), (Forgotten(1, 1), ["waits"]))
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.alice.read(), ["left", "waits"])

    def test_a_forgotten_text_is_no_hole_in_the_senders_numbers(self) -> None:
        self.alice.say(self.bob, "1")
        self.bob.link.disconnect()
        for text in ("2", "3"):
            self.alice.say(self.bob, text)
        two = self.bob.stored.mailbox[0]
        self.bob.stored.mailbox.remove(two)
        self.bob.link.connect()
        self.world.wait(6)
        self.assertEqual(self.texts(), ["1", "3"])
        self.bob.run(self.bob.messenger.archive.forget_conversation(self.alice.address))
        self.bob.stored.mailbox.append(two)
        self.bob.link.push_envelopes([two])
        self.world.settle()
        device = self.alice.own.device
        stream = self.bob.run(
            self.bob.vault.read(lambda tx: messages.load_stream(tx, self.alice.address, device))
        )
        self.assertEqual((self.texts(), stream.received_up_to), (["2"], 3))
