"""One line of the line interface → one command. Pure: knows neither messenger nor console.

The rules are those of `docs/command-line.md`, the line interface: outside a chat a line is a menu choice or
its word, inside a chat it is a text unless it is `menu` or begins with a slash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

MENU = (
    "--- MENU ---",
    "1. View online users",
    "2. Start chat",
    "3. View offline messages",
    "4. Exit chat",
    "5. Quit application",
    "(Type 'menu' anytime to return)",
)


class Verb(Enum):
    """What a line can ask for."""

    ONLINE = "online"
    CHAT = "chat"
    OFFLINE = "offline"
    EXIT = "exit"
    QUIT = "quit"
    MENU = "menu"
    HELP = "help"
    VERIFY = "verify"
    TRUST = "trust"
    HISTORY = "history"
    SEARCH = "search"
    FILE = "file"
    WHO = "who"
    REQUESTS = "requests"
    ACCEPT = "accept"
    BLOCK = "block"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Ask:
    """A command, with the rest of its line (may be empty)."""

    verb: Verb
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """A text for the other side, as it was typed."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A line that asks for nothing that exists; it is never sent."""

    word: str


@dataclass(frozen=True, slots=True)
class Blank:
    """Nothing at all."""


Command = Ask | Say | Unknown | Blank

_CHOICES = {"1": Verb.ONLINE, "2": Verb.CHAT, "3": Verb.OFFLINE, "4": Verb.EXIT, "5": Verb.QUIT}
_OUTSIDE = {
    verb.value: verb
    for verb in (
        Verb.ONLINE, Verb.CHAT, Verb.OFFLINE, Verb.REQUESTS, Verb.ACCEPT, Verb.BLOCK,
        Verb.EXIT, Verb.QUIT, Verb.MENU, Verb.HELP,
    )
}  # fmt: skip
_SLASHED = {verb.value: verb for verb in Verb if verb is not Verb.CHAT}

OUTSIDE_WORDS = {
    "online": "who is connected",
    "chat": "begin to talk to somebody",
    "offline": "messages that came meanwhile",
    "requests": "who has written without being accepted",
    "accept": "accept one of them",
    "block": "never show anything of somebody again",
    "exit": "leave the chat",
    "quit": "end",
    "menu": "show the menu",
    "help": "what can be typed here",
}
"""What can be completed outside a chat, and what it is for."""
INSIDE_WORDS = {
    "/online": "who is connected",
    "/offline": "messages that came meanwhile",
    "/who": "whom you are talking to",
    "/verify": "the safety number, or compare it",
    "/trust": "accept a changed key",
    "/history": "the last messages",
    "/search": "find messages by their words",
    "/requests": "who has written without being accepted",
    "/accept": "accept whom you are talking to",
    "/block": "never show anything of theirs again",
    "/timer": "after what time messages disappear",
    "/file": "send a file",
    "/menu": "leave the chat",
    "/exit": "leave the chat",
    "/quit": "end",
    "/help": "what can be typed here",
}
"""The same for a chat; what is not available yet is not offered."""


def outside_chat(line: str) -> Command:
    """What a line means while no chat is open; the slash before a word may be there or not."""
    word, rest = _split(line)
    if not word:
        return Blank()
    if word in _CHOICES and not rest:
        return Ask(_CHOICES[word])
    name = word.casefold()
    verb = _SLASHED.get(name[1:]) if name.startswith("/") else _OUTSIDE.get(name)
    return Ask(verb, rest) if verb else Unknown(word)


def inside_chat(line: str) -> Command:
    """What a line means inside a chat: digits and words are text, `//` begins a text with a slash."""
    if not line.strip():
        return Blank()
    if line.strip() == "menu":
        return Ask(Verb.MENU)
    if line.startswith("//"):
        return Say(line[1:])
    if not line.startswith("/"):
        return Say(line)
    word, rest = _split(line)
    verb = _SLASHED.get(word[1:].casefold())
    return Ask(verb, rest) if verb else Unknown(word)


def address_asked(line: str) -> Command:
    """What a line means after `2` has asked for an address: that address, unless it is `menu`."""
    text = line.strip()
    if not text:
        return Blank()
    return Ask(Verb.MENU) if text == "menu" else Ask(Verb.CHAT, text)


def _split(line: str) -> tuple[str, str]:
    """The first word of a line, and the rest."""
    word, *rest = line.split(None, 1) or [""]
    return word, rest[0].strip() if rest else ""
