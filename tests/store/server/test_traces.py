"""What the server's files still show of rows that are gone, to a thief who has their key as well."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from e2ee.ids import Address, EnvelopeId
from e2ee.store.connection import Connection, connect
from e2ee.store.database import TRUNCATE_SECONDS, Database
from e2ee.store.server import ports, traces
from e2ee.store.server.snapshot import open_copy, write_snapshot
from e2ee.store.server.traces import PACE, Traces
from e2ee.store.stepping import sqlite_error
from tests.store.contract.fixture import MAILBOX_LIMITS, at, new_account
from tests.store.server.sql import KEY, OnDatabase, SqlStores
from tests.store.vault_image import image, image_anew

PEOPLE = [Address(f"+155501{number:05}") for number in range(40)]


class TracesCase(OnDatabase):
    """Forty people on a database that is tidied; time costs nothing unless a test says so."""

    def setUp(self) -> None:
        self.seconds = 0.0
        self.random = random.Random(7)
        super().setUp()
        for address in PEOPLE:
            self.register(new_account(address))
        self.epochs: dict[Address, int] = {}
        self.tidy()

    def open(self) -> None:
        """With the server's tidying."""
        self.traces = Traces(lambda: self.seconds)
        self.database = self.successResultOf(
            Deferred.fromCoroutine(
                Database.open(
                    self.path, KEY, "server", self.clock, self.broken.append, tidy=self.traces.tidy,
                    lanes=self.lanes, connector=self.faults.connector,
                )
            )
        )  # fmt: skip
        self.stores = SqlStores(self.database)
        self.mailbox = self.stores.mailbox(MAILBOX_LIMITS)

    def tidy(self) -> None:
        """As long as it may take."""
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertEqual(self.path.with_name(self.path.name + "-wal").stat().st_size, 0)

    def mail(self, count: int, size: int = 300) -> list[tuple[ports.MailItem, int]]:
        """So many envelopes from anybody to anybody, with their places."""
        stored = []
        for _ in range(count):
            sender, to = self.random.sample(PEOPLE, 2)
            envelope = self.random.randbytes(self.random.randrange(size, 4 * size))
            item = ports.MailItem(at(to), at(sender), EnvelopeId.of(envelope), envelope, True)
            (result,) = self.done(self.mailbox.append([item], self.clock.seconds()))
            assert isinstance(result, ports.Appended)
            stored.append((item, result.seq))
        return stored

    def deliver(self, stored: list[tuple[ports.MailItem, int]]) -> None:
        """To each of them what has come, in any order."""
        self.random.shuffle(stored)
        for item, seq in stored:
            if item.to.address not in self.epochs:
                attached = self.done(self.mailbox.attach(item.to))
                assert attached is not None
                self.epochs[item.to.address] = attached.epoch
            self.done(self.mailbox.remove(item.to, self.epochs[item.to.address], [seq]))

    def seen_of(self, stored: list[tuple[ports.MailItem, int]]) -> int:
        """Of how many envelopes a part, or the id, is in the files."""
        stolen = image(self.path, KEY)
        return sum(any(part in stolen for part in _parts(item)) for item, _ in stored)

    def rows(self, sql: str) -> list[Any]:
        return self.done(self.database.read(lambda connection: connection.execute(sql).fetchall()))

    def extra_numbers(self) -> dict[Address, int]:
        """How much oftener each number is in the files than in a database made anew of the rows."""
        stolen, clean = image(self.path, KEY), image_anew(self.path, KEY)
        counts = {each: stolen.count(each.encode()) - clean.count(each.encode()) for each in PEOPLE}
        return {each: count for each, count in counts.items() if count}


def _parts(item: ports.MailItem) -> Iterator[bytes]:
    """Its id, and sixteen bytes of its envelope at many places."""
    yield bytes(item.envelope_id)
    for start in range(0, len(item.envelope) - 16, 50):
        yield item.envelope[start : start + 16]


