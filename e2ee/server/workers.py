"""The worker processes that answer SPAKE2, their queue, and the grid on which answers leave.

Knows processes and time; not sessions, guesses or connections. SPAKE2 is pure Python and holds the
interpreter for 10 ms, so it runs in processes of its own (`proof_worker`). Its time depends on the
code, so an answer leaves a multiple of 50 ms after its request came: counted from the request, not
from the wall clock, or a requester could choose where in the grid his answer falls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorProcess, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities
from e2ee.errors import ProofRefused
from e2ee.server.counters import Limit
from e2ee.server.policy import BUSY_RETRY_SECONDS, PROOF_GRID_SECONDS, PROOF_QUEUE
from e2ee.server.proof_worker import REFUSED, ProofRequest, decode_answer, frame
from e2ee.server.refusal import Refusal, unavailable
from e2ee.server.worker_process import WorkerEnded, WorkerProcess
from e2ee.wire.messages import RefusalCode

RESTART_SECONDS = 1.0
"""A worker that ended is started anew after this, so that one that cannot run does not spin."""

Respond = Callable[[str, ProofIdentities, bytes], Awaitable[tuple[bytes, Confirmations]]]
"""Code, identities and the client's element: the server's element and the confirmations to come.

Raises ProofRefused, or Refusal (BUSY) if the worker ended.
"""


class Prover(Protocol):
    """Answers SPAKE2 somewhere else than on the reactor's thread."""

    def place(self) -> AbstractContextManager[Respond]:
        """A place in the queue, kept until the block ends. Raises Refusal (BUSY) if there is none."""


def busy() -> Refusal:
    """All places are taken, or the worker ended."""
    return Refusal(
        RefusalCode.BUSY,
        "the server is busy with other registrations",
        BUSY_RETRY_SECONDS,
        Limit.PROOF_QUEUE,
    )


class ProofWorkers:
    """`count` processes behind one bounded queue; a process that ends is replaced."""

    _log = Logger()

    def __init__(
        self, processes: IReactorProcess, clock: IReactorTime, count: int = 1, queue: int = PROOF_QUEUE
    ) -> None:
        """`queue` bounds all that wait, run, or are held for the grid together."""
        self._processes = processes
        self._clock = clock
        self._count = count
        self._queue = queue
        self._taken = 0
        self._waiting: deque[tuple[bytes, Deferred[bytes]]] = deque()
        self._workers: list[WorkerProcess] = []
        self._restarts: list[IDelayedCall] = []
        self._stopping = False

    def start(self) -> None:
        """Start the processes."""
        for _ in range(self._count):
            self._spawn()

    async def stop(self) -> None:
        """Refuse what waits, let the processes finish what they do, and wait for their end."""
        self._stopping = True
        for restart in self._restarts:
            if restart.active():
                restart.cancel()
        self._fail_waiting()
        ended = [worker.ended for worker in self._workers]
        for worker in list(self._workers):
            worker.stop()
        await DeferredList(ended)

    @contextmanager
    def place(self) -> Iterator[Respond]:
        """See `Prover.place`. Taken before a guess is, so that a full queue costs nobody a guess."""
        if self._stopping:
            raise unavailable()
        if self._taken >= self._queue:
            raise busy()
        self._taken += 1
        try:
            yield self._respond
        finally:
            self._taken -= 1

    async def _respond(
        self, code: str, identities: ProofIdentities, a: bytes
    ) -> tuple[bytes, Confirmations]:
        arrived = self._clock.seconds()
        request = ProofRequest(
            code=code,
            session=bytes(identities.session),
            address=str(identities.address),
            account_key=identities.account_key,
            exporter=identities.exporter,
            a=a,
        )
        try:
            answer = decode_answer(await self._enqueue(frame(request)))
        except WorkerEnded:
            raise busy() from None
        spent = (self._clock.seconds() - arrived) % PROOF_GRID_SECONDS
        await deferLater(self._clock, PROOF_GRID_SECONDS - spent)
        if answer == REFUSED:
            raise ProofRefused
        return answer.b, Confirmations(answer.kc, answer.ks)

    def _enqueue(self, framed: bytes) -> Deferred[bytes]:
        answered: Deferred[bytes] = Deferred(self._forget)
        self._waiting.append((framed, answered))
        self._hand_out()
        return answered

    def _forget(self, cancelled: Deferred[bytes]) -> None:
        """Whoever asked has gone: drop the request if no worker has it yet."""
        self._waiting = deque(item for item in self._waiting if item[1] is not cancelled)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.idle and self._waiting:
                framed, answered = self._waiting.popleft()
                question = worker.ask(framed)
                question.addBoth(self._answered, answered)

    def _answered(self, result: bytes | Failure, answered: Deferred[bytes]) -> None:
        if not answered.called:  # else its requester has gone
            answered.callback(result)
        self._hand_out()

    def _spawn(self) -> None:
        worker = WorkerProcess(self._clock, self._ended)
        try:
            worker.spawn(self._processes)
        except OSError as error:
            self._log.error("a proof worker cannot be started: {reason}", reason=str(error))
            self._spawn_later()
            if not self._workers:
                self._fail_waiting()
            return
        self._workers.append(worker)
        self._hand_out()

    def _ended(self, worker: WorkerProcess) -> None:
        self._workers.remove(worker)
        if not self._stopping:
            self._log.error("a proof worker has ended and is started anew")
            self._spawn_later()

    def _spawn_later(self) -> None:
        self._restarts = [restart for restart in self._restarts if restart.active()]
        self._restarts.append(self._clock.callLater(RESTART_SECONDS, self._spawn))

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for _, answered in waiting:
            answered.errback(WorkerEnded("no worker"))
