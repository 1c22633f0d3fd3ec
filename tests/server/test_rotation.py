"""The backup key takes over, and at every moment clients find a key that they expect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2ee.client.linking.known_server import after_greeting
from e2ee.errors import StoreUnavailable
from e2ee.net import x509
from e2ee.net.connect_link import ConnectLink
from e2ee.net.pinning import pin_matches
from e2ee.server import credentials
from e2ee.server.rotation import RotationRefused
from e2ee.server.state_directory import StateRefused
from e2ee.store.client.identity import ServerRecord
from e2ee.store.stepping import sqlite_error
from e2ee.wire.messages import Welcome
from tests.server.running_house import WALL, RunningCase, at_once
from tests.server.town import ALICE, BOB


class RotationCase(RunningCase):
    """With a client that has the first connect link."""

    def setUp(self) -> None:
        super().setUp()
        self.record = ServerRecord(self.running.identity.link)

    def rotate(self, key: bytes | None = None, force: bool = False) -> None:
        self.now(self.running.rotation.rotate(key, force))

    def connect(self, record: ServerRecord) -> ServerRecord | None:
        """What the client knows after a connection; None if it refuses the server."""
        shown = self.running.identity.pin
        if not pin_matches(ConnectLink.parse(record.link).pins, shown):
            return None
        return after_greeting(record, shown, Welcome(1, 1, (), self.town.rooms.backup_pin))

    def connected(self) -> None:
        """The client connects, and is not refused."""
        known = self.connect(self.record)
        assert known is not None
        self.record = known

    def pins(self) -> tuple[bytes, ...]:
        return self.running.identity.pin, self.running.identity.backup_pin


class SelfMadeTests(RotationCase):
    """A certificate of the server's own."""

    def test_the_backup_key_is_shown_and_a_new_one_announced(self) -> None:
        active, backup = self.pins()
        self.rotate()
        self.assertEqual(self.pins()[0], backup)
        self.assertNotIn(self.pins()[1], (active, backup))
        self.assertEqual(self.town.rooms.backup_pin, self.pins()[1])
        link = ConnectLink.parse((self.path / "connect-link").read_text().strip())
        self.assertEqual((link.pins, str(link)), (self.pins(), self.running.identity.link))
        self.assertEqual(x509.names_of(self.running.identity.credentials.certificate)[0], "chat.example.org")
        self.assertEqual(x509.key_pin(self.state.read("backup-key.pem")), self.pins()[1])
        self.assertEqual(self.now(self.running.rotation.rotated_at()), int(WALL * 1000))

    def test_a_client_that_was_away_follows_at_its_next_connection(self) -> None:
        self.rotate()
        self.connected()
        self.assertEqual(ConnectLink.parse(self.record.link).pins, self.pins())

    def test_it_holds_after_a_restart(self) -> None:
        self.rotate()
        before = self.pins()
        self.running = self.start()
        self.assertEqual(self.pins(), before)

    def test_a_start_that_changes_nothing_needs_no_room_on_the_disk(self) -> None:
        self.rotate()
        before = self.pins()
        self.faults.add("INSERT OR REPLACE INTO fact", sqlite_error(13, "database or disk is full"))
        self.running = self.start()
        self.assertEqual(self.pins(), before)

    def test_after_two_in_a_row_a_client_that_was_away_refuses(self) -> None:
        self.rotate()
        self.rotate(force=True)
        self.assertIsNone(self.connect(self.record))

    def test_a_second_one_is_refused_until_everybody_has_connected(self) -> None:
        self.rotate()
        self.wall += 10
        before = self.pins()
        rotate = self.running.rotation.rotate
        self.assertIn("last rotation: 2", self.refused(rotate(None, False), RotationRefused))
        accounts = self.town.accounts
        self.now(accounts.record_login(self.town.where(ALICE), int(self.wall * 1000), 0.0))
        self.assertIn("rotation: 1", self.refused(rotate(None, False), RotationRefused))
        self.assertEqual(self.pins(), before)
        self.connected()
        self.now(accounts.record_login(self.town.where(BOB), int(self.wall * 1000), 0.0))
        self.rotate()
        self.connected()
        self.assertEqual(ConnectLink.parse(self.record.link).pins, self.pins())

    def test_the_backup_key_may_come_from_elsewhere(self) -> None:
        backup = self.pins()[1]
        key = self.state.read("backup-key.pem")
        self.state.remove("backup-key.pem")
        rotate = self.running.rotation.rotate
        self.assertIn("--backup-key", self.refused(rotate(None, False), RotationRefused))
        other = x509.make_backup_key()
        self.assertIn("not the backup key", self.refused(rotate(other, False), RotationRefused))
        self.refused(rotate(b"no key", False), x509.CredentialsRefused)
        self.assertEqual(self.pins()[1], backup)
        self.rotate(key)
        self.assertEqual(self.pins()[0], backup)

    def test_two_at_once(self) -> None:
        inner: list[str] = []

        def again(step: Callable[[], Any], /) -> Awaitable[Any]:
            if not inner:
                inner.append(self.refused(self.running.rotation.rotate(None, False), RotationRefused))
            return at_once(step)

        self.running.rotation.in_thread = again
        self.rotate()
        self.assertIn("under way", inner[0])

    def test_a_key_that_nobody_knows_is_not_overwritten(self) -> None:
        key = self.state.read("backup-key.pem")
        self.state.write("backup-key.pem", x509.make_backup_key())
        self.assertIn("move it away", self.refused(self.running.rotation.rotate(key, False), StateRefused))


