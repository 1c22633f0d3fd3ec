"""Runs a program for each passcode: the number is its argument, the code its standard input.

Knows how to run it, not what it does. The code is never in an argument or the environment, where
other users of the machine could read it.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from e2ee.ids import Address
from e2ee.server.senders.interface import CodeNotSent, SenderRefused

RUN_SECONDS = 30.0
"""How long a command may take: longer than any gateway that still works."""
RUNNING_COMMANDS = 64
"""How many may run at once; a gateway that hangs must not fill the machine with them."""

_STANDARD_ERROR = 2


class CommandSender:
    """One run of the command for each code. The requester does not wait for its end."""

    _log = Logger()

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
        """Start the command; how it ends goes to the log. Raises CodeNotSent if too many run."""
        if len(self._running) >= RUNNING_COMMANDS:
            raise CodeNotSent(f"{RUNNING_COMMANDS} code commands are running already")
        run = _Run(code)
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
        self._watch(run)

    async def stop(self) -> None:
        """Kill what still runs."""
        for run in list(self._running):
            run.kill()
        await DeferredList([run.ended for run in self._running])

    def _watch(self, run: _Run) -> None:
        self._running.add(run)
        deadline = self._clock.callLater(RUN_SECONDS, run.kill)

        def done(problem: str) -> None:
            self._running.discard(run)
            if deadline.active():
                deadline.cancel()
            if problem:
                self._log.error("a passcode was not sent: the code command {problem}", problem=problem)

        run.ended.addCallback(done)


class _Run(ProcessProtocol):
    """One run; `ended` fires with what was wrong, empty if nothing."""

    def __init__(self, code: str) -> None:
        self._input = code.encode("ascii") + b"\n"
        self._killed = False
        self.ended: Deferred[str] = Deferred()

    def connectionMade(self) -> None:
        transport = self._process
        transport.writeToChild(0, self._input)
        transport.closeStdin()

    def processEnded(self, reason: Failure) -> None:
        if self._killed:
            self.ended.callback("did not end in time, or the server stopped")
        elif reason.check(ProcessDone):
            self.ended.callback("")
        else:
            self.ended.callback(f"failed: {reason.getErrorMessage()}")

    def kill(self) -> None:
        """End it the hard way, since it may ignore anything else."""
        self._killed = True
        try:
            self._process.signalProcess("KILL")
        except ProcessExitedAlready:
            return

    @property
    def _process(self) -> IProcessTransport:
        transport = self.transport
        if transport is None:
            raise ProcessExitedAlready
        return transport
