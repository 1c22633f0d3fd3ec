"""The real server's rooms over stores in memory, behind real TLS on a network in memory.

Knows how it is killed and started again, and how to push twice and backwards; nothing of who talks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import deepcopy
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, succeed

from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.state_token import read_state_token
from e2ee.ids import Address, DeviceAddress, PasscodeSessionId
from e2ee.net.connect_link import ConnectLink
from e2ee.net.tls import ServerContext, server_tls_factory
from e2ee.server.code_delivery import CodeDelivery
from e2ee.server.composition import Stores, Surroundings, compose
from e2ee.server.delivery import Delivery
from e2ee.server.factory import ServerFactory
from e2ee.server.peer import Peer
from e2ee.server.policy import KEM_ONE_TIME_STOCK, ONE_TIME_STOCK, Policy, PresencePolicy
from e2ee.store.memory.accounts import MemoryAccounts
from e2ee.store.memory.census import MemoryCensus
from e2ee.store.memory.files import MemoryFiles, MemoryShelf
from e2ee.store.memory.invites import MemoryInvites
from e2ee.store.memory.limits import MemoryLimits
from e2ee.store.memory.mailbox import MemoryMailbox
from e2ee.store.memory.passcodes import MemoryPasscodes
from e2ee.store.memory.prekeys import MemoryPreKeys
from e2ee.store.memory.state import MemoryStore
from e2ee.store.server.ports import NewAccount, PasscodeRequest
from e2ee.testing.certificates import self_signed
from e2ee.testing.entropy import seeded_entropy
from e2ee.testing.network import MemoryNetwork
from e2ee.wire.messages import Message, Push
from tests.server.proof_double import InProcessProver
from tests.server.registration_house import RecordingSender

T = TypeVar("T")
HOST: Final = "server.example"
PORT: Final = 8443
BACKUP_PIN: Final = b"\xb2" * 32
POLICY: Final = Policy(
    presence=PresencePolicy.EVERYONE, messages_burst=0, bundles_per_target=0, codes_burst=0
)


class Mortal:
    """A store as one run of the server sees it: when that has been killed, nothing is ever answered to it."""

    def __init__(self, store: object) -> None:
        self._store = store
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*arguments: Any) -> Any:
            if self.dead:
                await Deferred()
            return await method(*arguments)

        return call


class Server:
    """One server, whose stores outlive its runs."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.store = MemoryStore()
        self._entropy = seeded_entropy("server")
        self._credentials = self_signed(HOST)
        self._run: list[Mortal] = []
        network.names[HOST] = "127.0.0.1"
        self.start()

    @property
    def link(self) -> ConnectLink:
        """Where it is."""
        return ConnectLink(HOST, PORT, (self._credentials.pin, BACKUP_PIN))

    # --- runs ---------------------------------------------------------------------------------

    def start(self) -> None:
        """A new run, with nothing in memory."""
        limits = MemoryLimits(MemoryStore())
        self._passcodes = MemoryPasscodes(self.store, POLICY.passcode_limits())
        self._prekeys = MemoryPreKeys(self.store, ONE_TIME_STOCK, KEM_ONE_TIME_STOCK)
        self._run = [
            Mortal(MemoryAccounts(self.store)),
            Mortal(self._prekeys),
            Mortal(MemoryMailbox(self.store, POLICY.mailbox_limits())),
        ]
        accounts, prekeys, mailbox = self._run
        stores = Stores(
            accounts, prekeys, mailbox, limits, self._passcodes, MemoryInvites(self.store), limits,
            MemoryCensus(self.store), MemoryFiles(self.store, POLICY.file_limits()), MemoryShelf(),
        )  # fmt: skip
        around = Surroundings(
            self.network, self.network.seconds, _at_once, CodeDelivery(RecordingSender(), self.network),
            InProcessProver(self._entropy, 8), b"s" * 32, BACKUP_PIN, self._entropy, self.network.seconds,
        )  # fmt: skip
        self.rooms = compose(stores, POLICY, around)
        factory = server_tls_factory(
            ServerContext(self._credentials), ServerFactory(self.rooms, self.network), self.network
        )
        self.network.listenTCP(PORT, factory)

    def kill(self) -> None:
        """Everything in memory is gone, and every connection."""
        for store in self._run:
            store.dead = True
        for wire in self.network.wires:
            wire.cut()
        self.network.ports[PORT].stopListening()

    def copy(self) -> MemoryStore:
        """A backup."""
        return deepcopy(self.store)

    def put_back(self, copy: MemoryStore) -> None:
        """Killed, and started again from a backup."""
        self.kill()
        self.store = deepcopy(copy)
        self.start()

    def state_counter(self, own: OwnDevice) -> int:
        """The counter in the state token that is on the disk; 0 for none."""
        device = self.store.device(DeviceAddress(own.address, own.device))
        token = None if device is None else device.state_token
        return 0 if token is None else read_state_token(own, token) or 0

    # --- what people come to it for -----------------------------------------------------------

    def register(self, own: OwnDevice, signed_prekey: bytes, last_resort: bytes) -> None:
        """Make or replace the account of this number, past the passcode."""
        Deferred.fromCoroutine(self._register(own, signed_prekey, last_resort)).addErrback(_raise)

    async def _register(self, own: OwnDevice, signed_prekey: bytes, last_resort: bytes) -> None:
        session = PasscodeSessionId(self._entropy(16))
        self.store.waits.clear()
        now = self.network.seconds()
        await self._passcodes.request(PasscodeRequest(session, own.address, "1", b"sealed"), now)
        account = NewAccount(
            own.address, own.device, own.statement.account_key.raw, own.statement.device_signing_key.raw,
            own.generation, own.signed_statement, own.statement_hash, signed_prekey, last_resort,
        )  # fmt: skip
        accounts = MemoryAccounts(self.store)
        registered = await accounts.register(session, account, now)
        assert hasattr(registered, "displaced"), registered
        self.rooms.taken_over(own.address, registered.displaced)

    def exhaust(self, where: DeviceAddress) -> None:
        """Somebody takes all one-time keys of a device."""
        Deferred.fromCoroutine(self._exhaust(where)).addErrback(_raise)

    async def _exhaust(self, where: DeviceAddress) -> None:
        while True:
            taken = await self._prekeys.take(where, one_time=True)
            if taken is None or (taken.one_time is None and not taken.kem_is_one_time):
                return

    def waiting(self, where: DeviceAddress) -> int:
        """How many envelopes wait for a device."""
        device = self.store.device(where)
        return 0 if device is None else len(device.mail)


class Mischief:
    """What a server does to pushes on their way, by the number of their recipient. Patch `Delivery._push`."""

    def __init__(self) -> None:
        self.twice: set[Address] = set()
        self.backwards: set[Address] = set()
        self._held: WeakKeyDictionary[Peer, Message] = WeakKeyDictionary()
        self._push = Delivery._push

    def push(self, delivery: Delivery, message: Message) -> None:
        """In place of the delivery's own."""
        peer = delivery.peer
        if peer is None:
            return
        address = peer.where.address
        held = self._held.pop(peer, None)
        if isinstance(message, Push) and address in self.backwards and held is None:
            self._held[peer] = message
            return
        order = [message]
        if held is not None:
            order = [message, held] if isinstance(message, Push) else [held, message]
        for one in order * (2 if address in self.twice else 1):
            self._push(delivery, one)  # type: ignore[arg-type]


def _at_once(step: Callable[[], T]) -> Awaitable[T]:
    return succeed(step())


def _raise(failure: Any) -> None:
    failure.raiseException()
