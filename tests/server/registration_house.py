"""A registration desk in memory, and a client that registers at it; for tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from twisted.internet.task import Clock

from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.crypto.passcode_proof import Confirmations, ProofIdentities, initiator, pin_step
from e2ee.crypto.passcode_store import derive_code_key
from e2ee.crypto.prekey_secrets import make_kem_prekey, make_signed_prekey
from e2ee.ids import Address, DeviceAddress, DeviceId, PasscodeSessionId
from e2ee.server.code_delivery import CodeDelivery
from e2ee.server.counters import Counters
from e2ee.server.policy import Policy
from e2ee.server.registration import Attempt, Registration
from e2ee.store.database import Database
from e2ee.store.memory.accounts import MemoryAccounts
from e2ee.store.memory.invites import MemoryInvites
from e2ee.store.memory.limits import MemoryLimits
from e2ee.store.memory.passcodes import MemoryPasscodes
from e2ee.store.memory.state import MemoryStore
from e2ee.store.server.accounts import SqlAccounts
from e2ee.store.server.invites import SqlInvites
from e2ee.store.server.limits import SqlLimits
from e2ee.store.server.passcodes import SqlPasscodes
from e2ee.store.server.ports import Accounts, Invites, Limits, Passcodes
from e2ee.wire.codec import decode_client, decode_server, encode
from e2ee.wire.messages import (
    Message,
    PinRequired,
    Prove,
    Proved,
    ProvePin,
    RegistrationBody,
    RequestCode,
    SetPin,
    Start,
)
from tests.server.proof_double import InProcessProver

M = TypeVar("M", bound=Message)

ALICE = Address("+15550100101")
BOB = Address("+15550100102")
SOURCE = "192.0.2.1"
EXPORTER = b"x" * 32
START_WALL = 1_767_225_600.0
SALT = b"salt of the PIN."
PIN = b"p" * 32
"""Stretched, as the server gets it."""


@dataclass
class RecordingSender:
    """Keeps what was sent; `failure` is raised instead if there is one."""

    at_once = True
    sent: list[tuple[Address, str, int]] = field(default_factory=list)
    failure: Exception | None = None

    def start(self) -> None:
        """Nothing."""

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append((address, code, expires_at))

    async def stop(self) -> None:
        """Nothing."""

    @property
    def code(self) -> str:
        """The last code that went out."""
        return self.sent[-1][1]


@dataclass(frozen=True)
class Stores:
    """What a registration keeps, and where."""

    passcodes: Passcodes
    accounts: Accounts
    limits: Limits
    invites: Invites

    @classmethod
    def in_memory(cls, policy: Policy) -> Stores:
        """The twins."""
        store = MemoryStore()
        passcodes = MemoryPasscodes(store, policy.passcode_limits())
        return cls(passcodes, MemoryAccounts(store), MemoryLimits(store), MemoryInvites(store))

    @classmethod
    def in_database(cls, database: Database, policy: Policy) -> Stores:
        """The real ones."""
        passcodes = SqlPasscodes(database, policy.passcode_limits())
        return cls(passcodes, SqlAccounts(database), SqlLimits(database), SqlInvites(database))


class House:
    """A Registration with everything around it. `service_time` is what stores count by."""

    def __init__(
        self, policy: Policy | None = None, places: int = 64, stores: Stores | None = None
    ) -> None:
        policy = policy or Policy()
        stores = stores or Stores.in_memory(policy)
        self.random = random.Random(20)
        self.clock = Clock()
        self.clock.advance(START_WALL)
        self.service_time = 100.0
        self.sender = RecordingSender()
        self.counters = Counters()
        self.delivery = CodeDelivery(self.sender, self.clock)
        self.prover = InProcessProver(self.random.randbytes, places)
        self.accounts = stores.accounts
        self.invites = stores.invites
        self.registration = Registration(
            passcodes=stores.passcodes,
            accounts=stores.accounts,
            limits=stores.limits,
            delivery=self.delivery,
            workers=self.prover,
            counters=self.counters,
            policy=policy,
            wall=self.clock.seconds,
            now=lambda: self.service_time,
            entropy=self.random.randbytes,
            code_key=derive_code_key(b"s" * 32),
        )

    async def session(self, number: str = ALICE, source: str = SOURCE) -> PasscodeSessionId:
        """Ask for a code; the session, which has one."""
        answer = as_sent(
            await self.registration.request_code(source, as_received(RequestCode(1, str(number))))
        )
        if answer.retry_after is not None:
            raise AssertionError(f"no code for {answer.retry_after} s")
        return PasscodeSessionId(answer.session)

    def client(self, session: PasscodeSessionId, code: str, address: Address = ALICE) -> Client:
        """A person's installation with fresh keys, about to connect."""
        return Client(self, session, code, create_device(address, 1, self.random.randbytes))

    async def register(self, address: Address = ALICE) -> tuple[Client, DeviceId | None]:
        """The whole way, with the right code."""
        client = self.client(await self.session(address), self.sender.code, address)
        return client, await client.register()

    async def protect(self, client: Client, stretched: bytes = PIN) -> None:
        """Set the PIN of an account whose device is logged in."""
        where = DeviceAddress(client.device.address, client.device.device)
        await self.registration.pins.set(where, as_received(SetPin(1, SALT, stretched)))


