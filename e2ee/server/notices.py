"""Tells senders what of their stored envelopes will not be delivered, until they acknowledge it.

Knows the mailbox's notices and connections; not why an envelope was lost.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from e2ee.server.peer import Peer
from e2ee.server.policy import NOTICES_AT_ONCE
from e2ee.store.server.ports import Mailbox
from e2ee.wire.messages import Notice, NoticeReason


class Notices:
    """One for the server. A notice is pushed once on each connection, and goes when acknowledged."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._pushed: WeakKeyDictionary[Peer, set[int]] = WeakKeyDictionary()
        self._removing: WeakKeyDictionary[Peer, set[int]] = WeakKeyDictionary()

    async def tell(self, peer: Peer) -> None:
        """Push the oldest notices that this connection has not seen."""
        pushed = self._pushed.setdefault(peer, set())
        for notice in await self._mailbox.notices(peer.where, NOTICES_AT_ONCE):
            if notice.number not in pushed:
                pushed.add(notice.number)
                ids = tuple(bytes(one) for one in notice.envelope_ids)
                peer.push(Notice(notice.number, NoticeReason(notice.kind.value), ids))

    async def acknowledge(self, peer: Peer, number: int) -> None:
        """Forget a notice that was pushed on this connection; then there may be room for others."""
        pushed, removing = self._pushed.get(peer), self._removing.setdefault(peer, set())
        if pushed is None or number not in pushed or number in removing:
            # Said again before the disk has answered: no request number bounds how often.
            return
        removing.add(number)
        try:
            await self._mailbox.remove_notices(peer.where, [number])
        finally:
            removing.discard(number)
        pushed.discard(number)
        if not pushed:
            await self.tell(peer)
