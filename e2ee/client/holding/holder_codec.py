"""Frames between a command and the holder of its vault: to bytes, and back.

The only place where bytes of the holder's socket become messages. Knows how they are encoded
(MessagePack behind a length), not what they ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec

from e2ee.client.events import Event
from e2ee.client.holding.holder_messages import (
    ASKED_FRAME_BYTES,
    PART_BYTES,
    WRAPPINGS,
    AnyTold,
    Ask,
    AskedFrame,
    ToldFrame,
)
from e2ee.errors import Code, E2eeError, Failure
from e2ee.ids import Address, DeviceId, MessageId
from e2ee.wire.framing import frame


class Malformed(E2eeError):
    """Bytes that are no message between a command and a holder."""


def _plain(value: Any) -> Any:
    """What MessagePack has no word for."""
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, DeviceId | MessageId):
        return bytes(value)
    if isinstance(value, Failure):
        return (value.code.value, value.sentence, value.retry_after)
    raise TypeError(type(value).__name__)


def _typed(kind: type, value: Any) -> Any:
    """The way back; whatever it raises makes the frame malformed."""
    if kind is Failure:
        code, sentence, retry_after = msgspec.convert(value, tuple[str, str, float | None])
        return Failure(Code(code), sentence, retry_after)
    if kind in (Address, DeviceId, MessageId):
        return kind(value)
    raise TypeError(kind.__name__)


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, dec_hook=_typed)


def encode(message: AskedFrame | ToldFrame) -> bytes:
    """The frame of one message, with its length."""
    return frame(_encoder.encode(message))


def encode_asked(ask: Ask) -> bytes:
    """The same for a request, which is refused here and not at the other end: Failure(USAGE)."""
    try:
        payload = _encoder.encode(ask)
        decode_asked(payload)
    except (Malformed, UnicodeEncodeError):
        raise Failure(Code.USAGE, "what was given is too long, or not valid Unicode") from None
    if len(payload) > ASKED_FRAME_BYTES:
        raise Failure(Code.USAGE, "what was given is too long")
    return frame(payload)


def decode_asked(payload: bytes) -> AskedFrame:
    """What a command may say. Raises Malformed."""
    return _decode(payload, AskedFrame)  # type: ignore[no-any-return]


def decode_told(payload: bytes) -> ToldFrame:
    """What a holder may say. Raises Malformed."""
    return _decode(payload, ToldFrame)  # type: ignore[no-any-return]


def decode_value(payload: bytes, kind: Any) -> Any:
    """The value of an answer. Raises Malformed."""
    return _decode(payload, kind)


def _decode(payload: bytes, kind: Any) -> Any:
    try:
        return _decoder(kind).decode(payload)
    except Exception:
        # Whatever msgspec or a type of ours raises means the same, and may quote what came.
        raise Malformed("this frame is not a message between a command and a holder") from None


def encode_value(value: Any) -> Iterator[msgspec.Raw]:
    """The value of an answer in one part, a list in as many as its size needs."""
    if isinstance(value, tuple):
        return _parts(value)
    return iter((msgspec.Raw(_encoder.encode(value)),))


def _parts(values: Iterable[Any]) -> Iterator[msgspec.Raw]:
    part: list[msgspec.Raw] = []
    size = 0
    for value in values:
        encoded = _encoder.encode(value)
        if part and size + len(encoded) > PART_BYTES:
            yield msgspec.Raw(_encoder.encode(part))
            part, size = [], 0
        part.append(msgspec.Raw(encoded))
        size += len(encoded)
    yield msgspec.Raw(_encoder.encode(part))


def wrapped(event: Event) -> AnyTold:
    """An event as it travels."""
    told: AnyTold = WRAPPINGS[type(event)](event)
    return told