@dataclass
class Client:
    """One run of `start` and `prove` on a connection of its own."""

    house: House
    session: PasscodeSessionId
    code: str
    device: OwnDevice = field(repr=False)
    exporter: bytes = EXPORTER
    source: str = SOURCE
    keys: Confirmations | None = None
    attempt: Attempt | None = None
    proven: bytes = b""
    outcome: bytes = b""

    def identities(self) -> ProofIdentities:
        """What this client believes the proof to be about."""
        key = self.device.statement.account_key.raw
        return ProofIdentities(self.session, self.device.address, key, self.exporter)

    def start_message(self) -> tuple[Start, Callable[[bytes], Confirmations]]:
        """A `start`, and what turns its answer into keys."""
        state, a = initiator(self.code, self.identities(), self.house.random.randbytes)
        key = self.device.statement.account_key.raw
        message = Start(2, bytes(self.session), str(self.device.address), key, a)
        return as_received(message), state.finish

    async def start(self) -> None:
        """`start` on a new connection; the keys are there afterwards."""
        message, finish = self.start_message()
        self.attempt = self.house.registration.attempt(self.exporter, self.source)
        self.keys = finish(as_sent(await self.attempt.start(message)).b)

    def body(self) -> RegistrationBody:
        """What this client registers, all of it right."""
        entropy, owner = self.house.random.randbytes, self.device.device_signing_secret
        by_account, by_device = self.device.sign_registration(self.exporter, self.session)
        return RegistrationBody(
            statement=self.device.signed_statement,
            signed_prekey=make_signed_prekey(owner, 1, 1000, entropy)[1],
            last_resort_prekey=make_kem_prekey(owner, 1, 1000, False, entropy)[1],
            account_signature=by_account,
            device_signature=by_device,
        )

    async def prove(
        self, body: bytes | None = None
    ) -> tuple[Proved | PinRequired, Address, DeviceId | None]:
        """`prove`, with another body if one is given; the confirmation is right for it."""
        assert self.attempt is not None
        assert self.keys is not None
        body = encode(self.body()) if body is None else body
        prove = as_received(Prove(3, body, self.keys.client(body)))
        proved, address, displaced = await self.attempt.prove(prove)
        self.keys.check_server(body, as_sent(proved).outcome, proved.confirmation)
        self.proven, self.outcome = body, proved.outcome
        return proved, address, displaced

    def pin_message(self, stretched: bytes = PIN) -> ProvePin:
        """The step after `PinRequired`, confirmed."""
        assert self.keys is not None
        step = pin_step(self.proven, self.outcome, stretched)
        return as_received(ProvePin(4, stretched, self.keys.client(step)))

    async def prove_pin(self, stretched: bytes = PIN) -> tuple[Proved, Address, DeviceId | None]:
        """The last step; the server's confirmation of it is right."""
        assert self.attempt is not None
        assert self.keys is not None
        proved, address, displaced = await self.attempt.prove_pin(self.pin_message(stretched))
        step = pin_step(self.proven, self.outcome, stretched)
        self.keys.check_server(step, as_sent(proved).outcome, proved.confirmation)
        return proved, address, displaced

    async def register(self) -> DeviceId | None:
        """Both steps; the displaced device."""
        await self.start()
        return (await self.prove())[2]

    def with_code(self, code: str) -> Client:
        """The same person with another code, on a new connection."""
        return replace(self, code=code, keys=None, attempt=None)


def as_received(message: M) -> M:
    """What the server makes of this message: it has been over the wire."""
    received = decode_client(encode(message))
    assert isinstance(received, type(message))
    return received


def as_sent(message: M) -> M:
    """What the client makes of this answer."""
    sent = decode_server(encode(message))
    assert isinstance(sent, type(message))
    return sent


def other_code(code: str) -> str:
    """A wrong one."""
    return f"{(int(code) + 1) % 10**6:06d}"
