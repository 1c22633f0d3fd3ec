"""docs/operations/retention.md, byte by byte: what a server still has of a day once all is delivered.

The thief has the files of the server and their key, and its log. Registrations are real ones, with codes.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import FileLogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.own_device import create_device
from e2ee.ids import Address
from e2ee.server.composition import Surroundings, begin_upkeep, compose, sql_stores
from e2ee.server.log_lines import json_line, text_line
from e2ee.server.policy import DAY_SECONDS, HOUR_SECONDS, Policy, PresencePolicy
from e2ee.server.upkeep import Upkeep
from e2ee.store.connection import Connection
from e2ee.store.database import TRUNCATE_SECONDS, Database
from e2ee.store.server.traces import LASTING, PASSING, Traces
from e2ee.store.stepping import SteppedLanes
from e2ee.store.upgrade import schema_files
from e2ee.testing.network import MemoryNetwork
from e2ee.wire import messages as m
from tests.server.registration_house import House, Stores
from tests.server.town import PeerDouble, Town
from tests.store.vault_image import image, image_anew

T = TypeVar("T")
KEY = bytes(range(32))
RESIDENTS = [Address(f"+155501{number:05}") for number in range(101, 113)]
VISITORS = [Address(f"+155501{number:05}") for number in range(201, 206)]
"""They ask for codes, and register never."""
TURN_SECONDS = 600.0


class KeptTown(Town):
    """A town on a real database, with everything that expires; people register with codes."""

    def __init__(self, database: Database, network: Any) -> None:
        self.policy = Policy(
            presence=PresencePolicy.EVERYONE, messages_burst=0, stranger_waiting=0, strangers_waiting=0
        )
        self.network = network
        self.devices = {}
        self.house = House(self.policy, stores=Stores.in_database(database, self.policy))
        self.stores = sql_stores(database, self.policy, Path("no files"))
        around = Surroundings(
            network, network.seconds, _at_once, self.house.delivery, self.house.prover, b"s" * 32, b"b" * 32,
            random.Random(3).randbytes, lambda: 1_000.5,
        )  # fmt: skip
        self.rooms = compose(self.stores, self.policy, around)
        self.upkeep = Upkeep(network)
        begin_upkeep(self.upkeep, self.stores, self.rooms, self.policy, network.seconds)

    async def register(self, address: Address) -> None:
        """With a code, as everybody."""
        self.house.service_time = self.network.seconds()
        session = await self.house.session(address, f"192.0.2.{int(address) % 250}")
        client = self.house.client(session, self.house.sender.code, address)
        client.device = create_device(address, len(self.house.sender.sent), self.house.random.randbytes)
        displaced = await client.register()
        self.devices[address] = client.device
        self.rooms.taken_over(address, displaced)

    async def ask(self, address: Address) -> None:
        """For a code, which is never used."""
        self.house.service_time = self.network.seconds()
        await self.house.session(address, f"192.0.2.{int(address) % 250}")

    async def enter(self, address: Address) -> tuple[PeerDouble, int]:
        """A login, and its epoch."""
        peer = PeerDouble(self.where(address))
        account = await self.stores.accounts.find(address)
        assert account is not None
        entered = await self.rooms.login.enter(peer, account, 1)
        self.rooms.login.begin(peer, entered)
        await self.rooms.notices.tell(peer)
        return peer, entered.attached.epoch


class Day:
    """Everybody comes and goes and writes to everybody, by the dice."""

    def __init__(self, town: KeptTown) -> None:
        self.town = town
        self.dice = random.Random(5)
        self.here: dict[Address, tuple[PeerDouble, int]] = {}
        self.envelopes: list[bytes] = []
        self.people = list(RESIDENTS)

    async def turn(self) -> None:
        """Some minutes."""
        for address in self.people:
            if self.dice.random() < 0.2:
                await self.switch(address)
            for _ in range(self.dice.randrange(3)):
                await self.say(address, self.dice.choice(self.people))
        for address in self.people:
            await self.take(address)
        self.town.network.advance(TURN_SECONDS)

    async def switch(self, address: Address) -> None:
        """Come, or go."""
        if address in self.here:
            self.town.rooms.login.leave(*self.here.pop(address), False)
        else:
            self.here[address] = await self.town.enter(address)

    async def say(self, sender: Address, to: Address) -> None:
        """An envelope of any size, if the sender is connected."""
        if sender in self.here and sender != to:
            envelope = self.dice.randbytes(self.dice.choice([20, 100, 300, 700, 1500, 20_000]))
            self.envelopes.append(envelope)
            submitted = self.town.submit(self.here[sender][0], self.town.send(to, envelope))
            self.town.network.advance(0)
            for peer, _ in self.here.values():
                self.acknowledge(peer)
            # Onto the disk after a second, if nobody has taken it.
            self.town.network.advance(1.5)
            await submitted

    async def take(self, address: Address) -> None:
        """All that has come so far, and the notices."""
        if address in self.here:
            peer, _ = self.here[address]
            for one in [one for one in peer.told if isinstance(one, m.Notice)]:
                peer.told.remove(one)
                await self.town.rooms.notices.acknowledge(peer, one.notice)
            self.acknowledge(peer)

    def acknowledge(self, peer: PeerDouble) -> None:
        """Most of it; the rest is acknowledged later."""
        for push in peer.pushes:
            if self.dice.random() < 0.8:
                peer.told.remove(push)
                self.town.acknowledge(peer, push)

    async def replace(self, address: Address) -> None:
        """A new device takes the number over; what waits is lost, and its senders get notices."""
        if address in self.here:
            await self.switch(address)
        for sender in self.people:
            if sender not in self.here:
                await self.switch(sender) if sender != address else None
            await self.say(sender, address)
        await self.town.register(address)

    async def delete(self, address: Address) -> None:
        """An account ends."""
        self.people.remove(address)
        self.here.pop(address, None)
        device = await self.town.stores.accounts.delete(address, self.town.network.seconds())
        assert device is not None
        self.town.rooms.taken_over(address, device)

    async def evening(self) -> None:
        """Everybody fetches everything, and goes."""
        for address in self.people:
            if address not in self.here:
                await self.switch(address)
        while any(peer.told for peer, _ in self.here.values()):
            for address in self.people:
                peer, _ = self.here[address]
                peer.told = [one for one in peer.told if isinstance(one, m.Push | m.Notice)]
                await self.take(address)
            self.town.network.advance(1)
        for address in self.people:
            await self.switch(address)


class TableTests(SynchronousTestCase):
    """The table of the page."""

    def test_it_names_every_table_of_the_database_and_no_other(self) -> None:
        page = Path(__file__).parents[2] / "docs" / "operations" / "retention.md"
        rows = [line.split("|")[2] for line in page.read_text("utf-8").splitlines() if line.startswith("| ")]
        named = {name for row in rows for name in re.findall("`([a-z_]+)`", row)}
        self.assertEqual(named, set(re.findall(r"CREATE TABLE (\w+)", "".join(schema_files("server")))))

    def test_every_table_whose_rows_go_is_laid_out_anew(self) -> None:
        """But for public keys, which are handed out to everybody."""
        script = "".join(schema_files("server"))
        keys = {"lasting_prekey", "one_time_prekey", "published_prekey"}
        made = set(re.findall(r"CREATE TABLE (\w+)", script)) - keys - {"service_time", "fact"}
        self.assertEqual({*PASSING, *LASTING, "mail"}, made)


class RetentionTests(SynchronousTestCase):
    """A day, and what is left of it."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.path = Path(self.mktemp())
        self.log = StringIO()
        for line in (text_line, json_line):
            written = FileLogObserver(self.log, line)
            globalLogPublisher.addObserver(written)
            self.addCleanup(globalLogPublisher.removeObserver, written)
        self.database: Database = self.now(
            Database.open(
                self.path, KEY, "server", self.network, self.fail, tidy=Traces(lambda: 0.0).tidy,
                lanes=SteppedLanes(),
            )
        )  # fmt: skip
        self.addCleanup(lambda: self.now(self.database.close()))
        self.town = KeptTown(self.database, self.network)
        self.addCleanup(self.town.upkeep.stop)
        self.day = Day(self.town)
        self.sealed_codes: list[bytes] = []
        self.now(self.pass_a_day())

    def now(self, step: Coroutine[Deferred[Any], Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(step))

    async def pass_a_day(self) -> None:
        for address in RESIDENTS:
            await self.town.register(address)
        for turn in range(int(DAY_SECONDS / TURN_SECONDS)):
            if turn % 30 == 0:
                await self.town.ask(VISITORS[turn // 30])
                self.sealed_codes += await self.values("SELECT sealed_code FROM passcode")
            if turn == 60:
                await self.day.replace(RESIDENTS[0])
            if turn == 90:
                await self.day.delete(RESIDENTS[1])
            await self.day.turn()
        self.waited = await self.values("SELECT envelope FROM mail")
        await self.day.evening()
        self.network.advance(2 * TRUNCATE_SECONDS)

    async def values(self, sql: str) -> list[Any]:
        def read(connection: Connection) -> list[Any]:
            return [value for (value,) in connection.execute(sql)]

        return await self.database.read(read)

    def assert_nowhere(self, needles: Iterator[bytes]) -> None:
        stolen = image(self.path, KEY)
        self.assertEqual([needle for needle in needles if needle in stolen], [])

    def test_in_the_evening_all_that_was_delivered_is_gone(self) -> None:
        self.check_that_the_day_was_one()
        self.check_envelopes()
        self.check_pairs()
        self.check_codes()
        self.check_the_log()

    def test_a_day_later_whoever_has_no_account_is_nowhere(self) -> None:
        """Nor whoever has deleted it: the counters of limits have refilled."""
        self.network.pump([TURN_SECONDS] * int((DAY_SECONDS + HOUR_SECONDS) / TURN_SECONDS))
        self.network.advance(2 * TRUNCATE_SECONDS)
        self.assert_nowhere(person.encode() for person in (*VISITORS, RESIDENTS[1]))
        self.assertIn(RESIDENTS[2].encode(), image(self.path, KEY))
        self.check_pairs()

    def check_that_the_day_was_one(self) -> None:
        """Otherwise the others would prove nothing."""
        counters = self.town.rooms.counters
        self.assertGreater(counters.delivered, 200)
        self.assertGreater(counters.stored, 200)
        self.assertGreater(len(self.waited), 10)
        self.assertGreater(len(self.sealed_codes), len(VISITORS) - 1)
        sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'notice'"
        self.assertGreater(self.now(self.values(sequence))[0], 0)

    def check_envelopes(self) -> None:
        """No part of one, and no id; the write-ahead log is empty."""

        def parts() -> Iterator[bytes]:
            for envelope in self.day.envelopes:
                yield hashlib.sha256(envelope).digest()[:16]
                for start in range(0, len(envelope) - 15, 400):
                    yield envelope[start : start + 16]

        self.assertEqual(self.path.with_name(self.path.name + "-wal").stat().st_size, 0)
        self.assert_nowhere(parts())

    def check_pairs(self) -> None:
        """Each number is as often in the files as accounts and the counters of limits need it."""
        for table in ("mail", "share", "notice"):
            self.assertEqual(self.now(self.values(f"SELECT 1 FROM {table}")), [])
        stolen, clean = image(self.path, KEY), image_anew(self.path, KEY)
        people = [person.encode() for person in (*RESIDENTS, *VISITORS)]
        self.assertEqual([stolen.count(one) for one in people], [clean.count(one) for one in people])

    def check_codes(self) -> None:
        """Neither in the clear nor sealed."""
        self.assert_nowhere(code.encode() for _, code, _ in self.town.house.sender.sent)
        self.assert_nowhere(iter(self.sealed_codes))

    def check_the_log(self) -> None:
        """It names nobody, in either form."""
        logged = self.log.getvalue()
        self.assertNotRegex(logged, r"\+?1?55501[0-9]{5}")
        for _, code, _ in self.town.house.sender.sent:
            self.assertNotRegex(logged, rf"(?<![0-9]){code}(?![0-9])")
        for envelope in self.day.envelopes:
            self.assertNotIn(hashlib.sha256(envelope).hexdigest()[:16], logged)
        for own in self.town.devices.values():
            self.assertNotIn(bytes(own.device).hex(), logged)


def _at_once(step: Callable[[], T]) -> Awaitable[T]:
    return succeed(step())
