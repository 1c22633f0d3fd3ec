"""What the service manager is told, over a real datagram socket (sd_notify(3))."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from e2ee.server.notify_socket import NotifySocket

US = 4711


class NotifyCase(SynchronousTestCase):
    """The service manager's end of the socket."""

    def setUp(self) -> None:
        folder = Path(mkdtemp())  # a short path: a socket's has 108 bytes
        self.address = str(folder / "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(folder.rmdir)
        self.addCleanup(lambda: Path(self.address).unlink(missing_ok=True))
        self.addCleanup(self.manager.close)
        self.manager.bind(self.address)
        self.manager.setblocking(False)
        self.clock = Clock()
        self.events: list[str] = []

        @implementer(ILogObserver)
        def note(event: LogEvent) -> None:
            self.events.append(str(event))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    def told(self) -> list[str]:
        """All datagrams so far."""
        return list(self._datagrams())

    def _datagrams(self) -> Iterator[str]:
        while True:
            try:
                yield self.manager.recv(4096).decode()
            except BlockingIOError:
                return

    def notify(self, address: str | None = None, **environment: str) -> NotifySocket:
        made = NotifySocket.from_environment(
            {"NOTIFY_SOCKET": self.address if address is None else address, **environment}, US, self.clock
        )
        self.addCleanup(made.close)
        return made


class NotifyTests(NotifyCase):
    """Start, reload, end."""

    def test_one_life(self) -> None:
        notify = self.notify()
        notify.reloading()
        notify.reloaded()
        self.assertEqual(self.told(), [], "it never served")
        notify.ready("listening on [::]:8443")
        self.assertEqual(self.told(), ["READY=1\nSTATUS=listening on [::]:8443"])
        notify.reloading()
        [reloading] = self.told()
        self.assertRegex(reloading, r"\ARELOADING=1\nMONOTONIC_USEC=[0-9]+\Z")
        notify.reloaded()
        self.assertEqual(self.told(), ["READY=1"])
        notify.stopping()
        notify.reloading()
        notify.reloaded()
        self.assertEqual(self.told(), ["STOPPING=1\nSTATUS=stopping"])
        notify.close()
        notify.close()
        notify.ready("again")
        self.assertEqual(self.told(), [])

    def test_the_time_of_a_reload_is_in_microseconds_of_the_monotonic_clock(self) -> None:
        notify = NotifySocket(self.address, self.clock, monotonic=lambda: 12.345678)
        self.addCleanup(notify.close)
        notify.ready("")
        notify.reloading()
        self.assertEqual(self.told()[1], "RELOADING=1\nMONOTONIC_USEC=12345678")

    def test_a_status_is_one_line(self) -> None:
        self.notify().ready("a\nWATCHDOG=trigger\u2028b")
        self.assertEqual(self.told(), ["READY=1\nSTATUS=a WATCHDOG=trigger b"])

    def test_a_name_without_a_file(self) -> None:
        name = f"e2ee-test-{os.getpid()}"
        abstract = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(abstract.close)
        abstract.bind("\0" + name)
        self.notify("@" + name).ready("here")
        self.assertEqual(abstract.recv(100), b"READY=1\nSTATUS=here")

    def test_nobody_to_tell(self) -> None:
        for address in ("", "vsock:2:1234", "relative"):
            notify = self.notify(address, WATCHDOG_USEC="1000000")
            notify.ready("well")
            notify.stopping()
        self.assertEqual((self.clock.getDelayedCalls(), self.events), ([], []))

    def test_what_is_run_by_the_server_is_not_asked(self) -> None:
        environment = {
            "NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": str(US), "PATH": "/bin",
        }  # fmt: skip
        NotifySocket.from_environment(environment, US, self.clock).close()
        self.assertEqual(environment, {"PATH": "/bin"})

    def test_a_manager_that_is_gone_or_does_not_read_is_told_about_once(self) -> None:
        notify = self.notify()
        for _ in range(10_000):
            notify.ready("the queue of a socket has an end")
        self.assertEqual(sum("cannot be told" in event for event in self.events), 1)
        self.manager.close()
        Path(self.address).unlink()
        notify.stopping()
        self.assertEqual(sum("cannot be told" in event for event in self.events), 1)

    def test_it_needs_no_new_file(self) -> None:
        """With all of them in use by connections, the watchdog would bite a server that is well."""
        notify = self.notify()

        def refuse(*_: object) -> None:
            raise OSError(errno.EMFILE, "too many open files")

        self.patch(socket, "socket", refuse)
        notify.ready("full house")
        self.assertEqual(self.told(), ["READY=1\nSTATUS=full house"])


class WatchdogTests(NotifyCase):
    """Fed in half its time, by the reactor itself, from the first moment of service to the end."""

    def test_its_pace(self) -> None:
        notify = self.notify(WATCHDOG_USEC="30000000", WATCHDOG_PID=str(US))
        self.clock.advance(60)
        self.assertEqual(self.told(), [])
        notify.ready("well")
        self.assertEqual(self.told(), ["READY=1\nSTATUS=well", "WATCHDOG=1"])
        self.clock.advance(14.9)
        self.assertEqual(self.told(), [])
        self.clock.advance(0.2)
        self.assertEqual(self.told(), ["WATCHDOG=1"])
        notify.reloading()
        notify.reloaded()
        notify.stopping()
        self.told()
        self.clock.advance(15)
        self.assertEqual(self.told(), ["WATCHDOG=1"], "the end may take its time")
        notify.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_another_process_or_nonsense_is_no_watchdog(self) -> None:
        for environment in (
            {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(US + 1)},
            *({"WATCHDOG_USEC": nonsense} for nonsense in ("soon", "-1", "\u0663", "0", "")),
        ):
            self.notify(**environment).ready("well")
            self.assertEqual(len(self.told()), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
