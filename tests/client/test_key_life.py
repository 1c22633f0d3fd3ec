"""The life of prekeys: used up, rotated, retired, lost in a crash, drained; a first message always opens.

What the directory is given and when is in `test_prekeeper`; used keys are in `test_forward_secrecy`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client import prekeeper
from e2ee.client.events import MessageReceived, Undecryptable
from e2ee.crypto.handshake import Handshake
from e2ee.crypto.own_device import create_device
from e2ee.crypto.prekeys import verify_kem_prekey
from e2ee.crypto.session import peek
from e2ee.ids import Address
from e2ee.store.client import prekeys
from e2ee.store.client.prekeys import ROTATED_KINDS, PreKeyKind
from e2ee.store.connection import Connection
from e2ee.testing.entropy import seeded_entropy
from e2ee.wire import messages as m
from tests.client.fake_relay import FakeLink, Waiting
from tests.client.people import Person, World

ALICE, BOB = "+15550100101", "+15550100102"
DAY = 24 * 60 * 60


class KeyLifeCase(SynchronousTestCase):
    """Bob has a small stock of prekeys; others write to him."""

    STOCK = 4

    def setUp(self) -> None:
        self.patch(prekeeper, "STOCK", self.STOCK)
        self.world = World(self)
        self.bob = self.world.person(BOB)
        self._numbers = iter(range(1, 90))

    def stranger(self) -> Person:
        """Somebody whom Bob does not know."""
        return self.world.person(f"+155501002{next(self._numbers):02}").start()

    def handshake(self, sender: Person) -> Handshake:
        """What the last envelope of this person says about the prekeys that it used."""
        handshake = peek(self.world.relay.sends(sender.address)[-1].envelope).handshake
        assert handshake is not None
        return handshake

    def texts(self) -> list[str]:
        """What Bob was shown so far."""
        return [one.text for one in self.bob.heard(MessageReceived)]

    def secrets(self, *kinds: PreKeyKind) -> set[bytes]:
        """The private halves that are in Bob's vault, without what stands before the key."""
        marks = ", ".join("?" * len(kinds))

        def load(tx: Connection) -> set[bytes]:
            rows = tx.execute(f"SELECT secret FROM prekey WHERE kind IN ({marks})", kinds)
            return {secret[-32:] for (secret,) in rows}

        return self.bob.run(self.bob.vault.read(load))


class Exhaustion(KeyLifeCase):
    """One-time keys are used up while their owner is away."""

    def setUp(self) -> None:
        super().setUp()
        self.bob.start()
        self.bob.stop()

    def test_the_last_resort_key_follows_the_one_time_keys_and_the_handshake_says_so(self) -> None:
        used = []
        for number in range(self.STOCK + 2):
            sender = self.stranger()
            sender.say(self.bob, f"{number}")
            handshake = self.handshake(sender)
            used.append((handshake.kem_one_time, handshake.one_time_id is not None))
        self.assertEqual(used, [(True, True)] * self.STOCK + [(False, False)] * 2)
        owner = self.bob.own.statement.device_signing_key
        last_resort = verify_kem_prekey(self.bob.stored.last_resort, owner)
        self.assertEqual(handshake.kem_prekey_id, last_resort.key_id)
        self.bob.start()
        self.assertEqual(self.bob.read(), [f"{number}" for number in range(self.STOCK + 2)])

    def test_of_one_kind_only(self) -> None:
        stored = self.bob.stored
        kept = dict(stored.one_time)
        for one_time, kem_one_time in (({}, stored.kem_one_time), (kept, [])):
            stored.one_time, stored.kem_one_time = one_time, kem_one_time
            sender = self.stranger()
            sender.say(self.bob, "hello")
            handshake = self.handshake(sender)
            marks = handshake.one_time_id is not None, handshake.kem_one_time
            self.assertEqual(marks, (bool(one_time), not one_time))
        self.bob.start()
        self.assertEqual(self.bob.read(), ["hello", "hello"])

    def test_twenty_accounts_that_drain_the_stock_stop_no_honest_first_message(self) -> None:
        for number in range(20):
            link = self._drainer(Address(f"+155501003{number:02}"))
            for _ in range(self.STOCK):
                answer = self.world.result(link.request(m.FetchBundle(0, BOB, None)))
                self.assertIsInstance(answer, m.Bundle)
        self.assertEqual((self.bob.stored.one_time, self.bob.stored.kem_one_time), ({}, []))
        self.stranger().say(self.bob, "an honest word")
        self.bob.start()
        self.assertEqual(self.bob.read(), ["an honest word"])
        # And the stock is filled again, for the next.
        self.assertEqual(len(self.bob.stored.kem_one_time), self.STOCK)
        next_one = self.stranger()
        next_one.say(self.bob, "another")
        self.assertTrue(self.handshake(next_one).kem_one_time)


    def _drainer(self, address: Address) -> FakeLink:
        """The connection of an account that has nothing in mind but to ask for keys."""
        entropy = seeded_entropy(address)
        own = create_device(address, self.bob.own.generation, entropy)
        self.world.relay.register(own, b"", b"")
        link = FakeLink(self.world.relay, own, lambda _: None, lambda _: None)
        link.connect()
        return link


