"""Connections over real TLS in memory: greeting, registration, login, dispatch, and every end."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities, initiator, pin_step
from e2ee.crypto.prekey_secrets import make_kem_prekey, make_signed_prekey
from e2ee.errors import Failure, StoreUnavailable
from e2ee.ids import EnvelopeId, PasscodeSessionId
from e2ee.net.connect_link import ConnectLink
from e2ee.net.connecting import connect
from e2ee.net.handshake import TlsFacts
from e2ee.net.protocol import MessageProtocol
from e2ee.net.tls import ServerContext, server_tls_factory
from e2ee.server.factory import ServerFactory
from e2ee.server.policy import Policy
from e2ee.testing.certificates import self_signed
from e2ee.wire import limits
from e2ee.wire import messages as m
from e2ee.wire.codec import encode
from e2ee.wire.messages import RefusalCode
from e2ee.wire.phases import Phase
from tests.server.town import ALICE, BOB, CAROL, TOKEN, TownCase, token_hash

PORT = 8443


class Caller:
    """A client's end that keeps what it is told."""

    def __init__(self) -> None:
        self.tls: TlsFacts | None = None
        self.told: list[m.Message] = []
        self.over = False
        self.protocol: MessageProtocol

    def secured(self, tls: TlsFacts) -> None:
        self.tls = tls

    def received(self, message: m.Message) -> None:
        self.told.append(message)

    def lost(self, reason: Failure) -> None:
        self.over = True

    @property
    def exporter(self) -> bytes:
        assert self.tls is not None
        return self.tls.exporter

    @property
    def refusals(self) -> list[RefusalCode]:
        return [one.code for one in self.told if isinstance(one, m.Refused)]


class ConnectionCase(TownCase):
    """A listening server; `call` connects."""

    def setUp(self) -> None:
        super().setUp()
        self.network = self.town.network
        self.credentials = self_signed("127.0.0.1")
        factory: Factory[MessageProtocol] = ServerFactory(self.town.rooms, self.network)  # type: ignore[assignment]
        self.network.listenTCP(
            PORT, server_tls_factory(ServerContext(self.credentials), factory, self.network)
        )

    def call(self, greet: bool = True) -> Caller:
        """A secured connection, greeted."""
        caller = Caller()
        link = ConnectLink("127.0.0.1", PORT, (self.credentials.pin,))
        connecting = Deferred.fromCoroutine(connect(self.network, link, (), caller, 30))
        self.network.settle()
        caller.protocol = self.successResultOf(connecting)
        if greet:
            self.ask(caller, m.Hello(caller.protocol.next_number(), (1,), ()))
        return caller

    def ask(self, caller: Caller, message: m.Message) -> m.Message:
        """Send, let everything happen, and give the last thing that was said."""
        caller.protocol.send(message)
        self.network.settle()
        return caller.told[-1]

    def log_in(self, own: OwnDevice) -> Caller:
        """A connection that is ready."""
        caller = self.call()
        self.ask(caller, self.login(caller, own))
        return caller

    def login(self, caller: Caller, own: OwnDevice) -> m.LogIn:
        number = caller.protocol.next_number()
        return m.LogIn(number, str(own.address), bytes(own.device), own.sign_login(caller.exporter))


class GreetingTests(ConnectionCase):
    """Before anything else."""

    def test_the_answer_carries_the_backup_pin(self) -> None:
        self.assertEqual(self.call().told, [m.Welcome(1, 1, (), b"b" * 32)])

    def test_no_common_version(self) -> None:
        caller = self.call(greet=False)
        self.ask(caller, m.Hello(1, (2, 7), ()))
        self.assertEqual((caller.refusals, caller.over), ([RefusalCode.VERSION], True))

    def test_a_stopping_server_says_so(self) -> None:
        self.town.rooms.stopping = True
        caller = self.call()
        self.assertEqual((caller.refusals, caller.over), ([RefusalCode.UNAVAILABLE], True))

    def test_a_request_before_login_is_illegal(self) -> None:
        caller = self.call()
        caller.protocol._connection.phase = Phase.READY  # a client that ignores the rules
        self.ask(caller, m.LookUp(9, str(BOB)))
        self.assertEqual((caller.refusals, caller.over), ([RefusalCode.ILLEGAL], True))


