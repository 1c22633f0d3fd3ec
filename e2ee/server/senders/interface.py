"""What a sender of passcodes is, and how one is offered to the server (`docs/operations/passcodes.md`).

Knows no sender, and nothing of sessions or limits. A plugin is a few texts, as twistd's own are: this
module is loaded by every twistd command, and a sender only by the server that uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast, runtime_checkable

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface, implementer

from e2ee.errors import E2eeError
from e2ee.ids import Address

InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]
"""Runs a blocking call away from the reactor's thread; fires with its result."""


class SenderRefused(E2eeError, ValueError):
    """A sender that cannot be used as configured; the text tells the operator what to change."""


class CodeNotSent(E2eeError):
    """A code did not go out. The text is for the operator's log: it has neither code nor number.

    `about_number` says that the reason lies in this one number, which nobody outside may learn: the
    requester is then answered as if the code had gone out. For any other reason he is told to try later.
    """

    def __init__(self, reason: str, *, about_number: bool = False) -> None:
        super().__init__(reason)
        self.about_number = about_number


class CodeSender(Protocol):
    """Brings a code to the person who has a number.

    A sender must not block the reactor, must bound what one code may take, and must never log the
    code, unless logging it is what it is for. Several codes may be under way at once.
    """

    @property
    def at_once(self) -> bool:
        """Whether `send` takes a moment only: a requester is then answered when it has returned.

        Otherwise he is answered after a fixed time, the same for every number.
        """

    def start(self) -> None:
        """Called once before the first code, on the reactor's thread, when the server's log exists."""

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        """Send `code` (six digits), valid until `expires_at` (wall time, milliseconds since 1970).

        Returns when the code has gone out; raises CodeNotSent. Cancelled when it takes too long, and
        when the server stops.
        """

    async def stop(self) -> None:
        """Give back what is held; called once, when nothing is being sent through it any more.

        That is when the server stops, or has another sender after a reload.
        """


@runtime_checkable
class Reachable(Protocol):
    """A sender that can tell whether it would work; `e2ee-admin check` asks."""

    async def reach(self) -> None:
        """Try everything but sending; raises CodeNotSent with the reason. Cancelled as `send` is."""


@dataclass(frozen=True, slots=True)
class SenderSurroundings:
    """What a sender may work with. `wall` gives seconds since 1970."""

    reactor: Any
    in_thread: InThread
    wall: Callable[[], float]
    entropy: Callable[[int], bytes]


class ICodeSenderPlugin(Interface):
    """A kind of sender that `--otp` can name. Provided by objects in modules of `twisted.plugins`."""

    kind = Attribute("""The word with which the option begins, such as ``smtp`` (`str`).""")

    usage = Attribute("""How the option is written, such as ``file:PATH`` (`str`).""")

    def make(option: str, around: SenderSurroundings) -> CodeSender:
        """The sender for the whole text of `--otp`, checked as far as it can be before the start.

        A reload of the server makes another one, in a thread of the pool: this must not touch the
        reactor. Raises SenderRefused, with a text for the operator that repeats no secret.
        """


@implementer(IPlugin, ICodeSenderPlugin)
class SenderPlugin:
    """The usual plugin: `module` is imported when its kind is asked for, and has ``make_sender``.

    ``make_sender(option: str, around: SenderSurroundings) -> CodeSender`` does what
    `ICodeSenderPlugin.make` says.
    """

    def __init__(self, kind: str, usage: str, module: str) -> None:
        self.kind = kind
        self.usage = usage
        self.module = module

    def make(self, option: str, around: SenderSurroundings) -> CodeSender:
        """See `ICodeSenderPlugin.make`."""
        make_sender: Callable[[str, SenderSurroundings], Any] = import_module(self.module).make_sender
        return cast(CodeSender, make_sender(option, around))
