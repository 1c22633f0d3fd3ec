"""What is asked of the vault beside what is unshown: the past, the state of things.

Works without a connection. Knows no way of printing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from e2ee.client.context import Context
from e2ee.client.events import HistoryEntry, SentState, Status
from e2ee.client.profile import OpenProfile
from e2ee.ids import Address
from e2ee.store.client import arrivals, contacts, messages, outbox, prekeys
from e2ee.store.client.messages import MessageRecord
from e2ee.store.client.prekeys import PreKeyKind
from e2ee.store.connection import Connection


class Reading:
    """One profile's."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def history(
        self, address: Address | None, search: str | None, since: int | None, limit: int | None
    ) -> list[HistoryEntry]:
        """The newest `limit` texts that hold `search` in any case, oldest of them first."""
        own = self._context.own.address
        wanted = None if search is None else search.casefold()

        def load(tx: Connection) -> list[HistoryEntry]:
            found = (
                record
                for record in messages.history(tx, address, since)
                if wanted is None or wanted in record.text.casefold()
            )
            entries = list(_entries(tx, own, islice(found, limit)))
            entries.reverse()
            return entries

        return await self._context.vault.read(load)

    async def status(self, profile: OpenProfile) -> Status:
        """What vault and link know."""
        state, up = self._context.link_state, self._context.is_up
        server, _, pins = str(profile.server.link).removeprefix("e2ee://").partition("/")

        def load(tx: Connection) -> tuple[int, int, int, int]:
            return (
                outbox.count_waiting(tx),
                arrivals.count_unshown(tx),
                prekeys.count_prekeys(tx, PreKeyKind.ONE_TIME),
                prekeys.count_prekeys(tx, PreKeyKind.KEM_ONE_TIME),
            )

        waiting, unshown, one_time, kem_one_time = await self._context.vault.read(load)
        return Status(
            connected=up,
            key_exchange=state.key_exchange if up else None,
            peer_pin=state.peer_pin if up else None,
            outbox=waiting,
            unshown=unshown,
            one_time_prekeys=one_time,
            kem_one_time_prekeys=kem_one_time,
            failure=None if up else state.failure,
            address=self._context.own.address,
            device=self._context.own.device,
            server=server,
            pin=pins.split(",")[0],
            passphrase=str(profile.passphrase_source),
        )


def _entries(tx: Connection, own: Address, records: Iterator[MessageRecord]) -> Iterator[HistoryEntry]:
    for record in records:
        outgoing = record.direction == "out"
        yield HistoryEntry(
            direction=record.direction,
            message_id=record.message_id,
            from_address=own if outgoing else record.address,
            to=record.address if outgoing else own,
            name=contacts.load_contact(tx, record.address).name,
            device=record.device,
            sent_at=record.sent_at,
            received_at=record.received_at,
            text=record.text,
            verified=record.verified,
            late=record.late,
            state=SentState(record.state) if outgoing else None,
        )
