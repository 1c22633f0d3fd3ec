"""Proof workers: a bounded queue, answers on a grid, a process that may end at any time."""

from __future__ import annotations

import io
import os
import random
import signal
import sys
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities, initiator
from e2ee.errors import ProofRefused
from e2ee.ids import Address, PasscodeSessionId
from e2ee.server import proof_worker
from e2ee.server.policy import PROOF_GRID_SECONDS, PROOF_QUEUE
from e2ee.server.refusal import Refusal
from e2ee.server.worker_process import HUNG_SECONDS, STOP_SECONDS
from e2ee.server.workers import RESTART_SECONDS, ProofWorkers
from e2ee.wire.messages import RefusalCode
from tests.server.process_double import FakeProcesses

CODE = "123456"
IDENTITIES = ProofIdentities(
    PasscodeSessionId(b"s" * 16), Address("+15550100101"), b"k" * 32, b"x" * 32
)
ANSWER = proof_worker.frame(proof_worker.ProofAnswer(b"B" * 33, b"c" * 32, b"d" * 32))
REFUSED = proof_worker.frame(proof_worker.REFUSED)
Answered = tuple[bytes, Confirmations]


class WorkersTestCase(SynchronousTestCase):
    """One worker played by the test, virtual time that begins off the grid."""

    def setUp(self) -> None:
        self.processes = FakeProcesses()
        self.clock = Clock()
        self.clock.advance(1000.013)
        self.workers = ProofWorkers(self.processes, self.clock, count=1)
        self.workers.start()

    def ask(self, a: bytes = b"A" * 33) -> Deferred[Answered]:
        """One request with a place of its own."""

        async def asked() -> Answered:
            with self.workers.place() as respond:
                return await respond(CODE, IDENTITIES, a)

        return Deferred.fromCoroutine(asked())

    def refusal(self, asked: Deferred[Answered]) -> RefusalCode:
        return RefusalCode(self.failureResultOf(asked, Refusal).value.code)


class GridTests(WorkersTestCase):
    def assert_left(self, spent: float, expected: float) -> None:
        """An answer whose computation took `spent` seconds leaves `expected` ones after its request."""
        asked = self.ask()
        began = self.clock.seconds()
        self.clock.advance(spent)
        self.processes.children[0].say(ANSWER)
        while not asked.called:
            self.clock.advance(0.001)
        self.successResultOf(asked)
        self.assertLess(abs(self.clock.seconds() - began - expected), 0.0015)

    def test_answers_leave_at_a_multiple_of_50_ms_after_their_request(self) -> None:
        self.assertEqual(PROOF_GRID_SECONDS, 0.05)
        for spent, left in ((0.001, 0.05), (0.006, 0.05), (0.049, 0.05), (0.051, 0.1), (0.149, 0.15)):
            self.assert_left(spent, left)

    def test_where_in_the_grid_a_request_comes_makes_no_difference(self) -> None:
        for phase in (0.0, 0.011, 0.023, 0.044):
            self.clock.advance(phase)
            self.assert_left(0.008, 0.05)

    def test_a_refused_proof_leaves_on_the_same_grid(self) -> None:
        asked = self.ask()
        self.clock.advance(0.003)
        self.processes.children[0].say(REFUSED)
        self.clock.advance(0.046)
        self.assertNoResult(asked)
        self.clock.advance(0.002)
        self.failureResultOf(asked, ProofRefused)


class QueueTests(WorkersTestCase):
    def test_64_places_and_the_65th_request_is_busy(self) -> None:
        self.assertEqual(PROOF_QUEUE, 64)
        asked = [self.ask() for _ in range(64)]
        refused = self.failureResultOf(self.ask(), Refusal).value
        self.assertEqual(refused.code, RefusalCode.BUSY)
        self.assertGreater(refused.retry_after, 0)
        for _ in asked:
            self.processes.children[0].say(ANSWER)
        self.clock.advance(PROOF_GRID_SECONDS)
        for one in asked:
            self.assertEqual(self.successResultOf(one)[0], b"B" * 33)
        self.assertNoResult(self.ask())

    def test_a_place_is_free_again_whatever_happened_in_it(self) -> None:
        with ExitStack() as places:
            for _ in range(PROOF_QUEUE):
                places.enter_context(self.workers.place())
            self.assertRaises(Refusal, places.enter_context, self.workers.place())
        with self.assertRaises(ZeroDivisionError), self.workers.place():
            raise ZeroDivisionError
        self.assertNoResult(self.ask())

    def test_a_worker_is_asked_one_thing_at_a_time_in_order(self) -> None:
        first, second = self.ask(b"A" + b"1" * 32), self.ask(b"A" + b"2" * 32)
        child = self.processes.children[0]
        self.assertIn(b"1" * 32, child.written)
        self.assertNotIn(b"2" * 32, child.written)
        child.say(ANSWER)
        self.assertIn(b"2" * 32, child.written)
        self.clock.advance(PROOF_GRID_SECONDS)
        self.successResultOf(first)
        self.assertNoResult(second)

    def test_an_answer_may_come_byte_by_byte(self) -> None:
        asked = self.ask()
        for byte in ANSWER:
            self.processes.children[0].say(bytes((byte,)))
        self.clock.advance(PROOF_GRID_SECONDS)
        self.assertEqual(self.successResultOf(asked), (b"B" * 33, Confirmations(b"c" * 32, b"d" * 32)))

    def test_whoever_has_gone_gives_the_place_back_and_is_not_computed_for(self) -> None:
        running, waiting, last = self.ask(), self.ask(b"A" + b"2" * 32), self.ask(b"A" + b"3" * 32)
        for gone in (running, waiting):
            gone.cancel()
            self.failureResultOf(gone, CancelledError)
        child = self.processes.children[0]
        child.say(ANSWER)
        self.assertNotIn(b"2" * 32, child.written)
        self.assertIn(b"3" * 32, child.written)
        child.say(ANSWER)
        self.clock.advance(PROOF_GRID_SECONDS)
        self.successResultOf(last)

    def test_the_code_is_in_no_argument_environment_or_repr(self) -> None:
        self.ask()
        child = self.processes.children[0]
        self.assertIn(CODE.encode(), child.written)
        self.assertNotIn(CODE, repr(child.args) + repr(child.options))
        request = proof_worker.ProofRequest(CODE, b"s" * 16, "+15550100101", b"", b"", b"")
        self.assertNotIn(CODE, repr(request))
        self.assertNotIn("ccc", repr(proof_worker.ProofAnswer(b"", b"ccc", b"ccc")))


