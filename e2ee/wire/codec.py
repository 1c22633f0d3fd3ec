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
_client_message: Callable[[bytes], ClientMessage] = msgspec.msgpack.Decoder(ClientMessage).decode
_server_message: Callable[[bytes], ServerMessage] = msgspec.msgpack.Decoder(ServerMessage).decode


def decode_client(data: bytes) -> ClientMessage:
    """A message that a client may send. Raises ProtocolViolation for anything else."""
    try:
        return _client_message(data)
    except Exception:
        raise _malformed() from None


def decode_server(data: bytes) -> ServerMessage:
    """A message that a server may send. Raises ProtocolViolation for anything else."""
    try:
        return _server_message(data)
    except Exception:
        raise _malformed() from None


def decode_part(data: bytes, kind: type[M]) -> M:
    """A part that travels inside a field as bytes (`RegistrationBody`, `RegistrationOutcome`).

    Raises ProtocolViolation for anything else.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except Exception:
        raise _malformed() from None


def _malformed() -> ProtocolViolation:
    # Whatever msgspec raises (it has a family of errors, and deep nesting is a RecursionError)
    # means the same to the other side, and its texts may quote what came from there.
    return ProtocolViolation(RefusalCode.MALFORMED, "this frame is not a message of this protocol")
