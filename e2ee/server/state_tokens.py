"""The state tokens of senders whose envelopes went the fast path, until they are on disk.

A token that came with an envelope for the mailbox is written with it. One of the fast path touches no
disk at once: it is kept here, and written when its device's connection ends, at its next login, and when
the server stops. So whatever a sender was told is `stored` has its token on disk, and a server that was
killed never looks like one that was put back. See `docs/cryptography.md`, "State tokens".
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from e2ee.errors import StoreUnavailable
from e2ee.ids import DeviceAddress
from e2ee.store.server.ports import Mailbox


class StateTokens:
    """One for the server. Knows tokens as bytes whose order counts."""

    _log = Logger()

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._unwritten: dict[DeviceAddress, bytes] = {}

    def note(self, where: DeviceAddress, token: bytes) -> None:
        """Keep a token in memory: its envelope was delivered without a disk."""
        if token > self._unwritten.get(where, b""):
            self._unwritten[where] = token

    async def write(self, where: DeviceAddress, token: bytes = b"") -> None:
        """Have this token of a device on disk, or a higher one in memory. Raises StoreUnavailable, and
        it stays in memory then."""
        token = max(self._unwritten.pop(where, b""), token)
        if not token:
            return
        try:
            await self._mailbox.keep_state_token(where, token)
        except StoreUnavailable:
            self.note(where, token)
            raise

    def left(self, where: DeviceAddress) -> None:
        """The device's connection has ended: nothing more will come on it."""
        if where in self._unwritten:
            written = Deferred.fromCoroutine(self.write(where))
            written.addErrback(
                lambda failure: self._log.warn("a state token: {kind}", kind=type(failure.value).__name__)
            )

    async def write_all(self) -> None:
        """The server ends."""
        for where in list(self._unwritten):
            try:
                await self.write(where)
            except StoreUnavailable:
                self._log.warn("state tokens were not written: there is no room on the disk")
                return