class RestartTests(WorkersTestCase):
    def test_a_crash_fails_the_request_it_had_and_the_others_go_on(self) -> None:
        first, second = self.ask(), self.ask()
        self.processes.children[0].end(status=1)
        self.assertEqual(self.refusal(first), RefusalCode.BUSY)
        self.assertNoResult(second)
        self.clock.advance(RESTART_SECONDS)
        self.assertEqual(len(self.processes.children), 2)
        self.processes.children[1].say(ANSWER)
        self.clock.advance(PROOF_GRID_SECONDS)
        self.successResultOf(second)

    def test_a_worker_that_cannot_run_does_not_spin(self) -> None:
        for ended in range(5):
            self.processes.children[-1].end(status=1)
            self.clock.advance(RESTART_SECONDS / 2)
            self.assertEqual(len(self.processes.children), ended + 1)
            self.clock.advance(RESTART_SECONDS / 2)
            self.assertEqual(len(self.processes.children), ended + 2)

    def test_a_hung_worker_is_killed_and_its_request_fails(self) -> None:
        asked = self.ask()
        self.clock.advance(HUNG_SECONDS - 0.01)
        self.assertEqual(self.processes.children[0].signals, [])
        self.clock.advance(0.02)
        self.assertEqual(self.processes.children[0].signals, ["KILL"])
        self.processes.children[0].end(status=9)
        self.assertEqual(self.refusal(asked), RefusalCode.BUSY)

    def test_a_worker_out_of_step_is_killed(self) -> None:
        for said in (ANSWER + b"x", b"\xff\xff\xff\xff"):
            self.ask().addErrback(lambda failure: failure.trap(Refusal))
            child = self.processes.children[-1]
            child.say(said)
            self.assertEqual(child.signals, ["KILL"])
            child.end(status=9)
            self.clock.advance(RESTART_SECONDS)
        child = self.processes.children[-1]
        child.say(ANSWER)  # to nobody's question
        self.assertEqual(child.signals, ["KILL"])

    def test_a_pipe_that_broke_before_the_end_was_seen_fails_the_request_at_the_end(self) -> None:
        child = self.processes.children[0]
        child.stdin_broken = True
        asked = self.ask()
        self.assertNoResult(asked)
        child.end(status=9)
        self.assertEqual(self.refusal(asked), RefusalCode.BUSY)

    def test_a_machine_that_starts_no_process_fails_what_waits_and_tries_again(self) -> None:
        self.processes.failing = True
        self.processes.children[0].end(status=1)
        asked = self.ask()
        self.clock.advance(RESTART_SECONDS)
        self.assertEqual(self.refusal(asked), RefusalCode.BUSY)
        self.processes.failing = False
        self.clock.advance(RESTART_SECONDS)
        self.assertEqual(len(self.processes.children), 2)


class StopTests(WorkersTestCase):
    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.workers.stop())

    def test_stop_closes_the_input_and_waits_for_the_end(self) -> None:
        stopped = self.stop()
        child = self.processes.children[0]
        self.assertTrue(child.stdin_closed)
        self.assertNoResult(stopped)
        child.end()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_kills_a_worker_that_does_not_end(self) -> None:
        stopped = self.stop()
        self.clock.advance(STOP_SECONDS)
        self.assertEqual(self.processes.children[0].signals, ["KILL"])
        self.processes.children[0].end(status=9)
        self.successResultOf(stopped)

    def test_what_waits_is_refused_and_what_runs_is_answered(self) -> None:
        running, waiting = self.ask(), self.ask()
        stopped = self.stop()
        self.assertEqual(self.refusal(waiting), RefusalCode.BUSY)
        self.assertEqual(self.refusal(self.ask()), RefusalCode.UNAVAILABLE)
        self.processes.children[0].say(ANSWER)
        self.clock.advance(PROOF_GRID_SECONDS)
        self.successResultOf(running)
        self.processes.children[0].end()
        self.successResultOf(stopped)

    def test_nothing_is_started_anew_after_stop(self) -> None:
        self.processes.children[0].end(status=1)
        self.successResultOf(self.stop())
        self.clock.advance(10 * RESTART_SECONDS)
        self.assertEqual(len(self.processes.children), 1)


