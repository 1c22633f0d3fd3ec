"""The vault: what a registration keeps in it, and what becomes of it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import StoreError, StoreLocked
from e2ee.ids import Address, DeviceId, PasscodeSessionId
from e2ee.store.client import identity
from e2ee.store.client.adoption import adopt_registration
from e2ee.store.client.identity import PasscodeSession, PendingKeys, PendingRegistration, ServerRecord
from e2ee.store.client.prekeys import PreKeyKind, newest_prekey, next_key_ids, prekey_secret
from e2ee.store.client.vault import Vault, open_vault
from e2ee.store.connection import Connection
from e2ee.store.stepping import SteppedLanes

T = TypeVar("T")

KEY = b"k" * 32
ALICE = Address("+15550100101")
BOB = Address("+15550100102")
SERVER = ServerRecord("e2ee://server.example:8443/sha256:pins", b"ca", 1)
SESSION = PasscodeSession(PasscodeSessionId(b"s" * 16), until=1_000_000, guesses=2)
KEYS = PendingKeys(b"own", 1, b"signed", b"signed secret", 2, b"last", b"last secret", 900_000)


class VaultCase(SynchronousTestCase):
    """A vault whose thread is the test's own."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.vault = self.open(KEY)

    def open(self, key: bytes) -> Vault:
        opening = open_vault(self.path, key, Clock(), self.fail, lanes=SteppedLanes())
        vault: Vault = self.successResultOf(Deferred.fromCoroutine(opening))
        return vault

    def write(self, operation: Callable[[Connection], T]) -> T:
        done: T = self.successResultOf(Deferred.fromCoroutine(self.vault.write(operation)))
        return done

    def close(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.vault.close()))


class VaultTests(VaultCase):
    """The database itself."""

    def test_what_was_written_is_there_after_it_was_closed(self) -> None:
        self.write(lambda tx: identity.save_server(tx, SERVER))
        self.close()
        self.vault = self.open(KEY)
        self.assertEqual(self.write(identity.load_server), SERVER)

    def test_another_key_does_not_open_it(self) -> None:
        self.close()
        opening = open_vault(self.path, b"x" * 32, Clock(), self.fail, lanes=SteppedLanes())
        self.failureResultOf(Deferred.fromCoroutine(opening), StoreLocked)

    def test_its_file_is_private(self) -> None:
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_what_was_written_is_not_in_its_files(self) -> None:
        self.write(lambda tx: identity.save_identity(tx, b"an own device in the clear", 1))
        files = self.path.parent.glob(self.path.name + "*")
        self.assertFalse(any(b"own device" in path.read_bytes() for path in files))


class IdentityTests(VaultCase):
    """Identity, server and the registration under way: one row each."""

    def test_a_new_vault_is_blank(self) -> None:
        self.assertTrue(self.write(identity.is_blank))
        for load in (identity.load_identity, identity.load_server, identity.load_registration):
            self.assertIsNone(self.write(load))

    def test_each_row_makes_it_a_vault_that_is_kept(self) -> None:
        pending = PendingRegistration(SERVER, ALICE)
        for save in (
            lambda tx: identity.save_identity(tx, b"own", 1),
            lambda tx: identity.save_registration(tx, pending),
            lambda tx: identity.burn_passcode(tx, b"digest", 10),
        ):
            self.setUp()
            self.write(save)
            self.assertFalse(self.write(identity.is_blank))

    def test_the_newest_identity_and_server_hold(self) -> None:
        for device, version in ((b"old", 1), (b"new", 2)):
            server = replace(SERVER, highest_version=version)
            self.write(partial(identity.save_identity, own_device=device, registered_at=1))
            self.write(partial(identity.save_server, server=server))
        self.assertEqual(self.write(identity.load_identity), b"new")
        self.assertEqual(self.write(identity.load_server), replace(SERVER, highest_version=2))

    def test_a_registration_is_read_back_whole_in_each_of_its_stages(self) -> None:
        begun = PendingRegistration(ServerRecord("link"), ALICE, SESSION)
        with_keys = replace(begun, server=SERVER, keys=KEYS)
        for pending in (begun, with_keys, replace(with_keys, proved=True, session=None)):
            self.write(partial(identity.save_registration, pending=pending))
            self.assertEqual(self.write(identity.load_registration), pending)
        self.write(identity.forget_registration)
        self.assertIsNone(self.write(identity.load_registration))

    def test_no_repr_shows_a_private_key(self) -> None:
        shown = repr(PendingRegistration(SERVER, ALICE, SESSION, KEYS))
        for secret in (KEYS.own_device, KEYS.signed_prekey_secret, KEYS.last_resort_secret):
            self.assertNotIn(repr(secret), shown)

    def test_a_burnt_code_is_burnt_until_its_time_is_over(self) -> None:
        self.write(lambda tx: identity.burn_passcode(tx, b"digest", 1000))
        self.assertTrue(self.write(lambda tx: identity.is_burnt(tx, b"digest", 999)))
        self.assertFalse(self.write(lambda tx: identity.is_burnt(tx, b"another", 999)))
        self.assertFalse(self.write(lambda tx: identity.is_burnt(tx, b"digest", 1000)))
        self.assertTrue(self.write(identity.is_blank))

    def test_a_burnt_code_can_be_let_go(self) -> None:
        self.write(lambda tx: identity.burn_passcode(tx, b"digest", 1000))
        self.write(lambda tx: identity.unburn_passcode(tx, b"digest"))
        self.assertFalse(self.write(lambda tx: identity.is_burnt(tx, b"digest", 0)))


