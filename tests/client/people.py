"""People with real vaults who talk through a fake relay, in one thread and in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure as TwistedFailure
from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.config import Config
from e2ee.client.events import Event, HistoryEntry, HistoryQuery, MessageReceived, SentMessage, ShownEvent
from e2ee.client.linking.known_server import KnownServer
from e2ee.client.messenger import Messenger
from e2ee.client.profile import OpenProfile, Profile
from e2ee.client.profiles.passphrase import PassphraseSource
from e2ee.client.registering.new_identity import make_keys
from e2ee.crypto.backup_permit import permit_key
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.own_device import OwnDevice
from e2ee.ids import Address, EnvelopeId
from e2ee.store.client.adoption import adopt_registration
from e2ee.store.client.identity import PendingRegistration, ServerRecord, save_registration
from e2ee.store.client.prekeys import next_key_ids
from e2ee.store.client.vault import Vault, open_vault
from e2ee.store.connection import Connection
from e2ee.store.stepping import SteppedLanes
from e2ee.testing.entropy import seeded_entropy
from tests.client.fake_relay import Account, FakeLink, FakeRelay
from tests.store.vault_image import image

T = TypeVar("T")

NOON = 1_700_000_000
"""When the tests begin, seconds since 1970."""
KEY = b"\x07" * 32
SERVER = KnownServer(ServerRecord(f"e2ee://x:1/sha256:{'A' * 43}"), lambda _: None)  # type: ignore[arg-type, return-value]


async def at_once(work: Callable[[], T], /) -> T:
    """Work for a thread, without one."""
    return work()


@dataclass
class _OpenedForTests:
    """The parts of an open profile that a messenger uses."""

    config: Config
    vault: Vault
    own: OwnDevice
    server: KnownServer
    opening: OpeningPlace
    profile: Profile
    passphrase_source: PassphraseSource = PassphraseSource.KEY_FILE
    permit_key: bytes = permit_key(KEY)


class OpeningPlace:
    """What a killed process leaves of the envelope that it was opening."""

    def __init__(self) -> None:
        self.name: bytes | None = None

    def left(self) -> bytes | None:
        return self.name

    @contextmanager
    def of(self, envelope_id: EnvelopeId) -> Iterator[None]:
        self.name = bytes(envelope_id)
        try:
            yield
        except CancelledError:
            raise  # what a test dies of
        except BaseException:
            self.name = None
            raise
        self.name = None

    def clear(self) -> None:
        self.name = None


class Person:
    """One user: a vault in a file, and a messenger that can be killed and started again.

    Without a `config` there are no receipts: they have tests of their own.
    """

    def __init__(
        self,
        world: World,
        address: str,
        seed: str,
        config: Config | None = None,
        suite: KemSuite = KemSuite.ML_KEM_1024,
    ) -> None:
        self.suite = suite
        self.world = world
        self.address = Address(address)
        self.entropy = seeded_entropy(seed)
        self.config = config or Config(receipts=False)
        self.path = Path(world.case.mktemp())
        self.path.mkdir(parents=True)
        self.events: list[Event] = []
        self.logged_in_as: Address | None = None
        self.opening = OpeningPlace()
        self.vault = self._open()
        self.register()

    # --- life -------------------------------------------------------------------------------

    def register(self) -> None:
        """New keys, in the vault and at the relay."""
        now = int(self.world.clock.seconds() * 1000)

        def operation(tx: Connection) -> OwnDevice:
            keys = make_keys(self.address, now, next_key_ids(tx, 2), now, self.entropy, self.suite)
            save_registration(
                tx, PendingRegistration(ServerRecord("e2ee://x:1/"), self.address, keys=keys)
            )
            adopt_registration(tx, now)
            own = OwnDevice.decode(keys.own_device)
            self.account = self.world.relay.register(own, keys.signed_prekey, keys.last_resort)
            return own

        self.own = self.world.result(self.vault.write(operation))

    def start(self, *, connect: bool = True) -> Person:
        """Start the client; what it tells is kept in `events`."""
        parts = _OpenedForTests(self.config, self.vault, self.own, SERVER, self.opening, Profile(self.path))
        parts.profile.directory.mkdir(exist_ok=True)
        opened = cast(OpenProfile, parts)
        self.messenger = Messenger(
            opened,
            self.world.clock,
            self.entropy,
            make_link=self._make_link,
            wall=self.world.clock.seconds,
            in_thread=at_once,
        )
        self.messenger.subscribe(self.events.append)
        self.reader = self.messenger.readers.enter()
        self.run(self.messenger.start(connect=connect))
        self.world.settle()
        return self

    def start_as(self, address: Address) -> Person:
        """Start with a connection that is logged in as this number, whatever the own statement says."""
        self.logged_in_as = address
        return self.start()

    def _make_link(self, on_push: Any, on_state: Any) -> FakeLink:
        self.link = FakeLink(self.world.relay, self.own, on_push, on_state)
        self.link.address = self.logged_in_as or self.own.address
        return self.link

    def stop(self) -> None:
        """End cleanly; the vault stays open."""
        self.run(self.messenger.stop())

    def kill(self) -> None:
        """End like a killed process: nothing is told, nothing is finished, the vault is opened anew."""
        self.link.silence()
        self.world.settle()
        self.messenger._context.tasks.spawn = _ignore  # type: ignore[method-assign]
        self.run(self.messenger._context.tasks.finish())
        self.reopen()

    def stolen(self) -> bytes:
        """What somebody with the key reads in the vault's files after the client's end; then it goes on."""
        self.stop()
        self.world.result(self.vault.close())
        stolen = image(self.path / "vault", KEY)
        self.vault = self._open()
        self.start()
        return stolen

    def reopen(self) -> None:
        """The vault as it is on the disk."""
        self.world.result(self.vault.close())
        self.vault = self._open()

    def copy_vault(self) -> bytes:
        """The vault's file as it is now; the client must be stopped."""
        self.reopen()
        self.world.result(self.vault.close())
        copy = (self.path / "vault").read_bytes()
        self.vault = self._open()
        return copy

    def put_back(self, copy: bytes) -> None:
        """Let the client find this copy of its vault at its next start."""
        self.world.result(self.vault.close())
        (self.path / "vault").write_bytes(copy)
        self.vault = self._open()

    def _open(self) -> Vault:
        vault: Vault = self.world.result(
            open_vault(self.path / "vault", KEY, self.world.clock, self._broken, lanes=self.world.lanes)
        )
        return vault

    def _broken(self, error: BaseException) -> None:
        raise AssertionError("the vault broke") from error

    # --- talking ----------------------------------------------------------------------------

    def run(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """The result of something that ends without time passing."""
        return cast(T, self.world.result(work))

    def say(self, to: Person | Address, text: str) -> SentMessage:
        """Queue a text and let the world go on until nothing happens."""
        sent = self.queue(to, text)
        self.world.settle()
        return self.run(self.messenger.sent(sent.message_id))

    def queue(self, to: Person | Address, text: str) -> SentMessage:
        """Queue a text, and nothing more."""
        address = to.address if isinstance(to, Person) else to
        return self.run(self.messenger.queue(address, text))

    def unshown(self) -> list[ShownEvent]:
        """What no reader has shown."""
        return self.run(self.reader.take(None, None))

    def read(self) -> list[str]:
        """The unshown texts, shown now."""
        return [event.text for event in self.seen() if isinstance(event, MessageReceived)]

    def seen(self) -> list[ShownEvent]:
        """All that no reader has shown, shown now."""
        seen: list[ShownEvent] = []
        while events := self.unshown():
            self.run(self.reader.mark_shown(event.position for event in events))
            seen += events
        return seen

    def past(self, query: HistoryQuery | None = None) -> list[HistoryEntry]:
        """What the history has of these texts."""
        archive = self.messenger.archive
        return self.run(archive.load(self.run(archive.find(query or HistoryQuery()))))

    def look(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the vault."""

        def operation(tx: Connection) -> list[tuple[Any, ...]]:
            return tx.execute(sql).fetchall()

        return self.run(self.vault.read(operation))

    def heard(self, kind: type[T]) -> list[T]:
        """The events of one kind, so far."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def stored(self) -> Account:
        """What the relay has of this person."""
        return self.world.relay.accounts[self.address]


def _ignore(work: Coroutine[Any, Any, None]) -> None:
    work.close()


class World:
    """A clock, a relay, one disk for all, and people."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.case = case
        self.clock = Clock()
        self.clock.advance(NOON)
        self.relay = FakeRelay(self.clock)
        self.lanes = SteppedLanes(automatic=False)
        self.people: list[Person] = []
        self._made = 0
        case.addCleanup(self.close)

    def person(
        self, address: str, config: Config | None = None, suite: KemSuite = KemSuite.ML_KEM_1024
    ) -> Person:
        """Somebody registered who is not started."""
        self._made += 1
        one = Person(self, address, f"{address} {self._made}", config, suite)
        self.people.append(one)
        return one

    def settle(self) -> None:
        """Let happen what happens without time passing."""
        for _ in range(10_000):
            if any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
                self.clock.advance(0)
            elif not self.lanes.step():
                return
        raise AssertionError("the world does not come to rest")

    def wait(self, seconds: float) -> None:
        """Let time pass, a second at a time at the most."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(1.0, end - self.clock.seconds()))
            self.settle()

    def result(self, work: Any) -> Any:
        """What a coroutine or Deferred gives, with the world going on; raises what it raises."""
        task: Deferred[Any] = Deferred.fromCoroutine(work) if not isinstance(work, Deferred) else work
        outcomes: list[Any] = []
        task.addBoth(outcomes.append)
        self.settle()
        if not outcomes:
            raise AssertionError("this waits for time to pass")
        if isinstance(outcomes[0], TwistedFailure):
            outcomes[0].raiseException()
        return outcomes[0]

    def close(self) -> None:
        """Close what is open."""
        for one in self.people:
            if hasattr(one, "messenger"):
                one.stop()
            self.result(one.vault.close())