class ServeTests(SynchronousTestCase):
    """The worker's own loop, on streams in memory."""

    def request(self, a: bytes) -> bytes:
        return proof_worker.frame(
            proof_worker.ProofRequest(
                code=CODE,
                session=bytes(IDENTITIES.session),
                address=str(IDENTITIES.address),
                account_key=IDENTITIES.account_key,
                exporter=IDENTITIES.exporter,
                a=a,
            )
        )

    def serve(self, requests: bytes) -> list[proof_worker.ProofAnswer]:
        answers = io.BytesIO()
        proof_worker.serve(io.BytesIO(requests), answers, random.Random(2).randbytes)
        rest, decoded = answers.getvalue(), []
        while rest:
            size = int.from_bytes(rest[: proof_worker.LENGTH_BYTES], "big")
            decoded.append(proof_worker.decode_answer(rest[4 : 4 + size]))
            rest = rest[4 + size :]
        return decoded

    def test_answers_agree_with_the_client(self) -> None:
        state, a = initiator(CODE, IDENTITIES, random.Random(1).randbytes)
        (answer,) = self.serve(self.request(a))
        self.assertEqual(state.finish(answer.b), Confirmations(answer.kc, answer.ks))

    def test_what_is_no_element_is_refused_and_the_next_is_answered(self) -> None:
        _, a = initiator(CODE, IDENTITIES, random.Random(1).randbytes)
        refused, answered = self.serve(self.request(b"A" * 33) + self.request(a))
        self.assertEqual(refused, proof_worker.REFUSED)
        self.assertNotEqual(answered, proof_worker.REFUSED)

    def test_it_ends_with_its_input_also_in_the_middle_of_a_frame(self) -> None:
        whole = self.request(b"A" * 33)
        for cut in (0, 3, 4, len(whole) - 1):
            self.assertEqual(self.serve(whole[:cut]), [])

    def test_a_length_above_the_bound_ends_it(self) -> None:
        self.assertEqual(self.serve((proof_worker.FRAME_BYTES + 1).to_bytes(4, "big") + bytes(2000)), [])


class RealProcessTests(TestCase):
    """One real worker process on the real reactor."""

    timeout = 300

    def setUp(self) -> None:
        self.spawned: list[Any] = []
        outer = self

        class Spawning:
            """The reactor's processes, remembered so that a test can send signals to its own child."""

            def spawnProcess(self, *args: Any, **kwargs: Any) -> Any:
                transport = reactor.spawnProcess(*args, **kwargs)
                outer.spawned.append(transport)
                return transport

        self.workers = ProofWorkers(Spawning(), reactor, count=1)  # type: ignore[arg-type]
        self.workers.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.workers.stop()))

    async def prove(self) -> None:
        state, a = initiator(CODE, IDENTITIES, os.urandom)
        with self.workers.place() as respond:
            b, confirmations = await respond(CODE, IDENTITIES, a)
        self.assertEqual(state.finish(b), confirmations)

    def run_async(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(coroutine)

    def test_it_answers_and_ignores_the_signals_of_a_terminal(self) -> Deferred[None]:
        async def scenario() -> None:
            await self.prove()
            for ignored in (signal.SIGINT, signal.SIGTERM):
                os.kill(self.spawned[0].pid, ignored)
                await self.prove()
            self.assertEqual(len(self.spawned), 1)

        return self.run_async(scenario())

    def test_a_killed_worker_is_replaced(self) -> Deferred[None]:
        async def scenario() -> None:
            await self.prove()
            os.kill(self.spawned[0].pid, signal.SIGKILL)
            try:
                await self.prove()
            except Refusal:
                await self.prove()
            self.assertEqual(len(self.spawned), 2)

        return self.run_async(scenario())

    def test_it_runs_apart_from_the_working_directory_and_the_environment(self) -> Deferred[None]:
        async def scenario() -> None:
            await self.prove()
            pid = self.spawned[0].pid
            with open(f"/proc/{pid}/cmdline", "rb") as source:
                argv = source.read().split(b"\0")
            with open(f"/proc/{pid}/environ", "rb") as source:
                environment = source.read()
            self.assertIn(b"-P", argv)
            self.assertNotIn(CODE.encode(), b"".join(argv) + environment)
            self.assertTrue(environment.startswith(b"PYTHONPATH="))
            self.assertEqual(environment.count(b"\0"), 1)

        if not sys.platform.startswith("linux"):
            self.skipTest("reads /proc")
        return self.run_async(scenario())