class LoginTests(ConnectionCase):
    """One answer for everything that is wrong, and one connection for each device."""

    def test_a_right_signature(self) -> None:
        caller = self.log_in(self.town.devices[BOB])
        self.assertEqual(caller.told[1:], [m.LoggedIn(2, None, 0, 0, 0), m.Drained()])

    def test_the_last_login_is_told(self) -> None:
        self.log_in(self.town.devices[BOB])
        self.assertEqual(self.log_in(self.town.devices[BOB]).told[1], m.LoggedIn(2, 1_000_500, 0, 0, 0))

    def assert_refused(self, caller: Caller, login: m.LogIn) -> None:
        refused = self.ask(caller, login)
        assert isinstance(refused, m.Refused)
        self.assertEqual((refused.code, caller.over), (RefusalCode.LOGIN_REFUSED, True))
        self.refused_with.append((refused.sentence, refused.retry_after))

    def test_everything_wrong_gets_one_answer(self) -> None:
        self.refused_with: list[tuple[str, float | None]] = []
        bob, other = self.town.devices[BOB], create_device(BOB, 9, self.town.entropy)
        unknown = create_device(CAROL, 1, self.town.entropy)
        elsewhere = self.call().exporter
        for own in (other, unknown):
            caller = self.call()
            self.assert_refused(caller, self.login(caller, own))
        caller = self.call()
        self.assert_refused(caller, m.LogIn(2, str(BOB), bytes(bob.device), bob.sign_login(elsewhere)))
        caller = self.call()
        signature = bob.sign_login(caller.exporter)
        self.assert_refused(caller, m.LogIn(2, str(BOB), bytes(other.device), signature))
        self.assertEqual(len(set(self.refused_with)), 1)

    def test_a_newer_connection_displaces_the_older(self) -> None:
        first, second = self.log_in(self.town.devices[BOB]), self.log_in(self.town.devices[BOB])
        self.assertEqual((first.refusals, first.over), ([RefusalCode.DISPLACED], True))
        self.assertEqual((second.refusals, second.over), ([], False))
        self.assertEqual(self.town.rooms.presence.connected, 1)

    def test_who_leaves_is_gone(self) -> None:
        caller = self.log_in(self.town.devices[BOB])
        caller.protocol.close()
        self.network.settle()
        self.assertEqual(self.town.rooms.presence.connected, 0)
        self.assertEqual(len(self.town.rooms.admission), 0)
        self.assertEqual(list(self.town.rooms.deliveries.peers()), [])

    def test_a_login_that_finds_no_room_is_told_to_come_again(self) -> None:
        async def full(*arguments: object) -> None:
            raise StoreUnavailable("full")

        old = self.log_in(self.town.devices[BOB])
        self.patch(self.town.mailbox.real, "attach", full)
        caller = self.log_in(self.town.devices[BOB])
        self.assertEqual((caller.refusals, caller.over, old.over), ([RefusalCode.UNAVAILABLE], True, True))
        self.assertEqual(self.town.rooms.presence.connected, 0)

    def test_a_login_that_fails_half_way_leaves_nobody_online(self) -> None:
        async def full(*arguments: object) -> None:
            raise StoreUnavailable("full")

        self.patch(self.town.prekeys, "stock", full)
        caller = self.log_in(self.town.devices[BOB])
        self.assertEqual((caller.refusals, caller.over), ([RefusalCode.UNAVAILABLE], True))
        self.assertEqual(self.town.rooms.presence.connected, 0)

    def test_notices_that_cannot_be_read_keep_nobody_from_his_mail(self) -> None:
        async def busy(*arguments: object) -> None:
            raise StoreUnavailable("too many operations wait")

        self.patch(self.town.mailbox.real, "notices", busy)
        caller = self.log_in(self.town.devices[BOB])
        self.assertEqual((caller.told[-1], caller.over), (m.Drained(), False))

    def test_a_full_disk_does_not_keep_anybody_out(self) -> None:
        async def full(*arguments: object) -> None:
            raise StoreUnavailable("full")

        self.patch(self.town.accounts, "record_login", full)
        self.assertIn(m.Drained(), self.log_in(self.town.devices[BOB]).told)


