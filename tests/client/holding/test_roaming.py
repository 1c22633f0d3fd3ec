"""Holders end, in order or not, and the commands go on with the next: nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.contacts.contact_values import NamedNumber
from e2ee.client.events import HistoryQuery, LinkEnded, MessageReceived, SentState
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.clerk import Clerk
from e2ee.client.holding.frame_protocol import HolderLost
from e2ee.client.holding.roaming import LEAST_SECONDS
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from tests.client.fake_relay import FakeLink
from tests.client.holding.sharing import Command, Table
from tests.client.people import World
from tests.net.authorities import TestAuthority, key_pem, p256, pem

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"
ID = MessageId(b"\x05" * 16)


class Roamers(SynchronousTestCase):
    """Alice's vault goes from holder to holder."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.table = Table(self.world, self.alice)

    def lose(self, kind: type[h.Request[Any]], *, performed: bool) -> None:
        """The holder dies at the next request of this kind, just before or just after it is done."""
        original = Clerk.perform
        self.killed = False

        async def perform(clerk: Clerk, request: h.Request[Any]) -> Any:
            if type(request) is not kind:
                return await original(clerk, request)
            self.patch(Clerk, "perform", original)
            if performed:
                await original(clerk, request)
            self.killed = True
            await Deferred[None]()
            raise AssertionError("it is dead")

        self.patch(Clerk, "perform", perform)

    def finish(self, task: Deferred[Any]) -> Any:
        """Let the holder die, another one begin, and the task end."""
        self.table.settle()
        self.assertTrue(self.killed, "the holder was asked")
        self.assertNoResult(task)
        self.table.kill_holder_only()
        self.table.settle()
        return self.successResultOf(task)


class DyingHolderTests(Roamers):
    """Each request is repeated to the next holder."""

    def test_a_queued_text_is_one_message_wherever_the_holder_dies(self) -> None:
        for number, performed in enumerate((False, True)):
            with self.subTest(performed=performed):
                command = self.table.command()
                self.lose(h.Queue, performed=performed)
                text = f"text {number}"
                task = Deferred.fromCoroutine(command.queue(self.bob.address, text))
                sent = self.finish(task)
                accepted = self.table.result(command.accepted(sent.message_id, 5.0))
                self.assertIs(accepted.state, SentState.DELIVERED)
                self.assertEqual(self.bob.read(), [text])

    def test_every_request_is_answered_by_the_next_holder(self) -> None:
        bob = self.bob.address
        company, key = TestAuthority(), p256()
        certificate, lists = company.issue(str(self.alice.address), key), pem(company.revoke())
        calls: list[tuple[type, Callable[[Command], Any]]] = [
            (h.Reached, lambda one: one.accepted(ID, 5.0)),
            (h.Sent, lambda one: one.sent(ID)),
            (h.Outbox, lambda one: one.outbox()),
            (h.Connected, lambda one: one.connected(5.0)),
            (h.DrainedAt, lambda one: one.drained(5.0)),
            (h.AddContact, lambda one: one.add_contact(bob, "bob")),
            (h.AcceptContact, lambda one: one.accept_contact(bob)),
            (h.ImportContacts, lambda one: one.import_contacts([NamedNumber(Address(CAROL), "carol")])),
            (h.SetTimer, lambda one: one.set_timer(bob, 60)),
            (h.RenameContact, lambda one: one.rename_contact(bob, "robert")),
            (h.BlockContact, lambda one: one.block_contact(bob)),
            (h.Contacts, lambda one: one.contacts()),
            (h.FindHistory, lambda one: one.archive.history(HistoryQuery())),
            (h.LoadHistory, lambda one: one.archive.history(HistoryQuery())),
            (h.ForgetConversation, lambda one: one.archive.forget_conversation(Address(CAROL))),
            (h.AskStatus, lambda one: one.status()),
            (h.Online, lambda one: one.online()),
            (h.Take, lambda one: one.take(None)),
            (h.Unread, lambda one: one.unread()),
            (h.RememberLine, lambda one: one.remember_line("typed")),
            (h.TellTyping, lambda one: one.tell_typing(bob)),
            (h.TypedLines, lambda one: one.typed_lines()),
            (h.AskSafetyNumber, lambda one: one.safety_number(bob)),
            (h.Trust, lambda one: one.trust(bob)),
            (h.Cancel, lambda one: one.cancel(ID)),
            (h.AttachIdentity, lambda one: one.certificates.attach(pem(certificate), key_pem(key))),
            (h.AskOwnIdentity, lambda one: one.certificates.own()),
            (h.RemoveIdentity, lambda one: one.certificates.remove()),
            (h.TrustAuthorities, lambda one: one.certificates.trust(pem(company.certificate), lists)),
            (h.AskAuthorities, lambda one: one.certificates.authorities()),
            (h.IsIdentityOpen, lambda one: one.certificates.is_open(bob)),
            (h.AskIdentity, lambda one: one.certificates.ask(bob)),
            (h.OpenIdentities, lambda one: one.certificates.ask_for_all()),
        ]
        self.table.result(self.table.command().queue(bob, "hello", ID))
        for kind, call in calls:
            for performed in (False, True):
                with self.subTest(kind=kind.__name__, performed=performed):
                    command = self.table.command()
                    self.lose(kind, performed=performed)
                    self.finish(Deferred.fromCoroutine(call(command)))

    def test_certificates_go_through_a_holder_as_they_are(self) -> None:
        """Values come back whole, and what is refused is refused there."""
        company, key = TestAuthority(), p256()
        certificate = company.issue(str(self.alice.address), key)
        holder, command = self.table.command().certificates, self.table.command().certificates
        attached = self.table.result(command.attach(pem(certificate), key_pem(key)))
        self.assertEqual(attached.serial, f"{certificate.serial_number:x}")
        self.assertEqual(self.table.result(holder.own()), attached)
        self.table.result(command.remove())
        self.assertIsNone(self.table.result(holder.own()))
        named = self.table.result(command.trust(pem(company.certificate), pem(company.revoke())))
        self.assertEqual(self.table.result(holder.authorities()), named)
        self.assertEqual([self.table.result(command.distrust("Our company"))], named)
        for wrong in (command.distrust("Our company"), command.trust(b"", None), command.attach(b"", b"")):
            failure = self.assertRaises(Failure, self.table.result, wrong)
            self.assertIs(failure.code, Code.USAGE)

    def test_fifty_commands_and_a_holder_killed_in_the_middle(self) -> None:
        commands = [self.table.command() for _ in range(50)]
        texts = [f"text {number}" for number in range(50)]
        tasks = []
        for number, command in enumerate(commands):
            tasks.append(Deferred.fromCoroutine(command.queue(self.bob.address, texts[number])))
            if number in (15, 30):
                for pump in self.table.pumps[::2]:
                    pump.pump()
                self.world.lanes.step()
            if number == 30:
                self.table.kill_holder_only()
        self.table.settle()
        for task in tasks:
            self.successResultOf(task)
        found = self.bob.read()
        self.assertEqual(sorted(found), sorted(texts))

    def test_a_wait_has_what_is_left_of_its_time(self) -> None:
        command = self.table.command()
        self.alice.link.ended(Failure(Code.UNREACHABLE, "cut"), for_good=False)
        waiting = self.table.begin(command.connected(10.0))
        self.table.wait(6)
        self.patch(FakeLink, "start", lambda _: None)
        self.table.kill_holder_only(connect=False)
        self.table.wait(3)
        self.assertNoResult(waiting)
        self.table.wait(1.1)
        self.assertIs(self.failureResultOf(waiting, Failure).value.code, Code.UNREACHABLE)

    def test_a_holder_that_stands_still_is_named(self) -> None:
        command = self.table.command(timeout=5.0)
        self.table.pumps.clear()
        task = Deferred.fromCoroutine(command.outbox())
        self.table.wait(4.9)
        self.assertNoResult(task)
        self.table.wait(0.2)
        failure = self.failureResultOf(task, Failure).value
        self.assertIs(failure.code, Code.PROFILE_BUSY)
        self.assertIn("process 1", failure.sentence)
        late = Deferred.fromCoroutine(command.outbox())
        self.table.wait(LEAST_SECONDS + 0.1)
        self.failureResultOf(late, Failure)


