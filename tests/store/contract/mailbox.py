"""The contract of `ports.Mailbox`: order, repetition, quotas, epochs, expiry and notices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from e2ee.ids import Address
from e2ee.store.server.ports import (
    Appended,
    AppendRefused,
    Attached,
    MailboxLimits,
    MailItem,
    NoticeKind,
)
from tests.store.contract.fixture import (
    ALICE,
    BOB,
    CAROL,
    MAILBOX_LIMITS,
    ContractCase,
    at,
    item,
    new_account,
)

FULL, QUOTA, HELD, NO_DEVICE = (
    AppendRefused.FULL,
    AppendRefused.QUOTA,
    AppendRefused.HELD,
    AppendRefused.NO_DEVICE,
)


class MailboxContract(ContractCase):
    """What waits for Alice."""

    def setUp(self) -> None:
        super().setUp()
        for address in (ALICE, BOB, CAROL):
            self.register(new_account(address))
        self.mailbox = self.stores.mailbox(MAILBOX_LIMITS)

    def limit(self, **limits: float) -> None:
        self.mailbox = self.stores.mailbox(replace(MAILBOX_LIMITS, **limits))  # type: ignore[arg-type]

    def append(self, *items: MailItem, now: float = 0.0) -> Sequence[Appended | AppendRefused]:
        return self.done(self.mailbox.append(items, now))

    def after(self, seq: int, count: int = 1000, size: int = 10**9) -> list[tuple[int, MailItem]]:
        rows = self.done(self.mailbox.after(at(ALICE), seq, count, size))
        return [(row.seq, row.item) for row in rows]

    def attach(self, address: Address = ALICE) -> Attached:
        attached = self.done(self.mailbox.attach(at(address)))
        assert attached is not None
        return attached

    # order

    def test_what_was_appended_waits_in_order_as_it_was(self) -> None:
        items = [item(ALICE, BOB, 1), item(ALICE, CAROL, 2, known=False), item(ALICE, BOB, 3, size=100_000)]
        self.assertEqual(list(self.append(*items)), [Appended(1), Appended(2), Appended(3)])
        self.assertEqual(self.after(0), [(1, items[0]), (2, items[1]), (3, items[2])])
        self.assertEqual(self.after(2), [(3, items[2])])
        self.assertEqual(self.after(3), [])
        self.assertEqual(self.done(self.mailbox.count()), 3)

    def test_items_are_read_when_the_write_begins_and_read_again_they_are_the_same(self) -> None:
        read: list[int] = []

        class Items:
            def __iter__(self) -> Iterator[MailItem]:
                read.append(1)
                return iter([item(ALICE, BOB, 1), item(ALICE, BOB, 2)])

        self.assertEqual(list(self.done(self.mailbox.append(Items(), 0.0))), [Appended(1), Appended(2)])
        self.assertTrue(read)

    def test_batches_at_once_are_appended_in_the_order_of_their_calls(self) -> None:
        batches = [[item(ALICE, BOB, 2 * n), item(ALICE, CAROL, 2 * n + 1)] for n in range(50)]
        results = self.together(*(self.mailbox.append(batch, 0.0) for batch in batches))
        self.assertEqual(
            [result.seq for batch in results for result in batch if isinstance(result, Appended)],
            list(range(1, 101)),
        )
        self.assertEqual([mail for _, mail in self.after(0)], [each for batch in batches for each in batch])

    def test_other_limits_hold_from_then_on_and_what_waits_stays(self) -> None:
        mailbox = self.stores.mailbox(MAILBOX_LIMITS)
        self.done(mailbox.append([item(ALICE, BOB, number) for number in (1, 2)], 0.0))
        mailbox.apply(replace(MAILBOX_LIMITS, messages=2))
        self.assertEqual(self.done(mailbox.append([item(ALICE, BOB, 3)], 0.0)), [FULL])
        self.assertEqual(self.done(mailbox.count()), 2)
        mailbox.apply(replace(MAILBOX_LIMITS, seconds=5.0))
        self.assertEqual(self.done(mailbox.expire(6.0)), 2)

    def test_a_sequence_number_is_never_used_again(self) -> None:
        self.append(item(ALICE, BOB, 1))
        self.done(self.mailbox.remove(at(ALICE), self.attach().epoch, [1]))
        self.assertEqual(list(self.append(item(ALICE, BOB, 2))), [Appended(2)])

    def test_mailboxes_do_not_meet(self) -> None:
        self.append(item(ALICE, BOB, 1), item(CAROL, BOB, 1))
        self.assertEqual(self.after(0), [(1, item(ALICE, BOB, 1))])

    def test_rows_are_given_by_count_and_size_but_always_one(self) -> None:
        self.append(*(item(ALICE, BOB, number, size=100) for number in range(1, 5)))
        self.assertEqual([seq for seq, _ in self.after(0, count=2)], [1, 2])
        self.assertEqual([seq for seq, _ in self.after(0, size=300)], [1, 2, 3])
        self.assertEqual([seq for seq, _ in self.after(0, size=299)], [1, 2])
        self.assertEqual([seq for seq, _ in self.after(0, size=1)], [1])

    # repetition

    def test_a_repeated_envelope_has_its_old_place(self) -> None:
        self.append(item(ALICE, BOB, 1), item(ALICE, BOB, 2))
        again = self.append(item(ALICE, BOB, 1), item(ALICE, BOB, 3), item(ALICE, BOB, 3))
        self.assertEqual(list(again), [Appended(1, True), Appended(3), Appended(3, True)])
        self.assertEqual(len(self.after(0)), 3)

    def test_it_has_so_with_the_state_token_that_it_had(self) -> None:
        sent = [item(ALICE, BOB, number)._replace(state_token=bytes([number])) for number in range(1, 5)]
        self.append(*sent[:3])
        again = self.append(sent[0], sent[2], sent[3], sent[3])
        self.assertEqual(list(again), [Appended(1, True), Appended(3, True), Appended(4), Appended(4, True)])
        to_carol = item(CAROL, BOB, 9)._replace(state_token=b"\x09")
        self.append(to_carol)
        self.assertEqual(list(self.append(*sent[1:])), [Appended(seq, True) for seq in (2, 3, 4)])
        self.assertEqual(len(self.after(0)), 4)

    def test_a_repeated_envelope_is_no_matter_of_room(self) -> None:
        self.limit(messages=1)
        self.append(item(ALICE, BOB, 1))
        self.assertEqual(list(self.append(item(ALICE, BOB, 1))), [Appended(1, True)])

    def test_nobody_can_swallow_anothers_envelope_by_sending_it_first(self) -> None:
        copied = item(ALICE, BOB, 1)._replace(sender=at(CAROL))
        self.assertEqual(list(self.append(copied, item(ALICE, BOB, 1))), [Appended(1), Appended(2)])

    # quotas, both sides of each

    def test_a_mailbox_is_full_at_its_number_of_messages(self) -> None:
        self.limit(messages=4, share=1.0)
        results = self.append(*(item(ALICE, BOB, number) for number in range(4)), item(ALICE, CAROL, 4))
        self.assertEqual(list(results), [Appended(1), Appended(2), Appended(3), Appended(4), FULL])

    def test_a_mailbox_is_full_at_its_bytes(self) -> None:
        self.limit(bytes=1000, share=1.0)
        results = self.append(
            item(ALICE, BOB, 1, size=900), item(ALICE, CAROL, 2, size=101), item(ALICE, BOB, 3, size=100)
        )
        self.assertEqual(list(results), [Appended(1), FULL, Appended(2)])

    def test_a_sender_has_his_share_of_the_messages(self) -> None:
        self.limit(messages=5, share=0.5)
        results = self.append(*(item(ALICE, BOB, number) for number in range(3)), item(ALICE, CAROL, 4))
        self.assertEqual(list(results), [Appended(1), Appended(2), QUOTA, Appended(3)])

    def test_a_sender_has_his_share_of_the_bytes(self) -> None:
        self.limit(bytes=1000, share=0.5)
        self.assertEqual(list(self.append(item(ALICE, BOB, 1, size=501))), [QUOTA])
        self.assertEqual(list(self.append(item(ALICE, BOB, 2, size=500))), [Appended(1)])
        self.assertEqual(list(self.append(item(ALICE, BOB, 3, size=1))), [QUOTA])
        self.assertEqual(list(self.append(item(ALICE, CAROL, 3, size=1))), [Appended(2)])

    def test_another_device_of_a_sender_has_the_same_share(self) -> None:
        self.limit(messages=2, share=0.5)
        self.append(item(ALICE, BOB, 1))
        other = item(ALICE, BOB, 2)._replace(sender=at(BOB, 2))
        self.assertEqual(list(self.append(other)), [QUOTA])

    def test_a_share_is_one_message_at_least(self) -> None:
        self.limit(messages=1, share=0.5)
        self.assertEqual(list(self.append(item(ALICE, BOB, 1))), [Appended(1)])

    def test_one_stranger_may_leave_so_many_and_whoever_is_known_more(self) -> None:
        self.limit(stranger_waiting=2)
        strange = [item(ALICE, BOB, number, known=False) for number in range(3)]
        self.assertEqual(list(self.append(*strange)), [Appended(1), Appended(2), QUOTA])
        self.assertEqual(list(self.append(item(ALICE, BOB, 9))), [Appended(3)])
        self.assertEqual(list(self.append(item(ALICE, CAROL, 4, known=False))), [Appended(4)])

    def test_all_strangers_together_may_leave_so_many(self) -> None:
        self.limit(strangers_waiting=2)
        strange = [item(ALICE, BOB, 1, known=False), item(ALICE, CAROL, 2, known=False)]
        self.assertEqual(list(self.append(*strange)), [Appended(1), Appended(2)])
        self.assertEqual(list(self.append(item(ALICE, ALICE, 3, known=False))), [QUOTA])
        self.assertEqual(list(self.append(item(ALICE, ALICE, 4))), [Appended(3)])

    def test_a_limit_of_zero_is_none(self) -> None:
        self.mailbox = self.stores.mailbox(MailboxLimits(0, 0, 0.0, 0, 0, 0.0))
        items = [item(ALICE, BOB, number, known=False) for number in range(60)]
        self.assertTrue(all(isinstance(result, Appended) for result in self.append(*items)))
        self.assertEqual(self.done(self.mailbox.expire(10.0**9)), 0)

    def test_room_comes_back_when_rows_go(self) -> None:
        self.limit(messages=2, bytes=200, share=1.0, stranger_waiting=2, strangers_waiting=2)
        strange = [item(ALICE, BOB, number, size=100, known=False) for number in range(4)]
        self.append(*strange[:2])
        self.assertEqual(list(self.append(strange[2])), [FULL])
        self.done(self.mailbox.remove(at(ALICE), self.attach().epoch, [1, 2]))
        self.assertEqual(list(self.append(*strange[2:])), [Appended(3), Appended(4)])

    def test_a_refusal_lets_no_later_message_of_that_sender_pass(self) -> None:
        self.limit(bytes=1000, share=0.5)
        results = self.append(
            item(ALICE, BOB, 1, size=600),
            item(ALICE, BOB, 2, size=10),
            item(ALICE, CAROL, 3, size=10),
            item(ALICE, BOB, 4, size=10),
        )
        self.assertEqual(list(results), [QUOTA, HELD, Appended(1), HELD])

    def test_a_device_that_does_not_exist_takes_nothing(self) -> None:
        nowhere = item(ALICE, BOB, 1, to_device=2)
        self.assertEqual(list(self.append(nowhere)), [NO_DEVICE])
        self.assertIsNone(self.done(self.mailbox.attach(at(ALICE, 2))))
        self.assertEqual(self.done(self.mailbox.after(at(ALICE, 2), 0, 10, 1000)), [])
        self.assertEqual(self.done(self.mailbox.notices(at(ALICE, 2), 10)), [])
        self.done(self.mailbox.remove(at(ALICE, 2), 1, [1]))
        self.done(self.mailbox.remove_notices(at(ALICE, 2), [1]))

    # epochs

    def test_each_login_raises_the_epoch_and_learns_what_waits(self) -> None:
        self.assertEqual(self.attach(), Attached(epoch=1, end=0, waiting=0))
        self.append(*(item(ALICE, BOB, number) for number in range(3)))
        self.assertEqual(self.attach(), Attached(epoch=2, end=3, waiting=3))
        self.done(self.mailbox.remove(at(ALICE), 2, [1, 3]))
        self.assertEqual(self.attach(), Attached(epoch=3, end=2, waiting=1))
        self.assertEqual(self.attach(BOB).epoch, 1)

    def test_an_old_epoch_removes_nothing(self) -> None:
        self.append(item(ALICE, BOB, 1))
        old, new = self.attach().epoch, self.attach().epoch
        for epoch in (old, new + 1):
            self.done(self.mailbox.remove(at(ALICE), epoch, [1]))
            self.assertEqual(len(self.after(0)), 1)
        self.done(self.mailbox.remove(at(ALICE), new, [1]))
        self.assertEqual(self.after(0), [])

    def test_removing_missing_rows_or_anothers_does_nothing(self) -> None:
        self.append(item(ALICE, BOB, 1), item(BOB, ALICE, 1))
        epoch = self.attach(BOB).epoch
        self.done(self.mailbox.remove(at(BOB), epoch, [2, 99]))
        self.attach()
        self.done(self.mailbox.remove(at(BOB), epoch, [1]))
        self.done(self.mailbox.remove(at(BOB), epoch, [1]))
        self.assertEqual(len(self.after(0)), 1)

    # state tokens

    def test_a_login_learns_the_highest_state_token_that_came_with_the_devices_envelopes(self) -> None:
        self.append(*(item(ALICE, BOB, number)._replace(state_token=token)
                      for number, token in enumerate((b"2 b", b"3 a", b"1 c"))))  # fmt: skip
        self.assertEqual(self.attach(BOB).state_token, b"3 a")
        self.append(item(ALICE, BOB, 9)._replace(state_token=b"2 z"))
        self.assertEqual(self.attach(BOB).state_token, b"3 a")
        self.append(item(ALICE, CAROL, 1)._replace(state_token=b"9"))
        self.assertEqual((self.attach(BOB).state_token, self.attach(CAROL).state_token), (b"3 a", b"9"))
        self.assertIsNone(self.attach(ALICE).state_token)

    def test_a_refused_or_repeated_envelope_leaves_its_state_token_all_the_same(self) -> None:
        self.limit(messages=1)
        for token in (b"1", b"2", b"3"):
            self.append(item(ALICE, BOB, 1)._replace(state_token=token))
        self.assertEqual(self.attach(BOB).state_token, b"3")
        self.append(item(ALICE, BOB, 2)._replace(state_token=b"4"))
        self.assertEqual(self.attach(BOB).state_token, b"4")

    def test_a_state_token_is_kept_by_itself_unless_it_is_lower(self) -> None:
        for token in (b"2", b"1"):
            self.done(self.mailbox.keep_state_token(at(BOB), token))
        self.done(self.mailbox.keep_state_token(at(BOB, 7), b"9"))
        self.assertEqual(self.attach(BOB).state_token, b"2")

    def test_a_new_device_begins_without_one(self) -> None:
        self.done(self.mailbox.keep_state_token(at(BOB), b"2"))
        self.register(new_account(BOB, 2, 2))
        self.assertIsNone(self.done(self.mailbox.attach(at(BOB, 2))).state_token)  # type: ignore[union-attr]

    # expiry and notices

    def test_rows_past_their_time_become_notices(self) -> None:
        items = [item(ALICE, BOB, 1), item(ALICE, CAROL, 2), item(ALICE, BOB, 3), item(ALICE, BOB, 4)]
        self.append(*items[:3], now=10.0)
        self.append(items[3], now=10.1)
        self.assertEqual(self.done(self.mailbox.expire(1009.9)), 0)
        self.assertEqual(self.done(self.mailbox.expire(1010.0)), 3)
        self.assertEqual(self.after(0), [(4, items[3])])
        (to_bob,) = self.done(self.mailbox.notices(at(BOB), 10))
        self.assertEqual(to_bob.kind, NoticeKind.EXPIRED)
        self.assertEqual(list(to_bob.envelope_ids), [items[0].envelope_id, items[2].envelope_id])
        self.assertEqual(len(self.done(self.mailbox.notices(at(CAROL), 10))), 1)
        self.assertEqual(self.done(self.mailbox.expire(1010.0)), 0)

    def test_however_many_expire_they_all_do(self) -> None:
        self.append(*(item(ALICE, BOB, number) for number in range(2001)))
        self.assertEqual(self.done(self.mailbox.expire(1000.0)), 2001)
        notices = self.done(self.mailbox.notices(at(BOB), 10))
        self.assertEqual(sum(len(notice.envelope_ids) for notice in notices), 2001)
        self.assertTrue(all(len(notice.envelope_ids) <= 1000 for notice in notices))

    def test_what_expires_for_a_sender_that_is_gone_leaves_no_notice(self) -> None:
        self.append(item(ALICE, BOB, 1))
        self.register(new_account(BOB, 2, 2))
        self.assertEqual(self.done(self.mailbox.expire(1000.0)), 1)
        self.assertEqual(self.done(self.mailbox.notices(at(BOB, 2), 10)), [])

    def test_notices_wait_until_they_are_removed_oldest_first(self) -> None:
        for number in range(3):
            self.append(item(ALICE, BOB, number), now=float(number))
            self.done(self.mailbox.expire(1000.0 + number))
        first, second = self.done(self.mailbox.notices(at(BOB), 2))
        self.assertLess(first.number, second.number)
        self.done(self.mailbox.remove_notices(at(CAROL), [first.number]))
        self.done(self.mailbox.remove_notices(at(BOB), [first.number, 999]))
        self.done(self.mailbox.remove_notices(at(BOB), [first.number]))
        left = self.done(self.mailbox.notices(at(BOB), 10))
        self.assertEqual(left[0], second)
        self.assertEqual(len(left), 2)

    def test_notices_take_no_room_in_a_mailbox(self) -> None:
        self.limit(messages=2)
        for number in range(4):
            self.append(item(ALICE, BOB, number), now=float(number))
            self.done(self.mailbox.expire(1000.0 + number))
        self.assertEqual(self.attach(BOB).waiting, 0)
        self.assertEqual(list(self.append(item(BOB, ALICE, 1))), [Appended(1)])

    def test_a_repr_shows_no_envelope(self) -> None:
        self.append(item(ALICE, BOB, 1, size=100))
        rows = self.done(self.mailbox.after(at(ALICE), 0, 1, 1000))
        self.assertNotIn("eeee", repr(rows))