class ConversationTests(ConnectionCase):
    """Two devices and the rooms between them."""

    def setUp(self) -> None:
        super().setUp()
        self.now(self.town.accounts.set_presence(self.town.where(BOB), token_hash(), False))
        self.alice = self.log_in(self.town.devices[ALICE])

    def test_a_message_is_pushed_acknowledged_and_answered(self) -> None:
        bob = self.log_in(self.town.devices[BOB])
        self.alice.protocol.send(self.town.send(BOB, b"sealed", TOKEN, n=3))
        self.network.settle()
        push = m.Push(1, str(ALICE), bytes(self.town.devices[ALICE].device), b"sealed")
        self.assertEqual(bob.told[-1], push)
        envelope_id = EnvelopeId.of(b"sealed")
        self.ask(bob, m.Acknowledge(1, bytes(envelope_id), m.Verdict.OPENED))
        self.assertEqual(self.alice.told[-1], m.Accepted(3, m.Outcome.DELIVERED))

    def test_a_wrong_acknowledgement_ends_the_connection(self) -> None:
        bob = self.log_in(self.town.devices[BOB])
        self.alice.protocol.send(self.town.send(BOB, b"sealed", TOKEN, n=3))
        self.network.settle()
        self.ask(bob, m.Acknowledge(1, bytes(16), m.Verdict.OPENED))
        self.assertEqual((bob.refusals, bob.over), ([RefusalCode.ILLEGAL], True))
        self.assertEqual(self.alice.told[-1], m.Accepted(3, m.Outcome.STORED))

    def test_a_recipient_that_is_no_number_ends_the_connection(self) -> None:
        for wrong in ("15550100101", "+1555010010\u0661", "+0555", "+15550100101\n", str(BOB) + " "):
            sender = self.log_in(self.town.devices[ALICE])
            send = replace(self.town.send(BOB, b"sealed", TOKEN, n=3), number=wrong)
            self.ask(sender, send)
            self.assertEqual((sender.refusals, sender.over), ([RefusalCode.MALFORMED], True), wrong)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_number_that_nobody_has_is_refused_and_the_connection_goes_on(self) -> None:
        send = replace(self.town.send(BOB, b"sealed", TOKEN, n=3), number="+15550100199")
        answer = self.ask(self.alice, send)
        assert isinstance(answer, m.Refused)
        self.assertEqual((answer.code, self.alice.over), (RefusalCode.UNKNOWN_RECIPIENT, False))

    def test_refusals_answer_their_request_and_the_connection_goes_on(self) -> None:
        refused = self.ask(self.alice, m.LookUp(3, str(CAROL)))
        assert isinstance(refused, m.Refused)
        self.assertEqual((refused.n, refused.code), (3, RefusalCode.UNKNOWN_RECIPIENT))
        answer = self.ask(self.alice, m.LookUp(4, str(BOB)))
        self.assertEqual(answer, m.LookedUp(4, self.town.devices[BOB].signed_statement))

    def test_each_request_has_its_room(self) -> None:
        self.assertIsInstance(self.ask(self.alice, m.FetchBundle(3, str(BOB), None)), m.Bundle)
        upload = self.town.publication(ALICE, one_time=1)
        self.assertEqual(self.ask(self.alice, m.Publish(4, None, None, upload.one_time, ())),
                         m.Published(4, 1, 0))
        self.assertEqual(self.ask(self.alice, m.SetPresence(5, token_hash(), False)), m.Done(5))
        self.assertEqual(self.ask(self.alice, m.Watch(6, ())), m.Online(6, (), False))
        self.assertEqual(self.ask(self.alice, m.SetPin(7, b"s" * 16, b"p" * 32)), m.Done(7))
        self.assertEqual(self.ask(self.alice, m.RemovePin(8)), m.Done(8))

    def test_an_account_that_its_owner_deletes_is_gone_and_the_senders_know(self) -> None:
        """`Done` comes before the last word; who has written is told, and the number is free."""
        bob = self.log_in(self.town.devices[BOB])
        self.ask(bob, m.DeleteAccount(3))
        self.assertEqual(bob.told[-2], m.Done(3))
        self.assertEqual((bob.refusals, bob.over), ([RefusalCode.LOGGED_OUT], True))
        self.assertEqual(self.town.rooms.counters.accounts_deleted, 1)
        refused = self.ask(self.alice, m.LookUp(4, str(BOB)))
        assert isinstance(refused, m.Refused)
        self.assertEqual(refused.code, RefusalCode.UNKNOWN_RECIPIENT)

    def test_mail_that_waits_for_a_deleted_account_becomes_a_notice(self) -> None:
        self.ask(self.alice, self.town.send(BOB, b"sealed", n=3))
        bob = self.log_in(self.town.devices[BOB])
        self.ask(bob, m.DeleteAccount(3))
        (notice,) = [one for one in self.alice.told if isinstance(one, m.Notice)]
        self.assertIs(notice.reason, m.NoticeReason.DELETED)

    def test_the_owner_hears_once_that_the_stock_runs_low(self) -> None:
        bob = self.log_in(self.town.devices[BOB])
        for number in (3, 4):
            self.ask(self.alice, m.FetchBundle(number, str(BOB), None))
        self.assertEqual([one for one in bob.told if isinstance(one, m.StockLow)], [m.StockLow(0, 0)])
        self.ask(bob, m.Publish(3, None, None, (), ()))
        self.ask(self.alice, m.FetchBundle(5, str(BOB), None))
        self.assertEqual(bob.told[-1], m.StockLow(0, 0))

    def test_nothing_is_pushed_to_a_login_that_is_not_answered(self) -> None:
        self.ask(self.alice, self.town.send(BOB, b"sealed", n=3))
        recorded: Deferred[None] = Deferred()

        async def slow(*arguments: object) -> None:
            await recorded

        patch = self.patch(self.town.accounts, "record_login", slow)
        again = self.log_in(self.town.devices[ALICE])
        patch.restore()
        carol = self.log_in(self.now(self.town.settle_in(CAROL)))
        self.ask(carol, m.FetchBundle(3, str(ALICE), None))
        self.now(self.town.settle_in(BOB))
        self.network.settle()
        self.assertEqual((carol.over, carol.refusals, len(again.told)), (False, [], 1))
        recorded.callback(None)
        self.network.settle()
        self.assertIn(m.Notice, map(type, again.told))

    def test_a_notice_is_forgotten_once_however_often_it_is_acknowledged(self) -> None:
        self.ask(self.alice, self.town.send(BOB, b"sealed", n=3))
        self.now(self.town.settle_in(BOB))
        self.network.settle()
        notice = self.alice.told[-1]
        assert isinstance(notice, m.Notice)
        removals: list[Deferred[None]] = []

        async def slow(*arguments: object) -> None:
            removals.append(Deferred())
            await removals[-1]

        self.patch(self.town.mailbox.real, "remove_notices", slow)
        for _ in range(100):
            self.ask(self.alice, m.AcknowledgeNotice(notice.notice))
        self.assertEqual(len(removals), 1)
        removals[0].callback(None)

    def test_a_defect_costs_one_connection_and_logs_no_content(self) -> None:
        def defect(*arguments: object) -> None:
            raise KeyError("a secret")

        bob = self.log_in(self.town.devices[BOB])
        self.patch(self.town.rooms.courier, "submit", defect)
        self.ask(self.alice, self.town.send(BOB, b"sealed", n=3))
        self.assertEqual((self.alice.over, bob.over), (True, False))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_takeover_logs_the_old_device_out_and_leaves_notices(self) -> None:
        self.ask(self.alice, self.town.send(BOB, b"sealed", n=3))
        self.assertEqual(self.alice.told[-1], m.Accepted(3, m.Outcome.STORED))
        bob = self.log_in(self.town.devices[BOB])
        self.now(self.town.settle_in(BOB))
        self.network.settle()
        self.assertEqual((bob.refusals, bob.over), ([RefusalCode.LOGGED_OUT], True))
        notice = self.alice.told[-1]
        assert isinstance(notice, m.Notice)
        self.assertEqual(notice.reason, m.NoticeReason.TAKEN_OVER)
        again = self.log_in(self.town.devices[ALICE])
        # Before `drained`: a reader that ends with the mailbox has heard of it.
        self.assertEqual(again.told[-2:], [notice, m.Drained()])
        self.ask(again, m.AcknowledgeNotice(notice.notice))
        self.assertNotIn(notice, self.log_in(self.town.devices[ALICE]).told)


