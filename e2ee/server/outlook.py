"""Where operators look at a running server: the administration's desk, and the metrics.

Knows every constructor of it, and no rule. What only the metrics need is loaded when they are wanted.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, globalLogPublisher
from zope.interface import implementer

from e2ee.server.admin_desk import AdminDesk
from e2ee.server.copying import Copying
from e2ee.server.counters import Counters
from e2ee.server.credentials import interface_of, is_loopback
from e2ee.server.examination import Examination
from e2ee.server.invites import InviteDesk
from e2ee.server.running import Running
from e2ee.server.status import StatusDesk
from e2ee.server.vitals import Pulse, Vitals

LOOK_SECONDS = 60.0
_COUNTED = (LogLevel.warn, LogLevel.error, LogLevel.critical)


@implementer(ILogObserver)
class LogCounter:
    """Counts what operators should read."""

    def __init__(self, counters: Counters) -> None:
        self._counts = counters.log_events

    def __call__(self, event: LogEvent) -> None:
        """An event of the log."""
        level = event.get("log_level")
        if level in _COUNTED:
            self._counts[level.name] += 1


class Outlook:
    """One for the server."""

    _log = Logger()

    def __init__(self, running: Running, secret: bytes, reactor: Any) -> None:
        self._running = running
        self._reactor = reactor
        self._refused = 0
        copying = Copying(running, secret)
        examination = Examination(running, copying)
        registration = running.rooms.registration
        invites = InviteDesk(
            running.stores.invites, lambda: registration.policy, running.now, running.wall
        )
        status = StatusDesk(running, examination, copying)
        self.desk = AdminDesk(running, status, examination, copying, invites)
        self._pulse = Pulse(running, copying, reactor)
        self._log_counter = LogCounter(running.rooms.counters)
        globalLogPublisher.addObserver(self._log_counter)

    async def serve_metrics(self, endpoint: str) -> IListeningPort:
        """Listen for Prometheus there."""
        from e2ee.server.metrics import ServerCollector, registry
        from e2ee.server.metrics_site import MetricsSite

        running = self._running
        collector = ServerCollector(running.rooms.counters, running.database.commits, Vitals())
        site = MetricsSite(collector, registry(collector), self._pulse, self._reactor)
        port: IListeningPort = await serverFromString(self._reactor, endpoint).listen(site)
        if re.match("tcp6?:", endpoint) and not is_loopback(interface_of(endpoint)):
            self._log.warn("the metrics can be read from other machines: let only the monitoring reach them")
        self._pulse.start()
        self._log.info("metrics on {endpoint}", endpoint=endpoint)
        return port

    async def look_at_the_database(self) -> None:
        """Tell the log, now and then, that the server had to refuse: nobody else may be looking."""
        refused = self._running.database.commits.unavailable
        if refused > self._refused:
            self._log.error(
                "operations that were refused for want of room, on the disk or in the queue: {count}",
                count=refused - self._refused,
            )
        self._refused = refused

    def stop(self) -> None:
        """Nothing is measured any more."""
        self._pulse.stop()
        globalLogPublisher.removeObserver(self._log_counter)