class DeliveredMail(TracesCase):
    """Somebody else's mail waits for long; what was delivered is gone nevertheless."""

    def test_nothing_of_it_is_in_any_page(self) -> None:
        waiting = self.mail(60)
        gone = self.mail(200)
        self.deliver(gone)
        self.tidy()
        self.assertEqual(self.seen_of(gone), 0)
        self.assertEqual(self.seen_of(waiting), len(waiting))
        self.assertEqual(len(self.rows("SELECT 1 FROM mail")), len(waiting))

    def test_and_no_pair(self) -> None:
        self.mail(20)
        self.deliver(self.mail(200))
        self.tidy()
        self.assertEqual(self.extra_numbers(), {})

    def test_mailboxes_go_on_where_they_were(self) -> None:
        waiting = self.mail(40)
        gone = self.mail(40)
        devices = self.rows("SELECT id, last_seq FROM device ORDER BY id")
        self.deliver(gone)
        kept = self.rows("SELECT * FROM mail ORDER BY device_id, seq")
        shares = self.rows("SELECT * FROM share")
        self.tidy()
        self.assertEqual(self.rows("SELECT * FROM mail ORDER BY device_id, seq"), kept)
        self.assertEqual(self.rows("SELECT * FROM share"), shares)
        self.assertEqual(self.rows("SELECT id, last_seq FROM device ORDER BY id"), devices)
        self.assertEqual(self.rows("SELECT total(messages) FROM device"), [(len(waiting),)])
        # The triggers are there again, and no place in a mailbox is given twice.
        after = self.mail(40)
        places = [(item.to, seq) for item, seq in waiting + gone + after]
        self.assertEqual(len(set(places)), len(places))
        self.deliver(after + waiting)
        self.assertEqual(self.rows("SELECT total(messages), total(bytes) FROM device"), [(0, 0)])
        self.assertEqual(self.rows("SELECT * FROM share"), [])

    def test_a_new_number_of_a_notice_is_above_all_that_ever_were(self) -> None:
        def leave(connection: Connection) -> int:
            connection.execute("INSERT INTO notice VALUES (NULL, 1, 'expired', x'')")
            (number,) = connection.execute("SELECT max(number) FROM notice").fetchone()
            connection.execute("DELETE FROM notice")
            return int(number)

        first = self.done(self.database.write(leave))
        self.tidy()
        self.assertEqual(self.done(self.database.write(leave)), first + 1)

    def test_foreign_keys_act_again_afterwards(self) -> None:
        self.mail(40)
        self.tidy()
        self.done(self.stores.accounts.delete(PEOPLE[0], 0.0))
        self.assertEqual(self.rows("PRAGMA foreign_key_check"), [])
        self.assertEqual(len(self.rows("SELECT 1 FROM device")), len(PEOPLE) - 1)
        self.assertEqual(self.rows("SELECT 1 FROM mail WHERE device_id = 1"), [])


class Churn(TracesCase):
    """Rows of any size come and go, until SQLite has laid out pages anew."""

    INSERT = {  # noqa: RUF012 - never changed
        "mail": "INSERT INTO mail VALUES (1, :n, :id, :who, x'', :id, 1, 1, 0, :body)",
        "notice": "INSERT INTO notice VALUES (:n, 1, 'expired', :body)",
        "passcode": "INSERT INTO passcode VALUES (:id, :who, :body, 5, 0, NULL, 0)",
        "bucket": "INSERT INTO bucket VALUES ('codes', hex(:body), 0)",
    }
    DELETE = {  # noqa: RUF012
        "mail": "DELETE FROM mail WHERE device_id = 1 AND seq = :n",
        "notice": "DELETE FROM notice WHERE number = :n",
        "passcode": "DELETE FROM passcode WHERE session = :id",
        "bucket": "DELETE FROM bucket WHERE key = hex(:body)",
    }

    def churn(self, table: str, seed: int) -> list[bytes]:
        """A thousand rows, most of which are deleted; the content of these."""
        source = random.Random(seed)
        live: list[dict[str, Any]] = []
        gone: list[dict[str, Any]] = []

        def turn(connection: Connection, first: int) -> None:
            for number in range(first, first + 10):
                body = source.randbytes(source.randrange(20, 400))
                live.append({"n": number, "id": body[:16], "body": body, "who": PEOPLE[number % 40]})
                connection.execute(self.INSERT[table], live[-1])
            source.shuffle(live)
            for _ in range(source.randrange(20)):
                if live:
                    gone.append(live.pop())
                    connection.execute(self.DELETE[table], gone[-1])

        for first in range(seed * 1000 + 1, seed * 1000 + 1001, 10):
            self.done(self.database.write(partial(turn, first=first)))
        return [row["body"].hex().upper().encode() if table == "bucket" else row["body"] for row in gone]

    def found(self, table: str, seed: int) -> int:
        """How many of the deleted rows are still somewhere."""
        gone = self.churn(table, seed)
        self.tidy()
        stolen = image(self.path, KEY)
        return sum(
            any(body[start : start + 16] in stolen for start in range(0, len(body) - 15, 16))
            for body in gone
        )

    def test_no_table_keeps_any_of_it(self) -> None:
        for table in self.INSERT:
            for seed in (1, 6):
                self.assertEqual((table, seed, self.found(table, seed)), (table, seed, 0))

    def test_a_database_that_is_not_tidied_keeps_some_of_it(self) -> None:
        """So that the tests above can fail."""
        self.close()
        self.patch(Traces, "tidy", lambda self, tx: True)
        self.open()
        self.assertTrue(any(self.found("notice", seed) for seed in range(1, 30)))


