"""The contract of `ports.Accounts`."""

from __future__ import annotations

from e2ee.store.server import ports
from tests.store.contract.fixture import (
    ALICE,
    BOB,
    CAROL,
    FREE,
    MAILBOX_LIMITS,
    ContractCase,
    at,
    device_id,
    item,
    new_account,
    session_id,
)

PIN = ports.StoredPin(b"s" * 16, b"H" * 32)


class AccountsContract(ContractCase):
    """Who exists, and what goes with him."""

    def find(self) -> ports.Account | None:
        return self.done(self.stores.accounts.find(ALICE))

    def test_a_number_without_account_is_not_found(self) -> None:
        self.assertIsNone(self.find())
        self.assertEqual(self.done(self.stores.accounts.count()), 0)

    def test_a_registered_account_is_found_as_it_was_registered(self) -> None:
        new = new_account(ALICE, generation=7)
        self.assertEqual(self.register(new), ports.Registered(displaced=None))
        found = self.find()
        assert found is not None
        self.assertEqual(
            found,
            ports.Account(
                address=ALICE,
                device=new.device,
                account_key=new.account_key,
                device_signing_key=new.device_signing_key,
                generation=7,
                statement=new.statement,
                statement_hash=new.statement_hash,
                token_hash=None,
                hidden=False,
                last_login_at=None,
            ),
        )
        self.assertEqual(found.where, at(ALICE))
        self.assertEqual(self.done(self.stores.accounts.count()), 1)

    def test_a_session_registers_once(self) -> None:
        session = self.session(ALICE)
        accounts = self.stores.accounts
        first, second = self.together(
            accounts.register(session, new_account(ALICE, generation=1), 0.0),
            accounts.register(session, new_account(ALICE, device=2, generation=2), 0.0),
        )
        self.assertEqual(first, ports.Registered(None))
        self.assertEqual(second, ports.RegistrationSpent.SPENT)
        found = self.find()
        assert found is not None
        self.assertEqual(found.device, device_id(1))

    def test_an_unknown_session_registers_nobody(self) -> None:
        result = self.done(self.stores.accounts.register(session_id(10**6), new_account(ALICE), 0.0))
        self.assertEqual(result, ports.RegistrationSpent.SPENT)
        self.assertIsNone(self.find())

    def test_a_session_of_another_number_registers_nobody(self) -> None:
        session = self.session(BOB)
        result = self.done(self.stores.accounts.register(session, new_account(ALICE), 0.0))
        self.assertEqual(result, ports.RegistrationSpent.SPENT)
        self.assertIsInstance(
            self.done(self.stores.accounts.register(session, new_account(BOB), 0.0)), ports.Registered
        )

    def test_a_session_registers_until_its_life_ends(self) -> None:
        late, last = self.session(ALICE), self.session(ALICE)
        result = self.done(self.stores.accounts.register(late, new_account(ALICE), 600.0))
        self.assertEqual(result, ports.RegistrationSpent.SPENT)
        result = self.done(self.stores.accounts.register(last, new_account(ALICE), 599.9))
        self.assertIsInstance(result, ports.Registered)

    def test_a_session_without_guesses_left_still_registers_who_guessed_right(self) -> None:
        session = self.session(ALICE)
        passcodes = self.stores.passcodes(FREE)
        for _ in range(5):
            self.assertIsInstance(self.done(passcodes.guess(session, ALICE, 0.0)), ports.GuessAllowed)
        result = self.done(self.stores.accounts.register(session, new_account(ALICE), 0.0))
        self.assertIsInstance(result, ports.Registered)

    def test_a_lower_generation_of_the_same_key_is_refused_and_changes_nothing(self) -> None:
        self.register(new_account(ALICE, generation=5))
        session = self.session(ALICE)
        result = self.done(self.stores.accounts.register(session, new_account(ALICE, 2, 4), 0.0))
        self.assertEqual(result, ports.RegistrationSpent.OLDER_STATEMENT)
        found = self.find()
        assert found is not None
        self.assertEqual((found.device, found.generation), (device_id(1), 5))
        result = self.done(self.stores.accounts.register(session, new_account(ALICE, 2, 6), 0.0))
        self.assertEqual(result, ports.Registered(displaced=device_id(1)))

    def test_the_same_generation_with_other_content_is_refused_with_the_same_it_is_not(self) -> None:
        self.register(new_account(ALICE, generation=5))
        session = self.session(ALICE)
        other = new_account(ALICE, generation=5, salt=b"other")
        result = self.done(self.stores.accounts.register(session, other, 0.0))
        self.assertEqual(result, ports.RegistrationSpent.OLDER_STATEMENT)
        result = self.done(self.stores.accounts.register(session, new_account(ALICE, generation=5), 0.0))
        self.assertIsInstance(result, ports.Registered)

    def test_another_account_key_begins_anew_with_any_generation(self) -> None:
        self.register(new_account(ALICE, generation=5))
        self.assertEqual(
            self.register(new_account(ALICE, 2, 1, key=b"N" * 32)), ports.Registered(device_id(1))
        )

    def test_a_takeover_drops_the_mailbox_with_a_notice_to_each_sender(self) -> None:
        for address in (ALICE, BOB, CAROL):
            self.register(new_account(address))
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        items = [item(ALICE, BOB, 1), item(ALICE, CAROL, 2), item(ALICE, BOB, 3)]
        self.done(mailbox.append(items, 0.0))
        self.register(new_account(ALICE, 2, 2))
        self.assertEqual(self.done(mailbox.after(at(ALICE, 2), 0, 10, 1000)), [])
        self.assertEqual(self.done(mailbox.after(at(ALICE), 0, 10, 1000)), [])
        self.assertEqual(self.done(mailbox.count()), 0)
        (to_bob,) = self.done(mailbox.notices(at(BOB), 10))
        self.assertEqual(to_bob.kind, ports.NoticeKind.TAKEN_OVER)
        self.assertEqual(list(to_bob.envelope_ids), [items[0].envelope_id, items[2].envelope_id])
        (to_carol,) = self.done(mailbox.notices(at(CAROL), 10))
        self.assertEqual(list(to_carol.envelope_ids), [items[1].envelope_id])

    def test_a_notice_has_a_thousand_ids_at_the_most(self) -> None:
        self.register(new_account(ALICE))
        self.register(new_account(BOB))
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        items = [item(ALICE, BOB, number) for number in range(1001)]
        self.done(mailbox.append(items, 0.0))
        self.register(new_account(ALICE, 2, 2))
        first, second = self.done(mailbox.notices(at(BOB), 10))
        ids = [*first.envelope_ids, *second.envelope_ids]
        self.assertEqual(ids, [each.envelope_id for each in items])
        self.assertEqual(len(first.envelope_ids), 1000)

    def test_a_takeover_drops_the_notices_for_the_replaced_device(self) -> None:
        self.register(new_account(ALICE))
        self.register(new_account(BOB))
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        self.done(mailbox.append([item(ALICE, BOB, 1), item(BOB, BOB, 2)], 0.0))
        self.register(new_account(ALICE, 2, 2))
        self.register(new_account(BOB, 2, 2))
        for device in (1, 2):
            self.assertEqual(self.done(mailbox.notices(at(BOB, device), 10)), [])

    def test_a_takeover_drops_prekeys_presence_and_login(self) -> None:
        self.register(new_account(ALICE))
        accounts, prekeys = self.stores.accounts, self.stores.prekeys
        self.done(accounts.set_presence(at(ALICE), b"T" * 32, True))
        self.done(accounts.record_login(at(ALICE), 1234, 0.0))
        self.done(
            prekeys.publish(at(ALICE), ports.PreKeyUpload(one_time=[ports.StoredPreKey(1, b"old")]))
        )
        self.register(new_account(ALICE, 2, 2))
        found = self.find()
        assert found is not None
        self.assertEqual((found.token_hash, found.hidden, found.last_login_at), (None, False, None))
        self.assertIsNone(self.done(prekeys.take(at(ALICE), True)))
        bundle = self.done(prekeys.take(at(ALICE, 2), True))
        assert bundle is not None
        self.assertEqual((bundle.signed_prekey, bundle.one_time), (b"signed\x02", None))

    def test_presence_and_logins_are_those_of_the_present_device_only(self) -> None:
        self.register(new_account(ALICE, 2))
        accounts = self.stores.accounts
        self.assertFalse(self.done(accounts.set_presence(at(ALICE), b"T" * 32, True)))
        self.done(accounts.record_login(at(ALICE), 99, 0.0))
        found = self.find()
        assert found is not None
        self.assertEqual((found.token_hash, found.hidden, found.last_login_at), (None, False, None))
        self.assertTrue(self.done(accounts.set_presence(at(ALICE, 2), b"T" * 32, True)))
        self.done(accounts.record_login(at(ALICE, 2), 99, 0.0))
        found = self.find()
        assert found is not None
        self.assertEqual((found.token_hash, found.hidden, found.last_login_at), (b"T" * 32, True, 99))

    # --- X.509 identities ---

    def keep_identity(self, identity: bytes | None, device: int = 1) -> bool:
        return self.done(self.stores.accounts.set_identity(at(ALICE, device), identity))

    def kept_identity(self) -> bytes | None:
        return self.done(self.stores.accounts.identity(ALICE))

    def test_an_identity_is_kept_replaced_and_removed(self) -> None:
        self.register(new_account(ALICE))
        self.register(new_account(BOB))
        for identity in (b"one", b"other", None):
            self.assertTrue(self.keep_identity(identity))
            found = self.find()
            assert found is not None
            self.assertEqual((self.kept_identity(), found.has_identity), (identity, identity is not None))
        self.assertIsNone(self.done(self.stores.accounts.identity(BOB)))

    def test_only_the_device_of_the_account_sets_its_identity(self) -> None:
        self.assertFalse(self.keep_identity(b"one"))
        self.register(new_account(ALICE))
        self.assertFalse(self.keep_identity(b"one", device=2))
        self.assertIsNone(self.kept_identity())

    def test_whoever_takes_a_number_over_begins_without_its_identity(self) -> None:
        self.register(new_account(ALICE))
        self.keep_identity(b"one")
        self.register(new_account(ALICE, 2, 2))
        self.assertIsNone(self.kept_identity())
        self.assertFalse(self.keep_identity(b"one", device=1))
        found = self.find()
        assert found is not None
        self.assertFalse(found.has_identity)

    # --- the registration PIN ---

    def protect(self, device: int = 1, pin: ports.StoredPin | None = PIN) -> bool:
        return self.done(self.stores.accounts.set_pin(at(ALICE, device), pin))

    def ask(self, account: ports.NewAccount) -> object:
        session = self.session(ALICE)
        return self.done(self.stores.accounts.register(session, account, 0.0))

    def prove(self, account: ports.NewAccount, pin_hash: bytes = PIN.hash) -> object:
        return self.done(self.stores.accounts.register_with_pin(account, pin_hash, None, 0.0))

    def test_a_pin_keeps_the_account_and_uses_the_code(self) -> None:
        self.register(new_account(ALICE))
        self.assertTrue(self.protect())
        before, session, accounts = self.find(), self.session(ALICE), self.stores.accounts
        again = new_account(ALICE, 2, 2)
        self.assertEqual(self.done(accounts.register(session, again, 0.0)), ports.PinAsked(PIN.salt))
        self.assertEqual(self.find(), before)
        self.assertIsNotNone(self.done(self.stores.prekeys.take(at(ALICE), True)))
        spent = self.done(accounts.register(session, again, 0.0))
        self.assertEqual(spent, ports.RegistrationSpent.SPENT)

    def test_a_pin_is_not_asked_for_with_a_code_that_does_not_register(self) -> None:
        """Unknown, another number's, expired; an older statement does not even use the code."""
        self.register(new_account(ALICE, generation=5))
        self.protect()
        accounts, again = self.stores.accounts, new_account(ALICE, 2, 6)
        unknown, others, late = session_id(10**6), self.session(BOB), self.session(ALICE)
        for session, now in ((unknown, 0.0), (others, 0.0), (late, 600.0)):
            spent = self.done(accounts.register(session, again, now))
            self.assertEqual(spent, ports.RegistrationSpent.SPENT)
        session = self.session(ALICE)
        older = self.done(accounts.register(session, new_account(ALICE, 2, 4), 0.0))
        self.assertEqual(older, ports.RegistrationSpent.OLDER_STATEMENT)
        self.assertEqual(self.done(accounts.register(session, again, 0.0)), ports.PinAsked(PIN.salt))

    def test_the_right_pin_replaces_the_account_which_keeps_it(self) -> None:
        self.register(new_account(ALICE))
        self.register(new_account(BOB))
        self.done(self.stores.mailbox(MAILBOX_LIMITS).append([item(ALICE, BOB, 1)], 0.0))
        self.protect()
        self.assertEqual(self.prove(new_account(ALICE, 2, 2)), ports.Registered(device_id(1)))
        found = self.find()
        assert found is not None
        self.assertEqual(found.device, device_id(2))
        (notice,) = self.done(self.stores.mailbox(MAILBOX_LIMITS).notices(at(BOB), 10))
        self.assertEqual(notice.kind, ports.NoticeKind.TAKEN_OVER)
        self.assertEqual(self.ask(new_account(ALICE, 3, 3)), ports.PinAsked(PIN.salt))
        self.assertEqual(self.prove(new_account(ALICE, 3, 3)), ports.Registered(device_id(2)))

    def test_a_wrong_pin_changes_nothing(self) -> None:
        self.register(new_account(ALICE))
        self.protect()
        before = self.find()
        for wrong in (b"H" * 31 + b"h", b"H" * 31, b"", PIN.salt):
            self.assertEqual(self.prove(new_account(ALICE, 2, 2), wrong), ports.RegistrationSpent.WRONG_PIN)
        self.assertEqual(self.find(), before)
        self.assertEqual(self.ask(new_account(ALICE, 2, 2)), ports.PinAsked(PIN.salt))

    def test_the_right_pin_with_an_older_statement_changes_nothing(self) -> None:
        self.register(new_account(ALICE, generation=5))
        self.protect()
        older = self.prove(new_account(ALICE, 2, 4))
        self.assertEqual(older, ports.RegistrationSpent.OLDER_STATEMENT)
        found = self.find()
        assert found is not None
        self.assertEqual(found.device, device_id(1))

    def test_a_pin_that_was_changed_in_the_meantime_is_the_one_that_counts(self) -> None:
        self.register(new_account(ALICE))
        self.protect()
        self.ask(new_account(ALICE, 2, 2))
        self.protect(pin=ports.StoredPin(b"t" * 16, b"I" * 32))
        self.assertEqual(self.prove(new_account(ALICE, 2, 2)), ports.RegistrationSpent.WRONG_PIN)
        self.assertEqual(
            self.prove(new_account(ALICE, 2, 2), b"I" * 32), ports.Registered(device_id(1))
        )

    def test_without_a_pin_none_is_asked_for(self) -> None:
        """Removed in the meantime, or the account is gone."""
        self.register(new_account(ALICE))
        self.protect()
        self.assertTrue(self.protect(pin=None))
        self.assertEqual(self.ask(new_account(ALICE, 2, 2)), ports.Registered(device_id(1)))
        self.assertEqual(self.prove(new_account(ALICE, 3, 3), b"any"), ports.Registered(device_id(2)))
        self.done(self.stores.accounts.delete(ALICE, 0.0))
        self.assertEqual(self.prove(new_account(ALICE, 4, 4), b"any"), ports.Registered(None))

    def test_a_pin_is_the_present_devices_to_set_and_remove(self) -> None:
        self.assertFalse(self.protect())
        self.register(new_account(ALICE, 2))
        self.assertFalse(self.protect(1))
        self.assertTrue(self.protect(2))
        self.assertFalse(self.protect(1, None))
        self.assertEqual(self.ask(new_account(ALICE, 3, 2)), ports.PinAsked(PIN.salt))

    def test_a_deleted_account_takes_its_pin_along(self) -> None:
        self.register(new_account(ALICE))
        self.protect()
        self.done(self.stores.accounts.delete(ALICE, 0.0))
        self.assertEqual(self.ask(new_account(ALICE)), ports.Registered(None))
        self.assertEqual(self.ask(new_account(ALICE, 2, 2)), ports.Registered(device_id(1)))

    def test_a_pin_does_not_show_its_hash(self) -> None:
        self.assertNotIn("H" * 32, repr(PIN))

    def test_a_deleted_account_is_gone_and_the_senders_know(self) -> None:
        self.register(new_account(ALICE))
        self.register(new_account(BOB))
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        self.done(mailbox.append([item(ALICE, BOB, 1), item(ALICE, ALICE, 2)], 0.0))
        self.assertEqual(self.done(self.stores.accounts.delete(ALICE, 0.0)), device_id(1))
        self.assertIsNone(self.done(self.stores.accounts.delete(ALICE, 0.0)))
        self.assertIsNone(self.find())
        self.assertEqual(self.done(mailbox.count()), 0)
        (notice,) = self.done(mailbox.notices(at(BOB), 10))
        self.assertEqual(notice.kind, ports.NoticeKind.DELETED)

    def test_a_device_deletes_its_own_account_only(self) -> None:
        """Not that of whoever has taken the number over meanwhile."""
        self.register(new_account(ALICE))
        delete = self.stores.accounts.delete
        self.assertIsNone(self.done(delete(ALICE, 0.0, device_id(2))))
        self.assertIsNotNone(self.find())
        self.assertEqual(self.done(delete(ALICE, 0.0, device_id(1))), device_id(1))
        self.assertIsNone(self.find())

    def test_a_device_that_is_logged_out_finds_no_place_until_its_number_is_registered_anew(self) -> None:
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        self.assertIsNone(self.done(self.stores.accounts.log_out(ALICE)))
        self.register(new_account(ALICE))
        self.register(new_account(BOB))
        self.assertIsNotNone(self.done(mailbox.attach(at(ALICE))))
        self.assertEqual(self.done(self.stores.accounts.log_out(ALICE)), device_id(1))
        found = self.find()
        assert found is not None
        self.assertTrue(found.logged_out)
        self.assertIsNone(self.done(mailbox.attach(at(ALICE))))
        self.assertIsNotNone(self.done(mailbox.attach(at(BOB))))
        self.assertEqual(self.done(mailbox.append([item(ALICE, BOB)], 0.0)), [ports.Appended(1)])
        self.register(new_account(ALICE, 2, 2))
        self.assertIsNotNone(self.done(mailbox.attach(at(ALICE, 2))))

    def test_keys_of_an_unused_device_go_a_used_ones_stay(self) -> None:
        accounts, prekeys = self.stores.accounts, self.stores.prekeys
        self.register(new_account(ALICE), now=0.0)
        self.register(new_account(BOB), now=0.0)
        self.register(new_account(CAROL), now=0.1)
        self.done(accounts.record_login(at(BOB), 1, 50.0))
        self.assertEqual(self.done(accounts.expire_unused(90.0, 90.0)), 1)
        self.assertIsNone(self.done(prekeys.take(at(ALICE), True)))
        self.assertIsNotNone(self.done(prekeys.take(at(BOB), True)))
        self.assertIsNotNone(self.done(prekeys.take(at(CAROL), True)))
        self.assertEqual(self.done(accounts.expire_unused(90.0, 90.0)), 0)
        self.assertIsNotNone(self.find())
        upload = ports.PreKeyUpload(ports.StoredPreKey(1, b"new"), ports.StoredPreKey(2, b"new KEM"))
        self.assertEqual(self.done(prekeys.publish(at(ALICE), upload)), ports.Stock(0, 0))
        self.assertIsNotNone(self.done(prekeys.take(at(ALICE), True)))
