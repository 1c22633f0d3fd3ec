"""A server for the client's tests: the real wire in memory, no TLS, and faults on demand.

Bytes arrive when the clock is advanced, by nothing if need be. It proves passcodes like the real one
and keeps accounts in a dictionary. Set its attributes to make it fail, lie or refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IReactorTime

from e2ee.crypto.account_statement import AccountStatement, statement_hash, verify_statement
from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities, pin_step, respond
from e2ee.crypto.signing import verify_login, verify_registration
from e2ee.errors import Code, Failure, ProofRefused, SignatureRefused
from e2ee.ids import Address, DeviceId, PasscodeSessionId
from e2ee.net.connect_link import ConnectLink
from e2ee.net.handler import Handler
from e2ee.net.handshake import TlsFacts
from e2ee.net.outbound import Outbound
from e2ee.testing.entropy import seeded_entropy
from e2ee.wire import messages as m
from e2ee.wire.codec import decode_part, encode
from e2ee.wire.connection import ClientConnection, ServerConnection
from tests.wire.taking import received

ACTIVE_PIN = b"\xa1" * 32
BACKUP_PIN = b"\xb2" * 32
LATER_PIN = b"\xc3" * 32
LINK = ConnectLink("server.example", 8443, (ACTIVE_PIN, BACKUP_PIN))

REGISTERED = encode(m.RegistrationOutcome(m.OutcomeKind.REGISTERED))

Answer = Callable[["Line", Any], None]


class Line:
    """One connection. To the client it is its outlet; the double speaks with `say` and `hang_up`."""

    def __init__(self, double: ServerDouble, handler: Handler, number: int) -> None:
        self.double = double
        self.exporter = bytes([number]) * 32
        self.session = b""
        self.confirmations: Confirmations | None = None
        self.account_key = b""
        self.number = ""
        self.body = b""
        self.outcome = b""
        self.open = True
        self.outbound = Outbound(lambda: None)
        self._handler = handler
        self._client = ClientConnection()
        self._server = ServerConnection()

    # --- the client's side ---

    def next_number(self) -> int:
        return self._client.next_number()

    def send(self, message: m.Message) -> None:
        data = self._client.send(message)
        self._later(lambda: self._to_server(data))

    def close(self) -> None:
        self._later(lambda: self._end("closed"))

    def abort(self) -> None:
        self._end("aborted")

    # --- the server's side ---

    def say(self, message: m.Message) -> None:
        """Send a message to the client."""
        data = self._server.send(message)
        self._later(lambda: self._to_client(data))

    def refuse(self, code: m.RefusalCode, sentence: str = "no") -> None:
        """Send the last Refused of a connection, and end it."""
        data = self._server.refusal(code, sentence)
        self._later(lambda: self._to_client(data))
        self.hang_up()

    def hang_up(self) -> None:
        """The connection is gone."""
        self._later(lambda: self._end("the wire was cut"))

    def _to_server(self, data: bytes) -> None:
        if self.open:
            for message in received(self._server, data):
                self.double.heard.append(message)
                self.double.answer(self, message)

    def _to_client(self, data: bytes) -> None:
        if self.open:
            for message in received(self._client, data):
                self._handler.received(message)

    def _end(self, reason: str) -> None:
        if self.open:
            self.open = False
            self.double.lines.remove(self)
            self._handler.lost(Failure(Code.UNREACHABLE, reason))

    def _later(self, step: Callable[[], None]) -> None:
        """As on a wire: nothing arrives while it is being sent, and all in order."""
        self.double.clock.callLater(0, step)


@dataclass
class ServerDouble:
    """Faults are taken once where they are lists (first for the first time), always where not."""

    clock: IReactorTime
    code: str = "123456"
    version: int = 1
    served_by: bytes = ACTIVE_PIN
    backup_pin: bytes = BACKUP_PIN
    unreachable: int = 0
    connect_failures: list[Failure] = field(default_factory=list)
    sessions: list[m.CodeRequested | m.Refused] = field(default_factory=list)
    start_faults: list[str] = field(default_factory=list)  # "drop", a RefusalCode
    prove_faults: list[str] = field(default_factory=list)  # "drop", "commit and drop", "lie", a RefusalCode
    pin_faults: list[str] = field(default_factory=list)  # as prove_faults
    pins: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)  # by number: salt, stretched PIN
    login_faults: list[str] = field(default_factory=list)  # a RefusalCode
    retry_after: float | None = None
    waits_for_login: bool = True
    accounts: dict[str, AccountStatement] = field(default_factory=dict)
    statements: dict[str, bytes] = field(default_factory=dict)
    heard: list[m.Message] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    links: list[ConnectLink] = field(default_factory=list)
    other: dict[type[m.Message], Answer] = field(default_factory=dict)
    guesses: int = 5
    _connections: int = 0
    _sessions: int = 0

    def count(self, kind: type[m.Message]) -> int:
        """How many messages of this kind were heard."""
        return sum(isinstance(message, kind) for message in self.heard)

    async def connect(self, link: ConnectLink, ca: bytes | None, handler: Handler) -> Line:
        """What `Link` and `Enrolment` take for the network."""
        self.links.append(link)
        if self.unreachable:
            self.unreachable -= 1
            raise Failure(Code.UNREACHABLE, "nothing listens there")
        if self.connect_failures:
            raise self.connect_failures.pop(0)
        self._connections += 1
        line = Line(self, handler, self._connections)
        self.lines.append(line)
        handler.secured(
            TlsFacts(line.exporter, "X25519MLKEM768", self.served_by, "192.0.2.1", "TLSv1.3", "e2ee/1")
        )
        return line

    def answer(self, line: Line, message: m.Message) -> None:
        """Do what the message asks for."""
        kinds: dict[type[m.Message], Answer] = {
            m.Hello: self._welcome,
            m.RequestCode: self._request_code,
            m.Start: self._start,
            m.Prove: self._prove,
            m.ProvePin: self._prove_pin,
            m.LogIn: self._log_in,
            **self.other,
        }
        kinds[type(message)](line, message)

    def _welcome(self, line: Line, hello: m.Hello) -> None:
        line.say(m.Welcome(hello.n, self.version, (), self.backup_pin))

    def _request_code(self, line: Line, request: m.RequestCode) -> None:
        self._sessions += 1
        session = bytes([self._sessions]) * 16
        if self.sessions:
            prepared = self.sessions.pop(0)
            if isinstance(prepared, m.Refused):
                line.say(m.Refused(request.n, prepared.code, prepared.sentence, prepared.retry_after))
                return
            line.say(m.CodeRequested(request.n, session, prepared.expires_in, prepared.retry_after))
            return
        line.say(m.CodeRequested(request.n, session, 600.0))

    def _start(self, line: Line, start: m.Start) -> None:
        if self.start_faults and (fault := self.start_faults.pop(0)):
            self._fail(line, start.n, fault)
            return
        if self.guesses == 0:
            line.say(m.Refused(start.n, m.RefusalCode.CODE_EXHAUSTED, "exhausted"))
            return
        self.guesses -= 1
        line.session, line.account_key, line.number = start.session, start.account_key, start.number
        identities = ProofIdentities(
            PasscodeSessionId(start.session), Address(start.number), start.account_key, line.exporter
        )
        b, line.confirmations = respond(self.code, identities, start.a, seeded_entropy("server"))
        line.say(m.Started(start.n, b))

    def _prove(self, line: Line, prove: m.Prove) -> None:
        fault = self.prove_faults.pop(0) if self.prove_faults else ""
        if fault == "drop" or fault in tuple(m.RefusalCode):
            self._fail(line, prove.n, fault)
            return
        assert line.confirmations is not None
        if fault == "lie":
            line.say(m.Proved(prove.n, REGISTERED, b"\x66" * 32))
            return
        try:
            line.confirmations.check_client(prove.body, prove.confirmation)
        except ProofRefused:
            line.say(m.Refused(prove.n, m.RefusalCode.PROOF_REFUSED, "the proof was refused"))
            return
        line.body = prove.body
        if line.number in self.pins:
            salt, _ = self.pins[line.number]
            line.outcome = encode(m.RegistrationOutcome(m.OutcomeKind.PIN_REQUIRED, salt))
            confirmation = line.confirmations.server(prove.body, line.outcome)
            line.say(m.PinRequired(prove.n, line.outcome, confirmation))
            return
        self._conclude(line, prove.n, prove.body, fault)

    def _prove_pin(self, line: Line, prove: m.ProvePin) -> None:
        fault = self.pin_faults.pop(0) if self.pin_faults else ""
        if fault == "drop" or fault in tuple(m.RefusalCode):
            self._fail(line, prove.n, fault)
            return
        assert line.confirmations is not None
        step = pin_step(line.body, line.outcome, prove.stretched)
        line.confirmations.check_client(step, prove.confirmation)
        if fault == "lie":
            line.say(m.Proved(prove.n, REGISTERED, line.confirmations.server(line.body, REGISTERED)))
        elif prove.stretched != self.pins[line.number][1]:
            line.say(m.Refused(prove.n, m.RefusalCode.WRONG_PIN, "the PIN was refused"))
        else:
            self._conclude(line, prove.n, step, fault)

    def _conclude(self, line: Line, number: int, body: bytes, fault: str) -> None:
        assert line.confirmations is not None
        self._register(line, line.body)
        if fault == "commit and drop":
            line.hang_up()
            return
        line.say(m.Proved(number, REGISTERED, line.confirmations.server(body, REGISTERED)))

    def _register(self, line: Line, encoded: bytes) -> None:
        body = decode_part(encoded, m.RegistrationBody)
        statement = verify_statement(body.statement)
        assert statement.account_key.raw == line.account_key
        verify_registration(
            statement.account_key,
            statement.device_signing_key,
            line.exporter,
            PasscodeSessionId(line.session),
            body.account_signature,
            body.device_signature,
        )
        self.accounts[statement.address] = statement
        self.statements[statement.address] = body.statement

    def _log_in(self, line: Line, login: m.LogIn) -> None:
        if self.login_faults and (fault := self.login_faults.pop(0)):
            self._fail(line, login.n, fault)
            return
        account = self.accounts.get(login.number)
        try:
            if account is None or account.device != login.device:
                raise SignatureRefused("unknown")
            verify_login(
                account.device_signing_key,
                line.exporter,
                Address(login.number),
                DeviceId(login.device),
                statement_hash(self.statements[login.number]),
                login.signature,
            )
        except SignatureRefused:
            line.say(m.Refused(login.n, m.RefusalCode.LOGIN_REFUSED, "refused"))
            return
        line.say(m.LoggedIn(login.n, None, 0, 0, 0))

    def _fail(self, line: Line, number: int, fault: str) -> None:
        if fault == "drop":
            line.hang_up()
        else:
            line.say(m.Refused(number, m.RefusalCode(fault), f"because of {fault}", self.retry_after))
