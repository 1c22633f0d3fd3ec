"""What was deleted or replaced is in no byte of the vault's files, wherever SQLite has moved it.

Each of these finds something if the file is left as SQLite leaves it: that is looked at first.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import StoreUnavailable
from e2ee.ids import Address, DeviceId, EnvelopeId
from e2ee.store.client import history, messages, prekeys, sessions
from e2ee.store.client.messages import HELD, RELEASED
from e2ee.store.client.prekeys import ONE_TIME_KINDS, PreKeyKind, PreKeyRecord
from e2ee.store.client.sessions import SessionRecord
from e2ee.store.client.traces import rewrite_secrets
from e2ee.store.client.vault import open_vault
from e2ee.store.connection import Connection, connect
from e2ee.store.database import TRUNCATE_SECONDS, Database
from e2ee.store.stepping import Faults, SteppedLanes, sqlite_error
from e2ee.store.upgrade import schema_files, upgrade
from tests.store.test_history import own, received
from tests.store.vault_image import image

KEY = bytes(range(32))
NOTHING_LEFT = "this SQLite leaves nothing in this case: look for another one, or for a release note"
DEVICE = DeviceId(b"d" * 8)


class ImageCase(SynchronousTestCase):
    """A vault's tables in a file, without the threads in front of it."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.chance = random.Random(20)
        self.tx = connect(self.path, KEY)
        self.addCleanup(self.tx.close)
        upgrade(self.tx, schema_files("client"))
        self.tx.execute("BEGIN")

    def image(self) -> bytes:
        """All that is in the files after a commit, with the log emptied as at the end of every command."""
        self.tx.execute("COMMIT")
        self.tx.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.tx.execute("BEGIN")
        return image(self.path, KEY)

    def left(self, secrets: set[bytes]) -> int:
        """How many of these, which are of one length, are still there."""
        content = self.image()
        (size,) = {len(secret) for secret in secrets}
        return len(secrets & {content[at : at + size] for at in range(len(content) - size + 1)})


class SessionTraces(ImageCase):
    """States grow, shrink and go; keys of earlier states must not stay."""

    CONTACTS = 300

    def setUp(self) -> None:
        super().setUp()
        self.live: dict[Address, list[bytes]] = {}
        self.dead: set[bytes] = set()

    def test_no_key_of_an_earlier_state_is_left(self) -> None:
        # Which rows leave a copy is chance: go on until one has.
        for _ in range(8):
            for _ in range(3000):
                self._step(Address(f"+1555{self.chance.randrange(self.CONTACTS):07}"))
            if self.left(self.dead):
                break
        self.assertGreater(self.left(self.dead), 0, NOTHING_LEFT)
        before = self.tx.execute("SELECT rowid, * FROM session").fetchall()
        rewrite_secrets(self.tx)
        self.assertEqual(self.left(self.dead), 0)
        self.assertEqual(self.tx.execute("SELECT rowid, * FROM session").fetchall(), before)
        current = {key for keys in self.live.values() for key in keys}
        self.assertEqual(self.left(current), len(current))

    def _step(self, address: Address) -> None:
        known = self.live.pop(address, [])
        self.dead.update(known)
        if known and self.chance.random() < 0.1:
            self.tx.execute("DELETE FROM session WHERE address = ?", (address,))
            return
        keys = [self.chance.randbytes(24) for _ in range(self.chance.randrange(7, 17))]
        state = b"".join(key + bytes(16) for key in keys)
        record = SessionRecord(address, DEVICE, b"s" * 8, b"k" * 32, b"h" * 32, state)
        if known:
            sessions.save_sent(self.tx, record, first=False)
        else:
            sessions.add_session(self.tx, record, answered=True)
        self.live[address] = keys


class PreKeyTraces(ImageCase):
    """One-time prekeys come in hundreds and go one by one."""

    def test_no_private_half_that_was_deleted_is_left(self) -> None:
        secrets: dict[int, tuple[PreKeyKind, bytes]] = {}
        for kind, size in zip(ONE_TIME_KINDS, (32, 1648), strict=True):
            ids = prekeys.next_key_ids(self.tx, 100)
            records = [
                PreKeyRecord(one, kind, self.chance.randbytes(64), bytes(size), 1, published=True)
                for one in ids
            ]
            prekeys.add_prekeys(self.tx, records)
            secrets |= {one.key_id: (kind, one.secret) for one in records}
        rewrite_secrets(self.tx)
        used = self.chance.sample(sorted(secrets), 120)
        for key_id in used:
            prekeys.delete_prekey(self.tx, secrets[key_id][0], key_id)
        rewrite_secrets(self.tx)
        self.assertEqual(self.left({secrets.pop(key_id)[1] for key_id in used}), 0)
        self.assertEqual(self.left({secret for _, secret in secrets.values()}), 80)

    def test_they_are_laid_out_anew_after_a_deletion_only(self) -> None:
        records = [PreKeyRecord(one, PreKeyKind.SIGNED, b"s", b"p", 1) for one in (1, 2, 3)]
        prekeys.add_prekeys(self.tx, records)
        rewrite_secrets(self.tx)
        for change, writes in ((lambda: None, False), (self._use_one, True), (lambda: None, False)):
            change()
            statements: list[str] = []
            self.tx.set_trace_callback(statements.append)  # type: ignore[attr-defined]
            rewrite_secrets(self.tx)
            self.tx.set_trace_callback(None)  # type: ignore[attr-defined]
            self.assertEqual(any("INSERT INTO prekey" in one for one in statements), writes)

    def _use_one(self) -> None:
        prekeys.delete_prekey(self.tx, PreKeyKind.SIGNED, 2)


