"""What the tests of registration share. Knows one house without limits on requests and sources."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from e2ee.ids import Address
from e2ee.server.policy import Policy
from e2ee.server.refusal import Refusal
from e2ee.wire.messages import RefusalCode
from tests.server.registration_house import ALICE, Client, House

T = TypeVar("T")
UNLIMITED = Policy().with_limits({"codes_per_source": 0, "guesses_burst": 0, "codes_burst": 0})


class RegistrationTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(UNLIMITED)

    def done(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def refused(self, coroutine: Coroutine[Any, Any, Any]) -> RefusalCode:
        failure = self.failureResultOf(Deferred.fromCoroutine(coroutine), Refusal)
        return RefusalCode(failure.value.code)

    def client(self, address: Address = ALICE) -> Client:
        """A client with a living session and the right code."""
        return self.house.client(self.done(self.house.session(address)), self.house.sender.code, address)

    def stored_key(self, address: Address = ALICE) -> bytes | None:
        account = self.done(self.house.accounts.find(address))
        return None if account is None else account.account_key
