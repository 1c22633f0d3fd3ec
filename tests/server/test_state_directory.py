"""Files and modes of the state directory, certificates and pins."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from e2ee.net import x509
from e2ee.net.connect_link import ConnectLink
from e2ee.server import credentials
from e2ee.server.configuration import ConfigurationError, configure
from e2ee.server.state_directory import StateDirectory, StateRefused

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class StateCase(SynchronousTestCase):
    """One directory."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.state = StateDirectory(self.path)
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.state.prepare()
        self.addCleanup(self.state.close)

    def mode(self, name: str = "") -> int:
        return (self.path / name).stat().st_mode & 0o777


class StateTests(StateCase):
    """Private whatever the umask."""

    def test_modes(self) -> None:
        self.state.write("connect-link", b"x")
        self.assertEqual((self.mode(), self.mode("connect-link")), (0o700, 0o600))

    def test_directories_that_were_made_are_on_the_disk(self) -> None:
        """Each new name is synced in its parent: else a power cut takes the keys with all accounts."""
        synced: list[int] = []
        self.patch(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
        state = StateDirectory(self.path / "srv" / "e2ee")
        state.prepare()
        self.addCleanup(state.close)
        made = [self.path.stat().st_ino, (self.path / "srv").stat().st_ino]
        self.assertEqual((synced, self.mode("srv"), self.mode("srv/e2ee")), (made, 0o777, 0o700))

    def test_the_secret_is_made_once(self) -> None:
        database = self.path / "server.sqlite3"
        secret = self.state.secret(database)
        self.assertEqual((len(secret), self.state.secret(database)), (32, secret))
        self.assertEqual((self.path / "server.secret").read_text().strip(), secret.hex())
        self.assertEqual(self.mode("server.secret"), 0o600)

    def test_a_missing_secret_is_never_made_for_an_old_database(self) -> None:
        database = self.path / "server.sqlite3"
        database.write_bytes(b"something")
        self.assertRaises(StateRefused, self.state.secret, database)

    def test_a_secret_of_another_form_is_refused(self) -> None:
        self.state.write("server.secret", b"ab" * 31)
        self.assertRaises(StateRefused, self.state.secret, self.path / "server.sqlite3")

    def test_what_others_can_read_is_refused_with_the_command_that_mends_it(self) -> None:
        for name in ("server.secret", "server.sqlite3", "backup-key.pem", "server.pem"):
            self.state.write(name, b"x")
            self.state.close()
            (self.path / name).chmod(0o640)
            error = self.assertRaises(StateRefused, StateDirectory(self.path).prepare)
            self.assertIn(f"chmod 600 {self.path / name}", str(error))
            (self.path / name).chmod(0o600)

    def test_a_second_server_is_refused(self) -> None:
        error = self.assertRaises(StateRefused, StateDirectory(self.path).prepare)
        self.assertIn("another server", str(error))

    def test_a_long_path_gives_a_short_socket_address(self) -> None:
        deep = StateDirectory(self.path / ("x" * 100))
        deep.prepare()
        self.addCleanup(deep.close)
        self.assertLess(len(deep.socket_address("admin.sock")), 100)
        self.assertTrue(os.path.samefile(os.path.dirname(deep.socket_address("admin.sock")), deep.path))

    def test_a_connect_link_of_an_earlier_run_goes(self) -> None:
        self.state.write("connect-link", b"x")
        self.state.close()
        self.state.prepare()
        self.assertFalse(self.state.has("connect-link"))


class CredentialsTests(StateCase):
    """Self-made or given; the pin stays."""

    def setUp(self) -> None:
        super().setUp()
        self.configuration = configure({"listen": "tcp:0:interface=127.0.0.1"}, {})

    def load(self, *hosts: str, listen: str = "tcp:0:interface=127.0.0.1") -> x509.Credentials:
        changed = replace(self.configuration, hosts=hosts, listen=listen)
        return credentials.load(changed, self.state, NOW)

    def test_names(self) -> None:
        names = x509.names_of(self.load("chat.example.org", "192.0.2.1").certificate)
        self.assertEqual(set(names), {"chat.example.org", "192.0.2.1", "localhost", "127.0.0.1"})

    def test_no_loopback_name_where_it_does_not_listen_there(self) -> None:
        loaded = self.load("a.example.org", listen=r"tcp:1:interface=2001\:db8\:\:1")
        self.assertEqual(x509.names_of(loaded.certificate), ("a.example.org",))

    def test_the_second_start_finds_it_again(self) -> None:
        self.assertEqual(self.load().certificate, self.load().certificate)
        self.assertEqual(self.mode("server.pem"), 0o600)

    def test_another_name_changes_the_certificate_but_not_the_pin(self) -> None:
        first, second = self.load(), self.load("new.example.org")
        self.assertNotEqual(first.certificate, second.certificate)
        self.assertEqual(first.pin, second.pin)

    def test_a_given_certificate_with_a_readable_key_is_refused(self) -> None:
        made = x509.make_self_signed(["a"], NOW)
        given = replace(self.configuration, certificate=self.path / "c", private_key=self.path / "k")
        self.state.write("c", x509.certificates_to_pem(made.chain))
        self.assertRaises(ConfigurationError, credentials.load, given, self.state, NOW)
        self.state.write("k", x509.key_to_pem(made.key))
        self.assertEqual(credentials.load(given, self.state, NOW).pin, made.pin)
        # A group may read it, such as Debian's ssl-cert; nobody else, and nobody else may change it.
        (self.path / "k").chmod(0o640)
        self.assertEqual(credentials.load(given, self.state, NOW).pin, made.pin)
        for mode in (0o644, 0o660):
            (self.path / "k").chmod(mode)
            error = self.assertRaises(StateRefused, credentials.load, given, self.state, NOW)
            self.assertIn("chmod o=,g-w", str(error))
        (self.path / "k").write_bytes(x509.make_backup_key())
        self.assertRaises(ConfigurationError, credentials.load, given, self.state, NOW)

    def test_a_self_made_certificate_is_made_anew_in_time_with_the_same_pin(self) -> None:
        first = self.load()
        end = first.certificate.not_valid_after_utc
        days = timedelta(days=credentials.RENEWAL_DAYS)
        same = credentials.load(self.configuration, self.state, end - days)
        self.assertEqual(same.certificate, first.certificate)
        for later in (end - days + timedelta(seconds=1), end + timedelta(days=400)):
            renewed = credentials.load(self.configuration, self.state, later)
            self.assertEqual((renewed.pin, renewed.certificate != first.certificate), (first.pin, True))
            self.state.write("server.pem", first.to_pem())

    def test_an_expired_certificate_of_others_is_refused(self) -> None:
        authority = x509.make_authority("Us", NOW)
        issued = x509.issue(authority, ["localhost"], NOW, 1, x509.load_key(x509.make_backup_key()))
        self.state.write("server.pem", issued.to_pem())
        later = NOW.replace(year=2037)
        self.assertRaises(x509.CredentialsRefused, credentials.load, self.configuration, self.state, later)

    def test_the_backup_key(self) -> None:
        pin = credentials.first_backup_pin(self.state)
        self.assertEqual(pin, credentials.first_backup_pin(self.state))
        self.assertEqual(self.mode("backup-key.pem"), 0o600)

    def test_links(self) -> None:
        pins = (b"a" * 32, b"b" * 32)
        for hosts, bound, host in (
            ((), "127.0.0.1", "localhost"), (("x.example", "y"), "127.0.0.1", "x.example"),
            (("::1",), "::", "::1"),
        ):  # fmt: skip
            link = ConnectLink.parse(credentials.connect_link(hosts, bound, 8443, pins))
            self.assertEqual((link.host, link.port, link.pins), (host, 8443, pins))