class Turns(TracesCase):
    """When a table is laid out anew, and when not."""

    def setUp(self) -> None:
        super().setUp()
        self.cost = 0.0
        self.laid_out: list[str] = []
        real = traces.lay_out_anew

        def noted(tx: Connection, table: str) -> None:
            self.laid_out.append(table)
            self.seconds += self.cost
            real(tx, table)

        self.patch(traces, "lay_out_anew", noted)

    def pass_on(self) -> None:
        """One envelope comes and goes."""
        self.deliver(self.mail(1))

    def test_mail_and_people_only_after_some_have_gone(self) -> None:
        self.mail(3)
        self.tidy()
        self.assertEqual(self.laid_out, list(traces.PASSING))
        self.pass_on()
        self.tidy()
        self.assertEqual(self.laid_out[len(traces.PASSING) :], [*traces.PASSING, "mail"])
        self.done(self.stores.accounts.delete(PEOPLE[0], 0.0))
        self.tidy()
        before = 2 * len(traces.PASSING) + 1
        self.assertEqual(self.laid_out[before:], [*traces.PASSING, *traces.LASTING, "mail"])

    def test_nothing_after_a_write_that_leaves_no_trace(self) -> None:
        self.done(self.database.write(lambda connection: None, traceless=True))
        self.tidy()
        self.assertEqual(self.laid_out, [])

    def test_no_table_takes_more_than_its_part_of_the_time(self) -> None:
        self.cost = 0.1
        self.pass_on()
        self.tidy()
        self.assertEqual(self.laid_out.count("mail"), 1)
        self.pass_on()
        self.tidy()
        self.assertEqual(self.laid_out.count("mail"), 1)
        self.seconds += PACE * self.cost
        self.tidy()
        self.assertEqual(self.laid_out.count("mail"), 2)
        self.seconds += 10 * PACE * self.cost
        del self.laid_out[:]
        self.tidy()
        self.assertEqual(self.laid_out, [], "there was nothing left to do")

    def test_what_is_too_large_waits_until_it_is_smaller(self) -> None:
        waiting = self.mail(3)
        size = sum(len(item.envelope) for item, _ in waiting)
        for name, least in (("MOST_BYTES", size - 1), ("MOST_ROWS", 2)):
            with self.subTest(name):
                self.patch(traces, name, least)
                self.pass_on()
                self.tidy()
                self.assertNotIn("mail", self.laid_out)
                self.patch(traces, name, least + 1)
                self.tidy()
                self.assertIn("mail", self.laid_out)
                del self.laid_out[:]

    def test_on_a_full_disk_it_is_tried_again_and_nothing_is_lost(self) -> None:
        waiting = self.mail(20)
        self.pass_on()
        self.faults.add("INSERT INTO main.mail", sqlite_error(13, "database or disk is full"))
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertEqual(self.rows("SELECT count(*) FROM mail"), [(len(waiting),)])
        asked = self.database.write(lambda tx: tx.execute("PRAGMA foreign_keys").fetchone())
        self.assertEqual(self.done(asked), (1,))
        del self.laid_out[:]
        self.tidy()
        self.assertIn("mail", self.laid_out)
        self.assertEqual(self.rows("SELECT count(*) FROM mail"), [(len(waiting),)])
        self.assertEqual(self.broken, [])

    def test_what_was_rolled_back_with_another_table_is_done_again(self) -> None:
        self.done(self.stores.accounts.delete(PEOPLE[0], 0.0))
        self.faults.add("INSERT INTO main.mail", sqlite_error(13, "database or disk is full"))
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertIn("account", self.laid_out)
        del self.laid_out[:]
        self.tidy()
        self.assertTrue({"account", "device", "mail"} <= set(self.laid_out), self.laid_out)

    def test_an_account_that_came_and_went_between_two_turns_is_not_overlooked(self) -> None:
        passing = Address("+15550199999")
        self.register(new_account(passing))
        self.done(self.stores.accounts.delete(passing, 0.0))
        self.tidy()
        self.assertTrue({"account", "device", "mail"} <= set(self.laid_out), self.laid_out)

    def test_when_the_database_is_closed_it_is_not_left_for_later(self) -> None:
        self.pass_on()
        self.close()
        self.assertIn("mail", self.laid_out)

    def test_a_copy_has_no_traces_either(self) -> None:
        gone = self.mail(60)
        self.deliver(gone)
        target = self.path.with_name("copy")

        source = connect(self.path, KEY)
        write_snapshot(source, target, lambda path: open_copy(path, KEY), lambda: False)
        source.close()
        self.assertIn("mail", self.laid_out)
        stolen, clean = image(target, KEY), image_anew(target, KEY)
        for person in PEOPLE:
            self.assertEqual(stolen.count(person.encode()), clean.count(person.encode()))
