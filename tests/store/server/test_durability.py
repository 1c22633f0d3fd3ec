"""What is true of the SQL stores only: restarts, full disks, traces on disk, threads."""

from __future__ import annotations

import random
import re
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from e2ee.errors import StoreBroken, StoreUnavailable
from e2ee.ids import Address
from e2ee.server.seat_terms import Batch
from e2ee.store.connection import Connection
from e2ee.store.database import TRUNCATE_SECONDS, Database
from e2ee.store.server import mailbox as mailbox_module
from e2ee.store.server import ports
from e2ee.store.server.passcodes import SqlPasscodes
from e2ee.store.stepping import sqlite_error
from tests.store.contract.fixture import (
    ALICE,
    BOB,
    CAROL,
    MAILBOX_LIMITS,
    PASSCODE_LIMITS,
    at,
    item,
    new_account,
    session_id,
)
from tests.store.server.sql import KEY, OnDatabase, SqlStores

BUCKET = ports.Bucket(2, 100.0)


PAGE, RESERVED, SALT = 4096, 80, 16

SUMS = "count(*), sum(size), sum(NOT known)"
TRUE_BOXES = f"SELECT device_id, {SUMS} FROM mail GROUP BY 1 ORDER BY 1"
COUNTED_BOXES = "SELECT id, messages, bytes, strangers FROM device WHERE messages OR bytes OR strangers"
TRUE_SHARES = f"SELECT device_id, sender_address, {SUMS} FROM mail GROUP BY 1, 2 ORDER BY 1, 2"
COUNTED_SHARES = "SELECT * FROM share ORDER BY 1, 2"


def decrypted(path: Path) -> bytes:
    """Every page of the file as SQLite sees it, the unused ones included, without using SQLCipher.

    Its format 4: each page ends with 16 bytes of IV and 64 of HMAC, AES-256-CBC; the first page
    begins with the salt in the clear. A raw key is the AES key itself.
    """
    pages = []
    encrypted = path.read_bytes()
    for start in range(0, len(encrypted), PAGE):
        page = encrypted[start : start + PAGE]
        body, iv = page[: PAGE - RESERVED], page[PAGE - RESERVED :][:16]
        decryptor = Cipher(algorithms.AES(KEY), modes.CBC(iv)).decryptor()
        pages.append(decryptor.update(body[SALT:] if start == 0 else body))
    return b"".join(pages)


