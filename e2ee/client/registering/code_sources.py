"""Where the passcode comes from that somebody has received: a file, a command, standard input.

Knows how each is read and what a code looks like; not what is done with it. A prompt is the user
interface's own source.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IReactorTime, IReadDescriptor
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure as TwistedFailure
from zope.interface import implementer

from e2ee.client.threads import InThread, threads_of
from e2ee.crypto.passcode_proof import is_code
from e2ee.errors import Code, Failure
from e2ee.ids import Address

POLL_SECONDS = 0.1
SOURCE_BYTES = 64 * 1024
"""What a mistaken file or a talkative command may cost."""


class CodeSource(Protocol):
    """Gives the code once the server has sent it.

    `interactive`: a person types it, so a wrong one is asked for again. `timed`: waiting for it
    counts towards the command's timeout.
    """

    @property
    def interactive(self) -> bool: ...

    @property
    def timed(self) -> bool: ...

    async def code(self) -> str:
        """What was received; whoever runs it checks that it is six digits. Raises Failure."""


def source_from_options(
    reactor: Any, address: Address, file: str | None, command: str | None
) -> CodeSource | None:
    """The source that `--code-file` (`-`: a line of standard input) or `--code-command` names, or None."""
    if file == "-":
        return StdinCode(reactor)
    if file is not None:
        return FileCode(Path(file), reactor, threads_of(reactor))
    if command is not None:
        return CommandCode(command, address, reactor, os.environ)
    return None


def find_code(content: bytes) -> str | None:
    """The last line that is exactly six ASCII digits, spaces around it aside, or None."""
    lines = (line.strip().decode("ascii", "replace") for line in content.splitlines())
    return next((line for line in reversed(list(lines)) if is_code(line)), None)


class FileCode:
    """Waits until a file, which need not exist yet, holds a line of six digits. May be a pipe."""

    interactive = False
    timed = True

    def __init__(self, path: Path, clock: IReactorTime, in_thread: InThread) -> None:
        self._path = path
        self._clock = clock
        self._in_thread = in_thread
        self._piped = b""

    async def code(self) -> str:
        """The code. Waits for ever; a directory or a file without permission: Failure(USAGE)."""
        while (found := find_code(await self._in_thread(self._read))) is None:
            await deferLater(self._clock, POLL_SECONDS)
        return found

    def _read(self) -> bytes:
        try:
            # Without O_NONBLOCK a pipe that nobody writes to would hold the thread for ever.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return self._read_open(descriptor)
            finally:
                os.close(descriptor)
        except (FileNotFoundError, BlockingIOError):
            return self._piped
        except OSError as error:
            raise Failure(Code.USAGE, f"{self._path} cannot be read: {error.strerror}") from error

    def _read_open(self, descriptor: int) -> bytes:
        content = os.read(descriptor, SOURCE_BYTES)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return content
        self._piped = (self._piped + content)[-SOURCE_BYTES:]
        return self._piped


class CommandCode:
    """The output of a command, run by `sh -c` with the number in E2EE_ADDRESS."""

    interactive = False
    timed = False

    def __init__(
        self, command: str, address: Address, reactor: Any, environment: Mapping[str, str]
    ) -> None:
        self._command = command
        self._environment = {**environment, "E2EE_ADDRESS": str(address)}
        self._reactor = reactor

    async def code(self) -> str:
        """The code. Raises Failure(FAILED) if the command fails, WRONG_CODE if it prints none."""
        running = _Command()
        arguments = ["/bin/sh", "-c", self._command]
        # Its standard error is ours: what it complains about is for the same reader.
        self._reactor.spawnProcess(
            running, arguments[0], arguments, self._environment, childFDs={0: "w", 1: "r", 2: 2}
        )
        found = find_code(await running.ended)
        if found is None:
            raise Failure(Code.WRONG_CODE, "the code command printed no line of six digits")
        return found


class _Command(ProcessProtocol):
    def __init__(self) -> None:
        self.ended: Deferred[bytes] = Deferred(self._kill)
        self._output = b""

    def connectionMade(self) -> None:
        self.transport.closeStdin()  # type: ignore[union-attr]

    def outReceived(self, data: bytes) -> None:
        self._output = (self._output + data)[-SOURCE_BYTES:]

    def processEnded(self, reason: TwistedFailure) -> None:
        if self.ended.called:
            return
        if reason.check(ProcessDone):
            self.ended.callback(self._output)
        else:
            self.ended.errback(Failure(Code.FAILED, f"the code command failed: {reason.getErrorMessage()}"))

    def _kill(self, _: Deferred[bytes]) -> None:
        self.transport.signalProcess("KILL")  # type: ignore[union-attr]


class StdinCode:
    """One line of standard input, or of another descriptor."""

    interactive = False
    timed = False

    def __init__(self, reactor: Any, descriptor: int = 0) -> None:
        self._reactor = reactor
        self._descriptor = descriptor

    async def code(self) -> str:
        """The line, without spaces around it; a last line without newline counts."""
        line = await _LineReader(self._reactor, self._descriptor).line
        return line.strip().decode("ascii", "replace")


@implementer(IReadDescriptor)
class _LineReader:
    """Reads on until a newline or the end, and leaves the descriptor open and blocking."""

    def __init__(self, reactor: Any, descriptor: int) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._content = b""
        self.line: Deferred[bytes] = Deferred(lambda _: self._reactor.removeReader(self))
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "standard input"

    def doRead(self) -> None:
        try:
            data = os.read(self._descriptor, SOURCE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._content += data
        if not data or b"\n" in self._content or len(self._content) > SOURCE_BYTES:
            self._finish()

    def connectionLost(self, reason: TwistedFailure) -> None:
        """The reactor calls this, and not `doRead`, where the writer of a pipe is gone."""
        self._finish()

    def _finish(self) -> None:
        self._reactor.removeReader(self)
        if not self.line.called:
            self.line.callback(self._content.split(b"\n", 1)[0])
