"""The client judges the server before it sends anything: real handshakes in memory."""

from __future__ import annotations

import datetime
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet import ssl
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code
from e2ee.net import x509
from e2ee.net.connect_link import ConnectLink, format_pin
from e2ee.net.tls import ServerCheck, client_tls_factory
from e2ee.testing.certificates import NOW, self_signed
from tests.net.conversation import ALERT, APPLICATION, HANDSHAKE, PORT, Conversation, records
from tests.net.strangers import OTHER_PIN, Hasty, PlainFactory, other_server

PAST = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
FUTURE = datetime.datetime(2150, 1, 1, tzinfo=datetime.UTC)


class WrongServerTests(SynchronousTestCase):
    """A server that is not the right one gets an alert and nothing else."""

    def assert_only_an_alert_left(self, conversation: Conversation) -> None:
        stream = conversation.wire.from_client
        kinds = records(stream)
        self.assertEqual(kinds[0], HANDSHAKE)
        self.assertTrue(set(kinds[1:]) <= {ALERT}, kinds)
        self.assertEqual(conversation.handler.tls, None)
        self.assertEqual(conversation.handler.reasons, [])
        conversation.network.settle(60)
        self.assertEqual(conversation.network.getDelayedCalls(), [])

    def refuse(
        self, conversation: Conversation, code: Code, *, ca: Any = (), certificate: bool = True
    ) -> str:
        failure = conversation.refused(ca)
        self.assertEqual(failure.code, code, failure.sentence)
        for pin in conversation.pins:
            self.assertIn(format_pin(pin), failure.sentence)
        seen = f"seen {format_pin(conversation.credentials.pin)}"
        self.assertEqual(seen in failure.sentence, certificate, failure.sentence)
        self.assert_only_an_alert_left(conversation)
        return failure.sentence

    def test_another_pin(self) -> None:
        conversation = Conversation()
        conversation.pins = (OTHER_PIN,)
        self.assertIn("another key", self.refuse(conversation, Code.PIN_MISMATCH))

    def test_two_other_pins(self) -> None:
        conversation = Conversation()
        conversation.pins = (OTHER_PIN, b"y" * 32)
        self.refuse(conversation, Code.PIN_MISMATCH)

    def test_expired(self) -> None:
        conversation = Conversation(x509.make_self_signed(("127.0.0.1",), PAST, 1))
        self.assertIn("expired", self.refuse(conversation, Code.CERTIFICATE))

    def test_not_yet_valid(self) -> None:
        conversation = Conversation(x509.make_self_signed(("127.0.0.1",), FUTURE, 1))
        self.assertIn("not valid yet", self.refuse(conversation, Code.CERTIFICATE))

    def test_another_name(self) -> None:
        conversation = Conversation(self_signed("other.example.org", "127.0.0.2"), "localhost")
        self.assertIn("localhost", self.refuse(conversation, Code.NAME_MISMATCH))

    def test_another_address(self) -> None:
        conversation = Conversation(self_signed("localhost", "127.0.0.2"))
        self.assertIn("does not name 127.0.0.1", self.refuse(conversation, Code.NAME_MISMATCH))

    def test_an_address_written_as_a_name_does_not_count(self) -> None:
        conversation = Conversation(self_signed("localhost"))
        self.refuse(conversation, Code.NAME_MISMATCH)

    def test_another_ca(self) -> None:
        authority = x509.make_authority("the company", NOW, 100)
        other = x509.make_authority("the company", NOW, 100)
        key = x509.KeyKind.ECDSA_P256.generate()
        conversation = Conversation(x509.issue(other, ("127.0.0.1",), NOW, 100, key))
        sentence = self.refuse(conversation, Code.CERTIFICATE, ca=authority.chain)
        self.assertIn("given CA has not issued it", sentence)

    def test_a_self_signed_one_where_a_ca_is_given(self) -> None:
        authority = x509.make_authority("the company", NOW, 100)
        self.refuse(Conversation(), Code.CERTIFICATE, ca=authority.chain)

    def test_expired_although_the_given_ca_has_issued_it(self) -> None:
        authority = x509.make_authority("the company", PAST, 400)
        key = x509.KeyKind.ECDSA_P256.generate()
        conversation = Conversation(x509.issue(authority, ("127.0.0.1",), PAST, 1, key))
        self.assertIn("expired", self.refuse(conversation, Code.CERTIFICATE, ca=authority.chain))

    def test_tls_1_2_only(self) -> None:
        conversation = other_server(SSL.TLS1_2_VERSION, b"e2ee/1")
        sentence = self.refuse(conversation, Code.CERTIFICATE, certificate=False)
        self.assertIn("does not speak TLS 1.3", sentence)

    def test_no_alpn(self) -> None:
        conversation = other_server(SSL.TLS1_3_VERSION, SSL.NO_OVERLAPPING_PROTOCOLS)
        self.assertIn("does not speak e2ee/1", self.refuse(conversation, Code.CERTIFICATE))

    def test_a_server_that_refuses_our_alpn(self) -> None:
        conversation = Conversation()
        twisted = ssl.CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(conversation.credentials.key),
            certificate=crypto.X509.from_cryptography(conversation.credentials.certificate),
            acceptableProtocols=[b"http/1.1"],
        )
        factory = Factory.forProtocol(Protocol)
        conversation.listen(TLSMemoryBIOFactory(twisted, False, factory, conversation.network))
        sentence = self.refuse(conversation, Code.CERTIFICATE, certificate=False)
        self.assertIn("the handshake failed", sentence)

    def test_no_tls_at_all(self) -> None:
        conversation = Conversation()

        class Plain(Protocol):
            transport: Any

            def connectionMade(self) -> None:
                self.transport.write(b"220 mail.example.org ESMTP\r\n")

        conversation.listen(Factory.forProtocol(Plain))
        sentence = self.refuse(conversation, Code.CERTIFICATE, certificate=False)
        self.assertIn("does not speak TLS 1.3", sentence)

    def hasten(self, pin: bytes, conversation: Conversation) -> None:
        check = ServerCheck(ConnectLink("127.0.0.1", PORT, (pin,)))
        inner = PlainFactory.forProtocol(Hasty)
        factory = client_tls_factory(check, inner, conversation.network)
        conversation.network.connectTCP("127.0.0.1", PORT, factory)
        conversation.network.settle()

    def test_bytes_that_were_queued_before_the_handshake_do_not_leave(self) -> None:
        conversation = Conversation()
        self.hasten(OTHER_PIN, conversation)
        self.assert_only_an_alert_left(conversation)

    def test_the_same_bytes_leave_when_the_server_is_the_right_one(self) -> None:
        conversation = Conversation()
        self.hasten(conversation.credentials.pin, conversation)
        self.assertIn(APPLICATION, records(conversation.wire.from_client))
