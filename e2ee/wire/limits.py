"""Every bound of the wire, each with its reason. Knows sizes and times, not who enforces them.

What an operator may change is policy and stands in `e2ee.server.policy`.
"""

from __future__ import annotations

PROTOCOL_VERSION = 1
"""The one version there is. The greeting carries a list, so that there can be another."""

ALPN = b"e2ee/1"

LENGTH_PREFIX_BYTES = 4
FRAME_BEFORE_LOGIN_BYTES = 16 * 1024
"""Enough for a registration body with an ML-KEM key; little enough to hold for a stranger."""
FRAME_AFTER_LOGIN_BYTES = 128 * 1024
"""An envelope and its frame, or a full upload of KEM prekeys."""

ENVELOPE_BYTES = 96 * 1024
"""A text of 64 KiB in four-byte steps of padding, with a handshake, and room for later types."""

STATEMENT_BYTES = 512
"""A signed account statement; its encoding in version 1 is far below."""
SIGNED_PREKEY_BYTES = 256
"""A signed X25519 prekey."""
KEM_PREKEY_BYTES = 2048
"""A signed KEM prekey: 1,568 bytes of ML-KEM-1024 and its frame."""
IDENTITY_BYTES = 8 * 1024
"""An X.509 identity: a chain of three with RSA keys of 4096 bits has about 6 KiB."""
ONE_TIME_UPLOAD = 100
KEM_ONE_TIME_UPLOAD = 32
"""As many ML-KEM-1024 keys as fit into one frame with room to spare."""

FILE_CHUNK_BYTES = 64 * 1024
"""Of a file in one message: a frame has room for it, and mail waits behind little."""
SEALED_CHUNK_BYTES = FILE_CHUNK_BYTES + 64
"""Every chunk as it is carried and kept, the last one as well: IV, a block of padding, tag."""
FILE_CHUNKS = 2**26
"""Of one file, 4 TiB: far above what an operator's quota lets in."""
FILE_WINDOW_CHUNKS = 4
"""Chunks of an upload without an answer: enough for a long line, and mail does not wait behind more."""

WATCHED_TARGETS = 1000
"""Contacts whose presence one request asks for: 40 KB, well inside a frame."""
ONLINE_PAGE = 4096
"""Numbers in one answer: 80 KB at the most."""
SENTENCE_CHARACTERS = 300
NOTICE_ENVELOPES = 1000
"""Envelope ids in one notice; more need a second one."""

WINDOW_MESSAGES = 256
WINDOW_BYTES = 512 * 1024
"""Unacknowledged pushes to one device: what a client that never reads can cost."""
UNSENT_BYTES = 128 * 1024
"""Bytes that the other side has not taken; above, nothing more is read from it."""
REQUESTS_IN_FLIGHT = 256
"""Unanswered requests of one connection; above, nothing more is read from it."""

LOGIN_SECONDS = 10.0
"""From the connection to the end of a login or registration: no connection waits for a person.

Single bytes do not extend it.
"""
PING_AFTER_SECONDS = 45.0
IDLE_SECONDS = 90.0
UNREAD_SECONDS = 90.0
"""How long a peer may leave UNSENT_BYTES unread."""
CLOSE_SECONDS = 5.0
"""How long an orderly end may take before the connection is cut."""
ACKNOWLEDGE_SECONDS = 1.0
"""The fast path: how long an envelope stays in memory alone."""