class Replays(KeyLifeCase):
    """First messages that used no one-time key: nothing but memory tells a repeat from the first."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.world.person(ALICE).start()
        self.alice.say(self.bob, "once")
        (self.first,) = self.bob.stored.mailbox
        self.assertEqual(self.handshake(self.alice).one_time_id, None)
        self.bob.start()
        self.assertEqual(self.texts(), ["once"])

    def replay(self) -> None:
        """The envelope comes again, to a client that was killed and has forgotten all but its prekeys."""
        self.bob.kill()
        self.bob.run(self.bob.vault.write(_forget_all_but_prekeys))
        again = Waiting(self.alice.address, self.alice.own.device, self.first.envelope)
        self.bob.stored.mailbox.append(again)
        self.bob.start()
        self.assertEqual(self.bob.stored.mailbox, [])

    def test_a_repeat_is_refused_after_a_restart_as_long_as_its_prekeys_live(self) -> None:
        for days in (0, 20, 16):
            self.world.clock.advance(days * DAY)
            self.replay()
            self.assertEqual((self.texts(), self.bob.heard(Undecryptable)), (["once"], []))

    def test_and_then_it_opens_no_more(self) -> None:
        self.world.clock.advance(8 * DAY)
        self.replay()
        self.world.clock.advance(31 * DAY)
        self.bob.stop()
        self.bob.start()
        self.bob.events.clear()
        self.replay()
        self.assertEqual((self.texts(), len(self.bob.heard(Undecryptable))), ([], 1))

    def test_another_envelope_of_the_same_handshake_is_a_repeat_too(self) -> None:
        self.bob.link.disconnect()
        self.alice.say(self.bob, "twice")
        (self.first,) = self.bob.stored.mailbox
        self.bob.stored.mailbox.clear()
        self.replay()
        self.assertEqual((self.texts(), self.bob.heard(Undecryptable)), (["once"], []))


class Rotation(KeyLifeCase):
    """Weekly keys are replaced while messages to them are under way."""

    def test_messages_of_four_weeks_to_keys_of_four_weeks_all_open(self) -> None:
        self.patch(prekeeper, "STOCK", 0)
        used, under_way = set(), []
        for week in range(4):
            self.bob.start()
            self.bob.stop()
            sender = self.stranger()
            sender.say(self.bob, f"week {week}")
            handshake = self.handshake(sender)
            used.add((handshake.signed_prekey_id, handshake.kem_prekey_id))
            # The network keeps them for later.
            under_way += self.bob.stored.mailbox
            self.bob.stored.mailbox.clear()
            self.world.clock.advance(7 * DAY)
        self.assertEqual(len(used), 4)
        self.bob.stored.mailbox += under_way
        self.bob.start()
        self.assertEqual(self.bob.read(), [f"week {week}" for week in range(4)])

    def test_old_halves_are_in_no_file_thirty_days_after_and_in_it_before(self) -> None:
        self.bob.start()
        old = self.secrets(*ROTATED_KINDS)
        self.world.clock.advance(7 * DAY)
        self.assertEqual(self._left_after_a_run(old), 2)  # replaced now
        self.world.clock.advance(30 * DAY - 60)
        self.assertEqual(self._left_after_a_run(old), 2)
        self.world.clock.advance(120)
        self.assertEqual(self._left_after_a_run(old), 0)

    def _left_after_a_run(self, secrets: set[bytes]) -> int:
        """How many of them are in the files after a run that drained the mailbox."""
        self.bob.stop()
        self.bob.start()
        stolen = self.bob.stolen()
        return sum(secret in stolen for secret in secrets)

    def test_not_before_a_mailbox_was_drained_after_that_day(self) -> None:
        self.bob.start()
        old = self.secrets(*ROTATED_KINDS)
        self.world.clock.advance(7 * DAY)
        self._left_after_a_run(old)
        self.bob.stop()
        late = self.stranger()
        self.world.clock.advance(31 * DAY)
        for _ in range(2):
            self.bob.start(connect=False)
            self.bob.stop()
        self.assertLessEqual(old, self.secrets(*ROTATED_KINDS))
        late.say(self.bob, "late")
        self.bob.start()
        self.assertEqual(self.bob.read(), ["late"])
        self.assertEqual(old & self.secrets(*ROTATED_KINDS), set())


class Crashes(KeyLifeCase):
    """Between generating, saving, uploading and handing out: what the directory has, the vault has."""

    def _killed(self, arrange: Callable[[], Any]) -> None:
        """Bob's client dies while it makes new prekeys: at the first login, and when a week is over."""
        for days in (0, 8):
            self.world.clock.advance(days * DAY)
            undo = arrange()
            self.bob.start()
            self.bob.kill()
            undo()
            self._every_key_opens()

    def _every_key_opens(self) -> None:
        """Strangers write with all that the directory hands out, before Bob is back and after."""
        expected = []
        for when, count in (("before", self.STOCK + 1), ("after", 2)):
            for number in range(count):
                expected.append(f"{when} {number}")
                self.stranger().say(self.bob, expected[-1])
            self.bob.start()
            self.assertEqual(self.bob.read(), expected)
            expected.clear()
            self.bob.stop()
        self.assertEqual(self.bob.heard(Undecryptable), [])

    def test_after_generating(self) -> None:
        def arrange() -> Callable[[], None]:
            restore: Callable[[], None] = self.patch(prekeys, "add_prekeys", _die).restore
            return restore

        self._killed(arrange)
        self.flushLoggedErrors(_Died)

    def test_after_saving(self) -> None:
        def arrange() -> Callable[[], Any]:
            self.world.relay.intercept[self.bob.address] = self._lost_upload
            return lambda: self.world.relay.intercept.pop(self.bob.address)

        self._killed(arrange)

    def _lost_upload(self, message: m.Message) -> m.Message | None:
        """The connection ends before the directory has read it."""
        if isinstance(message, m.Publish):
            self.world.clock.callLater(0, self.bob.link.silence)
            return m.Published(0, 0, 0)
        return None

    def test_after_uploading(self) -> None:
        def arrange() -> Callable[[], None]:
            self.world.relay.lose_answers = True

            def undo() -> None:
                self.world.relay.lose_answers = False

            return undo

        self._killed(arrange)
        self._no_id_names_two_keys()

    def _no_id_names_two_keys(self) -> None:
        """The directory would refuse them."""
        named: dict[tuple[str, int], bytes] = {}
        relay, owner = self.world.relay, self.bob.own.statement.device_signing_key
        own = [one for who, one in relay.requests if who == self.bob.address]
        uploads = [one for one in own if isinstance(one, m.Publish)]
        self.assertGreater(len(uploads), 4)
        for upload in uploads:
            for one in upload.one_time:
                self.assertEqual(named.setdefault(("one-time", one.key_id), one.key), one.key)
            for signed in upload.kem_one_time:
                key_id = verify_kem_prekey(signed, owner).key_id
                self.assertEqual(named.setdefault(("KEM", key_id), signed), signed)

    def test_after_handing_out(self) -> None:
        self.bob.start()
        senders = [self.stranger() for _ in range(self.STOCK + 1)]
        held: list[m.Message] = []
        for sender in senders:
            # Fetched, and not yet used when the owner dies.
            held.append(sender.run(sender.link.request(m.FetchBundle(0, BOB, None))))
        self.bob.kill()
        self.world.clock.advance(8 * DAY)
        self.bob.start()
        self.bob.kill()
        for sender, bundle in zip(senders, held, strict=True):
            self.world.relay.intercept[sender.address] = lambda message, bundle=bundle: (  # type: ignore[misc]
                bundle if isinstance(message, m.FetchBundle) else None
            )
            sender.say(self.bob, f"{sender.address}")
        self.bob.start()
        self.assertEqual(self.bob.read(), [f"{sender.address}" for sender in senders])


class _Died(Exception):
    """The process ends here."""


def _die(*_: object) -> None:
    raise _Died


def _forget_all_but_prekeys(tx: Connection) -> None:
    for table in ("session", "envelope", "arrival", "message", "stream"):
        tx.execute(f"DELETE FROM {table}")
