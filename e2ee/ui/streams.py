"""Blocking reads and writes of descriptors that can be called off, whatever is behind them.

Knows files, pipes and terminals alike, and nothing of lines for people. Everything here blocks and belongs
into a thread. Descriptors keep their flags: standard input and output are shared with other processes.
"""

from __future__ import annotations

import os
import select

from e2ee.errors import Code, Failure

LINE_BYTES = 96 * 1024
"""Longer than any text that may be sent; the rest of a longer line is read and forgotten."""
_CHUNK = 64 * 1024


class Interrupted(Exception):
    """The wait was called off."""


class OutputClosed(Exception):
    """Whoever read the output has gone; nothing more can be printed."""


class LineRefused(Failure):
    """A line that cannot be used; the next one can be read."""


class LineTooLong(LineRefused):
    """A line of more than its bound."""

    def __init__(self, limit: int = LINE_BYTES) -> None:
        super().__init__(Code.USAGE, f"the line is longer than {limit} bytes")


class Interruption:
    """Calls off every wait in this process's streams, once and for all."""

    def __init__(self) -> None:
        self._waiting, self._tripping = os.pipe()

    def trip(self) -> None:
        """End the waits that are and those to come."""
        os.write(self._tripping, b"!")

    def close(self) -> None:
        """Nobody waits any more."""
        os.close(self._waiting)
        os.close(self._tripping)

    def until_readable(self, descriptor: int) -> None:
        """Block until there is something to read. Raises Interrupted."""
        ready, _, _ = select.select([descriptor, self._waiting], [], [])
        if self._waiting in ready:
            raise Interrupted

    def until_writable(self, descriptor: int) -> None:
        """Block until something can be written; what can be written at once still is. Raises Interrupted."""
        _, ready, _ = select.select([self._waiting], [descriptor], [])
        if descriptor not in ready:
            raise Interrupted


class LineSource:
    """The lines of a descriptor, decoded strictly. `limit`: bytes of the longest."""

    def __init__(
        self, descriptor: int, interruption: Interruption, limit: int = LINE_BYTES
    ) -> None:
        self._descriptor = descriptor
        self._interruption = interruption
        self._limit = limit
        self._buffer = bytearray()
        self._ended = False

    def read_line(self) -> str | None:
        """The next line without its end, None after the last; a last line needs no newline.

        Raises Failure(USAGE) for a line that is not UTF-8, LineTooLong, and Interrupted.
        """
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0 and not self._ended:
            searched = len(self._buffer)
            if searched > self._limit:
                self._skip_line()
                raise LineTooLong(self._limit)
            self._read_more()
        if end < 0 and not self._buffer:
            return None
        line = bytes(self._buffer[:end] if end >= 0 else self._buffer)
        del self._buffer[: len(line) + 1]
        return _decoded(line.removesuffix(b"\r"))

    def _skip_line(self) -> None:
        while (end := self._buffer.find(b"\n")) < 0 and not self._ended:
            self._buffer.clear()
            self._read_more()
        del self._buffer[: end + 1 if end >= 0 else len(self._buffer)]

    def _read_more(self) -> None:
        try:
            self._interruption.until_readable(self._descriptor)
            chunk = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            # Closed, or a terminal that has gone: nothing more will come.
            chunk = b""
        self._ended = not chunk
        self._buffer += chunk


class LineSink:
    """Bytes to a descriptor, all of them or an error."""

    def __init__(self, descriptor: int, interruption: Interruption) -> None:
        self._descriptor = descriptor
        self._interruption = interruption

    @property
    def columns(self) -> int | None:
        """The width if this is a terminal."""
        try:
            return os.get_terminal_size(self._descriptor).columns or None
        except OSError:
            return None

    def write(self, written: bytes) -> None:
        """Return when the system has taken all of it. Raises OutputClosed and Interrupted."""
        rest = memoryview(written)
        while rest:
            try:
                self._interruption.until_writable(self._descriptor)
                # A writable pipe takes PIPE_BUF bytes without blocking; more could block for good.
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError) as error:
                raise OutputClosed from error
            except (OSError, ValueError) as error:
                raise Failure(Code.FAILED, f"standard output cannot be written: {error}") from error


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise Failure(Code.USAGE, "the input is not UTF-8") from None
