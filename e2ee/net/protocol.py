"""Messages over a TLS transport: a small adapter around `e2ee.wire`.

Knows transports, time and the order of an end; not what a message means. Nothing of what passes
through is logged.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure
from zope.interface import implementer

from e2ee.errors import Code, Failure
from e2ee.net.deadlines import Deadline, Overstay, Silence
from e2ee.net.handler import Handler
from e2ee.net.handshake import EXPECTED_GROUP, AnyPeer, Guard, TlsFacts, read_facts
from e2ee.net.outbound import Outbound
from e2ee.wire import limits
from e2ee.wire.connection import ClientConnection, ServerConnection
from e2ee.wire.messages import Message, Ping, Pong, RefusalCode
from e2ee.wire.phases import Phase
from e2ee.wire.violations import OutOfTurn, ProtocolViolation

__all__ = ["Handler", "MessageProtocol", "TlsFacts"]


class _State(Enum):
    HANDSHAKE = "handshake"
    OPEN = "open"
    ENDING = "ending"  # nothing is processed; what was written may still leave
    GONE = "gone"


_OPEN = _State.OPEN  # by the class, Python 3.11 calls a function for it: too dear for every message

@implementer(IHandshakeListener)
class MessageProtocol(Protocol):
    """One connection, either side: `MessageProtocol(ServerConnection(), clock, handler)`.

    It ends by itself: 10 s (LOGIN_SECONDS) after it was made unless its phase is `ready` by then; after
    90 s of silence, or of UNSENT_BYTES unread; after a violation; when its purpose is reached (`closing`).
    A server does not read from a client that does not read, or that has too much unanswered.
    """

    _log = Logger()
    transport: Any

    def __init__(
        self,
        connection: ClientConnection | ServerConnection,
        clock: IReactorTime,
        handler: Handler,
        guard: Guard | None = None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._handler = handler
        self._guard: Guard = AnyPeer() if guard is None else guard
        self._state, self._secured = _State.HANDSHAKE, False
        self._reason: Failure | None = None
        self.overstay: Overstay | None = None  # the limit that has ended it, if one has
        self._always_reads = isinstance(connection, ClientConnection)  # or both might wait for ever
        self._reading, self._taking = True, False
        self._resume: IDelayedCall | None = None
        self._followed = connection.phase
        self.outbound = Outbound(self._unsent_changed)
        self._login = Deadline(clock, limits.LOGIN_SECONDS, lambda: self._expire(Overstay.LOGIN))
        self._unread = Deadline(clock, limits.UNREAD_SECONDS, self._unread_expired)
        self._cut = Deadline(clock, limits.CLOSE_SECONDS, self.abort)
        self._silence = Silence(
            clock, limits.PING_AFTER_SECONDS, limits.IDLE_SECONDS, self._ping,
            lambda: self._expire(Overstay.IDLE),
        )  # fmt: skip

    # --- what the owner calls ---

    @property
    def phase(self) -> Phase:
        """What the conversation is about at the moment."""
        return self._connection.phase

    def next_number(self) -> int:
        """Client: a number for the next request."""
        if isinstance(self._connection, ClientConnection):
            return self._connection.next_number()
        raise OutOfTurn("a server does not ask")

    def next_push(self) -> int:
        """Server: the number that the next Push must have."""
        if isinstance(self._connection, ServerConnection):
            return self._connection.next_push()
        raise OutOfTurn("a client does not push")

    def send(self, message: Message) -> None:
        """Send a message; after the end it goes nowhere. Raises OutOfTurn if it is not legal now."""
        if self._state is not _OPEN:
            if self._state is _State.HANDSHAKE:
                raise OutOfTurn("nothing is sent before the handshake is done")
            return
        frame = self._connection.send(message)
        if self.outbound.unsent:
            self.outbound.more(len(frame))
        self.transport.write(frame)
        if self._connection.phase is not self._followed:
            self._follow_phase()
        if not self._reading:
            self._choose_reading()

    def close(self, code: RefusalCode | None = None, sentence: str = "") -> None:
        """End in good order, a server (given a code) with a last Refused.

        Nothing that arrives from now on is processed.
        """
        if self._state is _State.HANDSHAKE:
            self.abort()
        if self._state is not _State.OPEN:
            return
        if code is not None and isinstance(self._connection, ServerConnection):
            self.transport.write(self._connection.refusal(code, sentence))
        self._end()

    def abort(self) -> None:
        """Cut the connection now; what has not left yet is dropped."""
        if self._state is not _State.GONE:
            self._stop()
            self.transport.abortConnection()

    # --- what Twisted calls ---

    def connectionMade(self) -> None:
        """TCP is up; nothing begins before `handshakeCompleted`."""
        self._login.start()
        # Nagle's algorithm would hold a message back until the one before is acknowledged, 40 ms later.
        self.transport.setTcpNoDelay(True)

    def handshakeCompleted(self) -> None:
        """TLS is up: the second lock, behind the verify callback. Then the conversation begins."""
        if self._state is not _State.HANDSHAKE:
            return
        try:
            facts = read_facts(self.transport)
            self._guard.judge(facts)
        except Failure as failure:
            self._give_up(failure)
            return
        if facts.group != EXPECTED_GROUP and self._always_reads:  # a server counts them, or its log fills
            self._log.warn("the key exchange fell back to {group}", group=facts.group)
        self._state, self._secured = _State.OPEN, True
        self.transport.registerProducer(self.outbound, True)
        self._call(self._handler.secured, facts)

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the other side, after TLS."""
        if self._state is _State.OPEN:
            self._silence.heard()
            self._take(data)

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        """The transport is gone."""
        self._stop()
        self._state = _State.GONE
        self.outbound.stopProducing()
        self._call(self._handler.lost, self._reason or self._guard.explain(reason.value, self._secured))

    # --- what arrives ---

    def _take(self, data: bytes) -> None:
        """Hand on what is complete, as long as reading goes on; what is left waits in the core."""
        self._connection.feed(data)
        if self._taking:
            return
        self._taking = True
        next_message, received = self._connection.next_message, self._handler.received
        try:
            while self._state is _OPEN and (self._always_reads or not self.outbound.full):
                message = next_message()
                if message is None:
                    break
                if type(message) is Ping:
                    self.send(Pong(message.n))
                elif type(message) is not Pong:
                    received(message)
        except ProtocolViolation as violation:
            self._violated(violation)
        except Exception:
            self._defective()
        finally:
            self._taking = False
        self._follow_phase()
        self._choose_reading()

    def _violated(self, violation: ProtocolViolation) -> None:
        if self._state is not _State.OPEN:
            return
        if violation.code is RefusalCode.FRAME_TOO_LARGE:
            self.overstay = Overstay.FRAME
        self._reason = Failure(Code.FAILED, f"the other side broke the protocol: {violation.sentence}")
        self.close(violation.code, violation.sentence)

    def _call(self, step: Callable[[Any], None], what: object) -> None:
        """Run one step of the handler; a defect in it costs this connection and nothing else."""
        try:
            step(what)
        except ProtocolViolation as violation:
            self._violated(violation)
        except Exception:
            self._defective()

    def _defective(self) -> None:
        self._log.failure("a connection's handler failed")
        self.abort()

    # --- flow ---

    def _may_read(self) -> bool:
        return self._always_reads or not (self._connection.saturated or self.outbound.full)

    def _choose_reading(self) -> None:
        if self._state is not _State.OPEN or self._taking:
            return
        may_read = self._may_read()
        if self._reading and not may_read:
            self._reading = False
            self.transport.pauseProducing()
        elif may_read and not self._reading and self._resume is None:
            # Not at once: this may be called from deep inside a handler.
            self._resume = self._clock.callLater(0, self._read_on)

    def _read_on(self) -> None:
        self._resume = None
        if self._state is not _State.OPEN or not self._may_read():
            return
        self._reading = True
        self.transport.resumeProducing()
        self._take(b"")

    def _unsent_changed(self) -> None:
        if self._state is not _State.OPEN:
            return
        if self.outbound.full:
            self._unread.start()
        else:
            self._unread.stop()
        self._choose_reading()

    # --- time ---

    def _follow_phase(self) -> None:
        phase = self._connection.phase
        if phase is self._followed or self._state is not _State.OPEN:
            return
        self._followed = phase
        if phase is Phase.READY:
            self._login.stop()
            self._silence.start()
        elif phase is Phase.CLOSING:
            self._end()

    def _ping(self) -> None:
        if isinstance(self._connection, ClientConnection):
            self.send(Ping(self._connection.next_number()))

    def _unread_expired(self) -> None:
        self.overstay = Overstay.UNREAD
        self._give_up(Failure(Code.UNREACHABLE, Overstay.UNREAD.sentence))

    def _expire(self, overstay: Overstay) -> None:
        self.overstay = overstay
        self._reason = self._reason or Failure(Code.UNREACHABLE, overstay.sentence)
        self.close(RefusalCode.TIMEOUT, overstay.sentence)

    # --- the end ---

    def _give_up(self, reason: Failure) -> None:
        self._reason = reason
        self.abort()

    def _end(self) -> None:
        """Let what was written leave, then close; cut it if that takes too long."""
        self._stop()
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        if self._state is _State.ENDING:
            self._cut.start()

    def _stop(self) -> None:
        if self._state is not _State.GONE:
            self._state = _State.ENDING
        self._connection.close()
        for deadline in (self._login, self._unread, self._silence, self._cut):
            deadline.stop()
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
