"""The limits of passcodes and prekeys, each from both sides, across a restart, and with many attackers.

One row for each line of docs/limits.md about them. An attacker's attempt is a call of the desk that
keeps the limit, over a real database file; two hundred of them begin before the first is answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address
from e2ee.server.passcodes import Issued
from e2ee.server.policy import PROOF_QUEUE
from e2ee.server.refusal import Refusal
from e2ee.store.server.ports import Bucket, PreKeyUpload, Stock, StoredPreKey
from e2ee.wire import limits as wire
from e2ee.wire import messages as m
from e2ee.wire.codec import decode_client, encode
from e2ee.wire.messages import RefusalCode, RequestCode
from e2ee.wire.violations import ProtocolViolation
from tests.server.besieged import LIFTABLE, Besieged
from tests.server.registration_house import ALICE, BOB, SOURCE
from tests.store.contract.fixture import at, new_account

ATTACKERS = 200
Attempt = Callable[[Besieged, int], Coroutine[Any, Any, bool]]
Prepare = Callable[[Besieged], None]


@dataclass(frozen=True)
class Row:
    """`allowed` at once, one back after `back` seconds (None: never by waiting).

    `attempt` gets a number of its own each time. `survives` says whether a restart changes nothing;
    what does not is counted in memory, and is all there again. `changed` are limits without a name.
    """

    allowed: int
    back: float | None
    attempt: Attempt
    kept: tuple[str, ...] = ()
    survives: bool = True
    changed: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare = lambda server: None

    def lifted(self) -> set[str]:
        """Every limit of the passcodes but the row's own."""
        return set(LIFTABLE) - set(self.kept)


# --- attempts ---------------------------------------------------------------------------------


async def ask(server: Besieged, number: Address, source: str = SOURCE) -> bool:
    """Ask for a code; whether one was sent."""
    sent = len(server.house.sender.sent)
    try:
        answer = await server.house.registration.request_code(source, RequestCode(1, str(number)))
    except Refusal as refusal:
        if refusal.code is not RefusalCode.RATE_LIMITED:
            raise
        return False
    return answer.retry_after is None and len(server.house.sender.sent) > sent


async def ask_for_one_number(server: Besieged, index: int) -> bool:
    return await ask(server, ALICE, f"192.0.2.{index % 250}")


async def ask_for_many_numbers(server: Besieged, index: int) -> bool:
    return await ask(server, Address(f"+1555{1_000_000 + index:07d}"), f"192.0.2.{index % 250}")


async def ask_in_many_countries(server: Besieged, index: int) -> bool:
    prefix = ("+1555", "+4420", "+4930", "+3316", "+3906")[index % 5]
    return await ask(server, Address(f"{prefix}{1_000_000 + index:07d}"), f"192.0.2.{index % 250}")


async def ask_and_guess_from_one_source(server: Besieged, index: int) -> bool:
    try:
        if index % 2:
            await server.office.charge(SOURCE)  # what `start` does first
            return True
        return await ask(server, Address(f"+1555{1_000_000 + index:07d}"), SOURCE)
    except Refusal:
        return False


def open_sessions(count: int) -> Prepare:
    """So many sessions of Alice's."""

    async def issue(server: Besieged) -> bool:
        issued = await server.office.issue(ALICE)
        assert isinstance(issued, Issued)
        server.sessions.append(issued.session)
        return issued.retry_after is None

    def prepare(server: Besieged) -> None:
        if server.let_through(*(issue(server) for _ in range(count))) != count:
            raise AssertionError("a session has no code")

    return prepare


async def guess_at_one(server: Besieged, index: int) -> bool:
    """A guess at one of the sessions."""
    try:
        await server.office.guess(server.sessions[index % len(server.sessions)], ALICE)
    except Refusal:
        return False
    return True


async def try_a_pin(server: Besieged, index: int) -> bool:
    account = new_account(ALICE, 2, 2)
    try:
        await server.house.registration.pins.register(account, b"w" * 32, None)
    except Refusal as refusal:
        return refusal.code is RefusalCode.WRONG_PIN
    raise AssertionError("the wrong PIN was right")


