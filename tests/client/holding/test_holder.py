"""One process holds the vault, others ask it: docs/command-line.md, "One holder, many commands"."""

from __future__ import annotations

import struct
from typing import Any, cast
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import Event, Forgotten, HistoryQuery, LinkDown, LinkUp, MessageReceived, SentState
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding import past
from e2ee.client.holding.borrowed import Borrowed, HolderSilent
from e2ee.client.holding.frame_protocol import FrameProtocol, HolderLost
from e2ee.client.holding.holder import GRACE_SECONDS, Holder
from e2ee.client.holding.holder_codec import decode_told, encode
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.wire import messages as m
from tests.client.holding.sharing import Table
from tests.client.people import World

ALICE, BOB = "+15550100101", "+15550100102"
ID = MessageId(b"\x05" * 16)


class Shared(SynchronousTestCase):
    """Alice's vault is held; Bob is somebody else."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.table = Table(self.world, self.alice)

    def failure(self, work: Any) -> Failure:
        with self.assertRaises(Failure) as caught:
            self.table.result(work)
        return cast(Failure, caught.exception)


class ServingTests(Shared):
    """What a command asks for is done by the holder."""

    def test_a_command_learns_whose_profile_it_is_and_whether_it_is_connected(self) -> None:
        borrowed = self.table.borrow()
        self.assertEqual(borrowed.own_address, ALICE)
        self.assertTrue(borrowed.connected_now and borrowed.was_connected)

    def test_a_text_is_sent_and_its_state_comes_back(self) -> None:
        command = self.table.command()
        sent = self.table.result(command.queue(self.bob.address, "hello"))
        accepted = self.table.result(command.accepted(sent.message_id, 5.0))
        self.assertIs(accepted.state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), ["hello"])

    def test_all_that_can_be_asked_is_answered_alike(self) -> None:
        """Every call gives through the socket what the messenger itself gives."""
        command, messenger = self.table.command(), self.alice.messenger
        bob = self.bob.address
        self.table.result(command.queue(bob, "one", ID))
        self.assertEqual(
            self.table.result(command.add_contact(bob, "bob")), self.alice.run(messenger.contacts())[0]
        )
        for name, arguments in (
            ("contacts", ()),
            ("online", ()),
            ("outbox", ()),
            ("status", ()),
            ("sent", (ID,)),
            ("resolve", ("bob",)),
            ("safety_number", (bob,)),
            ("trust", (bob,)),
            ("rename_contact", (bob, "robert")),
            ("block_contact", (bob,)),
            ("remove_contact", (bob,)),
            ("watch_presence", ()),
            ("connected", (1.0,)),
            ("drained", (1.0,)),
            ("note_told", (ID,)),
            ("cancel", (ID,)),
        ):
            with self.subTest(call=name):
                shared = self.table.result(getattr(command, name)(*arguments))
                if name != "remove_contact":
                    self.assertEqual(shared, self.alice.run(getattr(messenger, name)(*arguments)))
        digits = self.alice.run(messenger.safety_number(bob)).digits
        self.assertTrue(self.table.result(command.confirm(bob, digits)).verified)

    def test_the_past_is_found_alike(self) -> None:
        command, bob = self.table.command(), self.bob.address
        for text in ("one", "two", "invoice"):
            self.bob.say(self.alice, text)
        self.table.result(command.queue(bob, "another invoice"))
        for query in (
            HistoryQuery(),
            HistoryQuery(bob, "inv", 0, 10**15, "in", 1),
            HistoryQuery(search='"another invoice"'),
            HistoryQuery(limit=2),
            HistoryQuery(until=1),
        ):
            with self.subTest(query=query):
                shared = self.table.result(command.archive.history(query))
                self.assertEqual(shared, self.alice.past(query))

    def test_the_past_comes_in_pages(self) -> None:
        command = self.table.command()

        async def pages() -> list[list[str]]:
            found = command.archive.pages(HistoryQuery())
            return [[entry.text for entry in page] async for page in found]

        self.assertEqual(self.table.result(pages()), [])
        for number in range(5):
            self.bob.say(self.alice, str(number))
        with patch.object(past, "PAGE_ENTRIES", 2):
            self.assertEqual(self.table.result(pages()), [["0", "1"], ["2", "3"], ["4"]])

    def test_texts_are_forgotten_for_good(self) -> None:
        command = self.table.command()
        self.bob.say(self.alice, "one")
        self.bob.say(self.alice, "two")
        first = self.alice.past()[0].message_id
        self.assertEqual(self.table.result(command.archive.forget_message(first)), Forgotten(1))
        self.assertIs(self.failure(command.archive.forget_message(first)).code, Code.USAGE)
        self.alice.link.disconnect()
        self.alice.queue(self.bob, "waits")
        gone = self.table.result(command.archive.forget_conversation(self.bob.address))
        self.assertEqual(gone, Forgotten(1, 1))
        self.assertEqual([entry.text for entry in self.alice.past()], ["waits"])

    def test_a_failure_arrives_as_it_is(self) -> None:
        command = self.table.command()
        failure = self.failure(command.resolve("nobody"))
        self.assertIs(failure.code, Code.USAGE)
        self.assertIn("no contact has this name", failure.sentence)

    def test_what_is_too_long_or_no_text_is_refused_before_it_leaves(self) -> None:
        command = self.table.command()
        for text in ("x" * 1001, "\ud800"):
            self.assertIs(self.failure(command.resolve(text)).code, Code.USAGE)
        self.assertEqual(self.table.result(command.contacts()), [])

    def test_a_long_list_comes_in_parts_and_whole(self) -> None:
        texts = [f"{number} " + "x" * 60_000 for number in range(20)]
        for text in texts:
            self.alice.queue(self.bob, text)
        command = self.table.command()
        found = self.table.result(command.archive.history(HistoryQuery()))
        self.assertEqual([entry.text for entry in found], texts)

    def test_link_events_are_told_to_all_and_others_to_those_who_listen(self) -> None:
        quiet: list[Event] = []
        self.table.borrow(quiet)
        listener = self.table.command()
        listener.listen()
        self.table.settle()
        self.bob.say(self.alice, "hello")
        self.alice.link.ended(Failure(Code.UNREACHABLE, "cut"), for_good=False)
        self.table.settle()
        self.assertEqual([type(event) for event in quiet], [LinkDown])
        kinds = [type(event) for event in listener.heard]
        self.assertIn(MessageReceived, kinds)
        self.assertIn(LinkDown, kinds)
        self.assertFalse(listener.is_connected)
        self.assertTrue(listener.was_connected)

    def test_a_holder_without_a_connection_makes_one_for_who_wants_it(self) -> None:
        self.alice.stop()
        self.alice.start(connect=False)
        self.table.open(lasting=False)
        self.assertFalse(self.alice.messenger.is_connected)
        command = self.table.command()
        self.assertTrue(command.is_connected)
        self.assertTrue(self.alice.link.persistent)

    def test_fifty_commands_send_and_each_keeps_its_order(self) -> None:
        commands = [self.table.command() for _ in range(50)]
        tasks = []
        for turn in range(3):
            for number, command in enumerate(commands):
                text = f"{number} {turn}"
                tasks.append(Deferred.fromCoroutine(command.queue(self.bob.address, text)))
        self.table.settle()
        self.assertEqual(len([self.successResultOf(task) for task in tasks]), 150)
        texts = self.bob.read()
        self.assertEqual(len(texts), 150)
        for number in range(50):
            mine = [text for text in texts if text.startswith(f"{number} ")]
            self.assertEqual(mine, [f"{number} {turn}" for turn in range(3)])


class StrangerTests(Shared):
    """Whoever is not this user, or does not speak properly, is not served."""

    def stranger(self) -> tuple[Any, Any]:
        """A raw connection: what to write to, and the holder's end."""
        raw = FrameProtocol()
        raw.frame_limit = h.TOLD_FRAME_BYTES
        frames: list[bytes] = []
        raw.frame_received = frames.append  # type: ignore[method-assign, assignment]
        raw.unsent_limit = h.UNSENT_BYTES
        self.table.connect(raw)  # type: ignore[arg-type]
        self.table.settle()
        return raw, frames

    def test_another_user_is_not_served(self) -> None:
        self.table.admits = False
        raw, frames = self.stranger()
        raw.write(encode(h.Hello((h.VERSION,), False)))
        self.table.settle()
        self.assertTrue(raw.gone)
        self.assertEqual(frames, [])

    def test_another_version_is_not_served(self) -> None:
        raw, frames = self.stranger()
        raw.write(encode(h.Hello((h.VERSION + 1,), False)))
        self.table.settle()
        self.assertTrue(raw.gone)
        self.assertEqual(frames, [])

    def test_a_request_before_the_greeting_ends_it(self) -> None:
        raw, _ = self.stranger()
        raw.write(encode(h.Ask(1, h.Outbox())))
        self.table.settle()
        self.assertTrue(raw.gone)

    def test_a_second_greeting_or_a_number_in_use_ends_it(self) -> None:
        for second in (h.Hello((h.VERSION,), False), h.Ask(1, h.Connected(None))):
            self.alice.link.ended(Failure(Code.UNREACHABLE, "cut"), for_good=False)
            raw, frames = self.stranger()
            raw.write(encode(h.Hello((h.VERSION,), False)))
            raw.write(encode(h.Ask(1, h.Connected(None))))
            self.table.settle()
            self.assertFalse(raw.gone)
            self.assertIsInstance(decode_told(frames[0]), h.Welcome)
            raw.write(encode(second))
            self.table.settle()
            self.assertTrue(raw.gone)

    def test_who_says_nothing_is_cut_off_after_a_while(self) -> None:
        raw, _ = self.stranger()
        self.world.clock.advance(h.HELLO_SECONDS - 0.1)
        self.table.settle()
        self.assertFalse(raw.gone)
        self.world.clock.advance(0.2)
        self.table.settle()
        self.assertTrue(raw.gone)

    def test_more_commands_than_can_be_served_are_turned_away(self) -> None:
        self.patch(h, "CALLERS", 2)
        first, _ = self.stranger()
        second, _ = self.stranger()
        third, _ = self.stranger()
        self.assertEqual([first.gone, second.gone, third.gone], [False, False, True])
        first.close()
        self.table.settle()
        fourth, _ = self.stranger()
        self.assertFalse(fourth.gone)

    def test_too_many_requests_at_once_end_it(self) -> None:
        self.alice.link.ended(Failure(Code.UNREACHABLE, "cut"), for_good=False)
        raw, _ = self.stranger()
        raw.write(encode(h.Hello((h.VERSION,), False)))
        for number in range(h.REQUESTS_IN_FLIGHT):
            raw.write(encode(h.Ask(number, h.Connected(None))))
        self.table.settle()
        self.assertFalse(raw.gone)
        raw.write(encode(h.Ask(h.REQUESTS_IN_FLIGHT, h.Connected(None))))
        self.table.settle()
        self.assertTrue(raw.gone)

    def test_the_length_of_a_frame_is_judged_before_it_is_there(self) -> None:
        for length, ends in ((h.ASKED_FRAME_BYTES, False), (h.ASKED_FRAME_BYTES + 1, True), (0, True)):
            raw, _ = self.stranger()
            raw.write(struct.pack(">I", length))
            self.table.settle()
            self.assertEqual(raw.gone, ends, length)

    def test_any_bytes_end_in_silence_and_others_are_served_on(self) -> None:
        command = self.table.command()

        @given(st.binary(max_size=200), st.booleans())
        @settings(max_examples=60, deadline=None)
        def check(garbage: bytes, framed: bool) -> None:
            raw, frames = self.stranger()
            raw.write(struct.pack(">I", len(garbage)) + garbage if framed else garbage)
            self.table.settle()
            self.assertEqual(frames, [])
            raw.abort()

        check()
        self.assertEqual(self.table.result(command.contacts()), [])

    def test_a_holder_that_talks_nonsense_counts_as_none(self) -> None:
        borrowed = Borrowed(self.world.clock, lasting=False, on_event=print, on_lost=lambda _: None)
        transport = StringTransport()
        transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
        borrowed.makeConnection(transport)
        greeting = Deferred.fromCoroutine(borrowed.greet(5.0))
        borrowed.dataReceived(b"\x00\x00\x00\x01\xff")
        self.assertTrue(transport.disconnecting)
        borrowed.connectionLost()
        self.assertIsNone(self.successResultOf(greeting))

    def test_events_that_nobody_takes_end_it(self) -> None:
        """A stopped command costs its holder a bounded amount of memory."""
        holder = Holder(self.world.clock, self.alice.messenger, lasting=True, admits=lambda _: True)
        caller = holder.buildProtocol(None)
        transport = StringTransport()
        aborted: list[bool] = []
        transport.abortConnection = lambda: aborted.append(True)  # type: ignore[method-assign]
        caller.makeConnection(transport)
        caller.dataReceived(encode(h.Hello((h.VERSION,), True)) + encode(h.Ask(1, h.Subscribe(None))))
        self.world.settle()
        caller.pauseProducing()
        while not aborted and len(transport.value()) < 2 * h.UNSENT_BYTES:
            self.alice.messenger._context.listeners.tell([LinkUp(0)] * 10_000)
        self.assertTrue(aborted)
        self.assertLessEqual(len(transport.value()), h.UNSENT_BYTES + 1000)
        caller.connectionLost()


