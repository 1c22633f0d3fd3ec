"""Invites for the operator: links with 16 random bytes, kept as hashes, bounded in time."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.passcode_store import hash_invite
from e2ee.errors import StoreUnavailable
from e2ee.ids import Address
from e2ee.net.connect_link import ConnectLink
from e2ee.server import admin, admin_invite
from e2ee.server.invites import InviteDesk
from e2ee.server.policy import INVITE_LONGEST_SECONDS, Policy, RegistrationMode
from e2ee.store.memory.invites import MemoryInvites
from e2ee.store.memory.state import Invite, MemoryStore

LINK = ConnectLink("chat.example.org", 8443, (b"a" * 32, b"b" * 32))
DAY = 86_400.0


class DeskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore()
        self.policy = Policy(registration=RegistrationMode.INVITE)
        self.desk = InviteDesk(
            MemoryInvites(self.store), lambda: self.policy, lambda: 100.0, lambda: 1_767_225_600.0,
            lambda size: b"\x01" * size,
        )  # fmt: skip

    def ask(self, **question: object) -> dict[str, Any]:
        return self.successResultOf(Deferred.fromCoroutine(self.desk.answer(question, str(LINK))))

    def test_the_link_is_the_servers_with_the_invite_and_the_store_has_its_hash(self) -> None:
        made = self.ask(seconds=DAY, address=None)
        link = ConnectLink.parse(made["link"])
        self.assertEqual((link.host, link.port, link.pins), (LINK.host, LINK.port, LINK.pins))
        self.assertEqual(link.invite, b"\x01" * 16)
        self.assertEqual(self.store.invites, {hash_invite(link.invite): Invite(None, 0, 100.0 + DAY)})
        self.assertEqual((made["expires_at"], made["note"]), ("2026-01-02T00:00:00.000Z", None))

    def test_one_for_a_number_in_any_spelling(self) -> None:
        made = self.ask(seconds=60, address="tel:+1 (555) 010-0101")
        self.assertEqual(made["address"], "+15550100101")
        [invite] = self.store.invites.values()
        self.assertEqual(invite, Invite(Address("+15550100101"), 1, 160.0))

    def test_what_cannot_be_is_one_sentence_and_makes_nothing(self) -> None:
        for question in (
            {}, {"seconds": 0}, {"seconds": -1}, {"seconds": INVITE_LONGEST_SECONDS + 1}, {"seconds": "7d"},
            {"seconds": True}, {"seconds": float("nan")}, {"seconds": None},
            {"seconds": 60, "address": "0155"}, {"seconds": 60, "address": ["+15550100101"]},
        ):  # fmt: skip
            answer = self.ask(**question)
            self.assertEqual((answer["type"], answer["code"]), ("error", "usage"), question)
        self.assertEqual(self.store.invites, {})
        self.ask(seconds=INVITE_LONGEST_SECONDS)
        self.assertEqual(len(self.store.invites), 1)

    def test_a_full_disk_is_told(self) -> None:
        async def full(*_: object) -> None:
            raise StoreUnavailable

        self.patch(self.desk.invites, "add", full)
        self.assertEqual(self.ask(seconds=60)["code"], "unavailable")

    def test_what_the_operator_may_not_expect_is_told(self) -> None:
        for policy, address, part in (
            (Policy(), None, "nobody needs an invite"),
            (Policy(), "+15550100101", None),
            (Policy(registration=RegistrationMode.CLOSED), None, "registration is closed"),
            (Policy(registration=RegistrationMode.CLOSED), "+15550100101", "registration is closed"),
            (Policy(RegistrationMode.INVITE, allowed_prefixes=("+44",)), None, "allowed prefix"),
            (Policy(RegistrationMode.INVITE, allowed_prefixes=("+44",)), "+15550100101", None),
        ):
            self.policy = policy
            note = self.ask(seconds=60, address=address)["note"]
            self.assertEqual(note is None, part is None, note)
            self.assertIn(part or "", note or "")


class VerbTests(SynchronousTestCase):
    """The command, with a server that the test plays."""

    def setUp(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {
            "type": "invite", "link": str(LINK) + "/AQEBAQ", "address": None,
            "expires_at": "2026-01-02T00:00:00.000Z", "note": "registration is open",
        }  # fmt: skip

    def run_verb(self, *arguments: str) -> tuple[int, str, str]:
        def ask(state_dir: object, question: dict[str, Any], as_json: bool) -> dict[str, Any]:
            self.asked.append(question)
            return self.answer

        command = admin_invite.invite_command(ask)
        result = CliRunner().invoke(command, arguments, obj="state")
        return result.exit_code, result.stdout, result.stderr

    def test_only_the_link_is_on_standard_output(self) -> None:
        status, out, err = self.run_verb()
        self.assertEqual((status, out), (0, self.answer["link"] + "\n"))
        self.assertIn("for one person, until 2026-01-02T00:00:00.000Z", err)
        self.assertIn("registration is open", err)

    def test_times_and_numbers_are_passed_on(self) -> None:
        for arguments, seconds in (("--expires=30m", 1800), ("--expires=12h", 43_200), ("", 7 * DAY)):
            self.run_verb(*arguments.split())
            self.assertEqual(self.asked[-1], {"verb": "invite", "seconds": seconds, "address": None})
        self.run_verb("--for", "+1 555 010 0101")
        self.assertEqual(self.asked[-1]["address"], "+1 555 010 0101")

    def test_what_is_no_time_is_a_usage_error(self) -> None:
        for text in ("7", "d", "-7d", "0d", "7w", "7 d", "1.5d", "\u0667d", "9999999d"):
            self.assertEqual(self.run_verb("--expires", text)[0], 2, text)
        self.assertEqual(self.asked, [])

    def test_a_qr_code_follows_the_link(self) -> None:
        lines = self.run_verb("--qr")[1].splitlines()
        self.assertEqual(lines[0], self.answer["link"])
        self.assertGreater(len(lines), 20)
        self.assertLess(max(len(line) for line in lines[1:]), 80)

    def test_json_is_one_object(self) -> None:
        self.assertEqual(json.loads(self.run_verb("--json")[1]), self.answer)

    def test_it_is_a_verb_of_e2ee_admin(self) -> None:
        result = CliRunner().invoke(admin.main, ["--state-dir", "/nonexistent", "invite", "--json"])
        self.assertEqual(result.exit_code, 3)
        self.assertEqual(json.loads(result.stderr.splitlines()[-1])["code"], "unreachable")
