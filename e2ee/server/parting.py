"""The last things between a server and those who are connected: what they sent is kept, then goodbye.

Knows rooms and how long either may take; not files, ports or the process.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater

from e2ee.server.admission import Admission
from e2ee.server.policy import SETTLE_SECONDS
from e2ee.server.rooms import Rooms

GOODBYE_SECONDS = 0.5
"""How long connections may take to hear the last answers."""
_LOOK_SECONDS = 0.02


async def settled(rooms: Rooms, reactor: Any) -> bool:
    """Write what is in memory; whether that was done in time."""
    settling = Deferred.fromCoroutine(rooms.settle())
    try:
        await settling.addTimeout(SETTLE_SECONDS, reactor)
    except TimeoutError:
        return False
    return True


async def say_goodbye(admission: Admission, reactor: Any) -> None:
    """End every connection; what was answered may still leave."""
    for guest in admission:
        guest.stop()
    waited = 0.0
    while len(admission) and waited < GOODBYE_SECONDS:
        await deferLater(reactor, _LOOK_SECONDS)
        waited += _LOOK_SECONDS
