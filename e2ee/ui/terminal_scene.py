"""What stands around a conversation on a terminal: own messages with their states, and the status line.

Knows the messenger and a terminal's console; not what commands do (`chat`), nor how anything is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from e2ee.client.events import (
    ContactTyping,
    Event,
    FileProgress,
    LinkDown,
    LinkUp,
    MessageReceived,
    MessageSent,
    PresenceChanged,
    SentState,
    ShownEvent,
)
from e2ee.ids import Address, MessageId
from e2ee.ui import render
from e2ee.ui.arrivals import other_side
from e2ee.ui.known_people import KnownPeople
from e2ee.ui.progress import moving_text
from e2ee.ui.scene import SHOWN_STATES, Scene, state_notice
from e2ee.ui.status_line import Partner, Standing
from e2ee.ui.suggestions import Place, Suggestion, suggestions
from e2ee.ui.terminal_console import TerminalConsole
from e2ee.ui.typists import Typists

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

NEWS_SECONDS = 0.3
"""States of messages out of reach that change within this time are told together."""
NOT_SENT = "not sent"


@dataclass(slots=True)
class _Own:
    to: Address
    text: str
    at: int
    state: SentState = SentState.QUEUED


class TerminalScene(Scene):
    """One run's. `now` is in milliseconds since 1970; `tell` prints a record beside the conversation."""

    opens_chats = True

    def __init__(
        self,
        messenger: Conversations,
        console: TerminalConsole,
        clock: IReactorTime,
        now: Callable[[], int],
        tell: Callable[[str], None],
    ) -> None:
        self._messenger = messenger
        self._console = console
        self._clock = clock
        self._now = now
        self._tell = tell
        self._people = KnownPeople(messenger, self._show)
        self._partner: Address | None = None
        self._place = Place.MENU
        self._own: dict[MessageId, _Own] = {}
        self._beyond: dict[SentState, list[str]] = {}
        self._telling: IDelayedCall | None = None
        self._open = False
        self._moving = ""
        self._said_why = False
        self._announced: set[Address] = set()
        self._typists = Typists(messenger, clock, self._show)

    # --- its life -----------------------------------------------------------------------------

    async def begin(self) -> None:
        """Take the terminal."""
        typed = await self._messenger.typed_lines()
        self._open = True
        self._console.open(typed, self._suggest, self._typed)
        self._people.begin()

    async def leave(self, waiting: int) -> None:
        """Give the terminal back: from now on Ctrl-C ends the process as usual."""
        await self.end()
        if waiting:
            left = render.texts(waiting)
            self._tell(render.notice(f"waiting for the server to accept {left}; Ctrl-C leaves it for later"))

    async def end(self) -> None:
        """The same, without a word."""
        self._open = False
        if self._telling is not None and self._telling.active():
            self._telling.cancel()
        self._people.end()
        self._typists.end()
        await self._console.close()

    # --- what the chat tells ------------------------------------------------------------------

    def entered(self, partner: Address | None) -> None:
        """Show whom the chat is with."""
        self._partner = partner
        self._announced.clear()
        self._people.refresh()
        self._show()

    def reading(self, place: Place) -> None:
        """Complete what can be meant here."""
        self._place = place
        self._people.refresh()

    def holds_back(self, event: ShownEvent) -> bool:
        """What others than the partner write while a chat is open is counted, and announced once."""
        who = other_side(event)
        if self._partner is None or who == self._partner:
            return False
        self._people.refresh()
        if who not in self._announced and isinstance(event, MessageReceived):
            self._announced.add(who)
            name = render.label(event.name, who)
            stranger = " (not accepted yet)" if event.request else ""
            self._tell(render.notice(f"{name} has written; /offline lists it{stranger}"))
        return True

    async def obeying(self, prompt: str, line: str) -> None:
        """Leave the command on the screen."""
        await self._console.print(f"{prompt} {line}")

    def hear(self, event: Event) -> None:
        """Keep what is shown up to date."""
        match event:
            case LinkUp():
                self._people.connected()
            case LinkDown(failure) if not self._open and not self._said_why:
                self._said_why = True
                self._tell(render.notice(f"no connection yet ({failure.sentence}); trying again"))
            case FileProgress():
                self._moving = moving_text(event)
            case MessageSent(message) if message.message_id in self._own:
                self._changed(message.message_id, message.state)
            case ContactTyping(address):
                self._typists.types(address)
            case MessageReceived():
                self._typists.has_written(event.address)
            case PresenceChanged(address, name, online):
                self._people.changed(address, name, online)
        self._show()

    # --- own messages -------------------------------------------------------------------------

    async def writing(self, message_id: MessageId, to: Address, text: str) -> None:
        """Show it, queued."""
        self._own[message_id] = own = _Own(to, text, self._now())
        await self._console.show_own(message_id, self._record(own, own.state.value))

    def refused(self, message_id: MessageId) -> None:
        """Show that it was not."""
        own = self._own.pop(message_id)
        record = self._record(own, NOT_SENT)
        self._console.change_own(message_id, record, settled=True, beyond=lambda: None)

    def _changed(self, message_id: MessageId, state: SentState) -> None:
        own = self._own[message_id]
        if own.state is state:
            return
        own.state = state
        settled = state in (SentState.READ, SentState.FAILED)
        if settled:
            del self._own[message_id]
        self._console.change_own(
            message_id,
            self._record(own, state.value),
            settled=settled,
            beyond=lambda: self._tell_soon(state, own.text),
        )

    def _record(self, own: _Own, state: str) -> str:
        name = self._people.label(own.to)
        return render.own_record(own.at, name, state, own.text, self._now())

    def _tell_soon(self, state: SentState, text: str) -> None:
        """It has scrolled up: say it, together with what else changes now."""
        if state not in SHOWN_STATES or not self._open:
            return
        self._beyond.setdefault(state, []).append(text)
        if self._telling is None:
            self._telling = self._clock.callLater(NEWS_SECONDS, self._tell_beyond)

    def _tell_beyond(self) -> None:
        beyond, self._beyond, self._telling = self._beyond, {}, None
        for state, texts in beyond.items():
            self._tell(state_notice(state, texts))

    # --- the status line ----------------------------------------------------------------------

    def _show(self) -> None:
        people = self._people
        unread = [one for one in people.unread if one.address != self._partner]
        waiting = sum(own.state is SentState.QUEUED for own in self._own.values())
        self._console.show_standing(
            Standing(
                connected=self._messenger.is_connected,
                partner=None if self._partner is None else self._partner_now(self._partner),
                unread=tuple((render.label(one.name, one.address), one.texts) for one in unread),
                online=tuple(people.label(one) for one in people.present if one != self._partner),
                waiting=waiting,
                moving=self._moving,
            )
        )

    def _partner_now(self, address: Address) -> Partner:
        contact = self._people.contact(address)
        online, typing = address in self._people.present, address in self._typists
        if contact is None:
            return Partner(address, None, online=online, typing=typing)
        return Partner(address, contact.name, contact.verified, contact.verified_by, online, typing)

    def _typed(self) -> None:
        """The user has pressed a key: the partner is told, if he is there."""
        partner = self._partner
        if partner is not None and self._place is Place.CHAT and partner in self._people.present:
            self._typists.write_to(partner)

    def _suggest(self, line: str) -> list[Suggestion]:
        """Called in the editor's thread: everything here is replaced, never changed."""
        return suggestions(line, self._place, self._people.persons)
