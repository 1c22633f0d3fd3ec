"""The past is found by its words, people and times; what is forgotten is in no file any more."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from sqlcipher3 import dbapi2
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address, DeviceId, MessageId
from e2ee.store.client import arrivals, contacts, history, messages, outbox
from e2ee.store.client.arrivals import Arrival, ArrivalKind
from e2ee.store.client.history import MANY, Past
from e2ee.store.client.messages import HELD, RELEASED, MessageRecord, Stream
from e2ee.store.client.search import parse_search
from e2ee.store.connection import Connection

ALICE, BOB = Address("+15550100101"), Address("+15550100102")
DEVICE = DeviceId(b"\x01" * 8)
NOW = 1_000_000


def message_id(number: int) -> MessageId:
    return MessageId(number.to_bytes(16, "big"))


def received(number: int, text: str, sender: Address = BOB) -> MessageRecord:
    """What came in at `number` seconds."""
    return MessageRecord(
        "in", sender, DEVICE, message_id(number), number, 5, number * 1000, text, False, False, RELEASED
    )


def own(number: int, text: str, to: Address = BOB) -> MessageRecord:
    """What was sent at `number` seconds."""
    return replace(
        received(number, text, to), direction="out", device=None, sent_at=number * 1000, received_at=None,
        state="stored",
    )  # fmt: skip


class HistoryCase(SynchronousTestCase):
    """A vault's tables in memory."""

    def setUp(self) -> None:
        self.tx: Connection = dbapi2.connect(":memory:", isolation_level=None)
        self.addCleanup(self.tx.close)
        self.tx.executescript(files("e2ee.store.schema.client").joinpath("0001.sql").read_text())
        self.tx.execute("PRAGMA foreign_keys = ON")

    def add(self, *records: MessageRecord) -> list[int]:
        for record in records:
            contacts.keep_contact(self.tx, record.address)
        return [messages.add_message(self.tx, record) for record in records]

    def texts(self, past: Past) -> list[str]:
        return [record.text for record in history.load(self.tx, history.find(self.tx, past))]

    def search(self, text: str, past: Past | None = None) -> list[str]:
        return self.texts(replace(past or Past(), search=parse_search(text)))


class FindTests(HistoryCase):
    """docs/command-line.md, `history`."""

    def setUp(self) -> None:
        super().setUp()
        self.rows = self.add(
            received(1, "one invoice"),
            own(2, "two, 100%"),
            received(3, "three invoices", ALICE),
            own(4, "four", ALICE),
        )

    def test_all_of_it_is_in_the_order_of_display(self) -> None:
        self.assertEqual(self.texts(Past()), ["one invoice", "two, 100%", "three invoices", "four"])

    def test_by_contact_and_direction(self) -> None:
        self.assertEqual(self.texts(Past(BOB)), ["one invoice", "two, 100%"])
        self.assertEqual(self.texts(Past(direction="in")), ["one invoice", "three invoices"])
        self.assertEqual(self.texts(Past(ALICE, "out")), ["four"])

    def test_by_time_from_the_first_moment_to_before_the_last(self) -> None:
        self.assertEqual(self.texts(Past(since=2000, until=4000)), ["two, 100%", "three invoices"])
        self.assertEqual(self.texts(Past(since=2001, until=4001)), ["three invoices", "four"])

    def test_the_limit_counts_from_the_newest_of_what_fits(self) -> None:
        self.assertEqual(self.texts(Past(limit=2)), ["three invoices", "four"])
        self.assertEqual(self.texts(Past(BOB, limit=1)), ["two, 100%"])
        self.assertEqual(self.search("invoice", Past(limit=1)), ["three invoices"])

    def test_by_words_together_with_all_else(self) -> None:
        self.assertEqual(self.search("INVOICE"), ["one invoice", "three invoices"])
        self.assertEqual(self.search("invoice", Past(BOB)), ["one invoice"])
        self.assertEqual(self.search("invoice", Past(direction="out")), [])
        self.assertEqual(self.search("two 100%", Past(limit=1)), ["two, 100%"])
        self.assertEqual(self.search("TWO, 100%"), ["two, 100%"])

    def test_what_waits_for_a_gap_is_not_past(self) -> None:
        (row,) = self.add(replace(received(9, "held invoice"), state=HELD))
        self.assertEqual(self.search("held"), [])
        messages.release_message(self.tx, row)
        self.assertEqual(self.search("held"), ["held invoice"])

    def test_a_changed_text_is_found_by_its_new_words_only(self) -> None:
        self.tx.execute("UPDATE message SET text = 'uno' WHERE row = ?", (self.rows[0],))
        self.assertEqual((self.search("one"), self.search("uno")), ([], ["uno"]))