def protect(server: Besieged) -> None:
    where = server.settle_in()

    async def set_pin() -> bool:
        await server.house.registration.pins.set(where, m.SetPin(1, b"s" * 16, b"p" * 32))
        return True

    server.let_through(set_pin())


HELD = ExitStack()


async def take_a_place(server: Besieged, index: int) -> bool:
    """A place for SPAKE2, kept: places come back when somebody leaves, not by waiting."""
    try:
        HELD.enter_context(server.workers.place())
    except Refusal as refusal:
        return refusal.code is not RefusalCode.BUSY
    return True


def stock_up(server: Besieged) -> None:
    where = server.settle_in()
    keys = [StoredPreKey(index, b"%d" % index) for index in range(100)]
    server.let_through(_published(server, where.address, PreKeyUpload(one_time=keys)))


async def _published(server: Besieged, address: Address, upload: PreKeyUpload) -> bool:
    return isinstance(await server.prekeys.publish(at(address), upload), Stock)


async def take_a_one_time_key(server: Besieged, index: int) -> bool:
    asker = Address(f"+1555{1_000_000 + index:07d}")
    bundle = await server.directory.fetch_bundle(asker, m.FetchBundle(1, str(ALICE), None))
    return bundle.one_time is not None


async def look_up_another(server: Besieged, index: int) -> bool:
    try:
        await server.directory.look_up(BOB, m.LookUp(1, f"+1555{1_000_000 + index:07d}"))
    except Refusal as refusal:
        return refusal.code is RefusalCode.UNKNOWN_RECIPIENT
    return True


async def add_a_prekey(server: Besieged, index: int) -> bool:
    return await _published(server, ALICE, PreKeyUpload(one_time=[StoredPreKey(index, b"k")]))


async def add_a_kem_prekey(server: Besieged, index: int) -> bool:
    return await _published(server, ALICE, PreKeyUpload(kem_one_time=[StoredPreKey(index, b"k")]))


def only_an_account(server: Besieged) -> None:
    server.settle_in()


ROWS = {
    "guesses of a passcode session": Row(5, None, guess_at_one, prepare=open_sessions(1)),
    "living passcode sessions of a number": Row(3, 600.0, ask_for_one_number, changed={"live_sessions": 3}),
    "codes sent to one number": Row(6, 3600.0, ask_for_one_number, ("codes_burst",)),
    "guesses on one number": Row(
        8, 7200.0, guess_at_one, ("guesses_burst",), changed={"life_seconds": 1e6}, prepare=open_sessions(5)
    ),
    "guesses on the whole server": Row(
        40, 100.0, guess_at_one,
        changed={"breaker": Bucket(40, 100.0), "life_seconds": 1e6}, prepare=open_sessions(20),
    ),
    "codes and guesses of one source": Row(20, 180.0, ask_and_guess_from_one_source, ("codes_per_source",)),
    "codes of the whole server": Row(1000, 3.6, ask_in_many_countries, ("codes_total",)),
    "codes of one country prefix": Row(200, 18.0, ask_for_many_numbers, ("codes_per_prefix",)),
    "tries at a registration PIN": Row(10, 86_400.0, try_a_pin, prepare=protect),
    "SPAKE2 exchanges": Row(PROOF_QUEUE, None, take_a_place, survives=False),
    "one-time keys of one target": Row(30, 300.0, take_a_one_time_key, survives=False, prepare=stock_up),
    "numbers looked up by one account": Row(1000, 86_400.0, look_up_another, survives=False),
    "one-time prekeys in stock": Row(100, None, add_a_prekey, prepare=only_an_account),
    "one-time KEM prekeys in stock": Row(100, None, add_a_kem_prekey, prepare=only_an_account),
}  # fmt: skip
"""Of the breaker the mechanism: its size is tested with the gates. The waits between codes, the life of
a session and the sizes of uploads have tests of their own below.
"""
ALL_AT_ONCE = ("living passcode sessions of a number", "numbers looked up by one account")
"""Those come back when their time is over, and in the tests they began together."""


