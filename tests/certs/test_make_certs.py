"""The tool that makes a private CA and server certificates."""

from __future__ import annotations

import datetime
import os
import stat
import sys
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from certs.make_certs import main
from e2ee.net import x509
from e2ee.net.authority import load_authorities, load_revocation_lists
from e2ee.net.certificate_path import Trusted, check_path, check_subject
from e2ee.net.connect_link import format_pin
from e2ee.net.identity_key import load_identity_key

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=600)


class ToolCase(SynchronousTestCase):
    """A folder, and the tool."""

    def setUp(self) -> None:
        self.dir = Path(self.mktemp()) / "made"
        # Files are private whatever the umask says.
        self.addCleanup(os.umask, os.umask(0))

    def run_tool(self, command: str, *options: str, now: datetime.datetime = NOW, code: int = 0) -> str:
        written: list[str] = []
        self.assertEqual(main([command, str(self.dir), *options], now, written.append), code, written)
        return "".join(written)


class MakeCertsTests(ToolCase):
    """ca, server, renew."""

    def credentials(self) -> x509.Credentials:
        return x509.load_credentials(
            (self.dir / "server-certificate.pem").read_bytes(), (self.dir / "server-key.pem").read_bytes()
        )

    def test_a_ca_and_a_server_certificate(self) -> None:
        self.run_tool("ca", "--name", "Our company")
        said = self.run_tool("server", "--host", "chat.example.org", "--host", "192.0.2.10")
        made = self.credentials()
        [authority] = x509.load_certificates((self.dir / "ca.pem").read_bytes())
        made.certificate.verify_directly_issued_by(authority)
        self.assertEqual(x509.names_of(made.certificate), ("chat.example.org", "192.0.2.10"))
        self.assertIn(format_pin(made.pin), said)

    def test_a_certificate_for_the_backup_key_takes_the_place_of_the_present_one(self) -> None:
        self.run_tool("ca", "--name", "Our company")
        self.run_tool("server", "--host", "localhost")
        backup = self.dir / "backup-key.pem"
        backup.write_bytes(x509.make_backup_key())
        said = self.run_tool("server", "--host", "localhost", "--key", str(backup))
        self.assertEqual(self.credentials().pin, x509.key_pin(backup.read_bytes()))
        self.assertIn(format_pin(self.credentials().pin), said)
        before = self.credentials().pin
        backup.write_bytes(b"no key")
        self.run_tool("server", "--host", "localhost", "--key", str(backup), code=1)
        self.run_tool("server", "--host", "localhost", "--key", str(self.dir / "nothing"), code=1)
        self.assertEqual(self.credentials().pin, before)

    def test_files_and_their_folder_are_private(self) -> None:
        self.run_tool("ca", "--name", "Our company")
        self.run_tool("server", "--host", "localhost")
        self.assertEqual(
            sorted(each.name for each in self.dir.iterdir()),
            ["ca-key.pem", "ca.pem", "server-certificate.pem", "server-key.pem"],
        )
        for path in self.dir.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)
        self.assertEqual(stat.S_IMODE(self.dir.stat().st_mode), 0o700)

    def test_ecdsa_by_default_and_rsa_on_request(self) -> None:
        self.run_tool("ca", "--name", "Our company")
        self.run_tool("server", "--host", "localhost")
        self.assertEqual(self.credentials().key.key_size, 256)
        (self.dir / "server-key.pem").unlink()
        self.run_tool("server", "--host", "localhost", "--rsa")
        self.assertEqual(self.credentials().key.key_size, 3072)

    def test_renewal_keeps_key_pin_and_names(self) -> None:
        self.run_tool("ca", "--name", "Our company")
        self.run_tool("server", "--host", "chat.example.org", "--host", "::1")
        before = self.credentials()
        self.run_tool("renew", now=LATER)
        after = self.credentials()
        self.assertEqual(after.pin, before.pin)
        self.assertEqual(x509.names_of(after.certificate), ("chat.example.org", "::1"))
        after.check(LATER + datetime.timedelta(days=700))

    def test_renewal_with_other_names(self) -> None:
        self.run_tool("ca", "--name", "Our company")
        self.run_tool("server", "--host", "chat.example.org")
        self.run_tool("renew", "--host", "new.example.org")
        self.assertEqual(x509.names_of(self.credentials().certificate), ("new.example.org",))

    def test_no_key_is_replaced(self) -> None:
        self.run_tool("ca", "--name", "Our company")
        before = (self.dir / "ca-key.pem").read_bytes()
        self.assertIn("exists", self.run_tool("ca", "--name", "Another", code=1))
        self.assertEqual((self.dir / "ca-key.pem").read_bytes(), before)

    def test_without_a_ca_there_is_a_sentence(self) -> None:
        self.dir.mkdir(parents=True)
        self.assertIn("ca.pem", self.run_tool("server", "--host", "localhost", code=1))

    def test_a_name_that_cannot_be_one(self) -> None:
        self.run_tool("ca", "--name", "Our company")
        self.assertIn("cannot stand", self.run_tool("server", "--host", "b\u00fccher.example", code=1))
        self.assertFalse((self.dir / "server-key.pem").exists())


