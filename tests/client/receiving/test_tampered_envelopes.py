"""Changed envelopes against a whole client: after each, its vault knows what it knew before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from e2ee.store.connection import Connection
from tests.client.fake_relay import Waiting
from tests.client.people import Person
from tests.client.receiving.test_receiver import ReceiverCase

T = TypeVar("T")
CAROL = "+15550100103"
TABLES = ("session", "first_message", "contact", "account_statement", "message", "stream")
"""All that an opened message changes, but for the prekeys."""


def contents(tx: Connection) -> bytes:
    """A hash of these tables."""
    rows = [sorted(map(repr, tx.execute(f"SELECT * FROM {table}").fetchall())) for table in TABLES]
    return hashlib.sha256(repr(rows).encode()).digest()


def private_halves(tx: Connection) -> set[tuple[object, ...]]:
    """All prekeys with a private half that are at hand."""
    return set(tx.execute("SELECT kind, key_id, secret FROM prekey").fetchall())


def changed(envelope: bytes, step: int) -> Iterator[bytes]:
    """Bits here and there, a cut tag, none, a longer one."""
    for at in range(0, len(envelope), step):
        yield envelope[:at] + bytes((envelope[at] ^ (1 << at // step % 8),)) + envelope[at + 1 :]
    for size in (1, 16, 31, 32):
        yield envelope[:-size]
    yield envelope + b"\0"


class TamperedEnvelopes(ReceiverCase):
    def assert_refused(self, waiting: Waiting, step: int) -> None:
        before = self.read(contents)
        keys = self.read(private_halves)
        for attempt in changed(waiting.envelope, step):
            self.push(Waiting(waiting.sender, waiting.device, attempt))
            self.assertEqual(self.read(contents), before)
        self.assertLessEqual(keys, self.read(private_halves))
        self.assertEqual(self.shown(), [])

    def read(self, operation: Callable[[Connection], T]) -> T:
        return self.bob.run(self.bob.vault.read(operation))

    def first_message(self) -> tuple[Person, Waiting]:
        """Of somebody new, in Bob's mailbox while he is away."""
        carol = self.world.person(CAROL).start()
        self.bob.link.disconnect()
        carol.say(self.bob, "hello")
        (waiting,) = self.bob.stored.mailbox
        self.bob.stored.mailbox.clear()
        self.bob.link.connect()
        self.world.settle()
        return carol, waiting

    def test_of_a_session(self) -> None:
        (waiting,) = self.mailbox("genuine")
        self.bob.link.connect()
        self.world.settle()
        self.assert_refused(waiting, 7)
        self.push(waiting)
        self.assertEqual(self.shown(), ["genuine"])

    def test_first_ones(self) -> None:
        """The one-time keys of the first message are there still when the genuine one comes."""
        _, waiting = self.first_message()
        self.assert_refused(waiting, 29)
        self.push(waiting)
        self.assertEqual(self.shown(), ["hello"])

    def test_under_another_name_or_device(self) -> None:
        carol, waiting = self.first_message()
        before = self.read(contents)
        for sender, device in (
            (self.alice.address, waiting.device),
            (waiting.sender, self.alice.own.device),
            (self.alice.address, self.alice.own.device),
            (self.bob.address, self.bob.own.device),
        ):
            self.push(Waiting(sender, device, waiting.envelope))
            self.assertEqual(self.read(contents), before)
        self.push(waiting)
        self.assertEqual(self.shown(), ["hello"])
        self.assertEqual(carol.address, waiting.sender)
