"""Handshakes with the right server, the second lock, and what a server takes: real TLS in memory."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code, Failure
from e2ee.net import x509
from e2ee.net.connect_link import ConnectLink
from e2ee.net.handshake import TlsFacts
from e2ee.net.tls import ServerCheck
from e2ee.testing.certificates import NOW, self_signed
from e2ee.wire import messages as m
from tests.net.conversation import ALERT, PORT, Conversation, records
from tests.net.strangers import OTHER_PIN, OtherClient, PlainFactory


class GoodServerTests(SynchronousTestCase):
    """A server that is the right one."""

    def test_the_first_pin(self) -> None:
        conversation = Conversation()
        conversation.pins = (conversation.credentials.pin, OTHER_PIN)
        conversation.open()
        self.assertEqual(conversation.handler.facts.peer_pin, conversation.credentials.pin)

    def test_the_second_pin(self) -> None:
        conversation = Conversation()
        conversation.pins = (OTHER_PIN, conversation.credentials.pin)
        conversation.open()
        self.assertEqual(conversation.handler.facts.peer_pin, conversation.credentials.pin)

    def test_both_ends_know_the_same_exporter_and_no_two_connections_do(self) -> None:
        conversation = Conversation()
        conversation.open()
        first = conversation.server.handler.facts.exporter
        self.assertEqual(conversation.handler.facts.exporter, first)
        self.assertEqual(len(first), 32)
        conversation.open()
        self.assertEqual(conversation.handler.facts.exporter, conversation.server.handler.facts.exporter)
        self.assertNotEqual(conversation.handler.facts.exporter, first)

    def test_the_hybrid_key_exchange_of_tls_1_3_is_negotiated(self) -> None:
        conversation = Conversation()
        conversation.open()
        for tls in (conversation.handler.facts, conversation.server.handler.facts):
            self.assertEqual(
                (tls.group, tls.protocol, tls.alpn), ("X25519MLKEM768", "TLSv1.3", "e2ee/1")
            )

    def test_each_side_knows_the_others_address(self) -> None:
        conversation = Conversation()
        conversation.open()
        self.assertEqual(conversation.server.handler.facts.peer_address, "192.0.2.7")
        self.assertIsNone(conversation.server.handler.facts.peer_pin)

    def test_the_exporter_is_in_no_repr(self) -> None:
        facts = TlsFacts(b"secret" * 5, "g", None, "a", "p", "n")
        self.assertNotIn("secret", repr(facts))

    def test_names_and_addresses(self) -> None:
        credentials = self_signed("localhost", "chat.example.org", "127.0.0.1", "::1")
        for host in ("localhost", "chat.example.org", "127.0.0.1", "::1"):
            conversation = Conversation(credentials, host)
            conversation.network.names["chat.example.org"] = "203.0.113.5"
            conversation.open()

    def test_an_rsa_certificate(self) -> None:
        key = x509.KeyKind.RSA_3072.generate()
        Conversation(x509.make_self_signed(("127.0.0.1",), NOW, 100, key)).open()

    def test_a_renewed_certificate_with_the_same_key_keeps_its_pin(self) -> None:
        conversation = Conversation()
        renewed = x509.make_self_signed(("127.0.0.1",), NOW, 90, conversation.credentials.key)
        conversation.context.replace(renewed)
        conversation.open()

    def test_a_replaced_certificate_drops_no_connection(self) -> None:
        conversation = Conversation()
        conversation.open()
        conversation.context.replace(self_signed("127.0.0.1"))
        conversation.network.settle()
        self.assertEqual(conversation.handler.reasons, [])
        self.assertEqual(conversation.refused().code, Code.PIN_MISMATCH)

    def test_a_chain_to_the_given_ca(self) -> None:
        authority = x509.make_authority("the company", NOW, 100)
        key = x509.KeyKind.ECDSA_P256.generate()
        conversation = Conversation(x509.issue(authority, ("127.0.0.1",), NOW, 100, key))
        protocols: list[Any] = []
        conversation.connect(authority.chain).addCallback(protocols.append)
        self.assertEqual(len(protocols), 1)

    def test_without_a_ca_the_pin_vouches_for_the_leaf_of_any_chain(self) -> None:
        authority = x509.make_authority("a public one", NOW, 100)
        key = x509.KeyKind.ECDSA_P256.generate()
        leaf = x509.issue(authority, ("127.0.0.1",), NOW, 100, key)
        with_root = x509.Credentials(leaf.chain + authority.chain, key)
        Conversation(leaf).open()
        Conversation(with_root).open()


class SecondLockTests(SynchronousTestCase):
    """What the verify callback has let through is looked at again when the handshake is done."""

    def judge(self, **changes: Any) -> None:
        check = ServerCheck(ConnectLink("127.0.0.1", PORT, (b"p" * 32,)))
        facts = {
            "exporter": b"e" * 32, "group": "X25519MLKEM768", "peer_pin": b"p" * 32,
            "peer_address": "127.0.0.1", "protocol": "TLSv1.3", "alpn": "e2ee/1",
        }  # fmt: skip
        check.judge(TlsFacts(**{**facts, **changes}))

    def test_it_passes_what_is_right(self) -> None:
        self.judge()

    def test_it_refuses_what_is_not(self) -> None:
        for code, changes in (
            (Code.PIN_MISMATCH, {"peer_pin": OTHER_PIN}),
            (Code.CERTIFICATE, {"peer_pin": None}),
            (Code.CERTIFICATE, {"protocol": "TLSv1.2"}),
            (Code.CERTIFICATE, {"alpn": ""}),
        ):
            failure = self.assertRaises(Failure, self.judge, **changes)
            self.assertEqual(failure.code, code, failure.sentence)

    def test_a_handshake_that_nobody_judged_is_aborted_with_nothing_sent(self) -> None:
        conversation = Conversation()
        self.patch(ServerCheck, "judge_leaf", lambda *args: None)
        conversation.pins = (OTHER_PIN,)
        failure = conversation.refused()
        self.assertEqual(failure.code, Code.PIN_MISMATCH)
        self.assertEqual(conversation.server.handler.messages, [])
        self.assertEqual(conversation.handler.tls, None)


class ServerSideTests(SynchronousTestCase):
    """A server takes only clients that speak its protocol over TLS 1.3."""

    def knock(self, newest: int, *offers: bytes) -> Conversation:
        conversation = Conversation()
        inner = PlainFactory.forProtocol(Protocol)
        client = OtherClient(newest, list(offers))
        factory = TLSMemoryBIOFactory(client, True, inner, conversation.network)
        conversation.network.connectTCP("127.0.0.1", PORT, factory)
        conversation.network.settle()
        return conversation

    def assert_refused(self, conversation: Conversation) -> None:
        self.assertIsNone(conversation.server.handler.tls)
        self.assertEqual(len(conversation.server.handler.reasons), 1)
        self.assertEqual(conversation.network.getDelayedCalls(), [])

    def test_a_client_of_today(self) -> None:
        conversation = self.knock(SSL.TLS1_3_VERSION, b"e2ee/1")
        self.assertIsNotNone(conversation.server.handler.tls)

    def test_a_client_without_alpn(self) -> None:
        self.assert_refused(self.knock(SSL.TLS1_3_VERSION))

    def test_a_client_of_another_protocol(self) -> None:
        self.assert_refused(self.knock(SSL.TLS1_3_VERSION, b"h2"))

    def test_a_client_of_tls_1_2_gets_an_alert_and_no_certificate(self) -> None:
        conversation = self.knock(SSL.TLS1_2_VERSION, b"e2ee/1")
        self.assert_refused(conversation)
        self.assertEqual(set(records(conversation.wire.from_server)), {ALERT})

    def test_messages_cross(self) -> None:
        conversation = Conversation()
        client = conversation.open()
        client.send(m.Hello(client.next_number(), (1,), ()))
        conversation.network.settle()
        self.assertEqual(conversation.server.handler.messages, [m.Hello(1, (1,), ())])