class EndTests(Shared):
    """A holder ends when its own work and what it has accepted are done."""

    def finish(self) -> Deferred[None]:
        assert self.table.holder is not None
        finishing = Deferred.fromCoroutine(self.table.holder.finish())
        self.table.settle()
        return finishing

    def test_alone_it_ends_at_once(self) -> None:
        before = self.world.clock.getDelayedCalls()
        self.successResultOf(self.finish())
        self.assertEqual(self.world.clock.getDelayedCalls(), before)

    def test_what_was_accepted_is_finished_first(self) -> None:
        self.world.relay.intercept[self.alice.address] = lambda message: (
            self.withheld(message) if isinstance(message, m.Send) else None
        )
        command = self.table.command()
        sent = self.table.result(command.queue(self.bob.address, "hello"))
        waiting = self.table.begin(command.accepted(sent.message_id, 30.0))
        finishing = self.finish()
        self.assertNoResult(finishing)
        self.world.relay.intercept.clear()
        self.alice.messenger._sender.changed(None)
        self.world.clock.advance(1.0)
        self.table.settle()
        self.assertIs(self.successResultOf(waiting).state, SentState.DELIVERED)
        self.table.result(command.close())
        self.successResultOf(finishing)

    def withheld(self, message: m.Send) -> m.Message:
        return m.Refused(message.n, m.RefusalCode.BUSY, "wait", 0.9)

    def test_nobody_new_is_served_then(self) -> None:
        command = self.table.command()
        self.finish()
        late = Borrowed(self.world.clock, lasting=False, on_event=print, on_lost=lambda _: None)
        self.table.connect(late)
        self.assertIsNone(self.table.result(late.greet(1.0)))
        self.table.result(command.close())

    def test_who_does_not_end_is_left_after_a_while(self) -> None:
        borrowed = self.table.borrow()
        finishing = self.finish()
        self.world.clock.advance(GRACE_SECONDS - 0.1)
        self.table.settle()
        self.assertNoResult(finishing)
        self.assertFalse(borrowed.gone)
        self.world.clock.advance(0.2)
        self.table.settle()
        self.successResultOf(finishing)
        self.assertTrue(borrowed.gone)

    def test_who_lasts_goes_by_himself(self) -> None:
        borrowed = self.table.borrow(lasting=True)
        waiting = self.table.begin(borrowed.ask(h.DrainedAt(None), None))
        self.successResultOf(waiting)
        self.alice.link.ended(Failure(Code.UNREACHABLE, "cut"), for_good=False)
        waiting = self.table.begin(borrowed.ask(h.Connected(None), None))
        self.successResultOf(self.finish())
        self.failureResultOf(waiting, HolderLost)

    def test_a_holder_that_does_not_answer_is_silent_and_one_that_dies_is_lost(self) -> None:
        self.alice.link.ended(Failure(Code.UNREACHABLE, "cut"), for_good=False)
        borrowed = self.table.borrow()
        silent = self.table.begin(borrowed.ask(h.Connected(None), 3.0))
        self.world.clock.advance(3.1)
        self.failureResultOf(silent, HolderSilent)
        lost = self.table.begin(borrowed.ask(h.Connected(None), 3.0))
        self.table.kill()
        self.failureResultOf(lost, HolderLost)
        self.failureResultOf(Deferred.fromCoroutine(borrowed.ask(h.Outbox(), 1.0)), HolderLost)
        self.alice.start()

    def test_waits_end_with_who_waits(self) -> None:
        self.alice.link.ended(Failure(Code.UNREACHABLE, "cut"), for_good=False)
        borrowed = self.table.borrow()
        self.table.begin(borrowed.ask(h.Connected(1000.0), None)).addErrback(lambda _: None)
        before = len(self.alice.messenger._watch._waiting)
        borrowed.abort()
        self.table.settle()
        self.assertEqual(len(self.alice.messenger._watch._waiting), before - 1)
        self.successResultOf(self.finish())
