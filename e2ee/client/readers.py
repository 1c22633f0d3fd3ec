"""Who reads a profile's messages, and what each of them is to show.

Several readers can be open at once: a chat, a `receive --follow`, a script. All of them see what comes
while they listen; what waited before belongs to the first who asks for it. A message counts as shown
when the first of them has flushed it. Knows positions in the vault, no way of printing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from e2ee.client.context import Context
from e2ee.client.events import Event, MessageReceived, Selection, ShownEvent, UnreadOf
from e2ee.client.sending.receipting import owe_read
from e2ee.client.sending.receipts import Receipts
from e2ee.client.shown import choose, event_selected, events_of, gone
from e2ee.client.transfers.files import Files
from e2ee.store.client import arrivals
from e2ee.store.client.arrivals import ArrivalKind
from e2ee.store.client.contacts import load_contact
from e2ee.store.client.timers import start_timers
from e2ee.store.connection import Connection

PAGE = 100
"""What a reader is given at once: enough to hide the look-up, few enough to hold."""
PAGE_BYTES = 1024 * 1024
KEPT_BYTES = 8 * 1024 * 1024
"""What is kept for a reader who is slower than another; the oldest is let go."""


class Readers:
    """One profile's. `timed` is called when texts were shown whose time may run now."""

    def __init__(
        self, context: Context, receipts: Receipts, files: Files, timed: Callable[[], None]
    ) -> None:
        self.context = context
        self.receipts = receipts
        self.files = files
        self.timed = timed
        self.present: list[Reader] = []
        context.listeners.subscribe(self._hear)

    def enter(self) -> Reader:
        """Somebody who may read. What comes is kept for him from when he listens."""
        reader = Reader(self)
        self.present.append(reader)
        return reader

    def _hear(self, event: Event) -> None:
        """While several listen, each keeps what comes: the first to show it takes it from the vault."""
        if isinstance(event, ShownEvent):
            listening = [reader for reader in self.present if reader.listening]
            if len(listening) > 1:
                for reader in listening:
                    reader.keep(event)


