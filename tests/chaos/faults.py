"""Faults to plant into a process of the product, so that the harness can be seen to find them.

Each is a function that alters the imported program before it runs, and exists here only: the product has
no such switch. Knows the insides of both programs, as far as it breaks them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

LATE_SECONDS: Final = 3_600.0
"""How much later than it should what was acknowledged is committed: a kill always comes first."""
EVERY: Final = 5
"""One in so many messages is treated wrongly."""


def acknowledge_before_commit() -> None:
    """The recipient acknowledges an envelope, and commits it later."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    from e2ee.client.receiving.keeping import Taken
    from e2ee.client.receiving.receiver import Receiver

    take = Receiver._take

    async def late(self: Receiver, pushed: Any) -> Any:
        await deferLater(reactor, LATE_SECONDS)
        return await take(self, pushed)

    async def receive(self: Receiver, push: Any) -> None:
        pushed = _pushed(self, push)
        self._acknowledge(self._context.connection, push, pushed, Taken(opened=True))
        taken, events = await late(self, pushed)
        self._tell(pushed, taken, events)

    Receiver._receive = receive  # type: ignore[method-assign]


def _pushed(receiver: Any, push: Any) -> Any:
    from e2ee.client.receiving.keeping import Pushed
    from e2ee.ids import Address, DeviceId, EnvelopeId

    envelope_id = EnvelopeId.of(push.envelope)
    now = receiver._context.now
    return Pushed(Address(push.number), DeviceId(push.device), push.envelope, envelope_id, now)


def answer_before_commit() -> None:
    """The server answers `stored`, and writes later."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import deferLater

    from e2ee.store.server.mailbox import SqlMailbox
    from e2ee.store.server.ports import Appended, MailItem

    append = SqlMailbox.append

    async def write(self: SqlMailbox, items: Iterable[MailItem], now: float) -> None:
        await deferLater(reactor, LATE_SECONDS)
        await append(self, items, now)

    async def answer(self: SqlMailbox, items: Iterable[MailItem], now: float) -> Any:
        begun = list(items)
        Deferred.fromCoroutine(write(self, items, now))
        return [Appended(seq) for seq in range(len(begun))]

    SqlMailbox.append = answer  # type: ignore[method-assign]


def no_deduplication() -> None:
    """The recipient shows again what the server pushes again."""
    from e2ee.client.receiving.incoming import Incoming
    from e2ee.client.receiving.keeping import Taken
    from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival

    take = Incoming.take
    rows: dict[bytes, tuple[Any, int]] = {}

    def again(self: Incoming, tx: Any, pushed: Any, served: Any = None) -> Taken:
        if pushed.envelope_id in rows:
            address, row = rows[pushed.envelope_id]
            arrival = Arrival(ArrivalKind.MESSAGE, address, pushed.received_at, message=row)
            return Taken(opened=True, arrivals=[add_arrival(tx, arrival)])
        taken = take(self, tx, pushed, served)
        for position in taken.arrivals:
            row = tx.execute("SELECT message FROM arrival WHERE position = ?", (position,)).fetchone()[0]
            rows[pushed.envelope_id] = (pushed.address, row)
        return taken

    Incoming.take = again  # type: ignore[method-assign]


def arrives_backwards() -> None:
    """Envelopes come out of order. That is no fault of the recipient's, who must put it right."""
    from e2ee.client.receiving.receiver import Receiver

    push = Receiver.push
    kept: list[Any] = []

    def swapped(self: Receiver, message: Any) -> None:
        kept.append(message)
        if len(kept) == 2:
            push(self, kept.pop())
            push(self, kept.pop())

    Receiver.push = swapped  # type: ignore[method-assign, assignment]


def unordered() -> None:
    """Envelopes come out of order, and the recipient shows them as they come."""
    from e2ee.client.receiving import sequence

    arrives_backwards()
    take_text = sequence.take_text

    def at_once(tx: Any, record: Any, device: Any, file: Any = None) -> Any:
        from e2ee.store.client import messages

        stream = messages.load_stream(tx, record.address, device)
        before = record.sequence - 1
        messages.save_stream(tx, messages.Stream(record.address, device, before, before))
        taken = take_text(tx, record, device, file)
        if stream.released_up_to > record.sequence:
            messages.save_stream(tx, stream)
        return taken

    from e2ee.client.receiving import keeping

    keeping.take_text = at_once  # type: ignore[attr-defined]


def swallowed() -> None:
    """The recipient acknowledges some messages, and keeps nothing of them."""
    from e2ee.client.receiving import keeping
    from e2ee.client.receiving.sequence import skip_text

    take_text = keeping.take_text  # type: ignore[attr-defined]

    def take(tx: Any, record: Any, device: Any, file: Any = None) -> Any:
        if record.sequence % EVERY:
            return take_text(tx, record, device, file)
        skip_text(tx, record.address, device, record.sequence)
        return [], False

    keeping.take_text = take  # type: ignore[attr-defined]


def shown_unmarked() -> None:
    """A reader prints without a mark before, so that after a kill a line comes again as if it were new."""
    from e2ee.store.client import arrivals

    def all_there(tx: Any, positions: Sequence[int]) -> set[int]:
        return set(positions)

    def nothing(tx: Any, positions: Sequence[int]) -> list[int]:
        return []

    arrivals.mark_printing = all_there
    arrivals.mark_shown = nothing


def chain_not_advanced() -> None:
    """The sender does not keep how far the chain has come: the next message takes the same place."""
    from e2ee.store.client import sessions

    def forgotten(tx: Any, record: Any, *, first: bool) -> None:
        """Nothing is kept."""

    sessions.save_sent = forgotten


def not_synchronous() -> None:
    """Commits are not brought to the disk: what a power cut then takes is what it must never take."""
    from e2ee.store import connection

    prepare = connection._prepare

    def careless(opened: Any, key: bytes) -> None:
        prepare(opened, key)
        opened.execute("PRAGMA synchronous = OFF")

    connection._prepare = careless  # type: ignore[assignment]


FAULTS: Final[dict[str, Callable[[], None]]] = {
    fault.__name__: fault
    for fault in (
        acknowledge_before_commit, answer_before_commit, no_deduplication, arrives_backwards, unordered,
        swallowed, shown_unmarked, chain_not_advanced, not_synchronous,
    )
}  # fmt: skip
"""By the names that `E2EE_CHAOS_FAULT` takes."""