class RegistrationTests(ConnectionCase):
    """The whole way on two connections."""

    def register(self, own: OwnDevice) -> Caller:
        caller, body, confirmations, proved = self.prove(own)
        assert isinstance(proved, m.Proved)
        confirmations.check_server(body, proved.outcome, proved.confirmation)
        return caller

    def prove(self, own: OwnDevice) -> tuple[Caller, bytes, Confirmations, m.Message]:
        """As far as the answer to `Prove`."""
        entropy = self.town.entropy
        self.town.store.waits.clear()
        asked = self.call()
        session = self.ask(asked, m.RequestCode(2, str(own.address)))
        assert isinstance(session, m.CodeRequested)
        self.assertTrue(asked.over)
        caller = self.call()
        key = own.statement.account_key.raw
        passcode = PasscodeSessionId(session.session)
        identities = ProofIdentities(passcode, own.address, key, caller.exporter)
        state, a = initiator(self.town.sender.code, identities, entropy)
        started = self.ask(caller, m.Start(2, session.session, str(own.address), key, a))
        assert isinstance(started, m.Started), started
        confirmations = state.finish(started.b)
        signatures = own.sign_registration(caller.exporter, passcode)
        owner = own.device_signing_secret
        body = encode(m.RegistrationBody(
            own.signed_statement, make_signed_prekey(owner, 1, 1, entropy)[1],
            make_kem_prekey(owner, 1, 1, False, entropy)[1], *signatures,
        ))  # fmt: skip
        proved = self.ask(caller, m.Prove(3, body, confirmations.client(body)))
        return caller, body, confirmations, proved

    def test_register_then_log_in(self) -> None:
        own = create_device(CAROL, 1, self.town.entropy)
        self.assertTrue(self.register(own).over)
        self.assertIn(m.Drained(), self.log_in(own).told)

    def test_registering_again_logs_the_old_device_out(self) -> None:
        old = self.log_in(self.town.devices[BOB])
        self.register(create_device(BOB, 9, self.town.entropy))
        self.assertEqual((old.refusals, old.over), ([RefusalCode.LOGGED_OUT], True))


    def test_a_pin_stands_between_the_code_and_the_account(self) -> None:
        """The old device stays logged in until the PIN is proven on the same connection, and is told then."""
        old = self.log_in(self.town.devices[BOB])
        self.ask(old, m.SetPin(3, b"s" * 16, b"p" * 32))
        own = create_device(BOB, 9, self.town.entropy)
        caller, body, confirmations, asked = self.prove(own)
        assert isinstance(asked, m.PinRequired)
        confirmations.check_server(body, asked.outcome, asked.confirmation)
        self.assertEqual((caller.over, old.over), (False, False))
        step = pin_step(body, asked.outcome, b"p" * 32)
        proved = self.ask(caller, m.ProvePin(4, b"p" * 32, confirmations.client(step)))
        assert isinstance(proved, m.Proved)
        confirmations.check_server(step, proved.outcome, proved.confirmation)
        self.assertEqual((caller.over, old.over, old.refusals), (True, True, [RefusalCode.LOGGED_OUT]))
        self.assertIn(m.Drained(), self.log_in(own).told)

    def test_after_a_wrong_pin_the_connection_is_over(self) -> None:
        old = self.log_in(self.town.devices[BOB])
        self.ask(old, m.SetPin(3, b"s" * 16, b"p" * 32))
        caller, body, confirmations, asked = self.prove(create_device(BOB, 9, self.town.entropy))
        assert isinstance(asked, m.PinRequired)
        step = pin_step(body, asked.outcome, b"q" * 32)
        self.ask(caller, m.ProvePin(4, b"q" * 32, confirmations.client(step)))
        self.assertEqual((caller.refusals, caller.over), ([RefusalCode.WRONG_PIN], True))
        self.assertFalse(old.over)

    def test_no_connection_waits_for_a_pin(self) -> None:
        self.ask(self.log_in(self.town.devices[BOB]), m.SetPin(3, b"s" * 16, b"p" * 32))
        caller = self.prove(create_device(BOB, 9, self.town.entropy))[0]
        self.network.settle(limits.LOGIN_SECONDS)
        self.assertTrue(caller.over)
        self.assertEqual(len(self.town.rooms.admission), 1)  # Bob's old device

    def test_a_pin_out_of_turn_is_illegal(self) -> None:
        caller = self.call()
        caller.protocol._connection.phase = Phase.PIN_DUE  # a client that ignores the rules
        self.ask(caller, m.ProvePin(2, b"p" * 32, b"c" * 32))
        self.assertEqual((caller.refusals, caller.over), ([RefusalCode.ILLEGAL], True))


class AdmissionTests(ConnectionCase):
    """Too many before login, and those that take too long."""

    policy = Policy(connections_before_login=2)

    def test_the_oldest_that_waits_is_closed(self) -> None:
        callers = [self.call() for _ in range(3)]
        self.assertEqual([caller.over for caller in callers], [True, False, False])
        self.assertEqual(callers[0].refusals, [RefusalCode.BUSY])

    def test_those_who_have_logged_in_stay(self) -> None:
        inside = [self.log_in(self.town.devices[ALICE]), self.log_in(self.town.devices[BOB])]
        for _ in range(3):
            self.call()
        self.assertFalse(any(caller.over for caller in inside))

    def test_ten_seconds_for_the_login(self) -> None:
        caller = self.call()
        self.network.settle(limits.LOGIN_SECONDS)
        self.assertTrue(caller.over)
        self.assertEqual(len(self.town.rooms.admission), 0)
