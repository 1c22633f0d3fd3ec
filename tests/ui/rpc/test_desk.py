"""One program over JSON-RPC, in memory: answers, notifications, order, bounds and the end."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred

from e2ee.client.backups.backup import Backup
from e2ee.client.events import (
    LinkDown,
    LinkEnded,
    LinkUp,
    MessageSent,
    PresenceChanged,
    SentMessage,
    SentState,
)
from e2ee.errors import Code, Failure
from e2ee.ids import MessageId
from e2ee.ui import backups
from e2ee.ui.invocation import Invocation
from e2ee.ui.rpc import news as news_module
from e2ee.ui.rpc import request as request_module
from e2ee.ui.rpc.desk import IN_FLIGHT, Desk
from e2ee.ui.rpc.methods import METHODS
from e2ee.ui.streams import OutputClosed
from tests.ui.described import check
from tests.ui.fakes import ALICE, BOB, CAROL, DIGITS, CoroutineTestCase, FakeCall, FakeMessenger, message

ID = "00" * 16


class Program:
    """What asks; it takes what it is told at once, until `stalls`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stalls = False
        self.closed = False
        self.stalled: list[Deferred[None]] = []

    async def write(self, line: str) -> None:
        """See `Desk`."""
        if self.closed:
            raise OutputClosed
        self.lines.append(line)
        if self.stalls:
            waiting: Deferred[None] = Deferred()
            self.stalled.append(waiting)
            await waiting

    def take(self) -> None:
        """Take what is there."""
        stalled, self.stalled = self.stalled, []
        for one in stalled:
            one.callback(None)


class DeskTestCase(CoroutineTestCase):
    """A desk with a messenger in memory; everything that it says is as the schema describes it."""

    def setUp(self) -> None:
        self.messenger = FakeMessenger()
        self.messenger.people = {BOB: "bob"}
        self.call = FakeCall(self.messenger)
        self.program = Program()
        self.broken = 0
        self.desk = Desk(
            cast(Invocation, self.call), self.messenger.as_messenger(), self.program.write, self.note_broken
        )
        self.addCleanup(self.desk.end)

    def note_broken(self) -> None:
        self.broken += 1

    def said(self) -> list[Any]:
        """What has been said since the last time."""
        lines, self.program.lines = self.program.lines, []
        found = [json.loads(line) for line in lines]
        for one in found:
            check(one, "#/$defs/rpc")
        return found

    def take(self, line: str) -> Deferred[None]:
        return self.start(self.desk.take(line))

    def ask(self, method: str, params: Any = None, identified: Any = 1) -> Any:
        """The answer."""
        body = {"jsonrpc": "2.0", "id": identified, "method": method, "params": params or {}}
        self.successResultOf(self.take(json.dumps(body)))
        (answer,) = self.said()
        self.assertEqual(answer["id"], identified)
        return answer

    def result(self, method: Any, params: Any = None) -> Any:
        """The result, as the schema describes that of this method."""
        found = self.ask(method, params)["result"]
        check(found, f"#/methods/{method}/result")
        return found

    def error(self, method: str, params: Any = None) -> tuple[int, str]:
        """Its number, and our code."""
        found = self.ask(method, params)["error"]
        return found["code"], found["data"]["code"]


