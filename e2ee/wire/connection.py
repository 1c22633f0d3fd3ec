"""Both ends of a connection without any I/O: bytes in, messages out, and what is legal when.

Knows frames, phases and the numbers of requests and pushes; not sockets, time, or what a message
does.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from functools import cache
from math import inf
from typing import ClassVar

from e2ee.wire import codec, limits
from e2ee.wire.exchange import Exchange, Step, step_for
from e2ee.wire.framing import FrameReader, frame
from e2ee.wire.messages import Message, RefusalCode, Refused
from e2ee.wire.phases import Phase, Role, next_phase, settled_transitions
from e2ee.wire.violations import OutOfTurn, ProtocolViolation


class Connection(ABC):
    """What both roles share; use ClientConnection or ServerConnection."""

    role: ClassVar[Role]
    peer: ClassVar[Role]
    most_unanswered: ClassVar[float]
    """While so many requests are unanswered nothing more is taken from the stream."""
    _decode: Callable[[bytes], Message]

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._exchange = Exchange()
        self._go_to(Phase.GREETING)

    @property
    def unanswered(self) -> int:
        """Requests that wait for their answer."""
        return len(self._exchange.unanswered)

    @property
    def buffered(self) -> int:
        """Bytes that have arrived and were not yet taken as messages."""
        return self._reader.buffered

    @property
    def saturated(self) -> bool:
        """True while so much is unanswered that nothing more is taken from the stream."""
        return len(self._exchange.unanswered) >= self.most_unanswered

    def feed(self, data: bytes) -> None:
        """Take bytes from the network, however they are cut; `next_message` finds what is in them."""
        self._reader.feed(data)

    def send(self, message: Message) -> bytes:
        """The frame of this message. Raises OutOfTurn, and changes nothing, if it is not legal now."""
        phase, step = self._say.get(type(message)) or self._unsettled(self.role, message)
        if phase is None:
            raise OutOfTurn(f"{type(message).__name__} is not legal while {self.phase.value}")
        payload = codec.encode(message)
        size = len(payload)
        if size > self._limit:
            raise OutOfTurn(f"{type(message).__name__} does not fit into a frame")
        if complaint := step(self._exchange, message):
            raise OutOfTurn(complaint)
        if phase is not self.phase:
            self._go_to(phase)
        return size.to_bytes(limits.LENGTH_PREFIX_BYTES, "big") + payload

    def close(self) -> None:
        """Nothing more is said or heard; what has arrived and was not taken is forgotten."""
        self._go_to(Phase.CLOSING)

    def next_message(self) -> Message | None:
        """The next message, judged now: after what was sent in answer to the one before.

        None if bytes are missing, if the connection is closing, or while it is `saturated`; what is left
        stays. Raises ProtocolViolation at the first frame that is too large, malformed or out of turn; the
        phase is closing then.
        """
        if len(self._exchange.unanswered) >= self.most_unanswered:
            return None
        try:
            payload = self._reader.next_frame(self._limit)
            if payload is None:
                return None
            message = self._decode(payload)
        except ProtocolViolation:
            self.close()
            raise
        phase, step = self._hear.get(type(message)) or self._unsettled(self.peer, message)
        if phase is None:
            raise self._illegal(f"{type(message).__name__} is not legal while {self.phase.value}")
        if complaint := step(self._exchange, message):
            raise self._illegal(complaint)
        if phase is not self.phase:
            self._go_to(phase)
        return message

    def _illegal(self, sentence: str) -> ProtocolViolation:
        """The end of the conversation."""
        self.close()
        return ProtocolViolation(RefusalCode.ILLEGAL, sentence)

    def _unsettled(self, speaker: Role, message: Message) -> tuple[Phase | None, Step]:
        """For what is not in the table of this phase: it is legal only if it ends the conversation."""
        return next_phase(speaker, self.phase, message), step_for(self.role, type(message))

    def _go_to(self, phase: Phase) -> None:
        """Enter a phase: what may be said and heard in it, and how long a frame may be."""
        self.phase = phase
        """What the conversation is about at the moment; others only read it."""
        self._say = _settled(self.role, self.role, phase)
        self._hear = _settled(self.role, self.peer, phase)
        ready = phase is Phase.READY
        self._limit = limits.FRAME_AFTER_LOGIN_BYTES if ready else limits.FRAME_BEFORE_LOGIN_BYTES
        if phase is Phase.CLOSING:
            self._reader.stop()


class ClientConnection(Connection):
    """The client's end."""

    role = Role.CLIENT
    peer = Role.SERVER
    most_unanswered = inf  # a client always reads, or two sides that wait for each other would wait for ever
    _decode = staticmethod(codec.decode_server)

    def __init__(self) -> None:
        super().__init__()
        self._last_number = 0

    def next_number(self) -> int:
        """A number for the next request of this connection: 1, 2, 3 …"""
        self._last_number += 1
        return self._last_number


class ServerConnection(Connection):
    """The server's end."""

    role = Role.SERVER
    peer = Role.CLIENT
    most_unanswered = limits.REQUESTS_IN_FLIGHT
    _decode = staticmethod(codec.decode_client)

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


@cache
def _settled(role: Role, speaker: Role, phase: Phase) -> Mapping[type[Message], tuple[Phase, Step]]:
    """What follows from a message, and how its number counts: one look-up for each that is said or heard."""
    return {kind: (then, step_for(role, kind)) for kind, then in settled_transitions(speaker, phase).items()}
