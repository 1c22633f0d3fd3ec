"""A server that runs, as its operator may look at it. Knows what there is, and no rule.

For `status`, `check`, the metrics and the administration: each takes from here what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from e2ee.server.code_delivery import CodeDelivery
from e2ee.server.composition import Stores
from e2ee.server.directory import InThread
from e2ee.server.identity import Identity
from e2ee.server.rooms import Rooms
from e2ee.server.rotation import Rotation
from e2ee.server.state_directory import StateDirectory
from e2ee.store.database import Database
from e2ee.store.server.ports import Facts


@dataclass(frozen=True, slots=True)
class Running:
    """`now` is service time, `wall` gives seconds since 1970, both in seconds."""

    rooms: Rooms
    stores: Stores
    facts: Facts
    database: Database
    state: StateDirectory
    identity: Identity
    rotation: Rotation
    delivery: CodeDelivery
    in_thread: InThread
    now: Callable[[], float]
    wall: Callable[[], float]
    started_at: float
    listening: Callable[[], bool]