class AnswerTests(DeskTestCase):
    """The methods are the verbs, the results what they print."""

    def test_send(self) -> None:
        self.messenger.answer = SentMessage(MessageId(bytes(16)), BOB, SentState.STORED)
        (sent,) = self.result("send", {"to": "bob", "text": "hello", "id": ID})
        self.assertEqual((sent["to"], sent["state"], sent["id"]), (BOB, "stored", ID))
        self.assertEqual(len(self.result("send", {"to": [BOB, CAROL], "text": "hello", "wait": "read"})), 2)
        self.assertEqual(self.messenger.waits[-1], SentState.READ)
        self.assertEqual(self.messenger.texts, [(BOB, "hello"), (BOB, "hello"), (CAROL, "hello")])

    def test_a_file_is_sent_with_or_without_a_text(self) -> None:
        path = Path(self.mktemp()).absolute()
        path.write_bytes(b"x")
        self.messenger.answer = SentMessage(MessageId(bytes(16)), BOB, SentState.STORED)
        self.result("send", {"to": [BOB, CAROL], "file": str(path)})
        self.result("send", {"to": BOB, "file": str(path), "text": "as promised"})
        name = str(path)
        self.assertEqual(
            self.messenger.files.sent, [(BOB, name, ""), (CAROL, name, ""), (BOB, name, "as promised")]
        )
        for wrong in ({}, {"file": f"{path}.none"}, {"file": str(path.parent)}):
            params = {"to": BOB, **wrong}
            self.assertEqual(self.error("send", params), (-32602, "usage"), params)

    def test_backup(self) -> None:
        """Its passphrase may be named with it, since nobody can be asked."""
        asked: list[tuple[Any, ...]] = []

        async def make(reactor: Any, profile: Any, passphrases: Any, path: Any, **_: Any) -> Backup:
            asked.append((str(path), passphrases.file and str(passphrases.file), passphrases.terminal))
            return Backup(1, 2, 3)

        self.patch(backups, "make_backup", make)
        made = self.result("backup", {"file": "/there", "passphrase_file": "/secret"})
        found = made["file"], made["contacts"], made["messages"], made["bytes"]
        self.assertEqual(found, ("/there", 1, 2, 3))
        self.result("backup", {"file": "/there"})
        self.assertEqual(asked, [("/there", "/secret", None), ("/there", None, None)])
        self.assertEqual(self.error("backup", {})[1], "usage")

    def test_what_a_text_waits_for_stands_in_its_object(self) -> None:
        failure = Failure(Code.KEY_CHANGED, "the key has changed")
        self.messenger.answer = SentMessage(MessageId(bytes(16)), BOB, SentState.QUEUED, failure)
        (sent,) = self.result("send", {"to": BOB, "text": "hello"})
        self.assertEqual((sent["state"], sent["error"]["code"]), ("queued", "key_changed"))

    def test_wrong_use_is_told_apart(self) -> None:
        self.assertEqual(self.error("nonsense"), (-32601, "not_available"))
        self.assertEqual(self.error("rpc.discover"), (-32601, "not_available"))
        for params in (
            {},
            {"to": BOB},
            {"to": BOB, "text": 1},
            {"to": BOB, "text": "x", "more": 1},
            {"to": BOB, "text": ""},
            {"to": BOB, "text": "x" * 65537},
            {"to": "nobody", "text": "x"},
            {"to": ALICE, "text": "x"},
            {"to": BOB, "text": "x", "id": "00"},
            {"to": [BOB, CAROL], "text": "x", "id": ID},
        ):
            self.assertEqual(self.error("send", params), (-32602, "usage"), params)
        self.assertEqual(self.messenger.queued, [])

    def test_failures_have_the_codes_of_the_command_line(self) -> None:
        self.messenger.connection = Failure(Code.DISPLACED, "another device has taken over")
        self.assertEqual(self.error("online"), (-32000, "displaced"))
        self.assertEqual(
            self.error("verify", {"address": "bob", "confirm": "1" * 60}), (-32000, "safety_number")
        )

    def test_lists_and_objects(self) -> None:
        self.messenger.present = [(BOB, "bob"), (CAROL, None)]
        self.assertEqual([one["address"] for one in self.result("online")], [BOB, CAROL])
        self.assertEqual(self.result("contacts")[0]["name"], "bob")
        self.assertEqual(self.result("verify", {"address": "bob"})["digits"], DIGITS)
        self.assertIsNone(self.result("trust", ["bob"])["new"])
        self.assertEqual(self.result("outbox"), [])
        self.assertEqual(self.result("history", {"limit": 5, "search": "x", "direction": "in"}), [])
        self.assertEqual((self.messenger.queries[0].limit, self.messenger.queries[0].search), (5, "x"))
        self.assertEqual(self.result("forget", {"ids": ID, "conversations": ["bob"]})[1]["messages"], 12)

    def test_an_answer_has_its_bound(self) -> None:
        self.patch(request_module, "ANSWER_BYTES", 200)
        self.messenger.present = [(BOB, "bob")] * 2
        self.assertEqual(len(self.result("online")), 2)
        self.messenger.present = [(BOB, "bob")] * 5
        self.assertEqual(self.error("online"), (-32602, "usage"))

    def test_what_nobody_foresaw_is_an_internal_error_and_no_end(self) -> None:
        async def fail() -> list[object]:
            raise ZeroDivisionError("secret")

        self.patch(self.messenger, "contacts", fail)
        answer = self.ask("contacts")
        self.assertEqual((answer["error"]["code"], answer["error"]["data"]["code"]), (-32603, "failed"))
        self.assertNotIn("secret", json.dumps(answer))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.result("outbox"), [])

    def test_notifications_are_carried_out_and_not_answered(self) -> None:
        for line in (
            '{"jsonrpc":"2.0","method":"forget","params":{"ids":"' + ID + '"}}',
            '{"jsonrpc":"2.0","method":"nonsense"}',
            '{"jsonrpc":"2.0","method":"send"}',
            "",
            "  ",
        ):
            self.successResultOf(self.take(line))
        self.assertEqual(self.said(), [])
        self.assertEqual(self.messenger.forgotten, [MessageId(bytes(16))])

    def test_a_batch_is_answered_in_one_array(self) -> None:
        one = {"jsonrpc": "2.0", "id": 1, "method": "contacts"}
        batch = [one, {**one, "id": "two"}, 1, {"jsonrpc": "2.0", "method": "outbox"}, {**one, "method": "x"}]
        self.successResultOf(self.take(json.dumps(batch)))
        (answers,) = self.said()
        self.assertEqual([answer["id"] for answer in answers], [1, "two", None, 1])
        self.successResultOf(self.take('[{"jsonrpc":"2.0","method":"outbox"}]'))
        self.assertEqual(self.said(), [])

    def test_lines_that_cannot_be_read(self) -> None:
        self.successResultOf(self.start(self.desk.refuse_long()))
        self.successResultOf(self.start(self.desk.refuse_bytes()))
        self.successResultOf(self.take("{"))
        self.assertEqual([one["error"]["code"] for one in self.said()], [-32600, -32700, -32700])

    def test_every_method_can_be_asked_for(self) -> None:
        """None of them is only in the table: with a wrong parameter each says so."""
        for name in METHODS:
            self.assertEqual(self.error(name, {"no such": 1}), (-32602, "usage"), name)