class AdoptionTests(VaultCase):
    """A confirmed registration becomes the identity."""

    def adopt(self) -> None:
        ids = self.write(lambda tx: next_key_ids(tx, 2))
        keys = replace(KEYS, signed_prekey_id=ids[0], last_resort_id=ids[1])
        pending = PendingRegistration(SERVER, ALICE, SESSION, keys, proved=True)
        self.write(lambda tx: identity.save_registration(tx, pending))
        self.write(lambda tx: adopt_registration(tx, 950_000))

    def test_identity_server_and_prekeys_are_in_place_and_nothing_is_under_way(self) -> None:
        self.adopt()
        self.assertEqual(self.write(identity.load_identity), b"own")
        self.assertEqual(self.write(identity.load_server), SERVER)
        self.assertIsNone(self.write(identity.load_registration))
        self.assertEqual(self.write(lambda tx: prekey_secret(tx, PreKeyKind.SIGNED, 1)), b"signed secret")
        last = self.write(lambda tx: newest_prekey(tx, PreKeyKind.LAST_RESORT))
        assert last is not None
        self.assertEqual((last.key_id, last.public, last.published), (2, b"last", True))

    def test_a_second_one_keeps_the_person_and_drops_the_old_device(self) -> None:
        self.adopt()
        self.write(_fill)
        self.adopt()
        kept = self.write(
            lambda tx: (
                tx.execute("SELECT name, trusted_key, verified, next_sequence FROM contact").fetchall(),
                tx.execute("SELECT text FROM message").fetchall(),
                tx.execute("SELECT address, envelope FROM outbox").fetchall(),
                tx.execute("SELECT count(*) FROM session").fetchone()[0],
                tx.execute("SELECT key_id FROM prekey ORDER BY key_id").fetchall(),
            )
        )
        self.assertEqual(kept, ([("Bob", b"key", 1, 1)], [("hello",)], [(BOB, None)], 0, [(3,), (4,)]))

    def test_without_a_registration_there_is_nothing_to_adopt(self) -> None:
        adopting = self.vault.write(lambda tx: adopt_registration(tx, 1))
        self.failureResultOf(Deferred.fromCoroutine(adopting), StoreError)


def _fill(tx: Connection) -> None:
    """A contact, a message that waits in its envelope, and a session, all of the old device."""
    tx.execute(
        "INSERT INTO contact (address, name, trusted_key, verified, next_sequence)"
        " VALUES (?, 'Bob', ?, 1, 7)",
        (BOB, b"key"),
    )
    tx.execute(
        "INSERT INTO message (direction, address, message_id, sequence, sent_at, text, state)"
        " VALUES ('out', ?, ?, 6, 1, 'hello', 'queued')",
        (BOB, b"m" * 16),
    )
    tx.execute(
        "INSERT INTO outbox (address, kind, queued_at, envelope) VALUES (?, 'token', 1, ?)",
        (BOB, b"envelope"),
    )
    tx.execute(
        "INSERT INTO session (address, session_id, device, account_key, statement_hash, state, begun,"
        " chain_begun, rank, answered) VALUES (?, ?, ?, ?, ?, ?, 1, 1, 1, 1)",
        (BOB, b"s" * 8, bytes(DeviceId(b"d" * 8)), b"key", b"hash", b"state"),
    )
