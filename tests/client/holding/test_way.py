"""The way to a vault: who is asked for what, in which order, and who has the vault then."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import StringTransport

from e2ee.client.deadline import Deadline
from e2ee.client.events import Event
from e2ee.client.holding import held, way
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.borrowed import Borrowed
from e2ee.client.holding.held import Held
from e2ee.client.holding.way import Access, Way
from e2ee.client.profiles.passphrase import Passphrases
from e2ee.client.profiles.profile_lock import try_lock
from e2ee.errors import Code
from tests.client.registering.test_enrolment import RIGHT
from tests.client.test_profile import ALICE, ProfileCase


class LostAtOnce:
    """Makes connections that are gone before their maker hears of them."""

    def __init__(self, reactor: object, kind: type[Borrowed], *arguments: Any, **options: Any) -> None:
        self._made = kind(*arguments, **options)

    def connectUNIX(self, path: str, timeout: float) -> Deferred[Borrowed]:
        self._made.makeConnection(StringTransport())
        self._made.connectionLost()
        return succeed(self._made)


class WayTests(ProfileCase):
    """A registered profile, and processes that want it: two ways in one process are like two of them."""

    def setUp(self) -> None:
        super().setUp()
        runtime = self.root / "run"
        runtime.mkdir(mode=0o700)
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": str(runtime)})

    def way(self, passphrase: str | None = "correct horse", *, lasting: bool = False) -> Way:
        return self.way_with(self.passphrases(passphrase), lasting=lasting)

    def way_with(self, passphrases: Passphrases, *, lasting: bool = False) -> Way:
        return Way(self.reactor, self.profile, passphrases, os.urandom, self.fail, lasting=lasting)

    async def enter(self, way: Way, timeout: float = 10.0) -> Access:
        heard: list[Event] = []
        return await way.enter(Deadline(self.reactor, timeout), heard.append, lambda _: None)

    @asynccontextmanager
    async def entered(self, way: Way) -> AsyncIterator[Access]:
        access = await self.enter(way)
        try:
            yield access
        finally:
            await access.leave()

    async def test_a_profile_that_is_not_there_is_not_registered_and_not_made(self) -> None:
        self.assertEqual((await self.refused(self.enter(self.way()))).code, Code.NOT_REGISTERED)
        self.assertFalse(self.data.exists())

    async def test_a_wrong_setting_is_told_before_anybody_is_asked_for_a_passphrase(self) -> None:
        await self.register(RIGHT)
        self.profile.config_path.write_text("nonsense = true\n")
        asking = replace(self.passphrases(None), terminal=lambda _: self.fail("asked"))
        self.assertEqual((await self.refused(self.enter(self.way_with(asking)))).code, Code.USAGE)

    async def test_the_first_holds_the_vault_and_the_next_borrows_it_without_a_passphrase(self) -> None:
        await self.register(RIGHT)
        async with self.entered(self.way()) as first, self.entered(self.way(None)) as second:
            self.assertIsInstance(first, Held)
            self.assertIsInstance(second, Borrowed)
            self.assertEqual(first.own_address, second.own_address)
            status = await second.ask(h.AskStatus(), 5.0)
            self.assertEqual((status.address, status.passphrase), (ALICE, "file"))

    async def test_one_that_lasts_waits_for_one_that_does_not_but_not_until_its_own_time_is_up(self) -> None:
        await self.register(RIGHT)
        async with self.entered(self.way()):
            access = await self.enter(self.way(None, lasting=True), timeout=way.RELUCTANCE_SECONDS / 10)
            self.assertIsInstance(access, Borrowed)
            await access.leave()

    async def test_after_a_wrong_passphrase_the_lock_is_free(self) -> None:
        await self.register(RIGHT)
        self.assertEqual((await self.refused(self.enter(self.way("wrong horse")))).code, Code.PASSPHRASE)
        async with self.entered(self.way()) as access:
            self.assertIsInstance(access, Held)

    async def test_a_vault_that_cannot_be_put_to_work_is_given_back(self) -> None:
        await self.register(RIGHT)

        def broken(*_: object, **__: object) -> None:
            raise OSError("no")

        with self.assertRaises(OSError):
            self.patch(held, "Held", broken)
            await self.enter(self.way())
        lock = try_lock(self.profile.lock_path)
        assert lock is not None
        lock.release()

    async def test_a_holder_that_is_killed_while_somebody_comes_to_it_is_no_holder(self) -> None:
        """The connection is made and lost before anybody is told of it: the way goes on, to the next."""
        await self.register(RIGHT)
        opened = await self.open()
        opened.lock.tell_place(self.root / "run" / "socket")
        self.patch(way, "ClientCreator", LostAtOnce)
        busy = await self.refused(self.enter(self.way(), timeout=0.1))
        self.assertEqual(busy.code, Code.PROFILE_BUSY)
        await opened.close()

    async def test_a_holder_that_does_not_share_is_named_at_the_deadline(self) -> None:
        await self.register(RIGHT)
        opened = await self.open()
        busy = await self.refused(self.enter(self.way(), timeout=0.1))
        self.assertEqual(busy.code, Code.PROFILE_BUSY)
        self.assertIn(f"process {os.getpid()}", busy.sentence)
        await opened.close()
