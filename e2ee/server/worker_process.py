"""One worker process: started, asked one thing at a time, ended. Knows nothing of its queue."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from e2ee.errors import E2eeError
from e2ee.server.proof_worker import FRAME_BYTES, LENGTH_BYTES

HUNG_SECONDS = 10.0
"""A worker that takes so long for 10 ms of work will not come back; a new one is still starting."""
STOP_SECONDS = 1.0
"""How long a worker may take to notice that its input has ended."""

_MODULE = "e2ee.server.proof_worker"
_STANDARD_ERROR = 2


class WorkerEnded(E2eeError):
    """The process ended before it had answered."""


class WorkerProcess(ProcessProtocol):
    """One child process that answers frames with frames, in order, one at a time."""

    def __init__(self, clock: IReactorTime, ended: Callable[[WorkerProcess], None]) -> None:
        """`ended` is called once when the process is gone, before its open question fails."""
        self._clock = clock
        self._report_end = ended
        self._received = b""
        self._question: Deferred[bytes] | None = None
        self._deadline: IDelayedCall | None = None
        self.ended: Deferred[None] = Deferred()

    def spawn(self, processes: IReactorProcess) -> None:
        """Start the process. Raises OSError if the machine cannot.

        ``-P`` keeps the working directory off its import path; the environment holds nothing else
        than where this server's own modules were found.
        """
        processes.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-P", "-m", _MODULE],
            env={"PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)},
            childFDs={0: "w", 1: "r", 2: _STANDARD_ERROR},
        )

    @property
    def idle(self) -> bool:
        """Whether it can be asked."""
        return self._question is None

    def ask(self, framed: bytes) -> Deferred[bytes]:
        """Write one frame; the answer's content, or WorkerEnded. Only while `idle`."""
        question: Deferred[bytes] = Deferred()
        self._question = question
        self._deadline = self._clock.callLater(HUNG_SECONDS, self._kill)
        try:
            if self.transport is not None:
                self.transport.writeToChild(0, framed)
        except KeyError:
            # Twisted has seen the pipe break, but not yet the end of the process: that will fail it.
            return question
        return question

    def stop(self) -> None:
        """Close its input: it finishes what it does and ends, or is killed."""
        if self.transport is not None:
            self.transport.closeStdin()
        deadline = self._clock.callLater(STOP_SECONDS, self._kill)
        self.ended.addCallback(lambda _: deadline.cancel() if deadline.active() else None)

    def outReceived(self, data: bytes) -> None:
        """Collect one frame; more than was asked for means that the process is out of step."""
        self._received += data
        if len(self._received) < LENGTH_BYTES:
            return
        size = int.from_bytes(self._received[:LENGTH_BYTES], "big")
        if size > FRAME_BYTES or len(self._received) > LENGTH_BYTES + size or self.idle:
            self._kill()
        elif len(self._received) == LENGTH_BYTES + size:
            answer, self._received = self._received[LENGTH_BYTES:], b""
            self._settle().callback(answer)

    def processEnded(self, reason: Failure) -> None:
        """The process is gone and its pipes are closed."""
        self._report_end(self)
        if not self.idle:
            self._settle().errback(WorkerEnded(reason.getErrorMessage()))
        self.ended.callback(None)

    def _settle(self) -> Deferred[bytes]:
        """Take the open question away, and its deadline."""
        question = self._question
        if question is None:
            raise ValueError("there is no open question")
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._question = None
        return question

    def _kill(self) -> None:
        try:
            if self.transport is not None:
                self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            return
