"""One connection: each message to its room, each answer back, and the end.

Knows which room answers what and what a defect costs: this connection, and a log line with the kind
of the error. Nothing else decides here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from e2ee.errors import Failure, StoreError
from e2ee.ids import DeviceAddress
from e2ee.net.handshake import EXPECTED_GROUP, TlsFacts
from e2ee.net.protocol import MessageProtocol
from e2ee.server.counters import Limit
from e2ee.server.delivery import Delivery
from e2ee.server.refusal import Refusal, logged_out, unavailable
from e2ee.server.registration import Attempt
from e2ee.server.rooms import Rooms
from e2ee.server.seat_terms import WrongAcknowledgement
from e2ee.server.window import mark_of
from e2ee.store.server.ports import Account
from e2ee.wire import messages as m
from e2ee.wire.limits import PROTOCOL_VERSION
from e2ee.wire.messages import Message, RefusalCode
from e2ee.wire.phases import Phase
from e2ee.wire.violations import ProtocolViolation


class Connection:
    """The handler of one `MessageProtocol`, and after its login a `Peer`."""

    _log = Logger()
    protocol: MessageProtocol
    where: DeviceAddress
    """See `Peer.where`; there is none before the login."""
    mark: bytes
    push: Callable[[Message], None]
    """See `Peer.push`; there is none before the handshake is done."""
    _delivery: Delivery

    def __init__(self, rooms: Rooms, source: str) -> None:
        """`source` is who this connection counts as: see `source.source_of`."""
        self._rooms = rooms
        self._source = source
        self._exporter = b""
        self._attempt: Attempt | None = None
        self._proving: Deferred[None] | None = None
        self._identified = False
        self._epoch: int | None = None
        self._ended = False
        self._displaced = False
        self._stock_told = False
        self._fetching = DeferredLock()
        self.held: set[str] = set()
        self.shown: Account | None = None

    # --- the handler --------------------------------------------------------------------------

    def made(self) -> None:
        """TCP is up, the handshake is not done."""
        self._rooms.admission.enter(self, self._source)

    def secured(self, tls: TlsFacts) -> None:
        """The handshake is done."""
        self._exporter = tls.exporter
        self.push = self.protocol.send
        self._rooms.counters.handshakes += 1
        if tls.group != EXPECTED_GROUP:
            self._rooms.counters.fallbacks += 1

    def received(self, message: Message) -> None:
        """A message that is legal now."""
        if self._ended:
            return
        try:
            if type(message) is m.Send:
                self._rooms.courier.submit(self, message, self.push)
            elif type(message) is m.Acknowledge:
                self._delivery.acknowledge(self, message)
            else:
                self._asked(message)
        except WrongAcknowledgement as error:
            raise ProtocolViolation(RefusalCode.ILLEGAL, str(error)) from None
        except ProtocolViolation:
            raise
        except Exception:
            self._failed(TwistedFailure())

    def _asked(self, message: Message) -> None:
        asked = Deferred.fromCoroutine(self._serve(message))
        asked.addErrback(self._failed)
        if isinstance(message, m.Start):
            self._proving = asked

    def lost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._ended = True
        overstay = self.protocol.overstay
        if overstay is not None:
            self._rooms.counters.hit(Limit(overstay.title))
        self._rooms.admission.left(self)
        if self._identified:
            self._rooms.login.leave(self, self._epoch, self._displaced)
        if self._proving is not None:
            self._proving.cancel()

    # --- the peer -----------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """See `Peer.ready`."""
        return self.protocol.phase is Phase.READY

    def displace(self) -> None:
        """See `Peer.displace`."""
        self._displaced = True
        self._end(RefusalCode.DISPLACED, "this device has logged in on a newer connection")

    def log_out(self, sentence: str) -> None:
        """See `Peer.log_out`."""
        self._end(RefusalCode.LOGGED_OUT, sentence)

    def abort(self) -> None:
        """See `Peer.abort`."""
        self._ended = True
        self.protocol.abort()

    def turn_away(self) -> None:
        """See `Guest.turn_away`."""
        self._end(RefusalCode.BUSY, "too many connections wait to log in")

    def stop(self) -> None:
        """The server ends."""
        self._end(RefusalCode.UNAVAILABLE, "the server is stopping")

    def stock_low(self, one_time: int, kem_one_time: int) -> None:
        """Others have taken one-time keys; said once until the next upload."""
        if not self._stock_told:
            self._stock_told = True
            self.push(m.StockLow(one_time, kem_one_time))

    def _end(self, code: RefusalCode, sentence: str) -> None:
        if not self._ended:
            self._ended = True
            self.protocol.close(code, sentence)

    # --- requests -----------------------------------------------------------------------------

    async def _serve(self, message: Message) -> None:
        """Answer one request, whatever becomes of it."""
        answer: Message | None
        try:
            answer = await self._answer(message)
        except Refusal as refusal:
            answer = self._refused(message, refusal)
        except StoreError:
            answer = self._refused(message, unavailable())
        if answer is not None and not self._ended:
            self.protocol.send(answer)

    def _refused(self, message: Any, refusal: Refusal) -> Message | None:
        """The answer to a request; what has no number (an acknowledged notice) gets none."""
        self._rooms.counters.refused(message, refusal.code, refusal.limit)
        number = getattr(message, "n", None)
        if number is None:
            return None
        return refusal.answer(number)

    async def _answer(self, message: Message) -> Message | None:
        match message:
            case m.Hello():
                return self._greet(message)
            case m.RequestCode():
                return await self._rooms.registration.request_code(self._source, message)
            case m.Start():
                self._attempt = self._rooms.registration.attempt(self._exporter, self._source)
                return await self._attempt.start(message)
            case m.Prove():
                return await self._prove(message)
            case m.ProvePin():
                return await self._prove_pin(message)
            case m.LogIn():
                await self._log_in(message)
                return None
        return await self._answer_peer(message)

    async def _answer_peer(self, message: Message) -> Message | None:
        """What only a logged-in device asks."""
        if not self._identified:
            raise logged_out()
        rooms, where = self._rooms, self.where
        match message:
            case m.LookUp():
                return await rooms.directory.look_up(where.address, message)
            case m.FetchBundle():
                return await rooms.directory.fetch_bundle(where.address, message)
            case m.Publish():
                published = await rooms.directory.publish(where, message)
                self._stock_told = False
                return published
            case m.SetPresence():
                return await rooms.set_presence(self, message)
            case m.SetPin():
                return await rooms.registration.pins.set(where, message)
            case m.RemovePin():
                return await rooms.registration.pins.remove(where, message)
            case m.SetIdentity():
                return await rooms.directory.set_identity(where, message)
            case m.DeleteAccount():
                await rooms.delete_own(self, message)
            case m.OfferFile():
                return await rooms.files.offer(where.address, message)
            case m.PutChunk():
                return await rooms.files.put(where.address, message)
            case m.FetchChunk():
                await self._fetch(message)
            case m.RemoveFile():
                return await rooms.files.remove(message)
            case m.Watch():
                return rooms.presence.watch(self, message)
            case m.AcknowledgeNotice():
                await rooms.notices.acknowledge(self, message.notice)
        return None

    async def _fetch(self, message: m.FetchChunk) -> None:
        """One chunk after the other, each when the one before has left: mail does not wait behind many."""
        async with self._fetching:
            await self.protocol.outbound.room()
            if not self._ended:
                self.push(await self._rooms.files.fetch(message))

    def _greet(self, message: m.Hello) -> m.Welcome | None:
        if self._rooms.stopping:
            self.stop()
            return None
        if PROTOCOL_VERSION not in message.versions:
            self._end(RefusalCode.VERSION, "this server speaks version 1 of the protocol only")
            return None
        return m.Welcome(message.n, PROTOCOL_VERSION, (), self._rooms.backup_pin)

    async def _prove(self, message: m.Prove) -> m.Proved | m.PinRequired:
        if self._attempt is None:
            raise Refusal(RefusalCode.PROOF_REFUSED, "there was no start")
        answer, address, displaced = await self._attempt.prove(message)
        if isinstance(answer, m.Proved):
            self._rooms.taken_over(address, displaced)
        return answer

    async def _prove_pin(self, message: m.ProvePin) -> m.Proved:
        if self._attempt is None:
            raise Refusal(RefusalCode.PROOF_REFUSED, "there was no start")
        proved, address, displaced = await self._attempt.prove_pin(message)
        self._rooms.taken_over(address, displaced)
        return proved

    async def _log_in(self, message: m.LogIn) -> None:
        login = self._rooms.login
        account = await login.identify(message, self._exporter)
        if self._ended:
            return
        self.where, self.mark, self._identified = account.where, mark_of(account.where), True
        entered = await login.enter(self, account, message.n)
        self._delivery, self._epoch = entered.delivery, entered.attached.epoch
        if self._ended:
            login.leave(self, self._epoch, self._displaced)
            return
        self._rooms.admission.logged_in(self)
        self.protocol.send(entered.answer)
        # Before the mailbox: whoever waits for `drained` has heard of what will not be delivered.
        try:
            await self._rooms.notices.tell(self)
        except StoreError:
            self._log.warn("notices could not be read at a login: the next one tells them")
        login.begin(self, entered)

    def _failed(self, failure: TwistedFailure) -> None:
        """A defect of ours: its kind goes to the log, never its text, which may hold content."""
        if failure.check(CancelledError) and self._ended:
            return
        self._log.error("a request has failed: {kind}", kind=type(failure.value).__name__)
        self.abort()