class RoomTests(DeskTestCase):
    """A program that does not read is not read from."""

    def test_no_further_line_is_taken_while_too_much_is_unanswered(self) -> None:
        self.program.stalls = True
        for number in range(IN_FLIGHT - 1):
            self.successResultOf(self.take(f'{{"jsonrpc":"2.0","id":{number},"method":"outbox"}}'))
        full = self.take('{"jsonrpc":"2.0","id":"full","method":"outbox"}')
        self.assertNoResult(full)
        self.program.take()
        self.successResultOf(full)

    def test_refusals_of_lines_that_cannot_be_read_count_as_unanswered(self) -> None:
        self.program.stalls = True
        for _ in range(IN_FLIGHT - 1):
            self.successResultOf(self.start(self.desk.refuse_bytes()))
        full = self.start(self.desk.refuse_bytes())
        self.assertNoResult(full)
        self.program.take()
        self.successResultOf(full)

    def test_the_end_waits_for_what_is_asked(self) -> None:
        self.program.stalls = True
        self.successResultOf(self.take('{"jsonrpc":"2.0","id":1,"method":"outbox"}'))
        finishing = self.start(self.desk.finish())
        self.assertNoResult(finishing)
        self.program.take()
        self.successResultOf(finishing)

    def test_when_nothing_can_be_said_any_more_the_program_is_given_up(self) -> None:
        self.program.closed = True
        self.successResultOf(self.take('{"jsonrpc":"2.0","id":1,"method":"outbox"}'))
        self.assertEqual(self.broken, 1)

    def test_texts_are_queued_in_the_order_in_which_they_were_given(self) -> None:
        """Even where the first name takes longer to look up."""
        slow: Deferred[None] = Deferred()
        resolve = self.messenger.resolve

        async def resolve_slowly(text: str) -> Any:
            if text == "bob":
                await slow
            return await resolve(text)

        self.patch(self.messenger, "resolve", resolve_slowly)
        self.messenger.answer = SentMessage(MessageId(bytes(16)), BOB, SentState.STORED)
        for number, to in enumerate(("bob", BOB)):
            body = {
                "jsonrpc": "2.0",
                "id": number,
                "method": "send",
                "params": {"to": to, "text": str(number)},
            }
            self.successResultOf(self.take(json.dumps(body)))
        self.assertEqual(self.messenger.texts, [])
        slow.callback(None)
        self.assertEqual([text for _, text in self.messenger.texts], ["0", "1"])


