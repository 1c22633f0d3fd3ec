"""Two people after one of them was restored from a backup: docs/cryptography.md, "Backups"."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.backups.backup_content import loader, read_manifest, vault_records
from e2ee.client.events import Gap, MessageReceived, SentAgain, SentState, Undecryptable
from e2ee.client.recovery.renewal import renew_restored
from e2ee.store.client.filling import fill_vault
from e2ee.store.connection import Connection
from e2ee.wire import messages as m
from tests.client.people import KEY, Person, World

ALICE, BOB, CAROL, NOBODY = "+15550100101", "+15550100102", "+15550100103", "+15550100109"


class RestoredCase(SynchronousTestCase):
    """Alice and Bob have talked and verified each other."""

    def setUp(self) -> None:
        self.world = World(self)
        self.alice = self.world.person(ALICE).start()
        self.bob = self.world.person(BOB).start()
        self.alice.say(self.bob, "one")
        self.bob.say(self.alice, "two")
        self.bob.read()
        self.alice.read()
        number = self.alice.run(self.alice.messenger.safety_number(self.bob.address))
        self.digits = number.digits
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            one.run(one.messenger.confirm(other.address, self.digits))

    def backup(self) -> list[bytes]:
        """What a file has in it."""
        now = int(self.world.clock.seconds() * 1000)
        return self.alice.run(
            self.alice.vault.read(lambda tx: list(vault_records(tx, now, "1", None)))
        )

    def restore(self, records: list[bytes], *, start: bool = True) -> Person:
        """The machine is lost; the same identity, from the backup, in a vault of its own."""
        if self.alice.link._up:
            self.alice.stop()
        else:
            self.alice.kill()
        self.world.people.remove(self.alice)
        self.world.result(self.alice.vault.close())
        self.world.wait(1)
        lost, account = self.alice, self.alice.stored
        restored = self.world.person(NOBODY)  # with entropy of its own each time
        self.world.result(restored.vault.close())
        (restored.path / "vault").unlink()
        rest = iter(records)
        manifest = read_manifest(rest)
        fill_vault(restored.path / "vault", KEY, manifest.schema, loader(manifest, rest))
        restored.vault = restored._open()
        now = int(self.world.clock.seconds() * 1000)
        restored.run(restored.vault.write(lambda tx: renew_restored(tx, now, restored.entropy)))
        restored.own, restored.address, restored.account = lost.own, lost.address, account
        self.alice = restored
        return restored.start() if start else restored

    def count(self, table: str) -> int:
        def operation(tx: Connection) -> int:
            found: int = tx.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            return found

        return self.alice.run(self.alice.vault.read(operation))


class TalkingTests(RestoredCase):
    """What both see after it."""

    def test_both_directions_go_on_and_nobody_is_told_of_another_key(self) -> None:
        self.restore(self.backup())
        self.assertIs(self.bob.say(self.alice, "three").state, SentState.DELIVERED)
        self.assertIs(self.alice.say(self.bob, "four").state, SentState.DELIVERED)
        self.assertEqual((self.alice.read(), self.bob.read()), (["three"], ["four"]))
        self.assertEqual((self.alice.seen(), self.bob.seen()), ([], []))

    def test_the_safety_number_is_the_same_and_verified_on_both_sides(self) -> None:
        self.restore(self.backup())
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            number = one.run(one.messenger.safety_number(other.address))
            self.assertEqual((number.digits, number.verified), (self.digits, True))

    def test_history_and_address_book_are_there(self) -> None:
        self.alice.run(self.alice.messenger.add_contact(self.bob.address, "bob"))
        self.restore(self.backup())
        history = self.alice.past()
        self.assertEqual([(one.text, one.name) for one in history], [("one", "bob"), ("two", "bob")])

    def test_every_prekey_in_the_directory_is_one_that_opens(self) -> None:
        before = self.alice.stored.signed_prekey, self.alice.stored.last_resort
        stock = set(self.alice.stored.one_time)
        self.restore(self.backup())
        account = self.alice.stored
        self.assertNotIn(account.signed_prekey, before)
        self.assertNotIn(account.last_resort, before)
        self.assertEqual((len(account.one_time), len(account.kem_one_time)), (100, 100))
        self.assertGreater(min(account.one_time), max(stock))
        carol = self.world.person(CAROL).start()
        self.assertIs(carol.say(self.alice, "hello").state, SentState.DELIVERED)
        self.assertEqual(self.alice.read(), ["hello"])

    def test_no_session_and_no_prekey_is_in_the_backup(self) -> None:
        self.restore(self.backup(), start=False)
        for table in ("session", "prekey", "first_message"):
            self.assertEqual(self.count(table), 0, table)
        self.alice.start()

    def test_accepted_contacts_get_a_handshake_without_a_word_and_others_nothing(self) -> None:
        carol = self.world.person(CAROL).start()
        carol.say(self.alice, "from a stranger")
        self.restore(self.backup())
        self.assertEqual(
            [(one.number, one.envelope[1]) for one in self.world.relay.sends(self.alice.address)[-1:]],
            [(BOB, 1)],
        )
        sent = [one.number for one in self.world.relay.sends(self.alice.address)]
        self.assertNotIn(CAROL, sent)
        self.assertEqual(self.bob.seen(), [])

    def test_what_was_sealed_for_the_lost_machine_is_unreadable_and_then_sent_again(self) -> None:
        records = self.backup()
        self.alice.stop()
        self.bob.say(self.alice, "on the old session")
        self.restore(records)
        unreadable, text = self.alice.seen()
        self.assertIsInstance(unreadable, Undecryptable)
        assert isinstance(text, MessageReceived)
        self.assertEqual((text.text, text.repeated, text.late), ("on the old session", True, False))
        (told,) = self.bob.seen()
        assert isinstance(told, SentAgain)
        self.assertEqual((told.address, told.messages), (ALICE, 1))
        self.bob.say(self.alice, "on the new one")
        text = self.alice.seen()[-1]
        assert isinstance(text, MessageReceived)
        self.assertEqual((text.text, text.repeated, text.late), ("on the new one", False, False))

    def test_a_first_message_to_a_lost_prekey_is_set_aside(self) -> None:
        records = self.backup()
        carol = self.world.person(CAROL).start()
        self.alice.stop()
        carol.say(self.alice, "hello")
        self.restore(records)
        (shown,) = self.alice.seen()
        self.assertIsInstance(shown, Undecryptable)


class OldBackupTests(RestoredCase):
    """Much has happened since the backup was made."""

    def setUp(self) -> None:
        super().setUp()
        self.records = self.backup()
        for number in range(3):
            self.alice.say(self.bob, f"sent after it {number}")
            self.bob.say(self.alice, f"received after it {number}")
        self.bob.read()
        self.alice.read()

    def test_contacts_get_the_new_texts_in_order_neither_late_nor_behind_a_gap(self) -> None:
        self.restore(self.records)
        self.bob.stop()
        for number in range(3):
            self.alice.say(self.bob, f"new {number}")
        self.bob.start()
        told, *shown = self.bob.seen()
        self.assertIsInstance(told, SentAgain)
        self.assertEqual(
            [(one.text, one.late) for one in shown if isinstance(one, MessageReceived)],
            [(f"new {number}", False) for number in range(3)],
        )
        self.assertEqual(len(shown), 3)

    def test_what_the_lost_machine_has_confirmed_is_a_gap_and_the_rest_is_sent_again(self) -> None:
        self.restore(self.records)
        self.bob.say(self.alice, "after all")
        self.world.wait(6)
        gap, again, message = self.alice.seen()
        assert isinstance(gap, Gap)
        assert isinstance(again, MessageReceived)
        assert isinstance(message, MessageReceived)
        self.assertEqual((gap.missing, again.text, again.repeated), (2, "received after it 2", True))
        self.assertEqual((message.text, message.late, message.repeated), ("after all", False, False))

    def test_the_gap_is_settled_and_nothing_more_is_asked_for(self) -> None:
        self.restore(self.records)
        self.bob.say(self.alice, "after all")
        self.world.wait(6)
        sends = len(self.world.relay.sends(self.alice.address)), len(self.world.relay.sends(self.bob.address))
        self.world.wait(2 * 24 * 3600)
        after = len(self.world.relay.sends(self.alice.address)), len(self.world.relay.sends(self.bob.address))
        self.assertEqual(after, sends)

    def test_a_backup_can_be_restored_again_and_again(self) -> None:
        for number in range(3):
            self.restore(self.records)
            self.alice.say(self.bob, f"machine {number}")
            shown = self.bob.seen()[-1]
            assert isinstance(shown, MessageReceived)
            self.assertEqual((shown.text, shown.late), (f"machine {number}", False))
            self.bob.read()

    def test_no_id_ever_names_two_prekeys(self) -> None:
        """The server refuses the whole upload then, for it remembers what it has handed out."""
        for _ in range(3):
            self.restore(self.records)
        named: dict[int, bytes] = {}
        for who, message in self.world.relay.requests:
            if who == self.alice.address and isinstance(message, m.Publish):
                for one in message.one_time:
                    self.assertEqual(named.setdefault(one.key_id, one.key), one.key)
        self.assertEqual(len(named), 400)

    def test_somebody_met_after_the_backup_sees_no_gap_either(self) -> None:
        carol = self.world.person(CAROL).start()
        self.alice.say(carol, "first")
        self.alice.say(carol, "second")
        carol.read()
        self.restore(self.records)
        self.alice.say(carol, "third")
        (shown,) = carol.seen()
        assert isinstance(shown, MessageReceived)
        self.assertEqual((shown.text, shown.late), ("third", False))


class WaitingTests(RestoredCase):
    """What waited when the backup was made."""

    def test_a_text_in_the_outbox_is_sent_and_shown_once_even_if_the_lost_machine_sent_it(self) -> None:
        self.alice.link.disconnect()
        waited = self.alice.queue(self.bob, "waited")
        records = self.backup()
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.bob.read(), ["waited"])
        self.restore(records)
        state = self.alice.run(self.alice.messenger.sent(waited.message_id)).state
        self.assertIs(state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), [])
        self.alice.say(self.bob, "next")
        (shown,) = self.bob.seen()
        assert isinstance(shown, MessageReceived)
        self.assertEqual((shown.text, shown.late), ("next", False))

    def test_a_text_that_never_left_is_sent(self) -> None:
        self.alice.link.disconnect()
        self.alice.queue(self.bob, "waited")
        self.restore(self.backup())
        self.assertEqual(self.bob.read(), ["waited"])

    def test_what_nobody_had_read_is_there_marked_as_perhaps_shown(self) -> None:
        self.bob.say(self.alice, "unread")
        self.restore(self.backup())
        (shown,) = self.alice.seen()
        assert isinstance(shown, MessageReceived)
        self.assertEqual((shown.text, shown.repeated), ("unread", True))

    def test_an_envelope_that_was_kept_and_comes_again_is_not_shown_again(self) -> None:
        self.patch(self.alice.link, "send", lambda _: None)
        self.bob.queue(self.alice, "kept, and its acknowledgement lost")
        self.assertEqual(self.alice.read(), ["kept, and its acknowledgement lost"])
        records = self.backup()
        self.assertEqual(len(self.alice.stored.mailbox), 1)
        self.restore(records)
        self.assertEqual(self.alice.seen(), [])
        self.assertEqual(self.alice.stored.mailbox, [])

    def test_blocked_and_changed_contacts_are_told_nothing(self) -> None:
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.world.settle()
        self.restore(self.backup())
        before = len(self.world.relay.sends(self.alice.address))
        self.world.wait(2)
        self.assertEqual(len(self.world.relay.sends(self.alice.address)), before)
        self.bob.say(self.alice, "hello?")
        self.assertEqual(self.alice.seen(), [])
