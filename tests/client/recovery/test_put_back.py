"""An old copy of the vault is put back, or a server from before: docs/cryptography.md, "State tokens"."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.events import (
    Gap,
    MessageReceived,
    PutBack,
    SentAgain,
    SentState,
    ShownEvent,
    Undecryptable,
    WhatWasPutBack,
)
from e2ee.crypto.prekeys import verify_signed_prekey
from e2ee.crypto.state_token import make_state_token, read_state_token
from e2ee.store.client.prekeys import last_key_id
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.people import Person, World

ALICE, BOB, CAROL = "+15550100101", "+15550100102", "+15550100103"


class PutBackCase(SynchronousTestCase):
    """Alice and Bob have talked; a copy of everything was made then."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.alice.say(self.bob, "a0")
        self.bob.say(self.alice, "b0")
        self.alice.read()
        self.bob.read()
        self.alice.stop()
        self.copy = self.alice.copy_vault()
        self.alice.start()

    def put_back(self) -> None:
        """Alice goes on from the copy."""
        self.alice.stop()
        self.world.wait(2)
        self.alice.put_back(self.copy)
        self.alice.events.clear()
        self.alice.start()

    def put_server_back(self, state: object) -> None:
        """Everybody is away; the server goes on from the copy."""
        for one in (self.alice, self.bob):
            if one.link._up:
                one.link.disconnect()
        self.world.wait(2)
        self.world.relay.accounts = state  # type: ignore[assignment]

    def texts(self, person: Person) -> list[tuple[str, bool, bool]]:
        """Unshown texts: late, repeated."""
        return [
            (one.text, one.late, one.repeated)
            for one in person.seen()
            if isinstance(one, MessageReceived)
        ]

    def others(self, person: Person) -> list[ShownEvent]:
        """All else that is unshown."""
        return [one for one in person.seen() if not isinstance(one, MessageReceived)]

    def handshakes(self, person: Person) -> int:
        return self.world.relay.count(person.address, m.FetchBundle)


