"""Passcodes posted to a web service: a real HTTPS server on loopback, with real certificates."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from twisted.internet import reactor, ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from e2ee.server.senders import https, https_request
from e2ee.server.senders.https import HttpsSender, make_sender, parse_headers
from e2ee.server.senders.interface import CodeNotSent, SenderRefused
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

JSON = """{
    "to": "{digits}", "text": "Your code is {code}", "nested": [{"until": "{expires_at}"}], "priority": 1
}"""
SECRET = "Bearer hunter2"


class Gateway(Resource):
    """Keeps each request, and answers with the next of `answers`, then with success."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[Request, bytes]] = []
        self.answers: list[int] = []
        self.location = b""
        self.body = b"{}"
        self.silent = False

    def render(self, request: Request) -> Any:
        """See `IResource.render`."""
        content: Any = request.content
        self.requests.append((request, content.read()))
        if self.silent:
            return NOT_DONE_YET
        request.setResponseCode(self.answers.pop(0) if self.answers else 202)
        if self.location:
            request.setHeader(b"location", self.location)
        request.setHeader(b"set-cookie", b"session=1")
        return self.body

    def header(self, name: str, index: int = -1) -> str | None:
        """A header of a request."""
        return self.requests[index][0].getHeader(name)


class GatewayCase(TestCase):
    """A gateway, its authority, and an operator's files."""

    timeout = 300

    def setUp(self) -> None:
        self.authority = Authority(Path(self.mktemp()).absolute())
        self.template = private_file(self, JSON)
        self.headers = private_file(self, f"Authorization: {SECRET}\nX-Tenant: 7\n")
        self.patch(https, "PAUSES_SECONDS", (0.0, 0.0))
        self.gateway = Gateway()
        self.port = self.serve(self.authority)

    def serve(self, authority: Authority) -> int:
        site: Any = WrappingFactory(Site(self.gateway))
        site.noisy = site.wrappedFactory.noisy = False
        options = ssl.PrivateCertificate.loadPEM(authority.server.read_bytes()).options()
        listening: Any = reactor
        port: IListeningPort = listening.listenSSL(0, site, options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(self.hang_up, site)
        return int(port.getHost().port)  # type: ignore[attr-defined]

    async def hang_up(self, site: Any) -> None:
        """Wait until both sides of each connection are gone."""
        for protocol in list(site.protocols):
            protocol.transport.abortConnection()
        while site.protocols:
            await deferLater(reactor, 0.01)
        await deferLater(reactor, 0.01)

    def sender(self, port: int = 0, host: str = "localhost", **parameters: object) -> HttpsSender:
        given = {"json": self.template, "headers": self.headers, "ca": self.authority.ca, **parameters}
        fragment = "&".join(f"{name}={value}" for name, value in given.items() if value)
        return make_sender(f"https://{host}:{port or self.port}/send?v=1#{fragment}", surroundings())

    async def send(self, **parameters: object) -> None:
        await self.sender(**parameters).send(NUMBER, CODE, EXPIRES_AT)  # type: ignore[arg-type]

    async def failure(self, sender: HttpsSender | None = None) -> str:
        try:
            await (sender or self.sender()).send(NUMBER, CODE, EXPIRES_AT)
        except CodeNotSent as error:
            self.assertFalse(error.about_number)
            return without_secrets(self, error, "hunter2")
        raise AssertionError("it was sent")


class RequestTests(GatewayCase):
    async def test_json_as_the_operator_wrote_it(self) -> None:
        await self.send()
        request, body = self.gateway.requests[0]
        self.assertEqual((request.method, request.uri), (b"POST", b"/send?v=1"))
        self.assertEqual(
            json.loads(body),
            {
                "to": "15550100101",
                "text": f"Your code is {CODE}",
                "nested": [{"until": "2026-01-01T00:00:00.123Z"}],
                "priority": 1,
            },
        )
        self.assertEqual(self.gateway.header("content-type"), "application/json")

    async def test_a_form_as_the_operator_wrote_it(self) -> None:
        form = private_file(self, "to={address}\ntext=Code: {code} & more\nref={id}\n")
        await self.send(json="", form=form)
        fields = parse_qs(self.gateway.requests[0][1].decode())
        self.assertEqual(
            fields, {"to": [NUMBER], "text": [f"Code: {CODE} & more"], "ref": ["05" * 16]}
        )
        self.assertEqual(self.gateway.header("content-type"), "application/x-www-form-urlencoded")

    async def test_the_headers_of_the_file_are_sent_with_ours(self) -> None:
        await self.send()
        self.assertEqual(self.gateway.header("authorization"), SECRET)
        self.assertEqual(self.gateway.header("x-tenant"), "7")
        self.assertEqual(self.gateway.header("idempotency-key"), "05" * 16)
        self.assertRegex(str(self.gateway.header("user-agent")), r"\Ae2ee/")

    async def test_new_headers_and_templates_need_no_restart(self) -> None:
        sender = self.sender()
        self.headers.write_text("Authorization: renewed\n")
        self.template.write_text('["{code}", "{address}"]')
        await sender.send(NUMBER, CODE, EXPIRES_AT)
        self.assertEqual(self.gateway.header("authorization"), "renewed")
        self.assertEqual(json.loads(self.gateway.requests[0][1]), [CODE, NUMBER])

    async def test_no_cookie_of_one_request_is_told_with_another(self) -> None:
        sender = self.sender()
        for number in (NUMBER, OTHER_NUMBER):
            await sender.send(number, CODE, EXPIRES_AT)
        self.assertEqual([self.gateway.header("cookie", index) for index in (0, 1)], [None, None])

    async def test_an_endless_answer_is_not_read(self) -> None:
        self.gateway.body = b"x" * 5_000_000
        await self.send()


class RetryTests(GatewayCase):
    async def test_what_may_pass_is_tried_three_times_under_one_key(self) -> None:
        self.gateway.answers = [503, 429]
        await self.send()
        keys = {self.gateway.header("idempotency-key", index) for index in range(3)}
        self.assertEqual((len(self.gateway.requests), len(keys)), (3, 1))
        self.assertEqual(len({body for _, body in self.gateway.requests}), 1)

    async def test_the_third_failure_is_the_last(self) -> None:
        self.gateway.answers = [500, 502, 503]
        self.assertEqual(await self.failure(), "the gateway answered with status 503")
        self.assertEqual(len(self.gateway.requests), 3)

    async def test_a_refusal_is_not_tried_again(self) -> None:
        for status in (400, 401, 404, 422):
            self.gateway.requests.clear()
            self.gateway.answers = [status]
            self.assertEqual(await self.failure(), f"the gateway refused the request with status {status}")
            self.assertEqual(len(self.gateway.requests), 1)

    async def test_a_redirect_is_not_followed(self) -> None:
        for status in (301, 302, 303, 307, 308):
            self.gateway.requests.clear()
            self.gateway.answers = [status]
            self.gateway.location = f"https://localhost:{self.port}/elsewhere".encode()
            self.assertIn(f"redirect ({status})", await self.failure())
            self.assertEqual(len(self.gateway.requests), 1)

    async def test_a_gateway_that_does_not_answer_is_given_up(self) -> None:
        self.gateway.silent = True
        for seconds in (0.1, 1, 10, 60):
            self.patch(https_request, "TRY_SECONDS", seconds)
            self.gateway.requests.clear()
            self.assertIn("did not answer within", await self.failure())
            if len(self.gateway.requests) == 3:
                break  # else the machine was too slow for a handshake
        self.assertEqual(len(self.gateway.requests), 3)

    async def test_a_gateway_that_cannot_be_reached(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.assertEqual(await self.failure(self.sender(port)), "the gateway cannot be reached")

    async def test_whoever_gives_up_ends_all_tries(self) -> None:
        self.gateway.silent = True
        sending = Deferred.fromCoroutine(self.sender().send(NUMBER, CODE, EXPIRES_AT))
        while not self.gateway.requests:
            await deferLater(reactor, 0.01)
        sending.cancel()
        try:
            await sending
        except (CodeNotSent, CancelledError) as error:
            self.assertNotIn(CODE, str(error))
        self.assertEqual(len(self.gateway.requests), 1)


class TrustTests(GatewayCase):
    """Nothing is said to a gateway that cannot prove who it is."""

    async def refused(self, sender: HttpsSender) -> None:
        self.assertIn("certificate", await self.failure(sender))
        self.assertEqual(self.gateway.requests, [])

    async def test_a_certificate_of_another_authority_is_refused(self) -> None:
        await self.refused(self.sender(self.serve(Authority(Path(self.mktemp()).absolute()))))

    async def test_without_a_ca_file_only_the_systems_authorities_count(self) -> None:
        await self.refused(self.sender(ca=""))

    async def test_a_certificate_for_another_name_is_refused(self) -> None:
        await self.refused(self.sender(host="127.0.0.1"))


class ReachTests(GatewayCase):
    """TLS, and not one byte of a request."""

    async def trouble(self, sender: HttpsSender) -> str:
        try:
            await sender.reach()
        except CodeNotSent as error:
            return without_secrets(self, error, "hunter2")
        raise AssertionError("it was reached")

    async def test_a_gateway_that_proves_who_it_is(self) -> None:
        await self.sender().reach()
        self.assertEqual(self.gateway.requests, [])

    async def test_one_that_does_not(self) -> None:
        stranger = self.sender(self.serve(Authority(Path(self.mktemp()).absolute())))
        for sender in (stranger, self.sender(ca=""), self.sender(host="127.0.0.1")):
            self.assertIn("certificate", await self.trouble(sender))

    async def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.assertEqual(await self.trouble(self.sender(port)), "the gateway cannot be reached")

    async def test_one_that_says_nothing_and_one_that_hangs_up(self) -> None:
        self.patch(https_request, "TRY_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            sender = self.sender(silent.getsockname()[1])
            self.assertIn("did not answer within", await self.trouble(sender))
        listening: Any = reactor
        port = listening.listenTCP(0, _HangUp(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.assertIn("gateway", await self.trouble(self.sender(port.getHost().port)))

    async def test_files_that_are_wrong(self) -> None:
        sender = self.sender()
        self.headers.write_text("hunter2")
        self.assertIn("line 1 of the headers file", await self.trouble(sender))


class _HangUp(Factory):
    noisy = False

    def buildProtocol(self, addr: object) -> None:
        return None


class OptionTests(SynchronousTestCase):
    """What is wrong with an option shows before the server starts, and repeats no secret."""

    def setUp(self) -> None:
        self.template = private_file(self, JSON)

    def refused(self, option: str) -> str:
        sentence = str(self.assertRaises(SenderRefused, make_sender, option, surroundings()))
        self.assertNotIn("hunter2", sentence)
        self.assertNotIn("\n", sentence)
        return sentence

    def test_each_is_refused(self) -> None:
        form = private_file(self, "to={address}\ncode={code}")
        headers = private_file(self, "Authorization hunter2")
        for option, part in (
            ("https://h/", "needs #json=FILE"),
            (f"https://h/#json={self.template}&form={form}", "needs #json=FILE"),
            (f"https://u:hunter2@h/#json={self.template}", "password"),
            (f"https://u@h/#json={self.template}", "Authorization"),
            (f"https:///x#json={self.template}", "host"),
            (f"https://h/#json={self.template}&key=hunter2", "key"),
            ("https://h/#json=/nowhere", "cannot be read"),
            (f"https://h/#json={form}", "not a JSON document"),
            (f"https://h/#form={self.template}", "line 1"),
            (f"https://h/#json={self.template}&headers={headers}", "line 1 of the headers file"),
            (f"https://h/#json={self.template}&ca=/nowhere", "CA file"),
        ):
            self.assertIn(part, self.refused(option), option)

    def test_files_that_others_can_read_are_refused(self) -> None:
        headers = private_file(self, "A: b")
        for path in (self.template, headers):
            path.chmod(0o644)
            self.assertIn("chmod", self.refused(f"https://h/#json={self.template}&headers={headers}"))
            path.chmod(0o600)

    def test_headers(self) -> None:
        self.assertEqual(parse_headers("A: b\n\nX-Y:c: d \n"), (("A", "b"), ("X-Y", "c: d")))
        for text in ("A", ": b", "A b: c", "A: \x00", "A: é", "Host: x", "content-length: 3", "A\t: b"):
            self.assertRaises(SenderRefused, parse_headers, text)
