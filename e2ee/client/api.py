"""The library: one profile's conversations for programs on Twisted. See `docs/library.md`.

Composes what the command line composes, so a program shares its profile with commands and other
programs. Knows no terminal. Names that `__all__` does not list may change.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from e2ee.client.agent import Conversations, Way
from e2ee.client.config import default_data_dir
from e2ee.client.events import (
    Contact,
    Event,
    FailedReason,
    FileFacts,
    FileReceived,
    FileState,
    Gap,
    KeyChanged,
    LinkEnded,
    MessageFailed,
    MessageReceived,
    PutBack,
    ReceiptReceived,
    SentAgain,
    SentMessage,
    SentState,
    ShownEvent,
    TimerChanged,
    Undecryptable,
)
from e2ee.client.profiles.passphrase import Passphrases
from e2ee.client.profiles.profile_directory import Profile
from e2ee.errors import Code, Failure
from e2ee.ids import Address, DeviceId, MessageId

__all__ = [
    "Account", "Address", "Code", "Contact", "Conversations", "DeviceId", "Event", "FailedReason", "Failure",
    "FileFacts", "FileReceived", "FileState", "Gap", "KeyChanged", "MessageFailed", "MessageId",
    "MessageReceived", "PutBack", "ReceiptReceived", "SentAgain", "SentMessage", "SentState", "ShownEvent",
    "TimerChanged", "Undecryptable", "connect",
]  # fmt: skip

TIMEOUT_SECONDS = 30.0

_log = Logger()


@asynccontextmanager
async def connect(
    reactor: Any,
    profile: str | None = None,
    *,
    data_dir: Path | None = None,
    passphrase_file: Path | None = None,
    timeout: float | None = None,
) -> AsyncIterator[Account]:
    """The account of a registered profile, connected for as long as the context is open.

    Names, directory and passphrase file are those of the command line, from `E2EE_PROFILE`,
    `E2EE_DATA_DIR` and `E2EE_PASSPHRASE_FILE` where not given. `timeout`, in seconds, bounds the wait for
    a vault that another process has and does not share. Nobody is asked for anything.

    Raises Failure: NOT_REGISTERED, PASSPHRASE, PROFILE_BUSY, USAGE.
    """
    directory = data_dir or _path("E2EE_DATA_DIR") or default_data_dir()
    chosen = Profile(directory, profile or os.environ.get("E2EE_PROFILE") or "default")
    passphrases = Passphrases(passphrase_file or _path("E2EE_PASSPHRASE_FILE"), None)
    way = Way(reactor, chosen, passphrases, os.urandom, _broken(reactor), lasting=True)
    conversations = Conversations(way, reactor, os.urandom)
    # SIGTERM stops the reactor, and whoever waits for events then waits for ever.
    at_end = reactor.addSystemEventTrigger(
        "before", "shutdown", lambda: Deferred.fromCoroutine(conversations.close())
    )
    try:
        await conversations.start(timeout)
        yield Account(conversations)
        await conversations.outbox_sent(TIMEOUT_SECONDS)
    finally:
        with suppress(KeyError, ValueError):
            reactor.removeSystemEventTrigger(at_end)
        await conversations.close()


def _path(variable: str) -> Path | None:
    return Path(os.environ[variable]) if os.environ.get(variable) else None


def _broken(reactor: Any) -> Any:
    """The vault cannot be written: nothing may be answered any more, so the program ends."""

    def broken(reason: BaseException) -> None:
        _log.critical("the vault cannot be written: {reason}", reason=reason)
        with suppress(Exception):
            reactor.stop()

    return broken


class Account:
    """One number, connected. `conversations` has all that is not here; see `Conversations`."""

    def __init__(self, conversations: Conversations) -> None:
        self.conversations = conversations

    @property
    def address(self) -> Address:
        """The own number."""
        return self.conversations.own_address

    async def send(
        self,
        to: Address | str,
        text: str,
        *,
        until: SentState = SentState.STORED,
        message_id: MessageId | None = None,
        timeout: float | None = TIMEOUT_SECONDS,
    ) -> SentMessage:
        """Send a text to a number, or to a name of the address book, and wait until it has come so far.

        Returns it as it stands: at the timeout it is in another state, and with `error` it waits for
        something, or has failed; what waits is sent later. The same `message_id` with the same text and
        recipient is one message, however often this is called.

        Raises Failure: USAGE for what cannot be sent, nothing kept; and why the connection was given up.
        """
        address = to if isinstance(to, Address) else await self.conversations.resolve(to)
        queued = await self.conversations.queue(address, text, message_id)
        return await self.conversations.reached(queued.message_id, until, timeout)

    async def events(self) -> AsyncIterator[ShownEvent]:
        """What has not been shown yet, oldest first, and then what comes, without end.

        An event counts as shown when the next one is asked for. Whoever ends before that gets it again,
        marked as `repeated`. Raises Failure when the connection is given up for good.
        """
        news = _News()
        unsubscribe = self.conversations.subscribe(news.hear)
        try:
            while True:
                news.heard = False
                for event in await self.conversations.take(None):
                    for granted in await self.conversations.mark_printing([event]):
                        yield granted
                        await self.conversations.mark_shown([granted])
                        news.heard = True
                await news.wait()
        finally:
            unsubscribe()


class _News:
    """Whether anything has come since the last look."""

    def __init__(self) -> None:
        self.heard = False
        self._ended: Failure | None = None
        self._waiting: Deferred[None] | None = None

    def hear(self, event: Event) -> None:
        """What the conversations tell."""
        if isinstance(event, LinkEnded):
            self._ended = event.failure
        elif not isinstance(event, ShownEvent):
            return
        self.heard = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def wait(self) -> None:
        """Return when there is something. Raises Failure when there will be nothing any more."""
        if not self.heard:
            waiting: Deferred[None] = Deferred(self._forget)
            self._waiting = waiting
            await waiting
        if self._ended is not None:
            raise self._ended

    def _forget(self, _: Deferred[None]) -> None:
        self._waiting = None