class OldVaultTests(PutBackCase):
    """What Alice sent and received after the copy was made is not in it."""

    def test_its_user_is_told_once(self) -> None:
        self.alice.say(self.bob, "a1")
        self.put_back()
        (told,) = self.alice.seen()
        assert isinstance(told, PutBack)
        self.assertEqual((told.what, told.address), (WhatWasPutBack.PROFILE, ALICE))
        self.alice.read()
        for _ in range(2):
            self.alice.stop()
            self.alice.start()
        self.assertEqual(self.alice.seen(), [])

    def test_nobody_is_told_if_nothing_was_sent_since(self) -> None:
        self.bob.say(self.alice, "b1")
        self.alice.read()
        self.put_back()
        self.assertEqual(self.others(self.alice), [])

    def test_both_directions_go_on_in_order_in_a_new_session(self) -> None:
        for number in range(1, 4):
            self.alice.say(self.bob, f"a{number}")
            self.bob.say(self.alice, f"b{number}")
        self.bob.read()
        self.put_back()
        self.alice.read()
        self.bob.read()
        self.assertIs(self.alice.say(self.bob, "a new").state, SentState.DELIVERED)
        self.assertIs(self.bob.say(self.alice, "b new").state, SentState.DELIVERED)
        self.world.wait(6)
        self.assertEqual(self.texts(self.bob), [("a new", False, False)])
        self.assertEqual(self.texts(self.alice)[-1:], [("b new", False, False)])

    def test_nothing_is_sealed_in_a_session_of_the_copy(self) -> None:
        old = {row[0] for row in self.alice.look("SELECT session_id FROM session")}
        self.alice.say(self.bob, "a1")
        self.bob.say(self.alice, "b1")
        self.put_back()
        self.bob.say(self.alice, "on whatever session there is")
        before = len(self.world.relay.sends(self.alice.address))
        self.alice.say(self.bob, "answer")
        sent = self.world.relay.sends(self.alice.address)[before:]
        self.assertTrue(sent)
        for one in sent:
            self.assertNotIn(one.envelope[2:10], old)

    def test_the_first_text_after_it_has_a_handshake_even_if_it_was_queued_offline(self) -> None:
        for number in range(1, 4):
            self.alice.say(self.bob, f"a{number}")
        self.alice.stop()
        self.alice.put_back(self.copy)
        self.alice.start(connect=False)
        self.alice.queue(self.bob, "queued")
        before = len(self.world.relay.sends(self.alice.address))
        self.alice.messenger._context.link.start()
        self.world.settle()
        first = self.world.relay.sends(self.alice.address)[before]
        self.assertEqual(first.envelope[1], 1)
        self.assertIn(("queued", False, False), self.texts(self.bob))

    def test_what_was_received_and_not_confirmed_is_sent_again_and_marked_as_perhaps_shown(self) -> None:
        self.bob.say(self.alice, "b1")
        self.alice.say(self.bob, "confirms b1")
        self.bob.say(self.alice, "b2")
        self.bob.say(self.alice, "b3")
        self.bob.read()
        self.put_back()
        self.world.wait(6)
        put_back, gap, *texts = self.alice.seen()
        assert isinstance(put_back, PutBack)
        assert isinstance(gap, Gap)
        self.assertEqual(gap.missing, 1)
        self.assertEqual([(one.text, one.late, one.repeated) for one in texts],  # type: ignore[union-attr]
                         [("b2", False, True), ("b3", False, True)])  # fmt: skip
        (told,) = self.bob.seen()
        assert isinstance(told, SentAgain)
        self.assertEqual(told.messages, 2)

    def test_what_waits_in_the_mailbox_or_on_its_way_is_shown_once(self) -> None:
        self.alice.say(self.bob, "a1")
        self.bob.say(self.alice, "b1")
        self.alice.say(self.bob, "a2")
        self.bob.read()
        self.alice.stop()
        for number in range(3):
            self.bob.say(self.alice, f"waits {number}")
        self.bob.queue(self.alice, "on its way")
        self.alice.put_back(self.copy)
        self.alice.events.clear()
        self.world.wait(1)
        self.alice.start()
        self.world.wait(6)
        shown = [text for text, _, _ in self.texts(self.alice)]
        self.assertEqual(shown, ["waits 0", "waits 1", "waits 2", "on its way"])
        self.assertEqual(self.bob.run(self.bob.messenger.outbox()), [])

    def test_what_waits_at_the_contact_is_sealed_anew_even_if_a_text_came_before_the_question(self) -> None:
        self.bob.say(self.alice, "b1")
        self.alice.say(self.bob, "a1")
        self.bob.read()
        self.bob.link.disconnect()
        self.bob.queue(self.alice, "sealed in a session of before")
        self.alice.stop()
        self.alice.put_back(self.copy)
        self.alice.start(connect=False)
        self.alice.queue(self.bob, "first of all")
        self.alice.messenger._context.link.start()
        self.world.settle()
        sends = iter(range(1000))
        self.world.relay.intercept[self.bob.address] = lambda message: (
            refused(m.RefusalCode.BUSY, 1.0) if isinstance(message, m.Send) and not next(sends) else None
        )
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual(self.bob.read(), ["first of all"])
        self.world.wait(6)
        self.assertEqual(self.alice.heard(Undecryptable), [])
        self.assertEqual(self.alice.read(), ["sealed in a session of before"])

    def test_every_prekey_in_the_directory_is_one_that_opens(self) -> None:
        before = self.alice.stored.signed_prekey
        stock = set(self.alice.stored.one_time)
        self.alice.say(self.bob, "a1")
        self.put_back()
        account = self.alice.stored
        self.assertNotEqual(account.signed_prekey, before)
        self.assertGreater(min(account.one_time), max(stock))
        carol = self.world.person(CAROL).start()
        self.assertIs(carol.say(self.alice, "hello").state, SentState.DELIVERED)
        key = self.alice.own.statement.device_signing_key
        self.assertGreater(
            verify_signed_prekey(account.signed_prekey, key).created_at,
            verify_signed_prekey(before, key).created_at,
        )

    def test_a_second_time_and_a_third(self) -> None:
        for number in range(3):
            self.alice.say(self.bob, f"lost {number}")
            self.put_back()
            self.alice.read()
            self.bob.read()
            self.world.wait(3600)
            self.alice.say(self.bob, f"after {number}")
            self.bob.say(self.alice, f"answer {number}")
            self.world.wait(6)
            self.assertEqual(self.bob.read(), [f"after {number}"])
            self.assertEqual(self.alice.read()[-1:], [f"answer {number}"])

    def test_a_server_that_hides_it_costs_what_is_sent_until_a_contact_answers(self) -> None:
        """No key is used twice all the same; what cannot be opened is told to its recipient."""
        self.alice.say(self.bob, "a1")
        self.bob.say(self.alice, "b1")
        self.alice.say(self.bob, "a2")
        self.bob.read()
        self.alice.stop()
        self.alice.stored.state_token = None
        self.alice.put_back(self.copy)
        self.alice.events.clear()
        self.alice.start()
        self.assertEqual(self.others(self.alice), [])
        self.alice.say(self.bob, "in a session of before")
        self.world.wait(6)
        self.assertEqual(len(self.bob.heard(Undecryptable)), 1)
        self.bob.read()
        for number in range(3):
            self.assertIs(self.bob.say(self.alice, f"b{number}").state, SentState.DELIVERED)
            self.assertIs(self.alice.say(self.bob, f"a{number}").state, SentState.DELIVERED)
        self.assertEqual(self.texts(self.bob), [(f"a{number}", False, False) for number in range(3)])

    def take_ids(self, count: int) -> None:
        """Another copy has published so many keys since, of which the directory hands out none any more."""
        taken = self.alice.run(self.alice.vault.read(last_key_id)) + count
        self.alice.stored.one_time.clear()
        self.alice.stored.kem_one_time.clear()
        self.world.relay.intercept[self.alice.address] = lambda message: (
            refused(m.RefusalCode.CONFLICT)
            if isinstance(message, m.Publish) and any(one.key_id <= taken for one in message.one_time)
            else None
        )

    def put_back_unnoticed(self, copy: bytes, taken: int) -> None:
        self.alice.stop()
        self.alice.stored.state_token = None
        self.alice.put_back(copy)
        self.take_ids(taken)
        self.alice.start()

    def test_a_second_time_within_an_hour_that_a_server_hides_is_healed_after_the_hour(self) -> None:
        self.put_back_unnoticed(self.copy, taken=1_000)
        self.assertEqual(len(self.alice.stored.one_time), 100)
        self.alice.stop()
        copy = self.alice.copy_vault()
        self.alice.start()
        self.world.wait(60)
        self.put_back_unnoticed(copy, taken=50_000)
        self.world.wait(60)
        self.assertEqual(len(self.alice.stored.one_time), 0)
        self.world.wait(3600)
        self.assertEqual(len(self.alice.stored.one_time), 100)
        carol = self.world.person(CAROL).start()
        self.assertIs(carol.say(self.alice, "hello").state, SentState.DELIVERED)
        self.assertEqual(self.alice.read(), ["hello"])

    def test_a_token_that_this_device_has_not_made_is_ignored(self) -> None:
        forged = make_state_token(self.bob.own, 1000)
        self.alice.link.disconnect()
        for token in (forged, b"\xff" * 40):
            self.alice.stored.state_token = token
            self.alice.link.connect()
            self.world.settle()
            self.assertEqual(self.alice.seen(), [])
            self.alice.link.disconnect()

    def test_the_counter_grows_with_each_transaction_that_seals_and_comes_with_the_envelope(self) -> None:
        self.alice.say(self.bob, "one")
        self.alice.say(self.bob, "two")
        tokens = [read_state_token(self.alice.own, one.state_token)
                  for one in self.world.relay.sends(self.alice.address)]  # fmt: skip
        self.assertEqual(tokens, sorted(set(tokens)))
        self.world.relay.lose_answers = True
        self.alice.queue(self.bob, "thrice")
        for _ in range(2):
            self.world.settle()
            self.alice.link.disconnect()
            self.alice.link.connect()
        self.world.relay.lose_answers = False
        self.alice.link.disconnect()
        self.alice.link.connect()
        self.world.settle()
        last = self.world.relay.sends(self.alice.address)[-3:]
        self.assertEqual(len({(one.envelope, one.state_token) for one in last}), 1)

    def test_a_device_that_is_registered_anew_begins_without_a_story(self) -> None:
        self.alice.say(self.bob, "a1")
        self.alice.stop()
        self.alice.register()
        self.alice.events.clear()
        self.alice.start()
        self.assertEqual(self.alice.heard(PutBack), [])


