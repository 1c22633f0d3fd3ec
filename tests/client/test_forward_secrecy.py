"""Used keys and forgotten texts are in no file of a profile: a thief with the passphrase reads no past.

The thief has every byte of the vault's files decrypted (`tests.store.vault_image`) and every envelope that
was ever carried.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client import prekeeper
from e2ee.client.events import MessageReceived
from e2ee.client.history.erasure import ERASE_SECONDS
from e2ee.crypto import chains, labels, ratchet
from e2ee.crypto.chains import Chain
from e2ee.crypto.envelope import Envelope, decode_envelope
from e2ee.crypto.limits import HYBRID_MESSAGES
from e2ee.crypto.primitives import KEY_BYTES, hkdf, hkdf_expand, hmac_sha256
from e2ee.crypto.secret_keys import RatchetKemSecretKey, RatchetSecretKey
from e2ee.crypto.session import Session
from e2ee.errors import StoreUnavailable
from e2ee.store.client import traces
from e2ee.store.client.prekeys import PreKeyKind
from e2ee.store.connection import Connection
from tests.client.fake_relay import Waiting
from tests.client.people import Person, World

ALICE, BOB = "+15550100101", "+15550100102"


class Robbery(SynchronousTestCase):
    """Alice and Bob have small stocks of prekeys, so that there is less to look through."""

    def setUp(self) -> None:
        self.patch(prekeeper, "STOCK", 4)
        self.world = World(self)
        self.alice, self.bob = self.world.person(ALICE).start(), self.world.person(BOB).start()

    def talk(self, turns: int) -> None:
        """So many texts each way, one to three in a row."""
        for number in range(turns):
            for again in range(1 + number % 3):
                self.alice.say(self.bob, f"text {number}.{again}")
            self.bob.say(self.alice, f"answer {number}")
        self.alice.read()
        self.bob.read()

    def withhold(self, text: str) -> Waiting:
        """An envelope from Alice that does not reach Bob."""
        self.bob.link.disconnect()
        self.alice.say(self.bob, text)
        waiting = self.bob.stored.mailbox.pop()
        self.bob.link.connect()
        return waiting

    def sessions(self, person: Person) -> list[Session]:
        states = person.run(
            person.vault.read(lambda tx: tx.execute("SELECT state FROM session").fetchall())
        )
        return [Session.decode(state) for (state,) in states]


class UsedKeys(Robbery):
    """Every secret that a ratchet of either ever had, against what is left."""

    def setUp(self) -> None:
        super().setUp()
        self.secrets: set[bytes] = set()
        self._note_chains()
        self._note_roots()
        self._note_ratchet_keys()

    def _note_chains(self) -> None:
        step = Chain.step

        def noted(chain: Chain) -> tuple[bytes, Chain]:
            message_key, advanced = step(chain)
            self.secrets.update((chain.key, message_key, advanced.key))
            return message_key, advanced

        self.patch(Chain, "step", noted)

    def _note_roots(self) -> None:
        derive = hkdf

        def noted(root_key: bytes, secret: bytes, info: bytes, length: int) -> bytes:
            output = derive(root_key, secret, info, length)
            self.secrets.update((root_key, secret[:KEY_BYTES], output[:KEY_BYTES]))
            return output

        self.patch(chains, "hkdf", noted)

    def _note_ratchet_keys(self) -> None:
        for kind in (RatchetSecretKey, RatchetKemSecretKey):
            generate = kind.generate

            def noted(entropy: object, generate: object = generate) -> object:
                key = generate(entropy)  # type: ignore[operator]
                self.secrets.add(key.raw)
                return key

            self.patch(ratchet, kind.__name__, type(kind.__name__, (kind,), {"generate": noted}))

    def current(self, person: Person) -> set[bytes]:
        """What this person's sessions hold now, to go on with."""
        held: set[bytes | None] = set()
        for session in self.sessions(person):
            sending, receiving = session.ratchet.sending, session.ratchet.receiving
            held.add(session.ratchet.root_key)
            held.update(chain.key for chain in (sending.chain, receiving.chain) if chain is not None)
            held.update(key.raw for key in (sending.own, sending.offer) if key is not None)
            held.update(key for key, _ in receiving.skipped._keys.values())
        return {key for key in held if key is not None}

    def test_none_that_was_used_is_in_any_file(self) -> None:
        self.talk(HYBRID_MESSAGES // 2)
        self.withhold("is missing for ever")
        self.talk(3)
        self.assertGreater(len(self.secrets), 300)
        for person in (self.alice, self.bob):
            current = self.current(person)
            stolen = person.stolen()
            self.assertEqual([key for key in self.secrets - current if key in stolen], [])
            # The kept key of the missing one is among them: what is there is found.
            self.assertEqual([key for key in current if key not in stolen], [])

    def test_nor_are_the_prekeys_of_a_first_message(self) -> None:
        carol = self.world.person("+15550100103").start()
        ids = dict.fromkeys(self.bob.stored.one_time)

        def halves(tx: Connection) -> dict[bytes, bytes]:
            kinds = (PreKeyKind.ONE_TIME, PreKeyKind.KEM_ONE_TIME)
            rows = tx.execute("SELECT kind, key_id, secret FROM prekey WHERE kind IN (?, ?)", kinds)
            return {b"%s %d" % (kind.encode(), key_id): secret for kind, key_id, secret in rows}

        before = self.bob.run(self.bob.vault.read(halves))
        carol.say(self.bob, "hello")
        after = self.bob.run(self.bob.vault.read(halves))
        self.assertEqual((len(before) - len(after), len(ids)), (2, 4))
        stolen = self.bob.stolen()
        gone = [secret for name, secret in before.items() if name not in after]
        self.assertEqual([secret for secret in gone if secret in stolen], [])
        self.assertTrue(all(secret in stolen for secret in after.values()))


class RecordedEnvelopes(Robbery):
    """Envelopes were recorded, then the vault is stolen."""

    def envelopes(self) -> list[bytes]:
        """All that Alice has sent to Bob."""
        return [one.envelope for one in self.world.relay.sends(self.alice.address)]

    def test_the_vault_itself_opens_none_of_them_again(self) -> None:
        self.talk(6)
        missing = self.withhold("never came")
        self.talk(2)
        recorded = [one for one in self.envelopes() if one != missing.envelope]
        self.assertGreater(len(recorded), 12)
        self.bob.run(self.bob.vault.write(_forget_what_was_seen))
        self.bob.events.clear()
        # She would send again what he has forgotten.
        self.alice.link.disconnect()
        sender = self.alice.own.device
        self.bob.stored.mailbox += [
            Waiting(self.alice.address, sender, one) for one in (*recorded, missing.envelope)
        ]
        self.bob.link.disconnect()
        self.bob.link.connect()
        self.world.settle()
        self.world.wait(6)
        self.assertEqual([one.text for one in self.bob.heard(MessageReceived)], ["never came"])

    def test_nothing_in_its_files_is_a_key_of_one_of_them(self) -> None:
        self.talk(2)
        missing = decode_envelope(self.withhold("never came").envelope)
        self.talk(2)
        associated = self.sessions(self.bob)[0].associated
        tried = [one for one in map(decode_envelope, self.envelopes()) if one != missing]
        candidates = _candidates(self.bob.stolen())
        found = [one for one in (tried[0], tried[-1]) if _opens(candidates, one, associated)]
        self.assertEqual(found, [])
        self.assertTrue(_opens(candidates, missing, associated))


class ForgottenTexts(Robbery):
    """A conversation is forgotten."""

    WORDS = (b"zqxjkvwp", b"wvkqzzyx")

    def setUp(self) -> None:
        super().setUp()
        for number in range(20):
            self.alice.say(self.bob, f"hello zqxjkvwp {number}")
            self.bob.say(self.alice, f"back wvkqzzyx {number}")
        self.bob.read()

    def found(self, person: Person) -> list[bytes]:
        """Which of the words are in this person's files, whole or without their beginnings.

        The index may keep the beginning of a word with its neighbour.
        """
        stolen = person.stolen().lower()
        return [word for word in self.WORDS if word in stolen or word[3:] in stolen]

    def test_no_word_of_it_is_in_any_file(self) -> None:
        self.bob.run(self.bob.messenger.archive.forget_conversation(self.alice.address))
        self.assertEqual(self.found(self.bob), [])
        self.assertEqual(self.found(self.alice), list(self.WORDS))

    def test_not_even_after_a_kill_once_the_client_has_run_again(self) -> None:
        self.bob.run(self.bob.messenger.archive.forget_conversation(self.alice.address))
        self.bob.kill()
        self.assertTrue(self.bob.run(self.bob.vault.read(traces.has_forgotten)))
        self.bob.start(connect=False)
        self.assertFalse(self.bob.run(self.bob.vault.read(traces.has_forgotten)))
        self.assertEqual(self.found(self.bob), [])

    def test_after_a_while_in_a_client_that_goes_on(self) -> None:
        self.bob.run(self.bob.messenger.archive.forget_conversation(self.alice.address))
        self.world.wait(ERASE_SECONDS - 1)
        self.assertTrue(self.bob.run(self.bob.vault.read(traces.has_forgotten)))
        self.world.wait(1)
        self.bob.kill()
        self.assertFalse(self.bob.run(self.bob.vault.read(traces.has_forgotten)))
        self.bob.start()
        self.assertEqual(self.found(self.bob), [])

    def test_without_room_it_is_done_the_next_time(self) -> None:
        self.bob.run(self.bob.messenger.archive.forget_conversation(self.alice.address))
        rewritten: list[bool] = []

        async def rewrite() -> None:
            rewritten.append(True)
            raise StoreUnavailable("no room")

        self.patch(self.bob.vault, "rewrite", rewrite)
        self.bob.stop()
        self.bob.reopen()
        self.bob.start(connect=False)
        self.assertEqual((rewritten, self.found(self.bob)), ([True], []))


def _forget_what_was_seen(tx: Connection) -> None:
    """As if none of the envelopes and texts had ever come; sessions and prekeys are as they are."""
    for table in ("arrival", "envelope", "message", "first_message", "stream"):
        tx.execute(f"DELETE FROM {table}")


def _candidates(stolen: bytes) -> set[bytes]:
    """Every 32 bytes of it, at every place, but for those that are mostly empty."""
    windows = {stolen[at : at + KEY_BYTES] for at in range(len(stolen) - KEY_BYTES + 1)}
    return {one for one in windows if one.count(0) < 6 and len(set(one)) > 16}


def _opens(candidates: set[bytes], envelope: Envelope, associated: bytes) -> bool:
    """Whether one of them is the envelope's message key, or a key of its chain at most two before it."""
    for key in candidates:
        for _ in range(3):
            if _is_message_key(key, envelope, associated):
                return True
            if _is_message_key(hmac_sha256(key, b"\x01"), envelope, associated):
                return True
            key = hmac_sha256(key, b"\x02")
    return False


def _is_message_key(key: bytes, envelope: Envelope, associated: bytes) -> bool:
    mac_key = hkdf_expand(key, labels.MESSAGE_KEYS + envelope.iv, 2 * KEY_BYTES)[KEY_BYTES:]
    return hmac_sha256(mac_key, associated + b"\x00" + envelope.covered) == envelope.tag
