"""A full disk under the server's stores: what makes room goes on, what takes some is refused."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from e2ee.errors import StoreUnavailable
from e2ee.store.connection import Connection
from e2ee.store.server.ports import FileLimits, StoredFile
from e2ee.store.stepping import sqlite_error
from tests.store.contract.fixture import (
    ALICE,
    BOB,
    CAROL,
    FREE,
    MAILBOX_LIMITS,
    UNLIMITED,
    at,
    item,
    new_account,
)
from tests.store.server.sql import OnDatabase

FILE = StoredFile(b"1" * 16, ALICE, b"h" * 32, 4)


def takes_the_last_room(connection: Connection) -> None:
    raise sqlite_error(13, "database or disk is full")


class FullDiskTests(OnDatabase):
    """docs/protocol.md, "Delivery", failures: who fetches mail, acknowledges or deletes is served."""

    def setUp(self) -> None:
        super().setUp()
        for address in (ALICE, BOB):
            self.register(new_account(address))
        self.mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        self.files = self.stores.files(FileLimits(0, 0, 100.0))
        self.done(self.mailbox.append([item(ALICE, BOB)], 1.0))
        self.done(self.files.offer(FILE, 1.0))

    def when_full(self, step: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """What becomes of it in one batch with a write for which there is no room."""
        self.lanes.automatic = False
        taking = Deferred.fromCoroutine(self.database.write(takes_the_last_room))
        answer = Deferred.fromCoroutine(step)
        self.settle()
        self.failureResultOf(taking, StoreUnavailable)
        return answer

    def test_what_makes_room_goes_on(self) -> None:
        passcodes, limits = self.stores.passcodes(FREE), self.stores.limits
        steps: tuple[Coroutine[Any, Any, Any], ...] = (
            self.mailbox.attach(at(ALICE)),
            self.mailbox.remove(at(ALICE), 1, [1]),
            self.mailbox.remove_notices(at(ALICE), [1]),
            self.mailbox.expire(10.0**6),
            self.files.complete(FILE.file_id),
            self.files.remove(FILE.file_id),
            self.files.expire(10.0**6),
            limits.give_back("messages", ALICE, UNLIMITED),
            limits.expire(10.0**6),
            passcodes.expire(10.0**6),
            self.stores.invites.revoke(b"i" * 8),
            self.stores.accounts.set_identity(at(ALICE), None),
            self.stores.accounts.expire_unused(10.0**6, 1.0),
            self.stores.accounts.log_out(ALICE),
            self.stores.accounts.delete(BOB, 1.0),
        )
        for step in steps:
            self.successResultOf(self.when_full(step))

    def test_what_takes_some_is_refused(self) -> None:
        steps: tuple[Coroutine[Any, Any, Any], ...] = (
            self.mailbox.append([item(ALICE, BOB, 2)], 1.0),
            self.files.offer(StoredFile(b"2" * 16, ALICE, b"h" * 32, 4), 1.0),
            self.stores.accounts.set_identity(at(ALICE), b"identity"),
            self.stores.invites.add(b"i" * 32, CAROL, 10.0**6),
        )
        for step in steps:
            self.failureResultOf(self.when_full(step), StoreUnavailable)
