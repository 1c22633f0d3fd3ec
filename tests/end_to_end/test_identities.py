"""X.509 identities through real processes: issued, attached, trusted, and what a changed key means then."""

from __future__ import annotations

import datetime
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from certs.make_certs import main
from tests.end_to_end.household import ALICE, BOB, Household, Result


class IdentityTests(SynchronousTestCase):
    """Alice trusts the authority that has given Bob a certificate."""

    def setUp(self) -> None:
        self.house = Household()
        self.addCleanup(self.house.__exit__)
        config = self.house.directory / "server.toml"
        config.write_text("[limits]\ncodes_burst = 0\nguesses_burst = 0\ncodes_per_source = 0\n")
        self.house.server_options = ("--config", str(config))
        self.link = self.house.start_server()
        self.house.register("alice", self.link, ALICE)
        self.house.register("bob", self.link, BOB)
        self.certs = self.house.directory / "certs"
        self.tool("ca", "--name", "Our company")
        self.tool("identity", "--number", BOB, "--rsa")

    def tool(self, command: str, *options: str) -> None:
        said: list[str] = []
        now = datetime.datetime.now(datetime.UTC)
        self.assertEqual(main([command, str(self.certs), *options], now, said.append), 0, said)

    def done(self, profile: str, *arguments: str, status: int = 0) -> Result:
        result = self.house.do(profile, *arguments, "--json")
        self.assertEqual(result.status, status, result.err + result.out)
        return result

    def attach(self, number: str = BOB, status: int = 0) -> Result:
        files = (str(self.certs / f"{number}-{what}.pem") for what in ("certificate", "key"))
        return self.done("bob", "identity", "attach", *files, status=status)

    def register_bob_again(self) -> None:
        codes = f"sed -n 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/p' '{self.house.codes}' | tail -n 1"
        self.done("bob", "register", self.link, BOB, "--again", "--no-passphrase", "--code-command", codes)

    def trust(self, *options: str) -> Result:
        return self.done("alice", "trust", "--ca", str(self.certs / "ca.pem"), *options)

    def bob_as_seen(self) -> dict[str, object]:
        [found] = self.done("alice", "contacts").objects
        return found

    def send(self, text: str, status: int = 0) -> dict[str, object]:
        [sent] = self.done("alice", "send", BOB, "-m", text, status=status).objects
        return sent

    def test_a_certified_contact_changes_his_key_without_a_stop(self) -> None:
        """Verified by the issuer at first contact; a new account key with a certificate goes on."""
        [attached] = self.attach().objects
        self.assertTrue(attached["attached"])
        self.assertEqual(self.done("bob", "identity", "show").objects, [attached])
        [authority] = self.trust().objects
        self.assertEqual(authority["name"], "Our company")
        self.send("one")
        self.assertEqual(self.bob_as_seen()["verified_by"], "Our company")
        [number] = self.done("alice", "verify", BOB).objects
        self.assertEqual((number["verified"], number["verified_by"]), (False, "Our company"))
        self.assertIn("verified by Our company", self.house.do("alice", "contacts").out)

        self.register_bob_again()
        self.assertEqual(self.done("bob", "identity", "show").objects[0]["attached"], False)
        self.assertEqual(self.send("too early", status=4)["error"]["code"], "key_changed")  # type: ignore[index]
        self.attach()
        self.send("two")
        heard = self.done("alice", "receive").objects
        changes = [one for one in heard if one["type"] == "key_changed"]
        self.assertEqual([one["verified_by"] for one in changes], [None, "Our company"])
        texts = [one["text"] for one in self.done("bob", "receive").objects if one["type"] == "message"]
        self.assertEqual(texts[-2:], ["too early", "two"])

        self.done("bob", "send", ALICE, "-m", "back")
        [back] = [one for one in self.done("alice", "receive").objects if one["type"] == "message"]
        self.assertEqual((back["text"], back["verified_by"]), ("back", "Our company"))
        self.assertFalse(back["verified"])

    def test_the_key_of_a_contact_that_is_known_changes_with_a_certificate(self) -> None:
        """The notice comes with the message that the new key sends."""
        self.attach()
        self.trust()
        self.send("one")
        self.register_bob_again()
        self.attach()
        self.done("bob", "send", ALICE, "-m", "from the new one")
        said = self.house.do("alice", "receive")
        self.assertIn(f"* the key of {BOB} has changed; the new one is verified by Our company", said.out)
        self.assertIn("from the new one", said.out)
        self.send("two")

    def test_what_proves_nothing_is_said(self) -> None:
        """Another authority, one that is trusted later, a revoked one, and one that is trusted no more."""
        self.attach()
        self.done("alice", "contacts", "add", BOB, "bob")
        self.send("one")
        [number] = self.done("alice", "verify", "bob").objects
        self.assertEqual(number["verified_by"], None)
        self.assertIn("no certification authority", number["certificate_error"])
        other = self.house.directory / "other"
        said: list[str] = []
        main(["ca", str(other), "--name", "Our company"], datetime.datetime.now(datetime.UTC), said.append)
        self.done("alice", "trust", "--ca", str(other / "ca.pem"))
        said_so = self.house.do("alice", "verify", "bob").out
        self.assertIn("certificate not accepted: the certificate does not lead to a trusted", said_so)

        self.trust()
        self.assertEqual(self.bob_as_seen()["verified_by"], "Our company")
        self.tool("revoke", str(self.certs / f"{BOB}-certificate.pem"))
        self.done("alice", "trust", "--crl", str(self.certs / "ca-crl.pem"))
        self.assertEqual(self.bob_as_seen()["verified_by"], None)
        [number] = self.done("alice", "verify", "bob").objects
        self.assertIn("revoked", number["certificate_error"])

        listed = self.done("alice", "trust", "--list-ca").objects
        self.assertEqual([one["name"] for one in listed], ["Our company", "Our company"])
        self.assertEqual(self.done("alice", "trust", "--remove-ca", "Our company", status=2).out, "")
        for one in listed:
            self.done("alice", "trust", "--remove-ca", one["fingerprint"][:16])
        self.assertEqual(self.done("alice", "trust", "--list-ca").objects, [])

    def test_a_certificate_for_another_number_is_not_attached(self) -> None:
        self.tool("identity", "--number", ALICE)
        refused = self.attach(ALICE, status=2)
        self.assertIn(f"for {ALICE}, not for {BOB}", refused.error["message"])
        self.assertEqual(self.done("bob", "identity", "show").objects[0]["attached"], False)

    def test_files_that_are_none(self) -> None:
        """Found before anything is asked of the server."""
        empty = self.write("empty", b"")
        key = self.certs / f"{BOB}-key.pem"
        certificate = self.certs / f"{BOB}-certificate.pem"
        for arguments in (
            ("identity", "attach", str(empty), str(key)),
            ("identity", "attach", str(certificate), str(empty)),
            ("identity", "attach", str(certificate), str(self.certs / "ca-key.pem")),
            ("identity", "attach", str(self.certs / "missing"), str(key)),
            ("trust", "--ca", str(empty)),
            ("trust", "--ca", str(certificate)),
            ("trust", "--crl", str(certificate)),
            ("trust",),
            ("trust", BOB, "--list-ca"),
            ("trust", "--remove-ca", "nobody"),
        ):
            refused = self.done("bob", *arguments, status=2)
            self.assertEqual(refused.error["code"], "usage", arguments)
        key.chmod(0o644)
        self.assertIn("chmod 600", self.attach(status=2).error["message"])

    def write(self, name: str, content: bytes) -> Path:
        path = self.house.directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path


