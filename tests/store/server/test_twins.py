"""Whatever happens in whatever order, the SQL stores and their twins in memory give one answer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address, EnvelopeId, PasscodeSessionId
from e2ee.store.database import Connection, Database
from e2ee.store.server import mailbox, ports
from e2ee.store.stepping import SteppedLanes
from tests.store.contract.fixture import (
    ALICE,
    BOB,
    CAROL,
    FREE,
    PASSCODE_LIMITS,
    Stores,
    at,
    item,
    new_account,
    session_id,
)
from tests.store.memory.test_memory import MemoryStores
from tests.store.server.sql import KEY, SqlStores

MAILBOX = ports.MailboxLimits(
    messages=6, bytes=400, share=0.5, strangers_waiting=3, stranger_waiting=2, seconds=300.0
)
BUCKET = ports.Bucket(3, 40.0)
INVITES = {b"A" * 32: None, b"B" * 32: ALICE, b"C" * 32: BOB}
LIMITS = replace(PASSCODE_LIMITS, breaker=ports.Bucket(12, 60.0))
"""Few enough guesses for the breaker to open."""

Call = Callable[[Stores, float], Coroutine[Any, Any, Any]]

addresses = st.sampled_from([ALICE, BOB, CAROL])
devices = st.integers(1, 2)
sessions = st.tuples(addresses, st.integers(1, 3))
places = st.builds(at, addresses, devices)
seqs = st.lists(st.integers(1, 8), max_size=4)
prekeys = st.lists(
    st.builds(ports.StoredPreKey, st.integers(1, 8), st.sampled_from([b"a", b"b"])), max_size=4
)
optional_prekey = st.none() | st.builds(ports.StoredPreKey, st.integers(1, 3), st.sampled_from([b"a", b"b"]))
items = st.builds(
    item, addresses, addresses, st.integers(1, 8), st.sampled_from([10, 90, 190]), st.booleans(), devices
)

Sent = list[ports.MailItem]
sent = st.lists(
    st.one_of(
        items.map(lambda one: one._replace(state_token=one.envelope_id[:1])),
        items.map(lambda one: one._replace(sender=at(one.sender.address, 2))),
    ),
    min_size=1,
    max_size=5,
)
"""What devices send, each envelope under the one token that it has; some accounts have had another device."""


def calls() -> st.SearchStrategy[Call]:
    """One call of one store, given the stores and the time."""
    accounts, mail, keys = _account_calls(), _mail_calls(), _key_calls()
    return st.one_of(accounts, mail, mail, keys, _passcode_calls())


def _account_calls() -> st.SearchStrategy[Call]:
    news = st.builds(
        new_account, addresses, devices, st.integers(1, 3), st.sampled_from([b"K" * 32, b"N" * 32])
    )
    return st.one_of(
        st.tuples(st.integers(1, 3), news).map(
            lambda a: lambda s, now: s.accounts.register(_session(a[1].address, a[0]), a[1], now)
        ),
        addresses.map(lambda a: lambda s, now: s.accounts.find(a)),
        addresses.map(lambda a: lambda s, now: s.accounts.delete(a, now)),
        addresses.map(lambda a: lambda s, now: s.accounts.log_out(a)),
        st.just(lambda s, now: s.census.accounts("", 10)),
        st.just(lambda s, now: s.census.survey()),
        places.map(lambda a: lambda s, now: s.accounts.record_login(a, 7, now)),
        places.map(lambda a: lambda s, now: s.accounts.set_presence(a, b"T" * 32, True)),
        st.tuples(places, st.sampled_from([None, ports.StoredPin(b"s" * 16, b"H" * 32)])).map(
            lambda a: lambda s, now: s.accounts.set_pin(*a)
        ),
        st.tuples(places, st.sampled_from([None, b"identity"])).map(
            lambda a: lambda s, now: s.accounts.set_identity(*a)
        ),
        addresses.map(lambda a: lambda s, now: s.accounts.identity(a)),
        st.tuples(
            news, st.sampled_from([b"H" * 32, b"I" * 32]), st.sampled_from([None, None, *INVITES])
        ).map(lambda a: lambda s, now: s.accounts.register_with_pin(*a, now)),
        st.just(lambda s, now: s.accounts.expire_unused(now, 500.0)),
        st.just(lambda s, now: s.accounts.count()),
    )


def _mail_calls() -> st.SearchStrategy[Call]:
    batches = st.lists(items, max_size=5)
    return st.one_of(
        batches.map(lambda a: lambda s, now: s.mailbox(MAILBOX).append(a, now)),
        batches.map(lambda a: lambda s, now: s.mailbox(MAILBOX).append(a, now)),
        places.map(lambda a: lambda s, now: s.mailbox(MAILBOX).attach(a)),
        st.tuples(places, st.integers(0, 5)).map(
            lambda a: lambda s, now: s.mailbox(MAILBOX).after(a[0], a[1], 3, 200)
        ),
        st.tuples(places, st.integers(1, 3), seqs).map(
            lambda a: lambda s, now: s.mailbox(MAILBOX).remove(a[0], a[1], a[2])
        ),
        st.just(lambda s, now: s.mailbox(MAILBOX).expire(now)),
        st.tuples(places, seqs).map(lambda a: lambda s, now: s.mailbox(MAILBOX).remove_notices(*a)),
        st.just(lambda s, now: s.mailbox(MAILBOX).count()),
    )


def _key_calls() -> st.SearchStrategy[Call]:
    uploads = st.builds(
        ports.PreKeyUpload, optional_prekey, optional_prekey, prekeys, prekeys, st.booleans()
    )
    return st.one_of(
        st.tuples(places, uploads).map(lambda a: lambda s, now: s.prekeys.publish(*a)),
        st.tuples(places, st.booleans()).map(lambda a: lambda s, now: s.prekeys.take(*a)),
        places.map(lambda a: lambda s, now: s.prekeys.stock(a)),
    )


def _passcode_calls() -> st.SearchStrategy[Call]:
    return st.one_of(
        st.tuples(sessions, addresses).map(
            lambda a: lambda s, now: s.passcodes(LIMITS).guess(_session(*a[0]), a[1], now)
        ),
        st.tuples(sessions, st.sampled_from(ports.Gate), st.sampled_from([b"", *INVITES])).map(
            lambda a: lambda s, now: _request_once(s, *a, now)
        ),
        st.just(lambda s, now: s.passcodes(LIMITS).expire(now)),
        st.sampled_from("ab").map(lambda a: lambda s, now: s.limits.take("name", a, BUCKET, now)),
        st.sampled_from("ab").map(lambda a: lambda s, now: s.limits.give_back("name", a, BUCKET)),
        st.just(lambda s, now: s.limits.expire(now)),
    )


def _session(address: Address, number: int) -> PasscodeSessionId:
    """Each number has sessions of its own: random ones never meet."""
    return session_id(int(address[-3:]) * 10 + number)


async def _request_once(
    stores: Stores, which: tuple[Address, int], gate: ports.Gate, invite: bytes, now: float
) -> Any:
    """And none is asked for twice while it lives."""
    address, number = which
    passcodes = stores.passcodes(LIMITS)
    known = await passcodes.guess(_session(address, number), address, now)
    if known == ports.GuessRefused(ports.GuessRefusal.UNKNOWN_SESSION):
        await passcodes.expire(now)
        request = ports.PasscodeRequest(
            _session(address, number), address, "1", b"sealed", gate, invite
        )
        return await passcodes.request(request, now)
    return known


async def _settle_in(stores: Stores, now: float) -> None:
    """Accounts for all, a session each for a takeover, and some invites."""
    for invite, whose in INVITES.items():
        await stores.invites.add(invite, whose, now + 250.0)
    for address in (ALICE, BOB, CAROL):
        for number in (1, 2):
            request = ports.PasscodeRequest(_session(address, number), address, "1", b"sealed")
            await stores.passcodes(FREE).request(request, now)
        await stores.accounts.register(_session(address, 1), new_account(address), now)


def _fail(connection: Connection) -> None:
    raise ZeroDivisionError


def _do_nothing(connection: Connection) -> None:
    """As part of a commit."""


def _normal(answer: Any) -> Any:
    if isinstance(answer, ports.PasscodeAllotted):
        return round(answer.retry_after, 3), answer.limit
    return list(answer) if isinstance(answer, (list, tuple)) else answer


def _lost(notices: Sequence[ports.StoredNotice]) -> list[tuple[str, EnvelopeId]]:
    """What notices say: in which of them an id stands, they may choose."""
    return sorted((notice.kind, each) for notice in notices for each in notice.envelope_ids)


class Twins(SynchronousTestCase):
    """A model test: the memory is the model."""

    @settings(deadline=None, max_examples=40)
    @given(st.lists(st.tuples(calls(), st.sampled_from([0.0, 0.0, 10.0, 70.0, 200.0])), max_size=60))
    def test_they_agree(self, run: list[tuple[Call, float]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            opening = Database.open(
                Path(folder) / "db", KEY, "server", task.Clock(), self.fail, lanes=SteppedLanes()
            )
            database = self.done(opening)
            self.compare(SqlStores(database), MemoryStores(), run)
            self.done(database.close())

    @settings(deadline=None, max_examples=40)
    @given(st.lists(st.tuples(st.lists(sent, min_size=1, max_size=5), st.booleans()), max_size=6))
    def test_they_agree_about_appends_of_one_commit(self, run: list[tuple[list[Sent], bool]]) -> None:
        """Some at a time, and each alone where something of the commit fails."""
        self.patch(mailbox, "APPENDED_TOGETHER", 4)
        with tempfile.TemporaryDirectory() as folder:
            lanes, path = SteppedLanes(), Path(folder) / "db"
            database = self.done(
                Database.open(path, KEY, "server", task.Clock(), self.fail, lanes=lanes)
            )
            stores = SqlStores(database), MemoryStores()
            for each in stores:
                self.done(_settle_in(each, 0.0))
            sql, memory = (each.mailbox(MAILBOX) for each in stores)
            for batches, fails in run:
                lanes.automatic = False
                failed = Deferred.fromCoroutine(database.write(_fail if fails else _do_nothing))
                answers = [Deferred.fromCoroutine(sql.append(batch, 0.0)) for batch in batches]
                lanes.run()
                lanes.automatic = True
                failed.addErrback(lambda failure: failure.trap(ZeroDivisionError))
                for batch, answer in zip(batches, answers, strict=True):
                    expected = self.done(memory.append(batch, 0.0))
                    self.assertEqual(self.successResultOf(answer), expected)
                for address in (ALICE, BOB, CAROL):
                    attached = [self.done(each.attach(at(address))) for each in (sql, memory)]
                    self.assertEqual(*attached)
                    self.done(sql.remove(at(address), attached[0].epoch, [attached[0].end]))
                    self.done(memory.remove(at(address), attached[1].epoch, [attached[1].end]))
            self.done(database.close())

    def compare(self, sql: Stores, memory: Stores, run: list[tuple[Call, float]]) -> None:
        now = 0.0
        for stores in (sql, memory):
            self.done(_settle_in(stores, now))
        for call, pause in run:
            now += pause
            self.assertEqual(_normal(self.done(call(sql, now))), _normal(self.done(call(memory, now))))
        for where in (at(address, device) for address in (ALICE, BOB, CAROL) for device in (1, 2)):
            first, second = (self.done(each.mailbox(MAILBOX).notices(where, 50)) for each in (sql, memory))
            self.assertEqual(_lost(first), _lost(second))

    def done(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))
