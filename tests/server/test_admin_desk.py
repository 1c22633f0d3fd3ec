"""What operators are answered: accounts, deletion, log-out, backups, and never a message or a code."""

from __future__ import annotations

import json
from typing import Any

from e2ee.errors import StoreUnavailable
from e2ee.server import admin_desk as desk_module
from e2ee.server.admin_desk import AdminDesk
from e2ee.server.admin_requests import (
    AdminRequest,
    AskConnectLink,
    AskStatus,
    ChangeAccount,
    Examine,
    ListAccounts,
    ListInvites,
    MakeBackup,
    MakeInvite,
    RevokeInvite,
    RotateCertificate,
)
from e2ee.server.copying import Copying
from e2ee.server.examination import Examination
from e2ee.server.invites import InviteDesk
from e2ee.server.refusal import Refusal
from e2ee.server.secret_source import SecretSource
from e2ee.server.status import StatusDesk
from e2ee.store.connection import connect
from e2ee.store.stepping import sqlite_error
from e2ee.wire import messages as m
from tests.server.running_house import KEY, RunningCase
from tests.server.town import ALICE, BOB, CAROL

TEXT = b"nobody but Bob opens this"


class DeskCase(RunningCase):
    """One desk."""

    def setUp(self) -> None:
        super().setUp()
        copying = Copying(self.running, KEY)
        examination = Examination(self.running, copying)
        self.desk = AdminDesk(
            self.running, StatusDesk(self.running, examination, copying), examination, copying,
            InviteDesk(
                self.running.stores.invites, lambda: self.town.rooms.registration.policy,
                self.running.now, self.running.wall,
            ),
        )  # fmt: skip

    def ask(self, request: AdminRequest) -> dict[str, Any]:
        answer = self.now(self.desk.answer(request))
        said = json.dumps(answer)
        self.assertNotIn(TEXT.decode(), said)
        return answer

    def mail(self, sender: Any = ALICE, to: Any = BOB, text: bytes = TEXT) -> None:
        peer = self.town.peer(sender)
        self.assertEqual(
            self.successResultOf(self.town.submit(peer, self.town.send(to, text))).outcome,  # type: ignore[attr-defined]
            m.Outcome.STORED,
        )


class AccountTests(DeskCase):
    """Who has an account, and what an operator can do about it."""

    def test_accounts(self) -> None:
        self.mail()
        self.now(self.town.log_in(ALICE))
        answer = self.ask(ListAccounts())
        alice, bob = answer["accounts"]
        self.assertEqual((alice["address"], alice["connected"], alice["waiting"]), (ALICE, True, 0))
        self.assertEqual((bob["connected"], bob["waiting"], bob["last_login"]), (False, 1, None))
        self.assertEqual(alice["last_login"], "1970-01-01T00:16:40.500Z")
        self.assertEqual((bob["device"], answer["more"]), (bytes(self.town.where(BOB).device).hex(), False))

    def test_pages(self) -> None:
        self.patch(desk_module, "PAGE", 1)
        first = self.ask(ListAccounts())
        self.assertTrue(first["more"])
        second = self.ask(ListAccounts(first["accounts"][0]["address"]))
        self.assertEqual(second["accounts"][0]["address"], BOB)

    def test_deletion_tells_the_device_and_the_senders_and_drops_the_mailbox(self) -> None:
        self.mail()
        alice, bob = self.now(self.town.log_in(ALICE)), self.now(self.town.log_in(BOB))
        answer = self.ask(ChangeAccount("+1 (555) 010-0102", "delete"))
        self.assertEqual(answer, {"type": "deleted", "address": BOB})
        self.assertEqual(bob.ended, "logged out")
        [notice] = [one for one in alice.told if isinstance(one, m.Notice)]
        self.assertEqual((notice.reason, len(notice.envelope_ids)), (m.NoticeReason.DELETED, 1))
        self.assertFalse(self.town.rooms.presence.is_connected(BOB))
        self.assertEqual(self.now(self.town.stores.mailbox.count()), 0)
        self.assertIsNone(self.now(self.town.rooms.known.find(BOB)))
        self.assertEqual(self.town.rooms.counters.accounts_deleted, 1)
        self.assertEqual([one["address"] for one in self.ask(ListAccounts())["accounts"]], [ALICE])

    def test_what_is_on_its_way_at_a_deletion_is_refused_to_its_sender(self) -> None:
        alice = self.now(self.town.log_in(ALICE))
        self.town.mailbox.slow = True
        sending = self.town.submit(alice, self.town.send(BOB, TEXT))
        self.ask(ChangeAccount(BOB, "delete"))
        self.town.mailbox.release()
        self.failureResultOf(sending, Refusal)

    def test_log_out_ends_the_connection_and_every_later_login(self) -> None:
        self.mail()
        bob = self.now(self.town.log_in(BOB))
        self.assertEqual(self.ask(ChangeAccount(BOB, "log-out")), {"type": "logged_out", "address": BOB})
        self.assertEqual(bob.ended, "logged out")
        self.refused(self.town.log_in(BOB), Refusal)
        [_, facts] = self.ask(ListAccounts())["accounts"]
        self.assertEqual((facts["logged_out"], facts["connected"], facts["waiting"]), (True, False, 1))
        self.now(self.town.settle_in(BOB))
        self.assertFalse(self.ask(ListAccounts())["accounts"][1]["logged_out"])
        self.now(self.town.log_in(BOB))

    def test_a_login_under_way_does_not_survive_it(self) -> None:
        """It was verified before, and takes its place after."""
        account = self.now(self.town.account(BOB))
        self.ask(ChangeAccount(BOB, "log-out"))
        self.refused(self.town.rooms.login.enter(self.town.peer(BOB), account, 1), Refusal)
        self.assertFalse(self.town.rooms.presence.is_connected(BOB))

    def test_nobody(self) -> None:
        for action in ("delete", "log-out"):
            answer = self.ask(ChangeAccount(CAROL, action))
            self.assertEqual((answer["type"], answer["code"]), ("error", "unknown_recipient"))
        self.assertEqual(self.ask(ChangeAccount("Bob", "delete"))["code"], "usage")