class ForgetTests(HistoryCase):
    """docs/command-line.md, `forget`."""

    def test_what_is_forgotten_is_not_found(self) -> None:
        rows = self.add(received(1, "one"), received(2, "two"))
        history.forget(self.tx, rows[:1], NOW)
        self.assertEqual((self.texts(Past()), self.search("one"), self.search("two")), (["two"], [], ["two"]))
        self.assertEqual(history.load(self.tx, rows)[0].text, "two")

    def test_so_is_much_at_once(self) -> None:
        rows = self.add(*(received(number, f"number {number}") for number in range(1, MANY + 3)))
        history.forget(self.tx, rows[1:], NOW)
        self.assertEqual((self.search("number"), self.search("number 2")), (["number 1"], []))
        self.add(received(MANY + 9, "number again"))
        self.assertEqual(self.search("again"), ["number again"])
        self.assert_index_is_sound()

    def assert_index_is_sound(self) -> None:
        self.tx.execute("INSERT INTO message_word (message_word, rank) VALUES ('integrity-check', 1)")
        setting = self.tx.execute("SELECT v FROM message_word_config WHERE k = 'secure-delete'").fetchone()
        self.assertEqual(setting, (1,))

    def test_the_unshown_of_it_goes_too(self) -> None:
        rows = self.add(received(1, "one"), received(2, "two"))
        for row in rows:
            arrivals.add_arrival(self.tx, Arrival(ArrivalKind.MESSAGE, BOB, 1, message=row))
        history.forget(self.tx, rows[:1], NOW)
        self.assertEqual([one.message for one in arrivals.unshown_arrivals(self.tx, 0, 9)], [rows[1]])

    def test_it_is_still_known_as_received_for_a_while(self) -> None:
        rows = self.add(received(7, "seven"))
        history.forget(self.tx, rows, NOW)
        stream = Stream(BOB, DEVICE)
        history.forget_forgotten(self.tx, NOW)
        self.assertTrue(messages.is_received(self.tx, BOB, message_id(7)))
        self.assertTrue(messages.has_sequence(self.tx, stream, 7))
        self.assertFalse(messages.is_received(self.tx, ALICE, message_id(7)))
        self.assertFalse(messages.has_sequence(self.tx, stream, 8))
        history.forget_forgotten(self.tx, NOW + 1)
        self.assertFalse(messages.is_received(self.tx, BOB, message_id(7)))

    def test_own_and_received_texts_are_found_by_their_id(self) -> None:
        rows = self.add(own(1, "mine"), received(1, "theirs"), received(2, "another"))
        self.assertEqual(sorted(history.rows_of_message(self.tx, message_id(1))), rows[:2])

    def test_what_waits_is_told_apart(self) -> None:
        rows = self.add(own(1, "waits"), own(2, "left"))
        outbox.add_to_outbox(self.tx, BOB, rows[0], NOW)
        self.assertEqual(history.without_waiting(self.tx, rows), rows[1:])


class FileTests(SynchronousTestCase):
    """The same tables in a file without encryption, to look into it."""

    SECRET = b"zqxjkvwp"

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.tx: Connection = dbapi2.connect(str(self.path), isolation_level=None)
        self.addCleanup(self.tx.close)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "foreign_keys = ON"):
            self.tx.execute(f"PRAGMA {pragma}")
        self.tx.executescript(files("e2ee.store.schema.client").joinpath("0001.sql").read_text())

    def content(self) -> bytes:
        """All files of the database after the log was emptied, as at the end of every command."""
        self.tx.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found = b"".join(path.read_bytes() for path in self.path.parent.glob(self.path.name + "*"))
        return found.lower()

    def forget(self, secret: int, others: int) -> None:
        """Keep so many texts with the secret, and so many without, forget the former, and look."""
        every = others // secret + 1
        self.tx.execute("BEGIN")
        for number in range(1, secret + others + 1):
            word = "Zqxjkvwp" if number % every == 0 else "nothing"
            messages.add_message(self.tx, received(number, f"here {word} {number}"))
        self.tx.execute("COMMIT")
        self.assertIn(self.SECRET, self.content())
        gone = history.find(self.tx, Past(search=parse_search("zqxjkvwp")))
        self.assertGreaterEqual(len(gone), secret)
        self.tx.execute("BEGIN")
        history.forget(self.tx, gone, NOW)
        self.tx.execute("COMMIT")
        content = self.content()
        self.assertNotIn(self.SECRET, content)
        # The index may keep the beginning of a word with its neighbour.
        self.assertNotIn(self.SECRET[3:], content)
        self.assertEqual(len(history.find(self.tx, Past())), secret + others - len(gone))

    def test_a_forgotten_text_is_in_no_file_nor_are_its_words(self) -> None:
        self.forget(1, 300)

    def test_nor_are_some(self) -> None:
        self.forget(20, 300)

    def test_nor_are_many(self) -> None:
        self.forget(MANY + 1, 2 * (MANY + 1))