LIMITS = Path(__file__).parents[2] / "docs" / "limits.md"


class PageTests(SynchronousTestCase):
    """docs/limits.md lists what is besieged here, and names no test that is not there."""

    def setUp(self) -> None:
        self.page = LIMITS.read_text("utf-8")

    def test_every_row_stands_there_with_its_numbers(self) -> None:
        _, _, section = self.page.partition("## Under siege")
        listed = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in section.splitlines() if line.startswith("| ")
        ][2:]  # fmt: skip
        self.assertEqual(listed, [
            [name, f"{row.allowed:,}", _span(row.back), "the same" if row.survives else "counted anew"]
            for name, row in ROWS.items()
        ])  # fmt: skip

    def test_every_module_and_test_that_is_named_is_there(self) -> None:
        root = LIMITS.parents[1]
        rows = [line.split(" | ") for line in self.page.partition("## Under siege")[0].splitlines()
                if line.startswith("| ")][2:]  # fmt: skip
        self.assertGreater(len(rows), 50)
        for row in rows:
            named = re.findall(r"`([a-z_/0-9]+(?:\.py|/))`", row[-1])
            self.assertTrue(named, row[0])
            for name in named:
                self.assertTrue((root / "tests" / name).exists(), name)


def _span(seconds: float | None) -> str:
    """As the page writes it."""
    if seconds is None:
        return "–"
    for name, length in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds % length == 0:
            return f"{seconds / length:g} {name}"
    return f"{seconds:g} s"


class BesiegedCase(SynchronousTestCase):
    def besiege(self, row: Row) -> Besieged:
        # The waits would refuse before the other limits do: they have their own test.
        changed = {"live_sessions": 0, "waits_seconds": (), **row.changed}
        server = Besieged(Path(self.mktemp()), row.lifted(), **changed)
        self.addCleanup(lambda: server.close())
        self.addCleanup(HELD.close)
        row.prepare(server)
        self.attempts = 0
        return server

    def storm(self, server: Besieged, row: Row, count: int) -> int:
        """So many attempts at once; how many are let through."""
        first, self.attempts = self.attempts, self.attempts + count
        return server.let_through(*(row.attempt(server, first + each) for each in range(count)))


class RowTests(BesiegedCase):
    """Each row, from both sides."""

    def test_the_last_one_is_let_through_and_the_next_is_not(self) -> None:
        for name, row in ROWS.items():
            server = self.besiege(row)
            let_through = [self.storm(server, row, count) for count in (row.allowed - 1, 1, 1, 1)]
            self.assertEqual(let_through, [row.allowed - 1, 1, 0, 0], name)
            HELD.close()

    def test_of_many_at_once_exactly_so_many(self) -> None:
        for name, row in ROWS.items():
            server = self.besiege(row)
            self.assertEqual(self.storm(server, row, row.allowed + ATTACKERS), row.allowed, name)
            self.assertEqual(self.storm(server, row, ATTACKERS), 0, name)
            HELD.close()

    def test_a_restart_in_the_middle_gives_nobody_more(self) -> None:
        for name, row in ROWS.items():
            if row.survives:
                server = self.besiege(row)
                some = row.allowed // 2
                self.assertEqual(self.storm(server, row, some), some, name)
                server.restart()
                self.assertEqual(self.storm(server, row, ATTACKERS + row.allowed), row.allowed - some, name)
                server.restart()
                self.assertEqual(self.storm(server, row, ATTACKERS), 0, name)

    def test_what_is_counted_in_memory_is_there_again_after_a_restart_and_not_more(self) -> None:
        for name, row in ROWS.items():
            if not row.survives:
                server = self.besiege(row)
                for _ in range(2):
                    self.assertEqual(self.storm(server, row, row.allowed + ATTACKERS), row.allowed, name)
                    HELD.close()
                    server.restart()

    def test_one_comes_back_in_its_time_and_not_before(self) -> None:
        for name, row in ROWS.items():
            if row.back is not None:
                server = self.besiege(row)
                self.storm(server, row, row.allowed)
                server.service_time += row.back - 0.001
                if row.survives:
                    server.restart()
                self.assertEqual(self.storm(server, row, ATTACKERS), 0, name)
                server.service_time += 0.002
                come_back = row.allowed if name in ALL_AT_ONCE else 1
                self.assertEqual(self.storm(server, row, ATTACKERS + row.allowed), come_back, name)