class OldServerTests(PutBackCase):
    """The server has lost what it accepted since the copy was made."""

    def setUp(self) -> None:
        super().setUp()
        self.state = self.world.relay.backup()

    def back(self) -> None:
        self.put_server_back(self.state)
        self.alice.link.connect()
        self.world.settle()
        self.bob.link.connect()
        self.world.settle()

    def test_what_waited_on_it_arrives_once_and_in_order(self) -> None:
        self.bob.link.disconnect()
        for number in range(1, 4):
            self.assertIs(self.alice.say(self.bob, f"a{number}").state, SentState.STORED)
        self.back()
        self.world.wait(6)
        seen = self.bob.seen()
        self.assertEqual([(one.text, one.late, one.repeated) for one in seen],  # type: ignore[union-attr]
                         [(f"a{number}", False, False) for number in range(1, 4)])  # fmt: skip
        put_back, again = self.alice.seen()
        assert isinstance(put_back, PutBack)
        assert isinstance(again, SentAgain)
        self.assertEqual((put_back.what, again.messages), (WhatWasPutBack.SERVER, 3))

    def test_its_user_is_told_once(self) -> None:
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        self.back()
        self.alice.read()
        for _ in range(2):
            self.alice.link.disconnect()
            self.alice.link.connect()
            self.world.settle()
        self.assertEqual(self.others(self.alice), [])

    def test_who_has_sent_nothing_since_is_told_nothing(self) -> None:
        self.back()
        self.assertEqual((self.alice.seen(), self.bob.seen()), ([], []))

    def test_what_was_delivered_without_a_disk_says_nothing_about_the_server(self) -> None:
        """A server that was killed has lost such tokens: it was not put back."""
        self.assertIs(self.alice.say(self.bob, "a1").state, SentState.DELIVERED)
        self.alice.link.disconnect()
        self.alice.stored.state_token = self.state[self.alice.address].state_token
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.alice.seen(), [])

    def test_a_server_without_any_token_was_put_back_too(self) -> None:
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        self.alice.link.disconnect()
        self.alice.stored.state_token = None
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(len(self.alice.heard(PutBack)), 1)

    def test_no_consumed_one_time_key_is_handed_out_again(self) -> None:
        handed_out = [min(self.alice.stored.one_time)]
        carol = self.world.person(CAROL).start()
        carol.say(self.alice, "hello")
        self.assertNotIn(handed_out[0], self.alice.stored.one_time)
        self.state[carol.address] = self.world.relay.backup()[carol.address]
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        signed = self.alice.stored.signed_prekey
        self.back()
        self.assertEqual(len(self.alice.stored.one_time), 100)
        self.assertEqual(set(self.alice.stored.one_time) & set(self.state[self.bob.address].one_time), set())
        self.assertNotIn(handed_out[0], self.alice.stored.one_time)
        self.assertEqual(self.alice.stored.signed_prekey, signed)

    def test_a_weekly_prekey_that_the_server_has_forgotten_is_published_again(self) -> None:
        self.alice.link.disconnect()
        self.world.wait(8 * 24 * 3600)
        self.alice.link.connect()
        self.world.settle()
        fresh = self.alice.stored.signed_prekey
        self.assertNotEqual(fresh, self.state[self.alice.address].signed_prekey)
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        self.back()
        self.assertEqual(self.alice.stored.signed_prekey, fresh)

    def test_a_first_message_to_a_key_that_was_handed_out_twice_is_healed(self) -> None:
        """The owner has not noticed: he has sent nothing since."""
        carol = self.world.person(CAROL).start()
        carol.say(self.bob, "hello")
        self.bob.say(carol, "accepts her")
        self.bob.read()
        self.bob.events.clear()
        state = self.world.relay.backup()
        dave = self.world.person("+15550100104").start()
        dave.say(self.bob, "takes a one-time key")
        state[dave.address] = self.world.relay.backup()[dave.address]
        self.bob.read()
        for one in (self.alice, self.bob, carol, dave):
            one.link.disconnect()
        self.world.relay.accounts = state
        self.bob.link.connect()
        carol.link.connect()
        self.world.settle()
        stock = set(self.bob.stored.one_time)
        carol.look("DELETE FROM session RETURNING 1")
        carol.say(self.bob, "with the same key")
        self.world.wait(2)
        self.assertEqual(len(self.bob.heard(Undecryptable)), 1)
        self.assertEqual(self.bob.read(), ["with the same key"])
        self.assertEqual(set(self.bob.stored.one_time) & stock, set())

    def test_presence_is_announced_again(self) -> None:
        self.state[self.alice.address].presence = (b"an older token's hash of 32 bytes", False)
        self.bob.link.disconnect()
        self.alice.say(self.bob, "a1")
        now = self.alice.stored.presence
        self.back()
        self.assertEqual(self.alice.stored.presence, now)
