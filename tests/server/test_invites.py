"""Invites for the operator: links with 16 random bytes, kept as hashes, bounded in time."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Any

from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.passcode_store import hash_invite
from e2ee.errors import InvalidAddress
from e2ee.ids import Address
from e2ee.net.connect_link import ConnectLink
from e2ee.server import admin, admin_invite, invites
from e2ee.server.admin_requests import ListInvites, MakeInvite, Request, RevokeInvite
from e2ee.server.invites import InviteDesk, InviteGone, InviteRefused, Reply
from e2ee.server.policy import INVITE_LONGEST_SECONDS, Policy, RegistrationMode
from e2ee.store.memory.invites import MemoryInvites
from e2ee.store.memory.state import Invite, MemoryStore

LINK = ConnectLink("chat.example.org", 8443, (b"a" * 32, b"b" * 32))
DAY = 86_400.0
ID = "4f3a91c25e07d816"


class DeskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore()
        self.policy = Policy(registration=RegistrationMode.INVITE)
        self.service_time, self.wall = 100.0, 1_767_225_600.0
        self.made = 0
        self.desk = InviteDesk(
            MemoryInvites(self.store), lambda: self.policy, lambda: self.service_time,
            lambda: self.wall, self.entropy,
        )  # fmt: skip

    def entropy(self, size: int) -> bytes:
        self.made += 1
        return bytes([self.made]) * size

    def make(self, seconds: float = DAY, number: str | None = None) -> dict[str, Any]:
        return self.done(self.desk.make(seconds, number, str(LINK)))

    def done(self, answering: Coroutine[Any, Any, Reply]) -> dict[str, Any]:
        return self.successResultOf(Deferred.fromCoroutine(answering))

    def refused(self, answering: Coroutine[Any, Any, Reply], kind: type[Exception]) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(answering), kind).value)

    def test_the_link_is_the_servers_with_the_invite_and_the_store_has_its_hash(self) -> None:
        made = self.make()
        link = ConnectLink.parse(made["link"])
        self.assertEqual((link.host, link.port, link.pins), (LINK.host, LINK.port, LINK.pins))
        self.assertEqual(link.invite, bytes([1]) * 16)
        self.assertEqual(self.store.invites, {hash_invite(link.invite): Invite(None, 0, 100.0 + DAY)})
        self.assertEqual((made["expires_at"], made["note"]), ("2026-01-02T00:00:00.000Z", None))

    def test_one_for_a_number_in_any_spelling(self) -> None:
        made = self.make(60, "tel:+1 (555) 010-0101")
        self.assertEqual(made["address"], "+15550100101")
        [invite] = self.store.invites.values()
        self.assertEqual(invite, Invite(Address("+15550100101"), 1, 160.0))

    def test_what_cannot_be_is_one_sentence_and_makes_nothing(self) -> None:
        for seconds in (0, -1, INVITE_LONGEST_SECONDS + 1, float("nan"), float("inf")):
            self.refused(self.desk.make(seconds, None, str(LINK)), InviteRefused)
        self.refused(self.desk.make(60, "0155", str(LINK)), InvalidAddress)
        self.assertEqual(self.store.invites, {})
        self.make(INVITE_LONGEST_SECONDS)
        self.assertEqual(len(self.store.invites), 1)

    def test_those_that_hold_are_shown_without_what_admits(self) -> None:
        made = [self.make(60), self.make(DAY, "+15550100101"), self.make(90)]
        self.service_time += 60
        self.wall += 60
        page = self.done(self.desk.page(""))
        self.assertFalse(page["more"])
        shown = {each["id"]: (each["address"], each["expires_at"]) for each in page["invites"]}
        self.assertEqual(shown, {each["id"]: (each["address"], each["expires_at"]) for each in made[1:]})
        for each in made:
            self.assertNotIn(each["link"].rsplit("/", 1)[1], json.dumps(page))
            self.assertNotIn(ConnectLink.parse(each["link"]).invite.hex(), json.dumps(page))

    def test_pages(self) -> None:
        self.patch(invites, "PAGE", 2)
        made = {self.make()["id"] for _ in range(3)}
        first = self.done(self.desk.page(""))
        second = self.done(self.desk.page(first["invites"][-1]["id"]))
        self.assertEqual((first["more"], second["more"]), (True, False))
        self.assertEqual({each["id"] for each in first["invites"] + second["invites"]}, made)

    def test_one_is_revoked_once(self) -> None:
        first, second = self.make(), self.make()
        self.assertEqual(self.done(self.desk.revoke(first["id"].upper()))["id"], first["id"])
        self.assertEqual(list(self.store.invites), [hash_invite(ConnectLink.parse(second["link"]).invite)])
        self.assertIn(first["id"], self.refused(self.desk.revoke(first["id"]), InviteGone))

    def test_what_is_no_id(self) -> None:
        self.make()
        for text in ("", "00", "g" * 16, "0" * 18, "\u0660" * 16, str(LINK)):
            self.refused(self.desk.revoke(text), InviteRefused)
        self.refused(self.desk.page("x"), InviteRefused)
        self.assertEqual(len(self.store.invites), 1)

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
            note = self.make(60, address)["note"]
            self.assertEqual(note is None, part is None, note)
            self.assertIn(part or "", note or "")


class VerbTests(SynchronousTestCase):
    """The command, with a server that the test plays."""

    def setUp(self) -> None:
        self.asked: list[Request] = []
        self.patch(admin_invite, "ask", self.ask)
        self.answer: dict[str, Any] = {
            "type": "invite", "id": ID, "link": str(LINK) + "/AQEBAQ", "address": None,
            "expires_at": "2026-01-02T00:00:00.000Z", "note": "registration is open",
        }  # fmt: skip

    def ask(self, state_dir: object, request: Request, as_json: bool) -> dict[str, Any]:
        self.asked.append(request)
        return self.answer

    def turn(self, state_dir: object, request: Request, as_json: bool) -> dict[str, Any]:
        self.asked.append(request)
        return next(self.pages)

    def run_verb(self, *arguments: str, verb: str = "invite") -> tuple[int, str, str]:
        result = CliRunner().invoke(admin.main, [verb, *arguments])
        return result.exit_code, result.stdout, result.stderr

    def test_only_the_link_is_on_standard_output(self) -> None:
        status, out, err = self.run_verb()
        self.assertEqual((status, out), (0, self.answer["link"] + "\n"))
        self.assertIn(f"{ID} for one person, until 2026-01-02T00:00:00.000Z", err)
        self.assertIn("registration is open", err)

    def test_times_and_numbers_are_passed_on(self) -> None:
        for arguments, seconds in (("--expires=30m", 1800), ("--expires=12h", 43_200), ("", 7 * DAY)):
            self.run_verb(*arguments.split())
            self.assertEqual(self.asked[-1], MakeInvite(seconds))
        self.run_verb("--for", "+1 555 010 0101")
        self.assertEqual(self.asked[-1], MakeInvite(7 * DAY, "+1 555 010 0101"))

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

    def test_the_open_ones_page_by_page(self) -> None:
        hers = {"type": "open_invite", "id": ID, "address": "+15550100101", "expires_at": "then"}
        anybodys = {**hers, "id": "f" * 16, "address": None}
        pages = [{"invites": [hers], "more": True}, {"invites": [anybodys], "more": False}]
        for arguments, lines in (
            ((), [f"{ID} for +15550100101, until then", f"{'f' * 16} for one person, until then"]),
            (("--json",), [json.dumps(hers), json.dumps(anybodys)]),
        ):
            self.pages = iter(pages)
            self.patch(admin_invite, "ask", self.turn)
            status, out, _ = self.run_verb(*arguments, verb="invites")
            self.assertEqual((status, out.splitlines()), (0, lines))
            self.assertEqual(self.asked[-2:], [ListInvites(), ListInvites(ID)])

    def test_one_is_revoked(self) -> None:
        self.answer = {"type": "revoked", "id": ID}
        self.assertEqual(self.run_verb("--revoke", ID, verb="invites")[:2], (0, f"revoked {ID}\n"))
        self.assertEqual(self.asked, [RevokeInvite(ID)])
        shown = self.run_verb("--revoke", ID, "--json", verb="invites")[1]
        self.assertEqual(json.loads(shown), self.answer)


class NoServerTests(SynchronousTestCase):
    def test_they_are_verbs_of_e2ee_admin(self) -> None:
        for verb in ("invite", "invites"):
            result = CliRunner().invoke(admin.main, ["--state-dir", "/nonexistent", verb, "--json"])
            self.assertEqual(result.exit_code, 3)
            self.assertEqual(json.loads(result.stderr.splitlines()[-1])["code"], "unreachable")
