"""The process that holds a profile's vault, as it serves the other commands of the same user.

Knows callers, their requests and the end of all that; what a request does, its clerk knows. See
`docs/command-line.md`, "One holder, many commands".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from e2ee.client.events import Event, LinkDown, LinkEnded, LinkUp
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.clerk import Clerk
from e2ee.client.holding.frame_protocol import FrameProtocol, HolderLost
from e2ee.client.holding.holder_codec import decode_asked, encode, encode_value, wrapped
from e2ee.client.holding.holder_socket import is_own_user, listen, socket_path
from e2ee.client.messenger import Messenger
from e2ee.client.profiles.profile_lock import ProfileLock
from e2ee.errors import Code, E2eeError, Failure, StoreError

GRACE_SECONDS = 2.0
"""How long a holder with nothing left to do of its own waits for who is served; he goes on elsewhere."""
PARTING_SECONDS = 0.5
"""How long after that the vault has to finish what was asked of it."""

_log = Logger()


class Holder(Factory):
    """Serves until `finish`. `lasting`: this process has something to do that does not end by itself."""

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        messenger: Messenger,
        *,
        lasting: bool,
        admits: Callable[[Any], bool] = is_own_user,
    ) -> None:
        self.clock = clock
        self.messenger = messenger
        self.lasting = lasting
        self.admits = admits
        self._callers: set[Caller] = set()
        self._port: IListeningPort | None = None
        self._alone: Deferred[None] | None = None
        self._leaving = False

    def serve(self, reactor: Any, directory: Path, lock: ProfileLock) -> None:
        """Listen, and say where. A holder that cannot be reached still does its own work."""
        try:
            path = socket_path(directory, os.environ)
            self._port = listen(reactor, path, self)
            lock.tell_place(path)
        except (OSError, E2eeError) as error:
            _log.warn("other commands of this profile have to wait: {error}", error=error)

    def buildProtocol(self, addr: object) -> Caller:
        """See `IProtocolFactory.buildProtocol`."""
        return Caller(self)

    async def finish(self) -> None:
        """Let nobody else in, let those who are here finish, for a while, and part from the rest."""
        self._leaving = True
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        for caller in tuple(self._callers):
            caller.write(encode(h.Leaving()))
        if self._callers:
            await self._until_alone(GRACE_SECONDS)
        for caller in tuple(self._callers):
            caller.abort()
        if self._callers:
            await self._until_alone(PARTING_SECONDS)

    async def _until_alone(self, seconds: float) -> None:
        self._alone = alone = Deferred[None]()
        timer = self.clock.callLater(seconds, self._be_alone)
        try:
            await alone
        finally:
            if timer.active():
                timer.cancel()

    def _be_alone(self) -> None:
        if self._alone is not None:
            alone, self._alone = self._alone, None
            alone.callback(None)

    # --- for callers --------------------------------------------------------------------------

    def came(self, caller: Caller) -> bool:
        """Somebody has connected; whether he is served."""
        if self._leaving or len(self._callers) >= h.CALLERS:
            return False
        self._callers.add(caller)
        return True

    def went(self, caller: Caller) -> None:
        """Somebody has gone, and nothing runs for him any more."""
        self._callers.discard(caller)
        if not self._callers:
            self._be_alone()


class Caller(FrameProtocol):
    """One command of another process."""

    frame_limit = h.ASKED_FRAME_BYTES
    unsent_limit = h.UNSENT_BYTES

    def __init__(self, holder: Holder) -> None:
        super().__init__()
        self._holder = holder
        self._clerk: Clerk | None = None
        self._running: dict[int, Deferred[None]] = {}
        self._waits: set[int] = set()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._hears_all = False
        self._hello_timer = holder.clock.callLater(h.HELLO_SECONDS, self.abort)

    # --- life ---------------------------------------------------------------------------------

    def opened(self) -> None:
        """Only the same user is served, whatever the modes of files say."""
        if not self._holder.admits(self.transport) or not self._holder.came(self):
            self.abort()

    def closed(self) -> None:
        """He does not wait for anything any more; what he has asked for is finished all the same."""
        if self._hello_timer.active():
            self._hello_timer.cancel()
        self._unsubscribe()
        for number in tuple(self._waits):
            self._running[number].cancel()
        self._go_if_done()

    def _go_if_done(self) -> None:
        if not self.gone or self._running:
            return
        clerk, self._clerk = self._clerk, None
        leaving = Deferred.fromCoroutine(_leave(clerk))
        leaving.addErrback(self._defect).addBoth(lambda _: self._holder.went(self))

    # --- what he says -------------------------------------------------------------------------

    def frame_received(self, payload: bytes) -> None:
        """The first frame is a greeting, each further one a request."""
        asked = decode_asked(payload)
        match asked:
            case h.Hello(versions) if self._clerk is None and h.VERSION in versions:
                self._welcome()
            case h.Ask(number, request) if self._clerk is not None and self._has_room(number):
                self._begin(self._clerk, number, request)
            case _:
                self.abort()

    def _has_room(self, number: int) -> bool:
        return number not in self._running and len(self._running) < h.REQUESTS_IN_FLIGHT

    def _welcome(self) -> None:
        self._hello_timer.cancel()
        messenger = self._holder.messenger
        self._clerk = Clerk(messenger)
        self._unsubscribe = messenger.subscribe(self._hear)
        self.write(
            encode(
                h.Welcome(
                    h.VERSION,
                    self._holder.lasting,
                    messenger.own_address,
                    messenger.is_connected,
                    messenger.was_connected,
                )
            )
        )
        if messenger.given_up is not None:
            self._hear(LinkEnded(messenger.given_up))

    def _begin(self, clerk: Clerk, number: int, request: h.AnyRequest) -> None:
        """Begun in the order in which it was asked for; answered when it is done."""
        if isinstance(request, h.Subscribe):
            self._hears_all = True
        running = Deferred.fromCoroutine(self._answer(clerk, number, request))
        running.addErrback(self._defect)
        if not running.called:
            self._running[number] = running
            if isinstance(request, h.WAITS):
                self._waits.add(number)
            running.addBoth(lambda _: self._done(number))

    def _done(self, number: int) -> None:
        self._running.pop(number, None)
        self._waits.discard(number)
        self._go_if_done()

    async def _answer(self, clerk: Clerk, number: int, request: h.AnyRequest) -> None:
        try:
            value: object = await clerk.perform(request)
        except Failure as failure:
            self.write(encode(h.Refused(number, failure)))
            return
        except CancelledError:
            return
        except StoreError:
            # The vault is closed or broken: whoever opens it next answers.
            self.abort()
            return
        except Exception:
            _log.failure("a request of another command has failed")
            self.write(encode(h.Refused(number, Failure(Code.FAILED, "the holder of the profile failed"))))
            return
        await self._send(number, value)

    async def _send(self, number: int, value: object) -> None:
        parts = list(encode_value(value))
        try:
            for part in parts[:-1]:
                self.write(encode(h.Answer(number, part, more=True)))
                await self.room()
        except HolderLost:
            return
        self.write(encode(h.Answer(number, parts[-1])))

    def _hear(self, event: Event) -> None:
        if self._hears_all or isinstance(event, LinkUp | LinkDown | LinkEnded):
            self.write(encode(h.Tell(wrapped(event))))

    @staticmethod
    def _defect(reason: TwistedFailure) -> None:
        if not reason.check(CancelledError, StoreError):
            _log.failure("serving another command has failed", failure=reason)


async def _leave(clerk: Clerk | None) -> None:
    if clerk is not None:
        await clerk.leave()
