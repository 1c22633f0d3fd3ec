"""What the server shows of itself: its certificate, its pins, and the connect link made of them.

Knows the present configuration and files; not how a key is changed (`rotation`). One for the server.
"""

from __future__ import annotations

from datetime import datetime

from twisted.logger import Logger

from e2ee.net.connect_link import format_pin
from e2ee.net.tls import ServerContext
from e2ee.net.x509 import Credentials
from e2ee.server import credentials as found
from e2ee.server.configuration import Configuration
from e2ee.server.state_directory import CONNECT_LINK, StateDirectory

ONLY_AT_START = ("state_dir", "listen", "database", "metrics", "log_format", "secret")
"""Options that a reload does not change."""


class Identity:
    """`backup_pin` and the bound address are known after the start of the server only."""

    _log = Logger()

    def __init__(self, configuration: Configuration, state: StateDirectory, now: datetime) -> None:
        """Blocks, and raises, as `credentials.load` does."""
        self.configuration = configuration
        self.state = state
        self.context = ServerContext(found.load(configuration, state, now))
        self.backup_pin = b""
        self._host = ""
        self._port = 0

    @property
    def credentials(self) -> Credentials:
        """What new connections are shown."""
        return self.context.credentials

    @property
    def pin(self) -> bytes:
        """The active pin."""
        return self.context.credentials.pin

    @property
    def link(self) -> str:
        """The connect link. Raises StateRefused if this host's own name cannot stand in it."""
        pins = (self.pin, self.backup_pin)
        return found.connect_link(self.configuration.hosts, self._host, self._port, pins)

    def bound_to(self, host: str, port: int) -> None:
        """Where the server listens."""
        self._host, self._port = host, port

    def publish(self) -> None:
        """Write the connect link to its file. Blocks; raises StateRefused."""
        self.state.write(CONNECT_LINK, self.link.encode("ascii") + b"\n")

    def load(self, configuration: Configuration, now: datetime) -> Credentials:
        """What a reload would show. Blocks, and raises, as `credentials.load` does."""
        return found.load(configuration, self.state, now)

    def adopt(self, configuration: Configuration, loaded: Credentials) -> None:
        """Go on with what was loaded: connections stay, later ones are shown the new certificate."""
        for name in ONLY_AT_START:
            if getattr(configuration, name) != getattr(self.configuration, name):
                self._log.warn("{option} has changed: that takes effect at the next start", option=name)
        self._say_what_changes(loaded)
        self.configuration = configuration
        self.context.replace(loaded)

    def warn(self, now: datetime) -> None:
        """Tell the log what clients will trip over, or soon would."""
        left = found.days_left(self.credentials, now)
        if left < found.RENEWAL_DAYS:
            end = self.credentials.certificate.not_valid_after_utc
            self._log.warn(
                "the certificate expires in {days} days, at {end}: renew it, then send SIGHUP",
                days=left, end=end.isoformat(),
            )  # fmt: skip
        for host in found.unnamed_hosts(self.configuration, self.credentials):
            self._log.warn("the certificate does not name {host}: clients will refuse it there", host=host)

    def _say_what_changes(self, loaded: Credentials) -> None:
        if loaded.pin == self.pin:
            return
        if loaded.pin == self.backup_pin:
            self._log.warn(
                "the certificate is for the backup key now: e2ee-admin rotate-certificate makes the next one"
            )
        else:
            self._log.error(
                "the certificate is for a key that no client expects: every client that has {old} alone will"
                " refuse it until its user has the new connect link", old=format_pin(self.pin),
            )  # fmt: skip