class NewsTests(DeskTestCase):
    """Notifications, and when what came counts as shown."""

    def told(self) -> list[tuple[str, Any]]:
        return [(one["method"], one["params"]) for one in self.said()]

    def texts(self) -> list[str]:
        return [params["text"] for method, params in self.told() if method == "message"]

    def shown(self) -> list[int]:
        return [
            position for call, positions in self.messenger.calls if call == "shown" for position in positions
        ]

    def test_nothing_is_told_unasked(self) -> None:
        self.messenger.arrive(message("hello"))
        self.assertEqual(self.said(), [])
        self.assertEqual(self.shown(), [])

    def test_the_backlog_comes_first_and_counts_as_shown_once_taken(self) -> None:
        self.messenger.arrive(message("waited", number=1))
        self.program.stalls = True
        self.take('{"jsonrpc":"2.0","id":1,"method":"subscribe"}')
        self.program.take()
        self.assertEqual(self.shown(), [])
        self.program.take()
        self.messenger.arrive(message("new", number=2))
        self.program.take()
        self.assertEqual(self.shown(), [1, 2])
        texts = [one["params"]["text"] for one in self.said() if one.get("method") == "message"]
        self.assertEqual(texts, ["waited", "new"])

    def test_with_acknowledge_one_at_a_time(self) -> None:
        for number in (1, 2):
            self.messenger.arrive(message(f"text {number}", number=number))
        body = '{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"acknowledge":true}}'
        self.successResultOf(self.take(body))
        self.assertEqual(self.texts_of_all(), ["text 1"])
        self.assertEqual(self.shown(), [])
        acknowledge = '{"jsonrpc":"2.0","id":2,"method":"acknowledge"}'
        self.successResultOf(self.take(acknowledge))
        self.assertEqual(self.shown(), [1])
        self.assertEqual(self.texts_of_all(), ["text 2"])
        self.successResultOf(self.take(acknowledge))
        self.assertEqual(self.shown(), [1, 2])
        self.said()
        self.assertEqual(self.error("acknowledge"), (-32602, "usage"))

    def texts_of_all(self) -> list[str]:
        return [one["params"]["text"] for one in self.said() if one.get("method") == "message"]

    def test_what_was_not_acknowledged_stays_unshown(self) -> None:
        self.messenger.arrive(message("text"))
        self.successResultOf(
            self.take('{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"acknowledge":true}}')
        )
        self.desk.end()
        self.assertEqual(self.shown(), [])

    def test_who_goes_before_he_has_what_is_to_be_acknowledged_leaves_no_error_behind(self) -> None:
        self.messenger.arrive(message("text"))
        self.program.stalls = True
        self.take('{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"acknowledge":true}}')
        self.program.take()
        self.desk.end()
        (on_its_way,) = self.program.stalled
        self.program.stalled.clear()
        on_its_way.errback(OutputClosed())
        del on_its_way
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.shown(), [])

    def test_states_connection_and_presence(self) -> None:
        self.result("subscribe", {"presence": True})
        self.assertIn(("watch_presence", []), self.messenger.calls)
        failure = Failure(Code.UNREACHABLE, "nobody answers")
        for event in (
            MessageSent(SentMessage(MessageId(bytes(16)), BOB, SentState.READ)),
            PresenceChanged(BOB, "bob", True),
            LinkDown(failure),
            LinkUp(0),
            LinkEnded(failure),
        ):
            self.messenger.tell(event)
        told = self.told()
        self.assertEqual([method for method, _ in told], ["sent", "presence", *["connection"] * 3])
        self.assertEqual([params["connected"] for _, params in told[2:]], [False, True, False])
        self.assertEqual([params["ended"] for _, params in told[2:]], [False, False, True])

    def sent(self, number: int, state: SentState) -> None:
        self.messenger.tell(MessageSent(SentMessage(MessageId(bytes([number]) * 16), BOB, state)))

    def states(self) -> list[tuple[str, str]]:
        """What has been told of own messages: the first digits of each id, and its state."""
        return [(one["id"][:2], one["state"]) for method, one in self.told() if method == "sent"]

    def stop_reading(self) -> None:
        """From now on the program takes nothing; one line is on its way to it."""
        self.result("subscribe")
        self.program.stalls = True
        self.messenger.tell(LinkUp(0))

    def read_on(self) -> None:
        self.program.stalls = False
        self.program.take()

    def test_a_slow_reader_gets_the_latest_of_each_where_it_came(self) -> None:
        self.stop_reading()
        for number, state in ((1, SentState.STORED), (2, SentState.STORED), (1, SentState.READ)):
            self.sent(number, state)
        self.read_on()
        self.assertEqual(self.states(), [("02", "stored"), ("01", "read")])

    def test_a_slow_reader_fills_no_memory_and_the_oldest_are_let_go(self) -> None:
        self.patch(news_module, "CHANGES_KEPT", 3)
        self.stop_reading()
        for number in range(1, 6):
            self.sent(number, SentState.READ)
        self.read_on()
        self.assertEqual(self.states(), [("03", "read"), ("04", "read"), ("05", "read")])

    def test_unsubscribed_again(self) -> None:
        self.result("subscribe")
        self.assertFalse(self.result("unsubscribe")["subscribed"])
        self.messenger.arrive(message("text"))
        self.messenger.tell(LinkUp(0))
        self.assertEqual(self.said(), [])

    def test_what_stands_beside_an_answer_is_told(self) -> None:
        self.result("subscribe")
        self.successResultOf(
            self.take('{"jsonrpc":"2.0","id":1,"method":"forget","params":{"conversations":"bob"}}')
        )
        self.assertIn("notice", [one.get("method") for one in self.said()])

    def test_receive_gives_what_waits_and_marks_it_once_taken(self) -> None:
        for number in (1, 2, 3):
            self.messenger.arrive(message(f"text {number}", number=number))
        self.program.stalls = True
        self.take('{"jsonrpc":"2.0","id":1,"method":"receive","params":{"max":2}}')
        self.assertEqual(self.shown(), [])
        self.program.stalls = False
        self.program.take()
        self.assertEqual(self.shown(), [1, 2])
        self.assertEqual([one["text"] for one in self.said()[0]["result"]], ["text 1", "text 2"])
        self.assertEqual([one["text"] for one in self.result("receive")], ["text 3"])
        self.assertEqual(self.result("receive"), [])

    def receives(self, *numbers: int) -> list[dict[str, Any]]:
        """Requests for one message each."""
        return [
            {"jsonrpc": "2.0", "id": number, "method": "receive", "params": {"max": 1}} for number in numbers
        ]

    def test_who_asks_again_before_his_answer_counts_as_taken_waits_for_that(self) -> None:
        """He may have read it long before we hear of it: that is no wrong use, and he gets the next."""
        for number in (1, 2):
            self.messenger.arrive(message(f"text {number}", number=number))
        self.program.stalls = True
        for request in self.receives(1, 2):
            self.take(json.dumps(request))
        (first,) = self.said()
        self.assertEqual([one["text"] for one in first["result"]], ["text 1"])
        self.program.stalls = False
        self.program.take()
        (second,) = self.said()
        self.assertEqual([one["text"] for one in second["result"]], ["text 2"])
        self.assertEqual(self.shown(), [1, 2])

    def mark_slowly(self) -> Deferred[None]:
        """From now on what was shown is marked as that only once this has a result."""
        marking: Deferred[None] = Deferred()
        mark_shown = self.messenger.mark_shown

        async def slowly(events: Any) -> None:
            await marking
            await mark_shown(events)

        self.patch(self.messenger, "mark_shown", slowly)
        return marking

    def test_also_while_it_is_being_marked_as_shown(self) -> None:
        self.messenger.arrive(message("text 1", number=1))
        marking = self.mark_slowly()
        for request in self.receives(1, 2):
            self.take(json.dumps(request))
        self.assertEqual(len(self.said()), 1)
        marking.callback(None)
        (second,) = self.said()
        self.assertEqual(second["result"], [])

    def test_who_asks_again_without_time_has_it_while_that_is_marked(self) -> None:
        """Nothing is in his hands then."""
        for number in (1, 2):
            self.messenger.arrive(message(f"text {number}", number=number))
        marking = self.mark_slowly()
        for request in self.receives(1, 2):
            request["params"]["timeout"] = 0
            self.take(json.dumps(request))
        self.call.reactor.advance(1)
        self.assertEqual(len(self.said()), 1)
        marking.callback(None)
        self.assertEqual([one["text"] for one in self.said()[0]["result"]], ["text 2"])

    def test_what_receive_has_given_is_not_notified_while_it_is_on_its_way(self) -> None:
        """Neither before it counts as taken nor while that is being marked; the connection's state is."""
        self.messenger.arrive(message("text 1", number=1))
        marking = self.mark_slowly()
        self.program.stalls = True
        self.take('{"jsonrpc":"2.0","id":1,"method":"receive"}')
        self.program.stalls = False
        self.take('{"jsonrpc":"2.0","id":2,"method":"subscribe"}')
        self.messenger.arrive(message("text 2", number=2))
        self.messenger.tell(LinkUp(0))
        said = self.said()
        self.assertEqual([one["text"] for one in said[0]["result"]], ["text 1"])
        self.assertEqual([one.get("method") for one in said[1:]], [None, "connection"])
        self.program.take()
        self.assertEqual(self.said(), [])
        marking.callback(None)
        self.assertEqual(self.texts(), ["text 2"])
        self.assertEqual(self.shown(), [1, 2])

    def test_what_was_notified_is_not_received_while_it_is_being_marked(self) -> None:
        for number in (1, 2):
            self.messenger.arrive(message(f"text {number}", number=number))
        self.messenger.page = 1
        marking = self.mark_slowly()
        self.take('{"jsonrpc":"2.0","id":1,"method":"subscribe"}')
        self.assertEqual(self.texts_of_all(), ["text 1"])
        self.take('{"jsonrpc":"2.0","id":2,"method":"unsubscribe"}')
        self.take('{"jsonrpc":"2.0","id":3,"method":"receive","params":{"timeout":0}}')
        self.call.reactor.advance(1)
        self.assertEqual([one["id"] for one in self.said()], [2])
        marking.callback(None)
        (answer,) = self.said()
        self.assertEqual([one["text"] for one in answer["result"]], ["text 2"])
        self.assertEqual(self.shown(), [1, 2])

    def test_who_subscribes_anew_is_told_nothing_twice(self) -> None:
        self.messenger.arrive(message("text 1", number=1))
        marking = self.mark_slowly()
        for number, method in enumerate(("subscribe", "unsubscribe", "subscribe")):
            self.take(f'{{"jsonrpc":"2.0","id":{number},"method":"{method}"}}')
        self.messenger.arrive(message("text 2", number=2))
        self.assertEqual(self.texts_of_all(), ["text 1"])
        marking.callback(None)
        self.assertEqual(self.texts_of_all(), ["text 2"])
        self.assertEqual(self.shown(), [1, 2])

    def test_who_has_something_to_acknowledge_does_not_receive_and_is_told_at_once(self) -> None:
        self.messenger.arrive(message("text 1", number=1))
        self.take('{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"acknowledge":true}}')
        self.said()
        for params in ({}, {"wait_first": True}):
            self.assertEqual(self.error("receive", params), (-32602, "usage"))
        self.result("unsubscribe")
        self.assertEqual([one["text"] for one in self.result("receive")], ["text 1"])
        self.assertEqual(self.shown(), [1])

    def test_two_in_one_batch_that_wait_do_not_hold_back_what_comes(self) -> None:
        batch = self.receives(1, 2)
        for request in batch:
            request["params"]["wait_first"] = True
        answering = self.take(json.dumps(batch))
        self.call.reactor.advance(1)
        self.messenger.arrive(message("text 1", number=1))
        self.successResultOf(answering)
        ((first, second),) = self.said()
        self.assertEqual([one["text"] for one in first["result"]], ["text 1"])
        self.assertEqual(second["error"]["data"]["code"], "usage")
        self.assertEqual(self.shown(), [1])

    def take_in_a_batch(self) -> None:
        """A message is taken by a batch that then waits 20 seconds for an answer, and is told with that."""
        self.messenger.arrive(message("text 1", number=1))
        slow: Deferred[None] = Deferred()
        self.call.reactor.callLater(20, slow.callback, None)

        async def outbox() -> list[SentMessage]:
            await slow
            return []

        self.patch(self.messenger, "outbox", outbox)
        batch = [*self.receives(1), {"jsonrpc": "2.0", "id": 2, "method": "outbox"}]
        self.take(json.dumps(batch))

    def receive_within(self, seconds: float) -> None:
        (request,) = self.receives(3)
        request["params"]["timeout"] = seconds
        self.take(json.dumps(request))
        self.assertEqual(self.said(), [])

    def test_who_waits_for_the_batch_of_another_waits_no_longer_than_his_time(self) -> None:
        for seconds in (0, 19.5):
            self.take_in_a_batch()
            self.receive_within(seconds)
            self.call.reactor.advance(seconds)
            (refused,) = self.said()
            self.assertEqual((refused["id"], refused["error"]["data"]["code"]), (3, "timeout"))
            self.call.reactor.advance(20)
            self.assertEqual(len(self.said()), 1)
        self.assertEqual(self.shown(), [1, 1])

    def test_who_has_more_time_than_the_batch_of_another_needs_is_given_the_next(self) -> None:
        self.take_in_a_batch()
        self.messenger.arrive(message("text 2", number=2))
        self.receive_within(20.5)
        self.call.reactor.advance(20)
        _, answer = self.said()
        self.assertEqual([one["text"] for one in answer["result"]], ["text 2"])
        self.assertEqual(self.shown(), [1, 2])

    def test_he_is_not_refused_while_what_was_told_in_time_is_marked(self) -> None:
        marking = self.mark_slowly()
        self.take_in_a_batch()
        self.receive_within(20.5)
        self.call.reactor.advance(20)
        self.assertEqual(len(self.said()), 1)
        self.call.reactor.advance(1)
        self.assertEqual(self.said(), [])
        marking.callback(None)
        self.assertEqual(self.said()[0]["result"], [])

    def look_slowly(self) -> Deferred[None]:
        """From now on nothing is found before this has a result."""
        looking: Deferred[None] = Deferred()
        mark_printing = self.messenger.mark_printing

        async def slowly(events: Any) -> Any:
            await looking
            return await mark_printing(events)

        self.patch(self.messenger, "mark_printing", slowly)
        return looking

    def test_also_if_he_asked_before_that_was_taken(self) -> None:
        """While it is being looked up, nobody knows yet whether there is anything to wait for."""
        looking = self.look_slowly()
        self.take_in_a_batch()
        self.receive_within(5)
        looking.callback(None)
        self.call.reactor.advance(4)
        self.assertEqual(self.said(), [])
        self.call.reactor.advance(1)
        self.assertEqual(self.said()[0]["error"]["data"]["code"], "timeout")

    def test_what_found_no_room_in_an_answer_holds_nobody_up(self) -> None:
        self.messenger.arrive(message("x" * 300))
        self.patch(request_module, "ANSWER_BYTES", 400)
        self.assertEqual(self.error("receive"), (-32602, "usage"))
        self.patch(request_module, "ANSWER_BYTES", 4000)
        looking = self.look_slowly()
        self.take(json.dumps(self.receives(1)[0]))
        self.receive_within(0)
        self.call.reactor.advance(1)
        self.assertEqual(self.said(), [])
        looking.callback(None)
        self.assertEqual([len(one["result"]) for one in self.said()], [1, 0])

    def test_two_in_one_batch_are_not_given_the_same(self) -> None:
        """The first is answered with the batch, so the second cannot wait for that."""
        for number in (1, 2):
            self.messenger.arrive(message(f"text {number}", number=number))
        self.successResultOf(self.take(json.dumps(self.receives(1, 2))))
        ((first, second),) = self.said()
        self.assertEqual([one["text"] for one in first["result"]], ["text 1"])
        self.assertEqual(second["error"]["data"]["code"], "usage")
        self.assertEqual([one["text"] for one in self.result("receive")], ["text 2"])

    def test_who_subscribes_while_another_receive_waits_is_told_what_that_would_be(self) -> None:
        self.messenger.arrive(message("text 1", number=1))
        self.program.stalls = True
        for request in self.receives(1, 2):
            self.take(json.dumps(request))
        self.take('{"jsonrpc":"2.0","id":3,"method":"subscribe"}')
        self.program.stalls = False
        self.program.take()
        answers = {one["id"]: one for one in self.said() if "id" in one}
        self.assertEqual(answers[2]["error"]["data"]["code"], "usage")

    def test_who_waits_is_given_what_comes_after_another_has_taken(self) -> None:
        for number in (1, 2):
            self.take(
                f'{{"jsonrpc":"2.0","id":{number},"method":"receive","params":{{"wait_first":true,"max":1}}}}'
            )
        for number in (1, 2):
            self.messenger.arrive(message(f"text {number}", number=number))
        texts = [one["text"] for answer in self.said() for one in answer["result"]]
        self.assertEqual(texts, ["text 1", "text 2"])

    def test_what_did_not_fit_into_an_answer_can_be_asked_for_again(self) -> None:
        self.messenger.arrive(message("x" * 300))
        self.patch(request_module, "ANSWER_BYTES", 400)
        self.assertEqual(self.error("receive"), (-32602, "usage"))
        self.patch(request_module, "ANSWER_BYTES", 4000)
        self.assertEqual([one["text"] for one in self.result("receive")], ["x" * 300])

    def test_receive_can_wait(self) -> None:
        self.successResultOf(
            self.take('{"jsonrpc":"2.0","id":1,"method":"receive","params":{"wait_first":true}}')
        )
        self.assertEqual(self.said(), [])
        self.messenger.arrive(message("at last"))
        self.assertEqual(self.said()[0]["result"][0]["text"], "at last")
        self.successResultOf(
            self.take('{"jsonrpc":"2.0","id":1,"method":"receive","params":{"wait_first":true,"timeout":5}}')
        )
        self.call.reactor.advance(5)
        self.assertEqual(self.said()[0]["error"]["data"]["code"], "timeout")

    def test_receive_as_a_notification_shows_nothing(self) -> None:
        self.messenger.arrive(message("kept"))
        self.successResultOf(self.take('{"jsonrpc":"2.0","method":"receive"}'))
        self.assertEqual(self.shown(), [])

    def test_who_has_subscribed_does_not_receive(self) -> None:
        self.result("subscribe")
        self.assertEqual(self.error("receive"), (-32602, "usage"))
