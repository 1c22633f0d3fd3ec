"""Registration: five guesses, one connection, one proof; whatever is wrong costs a guess, not the code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from msgspec import structs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from e2ee.crypto.own_device import create_device
from e2ee.ids import Address, PasscodeSessionId
from e2ee.server.policy import CODE_GUESSES, Policy, RegistrationMode
from e2ee.server.refusal import Refusal
from e2ee.store.database import Database
from e2ee.store.server.ports import NewAccount, Registered, RegistrationSpent
from e2ee.wire.codec import decode_part, encode
from e2ee.wire.messages import OutcomeKind, Prove, RefusalCode, RegistrationOutcome
from tests.server.registration_case import UNLIMITED, RegistrationTestCase
from tests.server.registration_house import (
    ALICE,
    BOB,
    EXPORTER,
    Client,
    House,
    Stores,
    other_code,
)


class SuccessTests(RegistrationTestCase):
    def test_the_right_code_makes_an_account(self) -> None:
        client = self.client()
        self.done(client.start())
        proved, address, displaced = self.done(client.prove())
        outcome = decode_part(proved.outcome, RegistrationOutcome)
        self.assertEqual(
            (proved.n, address, displaced, outcome.kind), (3, ALICE, None, OutcomeKind.REGISTERED)
        )
        account = self.done(self.house.accounts.find(ALICE))
        assert account is not None
        self.assertEqual(account.statement, client.device.signed_statement)
        self.assertEqual(account.statement_hash, client.device.statement_hash)
        self.assertEqual(account.account_key, client.device.statement.account_key.raw)
        self.assertEqual(account.device_signing_key, client.device.statement.device_signing_key.raw)
        self.assertEqual((account.device, account.generation), (client.device.device, 1))

    def test_a_second_registration_replaces_the_account_and_names_the_displaced_device(self) -> None:
        first, _ = self.done(self.house.register(ALICE))
        second, displaced = self.done(self.house.register(ALICE))
        self.assertEqual(displaced, first.device.device)
        self.assertEqual(self.stored_key(), second.device.statement.account_key.raw)

    def test_a_mistyped_code_can_be_asked_again(self) -> None:
        client = self.client()
        wrong = client.with_code(other_code(client.code))
        self.done(wrong.start())
        self.assertEqual(self.refused(wrong.prove()), RefusalCode.PROOF_REFUSED)
        self.assertIsNone(self.stored_key())
        self.done(client.register())

    def test_every_spelling_of_a_number_registers_one_account(self) -> None:
        session = self.done(self.house.session("+4402079460000"))
        client = self.house.client(session, self.house.sender.code, Address("+442079460000"))
        self.done(client.register())
        self.assertIsNotNone(self.stored_key(Address("+442079460000")))


class SessionTests(RegistrationTestCase):
    def test_a_session_that_is_not_there_is_refused_before_any_proof_is_computed(self) -> None:
        client = replace(self.client(), session=PasscodeSessionId(b"?" * 16))
        self.assertEqual(self.refused(client.start()), RefusalCode.UNKNOWN_SESSION)
        self.assertEqual(self.house.prover.asked, 0)

    def test_a_session_of_another_number_is_unknown(self) -> None:
        client = self.client()
        mallory = self.house.client(client.session, client.code, BOB)
        self.assertEqual(self.refused(mallory.start()), RefusalCode.UNKNOWN_SESSION)
        self.done(client.register())

    def test_a_code_lives_ten_minutes(self) -> None:
        client = self.client()
        self.house.service_time += 599
        self.done(client.start())
        self.house.service_time += 1
        self.assertEqual(self.refused(client.prove()), RefusalCode.UNKNOWN_SESSION)
        self.assertEqual(self.refused(client.with_code(client.code).start()), RefusalCode.UNKNOWN_SESSION)

    def test_a_code_is_used_once(self) -> None:
        client = self.client()
        self.done(client.register())
        again = self.house.client(client.session, client.code)
        self.assertEqual(self.refused(again.start()), RefusalCode.UNKNOWN_SESSION)
        self.assertEqual(self.stored_key(), client.device.statement.account_key.raw)

    def test_of_two_right_proofs_at_once_one_registers(self) -> None:
        first = self.client()
        second = self.house.client(first.session, first.code)
        self.done(first.start())
        self.done(second.start())
        self.done(first.prove())
        self.assertEqual(self.refused(second.prove()), RefusalCode.UNKNOWN_SESSION)
        self.assertEqual(self.stored_key(), first.device.statement.account_key.raw)

    def test_one_session_does_not_touch_another_of_the_same_number(self) -> None:
        first = self.client()
        for _ in range(CODE_GUESSES):
            self.done(first.with_code(other_code(first.code)).start())
        second = self.client()
        self.assertEqual(self.refused(first.start()), RefusalCode.CODE_EXHAUSTED)
        self.done(second.register())

    def test_registration_closed_in_the_meantime_is_closed(self) -> None:
        client = self.client()
        self.house.registration.apply(Policy(registration=RegistrationMode.CLOSED))
        self.assertEqual(self.refused(client.start()), RefusalCode.REGISTRATION_CLOSED)


class GuessTests(RegistrationTestCase):
    def test_after_five_guesses_the_code_is_exhausted_also_for_the_right_one(self) -> None:
        client = self.client()
        for _ in range(5):
            wrong = client.with_code(other_code(client.code))
            self.done(wrong.start())
            self.assertEqual(self.refused(wrong.prove()), RefusalCode.PROOF_REFUSED)
        self.assertEqual(self.refused(client.start()), RefusalCode.CODE_EXHAUSTED)
        self.assertEqual(self.house.prover.asked, 5)

    def test_a_start_without_a_proof_stays_charged(self) -> None:
        client = self.client()
        for _ in range(5):
            self.done(client.with_code(client.code).start())
        self.assertEqual(self.refused(client.start()), RefusalCode.CODE_EXHAUSTED)

    def test_of_200_guesses_at_once_exactly_five_are_compared(self) -> None:
        self.house = House(UNLIMITED, places=1000)
        client = self.client()
        gate = self.house.prover.gate = Deferred()
        started = [
            Deferred.fromCoroutine(client.with_code(f"{number:06d}").start()) for number in range(200)
        ]
        gate.callback(None)
        refusals: list[RefusalCode] = []
        for one in started:
            one.addErrback(note_refusal, refusals)
            self.successResultOf(one)
        self.assertEqual(self.house.prover.asked, 5)
        self.assertEqual(refusals, [RefusalCode.CODE_EXHAUSTED] * 195)

    def test_guesses_on_one_number_have_a_bucket_of_their_own_over_all_sessions(self) -> None:
        self.house = House(Policy().with_limits({"codes_per_source": 0, "codes_burst": 0}))
        compared = 0
        for _ in range(2):
            client = self.client()
            for _ in range(4):
                self.done(client.with_code(client.code).start())
                compared += 1
        client = self.client()
        failure = self.failureResultOf(Deferred.fromCoroutine(client.start()), Refusal)
        self.assertEqual(failure.value.code, RefusalCode.RATE_LIMITED)
        self.assertEqual(failure.value.retry_after, 7200)
        self.assertEqual(self.house.prover.asked, compared)

    def test_a_full_queue_is_busy_and_costs_no_guess(self) -> None:
        self.house = House(UNLIMITED, places=1)
        client = self.client()
        gate = self.house.prover.gate = Deferred()
        first = Deferred.fromCoroutine(client.with_code(client.code).start())
        for _ in range(10):
            self.assertEqual(self.refused(client.with_code(client.code).start()), RefusalCode.BUSY)
        gate.callback(None)
        self.successResultOf(first)
        self.house.prover.gate = None
        for _ in range(CODE_GUESSES - 1):
            self.done(client.with_code(client.code).start())
        self.assertEqual(self.refused(client.with_code(client.code).start()), RefusalCode.CODE_EXHAUSTED)

    def test_an_unknown_session_gives_its_place_back(self) -> None:
        client = replace(self.client(), session=PasscodeSessionId(b"?" * 16))
        self.refused(client.start())
        self.assertEqual(self.house.prover.taken, 0)

    def test_a_connection_that_ends_gives_its_place_back_and_stays_charged(self) -> None:
        client = self.client()
        self.house.prover.gate = Deferred()
        gone = Deferred.fromCoroutine(client.with_code(client.code).start())
        gone.addErrback(lambda failure: None)
        gone.cancel()
        self.assertEqual(self.house.prover.taken, 0)
        self.house.prover.gate = None
        for _ in range(CODE_GUESSES - 1):
            self.done(client.with_code(client.code).start())
        self.assertEqual(self.refused(client.start()), RefusalCode.CODE_EXHAUSTED)

    def test_an_element_that_is_none_costs_a_guess(self) -> None:
        client = self.client()
        message, _ = client.start_message()
        for _ in range(CODE_GUESSES):
            attempt = self.house.registration.attempt(EXPORTER, client.source)
            bad = structs.replace(message, a=b"A" + bytes((1,)) + bytes(31))
            self.assertEqual(self.refused(attempt.start(bad)), RefusalCode.PROOF_REFUSED)
        self.assertEqual(self.refused(client.start()), RefusalCode.CODE_EXHAUSTED)


class DatabaseTests(TestCase):
    """The same over the real database with its threads."""

    timeout = 300

    async def house(self, path: Path) -> tuple[House, Database]:
        database = await Database.open(path, bytes(32), "server", reactor, self.fail)
        return House(UNLIMITED, places=1000, stores=Stores.in_database(database, UNLIMITED)), database

    async def refusals(self, client: Client, codes: Iterable[str]) -> list[RefusalCode]:
        refusals: list[RefusalCode] = []
        started = [Deferred.fromCoroutine(client.with_code(code).start()) for code in codes]
        for one in started:
            one.addErrback(note_refusal, refusals)
        await gatherResults(started)
        return refusals

    def test_of_200_guesses_at_once_exactly_five_are_compared_also_after_a_restart(self) -> Deferred[None]:
        async def scenario() -> None:
            path = Path(self.mktemp())
            house, database = await self.house(path)
            client = house.client(await house.session(), house.sender.code)
            codes = [f"{number:06d}" for number in range(200)]
            refusals = await self.refusals(client, codes)
            await database.close()
            self.assertEqual(house.prover.asked, 5)
            self.assertEqual(refusals, [RefusalCode.CODE_EXHAUSTED] * 195)

            again, database = await self.house(path)
            refusals = await self.refusals(replace(client, house=again), codes[:10])
            await database.close()
            self.assertEqual(again.prover.asked, 0)
            self.assertEqual(refusals, [RefusalCode.CODE_EXHAUSTED] * 10)

        return Deferred.fromCoroutine(scenario())

    def test_of_five_right_proofs_at_once_one_registers(self) -> Deferred[None]:
        async def scenario() -> None:
            house, database = await self.house(Path(self.mktemp()))
            first = house.client(await house.session(), house.sender.code)
            clients = [house.client(first.session, first.code) for _ in range(5)]
            for client in clients:
                await client.start()
            refusals: list[RefusalCode] = []
            proofs = [Deferred.fromCoroutine(client.prove()) for client in clients]
            for one in proofs:
                one.addErrback(note_refusal, refusals)
            results = await gatherResults(proofs)
            account = await house.accounts.find(ALICE)
            await database.close()
            self.assertEqual(refusals, [RefusalCode.UNKNOWN_SESSION] * 4)
            assert account is not None
            winners = [one for one, proof in zip(clients, results, strict=True) if proof is not None]
            self.assertEqual(
                [one.device.statement.account_key.raw for one in winners], [account.account_key]
            )

        return Deferred.fromCoroutine(scenario())


class RelayTests(RegistrationTestCase):
    def test_a_proof_relayed_over_another_connection_is_refused(self) -> None:
        """A man in the middle has the code's owner prove it to him, and passes everything on."""
        victim = self.client()
        message, finish = victim.start_message()
        relayed = self.house.registration.attempt(b"y" * 32, "192.0.2.66")
        victim.attempt = relayed
        victim.keys = finish(self.done(relayed.start(message)).b)
        self.assertEqual(self.refused(victim.prove()), RefusalCode.PROOF_REFUSED)
        self.assertIsNone(self.stored_key())

    def test_a_phished_code_cannot_register_the_phishers_key_in_a_relayed_run(self) -> None:
        victim = self.client()
        mallory = create_device(ALICE, 2, self.house.random.randbytes)
        message, finish = victim.start_message()
        attempt = self.house.registration.attempt(EXPORTER, victim.source)
        swapped = structs.replace(message, account_key=mallory.statement.account_key.raw)
        victim.attempt, victim.keys = attempt, finish(self.done(attempt.start(swapped)).b)
        self.assertEqual(self.refused(victim.prove()), RefusalCode.PROOF_REFUSED)

    def test_the_server_confirms_nothing_before_the_client_has(self) -> None:
        client = self.client()
        self.done(client.start())
        assert client.attempt is not None
        prove = Prove(3, encode(client.body()), bytes(32))
        self.assertEqual(self.refused(client.attempt.prove(prove)), RefusalCode.PROOF_REFUSED)
        self.assertIsNone(self.stored_key())


