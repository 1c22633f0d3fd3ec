"""Both ends of a connection without any I/O: bytes in, messages out, and what is legal when.

Knows frames, phases and the numbers of requests and pushes; not sockets, time, or what a message
does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from e2ee.wire import codec, limits
from e2ee.wire.exchange import Exchange
from e2ee.wire.framing import FrameReader, frame
from e2ee.wire.messages import Message, RefusalCode, Refused
from e2ee.wire.phases import Phase, Role, next_phase, settled_transitions
from e2ee.wire.violations import OutOfTurn, ProtocolViolation


class Connection(ABC):
    """What both roles share; use ClientConnection or ServerConnection."""

    role: ClassVar[Role]
    peer: ClassVar[Role]

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._exchange = Exchange()
        self._go_to(Phase.GREETING)

    @property
    def phase(self) -> Phase:
        """What the conversation is about at the moment."""
        return self._phase

    @property
    def unanswered(self) -> int:
        """Requests that wait for their answer."""
        return self._exchange.unanswered

    @property
    def buffered(self) -> int:
        """Bytes that have arrived and were not yet taken as messages."""
        return self._reader.buffered

    @property
    @abstractmethod
    def saturated(self) -> bool:
        """True while so much is unanswered that nothing more is taken from the stream."""

    def receive(self, data: bytes) -> Iterator[Message]:
        """Take bytes from the network and yield the messages that are complete, in order.

        Each is judged when it is asked for, after what was sent in answer to the one before. The
        iterator ends when bytes are missing, when the connection is closing, or while it is
        `saturated`; what is left stays, and `receive(b"")` goes on with it. Raises
        ProtocolViolation at the first frame that is too large, malformed or out of turn; the
        phase is closing then.
        """
        self._reader.feed(data)
        return iter(self._next_message, None)

    def send(self, message: Message) -> bytes:
        """The frame of this message. Raises OutOfTurn, and changes nothing, if it is not legal now."""
        phase = self._say.get(type(message)) or next_phase(self.role, self._phase, message)
        if phase is None:
            raise OutOfTurn(f"{type(message).__name__} is not legal while {self._phase.value}")
        payload = codec.encode(message)
        if len(payload) > self._limit:
            raise OutOfTurn(f"{type(message).__name__} does not fit into a frame")
        if complaint := self._exchange.take(message):
            raise OutOfTurn(complaint)
        if phase is not self._phase:
            self._go_to(phase)
        return frame(payload)

    def close(self) -> None:
        """Nothing more is said or heard; what has arrived and was not taken is forgotten."""
        self._go_to(Phase.CLOSING)

    def _next_message(self) -> Message | None:
        """The next legal message, or None: see `receive`."""
        if self.saturated or self._phase is Phase.CLOSING:
            return None
        try:
            payload = self._reader.next_frame(self._limit)
            if payload is None:
                return None
            message = self._decode(payload)
            self._judge(message)
        except ProtocolViolation:
            self.close()
            raise
        return message

    def _judge(self, message: Message) -> None:
        phase = self._hear.get(type(message)) or next_phase(self.peer, self._phase, message)
        if phase is None:
            raise _illegal(f"{type(message).__name__} is not legal while {self._phase.value}")
        if complaint := self._exchange.take(message):
            raise _illegal(complaint)
        if phase is not self._phase:
            self._go_to(phase)

    def _go_to(self, phase: Phase) -> None:
        """Enter a phase: what may be said and heard in it, and how long a frame may be."""
        self._phase = phase
        self._say = settled_transitions(self.role, phase)
        self._hear = settled_transitions(self.peer, phase)
        ready = phase is Phase.READY
        self._limit = limits.FRAME_AFTER_LOGIN_BYTES if ready else limits.FRAME_BEFORE_LOGIN_BYTES
        if phase is Phase.CLOSING:
            self._reader.stop()

    @abstractmethod
    def _decode(self, payload: bytes) -> Message:
        """A message of the other side, or ProtocolViolation."""


class ClientConnection(Connection):
    """The client's end."""

    role = Role.CLIENT
    peer = Role.SERVER

    def __init__(self) -> None:
        super().__init__()
        self._last_number = 0

    @property
    def saturated(self) -> bool:
        """Never: a client always reads, or two sides that wait for each other would wait for ever."""
        return False

    def next_number(self) -> int:
        """A number for the next request of this connection: 1, 2, 3 …"""
        self._last_number += 1
        return self._last_number

    def _decode(self, payload: bytes) -> Message:
        return codec.decode_server(payload)


class ServerConnection(Connection):
    """The server's end."""

    role = Role.SERVER
    peer = Role.CLIENT

    @property
    def saturated(self) -> bool:
        """True while REQUESTS_IN_FLIGHT requests are unanswered."""
        return self._exchange.unanswered >= limits.REQUESTS_IN_FLIGHT

    def next_push(self) -> int:
        """The number that the next Push must have."""
        return self._exchange.pushed + 1

    def refusal(self, code: RefusalCode, sentence: str) -> bytes:
        """The last frame of this connection, legal in every phase; it is closing then.

        `sentence` is cut to what a frame may carry.
        """
        refused = Refused(None, code, sentence[: limits.SENTENCE_CHARACTERS])
        self.close()
        return frame(codec.encode(refused))

    def _decode(self, payload: bytes) -> Message:
        return codec.decode_client(payload)


def _illegal(sentence: str) -> ProtocolViolation:
    return ProtocolViolation(RefusalCode.ILLEGAL, sentence)
