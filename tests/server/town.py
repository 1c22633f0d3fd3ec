"""A server in memory with its rooms, people with real keys, and peers that keep what they are told."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.crypto.prekey_secrets import make_kem_prekey, make_one_time_prekey, make_signed_prekey
from e2ee.ids import Address, DeviceAddress, PasscodeSessionId
from e2ee.server.code_delivery import CodeDelivery
from e2ee.server.composition import Stores, Surroundings, compose
from e2ee.server.policy import KEM_ONE_TIME_STOCK, ONE_TIME_STOCK, Policy
from e2ee.server.refusal import Refusal
from e2ee.server.window import mark_of
from e2ee.store.memory.accounts import MemoryAccounts
from e2ee.store.memory.census import MemoryCensus
from e2ee.store.memory.files import MemoryFiles, MemoryShelf
from e2ee.store.memory.invites import MemoryInvites
from e2ee.store.memory.limits import MemoryLimits
from e2ee.store.memory.mailbox import MemoryMailbox
from e2ee.store.memory.passcodes import MemoryPasscodes
from e2ee.store.memory.prekeys import MemoryPreKeys
from e2ee.store.memory.state import MemoryStore
from e2ee.store.server.ports import Account, MailRow, NewAccount, PasscodeRequest
from e2ee.testing.entropy import seeded_entropy
from e2ee.testing.network import MemoryNetwork
from e2ee.wire import messages as m
from tests.server.proof_double import InProcessProver
from tests.server.registration_house import RecordingSender

T = TypeVar("T")
ALICE = Address("+15550100101")
BOB = Address("+15550100102")
CAROL = Address("+15550100103")
TOKEN = b"bob's own token."
STATE_TOKEN = b"a token of the sender's own, 40 bytes .."


def token_hash(token: bytes = TOKEN) -> bytes:
    """As clients store it."""
    return hashlib.sha256(token).digest()


class PeerDouble:
    """A logged-in connection that keeps what it is told; `ended` says how it was ended."""

    def __init__(self, where: DeviceAddress) -> None:
        self.where = where
        self.mark = mark_of(where)
        self.ready = True
        self.held: set[str] = set()
        self.shown: Account | None = None
        self.told: list[m.Message] = []
        self.ended = ""

    def push(self, message: m.Message) -> None:
        """Keep it."""
        self.told.append(message)

    def displace(self) -> None:
        """Ended."""
        self.ended = "displaced"

    def log_out(self, sentence: str) -> None:
        """Ended."""
        self.ended = "logged out"

    def abort(self) -> None:
        """Ended."""
        self.ended = "aborted"

    @property
    def pushes(self) -> list[m.Push]:
        """Envelopes only."""
        return [one for one in self.told if isinstance(one, m.Push)]

    @property
    def envelopes(self) -> list[bytes]:
        """What came, in order."""
        return [one.envelope for one in self.pushes]

    @property
    def drained(self) -> bool:
        """Whether it has been told so."""
        return any(isinstance(one, m.Drained) for one in self.told)


class SlowMailbox:
    """A mailbox whose appends begin at once, wait until `release`, and may fail."""

    def __init__(self, mailbox: MemoryMailbox) -> None:
        self.real = mailbox
        self.slow = False
        self.failure: Exception | None = None
        self.token_failure: Exception | None = None
        self.removal_failure: Exception | None = None
        self.reading_failure: Exception | None = None
        self.removals = 0
        self.waiting: list[Deferred[None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def append(self, items: Any, now: float) -> Any:
        """As the real one, later."""
        items = list(items)
        if self.slow:
            gate: Deferred[None] = Deferred()
            self.waiting.append(gate)
            await gate
        if self.failure is not None:
            raise self.failure
        return await self.real.append(items, now)

    async def keep_state_token(self, where: DeviceAddress, token: bytes) -> None:
        """As the real one, unless it fails."""
        if self.token_failure is not None:
            raise self.token_failure
        await self.real.keep_state_token(where, token)

    async def remove(self, where: DeviceAddress, epoch: int, seqs: Sequence[int]) -> None:
        """As the real one, unless it fails; `removals` counts them."""
        self.removals += 1
        if self.removal_failure is not None:
            raise self.removal_failure
        await self.real.remove(where, epoch, seqs)

    async def after(self, where: DeviceAddress, seq: int, count: int, size: int) -> Sequence[MailRow]:
        """As the real one, unless it fails."""
        if self.reading_failure is not None:
            raise self.reading_failure
        return await self.real.after(where, seq, count, size)

    def release(self) -> None:
        """Let the oldest append go on."""
        self.waiting.pop(0).callback(None)


class Town:
    """The rooms over the twins in memory; `network` is reactor, network and clock."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.network = MemoryNetwork()
        self.entropy = seeded_entropy("town")
        self.store = MemoryStore()
        self.mailbox = SlowMailbox(MemoryMailbox(self.store, self.policy.mailbox_limits()))
        self.accounts = MemoryAccounts(self.store)
        self.prekeys = MemoryPreKeys(self.store, ONE_TIME_STOCK, KEM_ONE_TIME_STOCK)
        self.passcodes = MemoryPasscodes(self.store, self.policy.passcode_limits())
        self.sender = RecordingSender()
        self.devices: dict[Address, OwnDevice] = {}
        self.generation = 0
        self.stores = stores = Stores(
            self.accounts, self.prekeys, self.mailbox, MemoryLimits(self.store), self.passcodes,
            MemoryInvites(self.store), MemoryLimits(MemoryStore()), MemoryCensus(self.store),
            MemoryFiles(self.store, self.policy.file_limits()), MemoryShelf(),
        )  # fmt: skip
        self.delivery = CodeDelivery(self.sender, self.network)
        around = Surroundings(
            self.network, self.network.seconds, _at_once, self.delivery,
            InProcessProver(self.entropy, 8), b"s" * 32, b"b" * 32, self.entropy, lambda: 1_000.5,
        )  # fmt: skip
        self.rooms = compose(stores, self.policy, around)

    async def settle_in(self, address: Address) -> OwnDevice:
        """Register a number with fresh keys, past the passcode; an older device is displaced."""
        self.generation += 1
        own = create_device(address, self.generation, self.entropy)
        session = PasscodeSessionId(self.entropy(16))
        self.store.waits.clear()
        await self.passcodes.request(PasscodeRequest(session, address, "1", b"sealed"), 0.0)
        registered = await self.accounts.register(session, self._account(own), self.network.seconds())
        assert hasattr(registered, "displaced"), registered
        self.rooms.taken_over(address, registered.displaced)
        self.devices[address] = own
        return own

    def _account(self, own: OwnDevice) -> NewAccount:
        owner = own.device_signing_secret
        return NewAccount(
            own.address, own.device, own.statement.account_key.raw, own.statement.device_signing_key.raw,
            own.generation, own.signed_statement, own.statement_hash,
            make_signed_prekey(owner, 1, 1, self.entropy)[1],
            make_kem_prekey(owner, 1, 1, False, self.entropy)[1],
        )  # fmt: skip

    def where(self, address: Address) -> DeviceAddress:
        """The device of a number."""
        return DeviceAddress(address, self.devices[address].device)

    async def account(self, address: Address) -> Account:
        """As stored now."""
        found = await self.accounts.find(address)
        assert found is not None
        return found

    async def log_in(self, address: Address) -> PeerDouble:
        """A new connection, past the signature."""
        peer = PeerDouble(self.where(address))
        entered = await self.rooms.login.enter(peer, await self.account(address), 1)
        self.rooms.login.begin(peer, entered)
        return peer

    def peer(self, address: Address) -> PeerDouble:
        """Somebody who only sends."""
        return PeerDouble(self.where(address))

    def send(
        self, to: Address, envelope: bytes, token: bytes | None = None, restart: bool = False, n: int = 1,
        state_token: bytes = STATE_TOKEN,
    ) -> m.Send:
        """To the present device of a number."""
        return m.Send(n, str(to), self.devices[to].statement_hash, token, envelope, state_token, restart)

    def submit(self, peer: PeerDouble, message: m.Send) -> Deferred[m.Message]:
        """Its answer; a refusal fails with Refusal."""
        answered: Deferred[m.Message] = Deferred()

        def answer(said: m.Message) -> None:
            if isinstance(said, m.Refused):
                answered.errback(Refusal(said.code, said.sentence, said.retry_after))
            else:
                answered.callback(said)

        self.rooms.courier.submit(peer, message, answer)
        return answered

    def acknowledge(self, peer: PeerDouble, push: m.Push, opened: bool = True) -> None:
        """The peer's vault has it."""
        verdict = m.Verdict.OPENED if opened else m.Verdict.SET_ASIDE
        envelope_id = hashlib.sha256(push.envelope).digest()[:16]
        delivery = self.rooms.deliveries.find(peer.where)
        assert delivery is not None
        delivery.acknowledge(peer, m.Acknowledge(push.push, envelope_id, verdict))

    def publication(self, address: Address, one_time: int = 0, kem: int = 0, first: int = 10) -> m.Publish:
        """An upload of one-time keys."""
        owner = self.devices[address].device_signing_secret
        keys = [make_one_time_prekey(first + i, self.entropy)[1] for i in range(one_time)]
        kems = [make_kem_prekey(owner, first + i, 1, True, self.entropy)[1] for i in range(kem)]
        return m.Publish(
            1, None, None, tuple(m.OneTimePreKey(key.key_id, key.key.raw) for key in keys), tuple(kems)
        )


def _at_once(step: Callable[[], T]) -> Awaitable[T]:
    return succeed(step())


class TownCase(SynchronousTestCase):
    """Tests in a town with Alice and Bob."""

    policy: Policy | None = None

    def setUp(self) -> None:
        self.town = Town(self.policy)
        for address in (ALICE, BOB):
            self.now(self.town.settle_in(address))

    def now(self, step: Coroutine[Deferred[Any], Any, T]) -> T:
        """The result of what does not wait."""
        return self.successResultOf(Deferred.fromCoroutine(step))
