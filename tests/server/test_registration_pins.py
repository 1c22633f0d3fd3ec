"""The registration PIN: asked for once the code is proven, ten tries, then one a day."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from e2ee.ids import DeviceAddress
from e2ee.server.policy import DAY_SECONDS, PIN_TRIES, Policy, PolicyError
from e2ee.server.refusal import Refusal
from e2ee.store.connection import Connection
from e2ee.store.database import Database
from e2ee.wire.codec import decode_part
from e2ee.wire.messages import (
    Done,
    OutcomeKind,
    PinRequired,
    Proved,
    ProvePin,
    RefusalCode,
    RegistrationOutcome,
    RemovePin,
    SetPin,
)
from tests.server.registration_case import UNLIMITED, RegistrationTestCase
from tests.server.registration_house import ALICE, BOB, EXPORTER, PIN, SALT, Client, House, Stores, other_code

WRONG = b"w" * 32


class PinTestCase(RegistrationTestCase):
    """Alice is registered and has a PIN."""

    def setUp(self) -> None:
        super().setUp()
        self.first, _ = self.done(self.house.register(ALICE))
        self.done(self.house.protect(self.first))

    def asked(self) -> Client:
        """Somebody who has proven a code and is asked for the PIN."""
        client = self.client()
        self.done(client.start())
        asked, _, displaced = self.done(client.prove())
        assert isinstance(asked, PinRequired)
        self.assertIsNone(displaced)
        return client

    def assert_unchanged(self) -> None:
        self.assertEqual(self.stored_key(), self.first.device.statement.account_key.raw)


class OutcomeTests(PinTestCase):
    """What the code alone gives."""

    def test_the_outcome_has_the_salt_and_leaves_the_account_as_it_is(self) -> None:
        client = self.asked()
        outcome = decode_part(client.outcome, RegistrationOutcome)
        self.assertEqual(outcome, RegistrationOutcome(OutcomeKind.PIN_REQUIRED, SALT))
        self.assert_unchanged()

    def test_the_code_is_used_up(self) -> None:
        client = self.asked()
        self.assertEqual(self.refused(client.with_code(client.code).start()), RefusalCode.UNKNOWN_SESSION)

    def test_before_the_code_is_proven_a_number_with_a_pin_is_like_any_other(self) -> None:
        """Same answers to a request, to a start and to a wrong proof: with a PIN, without, no account."""
        self.done(self.house.register(BOB))
        seen = set()
        for address in (ALICE, BOB, type(ALICE)("+15550100103")):
            client = self.client(address)
            wrong = client.with_code(other_code(client.code))
            self.done(wrong.start())
            failure = self.failureResultOf(Deferred.fromCoroutine(wrong.prove()), Refusal).value
            seen.add((failure.code, failure.sentence, failure.retry_after))
        self.assertEqual(len(seen), 1)

    def test_a_registration_without_a_pin_has_no_salt(self) -> None:
        client = self.client(BOB)
        self.done(client.start())
        proved, _, _ = self.done(client.prove())
        assert isinstance(proved, Proved)
        self.assertEqual(
            decode_part(proved.outcome, RegistrationOutcome), RegistrationOutcome(OutcomeKind.REGISTERED)
        )


class RightPinTests(PinTestCase):
    """Code and PIN together."""

    def test_the_right_pin_replaces_the_account_and_names_the_displaced_device(self) -> None:
        client = self.asked()
        proved, address, displaced = self.done(client.prove_pin())
        self.assertEqual((proved.n, address, displaced), (4, ALICE, self.first.device.device))
        self.assertEqual(
            decode_part(proved.outcome, RegistrationOutcome), RegistrationOutcome(OutcomeKind.REGISTERED)
        )
        self.assertEqual(self.stored_key(), client.device.statement.account_key.raw)

    def test_the_pin_is_kept(self) -> None:
        self.done(self.asked().prove_pin())
        self.done(self.asked().prove_pin())

    def test_a_removed_pin_is_not_asked_for(self) -> None:
        where = DeviceAddress(ALICE, self.first.device.device)
        self.assertEqual(self.done(self.house.registration.pins.remove(where, RemovePin(5))), Done(5))
        self.done(self.house.register(ALICE))

    def test_a_new_pin_takes_the_place_of_the_old(self) -> None:
        self.done(self.house.protect(self.first, WRONG))
        self.assertEqual(self.refused(self.asked().prove_pin()), RefusalCode.WRONG_PIN)
        self.done(self.asked().prove_pin(WRONG))

    def test_a_device_that_was_replaced_sets_and_removes_nothing(self) -> None:
        self.done(self.asked().prove_pin())
        where = DeviceAddress(ALICE, self.first.device.device)
        pins = self.house.registration.pins
        self.assertEqual(self.refused(pins.set(where, SetPin(1, SALT, WRONG))), RefusalCode.LOGGED_OUT)
        self.assertEqual(self.refused(pins.remove(where, RemovePin(1))), RefusalCode.LOGGED_OUT)
        self.done(self.asked().prove_pin())


class WrongPinTests(PinTestCase):
    """Ten tries, then one a day."""

    def test_a_wrong_pin_changes_nothing_and_ends_this_run(self) -> None:
        client = self.asked()
        self.assertEqual(self.refused(client.prove_pin(WRONG)), RefusalCode.WRONG_PIN)
        self.assertEqual(self.refused(client.prove_pin()), RefusalCode.ILLEGAL)
        self.assert_unchanged()

    def test_the_limit_is_ten_and_one_a_day(self) -> None:
        self.assertEqual((PIN_TRIES.burst, PIN_TRIES.refill_seconds), (10, DAY_SECONDS))

    def test_after_ten_tries_the_right_pin_waits_for_a_day(self) -> None:
        for _ in range(10):
            self.assertEqual(self.refused(self.asked().prove_pin(WRONG)), RefusalCode.WRONG_PIN)
        client = self.asked()
        failure = self.failureResultOf(Deferred.fromCoroutine(client.prove_pin()), Refusal).value
        self.assertEqual((failure.code, failure.retry_after), (RefusalCode.RATE_LIMITED, DAY_SECONDS))
        self.assert_unchanged()
        self.house.service_time += DAY_SECONDS
        self.done(self.asked().prove_pin())
        self.assertEqual(self.refused(self.asked().prove_pin()), RefusalCode.RATE_LIMITED)

    def test_tries_are_counted_for_each_number(self) -> None:
        for _ in range(11):
            self.refused(self.asked().prove_pin(WRONG))
        bob, _ = self.done(self.house.register(BOB))
        self.done(self.house.protect(bob))
        client = self.client(BOB)
        self.done(client.start())
        self.done(client.prove())
        self.done(client.prove_pin())

    def test_a_try_is_taken_before_comparing(self) -> None:
        """Of thirty right and wrong ones at once ten are compared."""
        clients = [self.asked() for _ in range(30)]
        gate: Deferred[None] = Deferred()
        compared: list[bytes] = []

        async def slow(account: object, pin_hash: bytes, invite: object, now: float) -> object:
            compared.append(pin_hash)
            await gate
            return await real(account, pin_hash, invite, now)  # type: ignore[arg-type]

        real = self.house.accounts.register_with_pin
        self.patch(self.house.accounts, "register_with_pin", slow)
        running = [Deferred.fromCoroutine(client.prove_pin(WRONG)) for client in clients]
        gate.callback(None)
        codes = [self.failureResultOf(one, Refusal).value.code for one in running]
        self.assertEqual(len(compared), 10)
        self.assertEqual(codes, [RefusalCode.WRONG_PIN] * 10 + [RefusalCode.RATE_LIMITED] * 20)

    def test_no_configuration_lifts_the_limit(self) -> None:
        for name in ("registration_pin", "pin_tries", "PIN_TRIES"):
            self.assertRaises(PolicyError, Policy().with_limits, {name: 0})


class StepTests(PinTestCase):
    """One step, with the keys of this run."""

    def test_a_confirmation_that_is_wrong_takes_no_try(self) -> None:
        for _ in range(20):
            client = self.asked()
            assert client.attempt is not None
            forged = structs.replace(client.pin_message(), confirmation=bytes(32))
            self.assertEqual(self.refused(client.attempt.prove_pin(forged)), RefusalCode.PROOF_REFUSED)
        self.assert_unchanged()
        self.done(self.asked().prove_pin())

    def test_a_message_of_another_run_is_refused(self) -> None:
        """Recorded, it is of no use: the keys are of another exchange."""
        recorded = self.asked().pin_message()
        client = self.asked()
        assert client.attempt is not None
        self.assertEqual(self.refused(client.attempt.prove_pin(recorded)), RefusalCode.PROOF_REFUSED)

    def test_a_swapped_pin_is_refused(self) -> None:
        client = self.asked()
        assert client.attempt is not None
        swapped = structs.replace(client.pin_message(), stretched=WRONG)
        self.assertEqual(self.refused(client.attempt.prove_pin(swapped)), RefusalCode.PROOF_REFUSED)

    def test_a_pin_without_a_proven_code_is_refused(self) -> None:
        attempt = self.house.registration.attempt(EXPORTER, "192.0.2.1")
        self.assertEqual(self.refused(attempt.prove_pin(ProvePin(1, PIN, bytes(32)))), RefusalCode.ILLEGAL)
        client = self.client()
        self.done(client.start())
        assert client.attempt is not None
        self.assertEqual(self.refused(client.attempt.prove_pin(client.pin_message())), RefusalCode.ILLEGAL)

    def test_a_pin_after_a_registration_is_refused(self) -> None:
        client = self.client(BOB)
        self.done(client.register())
        self.assertEqual(self.refused(client.prove_pin()), RefusalCode.ILLEGAL)

    def test_a_pin_that_is_gone_in_the_meantime_is_not_compared(self) -> None:
        client = self.asked()
        where = DeviceAddress(ALICE, self.first.device.device)
        self.done(self.house.registration.pins.remove(where, RemovePin(1)))
        self.done(client.prove_pin(WRONG))
        self.assertEqual(self.stored_key(), client.device.statement.account_key.raw)

    def test_an_account_replaced_in_the_meantime_is_replaced_with_its_pin(self) -> None:
        one, other = self.asked(), self.asked()
        self.done(one.prove_pin())
        self.assertEqual(self.done(other.prove_pin())[2], one.device.device)

    def test_nothing_shows_a_secret(self) -> None:
        client = self.asked()
        assert client.attempt is not None
        assert client.keys is not None
        shown = repr(client.attempt._pin_due)
        for secret in (client.keys.kc, client.keys.ks, client.outcome):
            self.assertNotIn(repr(secret)[2:-1], shown)


class DatabaseTests(TestCase):
    """The same over the real database."""

    timeout = 300

    def test_tries_and_the_pin_survive_a_restart_and_the_database_has_only_a_hash(self) -> Deferred[None]:
        async def try_pin(house: House, stretched: bytes) -> str:
            client = house.client(await house.session(), house.sender.code)
            await client.start()
            await client.prove()
            try:
                await client.prove_pin(stretched)
            except Refusal as refusal:
                return refusal.code
            return "registered"

        def read_pin(connection: Connection) -> tuple[bytes, bytes]:
            row: tuple[bytes, bytes] = connection.execute("SELECT pin_salt, pin_hash FROM account").fetchone()
            return row

        async def scenario() -> None:
            path = Path(self.mktemp())
            seen = []
            for start in range(3):
                database = await Database.open(path, bytes(32), "server", reactor, self.fail)
                house = House(UNLIMITED, stores=Stores.in_database(database, UNLIMITED))
                house.random.seed(start)
                if start == 0:
                    await house.protect((await house.register(ALICE))[0])
                seen += [await try_pin(house, WRONG) for _ in range(5)]
                if start == 0:
                    salt, kept = await database.read(read_pin)
                    self.assertEqual((salt, len(kept)), (SALT, 32))
                    self.assertNotEqual(kept, PIN)
                await database.close()
            self.assertEqual(seen, ["wrong_pin"] * 10 + ["rate_limited"] * 5)

        return Deferred.fromCoroutine(scenario())
