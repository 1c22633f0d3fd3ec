"""Both ends against each other, and each against a peer that does not keep to the rules."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.wire import codec, limits
from e2ee.wire import messages as m
from e2ee.wire.connection import ClientConnection, Connection, ServerConnection
from e2ee.wire.framing import frame
from e2ee.wire.phases import Phase
from e2ee.wire.violations import OutOfTurn, ProtocolViolation
from tests.wire.examples import CLIENT, NUMBER, SERVER
from tests.wire.taking import received

WELCOME = m.Welcome(1, 1, (), b"p" * 32)
LOG_IN = m.LogIn(2, NUMBER, b"d" * 8, b"s" * 64)
LOGGED_IN = m.LoggedIn(2, None, 0, 0, 0)


def push(number: int) -> m.Push:
    return m.Push(number, NUMBER, b"d" * 8, b"envelope")


def acknowledge(number: int) -> m.Acknowledge:
    return m.Acknowledge(number, b"e" * 16, m.Verdict.OPENED)


def wired(*messages: m.Message) -> bytes:
    return b"".join(frame(codec.encode(message)) for message in messages)


class Pair:
    """A client and a server that hear each other at once."""

    def __init__(self) -> None:
        self.client = ClientConnection()
        self.server = ServerConnection()

    def ask(self, message: m.Message) -> list[m.Message]:
        return list(received(self.server, self.client.send(message)))

    def answer(self, message: m.Message) -> list[m.Message]:
        return list(received(self.client, self.server.send(message)))

    def greet(self) -> Pair:
        self.ask(m.Hello(self.client.next_number(), (1,), ()))
        self.answer(WELCOME)
        return self

    def log_in(self) -> Pair:
        self.greet()
        self.ask(m.LogIn(self.client.next_number(), NUMBER, b"d" * 8, b"s" * 64))
        self.answer(LOGGED_IN)
        return self

    def phases(self) -> set[Phase]:
        return {self.client.phase, self.server.phase}


class ConversationTests(SynchronousTestCase):
    """The three purposes of a connection, from the greeting to the end."""

    def test_a_login(self) -> None:
        pair = Pair().greet()
        self.assertEqual(pair.ask(LOG_IN), [LOG_IN])
        self.assertEqual(pair.phases(), {Phase.LOGGING_IN})
        self.assertEqual(pair.answer(LOGGED_IN), [LOGGED_IN])
        self.assertEqual(pair.phases(), {Phase.READY})

    def test_a_refused_login_is_the_end(self) -> None:
        pair = Pair().greet()
        pair.ask(LOG_IN)
        pair.answer(m.Refused(2, m.RefusalCode.LOGIN_REFUSED, "no"))
        self.assertEqual(pair.phases(), {Phase.CLOSING})

    def test_a_code_is_asked_for_on_a_connection_of_its_own(self) -> None:
        pair = Pair().greet()
        pair.ask(m.RequestCode(2, NUMBER))
        pair.answer(m.CodeRequested(2, b"s" * 16, 600.0))
        self.assertEqual(pair.phases(), {Phase.CLOSING})

    def test_a_registration(self) -> None:
        pair = Pair().greet()
        pair.ask(m.Start(2, b"s" * 16, NUMBER, b"k" * 32, b"a" * 33))
        pair.answer(m.Started(2, b"b" * 33))
        self.assertEqual(pair.phases(), {Phase.CONFIRMING})
        pair.ask(m.Prove(3, b"body", b"c" * 32))
        pair.answer(m.Proved(3, b"outcome", b"c" * 32))
        self.assertEqual(pair.phases(), {Phase.CLOSING})

    def test_one_run_for_one_connection(self) -> None:
        pair = Pair().greet()
        start = m.Start(2, b"s" * 16, NUMBER, b"k" * 32, b"a" * 33)
        pair.ask(start)
        pair.answer(m.Started(2, b"b" * 33))
        again = m.Start(3, b"s" * 16, NUMBER, b"k" * 32, b"a" * 33)
        self.assertRaises(OutOfTurn, pair.client.send, again)
        self.assertRaises(ProtocolViolation, list, received(pair.server, wired(again)))

    def test_requests_are_answered_in_any_order(self) -> None:
        pair = Pair().log_in()
        pair.ask(m.LookUp(3, NUMBER))
        pair.ask(m.Ping(4))
        self.assertEqual(pair.server.unanswered, 2)
        pair.answer(m.Pong(4))
        pair.answer(m.LookedUp(3, b"statement"))
        self.assertEqual((pair.server.unanswered, pair.client.unanswered), (0, 0))

    def test_the_last_word_ends_it(self) -> None:
        pair = Pair().log_in()
        last = pair.server.refusal(m.RefusalCode.DISPLACED, "x" * 1000)
        [refused] = received(pair.client, last)
        self.assertEqual(
            refused, m.Refused(None, m.RefusalCode.DISPLACED, "x" * limits.SENTENCE_CHARACTERS)
        )
        self.assertEqual(pair.phases(), {Phase.CLOSING})

    def test_what_comes_after_the_end_is_not_heard(self) -> None:
        pair = Pair().log_in()
        pair.server.close()
        self.assertEqual(pair.ask(m.Ping(3)), [])
        self.assertEqual(pair.server.buffered, 0)
        self.assertRaises(OutOfTurn, pair.server.send, m.Drained())

    def test_numbers_for_requests_count_from_one(self) -> None:
        client = ClientConnection()
        self.assertEqual([client.next_number() for _ in range(3)], [1, 2, 3])


class ServerTests(SynchronousTestCase):
    """What a server does not take from a client."""

    def assert_violation(self, server: Connection, data: bytes, code: m.RefusalCode) -> None:
        violation = self.assertRaises(ProtocolViolation, list, received(server, data))
        self.assertEqual(violation.code, code)
        self.assertIs(server.phase, Phase.CLOSING)
        self.assertEqual(server.buffered, 0)

    def test_nothing_before_the_greeting(self) -> None:
        for message in CLIENT[1:]:
            # A chunk of a file is refused by its length alone.
            too_long = isinstance(message, m.PutChunk)
            code = m.RefusalCode.FRAME_TOO_LARGE if too_long else m.RefusalCode.ILLEGAL
            self.assert_violation(ServerConnection(), wired(message), code)

    def test_a_second_request_of_one_number(self) -> None:
        pair = Pair().log_in()
        pair.ask(m.LookUp(3, NUMBER))
        self.assert_violation(pair.server, wired(m.Ping(3)), m.RefusalCode.ILLEGAL)

    def test_a_number_may_be_used_again_when_it_was_answered(self) -> None:
        pair = Pair().log_in()
        pair.ask(m.Ping(3))
        pair.answer(m.Pong(3))
        self.assertEqual(pair.ask(m.Ping(3)), [m.Ping(3)])

    def test_an_acknowledgement_above_the_last_push(self) -> None:
        pair = Pair().log_in()
        self.assertEqual(pair.server.next_push(), 1)
        pair.answer(push(1))
        self.assertEqual(pair.server.next_push(), 2)
        self.assertEqual(pair.ask(acknowledge(1)), [acknowledge(1)])
        self.assertRaises(OutOfTurn, pair.client.send, acknowledge(2))
        self.assert_violation(pair.server, wired(acknowledge(2)), m.RefusalCode.ILLEGAL)

    def test_the_limit_before_and_after_login(self) -> None:
        pair = Pair().greet()
        self.assertEqual(list(received(pair.server, (16 * 1024).to_bytes(4, "big"))), [])
        pair = Pair().greet()
        self.assert_violation(
            pair.server, (16 * 1024 + 1).to_bytes(4, "big"), m.RefusalCode.FRAME_TOO_LARGE
        )
        pair = Pair().log_in()
        self.assertEqual(list(received(pair.server, (128 * 1024).to_bytes(4, "big"))), [])
        pair = Pair().log_in()
        self.assert_violation(
            pair.server, (128 * 1024 + 1).to_bytes(4, "big"), m.RefusalCode.FRAME_TOO_LARGE
        )

    def test_the_largest_length(self) -> None:
        self.assert_violation(ServerConnection(), b"\xff" * 4, m.RefusalCode.FRAME_TOO_LARGE)

    def test_what_was_good_before_a_violation_is_handed_out(self) -> None:
        pair = Pair().log_in()
        messages = received(pair.server, wired(m.Ping(3)) + frame(b"\xc1") + wired(m.Ping(4)))
        self.assertEqual(next(messages), m.Ping(3))
        self.assertRaises(ProtocolViolation, next, messages)

    def test_256_unanswered_requests_and_no_more_are_taken(self) -> None:
        pair = Pair().log_in()
        numbers = range(10, 10 + limits.REQUESTS_IN_FLIGHT + 5)
        taken = list(received(pair.server, wired(*map(m.Ping, numbers))))
        self.assertEqual(len(taken), limits.REQUESTS_IN_FLIGHT)
        self.assertTrue(pair.server.saturated)
        pair.server.send(m.Pong(10))
        self.assertFalse(pair.server.saturated)
        self.assertEqual(list(received(pair.server, b"")), [m.Ping(numbers[-5])])

    def test_each_request_is_answered_once_and_by_its_own_answer(self) -> None:
        pair = Pair().log_in()
        pair.ask(m.LookUp(3, NUMBER))
        self.assertRaises(OutOfTurn, pair.server.send, m.Done(3))
        self.assertRaises(OutOfTurn, pair.server.send, m.LookedUp(4, b"statement"))
        pair.answer(m.LookedUp(3, b"statement"))
        self.assertRaises(OutOfTurn, pair.server.send, m.LookedUp(3, b"statement"))

    def test_a_frame_over_the_limit_is_not_sent(self) -> None:
        pair = Pair().log_in()
        ids = tuple(i.to_bytes(16, "big") for i in range(9_000))
        self.assertRaises(OutOfTurn, pair.server.send, m.Notice(1, m.NoticeReason.EXPIRED, ids))
        self.assertIs(pair.server.phase, Phase.READY)

    @settings(deadline=None, max_examples=150)
    @given(
        which=st.lists(st.sampled_from(CLIENT), max_size=4),
        noise=st.binary(max_size=40),
        at=st.integers(0, 2000),
    )
    def test_mutated_streams_raise_nothing_else(
        self, which: list[m.Message], noise: bytes, at: int
    ) -> None:
        stream = wired(m.Hello(0, (1,), ()), *which)
        cut = at % len(stream)
        for server in (ServerConnection(), Pair().log_in().server):
            try:
                list(received(server, stream[:cut] + noise + stream[cut + len(noise) :]))
            except ProtocolViolation:
                self.assertIs(server.phase, Phase.CLOSING)


class ClientTests(SynchronousTestCase):
    """What a client does not take from a server."""

    def assert_violation(self, pair: Pair, *messages: m.Message) -> None:
        self.assertRaises(ProtocolViolation, list, received(pair.client, wired(*messages)))
        self.assertIs(pair.client.phase, Phase.CLOSING)

    def test_nothing_before_it_has_greeted(self) -> None:
        for message in SERVER:
            self.assert_violation(Pair(), message)

    def test_an_answer_to_nothing(self) -> None:
        self.assert_violation(Pair().log_in(), m.Done(9))

    def test_an_answer_of_another_kind(self) -> None:
        pair = Pair().log_in()
        pair.ask(m.LookUp(3, NUMBER))
        self.assert_violation(pair, m.Done(3))

    def test_a_second_answer(self) -> None:
        pair = Pair().log_in()
        pair.ask(m.Ping(3))
        self.assert_violation(pair, m.Pong(3), m.Pong(3))

    def test_a_login_that_answers_a_registration(self) -> None:
        pair = Pair().greet()
        pair.ask(m.RequestCode(2, NUMBER))
        self.assert_violation(pair, LOGGED_IN)

    def test_pushes_are_numbered_without_a_gap(self) -> None:
        self.assert_violation(Pair().log_in(), push(2))
        self.assert_violation(Pair().log_in(), push(1), push(1))
        self.assertEqual(len(list(received(Pair().log_in().client, wired(push(1), push(2))))), 2)
        self.assertRaises(OutOfTurn, Pair().log_in().server.send, push(2))

    def test_256_unacknowledged_pushes_and_no_more(self) -> None:
        window = [push(number) for number in range(1, limits.WINDOW_MESSAGES + 1)]
        further = push(limits.WINDOW_MESSAGES + 1)
        pair = Pair().log_in()
        self.assertEqual(len(list(received(pair.client, wired(*window)))), limits.WINDOW_MESSAGES)
        self.assert_violation(pair, further)
        pair = Pair().log_in()
        list(received(pair.client, wired(*window)))
        pair.client.send(acknowledge(7))
        self.assertEqual(list(received(pair.client, wired(further))), [further])

    def test_512_kib_of_unacknowledged_pushes_and_no_more(self) -> None:
        sizes = [limits.ENVELOPE_BYTES] * 5 + [limits.WINDOW_BYTES - 5 * limits.ENVELOPE_BYTES]
        window = [m.Push(n, NUMBER, b"d" * 8, b"x" * size) for n, size in enumerate(sizes, 1)]
        for freed in (True, False):
            pair = Pair().log_in()
            self.assertEqual(len(list(received(pair.client, wired(*window)))), len(window))
            if freed:
                pair.client.send(acknowledge(2))
                self.assertEqual(len(list(received(pair.client, wired(push(7))))), 1)
            else:
                self.assert_violation(pair, push(7))

    def test_a_large_push_right_behind_the_login_is_taken(self) -> None:
        pair = Pair().greet()
        pair.ask(LOG_IN)
        large = m.Push(1, NUMBER, b"d" * 8, b"x" * limits.ENVELOPE_BYTES)
        self.assertEqual(list(received(pair.client, wired(LOGGED_IN, large))), [LOGGED_IN, large])

    def test_a_client_reads_however_much_is_unanswered(self) -> None:
        pair = Pair().log_in()
        for _ in range(limits.REQUESTS_IN_FLIGHT + 1):
            pair.client.send(m.Ping(pair.client.next_number() + 10))
        self.assertFalse(pair.client.saturated)

    @settings(deadline=None, max_examples=150)
    @given(which=st.lists(st.sampled_from(SERVER), max_size=4), noise=st.binary(max_size=40))
    def test_mutated_streams_raise_nothing_else(self, which: list[m.Message], noise: bytes) -> None:
        pair = Pair().log_in()
        try:
            list(received(pair.client, wired(*which) + noise))
        except ProtocolViolation:
            self.assertIs(pair.client.phase, Phase.CLOSING)
