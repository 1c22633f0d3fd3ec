"""docs/limits.md: every number has its value, and rooms that may not import each other have the same.

That each limit is kept is tested where it is kept; here is one place that says how much it is.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client import prekeeper, prekey_allowance
from e2ee.client.contacts import vcard
from e2ee.client.contacts.contact_file import FILE_BYTES as CONTACT_FILE_BYTES
from e2ee.client.contacts.contact_values import IMPORTED_CONTACTS
from e2ee.client.identification import identities
from e2ee.client.identification.authorities import AUTHORITIES
from e2ee.client.linking import backoff
from e2ee.client.receiving import gaps, incoming
from e2ee.client.recovery import unknown_keys
from e2ee.client.registering import enrolment
from e2ee.client.sending import outgoing, typing_notices
from e2ee.client.transfers import file_names
from e2ee.crypto import file_chunks
from e2ee.crypto import limits as crypto
from e2ee.net.authority import AUTHORITIES_FILE_BYTES, REVOCATION_FILE_BYTES
from e2ee.net.certificate_path import INTERMEDIATES
from e2ee.server import policy
from e2ee.store.client import prekeys, sessions
from e2ee.store.server import devices, ports
from e2ee.ui import sending, streams
from e2ee.wire import limits as wire

KIB, MIB, DAY_MS = 1024, 1024 * 1024, 24 * 60 * 60 * 1000

VALUES = {
    "frame": (wire.FRAME_BEFORE_LOGIN_BYTES, wire.FRAME_AFTER_LOGIN_BYTES, 16 * KIB, 128 * KIB),
    "handshake and login": (wire.LOGIN_SECONDS, 10),
    "idle": (wire.PING_AFTER_SECONDS, wire.IDLE_SECONDS, 45, 90),
    "recipients with a refused message": (policy.HELD_RECIPIENTS, 10_000),
    "turned away and not gone": (policy.LEAVING_CONNECTIONS, wire.CLOSE_SECONDS, 64, 5),
    "text": (crypto.TEXT_BYTES, 64 * KIB),
    "envelope": (wire.ENVELOPE_BYTES, 96 * KIB),
    "padding": (crypto.PADDING_FLOOR_BYTES, crypto.PADDING_STEP_BYTES, 256, 4 * KIB),
    "window": (wire.WINDOW_MESSAGES, wire.WINDOW_BYTES, 256, 512 * KIB),
    "unsent": (wire.UNSENT_BYTES, wire.UNREAD_SECONDS, 128 * KIB, 90),
    "fast path": (wire.ACKNOWLEDGE_SECONDS, 1),
    "passcode session": (
        policy.CODE_LIFE_SECONDS, policy.CODE_GUESSES, policy.CODE_LIVE_SESSIONS, 600, 5, 3
    ),
    "waits": (policy.CODE_WAITS_SECONDS, (60, 120, 300, 600, 600)),
    "waits are forgotten": (policy.CODE_WAITS_FORGET_SECONDS, 86_400),
    "guesses come back": (policy.GUESS_REFILL_SECONDS, 7_200),
    "SPAKE2 queue and grid": (policy.PROOF_QUEUE, policy.PROOF_GRID_SECONDS, 64, 0.05),
    "bundles come back": (policy.BUNDLE_REFILL_SECONDS, 300),
    "one-time prekeys": (wire.ONE_TIME_UPLOAD, policy.ONE_TIME_STOCK, 100, 100),
    "one-time KEM prekeys": (wire.KEM_ONE_TIME_UPLOAD, policy.KEM_ONE_TIME_STOCK, 32, 100),
    "unused prekeys": (policy.UNUSED_PREKEYS_SECONDS, 90 * 86_400),
    "skipped keys": (crypto.SKIPPED_GAP, crypto.SKIPPED_STORED, crypto.SKIPPED_MS, 2_000, 2_000, 31 * DAY_MS),
    "post-quantum step": (crypto.HYBRID_MESSAGES, crypto.HYBRID_MS, crypto.OFFERING_MESSAGES, 50, DAY_MS, 8),
    "RSA prekeys": (prekeeper.RSA_STOCK, 10),
    "one-time prekeys that are made": (
        prekey_allowance.STOCKS_AT_ONCE, prekey_allowance.STOCK_MS, 3, DAY_MS // 4
    ),
    "one-time prekeys that are kept": (prekeys.ONE_TIME_IN_USE, prekeys.RETIRED_KEPT, 200, 12_600),
    "X.509 identity": (crypto.IDENTITY_BYTES, crypto.IDENTITY_CERTIFICATES, INTERMEDIATES, 8 * KIB, 4, 3),
    "authorities": (AUTHORITIES, AUTHORITIES_FILE_BYTES, REVOCATION_FILE_BYTES, 100, 64 * KIB, 512 * KIB),
    "certificates are asked for": (
        identities.ASK_AGAIN_MS, identities.EXPIRES_SOON_MS, identities.ASKED_AT_ONCE, DAY_MS, 7 * DAY_MS, 50
    ),
    "unanswered chain": (crypto.UNANSWERED_MESSAGES, crypto.UNANSWERED_MS, 1_000, 7 * DAY_MS),
    "signed prekey": (crypto.SIGNED_PREKEY_LIFE_MS, crypto.RETIRED_PREKEY_MS, 7 * DAY_MS, 30 * DAY_MS),
    "typing": (typing_notices.PAUSE_SECONDS, crypto.TYPING_MS, 5, 30_000),
    "timers": (crypto.TIMER_SECONDS, crypto.TIMER_VERSIONS, 366 * 86_400, 2**52),
    "files of contacts": (
        CONTACT_FILE_BYTES, IMPORTED_CONTACTS, vcard.CARD_NUMBERS, 32 * MIB, 5_000, 50
    ),
    "outbox": (outgoing.ENVELOPE_MS, outgoing.WAITING_MS, 14 * DAY_MS, 30 * DAY_MS),
    "reconnect": (backoff.FIRST_SECONDS, backoff.LONGEST_SECONDS, 0.5, 60),
    "healing": (
        crypto.HEALING_MS, crypto.HEALING_MS_MAX, crypto.HEALING_FORGOTTEN_MS,
        DAY_MS // 24, DAY_MS, 2 * DAY_MS,
    ),
    "prekeys made anew": (unknown_keys.REPLACE_AGAIN_MS, DAY_MS // 24),
    "sent again": (crypto.SENT_AGAIN_MS, crypto.SENT_AGAIN_TIMES, 30 * DAY_MS, 2),
    "unconfirmed": (crypto.UNCONFIRMED_MS, 10 * 60 * 1000),
    "resume": (crypto.RESUME_RANGES, 64),
    "crashes": (incoming.CRASHES, 2),
    "gap": (gaps.GAP_SECONDS, 5),
    "chunk": (crypto.FILE_CHUNK_BYTES, wire.FILE_WINDOW_CHUNKS, 64 * KIB, 4),
    "name of a file": (crypto.FILE_NAME_BYTES, file_names.NAME_BYTES, 255, 180),
    "chunks on their way to the disk": (
        policy.FILE_CHUNKS_WAITING, policy.FILES_WAITING_BYTES, policy.FILES_HEADROOM_BYTES,
        8, 32 * MIB, 64 * MIB
    ),
}  # fmt: skip
"""What there is, then what it must be."""

POLICY = {
    "connections_before_login": 64,
    "connections": 0,
    "mailbox_messages": 10_000,
    "mailbox_bytes": 64 * MIB,
    "mailbox_days": 30,
    "mailbox_share": 0.5,
    "strangers_waiting": 1_000,
    "stranger_waiting": 50,
    "messages_burst": 200,
    "messages_per_second": 20,
    "codes_burst": 6,
    "codes_per_hour": 1,
    "guesses_burst": 8,
    "codes_per_source": 20,
    "codes_total": 1_000,
    "codes_per_prefix": 200,
    "bundles_per_target": 30,
    "lookups_per_day": 1_000,
    "file_bytes": 100 * MIB,
    "file_days": 30,
    "files_bytes": 1024 * MIB,
}
"""`[limits]` of the server's configuration: these names, these defaults."""


