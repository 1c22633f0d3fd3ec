"""Schemas are brought to the newest version in one transaction, or not at all."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import StoreError
from e2ee.store.connection import connect
from e2ee.store.upgrade import upgrade
from tests.store.test_database import KEY


class Upgrade(SynchronousTestCase):
    """Numbered scripts, one transaction."""

    def setUp(self) -> None:
        self.connection = connect(Path(self.mktemp()), KEY)
        self.addCleanup(self.connection.close)

    def version(self) -> int:
        version: int = self.connection.execute("PRAGMA user_version").fetchone()[0]
        return version

    def test_only_what_is_missing_is_run(self) -> None:
        upgrade(self.connection, ["CREATE TABLE a (x);"])
        upgrade(self.connection, ["no SQL at all", "CREATE TABLE b (x);", "INSERT INTO b VALUES (1);"])
        self.assertEqual(self.version(), 3)
        self.assertEqual(self.connection.execute("SELECT x FROM b").fetchall(), [(1,)])
        upgrade(self.connection, ["none", "of", "these"])

    def test_a_script_that_fails_leaves_the_database_as_it_was(self) -> None:
        with self.assertRaises(Exception):  # noqa: B017 - whatever the binding raises
            upgrade(self.connection, ["CREATE TABLE a (x);", "CREATE TABLE a (x);"])
        self.assertEqual(self.version(), 0)
        self.assertEqual(self.connection.execute("SELECT * FROM sqlite_master").fetchall(), [])
        self.assertFalse(self.connection.in_transaction)

    def test_a_newer_database_is_refused_with_a_sentence(self) -> None:
        upgrade(self.connection, ["CREATE TABLE a (x);", "CREATE TABLE b (x);"])
        with self.assertRaisesRegex(StoreError, "newer version of e2ee: its schema is 2, .* knows 1"):
            upgrade(self.connection, ["CREATE TABLE a (x);"])
