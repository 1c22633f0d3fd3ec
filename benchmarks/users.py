"""Registered users of a real server, without vaults: what a load needs of a client.

Knows the protocol, and envelopes only as random bytes, which is all that a server can see of them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from e2ee.client.linking.channel import Channel, connector, open_channel
from e2ee.client.linking.known_server import KnownServer
from e2ee.client.registering.new_identity import make_keys
from e2ee.client.registering.passcode_run import PasscodeRun
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.state_token import STATE_TOKEN_BYTES
from e2ee.ids import Address, EnvelopeId, PasscodeSessionId
from e2ee.store.client.identity import PendingKeys, ServerRecord
from e2ee.wire import messages as m

T = TypeVar("T")

STATE_TOKEN = bytes(STATE_TOKEN_BYTES)
"""Opaque to the server, but for its size."""


async def _at_once(work: Callable[[], T]) -> T:
    return work()


async def _nothing(*_: object) -> None:
    return None


class User:
    """One account with an open, logged-in connection that acknowledges whatever is pushed."""

    def __init__(self, reactor: Any, link: str, number: int) -> None:
        self.address = Address(f"+1555010{number:04d}")
        self._connect = connector(reactor)
        self._server = KnownServer(ServerRecord(link=link, ca=None, highest_version=0), _nothing)
        now = int(time.time() * 1000)
        self._keys: PendingKeys = make_keys(self.address, now, (1, 2), now, os.urandom)
        self.own = OwnDevice.decode(self._keys.own_device)
        self._channel: Channel | None = None

    @property
    def channel(self) -> Channel:
        """The open connection."""
        if self._channel is None:
            raise RuntimeError("not logged in")
        return self._channel

    async def register(self, codes: Path) -> None:
        """Register with the passcode that the server writes to the file `codes`."""
        asking = await self._open()
        answer = await asking.ask(m.RequestCode(0, str(self.address)), m.CodeRequested)
        asking.close()
        lines = [json.loads(line) for line in codes.read_text().splitlines()]
        code = next(line["code"] for line in reversed(lines) if line["address"] == self.address)
        run = PasscodeRun(PasscodeSessionId(answer.session), self.address, self.own, self._keys, code)
        await run.perform(await self._open(), _at_once, os.urandom, _nothing)

    async def log_in(self) -> None:
        """Open the connection on which envelopes come and go."""
        channel = await self._open()
        signature = self.own.sign_login(channel.tls.exporter)
        await channel.ask(
            m.LogIn(0, str(self.address), bytes(self.own.device), signature), m.LoggedIn
        )
        self._channel = channel

    def send(self, other: User, envelope: bytes) -> Awaitable[m.Message]:
        """Send an envelope; the answer."""
        return self.channel.request(
            m.Send(0, str(other.address), other.own.statement_hash, None, envelope, STATE_TOKEN)
        )

    async def _open(self) -> Channel:
        return await open_channel(self._connect, self._server, self._pushed)

    def _pushed(self, message: m.Message) -> None:
        if isinstance(message, m.Push):
            envelope_id = bytes(EnvelopeId.of(message.envelope))
            self.channel.send(m.Acknowledge(message.push, envelope_id, m.Verdict.OPENED))
