"""The past of one profile: read, searched and forgotten. Works without a connection.

Knows no way of printing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from e2ee.client.context import Context
from e2ee.client.events import FileFacts, Forgotten, HistoryEntry, HistoryQuery, SentState
from e2ee.client.shown import file_facts
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.store.client import contacts, history, traces
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.history import Past
from e2ee.store.client.messages import MessageRecord
from e2ee.store.client.search import Search, parse_search
from e2ee.store.connection import Connection


class Archive:
    """All texts that were sent or released to readers. `forgotten` is called after some were deleted."""

    def __init__(self, context: Context, forgotten: Callable[[], None]) -> None:
        self._context = context
        self._forgotten = forgotten

    async def find(self, query: HistoryQuery) -> list[int]:
        """In which rows of the vault the texts are that are asked for, oldest first."""
        past = _past(query)
        return await self._context.vault.read(lambda tx: history.find(tx, past))

    async def load(self, rows: Sequence[int]) -> list[HistoryEntry]:
        """The texts in these rows, but for those that were forgotten meanwhile."""
        own = self._context.own.address
        return await self._context.vault.read(lambda tx: _entries(tx, own, history.load(tx, rows)))

    async def forget_message(self, message_id: MessageId) -> Forgotten:
        """Delete a text for good. Raises Failure(USAGE) for an unknown id, FAILED for one that waits."""

        def operation(tx: Connection) -> Forgotten:
            rows = history.rows_of_message(tx, message_id)
            if not rows:
                raise Failure(Code.USAGE, f"there is no message with the id {message_id}")
            gone = self._forget(tx, rows)
            if gone.waiting:
                raise Failure(
                    Code.FAILED,
                    f"the message {message_id} waits to be accepted: `e2ee outbox cancel {message_id}` first",
                )
            return gone

        return await self._forget_in(operation)

    async def forget_conversation(self, address: Address) -> Forgotten:
        """Delete all texts with this number for good, but for those that wait to be accepted.

        Its keys and its entry in the address book stay.
        """
        past = Past(address=address)
        return await self._forget_in(lambda tx: self._forget(tx, history.find(tx, past)))

    async def _forget_in(self, operation: Callable[[Connection], Forgotten]) -> Forgotten:
        gone = await self._context.vault.write(operation)
        self._forgotten()
        return gone

    def _forget(self, tx: Connection, rows: Sequence[int]) -> Forgotten:
        settled = history.without_waiting(tx, rows)
        history.forget(tx, settled, self._context.now)
        if settled:
            traces.note_forgotten(tx)
        return Forgotten(len(settled), len(rows) - len(settled))


def _past(query: HistoryQuery) -> Past:
    return Past(
        address=query.address,
        direction=query.direction,
        since=query.since,
        until=query.until,
        search=Search() if query.search is None else parse_search(query.search),
        limit=query.limit,
    )


def _entries(tx: Connection, own: Address, records: Sequence[MessageRecord]) -> list[HistoryEntry]:
    numbers = {record.address for record in records}
    people = {address: contacts.load_contact(tx, address) for address in numbers}
    return [
        _entry(record, own, people[record.address], file_facts(tx, record.row)) for record in records
    ]


def _entry(
    record: MessageRecord, own: Address, contact: ContactRecord, file: FileFacts | None
) -> HistoryEntry:
    outgoing = record.direction == "out"
    return HistoryEntry(
        direction=record.direction,
        message_id=record.message_id,
        from_address=own if outgoing else record.address,
        to=record.address if outgoing else own,
        name=contact.name,
        device=record.device,
        sent_at=record.sent_at,
        received_at=record.received_at,
        text=record.text,
        verified=record.verified,
        late=record.late,
        state=SentState(record.state) if outgoing else None,
        verified_by=record.verified_by,
        request=not outgoing and contact.is_request,
        expires_in=record.lifetime,
        expires_at=record.expires_at,
        file=file,
    )