class OrderTests(RegistrationTestCase):
    """One start and one proof for each connection."""

    def test_a_second_start_is_refused_and_takes_no_guess(self) -> None:
        client = self.client()
        self.done(client.start())
        assert client.attempt is not None
        message, _ = client.start_message()
        self.assertEqual(self.refused(client.attempt.start(message)), RefusalCode.ILLEGAL)
        self.done(client.prove())

    def test_a_proof_without_a_start_is_refused(self) -> None:
        attempt = self.house.registration.attempt(EXPORTER, "192.0.2.1")
        self.assertEqual(self.refused(attempt.prove(Prove(1, b"body", bytes(32)))), RefusalCode.ILLEGAL)

    def test_a_proof_before_the_answer_to_start_is_refused(self) -> None:
        client = self.client()
        gate = self.house.prover.gate = Deferred()
        attempt = self.house.registration.attempt(EXPORTER, client.source)
        started = Deferred.fromCoroutine(attempt.start(client.start_message()[0]))
        self.assertEqual(self.refused(attempt.prove(Prove(1, b"body", bytes(32)))), RefusalCode.ILLEGAL)
        gate.callback(None)
        self.successResultOf(started)

    def test_after_a_refused_proof_there_is_no_second_one(self) -> None:
        client = self.client()
        self.done(client.start())
        assert client.attempt is not None
        wrong = Prove(3, encode(client.body()), bytes(32))
        self.assertEqual(self.refused(client.attempt.prove(wrong)), RefusalCode.PROOF_REFUSED)
        self.assertEqual(self.refused(client.prove()), RefusalCode.ILLEGAL)
        self.assertIsNone(self.stored_key())

    def test_two_proofs_at_once_register_once(self) -> None:
        client = self.client()
        self.done(client.start())
        registered: Deferred[Registered | RegistrationSpent] = Deferred()

        async def slow(session: PasscodeSessionId, account: NewAccount, now: float) -> object:
            return await registered

        self.patch(self.house.accounts, "register", slow)
        first = Deferred.fromCoroutine(client.prove())
        self.assertEqual(self.refused(client.prove()), RefusalCode.ILLEGAL)
        registered.callback(Registered(None))
        self.successResultOf(first)

    def test_an_older_statement_of_the_same_account_key_is_refused(self) -> None:
        client = self.client()
        self.done(client.start())

        async def older(session: PasscodeSessionId, account: NewAccount, now: float) -> object:
            return RegistrationSpent.OLDER_STATEMENT

        self.patch(self.house.accounts, "register", older)
        self.assertEqual(self.refused(client.prove()), RefusalCode.PROOF_REFUSED)

    def test_refusals_say_nothing_about_what_was_wrong_and_hold_no_secret(self) -> None:
        client = self.client()
        sentences = set()
        for code, confirmation in ((other_code(client.code), None), (client.code, bytes(32))):
            run = client.with_code(code)
            self.done(run.start())
            assert run.attempt is not None
            assert run.keys is not None
            body = encode(run.body())
            prove = Prove(3, body, confirmation or run.keys.client(body))
            failure = self.failureResultOf(Deferred.fromCoroutine(run.attempt.prove(prove)), Refusal)
            sentences.add(failure.value.sentence)
            self.assertNotIn(client.code, repr(failure.value) + repr(run.attempt))
        self.assertEqual(len(sentences), 1)


def note_refusal(failure: Failure, refusals: list[RefusalCode]) -> None:
    """Remember why something was refused."""
    refusal = failure.value
    assert isinstance(refusal, Refusal)
    refusals.append(refusal.code)
