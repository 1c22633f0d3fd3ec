"""What of a vault is backed up: every table was thought about, and nothing that opens a session is."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import StoreError
from e2ee.ids import Address
from e2ee.store.client import contacts, outbox
from e2ee.store.client.filling import NewerSchema, fill_vault
from e2ee.store.client.portable import (
    LEFT_BEHIND,
    PORTABLE,
    portable_columns,
    portable_rows,
    put_rows,
    schema_version,
)
from e2ee.store.client.vault import open_vault
from e2ee.store.connection import Connection, connect
from e2ee.store.stepping import SteppedLanes
from e2ee.store.upgrade import schema_files, upgrade

KEY = b"k" * 32
BOB = Address("+15550100102")
NEWEST = len(schema_files("client"))


class PortableTests(SynchronousTestCase):
    """A vault of the newest schema."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.tx = connect(self.path, KEY)
        self.addCleanup(self.tx.close)
        upgrade(self.tx, schema_files("client"))

    def test_every_table_is_backed_up_or_left_behind_for_a_reason(self) -> None:
        # Shadow tables are parts of their virtual table.
        rows = self.tx.execute("SELECT name FROM pragma_table_list WHERE type IN ('table', 'virtual')")
        tables = {name for (name,) in rows if not name.startswith("sqlite_")}
        self.assertEqual(tables, {table.name for table in PORTABLE} | set(LEFT_BEHIND))
        self.assertEqual({table.name for table in PORTABLE} & set(LEFT_BEHIND), set())

    def test_what_is_emptied_exists_and_may_be_empty(self) -> None:
        for table in PORTABLE:
            rows = self.tx.execute('SELECT name, "notnull" FROM pragma_table_info(?)', (table.name,))
            columns = dict(rows.fetchall())
            for name in table.emptied:
                self.assertEqual(columns[name], 0, f"{table.name}.{name}")
            self.assertEqual(set(portable_columns(self.tx, table)), set(columns) - table.emptied)

    def test_envelopes_and_what_is_no_text_stay_behind(self) -> None:
        contacts.touch_contact(self.tx, BOB, accepted=True)
        outbox.add_control(self.tx, BOB, outbox.OutboxKind.TOKEN, 1)
        self.tx.execute(
            "INSERT INTO message (row, direction, address, message_id, sequence, sent_at, text, state, place)"
            " VALUES (7, 'out', ?, x'00', 1, 1, 'text', 'queued', 1)",
            (BOB,),
        )
        position = outbox.add_to_outbox(self.tx, BOB, 7, 1)
        outbox.save_envelope(self.tx, position, b"sealed", b"hash", 1, 1)
        table = next(one for one in PORTABLE if one.name == "outbox")
        columns = ("position", "address", "kind", "message", "queued_at")
        self.assertEqual(portable_columns(self.tx, table), columns)
        self.assertEqual(list(portable_rows(self.tx, table)), [(position, BOB, "text", 7, 1)])

    def test_marks_of_this_machine_stay_behind(self) -> None:
        for name in ("contact_token", "message_place", "prekey_id", "numbering", "running", "session_rank"):
            self.tx.execute("INSERT OR REPLACE INTO mark (name, value) VALUES (?, 1)", (name,))
        table = next(one for one in PORTABLE if one.name == "mark")
        self.assertEqual(
            {row[0] for row in portable_rows(self.tx, table)},
            {"contact_token", "message_place", "prekey_id", "numbering"},
        )

    def test_other_tables_and_columns_are_not_put(self) -> None:
        row = [(1, b"state")]
        for name, columns in (
            ("session", ("address", "session_id")),
            ("sqlite_master", ("name", "sql")),
            ("contact", ("address",)),
            ("contact", ("address", 'name") VALUES (1); --')),
            ("no such", ()),
        ):
            with self.assertRaises(StoreError):
                put_rows(self.tx, name, columns, row)


class FillingTests(SynchronousTestCase):
    """A vault that is filled before anybody opens it."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def fill(self, version: int = NEWEST, sql: str = "SELECT 1") -> None:
        fill_vault(self.path, KEY, version, lambda tx: _run(tx, sql))

    def test_each_older_schema_is_upgraded_when_the_vault_is_opened(self) -> None:
        for version in range(1, NEWEST + 1):
            self.path = Path(self.mktemp())
            self.fill(version, "INSERT INTO contact (address, name) VALUES ('+15550100102', 'bob')")
            opening = open_vault(self.path, KEY, Clock(), self.fail, lanes=SteppedLanes())
            vault = self.successResultOf(Deferred.fromCoroutine(opening))

            def look(tx: Connection) -> tuple[int, str | None]:
                return schema_version(tx), contacts.load_contact(tx, BOB).name

            reading = Deferred.fromCoroutine(vault.read(look))
            self.assertEqual(self.successResultOf(reading), (NEWEST, "bob"))
            self.successResultOf(Deferred.fromCoroutine(vault.close()))

    def test_a_newer_schema_is_refused(self) -> None:
        self.assertRaises(NewerSchema, self.fill, NEWEST + 1)
        self.assertRaises(StoreError, self.fill, 0)
        self.assertFalse(self.path.exists())

    def test_rows_that_do_not_fit_are_refused(self) -> None:
        for sql in (
            "INSERT INTO contact (address, name) VALUES (NULL, 'nobody'), ('+1', NULL), ('+1', NULL)",
            "INSERT INTO contact (address, listed) VALUES ('+15550100102', 'a text')",
            "INSERT INTO arrival (kind, address, message, at) VALUES ('message', '+15550100102', 99, 1)",
            "INSERT INTO nowhere VALUES (1)",
        ):
            with self.assertRaises(StoreError):
                self.fill(sql=sql)


def _run(tx: Connection, sql: str) -> None:
    tx.execute(sql)
