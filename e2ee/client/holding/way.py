"""The way to a profile's vault: its lock, if nobody has it, else whoever has it.

Knows the order in which both are tried, and for how long; not what is asked for then. Where another
process holds the vault no passphrase is asked for. See `docs/command-line.md`, "One holder, many
commands".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.error import ConnectError
from twisted.internet.protocol import ClientCreator
from twisted.internet.task import deferLater

from e2ee.client.deadline import Deadline
from e2ee.client.events import Event
from e2ee.client.holding import holder_messages as h
from e2ee.client.holding.borrowed import Borrowed
from e2ee.client.holding.holder_socket import is_own_user
from e2ee.client.profiles.passphrase import Passphrase, Passphrases
from e2ee.client.profiles.profile_directory import Profile, not_registered
from e2ee.client.profiles.profile_lock import POLL_SECONDS, ProfileLock, holder_of, place_of_holder, try_lock
from e2ee.client.threads import threads_of
from e2ee.crypto.primitives import Entropy
from e2ee.errors import Code, Failure
from e2ee.ids import Address

if TYPE_CHECKING:
    from e2ee.client.holding.held import Held

T = TypeVar("T")
OnLost = Callable[[Borrowed], None]

CONNECT_SECONDS = 5.0
RELUCTANCE_SECONDS = 5.0
"""How long a command that lasts waits for one that is about to end, rather than borrow from it; half of its
time at the most, so that enough is left to borrow in."""


class Access(Protocol):
    """What `Held` and `Borrowed` have in common: a vault that something can be asked of."""

    async def ask(self, request: h.Request[T], patience: float | None) -> T:
        """The answer. Raises Failure, HolderLost."""

    async def outbox_sent(self, timeout: float | None) -> None:
        """Wait until what can be sent now has been, as far as that is this process's business."""

    async def leave(self) -> None:
        """Nothing more is asked of it."""

    @property
    def own_address(self) -> Address:
        """The number of the profile."""

    @property
    def connected_now(self) -> bool:
        """Whether the link is logged in."""

    @property
    def was_connected(self) -> bool:
        """Whether it was, at least once."""


@dataclass
class Way:
    """One command's way to the vault of its profile.

    `lasting`: it does not end by itself. `ask_again`: whether a person may be asked for the passphrase
    after the first time, when a holder has ended. `passphrase`: what opens the vault, once it is known.
    """

    reactor: Any
    profile: Profile
    passphrases: Passphrases
    entropy: Entropy
    on_broken: Callable[[BaseException], None]
    lasting: bool = False
    ask_again: bool = True
    passphrase: Passphrase | None = field(default=None, repr=False)
    _entered: bool = False

    async def enter(
        self, deadline: Deadline, on_event: Callable[[Event], None], on_lost: OnLost
    ) -> Access:
        """Hold the vault, or borrow it from its holder.

        Raises Failure: NOT_REGISTERED; PASSPHRASE for a wrong or missing one; PROFILE_BUSY with the
        number of the holder's process at the deadline; USAGE for a wrong `config.toml`.
        """
        if not self.profile.exists:
            raise not_registered(self.profile)
        reluctant = Deadline(self.reactor, self._reluctance(deadline))
        while True:
            access = await self._hold(deadline, on_event)
            if access is None:
                access = await self._borrow(deadline, reluctant, on_event, on_lost)
            if access is not None:
                self._entered = True
                return access
            if deadline.passed:
                raise self.busy()
            await deferLater(self.reactor, POLL_SECONDS)

    def _reluctance(self, deadline: Deadline) -> float:
        left = deadline.left()
        if not self.lasting:
            return 0.0
        return RELUCTANCE_SECONDS if left is None else min(RELUCTANCE_SECONDS, left / 2)

    def busy(self) -> Failure:
        """Somebody else holds the profile, and does not share it."""
        return Failure(
            Code.PROFILE_BUSY, f"the profile is in use by {holder_of(self.profile.lock_path)}"
        )

    # --- the lock -----------------------------------------------------------------------------

    async def _hold(self, deadline: Deadline, on_event: Callable[[Event], None]) -> Access | None:
        """The vault itself, if its lock is free."""
        lock = try_lock(self.profile.lock_path)
        if lock is None:
            return None
        if self.passphrase is None:
            # A person may take his time to type it: meanwhile others may have the vault.
            lock.release()
            self.profile.config()
            with deadline.paused():
                self.passphrase = await self._find_passphrase()
            lock = try_lock(self.profile.lock_path)
        if lock is None:
            return None
        try:
            return await self._open(lock, self.passphrase, on_event)
        except BaseException:
            lock.release()
            raise

    async def _find_passphrase(self) -> Passphrase:
        sources = self.passphrases
        if self._entered and not self.ask_again:
            sources = Passphrases(sources.file, None, sources.keyring)
        profile = self.profile
        return await threads_of(self.reactor)(
            lambda: sources.existing(profile.directory, profile.key_file)
        )

    async def _open(
        self, lock: ProfileLock, passphrase: Passphrase, on_event: Callable[[Event], None]
    ) -> Access:
        # Imported here: who borrows the vault needs none of it. Both take their time, and the vault's key
        # is derived without the interpreter's lock.
        from e2ee.client.profile import open_locked

        loading = threads_of(self.reactor)(_load_held)
        opened = await open_locked(self.reactor, self.profile, passphrase, lock, self.on_broken)
        try:
            make_held = await loading
            held = make_held(self.reactor, opened, self.entropy, lasting=self.lasting, on_event=on_event)
        except BaseException:
            await opened.close()
            raise
        await held.start()
        return held

    # --- the holder ---------------------------------------------------------------------------

    async def _borrow(
        self,
        deadline: Deadline,
        reluctant: Deadline,
        on_event: Callable[[Event], None],
        on_lost: OnLost,
    ) -> Access | None:
        """A share in the vault of its holder, if he answers."""
        place = place_of_holder(self.profile.lock_path)
        borrowed = None if place is None else await self._connect(place, on_event, on_lost)
        if borrowed is None:
            return None
        welcome = await borrowed.greet(deadline.left())
        if welcome is None:
            return None
        if not welcome.lasting and not reluctant.passed:
            borrowed.forsake()
            return None
        return borrowed

    async def _connect(
        self, place: Path, on_event: Callable[[Event], None], on_lost: OnLost
    ) -> Borrowed | None:
        # Not an endpoint: their module brings all of TLS along, which costs more than the request.
        creator = ClientCreator(
            self.reactor, Borrowed, self.reactor, lasting=self.lasting, on_event=on_event, on_lost=on_lost
        )
        try:
            borrowed: Borrowed = await creator.connectUNIX(str(place), CONNECT_SECONDS)
        except ConnectError:
            return None
        # Its holder may have been killed before we were told of it: it has no socket then, and no greeting.
        if not borrowed.gone and not is_own_user(borrowed.transport):
            borrowed.forsake()
            return None
        return borrowed


def _load_held() -> type[Held]:
    """All that talks to a server hangs on this import."""
    from e2ee.client.holding.held import Held

    return Held