class TimeTests(BesiegedCase):
    """The waits between codes, and the life of a session."""

    def test_the_waits_grow_whoever_asks_and_whatever_is_restarted(self) -> None:
        server = Besieged(Path(self.mktemp()), set(LIFTABLE) - {"codes_burst"}, live_sessions=0)
        self.addCleanup(lambda: server.close())
        self.attempts = 0
        row = ROWS["codes sent to one number"]
        for wait in (0.0, 60.0, 120.0, 300.0, 600.0, 600.0):
            if wait:
                server.service_time += wait - 0.001
                server.restart()
                self.assertEqual(self.storm(server, row, ATTACKERS), 0, wait)
                server.service_time += 0.001
            self.assertEqual(self.storm(server, row, ATTACKERS), 1, wait)

    def test_a_session_lives_for_ten_minutes_and_not_longer(self) -> None:
        for age, allowed in ((599.9, 5), (600.0, 0)):
            row = ROWS["guesses of a passcode session"]
            server = self.besiege(row)
            server.service_time += age
            server.restart()
            self.assertEqual(self.storm(server, row, ATTACKERS), allowed, age)


class UploadTests(BesiegedCase):
    """What one upload may hold is decided before anything is stored."""

    def upload(self, one_time: int, kem: int) -> m.Publish:
        return m.Publish(
            1, None, None, tuple(m.OneTimePreKey(index, b"k" * 32) for index in range(one_time)),
            (b"k",) * kem,
        )  # fmt: skip

    def test_the_largest_is_taken_and_one_key_more_is_refused(self) -> None:
        most = self.upload(wire.ONE_TIME_UPLOAD, wire.KEM_ONE_TIME_UPLOAD)
        self.assertEqual((len(most.one_time), len(most.kem_one_time)), (100, 32))
        self.assertEqual(decode_client(encode(most)), most)
        for one_time, kem in ((101, 0), (0, 33)):
            self.assertRaises(ProtocolViolation, decode_client, encode(self.upload(one_time, kem)))

    def test_of_many_uploads_at_once_the_stock_takes_whole_ones_and_stays_so(self) -> None:
        server = self.besiege(ROWS["one-time prekeys in stock"])

        def uploads() -> list[Coroutine[Any, Any, bool]]:
            return [
                _published(
                    server, ALICE,
                    PreKeyUpload(one_time=[StoredPreKey(20 * index + each, b"k") for each in range(20)]),
                )
                for index in range(100, 150)
            ]  # fmt: skip

        self.assertEqual(server.let_through(*uploads()), 5)
        server.restart()
        stocked: list[Stock] = []

        async def look() -> bool:
            stocked.append(await server.prekeys.stock(at(ALICE)))
            return True

        server.let_through(look())
        self.assertEqual(stocked, [Stock(100, 0)])

    def test_no_key_is_handed_out_twice_across_restarts(self) -> None:
        server = self.besiege(ROWS["one-time keys of one target"])
        taken: list[bytes] = []

        async def take() -> bool:
            keys = await server.prekeys.take(at(ALICE), True)
            if keys is not None and keys.one_time is not None:
                taken.append(keys.one_time.encoded)
                return True
            return False

        for _ in range(3):
            server.let_through(*(take() for _ in range(40)))
            server.restart()
        self.assertEqual(len(taken), 100)
        self.assertEqual(len(set(taken)), 100)
