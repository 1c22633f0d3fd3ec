"""One mail over SMTP (RFC 5321), with STARTTLS (RFC 3207) and log-in (RFC 4954): Twisted's client.

Knows the conversation and what each of its failures means in one sentence; not numbers, routes or
texts. What the other side says is in no sentence, since it likes to repeat the recipient's address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.mail import smtp
from twisted.python.failure import Failure

from e2ee.net.verified_tls import is_tls_failure
from e2ee.server.senders.interface import CodeNotSent

SILENCE_SECONDS = 20.0
"""How long the mail server may say nothing."""


@dataclass(frozen=True, slots=True)
class Mail:
    """Whom it is to (an e-mail address), and its text with lines that end with a newline."""

    recipient: str
    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogIn:
    """User and password for the mail server."""

    user: str
    password: str = field(repr=False)


class Plain(smtp.PLAINAuthenticator):
    """PLAIN (RFC 4616) without an authorisation identity, which few mean and some refuse."""

    def challengeResponse(self, secret: bytes, chal: int = 1) -> bytes:
        """The one form that there is, whichever Twisted asks for."""
        return b"\0" + bytes(self.user) + b"\0" + secret


class MailClient(smtp.ESMTPClient):
    """Sends one mail and ends. `sent` fires when the server has taken it over, or with CodeNotSent.

    Without a mail it ends where a mail would begin: greeted, over TLS, logged in.
    """

    # Twisted would keep the last lines of the conversation, the password among them.
    debug = False
    heloFallback = False
    transport: Any

    def __init__(
        self, sender: str, mail: Mail | None, login: LogIn | None, context: Any, secured: bool,
        clock: IReactorTime,
    ) -> None:  # fmt: skip
        """`sender` is an e-mail address, also where there is no mail.

        With a `context` TLS is begun by STARTTLS; `secured` says that there is TLS from the start.
        """
        secret = None if login is None else login.password.encode("utf-8")
        super().__init__(secret, context, sender.rpartition("@")[2])
        self._sender = None if mail is None else sender
        self._recipient = "" if mail is None else mail.recipient
        self._text = b"" if mail is None else mail.text
        self._begun = False
        self.timeout: Any = SILENCE_SECONDS
        self._clock = clock
        self.sent: Deferred[None] = Deferred(lambda _: self._give_up())
        self.requireTransportSecurity = secured or context is not None
        self.requireAuthentication = login is not None
        if login is not None:
            user = login.user.encode("utf-8")
            self.registerAuthenticator(Plain(user))
            self.registerAuthenticator(smtp.LOGINAuthenticator(user))

    def callLater(self, period: float, func: Callable[[], None]) -> IDelayedCall:
        """Twisted's time-out on our clock."""
        return self._clock.callLater(period, func)

    def esmtpState_starttls(self, code: int, resp: bytes) -> None:
        """Begin TLS, unless something was said already that would be taken for a part of it."""
        if self.clearLineBuffer():
            self._fail("the mail server spoke before TLS had begun, as an attacker in the middle would")
            return
        super().esmtpState_starttls(code, resp)

    def _esmtpState_plainAuth(self, code: int, resp: bytes) -> None:
        """Twisted would try the password a second time, and a relay counts both."""
        self.esmtpAUTHDeclined(code, resp)

    def getMailFrom(self) -> str | None:
        """The envelope's sender, once."""
        if self._begun:
            return None
        self._begun = True
        if self._sender is None:
            self.sent.callback(None)
        return self._sender

    def getMailTo(self) -> list[bytes]:
        """The envelope's one recipient."""
        return [self._recipient.encode("ascii")]

    def getMailData(self) -> BytesIO:
        """The mail."""
        return BytesIO(self._text)

    def sentMail(
        self, code: int, resp: bytes, numOk: int, addresses: list[tuple[bytes, int, bytes]], log: object
    ) -> None:
        """The server has answered to the recipient, or to the mail."""
        refused = [status for _, status, _ in addresses if status not in smtp.SUCCESS]
        if refused:
            self._fail(f"the mail server refused the recipient ({refused[0]})", about_number=True)
        elif code not in smtp.SUCCESS:
            self._fail(f"the mail server did not take the mail ({code})")
        elif not self.sent.called:
            self.sent.callback(None)

    def sendError(self, exc: smtp.SMTPClientError) -> None:
        """Something went wrong before the mail."""
        self._fail(_sentence(exc))
        super().sendError(exc)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end, expected or not."""
        super().connectionLost(reason)
        self._fail(_ending(reason))

    def _fail(self, sentence: str, about_number: bool = False) -> None:
        if not self.sent.called:
            self.sent.errback(CodeNotSent(sentence, about_number=about_number))
            self.transport.loseConnection()

    def _give_up(self) -> None:
        self.transport.abortConnection()


class MailFactory(ClientFactory):
    """For one connection."""

    noisy = False

    def __init__(self, client: MailClient) -> None:
        self._client = client

    def buildProtocol(self, addr: object) -> MailClient:
        """See `IProtocolFactory.buildProtocol`."""
        return self._client


def _sentence(error: smtp.SMTPClientError) -> str:
    code = error.code
    if isinstance(error, smtp.TLSRequiredError):
        return "the mail server offers no STARTTLS"
    if isinstance(error, smtp.TLSError):
        return "the mail server did not begin TLS"
    if isinstance(error, smtp.AUTHRequiredError):
        return "the mail server offers no way to log in with a password (PLAIN or LOGIN)"
    if isinstance(error, (smtp.AUTHDeclinedError, smtp.AuthenticationError)):
        return f"the mail server refused user and password ({code})"
    if isinstance(error, smtp.SMTPTimeoutError):
        return f"the mail server said nothing for {SILENCE_SECONDS:.0f} seconds"
    return f"the mail server refused the conversation ({code})"


def _ending(reason: Failure) -> str:
    if is_tls_failure(reason.value):
        return "the certificate of the mail server was refused, or TLS failed"
    return "the mail server ended the connection before it had taken the mail"
