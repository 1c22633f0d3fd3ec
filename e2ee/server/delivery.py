"""One recipient device: its seat, its connection, and what the seat orders carried out.

Knows the mailbox and a connection, not who may send what (`courier`). The rules stand in `seat`;
here effects are carried out in their order, whatever a callback does meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from e2ee.errors import StoreError, StoreUnavailable
from e2ee.ids import DeviceAddress
from e2ee.server.eager import run_eagerly
from e2ee.server.peer import Peer
from e2ee.server.removals import Removals
from e2ee.server.seat import Seat
from e2ee.server.seat_terms import (
    Answer,
    Append,
    Attach,
    Batch,
    Effect,
    Entry,
    Outcome,
    PushDrained,
    PushItem,
    Read,
    Remove,
)
from e2ee.store.server.ports import Appended, AppendRefused, Attached, Mailbox
from e2ee.wire.messages import Acknowledge, Drained, Push, Verdict

Reached = Callable[[Any, Outcome], None]
"""Who is told the one outcome of each submit, and for whom."""


_OPENED = Verdict.OPENED  # by the class, Python 3.11 calls a function for it: too dear for every message


class Delivery:
    """Carries out what the seat of `where` orders. `on_idle` is called whenever it can be forgotten: again
    when an answer of the mailbox comes for which nobody waits any more.
    """

    _log = Logger()

    def __init__(
        self,
        where: DeviceAddress,
        mailbox: Mailbox,
        clock: IReactorTime,
        now: Callable[[], float],
        reached: Reached,
        on_idle: Callable[[Delivery], None],
    ) -> None:
        """`now` is service time in seconds, `clock` only schedules."""
        self.where = where
        self._mailbox = mailbox
        self._clock = clock
        self._now = now
        self._reached = reached
        self._on_idle = on_idle
        self._seat = Seat()
        self.peer: Peer | None = None
        self._attaching: Deferred[Attached | None] | None = None
        self._sender: DeviceAddress | None = None
        self._plain_sender = "", b""  # of whom the last push was; most often the next one is, too
        self._effects: deque[Effect] = deque()
        self._carrying = False
        self._timer: IDelayedCall | None = None
        self._removals = Removals(where, mailbox, clock)
        self._at_rest: list[Deferred[None]] = []

    # --- events -------------------------------------------------------------------------------

    def submit(self, entry: Entry, now: float) -> None:
        """An envelope for this device."""
        effects = self._seat.submit(entry, now)
        if effects:
            self._do(effects)

    async def attach(self, peer: Peer) -> Attached | None:
        """Make `peer` the device's connection; an older one is displaced.

        Returns when all that was in memory is on disk. None: the device does not exist any more, or
        a still newer connection has taken the place meanwhile. Raises StoreError.
        """
        displaced, self.peer = self.peer, peer
        self._removals.arrived()
        passed_over, self._attaching = self._attaching, Deferred()
        attaching = self._attaching
        if displaced is not None:
            displaced.displace()
        if passed_over is not None:
            passed_over.callback(None)
        self._do(self._seat.attach())
        return await attaching

    def begin(self, peer: Peer, attached: Attached) -> None:
        """The login has been answered: push from now on."""
        if self.peer is peer:
            self._do(self._seat.attached(attached.epoch, attached.end))

    def acknowledge(self, peer: Peer, message: Acknowledge) -> None:
        """The recipient's vault has it; raises WrongAcknowledgement."""
        if self.peer is peer:
            opened = message.verdict is _OPENED
            self._do(self._seat.acknowledge(message.push, message.envelope_id, opened))

    def lost(self, peer: Peer) -> None:
        """The connection is gone."""
        if self.peer is peer:
            self._end()

    def log_out(self, sentence: str) -> None:
        """The device is not its account's any more, or may not log in; `sentence` says why."""
        if self.peer is not None:
            self.peer.log_out(sentence)
            self._end()

    def stop(self) -> None:
        """Take nothing more, and write what is in memory."""
        self._do(self._seat.stop())

    def at_rest(self) -> Deferred[None]:
        """Fires when nothing is in memory alone."""
        rest: Deferred[None] = Deferred()
        self._at_rest.append(rest)
        self._do([])
        return rest

    def _end(self) -> None:
        """No connection is left; a login that still waits for its place gets none."""
        self.peer = None
        self._removals.lost()
        attaching, self._attaching = self._attaching, None
        self._do(self._seat.lost())
        if attaching is not None:
            attaching.callback(None)

    # --- effects ------------------------------------------------------------------------------

    def _do(self, effects: Sequence[Effect]) -> None:
        """Carry out in order; what a callback brings about comes after what was there before."""
        due = self._effects
        due.extend(effects)
        if self._carrying:
            return
        self._carrying = True
        try:
            while due:
                effect = due.popleft()
                if type(effect) is Answer:
                    self._reached(effect.waiter, effect.outcome)
                else:
                    self._carry_out(effect)
        finally:
            self._carrying = False
        if self._timer is None:
            self._watch_time()
        if self._at_rest or self.peer is None:
            self._look_for_rest()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case PushItem():
                sender = effect.sender
                if sender is not self._sender:
                    self._sender = sender
                    self._plain_sender = str(sender.address), bytes(sender.device)
                number, device = self._plain_sender
                self._push(Push(effect.push, number, device, effect.envelope))
            case PushDrained():
                self._push(Drained())
            case Append():
                self._run(self._append(effect.items))
            case Read():
                self._run(self._read(effect))
            case Remove():
                if self._removals.add(effect):
                    self._remove_now()
            case Attach():
                self._run(self._attach(self._attaching))

    def _push(self, message: Push | Drained) -> None:
        if self.peer is not None:
            self.peer.push(message)

    def _run(self, step: Coroutine[Deferred[Any], Any, None]) -> None:
        try:
            running = run_eagerly(step)
        except Exception:
            self._failed(Failure())
        else:
            if running is not None:
                running.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        """A defect, unlike a full disk: its kind goes to the log, its text might hold content."""
        self._log.error("the mailbox has failed: {kind}", kind=type(failure.value).__name__)

    async def _append(self, items: Batch) -> None:
        results: Sequence[Appended | AppendRefused] | None = None
        try:
            results = await self._mailbox.append(items, self._now())
        except StoreError:
            results = None  # rolled back: none of the batch is on disk
        except Exception:
            self._failed(Failure())
        self._do(self._seat.appended(results))

    async def _read(self, order: Read) -> None:
        """Rows for the connection. One that does not get them is cut, and reads on from its next login."""
        reader = self.peer
        try:
            rows = await self._mailbox.after(self.where, order.after, order.count, order.size)
        except Exception as error:
            if reader is not None and reader is self.peer:
                reader.abort()
            if isinstance(error, StoreUnavailable):
                return
            raise
        self._do(self._seat.rows_read(order.turn, rows))

    def _remove_now(self) -> None:
        self._run(self._remove())

    async def _remove(self) -> None:
        """Remove what was acknowledged; it may fail, for rows come again."""
        try:
            await self._removals.run(self._remove_now)
        finally:
            self._do([])

    async def _attach(self, attaching: Deferred[Attached | None] | None) -> None:
        attached: Attached | None = None
        failure: Failure | None = None
        try:
            attached = await self._mailbox.attach(self.where)
            self._removals.outdated()
        except Exception:
            failure = Failure()
        if attaching is None or attaching is not self._attaching:
            return
        self._attaching = None
        if failure is None:
            attaching.callback(attached)
        else:
            attaching.errback(failure)

    # --- time and rest ------------------------------------------------------------------------

    def _watch_time(self) -> None:
        """One timer for all that is held: it looks again when it fires, and is never moved."""
        deadline = self._seat.deadline
        if deadline is not None:
            self._timer = self._clock.callLater(max(0.0, deadline - self._now()), self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self._do(self._seat.timer(self._now()))

    def _look_for_rest(self) -> None:
        if self._removals.busy or not self._seat.settled:
            return
        rests, self._at_rest = self._at_rest, []
        for rest in rests:
            rest.callback(None)
        if self.peer is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._on_idle(self)
