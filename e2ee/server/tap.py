"""`twistd e2ee-server`: the options, and the service that they make (`docs/command-line.md`).

Knows twistd's ways, which print usage errors on standard output with a traceback's manners: here
they are one sentence on standard error and exit code 2. What is heavy is imported when it is needed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.python import usage

if TYPE_CHECKING:
    from e2ee.server.service import ServerService


class Options(usage.Options):
    """Each option also stands in the environment (E2EE_SERVER_…) and in the configuration file."""

    synopsis = "[options]"
    longdesc = """Examples:
      twistd -n --pidfile= e2ee-server --host chat.example.org
      twistd -n --pidfile= e2ee-server --listen tcp:0:interface=127.0.0.1 --otp file:codes"""
    optParameters = [  # noqa: RUF012 - the shape that twisted.python.usage reads
        ["state-dir", None, None, "Where the server keeps everything. [default: ./e2ee-state]"],
        ["listen", None, None, "A Twisted endpoint; TLS is put on top. [default: tcp:8443]"],
        ["certificate", None, None, "A certificate chain in PEM form, instead of a self-made one."],
        ["private-key", None, None, "The private key of --certificate."],
        ["database", None, None, "sqlite:PATH. [default: in the state directory]"],
        ["secret", None, None, "The key of the database: file:PATH, credential:NAME, command:COMMAND"
         " (docs/operations/secret.md). [default: server.secret in the state directory]"],
        ["otp", None, None, "How passcodes go out: console, file:PATH, command:PATH, smtp://…, smtps://…,"
         " https://… (docs/operations/passcodes.md). [default: console]"],
        ["registration", None, None, "open, invite or closed. [default: open]"],
        ["presence", None, None, "everyone, contacts or nobody. [default: contacts]"],
        ["metrics", None, None, "A Twisted endpoint for /metrics and /health, such as"
         " tcp:9464:interface=127.0.0.1."],
        ["log-format", None, None, "text or json. [default: text]"],
        ["config", None, None, "A TOML file with these options and [limits]."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.hosts: list[str] = []
        self.prefixes: list[str] = []

    def opt_host(self, name: str) -> None:
        """A name or address that clients use; the first one stands in the connect link."""
        self.hosts.append(name)

    def opt_allow_prefix(self, prefix: str) -> None:
        """Only numbers that begin like this may register, such as +44; may be repeated."""
        self.prefixes.append(prefix)

    def opt_version(self) -> None:
        """Print the version and exit."""
        from e2ee import __version__

        sys.stdout.write(f"e2ee {__version__}\n")
        sys.exit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See `usage.Options.parseOptions`."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            from e2ee.server.ending import USAGE, leave

            leave(USAGE, str(error))

    def given(self) -> dict[str, str | list[str]]:
        """What stands on the command line, under the names of the configuration file."""
        choices: dict[str, str | list[str]] = {
            str(name).replace("-", "_"): str(value) for name, value in self.items() if value is not None
        }
        if self.hosts:
            choices["host"] = self.hosts
        if self.prefixes:
            choices["allow_prefix"] = self.prefixes
        return choices


def makeService(options: Options) -> ServerService:
    """The service for these options; ends the process if something is configured wrongly."""
    from twisted.internet import reactor as the_reactor
    from twisted.internet.endpoints import serverFromString
    from twisted.internet.threads import deferToThreadPool

    from e2ee.net.steady_time import use_steady_time
    from e2ee.server.configuration import Configuration, ConfigurationError, configure
    from e2ee.server.ending import USAGE, Ending, leave
    from e2ee.server.log_lines import observer
    from e2ee.server.notify_socket import NotifySocket
    from e2ee.server.senders.interface import CodeSender, SenderRefused, SenderSurroundings
    from e2ee.server.senders.registry import sender_from_option
    from e2ee.server.service import ServerService

    reactor: Any = the_reactor

    around = SenderSurroundings(
        reactor, lambda step: deferToThreadPool(reactor, reactor.getThreadPool(), step), time.time, os.urandom
    )

    def read() -> tuple[Configuration, CodeSender]:
        configuration = configure(options.given(), os.environ)
        return configuration, sender_from_option(configuration.otp, around)

    try:
        configuration, sender = read()
        option = "listen"
        serverFromString(reactor, configuration.listen)
        if configuration.metrics is not None:
            option = "metrics"
            serverFromString(reactor, configuration.metrics)
    except (ConfigurationError, SenderRefused) as error:
        leave(USAGE, str(error))
    except (ValueError, TypeError, LookupError) as error:
        missing = isinstance(error, LookupError) and "systemd:" in str(getattr(configuration, option))
        reason = "no service manager has handed over such a socket" if missing else error
        leave(USAGE, f"{option} is no endpoint that Twisted knows: {reason}")
    use_steady_time(reactor)
    notify = NotifySocket.from_environment(os.environ, os.getpid(), reactor)
    service = ServerService(configuration, reactor, sender, Ending(reactor), read, notify)
    if options.parent is not None:
        service.log_observer = observer(configuration.log_format, options.parent)
    return service
