"""`identity attach|show|remove` and `trust --ca|--crl|--list-ca|--remove-ca`: docs/command-line.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2ee.client.events import SafetyNumber
from e2ee.client.identification.certificate_values import OwnIdentity, TrustedAuthority
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.ui import address_book, cli, identities, printer, trust_records
from e2ee.ui.options import Options
from tests.ui.fakes import BOB, DIGITS, NOON, CoroutineTestCase, FakeCall, FakeMessenger

DAY = 24 * 60 * 60 * 1000
OWN = OwnIdentity("CN=Bob", "CN=Our company", "ff", NOON, NOON + DAY)
COMPANY = TrustedAuthority("Our company", b"\xab" * 32, NOON + DAY, NOON)


class Kept:
    """In place of the client's identities and authorities: keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.identity: OwnIdentity | None = OWN
        self.open = False

    async def attach(self, certificate: bytes, key: bytes) -> OwnIdentity:
        self.asked.append((certificate, key))
        return OWN

    async def own(self) -> OwnIdentity | None:
        return self.identity

    async def remove(self) -> None:
        self.asked.append("remove")

    async def is_open(self, address: Address) -> bool:
        return self.open

    async def ask(self, address: Address) -> None:
        self.asked.append(address)

    async def ask_for_all(self) -> None:
        self.asked.append("all")

    async def trust(self, authorities: bytes | None, lists: bytes | None) -> list[TrustedAuthority]:
        self.asked.append((authorities, lists))
        return [COMPANY]

    async def authorities(self) -> list[TrustedAuthority]:
        return [COMPANY]

    async def distrust(self, which: str) -> TrustedAuthority:
        self.asked.append(which)
        return COMPANY


