"""A real SMTP server (aiosmtpd) on loopback, in a thread of its own, that keeps what it was given."""

from __future__ import annotations

import logging
import ssl
import warnings
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Inbox:
    """Takes every mail, but for a recipient named `refused`; `answer` is what a mail is told."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.answer = "250 taken"
        self.encrypted: list[bool] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.password = b"right"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """The recipient."""
        if address.startswith("refused@"):
            return f"550 5.1.1 <{address}> is nobody here"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """The mail."""
        self.mails.append(envelope)
        self.encrypted.append(session.ssl is not None)
        return self.answer

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        """User and password."""
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == self.password, handled=False)


class MailServer(Controller):
    """Listens from `start` to `stop` on a free port: `port` says which."""

    def __init__(
        self, starttls: ssl.SSLContext | None = None, implicit: ssl.SSLContext | None = None, **options: Any
    ) -> None:
        self.inbox = Inbox()
        if starttls is not None:
            options.update(tls_context=starttls, require_starttls=True)
        super().__init__(
            self.inbox, hostname="127.0.0.1", port=0, ssl_context=implicit,
            authenticator=self.inbox.authenticate, ident="a test's mail server", **options,
        )  # fmt: skip

    def factory(self) -> SMTP:
        """One connection's server; what it thinks of a test's choices is not asked for."""
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return SMTP(self.handler, **self.SMTP_kwargs)

    def _trigger_server(self) -> None:
        """Port 0 becomes the one that the system has given."""
        if self.port == 0:
            server: Any = self.server
            self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()
