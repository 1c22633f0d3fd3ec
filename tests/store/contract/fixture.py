"""The ground of the contract tests: stores to test, made-up accounts, envelopes and limits."""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address, DeviceAddress, DeviceId, EnvelopeId, PasscodeSessionId
from e2ee.store.server import ports

T = TypeVar("T")

ALICE = Address("+15550100101")
BOB = Address("+15550100102")
CAROL = Address("+15550100103")

MAILBOX_LIMITS = ports.MailboxLimits(
    messages=0, bytes=0, share=0.5, strangers_waiting=0, stranger_waiting=0, seconds=1000.0
)
UNLIMITED = ports.Bucket(0, 1.0)
PASSCODE_LIMITS = ports.PasscodeLimits(
    life_seconds=600.0,
    guesses=5,
    live_sessions=3,
    waits_seconds=(60.0, 120.0, 300.0, 600.0, 600.0),
    waits_forget_seconds=86_400.0,
    codes=ports.Bucket(6, 3600.0),
    number_guesses=ports.Bucket(8, 7200.0),
    source=ports.Bucket(20, 180.0),
    total=ports.Bucket(1000, 3.6),
    prefix=ports.Bucket(200, 18.0),
    breaker=ports.Bucket(4000, 21.6),
)
FREE = replace(
    PASSCODE_LIMITS,
    live_sessions=0,
    waits_seconds=(),
    codes=UNLIMITED,
    number_guesses=UNLIMITED,
    total=UNLIMITED,
    prefix=UNLIMITED,
    breaker=UNLIMITED,
)
"""Nothing but the life and the guesses of a session."""
STOCK, KEM_STOCK = 5, 4


class Stores(Protocol):
    """One set of stores on one state."""

    accounts: ports.Accounts
    prekeys: ports.PreKeys
    limits: ports.Limits
    census: ports.Census
    invites: ports.Invites

    def prekeys_for(self, stock: int) -> ports.PreKeys:
        """The prekeys of this state with room for so many of each kind."""

    def files(self, limits: ports.FileLimits) -> ports.Files:
        """The files of this state under these limits."""

    def mailbox(self, limits: ports.MailboxLimits) -> ports.Mailbox:
        """The mailbox of this state under these limits."""

    def passcodes(self, limits: ports.PasscodeLimits) -> ports.Passcodes:
        """The passcodes of this state under these limits."""


def device_id(number: int) -> DeviceId:
    """A device id of the test's choice."""
    return DeviceId(number.to_bytes(8, "big"))


def session_id(number: int) -> PasscodeSessionId:
    """A session of the test's choice."""
    return PasscodeSessionId(number.to_bytes(16, "big"))


def new_account(
    address: Address, device: int = 1, generation: int = 1, key: bytes = b"K" * 32, salt: bytes = b""
) -> ports.NewAccount:
    """An account whose bytes are recognisable; `salt` makes another statement of the same generation."""
    statement = b"statement" + address.encode() + bytes([generation]) + salt
    return ports.NewAccount(
        address=address,
        device=device_id(device),
        account_key=key,
        device_signing_key=b"S" * 32,
        generation=generation,
        statement=statement,
        statement_hash=hashlib.sha256(statement).digest(),
        signed_prekey=b"signed" + bytes([device]),
        last_resort_prekey=b"last resort" + bytes([device]),
    )


def at(address: Address, device: int = 1) -> DeviceAddress:
    """Where an account of `new_account` is."""
    return DeviceAddress(address, device_id(device))


def item(
    to: Address, sender: Address, number: int = 1, size: int = 10, known: bool = True, to_device: int = 1
) -> ports.MailItem:
    """An envelope of `size` bytes, another one for each number."""
    envelope = (sender.encode() + number.to_bytes(4, "big")).ljust(size, b"e")[:size]
    envelope_id = EnvelopeId.of(sender.encode() + number.to_bytes(4, "big"))
    return ports.MailItem(at(to, to_device), at(sender), envelope_id, envelope, known)


class ContractCase(SynchronousTestCase):
    """Give it `stores` in setUp, then call `super().setUp()`."""

    stores: Stores
    _sessions = 0

    def done(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of a call that must end at once."""
        result: T = self.successResultOf(Deferred.fromCoroutine(coroutine))
        return result

    def together(self, *coroutines: Coroutine[Any, Any, T]) -> list[T]:
        """The results of calls that are all made before the first is answered, if the store can."""
        answers = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
        self.settle()
        return [self.successResultOf(answer) for answer in answers]

    def settle(self) -> None:
        """Let the store answer."""

    def session(self, address: Address, now: float = 0.0) -> PasscodeSessionId:
        """A live session of this number, whatever the limits."""
        type(self)._sessions += 1
        session = session_id(type(self)._sessions)
        request = ports.PasscodeRequest(session, address, "1", b"sealed")
        self.assertEqual(
            self.done(self.stores.passcodes(FREE).request(request, now)), ports.PasscodeAllotted()
        )
        return session

    def register(self, account: ports.NewAccount, now: float = 0.0) -> ports.Registered:
        """Register with a session of its own."""
        session = self.session(account.address, now)
        result = self.done(self.stores.accounts.register(session, account, now))
        assert isinstance(result, ports.Registered)
        return result