class IdentityTests(ToolCase):
    """identity, revoke, crl: what clients accept of it."""

    number = "+15550100101"

    def setUp(self) -> None:
        super().setUp()
        self.run_tool("ca", "--name", "Our company")

    def made(self, what: str, number: str = number) -> bytes:
        return (self.dir / f"{number}-{what}.pem").read_bytes()

    def check(self, now: datetime.datetime = NOW) -> None:
        """As a client that trusts the authority, with its list if there is one."""
        [authority] = load_authorities((self.dir / "ca.pem").read_bytes(), NOW)
        path = self.dir / "ca-crl.pem"
        lists = load_revocation_lists(path.read_bytes()) if path.exists() else ()
        chain = x509.load_certificates(self.made("certificate"))
        check_subject(chain[0], self.number, now)
        check_path(chain, Trusted((authority.encoded,), tuple(one.encoded for one in lists)), now)

    def test_each_kind_of_key_is_accepted(self) -> None:
        for option in ([], ["--rsa"], ["--ed25519"]):
            said = self.run_tool("identity", "--number", "+1 555 010 0101", "--name", "Alice", *option)
            self.assertIn("e2ee identity attach", said)
            self.check()
            [certificate] = x509.load_certificates(self.made("certificate"))
            load_identity_key(self.made("key"), certificate)
            (self.dir / f"{self.number}-key.pem").unlink()

    def test_it_is_valid_for_a_year_unless_asked_for_more(self) -> None:
        self.run_tool("identity", "--number", self.number)
        self.check(NOW + datetime.timedelta(days=365))
        later = NOW + datetime.timedelta(days=366)
        self.assertRaises(x509.CredentialsRefused, self.check, later)

    def test_no_key_of_a_person_is_replaced_and_a_number_must_be_one(self) -> None:
        self.run_tool("identity", "--number", self.number)
        self.assertIn("exists", self.run_tool("identity", "--number", self.number, code=1))
        self.patch(sys, "stderr", StringIO())
        for arguments in (["--number", "bob"], ["--number", self.number, "--years", "31"]):
            self.assertRaises(SystemExit, main, ["identity", str(self.dir), *arguments], NOW, str)

    def test_revoked_ones_stay_revoked_in_every_later_list(self) -> None:
        self.run_tool("identity", "--number", self.number)
        self.run_tool("identity", "--number", "+15550100102")
        self.run_tool("crl")
        self.check()
        self.run_tool("revoke", str(self.dir / f"{self.number}-certificate.pem"))
        self.assertIn("revoked", str(self.assertRaises(x509.CredentialsRefused, self.check)))
        self.run_tool("revoke", str(self.dir / "+15550100102-certificate.pem"))
        self.run_tool("crl", now=NOW + datetime.timedelta(days=20))
        refused = self.assertRaises(x509.CredentialsRefused, self.check, NOW + datetime.timedelta(days=45))
        self.assertIn("revoked", str(refused))
        [made] = load_revocation_lists((self.dir / "ca-crl.pem").read_bytes())
        self.assertEqual(len(made.content), 2)

    def test_a_list_is_valid_for_thirty_days_unless_asked_for_more(self) -> None:
        self.run_tool("identity", "--number", self.number)
        self.run_tool("crl")
        self.check(NOW + datetime.timedelta(days=30))
        self.assertRaises(x509.CredentialsRefused, self.check, NOW + datetime.timedelta(days=31))
        self.run_tool("crl", "--days", "60")
        self.check(NOW + datetime.timedelta(days=60))

    def test_what_another_authority_has_made_is_not_revoked_or_continued(self) -> None:
        own, self.dir = self.dir, Path(self.mktemp())
        self.run_tool("ca", "--name", "Other")
        self.run_tool("identity", "--number", self.number)
        self.run_tool("crl")
        other, self.dir = self.dir, own
        strange = str(other / f"{self.number}-certificate.pem")
        self.assertIn("has not issued", self.run_tool("revoke", strange, code=1))
        for content in ((other / "ca-crl.pem").read_bytes(), b"nothing"):
            (self.dir / "ca-crl.pem").write_bytes(content)
            self.assertIn("list that is there", self.run_tool("crl", code=1))