class Durability(OnDatabase):
    """One server's database over its life."""

    def setUp(self) -> None:
        super().setUp()
        self.register(new_account(ALICE))
        self.register(new_account(BOB))

    def append(self, *items: ports.MailItem) -> Any:
        return self.done(self.stores.mailbox(MAILBOX_LIMITS).append(items, 0.0))

    def refused(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.failureResultOf(Deferred.fromCoroutine(coroutine), StoreUnavailable)

    def fill(self) -> None:
        """Leave the file no page to grow by, and no free page inside."""

        def limit(connection: Connection) -> None:
            count = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {count}")

        self.done(self.database.write(limit))

    def test_everything_survives_a_restart(self) -> None:
        stores = self.stores
        upload = ports.PreKeyUpload(one_time=[ports.StoredPreKey(1, b"k")])
        self.done(stores.prekeys.publish(at(ALICE), upload))
        self.done(stores.accounts.set_presence(at(ALICE), b"T" * 32, True))
        self.append(item(ALICE, BOB, 1, size=100, known=False), item(BOB, ALICE, 2))
        self.done(stores.mailbox(MAILBOX_LIMITS).attach(at(ALICE)))
        self.done(stores.accounts.delete(BOB, 0.0))
        self.done(stores.limits.take("name", "key", BUCKET, 0.0, 2.0))
        request = ports.PasscodeRequest(session_id(77), CAROL, "1", b"sealed")
        self.done(stores.passcodes(PASSCODE_LIMITS).request(request, 0.0))
        for _ in range(4):
            self.done(stores.passcodes(PASSCODE_LIMITS).guess(session_id(77), CAROL, 0.0))
        found = self.done(stores.accounts.find(ALICE))
        self.close()
        self.open()
        stores = self.stores
        self.assertEqual(self.done(stores.accounts.find(ALICE)), found)
        self.assertEqual(self.done(stores.prekeys.stock(at(ALICE))), ports.Stock(1, 0))
        mailbox, passcodes = stores.mailbox(MAILBOX_LIMITS), stores.passcodes(PASSCODE_LIMITS)
        self.assertEqual(self.done(mailbox.attach(at(ALICE))), ports.Attached(2, 1, 1))
        (row,) = self.done(mailbox.after(at(ALICE), 0, 10, 1000))
        self.assertEqual(row.item, item(ALICE, BOB, 1, size=100, known=False))
        (notice,) = self.done(mailbox.notices(at(ALICE), 10))
        self.assertEqual(notice.kind, ports.NoticeKind.DELETED)
        self.assertEqual(self.done(stores.limits.take("name", "key", BUCKET, 50.0)), 50.0)
        self.assertIsInstance(self.done(passcodes.guess(session_id(77), CAROL, 0.0)), ports.GuessAllowed)
        self.assertIsInstance(self.done(passcodes.guess(session_id(77), CAROL, 0.0)), ports.GuessRefused)
        request = ports.PasscodeRequest(session_id(78), CAROL, "1", b"sealed")
        allotted = self.done(passcodes.request(request, 0.0))
        assert isinstance(allotted, ports.PasscodeAllotted)
        self.assertEqual(allotted.limit, "waits")

    def test_what_was_not_answered_may_be_lost_but_never_by_half(self) -> None:
        self.faults.add("COMMIT", sqlite_error(10, "disk I/O error"))
        batch = [item(ALICE, BOB, number) for number in range(3)]
        answer = Deferred.fromCoroutine(self.stores.mailbox(MAILBOX_LIMITS).append(batch, 0.0))
        self.assertNoResult(answer)
        self.assertEqual([type(error) for error in self.broken], [StoreBroken])
        self.close()
        self.open()
        self.assertEqual(self.done(self.stores.mailbox(MAILBOX_LIMITS).count()), 0)

    def test_appends_to_many_mailboxes_are_few_statements_and_one_bad_row_sinks_no_other(self) -> None:
        people = [Address(f"+15550100{number}") for number in range(150, 170)]
        for address in people:
            self.register(new_account(address))
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        statements: list[str] = []
        self.patch(self.faults, "raise_if_due", statements.append)
        sent = [[item(each, BOB, number) for number in range(3)] for each in people]
        self.assertEqual(self.together(*(mailbox.append(some, 0.0) for some in sent)),
                         [[ports.Appended(seq) for seq in (1, 2, 3)]] * len(people))
        self.assertLess(len(statements), 20)
        bad = [item(ALICE, BOB, 9)._replace(envelope=None)]  # type: ignore[arg-type]
        more = [[item(each, BOB, 3)] for each in people]
        self.lanes.automatic = False
        failing = Deferred.fromCoroutine(mailbox.append(bad, 0.0))
        answers = self.together(*(mailbox.append(some, 0.0) for some in more))
        self.assertEqual(answers, [[ports.Appended(4)]] * len(people))
        self.failureResultOf(failing, TypeError)

    def test_items_that_come_between_two_tries_of_one_commit_have_their_results(self) -> None:
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        batches = [Batch([item(ALICE, BOB, number)]) for number in range(5)]
        tries: list[bool] = []

        def failing(connection: Connection) -> None:
            number = 10 * (len(tries) + 1)
            tries.append(all(batch.add(item(ALICE, BOB, number + n)) for n, batch in enumerate(batches)))
            raise ValueError

        self.lanes.automatic = False
        failed = Deferred.fromCoroutine(self.database.write(failing))
        answers = self.together(*(mailbox.append(batch, 0.0) for batch in batches))
        self.failureResultOf(failed, ValueError)
        self.assertEqual(tries, [True, True])
        self.assertEqual([[result.seq for result in some] for some in answers],
                         [list(range(seq, seq + 3)) for seq in (1, 4, 7, 10, 13)])
        self.assertFalse(any(batch.add(item(ALICE, BOB, 99)) for batch in batches))

    def test_appends_that_have_failed_together_are_counted_anew_alone(self) -> None:
        mailbox = self.stores.mailbox(replace(MAILBOX_LIMITS, messages=16, share=1.0))
        numbers = iter(range(1, 100))

        def some(count: int) -> list[ports.MailItem]:
            each = [next(numbers) for _ in range(count)]
            return [item(ALICE, BOB, n)._replace(state_token=bytes([n])) for n in each]

        for fault in ("UPDATE device SET last_seq", "INSERT INTO share", "UPDATE device SET state_token"):
            self.faults.add(fault, ValueError("once"))
            answers = self.together(*(mailbox.append(some(1), 0.0) for _ in range(5)))
        self.assertEqual(answers, [[ports.Appended(seq)] for seq in range(11, 16)])
        self.assertEqual(self.done(mailbox.append(some(2), 0.0)),
                         [ports.Appended(16), ports.AppendRefused.FULL])
        attached = self.done(mailbox.attach(at(BOB)))
        self.assertEqual(attached and attached.state_token, bytes([17]))
        self.assertEqual(self.done(mailbox.count()), 16)

    def test_an_append_comes_behind_whatever_else_is_in_its_commit(self) -> None:
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        appended: list[Any] = self.together(
            mailbox.append([item(BOB, ALICE)], 0.0), mailbox.append([item(ALICE, BOB)], 0.0),
            self.stores.accounts.delete(BOB, 0.0), *(mailbox.count() for _ in range(3)),
            mailbox.attach(at(ALICE)), mailbox.attach(at(BOB)),
        )  # fmt: skip
        self.assertEqual(appended[:2], [[ports.AppendRefused.NO_DEVICE], [ports.Appended(1)]])
        self.assertEqual(appended[2:], [at(BOB).device, 1, 1, 1, ports.Attached(1, 0, 0), None])

    def test_many_appends_of_one_commit_are_judged_some_at_a_time_with_the_same_outcome(self) -> None:
        self.patch(mailbox_module, "APPENDED_TOGETHER", 3)
        mailbox = self.stores.mailbox(replace(MAILBOX_LIMITS, messages=4, share=1.0))
        sent = [[1], [2, 3], [3], [4, 1], [5]]
        answers = self.together(*(mailbox.append([item(ALICE, BOB, n) for n in some], 0.0) for some in sent))
        one, two, three, four = (ports.Appended(seq) for seq in (1, 2, 3, 4))
        again = [ports.Appended(seq, repeated=True) for seq in (3, 1)]
        self.assertEqual(
            answers, [[one], [two, three], again[:1], [four, again[1]], [ports.AppendRefused.FULL]]
        )

    def test_an_envelope_is_looked_for_only_where_it_may_wait(self) -> None:
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        statements: list[str] = []
        self.patch(self.faults, "raise_if_due", statements.append)
        for number, token, looked in ((1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (1, 1, 2)):
            one = item(ALICE, BOB, number)._replace(state_token=bytes([token]))
            self.done(mailbox.append([one], 0.0))
            found = [sql for sql in statements if sql.startswith("SELECT once")]
            self.assertEqual(len(found), looked)
        self.assertEqual(self.done(mailbox.count()), 4)

    def test_no_trace_of_an_envelope_stays_when_its_row_is_gone(self) -> None:
        marker = b"NEEDLE"
        items = [
            ports.MailItem(at(ALICE), at(BOB), each.envelope_id, marker * 3000, True)
            for each in (item(ALICE, BOB, number) for number in range(40))
        ]
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        attached = self.done(mailbox.attach(at(ALICE)))
        assert attached is not None
        seqs = [result.seq for result in self.append(*items)]
        self.done(mailbox.remove(at(ALICE), attached.epoch, seqs[:20]))
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertIn(marker, decrypted(self.path))
        self.done(mailbox.remove(at(ALICE), attached.epoch, seqs[20:]))
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertEqual(self.path.with_name(self.path.name + "-wal").stat().st_size, 0)
        pages = decrypted(self.path)
        self.assertGreater(len(pages), 40 * len(marker) * 3000, "the pages are still there, and empty")
        self.assertNotIn(marker, pages)
        self.assertFalse([each for each in items if bytes(each.envelope_id) in pages])

    def test_no_pair_of_people_stays_when_its_mail_is_gone(self) -> None:
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        attached = self.done(mailbox.attach(at(ALICE)))
        assert attached is not None
        self.append(item(ALICE, BOB, 1), item(ALICE, BOB, 2))
        self.done(mailbox.remove(at(ALICE), attached.epoch, [1]))
        self.assertEqual(self.rows("SELECT messages FROM share"), [(1,)])
        self.done(mailbox.remove(at(ALICE), attached.epoch, [2]))
        self.assertEqual(self.rows("SELECT * FROM share"), [])
        self.assertEqual(self.rows("SELECT * FROM device WHERE messages OR bytes OR strangers"), [])

    def test_counters_say_what_the_rows_do_whatever_came_and_went(self) -> None:
        """Appends count by themselves, a trigger counts down."""
        limits = replace(MAILBOX_LIMITS, messages=12, share=0.75, stranger_waiting=3)
        mailbox, source = self.stores.mailbox(limits), random.Random(7)
        self.register(new_account(CAROL))
        for to in (ALICE, BOB):
            self.done(mailbox.attach(at(to)))
        for turn in range(60):
            items = [
                item(source.choice([ALICE, BOB]), source.choice([ALICE, BOB, CAROL]), source.randrange(40),
                     source.randrange(1, 90), source.random() < 0.6)
                for _ in range(source.randrange(6))
            ]  # fmt: skip
            self.done(mailbox.append(items, float(turn)))
            to = source.choice([ALICE, BOB])
            waiting = [row.seq for row in self.done(mailbox.after(at(to), 0, 100, 10**6))]
            gone = source.sample(waiting, min(len(waiting), source.randrange(4)))
            self.done(mailbox.remove(at(to), 1, gone))
            self.assertEqual(self.rows(COUNTED_BOXES), self.rows(TRUE_BOXES))
            self.assertEqual(self.rows(COUNTED_SHARES), self.rows(TRUE_SHARES))
        self.assertGreater(len(self.rows(COUNTED_SHARES)), 3)

    def rows(self, sql: str) -> list[Any]:
        return self.done(self.database.read(lambda connection: connection.execute(sql).fetchall()))

    def test_a_full_disk_refuses_new_mail_and_goes_on_when_old_mail_is_fetched(self) -> None:
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        attached = self.done(mailbox.attach(at(ALICE)))
        assert attached is not None
        seqs = [result.seq for result in self.append(*(item(ALICE, BOB, n, size=9000) for n in range(20)))]
        self.fill()
        self.refused(mailbox.append([item(ALICE, BOB, 30, size=50_000)], 0.0))
        self.lanes.automatic = False
        more = Deferred.fromCoroutine(mailbox.append([item(ALICE, BOB, 30, size=50_000)], 0.0))
        gone = Deferred.fromCoroutine(mailbox.remove(at(ALICE), attached.epoch, seqs[:10]))
        self.settle()
        self.failureResultOf(more, StoreUnavailable)
        self.assertIsNone(self.successResultOf(gone))
        (result,) = self.append(item(ALICE, BOB, 30, size=50_000))
        self.assertEqual(result, ports.Appended(21))
        self.assertEqual(self.broken, [])

    def test_on_a_full_disk_mail_still_expires_with_its_notices(self) -> None:
        self.append(*(item(ALICE, BOB, number, size=9000) for number in range(1000)))
        self.fill()
        self.assertEqual(self.done(self.stores.mailbox(MAILBOX_LIMITS).expire(1000.0)), 1000)
        (notice,) = self.done(self.stores.mailbox(MAILBOX_LIMITS).notices(at(BOB), 10))
        self.assertEqual(len(notice.envelope_ids), 1000)

    def test_one_bad_batch_sinks_no_other(self) -> None:
        bad = ports.MailItem(at(ALICE), at(BOB), object(), b"e", True)  # type: ignore[arg-type]
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        self.lanes.automatic = False
        before = Deferred.fromCoroutine(mailbox.append([item(ALICE, BOB, 1)], 0.0))
        failing = Deferred.fromCoroutine(mailbox.append([item(ALICE, BOB, 2), bad], 0.0))
        after = Deferred.fromCoroutine(mailbox.append([item(ALICE, BOB, 3)], 0.0))
        self.settle()
        self.failureResultOf(failing)
        self.assertEqual(self.successResultOf(before), [ports.Appended(1)])
        self.assertEqual(self.successResultOf(after), [ports.Appended(2)])

    def test_no_statement_looks_through_a_whole_table(self) -> None:
        """So that an append into a mailbox of 10,000 costs what it costs in an empty one."""
        seen: set[str] = set()
        self.patch(self.faults, "raise_if_due", seen.add)
        stores, mailbox = self.stores, self.stores.mailbox(MAILBOX_LIMITS)
        self.append(item(ALICE, BOB, 1), item(ALICE, BOB, 1), item(BOB, ALICE, 1))
        self.done(mailbox.attach(at(ALICE)))
        self.done(mailbox.after(at(ALICE), 0, 10, 10))
        self.done(mailbox.remove(at(ALICE), 1, [1]))
        self.done(mailbox.expire(1000.0))
        self.done(mailbox.notices(at(BOB), 1))
        self.done(mailbox.remove_notices(at(BOB), [1]))
        self.done(stores.accounts.find(ALICE))
        self.done(stores.accounts.record_login(at(ALICE), 1, 1.0))
        upload = ports.PreKeyUpload(one_time=[ports.StoredPreKey(1, b"k")], replace_stock=True)
        self.done(stores.prekeys.publish(at(ALICE), upload))
        self.done(stores.prekeys.take(at(ALICE), True))
        request = ports.PasscodeRequest(session_id(5000), BOB, "1", b"sealed")
        self.done(stores.passcodes(PASSCODE_LIMITS).request(request, 0.0))
        self.done(stores.passcodes(PASSCODE_LIMITS).guess(session_id(5000), BOB, 0.0))
        self.done(stores.passcodes(PASSCODE_LIMITS).expire(0.0))
        for number, invite in enumerate((b"A" * 32, b"B" * 32), 5001):
            self.done(stores.invites.add(invite, CAROL, 100.0))
            request = ports.PasscodeRequest(
                session_id(number), CAROL, "1", b"sealed", ports.Gate.INVITED, invite
            )
            self.done(stores.passcodes(PASSCODE_LIMITS).request(request, 0.0))
        self.done(stores.accounts.register(session_id(5001), new_account(CAROL), 0.0))
        self.done(stores.limits.give_back("name", "key", BUCKET))
        self.done(stores.limits.take("name", "key", BUCKET, 0.0))
        self.done(stores.limits.expire(0.0))
        self.register(new_account(ALICE, 2, 2))
        statements = [sql for sql in seen if re.match("SELECT|INSERT|UPDATE|DELETE", sql)]
        self.assertGreater(len(statements), 30)
        for sql in statements:
            for plan in self.plan(sql):
                of_the_statement = re.match(
                    r"SCAN (CONSTANT ROW|\d+ CONSTANT ROWS|\d+-ROW VALUES CLAUSE|json_each|asked|new)", plan
                )
                self.assertFalse(plan.startswith("SCAN") and not of_the_statement, f"{sql}: {plan}")

    def plan(self, sql: str) -> list[str]:
        names = dict.fromkeys(re.findall(r":(\w+)", sql))
        parameters: Any = names or [None] * sql.count("?")
        return [row[3] for row in self.read_plan(sql, parameters)]

    def read_plan(self, sql: str, parameters: Any) -> list[Any]:
        return self.done(
            self.database.read(
                lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
            )
        )


class Threaded(TestCase):
    """The promises about many at once, with the real threads."""

    async def test_a_hundred_fetches_and_two_hundred_guesses_at_once(self) -> None:
        database = await Database.open(
            Path(self.mktemp()), KEY, "server", real_reactor, self.fail
        )
        stores = SqlStores(database)
        passcodes = SqlPasscodes(database, PASSCODE_LIMITS)
        for number, address in ((1, ALICE), (2, BOB)):
            request = ports.PasscodeRequest(session_id(number), address, "1", b"sealed")
            await passcodes.request(request, 0.0)
        await stores.accounts.register(session_id(1), new_account(ALICE), 0.0)
        keys = [ports.StoredPreKey(number, b"%d" % number) for number in range(100)]
        await stores.prekeys_for(100).publish(at(ALICE), ports.PreKeyUpload(one_time=keys))
        calls = [
            *(stores.prekeys.take(at(ALICE), True) for _ in range(100)),
            *(passcodes.guess(session_id(2), BOB, 0.0) for _ in range(200)),
        ]
        results: list[Any] = await gatherResults([Deferred.fromCoroutine(call) for call in calls])
        self.assertEqual([bundle.one_time for bundle in results[:100]], keys)
        self.assertEqual(sum(isinstance(result, ports.GuessAllowed) for result in results[100:]), 5)
        await database.close()