class Reader:
    """One of them. His calls come one after another."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._context = readers.context
        self._reserved: set[int] = set()
        self._printing: set[int] = set()
        self._kept: dict[int, ShownEvent] = {}
        self._kept_bytes = 0
        self.listening = False

    # --- what comes ---------------------------------------------------------------------------

    async def listen(self, since: int | None) -> tuple[int, list[ShownEvent]]:
        """From now on all that comes is his, too.

        Returns the newest position, and the first page of what is unshown behind `since`, if given.
        """
        self.listening = True

        def load(tx: Connection) -> tuple[int, list[ShownEvent]]:
            missed = [] if since is None else arrivals.unshown_arrivals(tx, since, PAGE)
            return arrivals.newest_position(tx), _page(events_of(tx, missed))

        return await self._context.vault.read(load)

    def keep(self, event: ShownEvent) -> None:
        """This is to be shown here, whoever else shows it."""
        self._kept[event.position] = event
        self._kept_bytes += _size(event)
        while self._kept_bytes > KEPT_BYTES:
            self._let_go(min(self._kept))

    def _let_go(self, position: int) -> None:
        event = self._kept.pop(position, None)
        if event is not None:
            self._kept_bytes -= _size(event)

    async def _let_go_of_gone(self) -> None:
        """What another has shown may be forgotten meanwhile, or its sender blocked."""
        kept = list(self._kept.values())
        if kept:
            for position in await self._context.vault.read(lambda tx: gone(tx, kept)):
                self._let_go(position)

    # --- what is shown ------------------------------------------------------------------------

    async def take(self, most: int | None, selection: Selection | None) -> list[ShownEvent]:
        """Reserve what is unshown, up to `most` texts, and return the first page of it, oldest first."""
        await self._let_go_of_gone()
        found = await self._reserve(most, selection)
        return _up_to(_page(self._with_kept(found, selection or Selection())), most)

    async def _reserve(self, most: int | None, selection: Selection | None) -> list[ShownEvent]:
        """The first of the reserved; new reservations are made when none is left."""
        if self._reserved and selection is None:
            left = sorted(self._reserved)
            found = await self._context.vault.read(
                lambda tx: events_of(tx, arrivals.arrivals_at(tx, left[:PAGE]))
            )
            # What is not there any more was shown or told by somebody else.
            self._reserved -= set(left[:PAGE]) - {event.position for event in found}
            if found:
                return found
        while True:
            barred = self._barred()
            chosen, found = await self._context.vault.read(_choice(barred, most, selection or Selection()))
            # Another reader may have asked at the same time: the first answer counts.
            free = chosen - self._barred()
            self._reserved |= free
            if free or not chosen:
                return [event for event in found if event.position in free]

    def _barred(self) -> set[int]:
        """What others show, unless it came while this one listened."""
        theirs = (one._reserved for one in self._readers.present if one is not self)
        return set[int]().union(*theirs) - self._kept.keys()

    def _with_kept(self, found: Iterable[ShownEvent], selection: Selection) -> list[ShownEvent]:
        """Together with what others have shown already, in order."""
        events = {event.position: event for event in found}
        last = max(events, default=None)
        for position, event in self._kept.items():
            if (last is None or position < last) and event_selected(event, selection):
                events.setdefault(position, event)
        return [events[position] for position in sorted(events)]

    async def unread(self) -> list[UnreadOf]:
        """From whom how many texts he could show, sorted by number."""
        await self._let_go_of_gone()
        barred, kept = self._barred(), self._kept.items()
        senders = {position: one.address for position, one in kept if isinstance(one, MessageReceived)}

        def count(tx: Connection) -> list[UnreadOf]:
            chosen = choose(tx, barred, None, Selection())
            texts = {one.position: one.address for one in chosen if one.kind is ArrivalKind.MESSAGE}
            counts = Counter((texts | senders).values())
            return [UnreadOf(one, load_contact(tx, one).name, counts[one]) for one in sorted(counts)]

        return await self._context.vault.read(count)

    async def mark_printing(self, positions: Iterable[int]) -> list[int]:
        """These are about to be printed; returns which of them still may be."""
        free = sorted(set(positions) - self._barred())
        self._reserved.update(free)
        self._printing.update(free)
        kept = [self._kept[position] for position in free if position in self._kept]

        def mark(tx: Connection) -> set[int]:
            shown_elsewhere = {event.position for event in kept} - gone(tx, kept)
            return arrivals.mark_printing(tx, free) | shown_elsewhere

        allowed = await self._context.write(mark)
        granted = [position for position in free if position in allowed]
        self._forget(set(free).difference(granted))
        return granted

    async def mark_shown(self, positions: Iterable[int]) -> None:
        """These were printed and flushed: their files are fetched, and their senders are told, if the user
        wants that."""
        shown, now = set(positions), self._context.now
        for position in shown:
            self._let_go(position)

        def mark(tx: Connection) -> tuple[bool, bool]:
            rows = arrivals.mark_shown(tx, sorted(shown))
            start_timers(tx, rows, now)
            wanted = self._readers.files.note_shown(tx, rows)
            return wanted, self._context.receipts and owe_read(tx, rows)

        wanted, owed = await self._context.write(mark)
        if wanted:
            self._readers.files.downloads.look()
        if owed:
            self._readers.receipts.owed()
        self._readers.timed()
        self._forget(shown)

    def _forget(self, positions: set[int]) -> None:
        self._reserved -= positions
        self._printing -= positions

    async def leave(self) -> None:
        """What was not shown is the others'; what was being printed may be on a screen."""
        if self not in self._readers.present:
            return
        printing, self._printing = sorted(self._printing), set()
        if printing:
            await self._context.write(lambda tx: arrivals.mark_repeated(tx, printing))
        self._readers.present.remove(self)


def _choice(
    barred: set[int], most: int | None, selection: Selection
) -> Callable[[Connection], tuple[set[int], list[ShownEvent]]]:
    """Finds all positions to reserve, and the first events of them."""

    def choice(tx: Connection) -> tuple[set[int], list[ShownEvent]]:
        chosen = choose(tx, barred, most, selection)
        return {one.position for one in chosen}, events_of(tx, chosen[:PAGE])

    return choice


def _page(events: list[ShownEvent]) -> list[ShownEvent]:
    """As many of the first as make a page."""
    size = 0
    for index, event in enumerate(events[:PAGE]):
        size += _size(event)
        if size > PAGE_BYTES and index:
            return events[:index]
    return events[:PAGE]


def _up_to(events: list[ShownEvent], most: int | None) -> list[ShownEvent]:
    """Up to and with the `most`-th text."""
    texts = 0
    for index, event in enumerate(events):
        texts += isinstance(event, MessageReceived)
        if texts == most:
            return events[: index + 1]
    return events


def _size(event: ShownEvent) -> int:
    """What it costs to hold or to send, about; a character has four bytes at the most."""
    return 500 + (4 * len(event.text) if isinstance(event, MessageReceived) else 0)
