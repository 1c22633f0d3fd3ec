"""The yardstick for stored messages: bare Twisted over TLS, and SQLite with group commit.

A frame that is submitted is inserted, and answered when its commit with `synchronous=FULL` is over;
all that came during one commit goes into the next one. `FETCH` reads back what waits for a name,
oldest first, and the client acknowledges each; with the argument ``remove`` the acknowledged rows
are deleted, together as well. Nothing is encrypted at rest, counted, limited or checked. Run as
``python -m benchmarks.bare_mailbox CERTIFICATE DATABASE [remove]``; prints its port.
"""

from __future__ import annotations

import importlib
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any

from benchmarks.bare_server import NAME_BYTES, BareProtocol, serve

LOG_IN, SUBMIT, FETCH, ACKNOWLEDGE = b"L", b"S", b"F", b"A"
ROW_BYTES = 8

Work = Callable[[sqlite3.Connection], Callable[[], None]]
"""Statements, run in the writer's thread; what they return is called on the reactor's after the commit."""


class Rows:
    """One thread with one connection."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._reactor: Any = importlib.import_module("twisted.internet.reactor")
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, work: Work) -> None:
        """Do this with the next commit."""
        self._queue.put(work)

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE mail (seq INTEGER PRIMARY KEY, name BLOB, frame BLOB)")
        connection.execute("CREATE INDEX mail_order ON mail (name, seq)")
        while True:
            batch = self._gather()
            connection.execute("BEGIN IMMEDIATE")
            after = [work(connection) for work in batch]
            connection.execute("COMMIT")
            self._reactor.callFromThread(lambda after=after: [step() for step in after])

    def _gather(self) -> list[Work]:
        batch = [self._queue.get()]
        while not self._queue.empty() and len(batch) < 500:
            batch.append(self._queue.get())
        return batch


class BareMailbox(BareProtocol):
    """Frames: kind(1) ‖ name(8) ‖ payload; a fetched one: row(8) ‖ payload."""

    rows: Rows
    removes = False
    name = b""

    def stringReceived(self, string: bytes) -> None:
        kind, name = string[:1], string[1 : 1 + NAME_BYTES]
        if kind == LOG_IN:
            self.name = name
            self.sendString(LOG_IN)
        elif kind == SUBMIT:
            self._submit(name, string[1 + NAME_BYTES :])
        elif kind == FETCH:
            self._fetch()
        elif self.removes:
            self._remove(int.from_bytes(name, "big"))

    def _submit(self, name: bytes, payload: bytes) -> None:
        def insert(connection: sqlite3.Connection) -> Callable[[], None]:
            connection.execute("INSERT INTO mail (name, frame) VALUES (?, ?)", (name, payload))
            return lambda: self.sendString(SUBMIT)

        self.rows.put(insert)

    def _fetch(self) -> None:
        def read(connection: sqlite3.Connection) -> Callable[[], None]:
            found = connection.execute(
                "SELECT seq, frame FROM mail WHERE name = ? ORDER BY seq", (self.name,)
            ).fetchall()
            return lambda: self._push(found)

        self.rows.put(read)

    def _push(self, found: list[tuple[int, bytes]]) -> None:
        for seq, frame in found:
            self.sendString(FETCH + seq.to_bytes(ROW_BYTES, "big") + frame)

    def _remove(self, seq: int) -> None:
        def delete(connection: sqlite3.Connection) -> Callable[[], None]:
            connection.execute("DELETE FROM mail WHERE seq = ?", (seq,))
            return lambda: None

        self.rows.put(delete)


def main(certificate: str, database: str, *arguments: str) -> None:
    """Serve until killed."""
    BareMailbox.rows = Rows(database)
    BareMailbox.removes = "remove" in arguments
    serve(certificate, BareMailbox)


if __name__ == "__main__":
    main(*sys.argv[1:])
