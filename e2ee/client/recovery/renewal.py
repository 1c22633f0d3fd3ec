"""What a vault needs before it may speak again after it was put back, from a backup or as a copy of itself.

One operation over a transaction. The copy may be old: since it was made, this device has sent texts,
published prekeys and advanced sessions that the vault knows nothing of. So nothing that can be used
once is used from it: numbers begin above all that were used, prekeys are replaced, sessions start
anew. What is still there of sessions and prekeys only opens what was sealed for them. See
`docs/cryptography.md`, "Backups" and "State tokens".
"""

from __future__ import annotations

from e2ee.client.recovery.unknown_keys import unused_id
from e2ee.crypto.primitives import Entropy
from e2ee.store.client import arrivals, contacts, healings, messages, outbox, prekeys, sessions
from e2ee.store.client.healings import Wanted
from e2ee.store.client.numbering import begin_numbering
from e2ee.store.client.state_counter import note_put_back, note_unknown
from e2ee.store.connection import Connection

KEY_IDS_SCATTER_BYTES = 3
"""So that two restorations of one backup within a minute do not meet either."""


def renew(tx: Connection, now: int, entropy: Entropy) -> None:
    """Make an older vault fit for its next connection. `now` is ms since 1970.

    Each accepted contact is told how far the texts have come here: the handshake that carries it is what
    the contact's next message needs to be readable here, and what is missing is sent again.
    """
    begin_numbering(tx, now)
    scattered = int.from_bytes(entropy(KEY_IDS_SCATTER_BYTES), "big")
    prekeys.skip_key_ids(tx, unused_id(tx, now) + scattered)
    prekeys.replace_stock(tx)
    prekeys.retire_all(tx, now)
    sessions.retire_sessions(tx)
    arrivals.note_restored(tx)
    note_put_back(tx, now)
    _renew_outbox(tx)


def renew_restored(tx: Connection, now: int, entropy: Entropy) -> None:
    """The same for a vault that was filled from a backup: whatever counter the server has, it is right."""
    renew(tx, now, entropy)
    note_unknown(tx)


def _renew_outbox(tx: Connection) -> None:
    """What waits is numbered and sealed anew, and behind it everybody is asked."""
    outbox.unseal_all(tx)
    outbox.remove_resumes(tx)
    for address, row in outbox.waiting_texts(tx):
        messages.set_sequence(tx, row, contacts.next_sequence(tx, address))
    healings.forget_healings(tx)
    for address in contacts.accepted_addresses(tx):
        healings.want(tx, address, Wanted.EVERYTHING)
