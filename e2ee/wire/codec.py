"""Messages to bytes and back: the only place where remote bytes become messages.

Knows how messages are encoded (MessagePack, `docs/protocol.md`), not when they are legal. What is
signed, hashed or MACed is always the received bytes, never a second encoding made here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from e2ee.wire.messages import ClientMessage, Message, RefusalCode, ServerMessage
from e2ee.wire.violations import ProtocolViolation

M = TypeVar("M", bound=Message)

encode: Callable[[Message], bytes] = msgspec.msgpack.Encoder().encode
"""The bytes of one message, or of a part that is encoded on its own."""
decode_client_unguarded: Callable[[bytes], ClientMessage] = msgspec.msgpack.Decoder(ClientMessage).decode
decode_server_unguarded: Callable[[bytes], ServerMessage] = msgspec.msgpack.Decoder(ServerMessage).decode
"""For `e2ee.wire.connection`, which turns whatever they raise into `malformed()` itself."""


def decode_client(data: bytes) -> ClientMessage:
    """A message that a client may send. Raises ProtocolViolation for anything else."""
    try:
        return decode_client_unguarded(data)
    except Exception:
        raise malformed() from None


def decode_server(data: bytes) -> ServerMessage:
    """A message that a server may send. Raises ProtocolViolation for anything else."""
    try:
        return decode_server_unguarded(data)
    except Exception:
        raise malformed() from None


def decode_part(data: bytes, kind: type[M]) -> M:
    """A part that travels inside a field as bytes (`RegistrationBody`, `RegistrationOutcome`).

    Raises ProtocolViolation for anything else.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except Exception:
        raise malformed() from None


def malformed() -> ProtocolViolation:
    """What is said of bytes that are no message."""
    # Whatever msgspec raises (it has a family of errors, and deep nesting is a RecursionError)
    # means the same to the other side, and its texts may quote what came from there.
    return ProtocolViolation(RefusalCode.MALFORMED, "this frame is not a message of this protocol")
