"""Passcodes by mail, through a real mail server on loopback, with real certificates."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from e2ee.server.senders.interface import CodeNotSent, SenderRefused
from e2ee.server.senders.smtp import SmtpSender, make_sender
from tests.server.senders.ground import (
    CODE,
    EXPIRES_AT,
    NUMBER,
    OTHER_NUMBER,
    Authority,
    private_file,
    surroundings,
    without_secrets,
)
from tests.server.senders.mail_server import MailServer

ALICE = "alice@example.org"
FROM = "codes@example.org"
PASSWORD = "right"


class MailCase(TestCase):
    """An authority, routes, and a mail server when a test asks for one."""

    timeout = 300

    def setUp(self) -> None:
        self.authority = Authority(Path(self.mktemp()).absolute())
        self.routes = private_file(self, f"{NUMBER} {ALICE}\n{OTHER_NUMBER} refused@example.org\n")
        self.password = private_file(self, PASSWORD + "\n")

    def serve(self, **options: Any) -> MailServer:
        """By default with STARTTLS."""
        if not options:
            options = {"starttls": self.authority.context()}
        server = MailServer(**options)
        server.start()
        self.addCleanup(server.stop)
        return server

    def sender(self, port: int, scheme: str = "smtp", user: str = "", **parameters: object) -> SmtpSender:
        given = {"from": FROM, "routes": self.routes, "ca": self.authority.ca, **parameters}
        query = "&".join(f"{name}={value}" for name, value in given.items() if value)
        return make_sender(f"{scheme}://{user}localhost:{port}/?{query}", surroundings())

    async def failure(self, sender: SmtpSender, number: Any = NUMBER) -> CodeNotSent:
        try:
            await sender.send(number, CODE, EXPIRES_AT)
        except CodeNotSent as error:
            without_secrets(self, error, PASSWORD, "example.org")
            return error
        raise AssertionError("it was sent")


class DeliveryTests(MailCase):
    async def test_the_mail_arrives_over_starttls(self) -> None:
        server = self.serve()
        await self.sender(server.port).send(NUMBER, CODE, EXPIRES_AT)
        (envelope,) = server.inbox.mails
        self.assertEqual((envelope.mail_from, envelope.rcpt_tos), (FROM, [ALICE]))
        self.assertEqual(server.inbox.encrypted, [True])

    async def test_the_mail_is_one_that_people_and_programs_understand(self) -> None:
        server = self.serve()
        await self.sender(server.port).send(NUMBER, CODE, EXPIRES_AT)
        content = server.inbox.mails[0].content
        assert isinstance(content, bytes)
        self.assertEqual(content.count(b"\n"), content.count(b"\r\n"))
        mail = email.message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)
        self.assertEqual(mail.defects, [])
        self.assertEqual((mail["From"], mail["To"]), (FROM, ALICE))
        self.assertEqual(mail["Message-ID"], f"<{'05' * 16}@example.org>")
        self.assertEqual(mail["Date"].datetime.timestamp(), 1_767_225_000)
        self.assertEqual(mail["Auto-Submitted"], "auto-generated")
        self.assertEqual(mail.get_content_type(), "text/plain")
        self.assertEqual(mail.get_content().splitlines()[0], f"Your passcode is {CODE}")
        # Subjects stand on locked screens.
        self.assertNotIn(CODE, mail["Subject"])

    async def test_it_arrives_over_implicit_tls(self) -> None:
        server = self.serve(implicit=self.authority.context())
        await self.sender(server.port, "smtps").send(NUMBER, CODE, EXPIRES_AT)
        self.assertEqual(len(server.inbox.mails), 1)

    async def test_it_logs_in_with_the_password_of_a_file(self) -> None:
        for tls in ("smtp", "smtps"):
            context = {"starttls" if tls == "smtp" else "implicit": self.authority.context()}
            server = self.serve(**context, auth_required=True, auth_require_tls=tls == "smtp")
            sender = self.sender(server.port, tls, "relay%40example.org@", password_file=self.password)
            await sender.send(NUMBER, CODE, EXPIRES_AT)
            self.assertEqual(server.inbox.logins, [(b"relay@example.org", b"right")])
            self.assertEqual(len(server.inbox.mails), 1)

    async def test_it_logs_in_where_only_login_is_offered(self) -> None:
        server = self.serve(
            starttls=self.authority.context(), auth_required=True, auth_exclude_mechanism=["PLAIN"]
        )
        await self.sender(server.port, user="relay@", password_file=self.password).send(
            NUMBER, CODE, EXPIRES_AT
        )
        self.assertEqual(server.inbox.logins, [(b"relay", b"right")])

    async def test_a_relay_on_this_machine_may_do_without_tls(self) -> None:
        server = self.serve(starttls=None)
        await self.sender(server.port, tls="none", ca="").send(NUMBER, CODE, EXPIRES_AT)
        self.assertEqual(server.inbox.encrypted, [False])

    async def test_new_routes_and_passwords_need_no_restart(self) -> None:
        server = self.serve(starttls=self.authority.context(), auth_required=True)
        sender = self.sender(server.port, user="relay@", password_file=self.password)
        server.inbox.password = b"another"
        self.password.write_text("another")
        self.routes.write_text(f"{NUMBER} moved@example.org # since today\n")
        await sender.send(NUMBER, CODE, EXPIRES_AT)
        self.assertEqual(server.inbox.mails[0].rcpt_tos, ["moved@example.org"])

    async def test_many_at_once_do_not_mix(self) -> None:
        numbers = [f"+1555010{number:04d}" for number in range(20)]
        self.routes.write_text("".join(f"{number} p{number[1:]}@example.org\n" for number in numbers))
        server = self.serve()
        sender = self.sender(server.port)
        sending = [
            Deferred.fromCoroutine(sender.send(type(NUMBER)(number), number[-6:], EXPIRES_AT))
            for number in numbers
        ]
        for each in sending:
            await each
        pairs = {
            (mail.rcpt_tos[0][1:12], (mail.original_content or b"").split(b"passcode is ")[1][:6].decode())
            for mail in server.inbox.mails
        }
        self.assertEqual(pairs, {(number[1:], number[-6:]) for number in numbers})


class TrustTests(MailCase):
    """Nothing is said to a server that cannot prove who it is."""

    async def refused(self, server: MailServer, sender: SmtpSender) -> str:
        error = await self.failure(sender)
        self.assertEqual((server.inbox.mails, server.inbox.logins), ([], []))
        self.assertFalse(error.about_number)
        return str(error)

    async def test_a_certificate_of_another_authority_is_refused(self) -> None:
        other = Authority(Path(self.mktemp()).absolute())
        for scheme, option in (("smtp", "starttls"), ("smtps", "implicit")):
            server = self.serve(**{option: other.context()})
            sender = self.sender(server.port, scheme, "relay@", password_file=self.password)
            self.assertIn("certificate", await self.refused(server, sender))

    async def test_without_a_ca_file_only_the_systems_authorities_count(self) -> None:
        server = self.serve()
        self.assertIn("certificate", await self.refused(server, self.sender(server.port, ca="")))

    async def test_a_certificate_for_another_name_is_refused(self) -> None:
        self.authority = Authority(Path(self.mktemp()).absolute(), "mail.example.org")
        for scheme, option in (("smtp", "starttls"), ("smtps", "implicit")):
            server = self.serve(**{option: self.authority.context()})
            self.assertIn("certificate", await self.refused(server, self.sender(server.port, scheme)))

    async def test_tls_1_1_is_refused(self) -> None:
        context = self.authority.context()
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        server = self.serve(starttls=context)
        await self.refused(server, self.sender(server.port))

    async def test_a_server_without_starttls_gets_neither_mail_nor_password(self) -> None:
        server = self.serve(starttls=None, auth_require_tls=False)
        sender = self.sender(server.port, user="relay@", password_file=self.password)
        self.assertIn("offers no STARTTLS", await self.refused(server, sender))


class RefusalTests(MailCase):
    """Each failure is one sentence, without what the other side said."""

    async def test_a_number_without_a_route_is_about_the_number(self) -> None:
        error = await self.failure(self.sender(self.serve().port), type(NUMBER)("+15550100199"))
        self.assertTrue(error.about_number)
        self.assertIn("routing file has no address", str(error))

    async def test_a_recipient_that_does_not_exist_is_about_the_number(self) -> None:
        error = await self.failure(self.sender(self.serve().port), OTHER_NUMBER)
        self.assertTrue(error.about_number)
        self.assertIn("refused the recipient (550)", str(error))

    async def test_a_mail_that_is_not_taken(self) -> None:
        server = self.serve()
        server.inbox.answer = f"554 not this one: {ALICE} {CODE}"
        error = await self.failure(self.sender(server.port))
        self.assertFalse(error.about_number)
        self.assertIn("did not take the mail (554)", str(error))

    async def test_a_wrong_password(self) -> None:
        server = self.serve(starttls=self.authority.context(), auth_required=True)
        self.password.write_text("wrong")
        sender = self.sender(server.port, user="relay@", password_file=self.password)
        self.assertIn("refused user and password (535)", str(await self.failure(sender)))
        self.assertEqual(server.inbox.mails, [])
        # Once: more would lock the relay's account sooner.
        self.assertEqual(server.inbox.logins, [(b"relay", b"wrong")])

    async def test_a_server_that_wants_a_log_in_and_gets_none(self) -> None:
        server = self.serve(starttls=self.authority.context(), auth_required=True)
        self.assertIn("(530)", str(await self.failure(self.sender(server.port))))

    async def test_no_known_way_to_log_in(self) -> None:
        server = self.serve(
            starttls=self.authority.context(), auth_exclude_mechanism=["PLAIN", "LOGIN"]
        )
        sender = self.sender(server.port, user="relay@", password_file=self.password)
        self.assertIn("no way to log in", str(await self.failure(sender)))

    async def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        error = await self.failure(self.sender(port))
        self.assertEqual(str(error), f"the mail server localhost:{port} cannot be reached")

    async def test_a_routing_file_that_was_broken_meanwhile(self) -> None:
        sender = self.sender(self.serve().port)
        self.routes.write_text(f"{NUMBER} {ALICE}\nnonsense\n")
        self.assertIn("line 2 of the routing file", str(await self.failure(sender)))
        self.routes.unlink()
        self.assertIn("cannot be read", str(await self.failure(sender)))


class StrangeServer(Protocol):
    """Says what a test wants said, and keeps what it heard."""

    transport: Any

    def __init__(self, says: list[bytes], heard: list[bytes]) -> None:
        self._says, self._heard = says, heard

    def connectionMade(self) -> None:
        self._say()

    def dataReceived(self, data: bytes) -> None:
        self._heard.append(data)
        self._say()

    def _say(self) -> None:
        if not self._says:
            self.transport.loseConnection()
        else:
            self.transport.write(self._says.pop(0))


class StrangeServerTests(MailCase):
    """Servers that are none, and somebody in the middle."""

    def strange(self, *says: bytes) -> int:
        self.heard: list[bytes] = []
        factory: Any = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: StrangeServer(list(says), self.heard)
        port: IListeningPort = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)  # type: ignore[attr-defined]

    async def test_words_slipped_in_before_tls_are_not_taken_for_the_servers(self) -> None:
        port = self.strange(b"220 x\r\n", b"250 STARTTLS\r\n", b"220 go\r\n250-AUTH PLAIN\r\n250 x\r\n")
        error = await self.failure(self.sender(port, user="relay@", password_file=self.password))
        self.assertIn("spoke before TLS", str(error))

    async def test_what_is_no_mail_server(self) -> None:
        web, leaving, old = b"HTTP/1.1 400 Bad Request\r\n", b"554 go away\r\n", b"502 what\r\n"
        for says in ([web], [leaving], [b"220 x\r\n", old], [b"220 x\r\n"]):
            await self.failure(self.sender(self.strange(*says)))
        self.assertNotIn(CODE.encode(), b"".join(self.heard))

    async def test_giving_up_ends_the_connection(self) -> None:
        port = self.strange(b"220 x\r\n", b"")
        sending = Deferred.fromCoroutine(self.sender(port).send(NUMBER, CODE, EXPIRES_AT))
        while not getattr(self, "heard", None):
            await deferLater(reactor, 0.01)
        sending.cancel()
        try:
            await sending
        except BaseException as error:
            self.assertNotIn(CODE, str(error))


class OptionTests(SynchronousTestCase):
    """What is wrong with an option shows before the server starts, and repeats no secret."""

    def setUp(self) -> None:
        self.routes = private_file(self, f"{NUMBER} {ALICE}\n")
        self.password = private_file(self, "secret")

    def refused(self, option: str) -> str:
        sentence = str(self.assertRaises(SenderRefused, make_sender, option, surroundings()))
        self.assertNotIn("hunter2", sentence)
        self.assertNotIn("\n", sentence)
        return sentence

    def test_ports(self) -> None:
        for option, port in (("smtp://h", 587), ("smtps://h", 465), ("smtp://h:25/", 25)):
            sender = make_sender(f"{option}?from={FROM}&routes={self.routes}", surroundings())
            self.assertEqual(sender._server.port, port)
            self.assertEqual(sender._server.implicit_tls, option.startswith("smtps"))

    def test_a_password_in_the_address_is_refused(self) -> None:
        self.assertIn("password", self.refused(f"smtp://u:hunter2@h/?from={FROM}&routes={self.routes}"))

    def test_each_is_refused(self) -> None:
        good = f"from={FROM}&routes={self.routes}"
        for option, part in (
            ("smtp://h/", "from"),
            (f"smtp://h/?from={FROM}", "routes"),
            (f"smtp://h/?from=nobody&routes={self.routes}", "e-mail address"),
            (f"smtp://h/?from=a%0Ab@example.org&routes={self.routes}", "e-mail address"),
            (f"smtp://h/?{good}&from=x@example.org", "once"),
            (f"smtp://h/?{good}&pasword=hunter2", "pasword"),
            (f"smtp://u@h/?{good}", "together"),
            (f"smtp://h/?{good}&password_file={self.password}", "together"),
            (f"smtp://h/path?{good}", "ends after its port"),
            (f"smtp://h:0/?{good}", "port"),
            (f"smtp://h:many/?{good}", "URL"),
            (f"smtp:///?{good}", "host"),
            (f"smtp://h/?{good}&tls=none", "this machine"),
            (f"smtp://u@localhost/?{good}&tls=none&password_file={self.password}", "this machine"),
            (f"smtps://localhost/?{good}&tls=none", "tls is none"),
            (f"smtp://h/?{good}&tls=maybe", "tls is none"),
            (f"smtp://h/?{good}&ca=/nowhere", "CA file"),
            (f"smtp://h/?{good}&ca={self.routes}", "PEM"),
            (f"smtp://h/?from={FROM}&routes=/nowhere", "cannot be read"),
            (f"smtp://u@h/?{good}&password_file=/nowhere", "cannot be read"),
            (f"smtp://h/?{good} ", "printable"),
        ):
            self.assertIn(part, self.refused(option), option)

    def test_files_that_others_can_read_are_refused(self) -> None:
        for path in (self.routes, self.password):
            for mode in (0o604, 0o622, 0o660):
                path.chmod(mode)
                option = f"smtp://u@h/?from={FROM}&routes={self.routes}&password_file={self.password}"
                self.assertIn(f"chmod o=,g-w {path}", self.refused(option))
            path.chmod(0o640)
            make_sender(option, surroundings())


class ReachTests(MailCase):
    """As far as a mail would begin, and no further."""

    async def trouble(self, sender: SmtpSender) -> str:
        try:
            await sender.reach()
        except CodeNotSent as error:
            return without_secrets(self, error, PASSWORD, "example.org")
        raise AssertionError("it was reached")

    async def test_every_way_there(self) -> None:
        for scheme, where in (("smtp", "starttls"), ("smtps", "implicit")):
            server = self.serve(**{where: self.authority.context()}, auth_require_tls=scheme == "smtp")
            await self.sender(server.port, scheme).reach()
            self.assertEqual(server.inbox.logins, [])
            await self.sender(server.port, scheme, "relay@", password_file=self.password).reach()
            self.assertEqual(server.inbox.logins, [(b"relay", b"right")])
            self.assertEqual(server.inbox.mails, [])

    async def test_what_is_wrong(self) -> None:
        server = self.serve(starttls=self.authority.context(), auth_required=True)
        self.assertIn("certificate", await self.trouble(self.sender(server.port, ca="")))
        sender = self.sender(server.port, user="relay@", password_file=self.password)
        self.password.write_text("wrong")
        self.assertIn("refused user and password (535)", await self.trouble(sender))
        self.routes.write_text("nonsense")
        self.assertIn("line 1 of the routing file", await self.trouble(sender))
        self.routes.write_text("")
        self.password.chmod(0o644)
        self.assertIn("password file", await self.trouble(sender))

    async def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.assertIn("cannot be reached", await self.trouble(self.sender(port)))
