"""The server from its start to its end: state directory, database, listening, settling.

Knows the order of both and what each failure costs; the rooms know the rest. Files are read and made
before the reactor runs, or in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from e2ee.errors import E2eeError, StoreError
from e2ee.net.tls import ServerContext, server_tls_factory
from e2ee.net.x509 import CredentialsRefused
from e2ee.server import admin_socket, credentials
from e2ee.server.code_delivery import CodeDelivery
from e2ee.server.composition import (
    Stores,
    Surroundings,
    begin_upkeep,
    compose,
    invite_desk,
    sql_stores,
)
from e2ee.server.configuration import Configuration, ConfigurationError
from e2ee.server.ending import FAILED, USAGE, Ending, leave
from e2ee.server.factory import ServerFactory
from e2ee.server.policy import SETTLE_SECONDS
from e2ee.server.rooms import Rooms
from e2ee.server.senders.interface import CodeSender
from e2ee.server.state_directory import ADMIN_SOCKET, CONNECT_LINK, StateDirectory, StateRefused
from e2ee.server.status import StatusDesk
from e2ee.server.upkeep import Upkeep
from e2ee.server.workers import ProofWorkers
from e2ee.store.database import Database
from e2ee.store.server.facts import SqlFacts
from e2ee.store.server.service_clock import ServiceClock

T = TypeVar("T")
BACKUP_PIN = "backup_pin"
GOODBYE_SECONDS = 0.5
"""How long connections may take to hear the last answers."""


class ServerService(Service):
    """One server. `reconfigure` reads the configuration again."""

    name = "e2ee-server"
    _log = Logger()

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        sender: CodeSender,
        ending: Ending,
        reconfigure: Callable[[], Configuration],
    ) -> None:
        self._configuration = configuration
        self._reactor = reactor
        self._delivery = CodeDelivery(sender, reactor)
        self._ending = ending
        self._reconfigure = reconfigure
        self._state = StateDirectory(configuration.state_dir)
        self._secret = b""
        self._context: ServerContext
        self._database: Database | None = None
        self._clock: ServiceClock | None = None
        self._rooms: Rooms | None = None
        self._workers: ProofWorkers | None = None
        self._upkeep = Upkeep(reactor)
        self._ports: list[IListeningPort] = []
        self._started: Deferred[None] | None = None
        self._broken = False

    # --- the start ----------------------------------------------------------------------------

    def startService(self) -> None:
        """Prepare files now, the rest when the reactor runs; failures end the process."""
        super().startService()
        try:
            self._state.prepare()
            self._secret = self._state.secret(self._configuration.database)
            self._context = ServerContext(
                credentials.load(self._configuration, self._state, datetime.now(UTC))
            )
        except ConfigurationError as error:
            leave(USAGE, str(error))
        except (StateRefused, CredentialsRefused) as error:
            leave(FAILED, str(error))
        self._ending.prepare(self.reload)
        self._started = Deferred.fromCoroutine(self._start())
        self._started.addErrback(self._start_failed)

    async def _start(self) -> None:
        configuration, reactor = self._configuration, self._reactor
        database = self._database = await Database.open(
            configuration.database, self._secret, "server", reactor, self._database_broken
        )
        backup_pin = await self._backup_pin(SqlFacts(database))
        clock = self._clock = ServiceClock(database, reactor)
        await clock.start()
        workers = self._workers = ProofWorkers(reactor, reactor)
        workers.start()
        self._delivery.start()
        stores = sql_stores(database, configuration.policy)
        around = Surroundings(
            reactor, clock.now, self._in_thread, self._delivery, workers, self._secret, backup_pin
        )
        rooms = self._rooms = compose(stores, configuration.policy, around)
        await self._listen(rooms, stores, backup_pin)
        begin_upkeep(self._upkeep, stores, rooms, configuration.policy, clock.now)

    async def _backup_pin(self, facts: SqlFacts) -> bytes:
        """Kept in the database: a backup key that was moved away, as it should be, is never made anew."""
        pin = await facts.get(BACKUP_PIN)
        if pin is None:
            pin = await self._in_thread(lambda: credentials.first_backup_pin(self._state))
            await facts.put(BACKUP_PIN, pin)
            self._log.info("a backup key was made: move backup-key.pem off this machine")
        return pin

    async def _listen(self, rooms: Rooms, stores: Stores, backup_pin: bytes) -> None:
        factory = server_tls_factory(
            self._context, ServerFactory(rooms, self._reactor), self._reactor
        )
        endpoint = serverFromString(self._reactor, self._configuration.listen)
        port = await endpoint.listen(factory)
        self._ports.append(port)
        bound = port.getHost()
        host, number = getattr(bound, "host", "localhost"), getattr(bound, "port", 8443)
        pins = (self._context.credentials.pin, backup_pin)
        link = credentials.connect_link(self._configuration.hosts, host, number, pins)
        desk = StatusDesk(rooms, stores.mailbox, self._context, link, invite_desk(rooms, stores))
        self._ports.append(admin_socket.serve(self._reactor, self._state, desk.answer))
        await self._in_thread(lambda: self._state.write(CONNECT_LINK, link.encode("ascii") + b"\n"))
        shown = f"[{host}]" if ":" in host else host
        self._log.info(
            "listening on {host}:{port} connect link {link}", host=shown, port=number, link=link
        )

    def _start_failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, CannotListenError):
            self._ending.fail(f"cannot listen on {self._configuration.listen}: {error.socketError}")
        elif isinstance(error, StoreError):
            self._ending.fail(f"the database {self._configuration.database} cannot be used: {error}")
        elif isinstance(error, (E2eeError, OSError)):
            self._ending.fail(str(error))
        else:
            self._log.failure("the server could not be started", failure)
            self._ending.fail(f"the server could not be started: {type(error).__name__}")

    # --- the end ------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """Stop accepting, write what is in memory, say goodbye, close."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._broken:
            return
        if self._started is not None:
            await self._started
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        self._upkeep.stop()
        if self._rooms is not None and not await self._settled(self._rooms):
            self._ending.fail("not everything in memory could be written to the mailbox")
            return
        await self._say_goodbye()
        await self._close()

    async def _settled(self, rooms: Rooms) -> bool:
        settling = Deferred.fromCoroutine(rooms.settle())
        try:
            await settling.addTimeout(SETTLE_SECONDS, self._reactor)
        except TimeoutError:
            return False
        return True

    async def _say_goodbye(self) -> None:
        """End every connection; what was answered may still leave."""
        if self._rooms is None:
            return
        for guest in self._rooms.admission:
            guest.stop()
        waited = 0.0
        while len(self._rooms.admission) and waited < GOODBYE_SECONDS:
            await deferLater(self._reactor, 0.02)
            waited += 0.02

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

    def _database_broken(self, error: BaseException) -> None:
        """Nothing more may be answered: every connection is cut, and the process ends."""
        self._broken = True
        self._log.error("the database is broken: {reason}", reason=str(error))
        if self._rooms is not None:
            for guest in self._rooms.admission:
                guest.abort()
        self._ending.fail(str(error))

    # --- SIGHUP -------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read configuration and certificate again; what is wrong with them is logged."""
        Deferred.fromCoroutine(self._reload()).addErrback(
            lambda failure: self._log.error("not reloaded: {reason}", reason=failure.getErrorMessage())
        )

    async def _reload(self) -> None:
        def read() -> tuple[Configuration, ServerContext]:
            configuration = self._reconfigure()
            loaded = credentials.load(configuration, self._state, datetime.now(UTC))
            return configuration, ServerContext(loaded)

        configuration, context = await self._in_thread(read)
        self._context.replace(context.credentials)
        if self._rooms is not None:
            self._rooms.apply(configuration.policy)
        self._log.info("configuration and certificate reloaded")

    def _in_thread(self, step: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), step)