class LimitTests(SynchronousTestCase):
    """One number, one value, wherever it is needed."""

    def test_each_has_its_value(self) -> None:
        for name, numbers in VALUES.items():
            half = len(numbers) // 2
            self.assertEqual(numbers[:half], numbers[half:], name)

    def test_what_an_operator_may_choose(self) -> None:
        chosen = policy.Policy()
        self.assertEqual({name: getattr(chosen, name) for name in policy.LIMIT_NAMES}, POLICY)

    def test_rooms_that_do_not_know_each_other_agree(self) -> None:
        self.assertEqual(sending.TEXT_BYTES, crypto.TEXT_BYTES)
        self.assertEqual(wire.ENVELOPE_BYTES, crypto.ENVELOPE_BYTES)
        self.assertEqual(wire.STATEMENT_BYTES, crypto.STATEMENT_BYTES)
        self.assertEqual(wire.SIGNED_PREKEY_BYTES, crypto.SIGNED_PREKEY_BYTES)
        self.assertEqual(wire.KEM_PREKEY_BYTES, crypto.KEM_PREKEY_BYTES)
        self.assertEqual(wire.IDENTITY_BYTES, crypto.IDENTITY_BYTES)
        self.assertEqual(devices.NOTICE_ENVELOPES, wire.NOTICE_ENVELOPES)
        self.assertEqual(wire.FILE_CHUNK_BYTES, crypto.FILE_CHUNK_BYTES)
        self.assertEqual({wire.SEALED_CHUNK_BYTES}, {file_chunks.SEALED_BYTES, ports.CHUNK_BYTES})
        self.assertEqual(enrolment.GUESSES, policy.CODE_GUESSES)
        self.assertEqual({prekeeper.STOCK}, {policy.ONE_TIME_STOCK, policy.KEM_ONE_TIME_STOCK})
        self.assertEqual(sessions.SESSIONS_PER_DEVICE, 1 + crypto.OLDER_SESSIONS)

    def test_what_must_leave_room_for_another(self) -> None:
        self.assertLess(crypto.TEXT_BYTES, streams.LINE_BYTES)
        self.assertLess(wire.SEALED_CHUNK_BYTES, wire.FRAME_AFTER_LOGIN_BYTES)
        self.assertLess(wire.FILE_WINDOW_CHUNKS, policy.FILE_CHUNKS_WAITING)
        self.assertLess(wire.ENVELOPE_BYTES, wire.FRAME_AFTER_LOGIN_BYTES)
        self.assertLess(wire.KEM_ONE_TIME_UPLOAD * wire.KEM_PREKEY_BYTES, wire.FRAME_AFTER_LOGIN_BYTES)
        # An owner who is told that the stock is low thinks so, too.
        self.assertLess(max(policy.ONE_TIME_LOW_WATER, policy.KEM_ONE_TIME_LOW_WATER), prekeeper.LOW_STOCK)
        # All that are handed out to strangers can be made anew, and none that may be named has to go for it.
        strangers_a_day = DAY_MS // 1000 / policy.BUNDLE_REFILL_SECONDS
        made_a_day = prekeeper.STOCK * DAY_MS // prekey_allowance.STOCK_MS
        self.assertLess(strangers_a_day, made_a_day)
        retired_meanwhile = (
            prekeys.ONE_TIME_IN_USE
            + prekeeper.STOCK  # made before, and not published yet
            + prekeeper.STOCK * prekey_allowance.STOCKS_AT_ONCE
            + made_a_day * crypto.RETIRED_PREKEY_MS // DAY_MS
        )
        self.assertLessEqual(retired_meanwhile, prekeys.RETIRED_KEPT)
        # What may wait in a mailbox can still be opened when it comes.
        waits_ms = policy.Policy().mailbox_days * DAY_MS
        self.assertLessEqual(waits_ms, min(crypto.RETIRED_PREKEY_MS, crypto.SKIPPED_MS))
