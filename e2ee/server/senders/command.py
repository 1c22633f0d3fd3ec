"""Runs a program for each passcode: the number is its argument, the code its standard input.

Knows how to run it, not what it does. The code is never in an argument or the environment, where
other users of the machine could read it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from e2ee.ids import Address
from e2ee.server.senders.interface import CodeNotSent, SenderRefused, SenderSurroundings

RUN_SECONDS = 30.0
"""How long a command may take: longer than any gateway that still works."""
NO_SUCH_ADDRESSEE = 67
"""The exit status (EX_NOUSER of sysexits.h) that says: I do not serve this number."""

_STANDARD_ERROR = 2


class CommandSender:
    """One run of the command for each code."""

    at_once = False

    def __init__(self, path: Path, processes: IReactorProcess, clock: IReactorTime) -> None:
        """Raises SenderRefused if there is no such program.

        The path is made absolute here, since a daemon changes its working directory.
        """
        self._path = os.path.abspath(path)
        if not (os.path.isfile(self._path) and os.access(self._path, os.X_OK)):
            raise SenderRefused(f"the code command {self._path} is not a program that can be run")
        self._processes = processes
        self._clock = clock
        self._running: set[_Run] = set()

    def start(self) -> None:
        """Nothing to prepare."""

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        """Run the command to its end; raises CodeNotSent unless it ends with status 0 in time."""
        run = self._begin(address, code)
        deadline = self._clock.callLater(RUN_SECONDS, run.kill)
        try:
            await run.ended()
        finally:
            if deadline.active():
                deadline.cancel()
        if run.killed:
            raise CodeNotSent(f"the code command did not end within {RUN_SECONDS:.0f} seconds")
        if run.problem:
            raise CodeNotSent(
                f"the code command {run.problem}", about_number=run.status == NO_SUCH_ADDRESSEE
            )

    async def stop(self) -> None:
        """Kill what still runs, and wait for it."""
        ends = [run.ended() for run in self._running]
        for run in list(self._running):
            run.kill()
        await DeferredList(ends)

    def _begin(self, address: Address, code: str) -> _Run:
        run = _Run(code, self._running)
        discard = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            # Its standard error goes where the server's goes, unread: it might repeat the code.
            self._processes.spawnProcess(
                run,
                self._path,
                [self._path, str(address)],
                env=None,
                childFDs={0: "w", 1: discard, 2: _STANDARD_ERROR},
            )
        except OSError as error:
            raise CodeNotSent(f"the code command could not be run: {error.strerror}") from None
        finally:
            os.close(discard)
        self._running.add(run)
        return run


class _Run(ProcessProtocol):
    """One run. Once it has ended, `problem` says how it failed, empty if it did not."""

    def __init__(self, code: str, running: set[_Run]) -> None:
        self._input = code.encode("ascii") + b"\n"
        self._running = running
        self._waiting: list[Deferred[None]] = []
        self.killed = False
        self.problem = ""
        self.status: int | None = None

    def ended(self) -> Deferred[None]:
        """Fires when the program has ended. Giving up on it kills the program."""
        waiting: Deferred[None] = Deferred(lambda _: self.kill())
        self._waiting.append(waiting)
        return waiting

    def connectionMade(self) -> None:
        transport = self._process
        transport.writeToChild(0, self._input)
        transport.closeStdin()

    def processEnded(self, reason: Failure) -> None:
        self._running.discard(self)
        if not reason.check(ProcessDone):
            self._explain(reason.value)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(None)

    def kill(self) -> None:
        """End it the hard way, since it may ignore anything else."""
        self.killed = True
        try:
            self._process.signalProcess("KILL")
        except ProcessExitedAlready:
            return

    def _explain(self, error: BaseException | None) -> None:
        if not isinstance(error, ProcessTerminated):
            self.problem = "ended in an unknown way"
        elif error.signal is not None:
            self.problem = f"was ended by {_signal_name(error.signal)}"
        else:
            self.status = error.exitCode
            self.problem = f"failed with exit status {error.exitCode}"

    @property
    def _process(self) -> IProcessTransport:
        transport = self.transport
        if transport is None:
            raise ProcessExitedAlready
        return transport


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def make_sender(option: str, around: SenderSurroundings) -> CommandSender:
    """For ``command:PATH``."""
    path = option.partition(":")[2]
    if not path:
        raise SenderRefused("the passcode sender command is written command:PATH")
    return CommandSender(Path(path), around.reactor, around.reactor)
