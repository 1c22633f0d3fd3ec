"""What the parts of the client's conversations share: vault, link, clock, listeners.

Knows no rule of any of them. A *connection* is counted, so that an answer or an acknowledgement never
belongs to another one than its question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from e2ee.client.config import ChangedKey
from e2ee.client.link import LinkPhase, LinkState
from e2ee.client.listeners import Listeners
from e2ee.client.receiving.opening import Opening
from e2ee.client.refusals import LinkLost
from e2ee.client.tasks import Tasks
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.primitives import Entropy
from e2ee.errors import StoreUnavailable
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.wire.messages import Message

if TYPE_CHECKING:
    from e2ee.client.profile import OpenProfile

T = TypeVar("T")
M = TypeVar("M", bound=Message)

DISK_RETRY_SECONDS = 5.0
"""How long to wait when there is no room for the vault."""


class LinkPort(Protocol):
    """The part of `link.Link` that conversations use."""

    def start(self) -> None:
        """Begin to connect."""

    def keep_trying(self) -> None:
        """Whatever becomes of the first attempt, make others."""

    async def stop(self) -> None:
        """End in good order."""

    async def request(self, message: Message) -> Message:
        """Send a request, wait for its answer; raises Refusal or LinkLost."""

    async def room(self) -> None:
        """Wait until all that was sent has left this process; raises LinkLost."""

    def send(self, message: Message) -> None:
        """Send what is not answered; raises LinkLost."""


@dataclass
class Context:
    """One open profile at work. `clock` schedules, `wall` gives seconds since 1970.

    `warn`: the profile's setting for changed keys; `receipts` and `typing`: whether contacts are told.
    """

    vault: Database
    clock: IReactorTime
    wall: Callable[[], float]
    own: OwnDevice
    entropy: Entropy
    warn: bool
    hidden: bool
    receipts: bool
    typing: bool
    tasks: Tasks
    opening: Opening
    listeners: Listeners = field(default_factory=Listeners)
    connection: int = 0
    link_state: LinkState = field(default_factory=lambda: LinkState(LinkPhase.CONNECTING))
    link: LinkPort = field(init=False)

    @property
    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self.wall() * 1000)

    @property
    def is_up(self) -> bool:
        """Whether the link is logged in."""
        return self.link_state.phase is LinkPhase.UP and not self.tasks.stopped

    async def ask(self, message: Message, kind: type[M]) -> M:
        """Send a request whose answer is of this kind; raises Refusal or LinkLost."""
        answer = await self.link.request(message)
        if not isinstance(answer, kind):
            raise LinkLost("the server answered something else than what was asked for")
        return answer

    async def write(self, operation: Callable[[Connection], T]) -> T:
        """`Database.write`, again and again while there is no room on the disk."""
        while True:
            try:
                return await self.vault.write(operation)
            except StoreUnavailable:
                await self.tasks.sleep(DISK_RETRY_SECONDS)


def context_of(
    profile: OpenProfile, reactor: Any, entropy: Entropy, wall: Callable[[], float]
) -> Context:
    """That of an open profile, with its settings; the link is set once it is made."""
    config = profile.config
    return Context(
        vault=profile.vault,
        clock=reactor,
        wall=wall,
        own=profile.own,
        entropy=entropy,
        warn=config.changed_key is ChangedKey.WARN,
        hidden=config.hidden,
        receipts=config.receipts,
        typing=config.typing,
        tasks=Tasks(reactor),
        opening=profile.opening,
    )