class CertifiedMessenger(FakeMessenger):
    """With identities that a test looks into."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = kept

    @property
    def certificates(self) -> Any:
        return self.kept


class IdentityVerbTests(CoroutineTestCase):
    """Files are read before anything is opened; what is printed."""

    def setUp(self) -> None:
        self.kept = Kept()
        self.messenger = CertifiedMessenger(self.kept)
        self.call = FakeCall(self.messenger, Options())

    def file(self, content: bytes, mode: int = 0o600) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def run_verb(self, verb: Any, *arguments: Any) -> list[str]:
        self.assertEqual(self.result(verb(self.call.as_invocation(), *arguments)), 0)
        return self.call.printed

    def refused(self, verb: Any, *arguments: Any) -> Failure:
        failure = self.failure(verb(self.call.as_invocation(), *arguments))
        self.assertEqual((failure.code, self.call.connected), (Code.USAGE, []))
        return failure

    def test_attach_hands_both_files_over(self) -> None:
        printed = self.run_verb(identities.attach, self.file(b"chain", 0o644), self.file(b"key"))
        self.assertEqual(self.kept.asked, [(b"chain", b"key")])
        self.assertEqual(
            printed,
            ["subject: CN=Bob", "issuer: CN=Our company", "serial: ff", "valid until: 2023-11-16"],
        )

    def test_files_that_are_not_taken(self) -> None:
        chain, key = self.file(b"chain"), self.file(b"key")
        self.refused(identities.attach, Path(self.mktemp()), key)
        self.refused(identities.attach, chain, Path(self.mktemp()))
        self.assertIn("chmod 600", self.refused(identities.attach, chain, self.file(b"key", 0o640)).sentence)
        self.refused(identities.attach, self.file(bytes(64 * 1024 + 1)), key)
        self.refused(identities.trust_authorities, self.file(bytes(64 * 1024 + 1)), None)
        self.refused(identities.trust_authorities, None, self.file(bytes(512 * 1024 + 1)))
        self.assertEqual(self.kept.asked, [])

    def test_show_with_and_without_one(self) -> None:
        self.assertEqual(len(self.run_verb(identities.show)), 4)
        self.kept.identity = None
        self.assertEqual(self.run_verb(identities.show)[4:], ["no certificate"])
        refused = OwnIdentity("CN=Bob", "CN=Our company", "ff", NOON, NOON, "it expired")
        self.assertEqual(trust_records.identity_records(refused)[-1], "proves nothing: it expired")

    def test_remove(self) -> None:
        self.assertEqual(self.run_verb(identities.remove), ["certificate removed"])
        self.assertEqual(self.kept.asked, ["remove"])

    def test_trust_takes_both_files_and_asks_about_contacts(self) -> None:
        printed = self.run_verb(identities.trust_authorities, self.file(b"ca"), self.file(b"crl"))
        self.assertEqual(self.kept.asked, [(b"ca", b"crl"), "all"])
        listed = "ab" * 32 + " Our company (valid until 2023-11-16, revocation list until 2023-11-15)"
        self.assertEqual(printed, [listed])
        self.assertEqual(self.run_verb(identities.list_authorities)[1:], [listed])
        self.assertEqual(self.run_verb(identities.distrust, "Our company")[2:], [f"removed {listed}"])

    def test_without_a_server_the_authority_is_trusted_all_the_same(self) -> None:
        self.messenger.connection = Failure(Code.UNREACHABLE, "nobody there")
        self.run_verb(identities.trust_authorities, self.file(b"ca"), None)
        self.assertEqual(self.kept.asked, [(b"ca", None)])
        self.assertIn("nobody there", self.call.mentioned[0])
        self.messenger.connection = Failure(Code.LOGGED_OUT, "gone")
        failure = self.failure(
            identities.trust_authorities(self.call.as_invocation(), self.file(b"ca"), None)
        )
        self.assertIs(failure.code, Code.LOGGED_OUT)

    def test_objects(self) -> None:
        self.assertEqual(
            trust_records.identity_object(OWN),
            {
                "type": "identity", "attached": True, "subject": "CN=Bob", "issuer": "CN=Our company",
                "serial": "ff", "not_before": "2023-11-15T12:00:00.000Z",
                "not_after": "2023-11-16T12:00:00.000Z", "error": None,
            },
        )  # fmt: skip
        self.assertEqual(trust_records.identity_object(None), {"type": "identity", "attached": False})
        self.assertEqual(
            trust_records.authority_object(COMPANY),
            {
                "type": "authority", "name": "Our company", "fingerprint": "ab" * 32,
                "not_after": "2023-11-16T12:00:00.000Z", "revocations_until": "2023-11-15T12:00:00.000Z",
            },
        )  # fmt: skip
        without = TrustedAuthority("Our company", b"\xab" * 32, NOON)
        self.assertIsNone(trust_records.authority_object(without)["revocations_until"])
        self.assertIn("no revocation list", trust_records.authority_record(without))

    def test_verify_asks_the_server_where_a_certificate_could_say_more(self) -> None:
        async def safety_number(address: Address) -> SafetyNumber:
            return SafetyNumber(address, DIGITS, False, "Our company" if self.kept.asked else None)

        self.patch(self.messenger, "safety_number", safety_number)
        self.assertEqual(len(self.run_verb(address_book.verify, BOB, None)), 2)
        self.kept.open = True
        self.assertEqual(self.run_verb(address_book.verify, BOB, None)[4], "verified by Our company")
        self.assertEqual(self.kept.asked, [Address(BOB)])

    def test_verify_works_without_a_server(self) -> None:
        self.kept.open = True
        self.messenger.connection = Failure(Code.UNREACHABLE, "nobody there")
        self.assertEqual(self.run_verb(address_book.verify, BOB, None)[1:], ["not verified"])
        self.assertIn("nobody there", self.call.mentioned[0])


class TrustArgumentTests(CoroutineTestCase):
    """One thing at a time."""

    def test_what_does_not_go_together(self) -> None:
        said: list[str] = []
        self.patch(printer, "print_error", said.append)
        for arguments in (
            [], [BOB, "--list-ca"], ["--ca", "x", "--list-ca"], ["--crl", "x", "--remove-ca", "y"],
            ["--list-ca", "--remove-ca", "y"], [BOB, "--ca", "x"],
        ):  # fmt: skip
            self.assertEqual(cli.call(["trust", *arguments]), 2, arguments)
            self.assertIn("give one of", said[-1])