class TextTraces(ImageCase):
    """Texts move when their state changes; a forgotten one must not stay where it was."""

    def setUp(self) -> None:
        super().setUp()
        self.live: dict[int, bytes] = {}
        self.dead: set[bytes] = set()

    def test_no_word_of_a_forgotten_text_is_left_in_a_file_made_anew(self) -> None:
        # Few of these leave a copy, and which is chance: here all of them do.
        self.tx.execute("COMMIT")
        self.tx.execute("PRAGMA secure_delete = OFF")
        self.tx.execute("BEGIN")
        self._live(range(1, 2000))
        self.assertGreater(self.left(self.dead), 0, NOTHING_LEFT)
        self.tx.execute("COMMIT")
        self.tx.execute("VACUUM")
        self.tx.execute("BEGIN")
        self.assertEqual(self.left(self.dead), 0)
        # The index may keep the beginning of a word with its neighbour.
        self.assertEqual(self.left({word[3:] for word in self.dead}), 0)
        self.assertEqual(self.left(set(self.live.values())), len(self.live))

    def _live(self, numbers: range) -> None:
        for number in numbers:
            self._keep(number)
            if self.chance.random() < 0.4:
                row = self.chance.choice(list(self.live))
                self.dead.add(self.live.pop(row))
                history.forget(self.tx, [row], 1)

    def _keep(self, number: int) -> None:
        word = f"zq{self.chance.randrange(2**48):012x}"
        rest = (f"w{self.chance.randrange(5000)}" for _ in range(self.chance.randrange(10)))
        text = " ".join([word, *rest])
        if self.chance.random() < 0.5:
            row = messages.add_message(self.tx, own(number, text))
            messages.set_envelope(self.tx, row, EnvelopeId.of(text.encode()), b"k" * 32)
            if self.chance.random() < 0.5:
                messages.set_sent_state(self.tx, row, "delivered")
        else:
            held = self.chance.random() < 0.2
            record = replace(received(number, text), state=HELD if held else RELEASED)
            row = messages.add_message(self.tx, record)
            if held:
                messages.release_message(self.tx, row)
        self.live[row] = word.encode()


class VaultTraces(SynchronousTestCase):
    """When it is done."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.clock = Clock()
        self.vault = self.done(
            open_vault(self.path, KEY, self.clock, self.fail, lanes=SteppedLanes())
        )

    def done(self, coroutine: object) -> Database:
        result: Database = self.successResultOf(Deferred.fromCoroutine(coroutine))  # type: ignore[arg-type]
        return result

    def traced(self, statements: list[str]) -> None:
        """Note every statement from now on."""
        self.done(self.vault.read(lambda tx: tx.set_trace_callback(statements.append)))  # type: ignore[attr-defined]

    def write_session(self) -> None:
        record = SessionRecord(Address("+15550100102"), DEVICE, b"s" * 8, b"k", b"h", b"state")
        self.done(self.vault.write(lambda tx: sessions.add_session(tx, record, answered=True)))

    def test_after_a_write_before_the_log_is_emptied_and_at_the_end(self) -> None:
        statements: list[str] = []
        self.write_session()
        self.traced(statements)
        self.clock.advance(TRUNCATE_SECONDS)
        self.assertIn("DELETE FROM session", statements)
        emptied = statements.index("PRAGMA wal_checkpoint(TRUNCATE)")
        self.assertLess(statements.index("DELETE FROM session"), emptied)
        statements.clear()
        self.done(self.vault.write(lambda tx: tx.execute("DELETE FROM attempt").rowcount))
        self.done(self.vault.close())
        self.assertIn("DELETE FROM session", statements)

    def test_not_after_reads(self) -> None:
        self.write_session()
        self.clock.advance(TRUNCATE_SECONDS)
        statements: list[str] = []
        self.traced(statements)
        self.done(self.vault.read(lambda tx: tx.execute("SELECT 1").fetchone()))
        self.done(self.vault.close())
        self.assertNotIn("DELETE FROM session", statements)

    def test_the_file_is_made_anew_when_asked(self) -> None:
        big = "CREATE TABLE big AS SELECT randomblob(9999999) AS b"
        self.done(self.vault.write(lambda tx: tx.execute(big).rowcount))
        self.done(self.vault.write(lambda tx: tx.execute("DROP TABLE big").rowcount))
        self.done(self.vault.rewrite())
        self.assertLess(self.path.stat().st_size, 1_000_000)
        self.assertEqual(self.path.with_name(self.path.name + "-wal").stat().st_size, 0)
        self.done(self.vault.close())


class NoRoomTests(SynchronousTestCase):
    """Without room nothing is lost, and it can be tried again."""

    def test_a_rewriting_without_room_is_told(self) -> None:
        faults = Faults()
        opening = Database.open(
            Path(self.mktemp()), KEY, "client", Clock(), self.fail, tidy=self.tidy,
            lanes=SteppedLanes(), connector=faults.connector,
        )  # fmt: skip
        database: Database = self.successResultOf(Deferred.fromCoroutine(opening))
        faults.add("VACUUM", sqlite_error(13, "database or disk is full"))
        self.failureResultOf(Deferred.fromCoroutine(database.rewrite()), StoreUnavailable)
        self.successResultOf(Deferred.fromCoroutine(database.rewrite()))
        self.successResultOf(Deferred.fromCoroutine(database.close()))

    def tidy(self, tx: Connection) -> bool:
        """Nothing to do."""
        return True
