"""Every decoder that bytes of others reach, with all that it may raise and what must hold for the rest.

What a decoder accepts and has an encoding of its own must encode to the same bytes, where there is one
encoding, or to bytes with the same meaning. Anything else is a finding, and so is any other exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from e2ee.client.config import parse_config
from e2ee.client.holding import holder_codec
from e2ee.crypto import account_statement, backup_chunks, prekeys
from e2ee.crypto.certified_identity import CertifiedIdentity
from e2ee.crypto.content import decode_content, encode_content
from e2ee.crypto.envelope import decode_envelope, encode_head
from e2ee.crypto.extension import decode_extension, encode_extension
from e2ee.crypto.handshake import Handshake
from e2ee.errors import CryptoError, Failure, InvalidAddress, OpenFailed
from e2ee.ids import Address
from e2ee.net.connect_link import ConnectLink
from e2ee.server import admin_socket
from e2ee.wire import codec
from e2ee.wire.framing import FrameReader, frame
from e2ee.wire.messages import RegistrationBody, RegistrationOutcome
from e2ee.wire.violations import ProtocolViolation

FRAME_LIMIT = 4096


class Finding(Exception):
    """Something that a decoder must not do."""


@dataclass(frozen=True)
class Decoder:
    """`refusals` is all that it may raise; `check` gets what came and what was made of it."""

    decode: Callable[[bytes], Any]
    refusals: tuple[type[Exception], ...]
    check: Callable[[bytes, Any], bool] = lambda data, decoded: True

    def __call__(self, data: bytes) -> None:
        """One input; raises Finding, or whatever the decoder should not."""
        try:
            decoded = self.decode(data)
        except self.refusals:
            return
        if not self.check(data, decoded):
            raise Finding(f"accepted, and it is not what it says: {decoded!r}"[:400])


def _message(decode: Callable[[bytes], Any]) -> Decoder:
    """MessagePack has many spellings of a value: what is encoded anew must mean the same."""
    return Decoder(decode, (ProtocolViolation,), lambda data, found: decode(codec.encode(found)) == found)


def _text(decode: Callable[[str], Any], *refusals: type[Exception]) -> Decoder:
    return Decoder(
        lambda data: decode(data.decode("utf-8")), (UnicodeDecodeError, *refusals),
        lambda data, found: decode(str(found)) == found,
    )  # fmt: skip


def _cut(data: bytes) -> list[bytes]:
    """The frames of a stream that arrives in pieces; the first byte says how large they are."""
    step, reader, frames = 1 + (data[0] if data else 0), FrameReader(), []
    for start in range(1, len(data), step):
        reader.feed(data[start : start + step])
        while (found := reader.next_frame(FRAME_LIMIT)) is not None:
            frames.append(found)
        if reader.buffered > FRAME_LIMIT + 4:
            raise Finding("more is kept than a frame")
    return frames


def _envelope_again(data: bytes, found: Any) -> bool:
    head = encode_head(
        found.session_id, found.ratchet_key, found.previous, found.number, found.extension, found.handshake
    )
    again: bytes = head + found.iv + found.ciphertext + found.tag
    return again == data and found.covered == data[: -len(found.tag)]


def _opened(decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]) -> Decoder:
    """What others have sealed: one encoding, one error."""
    return Decoder(decode, (OpenFailed,), lambda data, found: encode(found) == data)


def _signed(decode: Callable[[bytes], Any], *also: type[Exception]) -> Decoder:
    """The part that a signature covers: one encoding."""
    return Decoder(decode, (CryptoError, *also), lambda data, found: found.encode() == data)


DECODERS: dict[str, Decoder] = {
    "client_message": _message(codec.decode_client),
    "server_message": _message(codec.decode_server),
    "registration_body": _message(lambda data: codec.decode_part(data, RegistrationBody)),
    "registration_outcome": _message(lambda data: codec.decode_part(data, RegistrationOutcome)),
    "frames": Decoder(
        _cut, (ProtocolViolation,), lambda data, found: data[1:].startswith(b"".join(map(frame, found)))
    ),
    "envelope": Decoder(decode_envelope, (OpenFailed,), _envelope_again),
    "extension": _opened(decode_extension, lambda found: encode_extension(found) if found else b""),
    "handshake": _opened(Handshake.decode, Handshake.encode),
    "content": _opened(decode_content, encode_content),
    "statement": _signed(account_statement._decode, InvalidAddress, UnicodeDecodeError),
    "signed_prekey": _signed(prekeys._decode_signed),
    "kem_prekey": _signed(prekeys._decode_kem),
    "identity": _signed(CertifiedIdentity.decode),
    "backup_head": Decoder(backup_chunks.decode_head, (CryptoError,)),
    "holder_asked": Decoder(holder_codec.decode_asked, (holder_codec.Malformed,)),
    "holder_told": Decoder(holder_codec.decode_told, (holder_codec.Malformed,)),
    "admin_request": Decoder(admin_socket.decode_request, (admin_socket.NotUnderstood,)),
    "connect_link": _text(ConnectLink.parse, Failure),
    "address": _text(Address.parse, InvalidAddress),
    "config": Decoder(lambda data: parse_config(data.decode("utf-8")), (UnicodeDecodeError, Failure)),
}
