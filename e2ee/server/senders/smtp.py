"""Mails each passcode, through one mail server, to the address that a routing file gives for a number.

``smtp://USER@HOST:PORT/?from=…&routes=FILE`` begins TLS with STARTTLS, ``smtps://`` begins with it.
Knows the option, the mail's text and the order of steps; the conversation is `smtp_client`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError

from e2ee.ids import Address
from e2ee.net.verified_tls import verified_context
from e2ee.server.senders.interface import CodeNotSent, SenderRefused, SenderSurroundings
from e2ee.server.senders.private_file import read_secret
from e2ee.server.senders.routes import Routes, email_address
from e2ee.server.senders.smtp_client import LogIn, Mail, MailClient, MailFactory
from e2ee.server.senders.trust import trust_root
from e2ee.server.senders.url import SenderUrl, read_url

PARAMETERS = ("from", "routes", "password_file", "ca", "tls")
SUBMISSION_PORT, SUBMISSIONS_PORT = 587, 465
CONNECT_SECONDS = 15.0
_ON_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_ID_BYTES = 16
_TEXT = """\
Your passcode is {code}

Type it where you were asked for it. It is valid for a few minutes and can be used once.
If you did not ask for it, you need do nothing; and never tell it to anybody who asks you for it.
"""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes. `root` vouches for its certificate; None: no TLS, which only loopback may do."""

    host: str
    port: int
    implicit_tls: bool
    root: Any
    user: str | None
    password_file: Path | None


class SmtpSender:
    """One connection and one mail for each code."""

    at_once = False

    def __init__(
        self, server: MailServer, sender: str, routes: Routes, around: SenderSurroundings
    ) -> None:
        self._server = server
        self._sender = sender
        self._routes = routes
        self._around = around

    def start(self) -> None:
        """Nothing to prepare."""

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        """Mail the code; returns when the mail server has taken it over. Raises CodeNotSent."""
        recipient, login = await self._around.in_thread(lambda: self._look_up(address))
        if recipient is None:
            raise CodeNotSent("the routing file has no address for a number", about_number=True)
        await self._submit(Mail(recipient, self._text(recipient, code)), login)

    async def reach(self) -> None:
        """Read both files and go as far as a mail would begin, log-in included. Raises CodeNotSent."""
        await self._submit(None, await self._around.in_thread(self._read))

    async def stop(self) -> None:
        """Nothing is held."""

    def _look_up(self, address: Address) -> tuple[str | None, LogIn | None]:
        """Both files are read again for each code, so that a change of either needs no restart."""
        try:
            return self._routes.find(address), log_in(self._server)
        except SenderRefused as refused:
            raise CodeNotSent(str(refused)) from None

    def _read(self) -> LogIn | None:
        """The same without looking for anybody."""
        try:
            self._routes.read()
            return log_in(self._server)
        except SenderRefused as refused:
            raise CodeNotSent(str(refused)) from None

    def _text(self, recipient: str, code: str) -> bytes:
        """The mail (RFC 5322); marked as automatic, so that no absence is reported to it (RFC 3834)."""
        message = EmailMessage(policy=SMTP.clone(linesep="\n"))
        message["From"] = self._sender
        message["To"] = recipient
        message["Subject"] = "Your passcode"
        message["Date"] = format_datetime(datetime.fromtimestamp(self._around.wall(), UTC))
        name = self._around.entropy(_ID_BYTES).hex()
        message["Message-ID"] = f"<{name}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_TEXT.format(code=code))
        return message.as_bytes()

    async def _submit(self, mail: Mail | None, login: LogIn | None) -> None:
        server, reactor = self._server, self._around.reactor
        where = f"{server.host}:{server.port}"
        context: Any = None if server.root is None else verified_context(server.host, server.root)
        endpoint: Any = HostnameEndpoint(reactor, server.host, server.port, CONNECT_SECONDS)
        if server.implicit_tls:
            endpoint, context = wrapClientTLS(context, endpoint), None
        client = MailClient(self._sender, mail, login, context, server.implicit_tls, reactor)
        try:
            await endpoint.connect(MailFactory(client))
        except (ConnectError, ConnectingCancelledError, DNSLookupError):
            raise CodeNotSent(f"the mail server {where} cannot be reached") from None
        try:
            await client.sent
        except CodeNotSent as error:
            raise CodeNotSent(f"{where}: {error}", about_number=error.about_number) from None


def make_sender(option: str, around: SenderSurroundings) -> SmtpSender:
    """For ``smtp://…`` and ``smtps://…``; raises SenderRefused."""
    url = read_url(option, PARAMETERS)
    if url.path not in ("", "/"):
        raise SenderRefused("the address of a mail server ends after its port: smtp://HOST:PORT/?from=…")
    for name in ("from", "routes"):
        if name not in url.parameters:
            raise SenderRefused(f"the passcode sender {url.scheme} needs {name}=… after a question mark")
    sender = email_address(url.parameters["from"], "the parameter from")
    server = _server(url)
    log_in(server)
    routes = Routes(Path(url.parameters["routes"]).absolute())
    return SmtpSender(server, sender, routes, around)


def log_in(server: MailServer) -> LogIn | None:
    """User and password, if there are any. Blocks; raises SenderRefused."""
    if server.user is None or server.password_file is None:
        return None
    return LogIn(server.user, read_secret(server.password_file, "password file"))


def _server(url: SenderUrl) -> MailServer:
    implicit = url.scheme == "smtps"
    password, ca = url.parameters.get("password_file"), url.parameters.get("ca")
    if (url.user is None) is not (password is None):
        raise SenderRefused("user and password_file of a mail server are given together or not at all")
    return MailServer(
        host=url.host,
        port=url.port or (SUBMISSIONS_PORT if implicit else SUBMISSION_PORT),
        implicit_tls=implicit,
        root=trust_root(None if ca is None else Path(ca)) if _wants_tls(url) else None,
        user=url.user,
        password_file=None if password is None else Path(password).absolute(),
    )


def _wants_tls(url: SenderUrl) -> bool:
    """Only a relay on this machine may do without, and a password never goes over such a connection."""
    choice = url.parameters.get("tls", "yes")
    if choice == "yes":
        return True
    if choice != "none" or url.scheme == "smtps":
        raise SenderRefused("the parameter tls is none, with smtp: and a mail server on this machine")
    if url.host not in _ON_THIS_MACHINE or url.user is not None or "ca" in url.parameters:
        raise SenderRefused("without TLS a mail server is on this machine, and has neither user nor ca")
    return False
