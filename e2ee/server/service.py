"""The server from its start to its end: state directory, database, listening, settling.

Knows the order of both and what each failure costs; the rooms know the rest. Files are read and made
before the reactor runs, or in a thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

from e2ee.errors import E2eeError, StoreError, StoreLocked
from e2ee.net.fronted import behind_front, is_fronted
from e2ee.net.tls import server_tls_factory
from e2ee.net.x509 import Credentials, CredentialsRefused
from e2ee.server import admin_socket
from e2ee.server.code_delivery import CodeDelivery
from e2ee.server.collector import settle_collector
from e2ee.server.composition import Surroundings, begin_upkeep, compose, sql_stores
from e2ee.server.configuration import Configuration, ConfigurationError, with_backlog
from e2ee.server.counters import Limit
from e2ee.server.ending import FAILED, USAGE, Ending, leave
from e2ee.server.factory import ServerFactory
from e2ee.server.identity import Identity
from e2ee.server.notify_socket import NotifySocket
from e2ee.server.open_files import most_connections
from e2ee.server.outlook import LOOK_SECONDS, Outlook
from e2ee.server.parting import say_goodbye, settled
from e2ee.server.policy import DAY_SECONDS, FRONT_WAITING_CONNECTIONS, RESERVE_BYTES
from e2ee.server.rotation import Rotation
from e2ee.server.running import Running
from e2ee.server.secret_rotation import WRONG_SECRET, find_secret
from e2ee.server.senders.interface import CodeSender
from e2ee.server.state_directory import ADMIN_SOCKET, CONNECT_LINK, FILES, StateDirectory, StateRefused
from e2ee.server.upkeep import Upkeep
from e2ee.server.workers import ProofWorkers
from e2ee.store.database import Database
from e2ee.store.server.facts import SqlFacts
from e2ee.store.server.service_clock import ServiceClock
from e2ee.store.server.traces import Traces

T = TypeVar("T")

class ServerService(Service):
    """One server. `reconfigure` reads the configuration again and makes the sender that it names."""

    name = "e2ee-server"
    log_observer: ILogObserver | None = None
    """Where the log goes, unless twistd's own options say otherwise."""
    _log = Logger()

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        sender: CodeSender,
        ending: Ending,
        reconfigure: Callable[[], tuple[Configuration, CodeSender]],
        notify: NotifySocket,
    ) -> None:
        self._configuration = configuration
        self._reactor = reactor
        self._delivery = CodeDelivery(sender, reactor)
        self._ending = ending
        self._reconfigure = reconfigure
        self._notify = notify
        self._state = StateDirectory(configuration.state_dir)
        self._secret = b""
        self._identity: Identity
        self._database: Database | None = None
        self._clock: ServiceClock | None = None
        self._running: Running | None = None
        self._outlook: Outlook | None = None
        self._workers: ProofWorkers | None = None
        self._upkeep = Upkeep(reactor)
        self._ports: list[IListeningPort] = []
        self._started: Deferred[None] | None = None
        self._broken = False

    # --- the start ----------------------------------------------------------------------------

    def setServiceParent(self, parent: Any) -> None:
        """See `Service.setServiceParent`; twistd takes the log's observer from the application."""
        if self.log_observer is not None and hasattr(parent, "setComponent"):
            parent.setComponent(ILogObserver, self.log_observer)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Prepare files now, the rest when the reactor runs; failures end the process."""
        super().startService()
        try:
            self._state.prepare()
            self._secret = find_secret(self._configuration, self._state, os.environ)
            self._identity = Identity(self._configuration, self._state, datetime.now(UTC))
        except ConfigurationError as error:
            leave(USAGE, str(error))
        except (StateRefused, StoreError, CredentialsRefused) as error:
            leave(FAILED, str(error))
        self._ending.prepare(self.reload)
        self._started = Deferred.fromCoroutine(self._start())
        self._started.addErrback(self._start_failed)

    async def _start(self) -> None:
        configuration, reactor = self._configuration, self._reactor
        database = self._database = await Database.open(
            configuration.database, self._secret, "server", reactor, self._database_broken,
            tidy=Traces().tidy, reserve_bytes=RESERVE_BYTES,
        )  # fmt: skip
        clock = self._clock = ServiceClock(database, reactor)
        await clock.start()
        workers = self._workers = ProofWorkers(reactor, reactor)
        workers.start()
        self._delivery.start()
        running = self._running = await self._composed(database, clock, workers)
        self._outlook = Outlook(running, self._secret, reactor)
        await self._listen(running, self._outlook)
        self._begin_upkeep(running, self._outlook)
        settle_collector()

    async def _composed(
        self, database: Database, clock: ServiceClock, workers: ProofWorkers
    ) -> Running:
        stores, facts = (
            sql_stores(database, self._configuration.policy, self._state.path / FILES),
            SqlFacts(database),
        )

        def announce(backup_pin: bytes) -> None:
            rooms.backup_pin = backup_pin

        rotation = Rotation(
            self._identity, facts, stores.census, self._in_thread, time.time, announce
        )
        await rotation.begin()
        uncounted = FRONT_WAITING_CONNECTIONS if is_fronted(self._configuration.listen) else 0
        around = Surroundings(
            self._reactor, clock.now, self._in_thread, self._delivery, workers, self._secret,
            self._identity.backup_pin, most_connections=most_connections(uncounted),
        )  # fmt: skip
        rooms = compose(stores, self._configuration.policy, around)
        return Running(
            rooms, stores, facts, database, self._state, self._identity, rotation, self._delivery,
            self._in_thread, clock.now, time.time, time.time(), self._is_listening,
        )  # fmt: skip

    async def _listen(self, running: Running, outlook: Outlook) -> None:
        identity, configuration = self._identity, self._configuration
        secured = server_tls_factory(
            identity.context, ServerFactory(running.rooms, self._reactor), self._reactor
        )
        endpoint = serverFromString(self._reactor, with_backlog(configuration.listen))
        fronted = behind_front(
            configuration.listen, secured, self._reactor, FRONT_WAITING_CONNECTIONS,
            lambda: running.rooms.counters.hit(Limit.FRONT_WAITING),
        )  # fmt: skip
        port = await endpoint.listen(fronted)
        self._ports.append(port)
        bound = port.getHost()
        host, number = getattr(bound, "host", "localhost"), getattr(bound, "port", 8443)
        identity.bound_to(host, number)
        self._ports.append(admin_socket.serve(self._reactor, self._state, outlook.desk.answer))
        if configuration.metrics is not None:
            self._ports.append(await outlook.serve_metrics(configuration.metrics))
        await self._in_thread(identity.publish)
        shown = f"[{host}]" if ":" in host else host
        self._log.info(
            "listening on {host}:{port} connect link {link}", host=shown, port=number, link=identity.link
        )
        self._notify.ready(f"listening on {shown}:{number}")

    def _begin_upkeep(self, running: Running, outlook: Outlook) -> None:
        begin_upkeep(
            self._upkeep, running.stores, running.rooms, self._configuration.policy, running.now
        )
        self._upkeep.every(DAY_SECONDS, "a look at the certificate", self._look_at_certificate)
        self._upkeep.every(LOOK_SECONDS, "a look at the database", outlook.look_at_the_database)

    async def _look_at_certificate(self) -> None:
        """A self-made one is made anew in time; about any other the operator is told."""
        now = datetime.now(UTC)
        try:
            loaded = await self._in_thread(lambda: self._identity.load(self._configuration, now))
        except E2eeError as error:
            self._log.error("the certificate on disk cannot be used: {reason}", reason=str(error))
        else:
            if loaded.pin == self._identity.pin:
                self._identity.context.replace(loaded)
        self._identity.warn(now)

    def _is_listening(self) -> bool:
        return bool(self._ports) and not self._ending.stopping

    def _start_failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, CannotListenError):
            where = self._configuration.metrics if self._ports else self._configuration.listen
            self._ending.fail(f"cannot listen on {where}: {error.socketError}")
        elif isinstance(error, StoreError):
            hint = WRONG_SECRET if isinstance(error, StoreLocked) else ""
            self._ending.fail(f"the database {self._configuration.database} cannot be used: {error}{hint}")
        elif isinstance(error, (E2eeError, OSError)):
            self._ending.fail(str(error))
        else:
            self._log.failure("the server could not be started", failure)
            self._ending.fail(f"the server could not be started: {type(error).__name__}")

    # --- the end ------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """Stop accepting, write what is in memory, say goodbye, close."""
        super().stopService()
        self._notify.stopping()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._broken:
            return
        if self._started is not None:
            await self._started
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)
        self._upkeep.stop()
        if self._outlook is not None:
            self._outlook.stop()
        if self._running is not None:
            rooms = self._running.rooms
            if not await settled(rooms, self._reactor):
                self._ending.fail("not everything in memory could be written to the mailbox")
                return
            await say_goodbye(rooms.admission, self._reactor)
        await self._close()

    async def _close(self) -> None:
        if self._workers is not None:
            await self._workers.stop()
            await self._delivery.stop()
        if self._clock is not None:
            await self._clock.stop()
        if self._database is not None:
            await self._database.close()
        self._state.remove(CONNECT_LINK)
        self._state.remove(ADMIN_SOCKET)
        self._state.close()
        self._notify.close()

    def _database_broken(self, error: BaseException) -> None:
        """Nothing more may be answered: every connection is cut, and the process ends."""
        self._broken = True
        self._log.error("the database is broken: {reason}", reason=str(error))
        if self._running is not None:
            for guest in self._running.rooms.admission:
                guest.abort()
        self._ending.fail(str(error))

    # --- SIGHUP -------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read configuration and certificate again; what is wrong with them is logged."""
        self._notify.reloading()
        reloading = Deferred.fromCoroutine(self._reload()).addErrback(
            lambda failure: self._log.error("not reloaded: {reason}", reason=failure.getErrorMessage())
        )
        reloading.addCallback(lambda _: self._notify.reloaded())

    async def _reload(self) -> None:
        def read() -> tuple[Configuration, CodeSender, Credentials]:
            configuration, sender = self._reconfigure()
            return configuration, sender, self._identity.load(configuration, datetime.now(UTC))

        configuration, sender, loaded = await self._in_thread(read)
        self._delivery.replace(sender)
        self._identity.adopt(configuration, loaded)
        self._configuration = configuration
        running, outlook = self._running, self._outlook
        if running is not None and outlook is not None and self._is_listening():
            running.rooms.apply(configuration.policy)
            self._upkeep.stop()
            self._begin_upkeep(running, outlook)
            await self._in_thread(self._identity.publish)
        self._log.info("configuration and certificate reloaded")

    def _in_thread(self, step: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), step)
