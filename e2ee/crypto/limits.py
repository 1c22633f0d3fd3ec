"""Every bound of the cryptography, each with its reason. Knows numbers only."""

from __future__ import annotations

DAY_MS = 24 * 60 * 60 * 1000

STATEMENT_BYTES = 512
"""A signed account statement; one with all its features has 326."""
FEATURES = 64
"""Feature numbers in a statement: far more than there will be."""
STATEMENTS_REMEMBERED = 512
"""Verified statements kept in memory with their keys, about a megabyte: most people's contacts."""
SIGNED_PREKEY_BYTES = 256
KEM_PREKEY_BYTES = 2048
"""A signed ML-KEM-1024 prekey has 1,648 bytes."""

IDENTITY_BYTES = 8 * 1024
"""An X.509 identity: a chain of three with RSA keys of 4096 bits has about 6 KiB."""
IDENTITY_CERTIFICATES = 4
"""Certificates of one identity: the account's own, and those between it and an authority."""

TEXT_BYTES = 64 * 1024
"""A text message, in UTF-8."""
ENVELOPE_BYTES = 96 * 1024
"""The longest text padded, with header and handshake, and room for later kinds of content."""
HANDSHAKE_BYTES = 4096
"""A handshake: a statement and an ML-KEM-1024 ciphertext, about 1,900 bytes."""
CONTENT_BYTES = 88 * 1024 - 1
"""What can be padded and still fits into an envelope with a handshake."""

FILE_CHUNK_BYTES = 64 * 1024
"""Of a file in one sealed chunk, and the step that its length is padded to."""
FILE_NAME_BYTES = 255
"""Of UTF-8: what most file systems take."""

PADDING_FLOOR_BYTES = 256
"""Short messages are the most and say the most by their length: they all look alike."""
PADDING_STEP_BYTES = 4096
"""Powers of two up to here, then multiples of it, so that a long text costs little more."""

MESSAGE_NUMBERS = 2**31
"""Counters of a chain stay below: they fit into 4 bytes and into every database's integers."""
COUNTERS = 2**53
"""Sequence numbers, generations and times stay below, as on the wire."""

SKIPPED_GAP = 2000
"""Message keys derived for one envelope, over both gaps: what a forged header can cost."""
SKIPPED_STORED = 2000
"""Skipped message keys kept by one session; the oldest go first."""
SKIPPED_MS = 31 * DAY_MS
"""A day longer than a mailbox keeps an envelope."""
RETIRED_RATCHET_KEYS = 16
"""Ratchet keys of ended receiving chains that are recognised before a Diffie-Hellman."""

HYBRID_MESSAGES = 50
"""Messages, of both directions, after which a post-quantum secret is followed by another: its 2.3 kB
and its time are then spread over as many. Also what a later quantum computer gets with one secret."""
HYBRID_MS = DAY_MS
"""The same by age, for people who write little."""
OFFERING_MESSAGES = 8
"""Messages at the beginning of an offering chain that carry its KEM key, so that some may be lost."""

UNANSWERED_MESSAGES = 1000
"""A sending chain without an answer: below SKIPPED_GAP, so that none of it can be lost to it."""
UNANSWERED_MS = 7 * DAY_MS
"""The same by age, so that a signed prekey in use is never older than two weeks."""
HEALING_MS = 60 * 60 * 1000
"""Between two healings of one contact at the least: whoever sends garbage causes no more handshakes."""
HEALING_MS_MAX = DAY_MS
"""The pause doubles with each healing up to this, for a flood of garbage that does not end."""
HEALING_FORGOTTEN_MS = 2 * DAY_MS
"""So long without a healing, and the pause is an hour again."""
RESUME_RANGES = 64
"""Ranges of numbers in one resume, 1 kB; what does not fit is asked for the next time."""
RECEIPT_IDS = 250
"""Texts in one receipt: as many as fit into a padded plaintext of 4 KiB."""
TYPING_MS = 30_000
"""An older typing notice says nothing about now; nor does one from as far in the future."""
TIMER_SECONDS = 366 * 24 * 60 * 60
"""After a year at the latest, or never: who wants texts to disappear does not mean decades."""
TIMER_VERSIONS = 2**52
"""What a contact may claim; so the next setting always has room for its version."""
SENT_AGAIN_MS = 30 * DAY_MS
"""Older texts are not sent again: a mailbox would not have kept them either."""
SENT_AGAIN_TIMES = 2
"""How often one text is sent again: once for the answer, once more if that is lost, too."""
UNCONFIRMED_MS = 10 * 60 * 1000
"""A text older than this that an answer does not confirm may have been dropped; younger ones may have
crossed with the answer."""
OLDER_SESSIONS = 4
"""Sessions with one device besides the current one: those only receive."""

SIGNED_PREKEY_LIFE_MS = 7 * DAY_MS
"""A signed or last-resort prekey is replaced after this."""
RETIRED_PREKEY_MS = 30 * DAY_MS
"""Private halves of replaced prekeys are kept as long as a mailbox keeps an envelope."""

ARGON2_MEMORY_KIB = 64 * 1024
ARGON2_ITERATIONS = 3
ARGON2_LANES = 4
"""Together 100 to 150 ms on a small machine, the first choice of RFC 9106 for little memory."""
SALT_BYTES = 16

PIN_CHARACTERS_MIN = 4
"""Four digits against ten tries; the server's operator can try many more, so longer is better."""
PIN_CHARACTERS_MAX = 64
"""A passphrase of several words."""
PIN_MEMORY_KIB = 64 * 1024
PIN_ITERATIONS = 3
PIN_LANES = 4
"""Part of the protocol, whatever vaults do: with other costs a right PIN would be a wrong one."""

BACKUP_MEMORY_KIB_MAX = 1024 * 1024
BACKUP_ITERATIONS_MAX = 64
BACKUP_LANES_MAX = 16
"""What the head of a backup file may ask of Argon2id: anybody can write one, so it must end soon."""