class ReadingOnTests(Roamers):
    """Readers go on with the next holder."""

    def read(self, command: Command) -> list[str]:
        """What this one may show, shown."""
        events = self.table.result(command.take(None))
        granted = self.table.result(command.mark_printing(events))
        self.table.result(command.mark_shown(granted))
        return [event.text for event in granted if isinstance(event, MessageReceived)]

    def test_what_came_between_two_holders_is_told(self) -> None:
        command = self.table.command(lasting=True)
        command.listen()
        self.table.settle()
        self.bob.say(self.alice, "one")
        self.table.settle()
        self.assertEqual(self.read(command), ["one"])
        self.table.kill()
        command.heard.clear()
        self.alice.start()
        self.bob.say(self.alice, "two")
        self.table.open()
        self.table.wait(0.1)
        self.assertEqual([event.text for event in command.heard if isinstance(event, MessageReceived)],
                         ["two"])
        self.assertEqual(self.read(command), ["two"])

    def test_what_was_being_printed_when_the_holder_died_is_shown_once(self) -> None:
        command = self.table.command(lasting=True)
        command.listen()
        self.table.settle()
        self.bob.say(self.alice, "one")
        self.table.settle()
        events = self.table.result(command.take(None))
        self.table.result(command.mark_printing(events))
        self.table.kill_holder_only()
        self.table.settle()
        self.table.result(command.mark_shown(events))
        self.assertEqual(self.read(command), [])
        self.assertEqual(self.read(self.table.command()), [])

    def test_a_holder_that_leaves_is_followed_by_the_next(self) -> None:
        command = self.table.command(lasting=True)
        command.listen()
        self.table.settle()
        old = self.table.holder
        assert old is not None
        self.table.open()
        finishing = Deferred.fromCoroutine(old.finish())
        self.table.settle()
        self.successResultOf(finishing)
        self.bob.say(self.alice, "one")
        self.table.settle()
        self.assertEqual(self.read(command), ["one"])

    def test_where_there_is_no_next_holder_the_listeners_are_told(self) -> None:
        command = self.table.command(lasting=True)
        command.listen()
        self.table.settle()
        self.table.refuses = Failure(Code.PASSPHRASE, "no passphrase")
        self.table.kill()
        self.table.settle()
        (ended,) = [event for event in command.heard if isinstance(event, LinkEnded)]
        self.assertIs(ended.failure.code, Code.PASSPHRASE)
        with self.assertRaises(Failure):
            self.table.result(command.outbox())
        self.alice.start()

    def test_nothing_is_asked_after_the_end(self) -> None:
        command = self.table.command()
        self.table.result(command.close())
        self.assertFalse(command.is_connected)
        self.failureResultOf(self.table.begin(command.outbox()), CancelledError)

    def test_the_number_is_known_once_started(self) -> None:
        command = Command(self.table, "x", lasting=False)
        self.assertRaises(HolderLost, lambda: command.own_address)
        self.table.result(command.start(1.0))
        self.assertEqual(command.own_address, ALICE)


