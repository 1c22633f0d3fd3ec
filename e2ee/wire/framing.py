"""Frames: a four-byte big-endian length, then that many bytes.

Knows lengths and limits, not what is inside a frame.
"""

from __future__ import annotations

from e2ee.wire.limits import LENGTH_PREFIX_BYTES
from e2ee.wire.messages import RefusalCode
from e2ee.wire.violations import ProtocolViolation


def frame(payload: bytes) -> bytes:
    """One frame around these bytes."""
    return len(payload).to_bytes(LENGTH_PREFIX_BYTES, "big") + payload


class FrameReader:
    """Cuts a stream into frames, however it arrives: whole, byte by byte, several at once.

    It keeps at most one unfinished frame within its limit and what was fed and not yet taken.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._stopped = False

    @property
    def buffered(self) -> int:
        """How many bytes are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add what arrived; after `stop` it is dropped."""
        if not self._stopped:
            self._buffer += data

    def next_frame(self, limit: int) -> bytes | None:
        """The next whole frame of at most `limit` bytes, or None until more has arrived.

        The length is judged as soon as its four bytes are there, before anything of the frame is
        waited for. Raises ProtocolViolation for a frame that is too large or empty; `stop` then,
        since nothing behind it can be found.
        """
        buffer = self._buffer
        if len(buffer) < LENGTH_PREFIX_BYTES:
            return None
        length = int.from_bytes(buffer[:LENGTH_PREFIX_BYTES], "big")
        if length > limit:
            raise ProtocolViolation(
                RefusalCode.FRAME_TOO_LARGE, f"a frame may have {limit} bytes here, not {length}"
            )
        if length == 0:
            raise ProtocolViolation(RefusalCode.MALFORMED, "a frame has at least one byte")
        end = LENGTH_PREFIX_BYTES + length
        if len(buffer) < end:
            return None
        payload = bytes(buffer[LENGTH_PREFIX_BYTES:end])
        del buffer[:end]
        return payload

    def stop(self) -> None:
        """Forget what is here and keep nothing more."""
        self._stopped = True
        self._buffer.clear()
