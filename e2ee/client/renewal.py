"""What a vault needs before it may speak again after it was put back from a backup.

One operation over a transaction. The backup may be old: since it was made, this device has sent texts,
published prekeys and advanced sessions that the vault knows nothing of. So nothing that can be used
once is used from it: numbers begin above all that were used, prekeys are replaced, sessions start
anew. See `docs/cryptography.md`, "Backups".
"""

from __future__ import annotations

from e2ee.client.prekeeper import replace_all
from e2ee.crypto.primitives import Entropy
from e2ee.store.client import arrivals, contacts, messages, outbox
from e2ee.store.client.numbering import begin_numbering
from e2ee.store.client.prekeys import last_key_id, skip_key_ids
from e2ee.store.connection import Connection

KEY_IDS_PER_SECOND = 4
"""More prekeys than a device makes, on an average: 2**32 ids last for 34 years."""
KEY_IDS_BEGIN = 1_577_836_800
"""2020-01-01, seconds since 1970."""
KEY_IDS_SKIPPED = 65_536
"""At the least, whatever the clock says."""
KEY_IDS_SCATTER_BYTES = 3
"""So that two restorations of one backup within a minute do not meet either."""


def renew(tx: Connection, now: int, entropy: Entropy) -> None:
    """Make a vault without sessions and prekeys fit for its next connection. `now` is ms since 1970.

    Each accepted contact is sent the contact token, to whom nothing else waits: the handshake that
    carries it is what the contact's next message needs to be readable here.
    """
    begin_numbering(tx, now)
    elapsed = max(0, now // 1000 - KEY_IDS_BEGIN)
    above = max(last_key_id(tx) + KEY_IDS_SKIPPED, elapsed * KEY_IDS_PER_SECOND)
    skip_key_ids(tx, above + int.from_bytes(entropy(KEY_IDS_SCATTER_BYTES), "big"))
    replace_all(tx)
    arrivals.note_restored(tx)
    for address, row in outbox.waiting_texts(tx):
        messages.set_sequence(tx, row, contacts.next_sequence(tx, address))
    waiting = set(outbox.waiting_addresses(tx))
    for address in contacts.accepted_addresses(tx):
        if address not in waiting:
            outbox.add_to_outbox(tx, address, None, now)
