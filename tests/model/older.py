"""What may follow when an older copy of a vault is put back, by what the vault knew that was thrown away.

Knows the tables of texts and counters; nothing of what happens afterwards. The promise stands in
docs/cryptography.md, sections 8 to 10: what only the discarded vault had sealed is gone with it, and so is
what it had confirmed to its sender and shown to nobody; all else arrives, and nobody sees it twice without
a word.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from e2ee.client.sending.outgoing import Outgoing
from e2ee.ids import DeviceId
from e2ee.store.client import messages
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.outbox import OutboxRecord
from e2ee.store.client.prekeys import last_key_id
from e2ee.store.client.sessions import SessionRecord
from e2ee.store.client.state_counter import sent_counter
from e2ee.store.connection import Connection
from tests.model.ledger import Ledger
from tests.model.people import ModelPerson

ACCEPTED = ("stored", "delivered", "read")


class Confirmations:
    """How far each device has ever said to have another's texts. Patch `Outgoing._content`."""

    def __init__(self) -> None:
        self._said: dict[tuple[DeviceId, DeviceId], int] = {}
        self._content = Outgoing._content

    def content(
        self,
        outgoing: Outgoing,
        tx: Connection,
        contact: ContactRecord,
        record: SessionRecord,
        entry: OutboxRecord,
        now: int,
    ) -> bytes | None:
        """In place of the client's own."""
        stream = messages.load_stream(tx, contact.address, record.device)
        pair = outgoing.own.device, record.device
        self._said[pair] = max(self._said.get(pair, 0), stream.received_up_to)
        return self._content(outgoing, tx, contact, record, entry, now)

    def cover(self, own: DeviceId, sender: DeviceId, sequence: int) -> bool:
        """Whether `own` has said to have this text of `sender`."""
        return sequence <= self._said.get((own, sender), 0)


@dataclass(frozen=True)
class Text:
    """A row of a vault; `device` is that of the sender, for a received one."""

    sequence: int
    device: DeviceId | None
    state: str


@dataclass(frozen=True)
class Knowledge:
    """What a vault knows: the texts of both directions by their words, which of them no reader has shown, the
    highest counter that it has sent, and the highest id of a prekey."""

    received: dict[str, Text]
    own: dict[str, Text]
    unshown: frozenset[str]
    sent: int
    prekeys: int


@dataclass(frozen=True)
class Copy:
    """The files of a vault, and what it knew."""

    files: bytes = field(repr=False)
    knowledge: Knowledge


def copy_of(person: ModelPerson) -> Copy:
    """That of somebody whose client does not run."""
    return Copy(person.copy_vault(), _knowledge(person))


class Age(Enum):
    """What a client can know of its vault."""

    PRESENT = "nothing has come, gone or been published since it was copied"
    KNOWN = "the server knows of something that was sent since"
    HIDDEN = "the server does not"


def put_back(person: ModelPerson, copy: Copy, ledger: Ledger, confirmations: Confirmations) -> Age:
    """Let a client that does not run find this copy at its next start, and excuse what follows from that."""
    discarded = _knowledge(person)
    person.put_back(copy.files)
    knows = person.world.server.state_counter(person.own) > copy.knowledge.sent
    _excuse_received(person.own.device, discarded, copy.knowledge, ledger, confirmations)
    if not knows:
        seen = discarded.received.keys() - (copy.knowledge.received.keys() - copy.knowledge.unshown)
        ledger.may_double(words for words in seen if ledger.was_seen(words))
    only_here = discarded.own.keys() - copy.knowledge.own.keys()
    ledger.is_unknown(only_here)
    ledger.may_be_lost(words for words in only_here if discarded.own[words].state not in ACCEPTED)
    if knows:
        return Age.KNOWN
    return Age.PRESENT if discarded == copy.knowledge else Age.HIDDEN


def _excuse_received(
    own: DeviceId, discarded: Knowledge, copy: Knowledge, ledger: Ledger, confirmations: Confirmations
) -> None:
    """What was confirmed is not sent again."""
    for words in discarded.received.keys() - copy.received.keys():
        text = discarded.received[words]
        if text.device and confirmations.cover(own, text.device, text.sequence):
            ledger.may_be_lost([words])


def _knowledge(person: ModelPerson) -> Knowledge:
    columns = "direction, text, sequence, device, state"
    found: dict[str, dict[str, Text]] = {"in": {}, "out": {}}
    for direction, text, sequence, device, state in person.look(f"SELECT {columns} FROM message"):
        found[direction][text] = Text(sequence, None if device is None else DeviceId(device), state)
    sent, prekeys = (person.run(person.vault.read(one)) for one in (sent_counter, last_key_id))
    unshown = person.look(
        "SELECT text FROM message WHERE state = 'held' UNION"
        " SELECT text FROM arrival JOIN message ON message = row WHERE arrival.kind = 'message'"
    )
    return Knowledge(found["in"], found["out"], frozenset(one for (one,) in unshown), sent, prekeys)