class CutOffTests(RotationCase):
    """The process ends, or the disk is full, between two steps."""

    def interrupted(self, step: str) -> None:
        """Cut the rotation off before this function is called, then start again."""

        def cut(*arguments: object) -> Any:
            raise StateRefused("the power failed")

        patched = self.patch(credentials, step, cut)
        self.refused(self.running.rotation.rotate(None, False), StateRefused)
        patched.restore()
        self.running = self.start()

    def test_before_the_certificate_nothing_has_changed(self) -> None:
        before = self.pins()
        self.interrupted("certify_backup_key")
        self.assertEqual(self.pins(), before)
        self.rotate()
        self.connected()

    def test_before_the_next_backup_key_asking_again_finishes_it(self) -> None:
        active, backup = self.pins()
        self.interrupted("next_backup_pin")
        self.assertEqual(self.pins(), (backup, backup))
        self.assertEqual(len(ConnectLink.parse(self.running.identity.link).pins), 1)
        self.connected()
        self.assertEqual(ConnectLink.parse(self.record.link).pins, (active, backup))
        self.rotate()
        self.connected()
        self.assertEqual(ConnectLink.parse(self.record.link).pins, self.pins())

    def test_before_the_database_the_next_start_finishes_it(self) -> None:
        backup = self.pins()[1]
        self.faults.add("INSERT OR REPLACE INTO fact", sqlite_error(13, "database or disk is full"))
        self.refused(self.running.rotation.rotate(None, False), StoreUnavailable)
        self.assertEqual(self.pins(), (backup, backup))
        self.running = self.start()
        self.assertEqual(self.pins(), (backup, x509.key_pin(self.state.read("backup-key.pem"))))
        self.town.rooms.backup_pin = self.pins()[1]
        self.connected()
        self.assertEqual(ConnectLink.parse(self.record.link).pins, self.pins())

    def test_before_the_database_asking_again_finishes_it_as_well(self) -> None:
        self.faults.add("INSERT OR REPLACE INTO fact", sqlite_error(13, "database or disk is full"))
        self.refused(self.running.rotation.rotate(None, False), StoreUnavailable)
        made = x509.key_pin(self.state.read("backup-key.pem"))
        self.rotate()
        self.assertEqual(self.pins()[1], made)
        self.connected()
        self.assertEqual(ConnectLink.parse(self.record.link).pins, self.pins())

    def test_a_database_from_before_the_rotation_is_no_different(self) -> None:
        """Put back from a backup, beside the files of today."""
        backup = self.pins()[1]
        self.rotate()
        after = self.pins()
        self.now(self.running.facts.put("backup_pin", backup))
        self.running = self.start()
        self.assertEqual(self.pins(), after)


class IssuedTests(RotationCase):
    """A certificate of an authority, which the server cannot make."""

    def setUp(self) -> None:
        self.moment = datetime.fromtimestamp(WALL, UTC)
        self.authority = x509.make_authority("Our company", self.moment)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.issue(x509.make_backup_key())
        self.options = {
            "certificate": str(self.folder / "certificate.pem"), "private_key": str(self.folder / "key.pem")
        }  # fmt: skip
        super().setUp()

    def issue(self, key_pem: bytes) -> None:
        key = x509.load_key(key_pem)
        made = x509.issue(self.authority, ["chat.example.org"], self.moment, 1, key)
        chain = x509.certificates_to_pem(made.chain)
        for name, content in (("key.pem", key_pem), ("certificate.pem", chain)):
            (self.folder / name).write_bytes(content)
            (self.folder / name).chmod(0o600)

    def test_the_certificate_for_the_backup_key_comes_first(self) -> None:
        backup = self.pins()[1]
        rotate = self.running.rotation.rotate
        self.assertIn("have one issued", self.refused(rotate(None, False), RotationRefused))
        self.issue(self.state.read("backup-key.pem"))
        self.rotate()
        self.assertEqual(self.pins()[0], backup)
        self.connected()
        self.assertEqual(ConnectLink.parse(self.record.link).pins, self.pins())

    def test_a_reload_may_have_shown_it_already(self) -> None:
        backup = self.pins()[1]
        self.issue(self.state.read("backup-key.pem"))
        identity = self.running.identity
        identity.adopt(self.configuration, identity.load(self.configuration, self.moment))
        self.assertEqual(self.pins(), (backup, backup))
        self.connected()
        self.rotate()
        self.connected()
        self.assertEqual(ConnectLink.parse(self.record.link).pins, self.pins())

    def test_another_key_is_said_loudly(self) -> None:
        """Renewed without --reuse-key: no client expects it."""
        self.issue(x509.make_backup_key())
        events: list[Any] = []
        self.patch(type(self.running.rotation), "_log", _Log(events))
        self.running = self.start()
        self.assertIn("another key than before", events[0])


class _Log:
    def __init__(self, events: list[Any]) -> None:
        self._events = events

    def error(self, text: str, **fields: object) -> None:
        """Keep it."""
        self._events.append(text)

    info = warn = error
