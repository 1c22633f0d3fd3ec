"""The line interface: one line in, its answer out, and what arrives in between.

Knows where the chat stands and what each command does there (`docs/command-line.md`, the line interface).
Knows neither terminals nor pipes: a console gives lines and takes records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from e2ee.client.events import (
    Event,
    LinkDown,
    LinkEnded,
    LinkUp,
    MessageFailed,
    MessageSent,
    ReceiptReceived,
    Selection,
    ShownEvent,
)
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.ui import answers, commands, event_render, render, requests
from e2ee.ui.arrivals import Arrivals, drained
from e2ee.ui.chat_end import end_of_input, quit_typed
from e2ee.ui.commands import Ask, Blank, Command, Say, Unknown, Verb
from e2ee.ui.console import Console
from e2ee.ui.greeting import what_waits
from e2ee.ui.own_messages import OwnMessages
from e2ee.ui.reader import Reader
from e2ee.ui.scene import Scene
from e2ee.ui.streams import LineRefused
from e2ee.ui.suggestions import Place
from e2ee.ui.waiting import Bell, Task

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

MakeScene = Callable[[Callable[[str], None]], Scene]
"""Given what prints a record beside the conversation."""


class Chat:
    """One run of the line interface over a started messenger. `now` is in milliseconds since 1970.

    `make_scene` makes what stands around it; on a pipe that is nothing.
    """

    def __init__(
        self,
        messenger: Conversations,
        console: Console,
        clock: IReactorTime,
        now: Callable[[], int],
        entropy: Callable[[int], bytes],
        make_scene: MakeScene = lambda tell: Scene(),
    ) -> None:
        self._messenger = messenger
        self._console = console
        self._now = now
        self._bell = Bell(clock)
        self._reader = Reader(messenger, self._print_event)
        self._arrivals = Arrivals(self._reader, self._fail)
        self._scene = make_scene(self._aside)
        self._own = OwnMessages(messenger, clock, entropy, self._bell, self._aside, self._scene)
        self._requests = requests.Requests()
        self._asides: list[Task[None]] = []
        self._fatal: BaseException | None = None
        self._heard = 0
        self._connected = False
        self._lost = False
        self._partner: Address | None = None
        self._partner_name = ""
        self._asking = False
        self._quitting = False

    async def run(self, partner: str | None, timeout: float) -> None:
        """From the first connection, which may take `timeout` seconds, to the end.

        `partner`: begin inside the chat with this one. Raises Failure, OutputClosed.
        """
        unsubscribe = self._messenger.subscribe(self._hear)
        try:
            address = None if partner is None else await self._resolved(partner)
            await self._messenger.connected(timeout)
            self._connected = True
            await self._scene.begin()
            if address is None:
                await self._console.print(*commands.MENU)
            else:
                await self._enter(address)
            await self._announce()
            await self._converse()
        finally:
            unsubscribe()
            await self._arrivals.end()
            await self._scene.end()
        await self._finish_asides()

    async def _announce(self) -> None:
        """What went wrong and how many came while the user was away; from then on, arrivals are shown."""
        try:
            await drained(self._messenger, lambda: self._heard)
        except Failure as failure:
            self._aside(answers.error(failure))
        self._arrivals.forget()
        await self._reader.show(selection=Selection(own_affairs=True))
        waiting = await what_waits(
            self._messenger, self._partner, opens_chats=self._scene.opens_chats
        )
        await self._console.print(*waiting)
        self._arrivals.begin()
        self._show_unread()

    # --- lines --------------------------------------------------------------------------------

    async def _converse(self) -> None:
        while not self._quitting:
            try:
                line = await self._next_line()
            except LineRefused as failure:
                await self._console.print(answers.error(failure))
                continue
            if line is None:
                await self._scene.leave(self._own.left)
                await end_of_input(self._own, self._messenger, self._check)
                return
            # Only a terminal gives several lines at once, where they were pasted: one message.
            for one in line.split("\n") if self._partner is None else [line]:
                await self._obey(one)
        await self._scene.leave(self._own.left)
        if still_left := await quit_typed(self._own, self._check):
            await self._notice(still_left)

    async def _next_line(self) -> str | None:
        """The next line; raises what has ended the conversation meanwhile."""
        reading = Task(self._read(), at_end=self._bell.ring)
        while not reading.done:
            self._check()
            await self._bell.rung()
        self._check()
        return await reading.result()

    async def _read(self) -> str | None:
        place = Place.MENU if self._partner is None else Place.CHAT
        self._scene.reading(Place.ADDRESS if self._asking else place)
        return await self._console.read_line(self._prompt)

    @property
    def _prompt(self) -> str:
        return "address:" if self._asking else f"{self._partner_name}>"

    async def _obey(self, line: str) -> None:
        """Finish one line; what does not work is said, and the chat goes on."""
        prompt = self._prompt
        command = self._understood(line)
        if not isinstance(command, Say | Blank):
            await self._scene.obeying(prompt, line)
        try:
            await self._carry_out(command)
        except Failure as failure:
            await self._console.print(answers.error(failure))

    def _understood(self, line: str) -> Command:
        if self._asking:
            self._asking = False
            return commands.address_asked(line)
        return commands.outside_chat(line) if self._partner is None else commands.inside_chat(line)

    async def _carry_out(self, command: Command) -> None:
        match command:
            case Say(text):
                await self._say(text)
            case Unknown(word):
                await self._notice(f"error: there is no command {word}; help, in a chat /help, lists them")
            case Ask(Verb.MENU):
                self._partner, self._partner_name = None, ""
                self._scene.entered(None)
                await self._console.print(*commands.MENU)
            case Ask(Verb.EXIT):
                await self._leave()
            case Ask(Verb.CHAT, ""):
                self._asking = True
            case Ask(Verb.CHAT, who):
                await self._enter(await self._resolved(who))
            case Ask(Verb.QUIT):
                self._quitting = True
            case Ask(Verb.OFFLINE):
                await self._show_offline()
            case Ask(Verb.FILE, path):
                await self._own.send_file(self._partner, path)
            case Ask(verb, rest):
                found = await answers.answer(self._messenger, self._partner, verb, rest, self._now)
                await self._console.print(*found)
            case Blank():
                return

    # --- chats --------------------------------------------------------------------------------

    async def _resolved(self, who: str) -> Address:
        address = await self._messenger.resolve(who)
        if address == self._messenger.own_address:
            raise Failure(Code.USAGE, "your own number is no recipient")
        return address

    async def _enter(self, address: Address) -> None:
        self._partner = address
        self._partner_name = await answers.name_of(self._messenger, address)
        marks = await answers.marks_of(self._messenger, address)
        self._scene.entered(address)
        await self._notice(f"chat with {self._partner_name}{marks}; /help lists commands, menu leaves")
        self._show_unread()

    def _show_unread(self) -> None:
        """What the other side has written meanwhile, where a chat is opened to read it."""
        if self._partner is not None and self._scene.opens_chats:
            self._arrivals.look_at(self._partner)

    async def _leave(self) -> None:
        if self._partner is None:
            await self._notice("no chat is open")
        else:
            await self._carry_out(Ask(Verb.MENU))

    async def _say(self, text: str) -> None:
        if self._partner is not None:
            await self._own.say(self._partner, text)

    async def _show_offline(self) -> None:
        try:
            await drained(self._messenger, lambda: self._heard)
        except Failure as failure:
            await self._console.print(answers.error(failure))
        if not await self._reader.show():
            await self._notice("no offline messages")

    # --- events -------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        self._scene.hear(event)
        match event:
            case LinkEnded(failure):
                self._fail(failure)
            case LinkDown(failure) if self._connected and not self._lost:
                self._lost = True
                self._aside(render.notice(f"connection lost ({failure.sentence}); trying again"))
            case LinkUp() if self._lost:
                self._lost = False
                self._aside(render.notice("connected again"))
            case MessageSent(message):
                self._own.changed(message)
            case _ if isinstance(event, ShownEvent):
                self._heard += 1
                if isinstance(event, ReceiptReceived) or self._scene.holds_back(event):
                    self._arrivals.held_back()
                else:
                    self._arrivals.arrived(event)

    async def _print_event(self, event: ShownEvent) -> None:
        if isinstance(event, ReceiptReceived):
            return  # the scene shows states, where there is one
        reason = self._own.why_failed(event) if isinstance(event, MessageFailed) else None
        if reason is not None:
            await self._notice(f"not delivered: {reason}")
        else:
            record = event_render.event_record(event, self._now())
            await self._console.print(*self._requests.first_notice(event), record)

    async def _notice(self, sentence: str) -> None:
        await self._console.print(render.notice(sentence))

    def _aside(self, record: str) -> None:
        """Print something that no line has asked for."""
        self._asides = [task for task in self._asides if not task.done]
        self._asides.append(Task(self._print_aside(record)))

    async def _print_aside(self, record: str) -> None:
        try:
            await self._console.print(record)
        except BaseException as error:
            self._fail(error)

    async def _finish_asides(self) -> None:
        for task in self._asides:
            await task.result()
        self._check()

    def _fail(self, error: BaseException) -> None:
        """End the conversation with this."""
        if self._fatal is None:
            self._fatal = error
            self._bell.ring()

    def _check(self) -> None:
        if self._fatal is not None:
            raise self._fatal
