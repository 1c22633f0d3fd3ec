"""Puts the rooms of the server together. Knows every constructor, and no rule."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2ee.crypto.passcode_store import derive_code_key
from e2ee.ids import DeviceAddress
from e2ee.server.admission import Admission
from e2ee.server.code_delivery import CodeDelivery
from e2ee.server.connection import Connection
from e2ee.server.counters import Counters, Limit
from e2ee.server.courier import Courier
from e2ee.server.deliveries import Deliveries
from e2ee.server.directory import Directory, InThread
from e2ee.server.file_room import FileRoom
from e2ee.server.known_accounts import KnownAccounts
from e2ee.server.login import Login
from e2ee.server.lookups import LookUps
from e2ee.server.notices import Notices
from e2ee.server.policy import (
    CODE_LIFE_SECONDS,
    DAY_SECONDS,
    FILES_HEADROOM_BYTES,
    HOUR_SECONDS,
    KEM_ONE_TIME_STOCK,
    ONE_TIME_STOCK,
    UNUSED_PREKEYS_SECONDS,
    Policy,
)
from e2ee.server.presence import Presence
from e2ee.server.registration import Registration
from e2ee.server.rooms import Rooms
from e2ee.server.state_tokens import StateTokens
from e2ee.server.upkeep import Upkeep, interval
from e2ee.server.workers import Prover
from e2ee.store.database import Database
from e2ee.store.memory.limits import MemoryLimits
from e2ee.store.memory.state import MemoryStore
from e2ee.store.server.accounts import SqlAccounts
from e2ee.store.server.census import SqlCensus
from e2ee.store.server.files import SqlFiles
from e2ee.store.server.invites import SqlInvites
from e2ee.store.server.limits import SqlLimits
from e2ee.store.server.mailbox import SqlMailbox
from e2ee.store.server.passcodes import SqlPasscodes
from e2ee.store.server.ports import (
    Accounts,
    Census,
    Files,
    Invites,
    Limits,
    Mailbox,
    Passcodes,
    PreKeys,
    Shelf,
    Stock,
)
from e2ee.store.server.prekeys import SqlPreKeys
from e2ee.store.server.shelf import DirectoryShelf


@dataclass(frozen=True, slots=True)
class Stores:
    """All that the server keeps. `volatile` limits may be forgotten by a restart."""

    accounts: Accounts
    prekeys: PreKeys
    mailbox: Mailbox
    limits: Limits
    passcodes: Passcodes
    invites: Invites
    volatile: MemoryLimits
    census: Census
    files: Files
    shelf: Shelf


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rooms get from outside."""

    reactor: Any
    now: Callable[[], float]
    in_thread: InThread
    delivery: CodeDelivery
    prover: Prover
    secret: bytes = field(repr=False)
    backup_pin: bytes
    entropy: Callable[[int], bytes] = os.urandom
    wall: Callable[[], float] = time.time
    most_connections: int = 0


def sql_stores(database: Database, policy: Policy, files: Path) -> Stores:
    """The stores of a real server; `files` is the directory for files."""
    return Stores(
        accounts=SqlAccounts(database),
        prekeys=SqlPreKeys(database, ONE_TIME_STOCK, KEM_ONE_TIME_STOCK),
        mailbox=SqlMailbox(database, policy.mailbox_limits()),
        limits=SqlLimits(database),
        passcodes=SqlPasscodes(database, policy.passcode_limits()),
        invites=SqlInvites(database),
        volatile=MemoryLimits(MemoryStore()),
        census=SqlCensus(database),
        files=SqlFiles(database, policy.file_limits()),
        shelf=DirectoryShelf(files, FILES_HEADROOM_BYTES),
    )


def compose(stores: Stores, policy: Policy, around: Surroundings) -> Rooms:
    """The rooms, ready for connections."""
    counters = Counters()
    around.delivery.observers.append(counters.code)
    known = KnownAccounts(stores.accounts)
    presence = Presence(policy.presence)
    deliveries = Deliveries(stores.mailbox, around.reactor, around.now)
    tokens = StateTokens(stores.mailbox)
    lookups = LookUps(policy.lookups_per_day, around.now, around.entropy)
    volatile = stores.volatile
    return Rooms(
        backup_pin=around.backup_pin,
        accounts=stores.accounts,
        known=known,
        admission=Admission(policy, counters, around.most_connections),
        registration=_registration(stores, policy, around, counters),
        login=Login(
            stores.accounts, stores.prekeys, deliveries, presence, tokens, around.wall, around.now, counters
        ),
        directory=Directory(
            known, stores.prekeys, volatile, lookups, policy, around.now,
            around.in_thread, _tell_owner(deliveries), counters,
        ),
        courier=Courier(deliveries, known, presence, tokens, volatile, lookups, policy, around.now, counters),
        deliveries=deliveries,
        presence=presence,
        notices=Notices(stores.mailbox),
        files=FileRoom(stores.files, stores.shelf, around.in_thread, around.now, counters),
        state_tokens=tokens,
        counters=counters,
    )  # fmt: skip


def _registration(
    stores: Stores, policy: Policy, around: Surroundings, counters: Counters
) -> Registration:
    return Registration(
        stores.passcodes, stores.accounts, stores.limits, around.delivery, around.prover, policy,
        around.wall, around.now, around.entropy, derive_code_key(around.secret), counters,
    )  # fmt: skip


def _tell_owner(deliveries: Deliveries) -> Callable[[DeviceAddress, Stock], None]:
    def stock_low(where: DeviceAddress, stock: Stock) -> None:
        delivery = deliveries.find(where)
        peer = None if delivery is None else delivery.peer
        # A login that is not answered yet gets the stock with its answer.
        if isinstance(peer, Connection) and peer.ready:
            peer.stock_low(stock.one_time, stock.kem_one_time)

    return stock_low


def begin_upkeep(
    upkeep: Upkeep, stores: Stores, rooms: Rooms, policy: Policy, now: Callable[[], float]
) -> None:
    """Everything that expires."""

    async def expire_mail() -> None:
        expired = await stores.mailbox.expire(now())
        if expired:
            rooms.counters.expired += expired
            rooms.counters.limits[Limit.MAILBOX_DAYS] += expired
            rooms.tell_all()

    async def expire_limits() -> None:
        await stores.limits.expire(now())
        await stores.volatile.expire(now())
        rooms.courier.lookups.expire()

    if policy.mailbox_days:
        upkeep.every(interval(policy.mailbox_days * DAY_SECONDS), "expiry of mail", expire_mail)
    upkeep.every(
        interval(policy.file_days * DAY_SECONDS or DAY_SECONDS), "expiry of files", rooms.files.expire
    )
    upkeep.every(
        interval(CODE_LIFE_SECONDS), "expiry of passcodes", lambda: stores.passcodes.expire(now())
    )
    upkeep.every(interval(HOUR_SECONDS), "expiry of limits", expire_limits)
    upkeep.every(
        HOUR_SECONDS,
        "expiry of unused prekeys",
        lambda: stores.accounts.expire_unused(now(), UNUSED_PREKEYS_SECONDS),
    )