class InviteTests(DeskCase):
    """Invites are made, shown and revoked; what is wrong is an answer."""

    def test_from_the_first_to_the_last(self) -> None:
        made = self.ask(MakeInvite(3600, "+1 555 010-0103"))
        self.assertTrue(made["link"].startswith(self.running.identity.link + "/"))
        [shown] = self.ask(ListInvites())["invites"]
        self.assertEqual((shown["id"], shown["address"]), (made["id"], CAROL))
        self.assertEqual(self.ask(RevokeInvite(made["id"])), {"type": "revoked", "id": made["id"]})
        self.assertEqual(self.ask(ListInvites())["invites"], [])

    def test_refusals(self) -> None:
        for request, code in (
            (MakeInvite(0), "usage"), (MakeInvite(60, "Bob"), "usage"), (ListInvites("x"), "usage"),
            (RevokeInvite("x"), "usage"), (RevokeInvite("0" * 16), "failed"),
        ):  # fmt: skip
            answer = self.ask(request)
            self.assertEqual((answer["type"], answer["code"]), ("error", code))

    def test_a_full_disk_is_told(self) -> None:
        async def full(*_: object) -> None:
            raise StoreUnavailable

        self.patch(self.town.stores.invites, "add", full)
        self.assertEqual(self.ask(MakeInvite(60))["code"], "unavailable")


class CareTests(DeskCase):
    """What keeps a server alive."""

    def test_status(self) -> None:
        self.mail()
        self.now(self.town.log_in(ALICE))
        status = self.ask(AskStatus())
        self.assertEqual(
            [status[name] for name in ("accounts", "devices", "waiting", "waiting_bytes", "deepest_mailbox")],
            [2, 1, 1, len(TEXT), 1],
        )
        self.assertEqual((status["registration"], status["presence"]), ("open", "contacts"))
        self.assertEqual((status["rotated_at"], status["backed_up_at"], status["warnings"]), (None, None, []))
        self.assertEqual(status["connect_link"], self.ask(AskConnectLink())["connect_link"])
        self.assertNotIn(ALICE, json.dumps(status))

    def test_rotation(self) -> None:
        before = self.running.identity.backup_pin
        answer = self.ask(RotateCertificate())
        self.assertEqual(self.running.identity.pin, before)
        self.assertEqual(answer["connect_link"], self.running.identity.link)
        self.assertEqual(self.ask(RotateCertificate("no key"))["code"], "failed")

    def test_a_backup_is_left_to_be_taken_and_says_what_else_to_keep(self) -> None:
        self.patch(self.faults, "connector", connect)
        answer = self.backup()
        path = self.path / answer["name"]
        self.assertEqual((path.stat().st_size, path.stat().st_mode & 0o777), (answer["bytes"], 0o600))
        self.assertEqual(
            [name.rsplit("/", 1)[1] for name in answer["keep"]],
            ["server.secret", "server.pem", "backup-key.pem"],
        )
        self.assertEqual(self.ask(AskStatus())["backed_up_at"], "2026-03-04T05:06:07.000Z")

    def test_a_secret_from_elsewhere_is_to_be_kept_there(self) -> None:
        self.patch(self.faults, "connector", connect)
        self.reconfigure(secret=SecretSource.parse("credential:e2ee.secret"))
        self.assertEqual(self.backup()["keep"][0], "credential:e2ee.secret")

    def test_a_backup_that_nobody_took_goes_with_the_next_one(self) -> None:
        first = self.backup()["name"]
        second = self.backup()["name"]
        self.assertEqual({name for name in self.files() if name.startswith(".backup-")}, {second})
        self.assertNotEqual(first, second)

    def backup(self) -> dict[str, Any]:
        """Through a connection that can copy itself, as the real one."""
        database = self.running.database
        self.patch(database._aside, "_open", lambda: connect(self.configuration.database, KEY))
        return self.ask(MakeBackup())

    def test_one_backup_at_a_time(self) -> None:
        self.desk.copying._busy = True
        self.assertIn("another backup", self.ask(MakeBackup())["message"])

    def test_a_full_disk_is_an_answer(self) -> None:
        self.faults.add("INSERT OR REPLACE INTO fact", sqlite_error(13, "database or disk is full"))
        answer = self.ask(RotateCertificate())
        self.assertEqual((answer["type"], answer["code"]), ("error", "unavailable"))

    def test_check(self) -> None:
        levels = {each["name"]: each["level"] for each in self.ask(Examine())["findings"]}
        self.assertEqual(
            {name: levels[name] for name in ("database", "permissions", "certificate", "backup key")},
            {"database": "ok", "permissions": "ok", "certificate": "ok", "backup key": "advice"},
        )
