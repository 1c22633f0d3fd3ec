"""A TCP proxy that does to each connection what its fate says. Knows bytes, no protocol.

Runs in a thread with an event loop of its own, beside the processes that it stands between.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.weather import CLEAR, End, Fate, Way

PIECE_BYTES: Final = 65_536
BOTH: Final = frozenset(Way)
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER without any time: closing sends a reset."""

Draw = Callable[[int], Fate]
"""The fate of the connection with this number, from 0."""

_DIES: Final = {End.HOLE_UP: frozenset({Way.UP}), End.HOLE_DOWN: frozenset({Way.DOWN})}
"""The directions in which nothing comes through after the strike; with all other ends, both."""


@dataclass(eq=False)
class _Wire:
    """One connection through the proxy."""

    number: int
    fate: Fate
    client: socket.socket
    server: socket.socket
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    swallowed: frozenset[Way] = frozenset()

    def ends(self, way: Way) -> tuple[socket.socket, socket.socket]:
        """From where to where."""
        return (self.client, self.server) if way is Way.UP else (self.server, self.client)

    @property
    def dead(self) -> frozenset[Way]:
        """In which directions nothing comes through any more."""
        return _DIES.get(self.fate.end, BOTH) if self.struck.is_set() else frozenset()


class Proxy:
    """Listens on a port of loopback and passes on to the port `target`.

    `draw` gives each new connection its fate. `struck` tells what was done to which connection.
    """

    def __init__(self, target: int, draw: Draw = lambda number: CLEAR) -> None:
        self.target = target
        self.draw = draw
        self.connections = 0
        self.struck: list[str] = []
        self._wires: set[_Wire] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    # --- from the outside ---------------------------------------------------------------------

    def calm(self) -> None:
        """No more strikes, neither on new connections nor on those that stand."""
        self.draw = lambda number: CLEAR
        self._loop.call_soon_threadsafe(self._calm)

    def cut(self) -> None:
        """Reset every connection that stands, on both sides."""
        self._loop.call_soon_threadsafe(self._cut)

    def strike(self, end: End, silence: float) -> None:
        """Do this now to every connection that stands."""
        self._loop.call_soon_threadsafe(self._strike, Fate(end, silence=silence))

    def swallow(self, *ways: Way) -> None:
        """Let nothing come through in these directions on the connections that stand."""
        self._loop.call_soon_threadsafe(self._swallow, frozenset(ways))

    def stop(self) -> None:
        """End everything."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _cut(self) -> None:
        for wire in self._wires:
            wire.cut.set()

    def _calm(self) -> None:
        for wire in self._wires:
            if not wire.struck.is_set():
                wire.fate = CLEAR

    def _strike(self, fate: Fate) -> None:
        for wire in self._wires:
            if not wire.struck.is_set():
                wire.fate = fate
                wire.struck.set()

    def _swallow(self, ways: frozenset[Way]) -> None:
        for wire in self._wires:
            wire.swallowed = ways

    # --- in the loop --------------------------------------------------------------------------

    def _run(self) -> None:
        self._spawn(self._accept())
        self._loop.run_forever()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._listener.close()
        self._loop.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            client.setblocking(False)
            self._spawn(self._connect(client, self.connections))
            self.connections += 1

    async def _connect(self, client: socket.socket, number: int) -> None:
        server = socket.socket()
        server.setblocking(False)
        try:
            await self._loop.sock_connect(server, ("127.0.0.1", self.target))
        except OSError:
            _reset(client)
            server.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = _Wire(number, self.draw(number), client, server)
        self._wires.add(wire)
        try:
            await self._carry(wire)
        finally:
            self._wires.discard(wire)
            client.close()
            server.close()

    async def _carry(self, wire: _Wire) -> None:
        """Both directions, until they have ended by themselves, the fate has struck, or it is cut."""
        pumps = {way: self._spawn(self._pump(wire, way)) for way in Way}
        fate = self._spawn(self._await_strike(wire, pumps))
        cut = self._spawn(_wait(wire.cut))
        ended = self._spawn(_ended(wire, pumps.values()))
        try:
            await asyncio.wait((fate, cut, ended), return_when=asyncio.FIRST_COMPLETED)
            in_order = not cut.done() and (ended.done() or wire.fate.end is End.CUT)
        finally:
            await _end(*pumps.values(), fate, cut, ended)
        if not in_order:
            _reset(wire.client)
            _reset(wire.server)

    async def _await_strike(self, wire: _Wire, pumps: dict[Way, asyncio.Task[None]]) -> None:
        """Return when both sides may know that it is over."""
        await wire.struck.wait()
        self.struck.append(f"connection {wire.number}: {wire.fate}")
        if wire.fate.end in (End.CUT, End.RESET):
            return
        await _end(*(pumps[way] for way in wire.dead))
        if wire.fate.end is End.CLIENT_GONE:
            _reset(wire.client)
        elif wire.fate.end is End.SERVER_GONE:
            _reset(wire.server)
        await asyncio.sleep(wire.fate.silence)

    async def _pump(self, wire: _Wire, way: Way) -> None:
        """Pass on in one direction; where one side is gone, the other is told."""
        try:
            await self._pass_on(wire, way)
        except OSError:
            wire.cut.set()

    async def _pass_on(self, wire: _Wire, way: Way) -> None:
        """Until the source ends or the fate strikes."""
        source, sink = wire.ends(way)
        passed = 0
        while way not in wire.dead:
            data = await self._loop.sock_recv(source, 1 if passed < wire.fate.dribble else PIECE_BYTES)
            fate = wire.fate
            if fate.delay:
                await asyncio.sleep(fate.delay)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            if way in wire.swallowed:
                continue
            due = fate.end is not End.NONE and way is fate.way and passed + len(data) > fate.after
            if due and not wire.struck.is_set():
                await self._loop.sock_sendall(sink, data[: max(0, fate.after - passed)])
                wire.struck.set()
                if way in wire.dead:
                    return
                data = data[max(0, fate.after - passed) :]
            await self._loop.sock_sendall(sink, data)
            passed += len(data)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _ended(wire: _Wire, pumps: Iterable[asyncio.Task[None]]) -> None:
    """Return when both directions have ended; once the fate has struck, that is not for them to say."""
    await asyncio.gather(*pumps, return_exceptions=True)
    if wire.struck.is_set():
        await wire.cut.wait()


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel these and wait until they let go of their sockets."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _reset(end: socket.socket) -> None:
    """Close with a reset; nobody may be reading from it any more."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    end.close()
