"""Frames: a four-byte big-endian length, then that many bytes.

Knows lengths and limits, not what is inside a frame.
"""

from __future__ import annotations

import struct

from e2ee.wire.limits import LENGTH_PREFIX_BYTES
from e2ee.wire.messages import RefusalCode
from e2ee.wire.violations import ProtocolViolation

_length_at = struct.Struct(">I").unpack_from


def frame(payload: bytes) -> bytes:
    """One frame around these bytes."""
    return len(payload).to_bytes(LENGTH_PREFIX_BYTES, "big") + payload


class FrameReader:
    """Cuts a stream into frames, however it arrives: whole, byte by byte, several at once.

    It keeps at most one unfinished frame within its limit and what was fed and not yet taken.
    """

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._taken = 0  # of the buffer; cut off once for all the frames that came together
        self._stopped = False

    @property
    def buffered(self) -> int:
        """How many bytes are kept."""
        return len(self._buffer) - self._taken

    def feed(self, data: bytes) -> None:
        """Add what arrived; after `stop` it is dropped."""
        if self._stopped:
            return
        if not self._buffer:
            self._buffer = data  # most often whole frames, which are cut out of it as they are
            return
        if not isinstance(self._buffer, bytearray):
            self._buffer = bytearray(self._buffer)
        self._buffer += data

    def next_frame(self, limit: int) -> bytes | None:
        """The next whole frame of at most `limit` bytes, or None until more has arrived.

        The length is judged as soon as its four bytes are there, before anything of the frame is
        waited for. Raises ProtocolViolation for a frame that is too large or empty; `stop` then,
        since nothing behind it can be found.
        """
        buffer, begin = self._buffer, self._taken + LENGTH_PREFIX_BYTES
        if len(buffer) < begin:
            self._forget_taken()
            return None
        (length,) = _length_at(buffer, self._taken)
        if length > limit:
            raise ProtocolViolation(
                RefusalCode.FRAME_TOO_LARGE, f"a frame may have {limit} bytes here, not {length}"
            )
        if length == 0:
            raise ProtocolViolation(RefusalCode.MALFORMED, "a frame has at least one byte")
        end = begin + length
        if len(buffer) < end:
            self._forget_taken()
            return None
        self._taken = end
        frame = buffer[begin:end]
        return frame if type(frame) is bytes else bytes(frame)

    def _forget_taken(self) -> None:
        """It needs no memory while the rest is waited for."""
        if self._taken:
            self._buffer = self._buffer[self._taken :]
            self._taken = 0

    def stop(self) -> None:
        """Forget what is here and keep nothing more."""
        self._stopped = True
        self._buffer = b""
        self._taken = 0
