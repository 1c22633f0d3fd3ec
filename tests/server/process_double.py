"""A reactor's processes for tests: nothing is started, the test plays the child."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessProtocol, IProcessTransport, IReactorProcess
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IProcessTransport)
class FakeChild:
    """One started process: what was written to it, and what it is made to do."""

    pid = 4711

    def __init__(
        self, protocol: Any, executable: str, args: Sequence[str], options: Mapping[str, Any]
    ) -> None:
        self.protocol = protocol
        self.executable = executable
        self.args = list(args)
        self.options = options
        self.written = b""
        self.stdin_closed = False
        self.stdin_broken = False
        self.alive = True
        self.signals: list[str] = []

    # --- what the code under test calls -------------------------------------------------------

    def writeToChild(self, childFD: int, data: bytes) -> None:
        if self.stdin_broken:
            raise KeyError(childFD)
        self.written += data

    def closeStdin(self) -> None:
        self.stdin_closed = True

    def signalProcess(self, signalID: str | int) -> None:
        if not self.alive:
            raise ProcessExitedAlready
        self.signals.append(str(signalID))

    def closeChildFD(self, descriptor: int) -> None:
        raise AssertionError("not used")

    def closeStdout(self) -> None:
        raise AssertionError("not used")

    def closeStderr(self) -> None:
        raise AssertionError("not used")

    def loseConnection(self) -> None:
        raise AssertionError("not used")

    def write(self, data: bytes) -> None:
        raise AssertionError("not used")

    def writeSequence(self, data: Iterable[bytes]) -> None:
        raise AssertionError("not used")

    def getPeer(self) -> Any:
        raise AssertionError("not used")

    def getHost(self) -> Any:
        raise AssertionError("not used")

    # --- what a test makes the child do -------------------------------------------------------

    def say(self, data: bytes) -> None:
        """Standard output."""
        self.protocol.outReceived(data)

    def end(self, status: int = 0, signal: int | None = None) -> None:
        """Exit with this status, or by this signal."""
        self.alive = False
        kind: Exception = ProcessTerminated(status) if status else ProcessDone(0)
        if signal is not None:
            kind = ProcessTerminated(None, signal)
        self.protocol.processEnded(Failure(kind))


@implementer(IReactorProcess)
class FakeProcesses:
    """Remembers each spawnProcess; `failing` makes the machine refuse."""

    def __init__(self) -> None:
        self.children: list[FakeChild] = []
        self.failing = False

    def spawnProcess(
        self,
        processProtocol: IProcessProtocol,
        executable: str | bytes,
        args: Sequence[str | bytes] = (),
        env: Mapping[Any, Any] | None = None,
        path: str | bytes | None = None,
        uid: int | None = None,
        gid: int | None = None,
        usePTY: Any = False,
        childFDs: Mapping[int, int | str] | None = None,
    ) -> IProcessTransport:
        if self.failing:
            raise OSError(11, "Resource temporarily unavailable")
        child = FakeChild(
            processProtocol, str(executable), [str(arg) for arg in args], {"env": env, "childFDs": childFDs}
        )
        self.children.append(child)
        processProtocol.makeConnection(child)
        return child
