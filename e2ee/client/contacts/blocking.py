"""What becomes of what waits, on both ways, once a contact is blocked or taken out of the address book.

Operations over one transaction of the vault. Knows what goes and comes by itself; not who may be written
to (`address_book`). See `docs/protocol.md`, section 6, "Recipient".
"""

from __future__ import annotations

from e2ee.client.receiving.sequence import mark_gaps
from e2ee.ids import Address
from e2ee.store.client import healings, outbox
from e2ee.store.client.arrivals import forget_arrivals
from e2ee.store.client.messages import held_streams
from e2ee.store.client.receipts import forget_owed
from e2ee.store.client.timers import start_timers
from e2ee.store.connection import Connection


def tell_nothing(tx: Connection, address: Address) -> None:
    """Nothing that the user has not written leaves for this number any more, sealed or not.

    What is on its way cannot be called back, and its answer belongs to nothing then. What was sealed after
    it can be opened without it: a lost envelope is a skipped message key at the other end ("Double
    Ratchet", section 2.6), and each envelope carries the handshake until the first answer.
    """
    outbox.remove_controls(tx, address)
    forget_owed(tx, address)
    healings.settle(tx, address)


def show_nothing(tx: Connection, address: Address, now: int) -> None:
    """Nothing that this number has sent, which must be blocked, is shown any more. `now` is ms since 1970.

    It stays in the history, and what disappears does so as if it were read now: later it never would be.
    What was held before a gap does not wait for it, or it would be shown when the gap is given up.
    """
    for sender, device in held_streams(tx):
        if sender == address:
            mark_gaps(tx, address, device, now, now)
    start_timers(tx, forget_arrivals(tx, address), now)
