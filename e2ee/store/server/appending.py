"""Appends to many mailboxes at once: each envelope is judged by the counters as those before it leave them.

Knows SQL and quotas; runs inside one transaction, in the writer's thread. What is known of mailboxes and
senders is read first, for all together; then each envelope is judged, without a statement; then all rows,
counters and state tokens are written.

Whether an envelope waits already is looked for only where it may: in the mailbox, from its beginning, since
an index by which it were found at once would cost every append as much as the row. It cannot be there if
nothing of its sender is, or if its state token is higher than the highest of its sender's device: an envelope
that is sent again has the token that it had, and that is on disk since the row is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from e2ee.ids import DeviceAddress
from e2ee.store.connection import Connection
from e2ee.store.row_statement import RowStatement
from e2ee.store.server.devices import keep_state_tokens
from e2ee.store.server.ports import Appended, AppendRefused, MailItem
from e2ee.store.server.quotas import Quotas, Usage

ONCE_BYTES = 16
"""Of SHA-256: as hard to meet on purpose as an envelope id."""

AppendPart = tuple[Iterable[MailItem], float]
"""What one call of `Mailbox.append` was given."""
Results = list[Appended | AppendRefused]
"""A part's, one for each of its items."""

_COUNTERS = RowStatement(
    "SELECT asked.column1, coalesce(sender.state_token, x''), device.id, device.last_seq,"
    " device.messages, device.bytes, device.strangers,"
    " coalesce(share.messages, 0), coalesce(share.bytes, 0), coalesce(share.strangers, 0) FROM (",
    5,
    ") AS asked LEFT JOIN device ON device.address = asked.column2 AND device.device = asked.column3"
    " LEFT JOIN share ON share.device_id = device.id AND share.sender_address = asked.column4"
    " LEFT JOIN device AS sender ON sender.address = asked.column4 AND sender.device = asked.column5",
)
_WAITING = RowStatement("SELECT once, seq FROM mail WHERE device_id = ? AND once IN (", 1, ")")
_ROWS = RowStatement("INSERT INTO mail", 10)
_MAILBOXES = RowStatement(
    "UPDATE device SET last_seq = new.column2, messages = new.column3, bytes = new.column4,"
    " strangers = new.column5 FROM (",
    5,
    ") AS new WHERE device.id = new.column1",
)
_SHARES = RowStatement(
    "INSERT INTO share",
    5,
    "ON CONFLICT DO UPDATE SET"
    " messages = excluded.messages, bytes = excluded.bytes, strangers = excluded.strangers",
)


@dataclass(slots=True, eq=False)
class _Sender:
    """A device that sends, as it stands in rows, in plain types: the binding looks for an adapter of every
    other one, at the price of the insert."""

    address: str
    device: bytes
    state_token: bytes = b""
    has_risen: bool = False


@dataclass(slots=True, eq=False)
class _Mailbox:
    """Of one device. `waiting`: the seq of each envelope that was found there or has come, by its digest."""

    device_id: int
    last_seq: int
    usage: Usage
    waiting: dict[bytes, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Pair:
    """Who sends and where to; None: there is no such device. `share` is what of the sender's account waits
    there."""

    sender: _Sender
    mailbox: _Mailbox | None = None
    share: Usage = field(default_factory=Usage)
    has_grown: bool = False


_Row = tuple[object, ...]
_Entry = tuple[_Pair, bytes, MailItem]
"""An envelope, with what makes it one in its mailbox."""


class Appending:
    """Use one for one transaction."""

    def __init__(self, connection: Connection, quotas: Quotas) -> None:
        self._connection = connection
        self._quotas = quotas
        self._senders: dict[DeviceAddress, _Sender] = {}
        self._pairs: dict[tuple[DeviceAddress, DeviceAddress], _Pair] = {}
        self._rows: list[_Row] = []

    def run(self, parts: Sequence[AppendPart]) -> list[Results]:
        """For each part a result of each of its items; the parts' times are service time in seconds."""
        entries = [[self._entry(item) for item in items] for items, _ in parts]
        self._read_counters()
        self._find_waiting(entry for part in entries for entry in part)
        results = [self._judged(part, now) for part, (_, now) in zip(entries, parts, strict=True)]
        self._write()
        return results

    def _entry(self, item: MailItem) -> _Entry:
        pair = self._pairs.get(item[:2])
        if pair is None:
            pair = self._pairs[item[:2]] = _Pair(self._sender(item.sender))
        sender = pair.sender
        # With the sender in it, so that nobody takes the place of another's envelope by sending the same.
        digest = hashlib.sha256(item.envelope_id + sender.device + sender.address.encode()).digest()
        return pair, digest[:ONCE_BYTES], item

    def _sender(self, where: DeviceAddress) -> _Sender:
        sender = self._senders.get(where)
        if sender is None:
            sender = self._senders[where] = _Sender(str(where.address), bytes(where.device))
        return sender

    # --- reading ------------------------------------------------------------------------------

    def _read_counters(self) -> None:
        asked = [
            (number, str(to.address), bytes(to.device), pair.sender.address, pair.sender.device)
            for number, ((to, _), pair) in enumerate(self._pairs.items())
        ]
        pairs = list(self._pairs.values())
        mailboxes: dict[int, _Mailbox] = {}
        shares: dict[tuple[int, str], Usage] = {}
        for number, token, device_id, last_seq, *counts in _COUNTERS.run(self._connection, asked):
            pair = pairs[number]
            pair.sender.state_token = token
            if device_id is None:
                continue
            pair.mailbox = mailboxes.get(device_id)
            if pair.mailbox is None:
                pair.mailbox = mailboxes[device_id] = _Mailbox(device_id, last_seq, Usage(*counts[:3]))
            # Of one account several devices may send: they have one share.
            pair.share = shares.setdefault((device_id, pair.sender.address), Usage(*counts[3:]))

    def _find_waiting(self, entries: Iterable[_Entry]) -> None:
        """Find those that may be there; the state tokens are the highest ones from then on."""
        asked: dict[_Mailbox, list[tuple[bytes]]] = {}
        for pair, once, item in entries:
            sender, token = pair.sender, item.state_token
            if token > sender.state_token:
                sender.state_token, sender.has_risen = token, True
            elif pair.mailbox is not None and pair.share.messages:
                asked.setdefault(pair.mailbox, []).append((once,))
        for mailbox, digests in asked.items():
            mailbox.waiting.update(_WAITING.run(self._connection, digests, mailbox.device_id))

    # --- judging ------------------------------------------------------------------------------

    def _judged(self, entries: Sequence[_Entry], now: float) -> Results:
        """After a refusal, none of the same pair is stored any more."""
        results: Results = []
        refused: set[_Pair] = set()
        for pair, once, item in entries:
            result: Appended | AppendRefused
            if refused and pair in refused:
                result = AppendRefused.HELD
            elif pair.mailbox is None:
                result = AppendRefused.NO_DEVICE
            else:
                result = self._stored(pair, pair.mailbox, once, item, now)
            results.append(result)
            if result.__class__ is AppendRefused:
                refused.add(pair)
        return results

    def _stored(
        self, pair: _Pair, mailbox: _Mailbox, once: bytes, item: MailItem, now: float
    ) -> Appended | AppendRefused:
        if once in mailbox.waiting:
            return Appended(mailbox.waiting[once], repeated=True)
        _, _, envelope_id, envelope, known, _ = item
        size = len(envelope)
        refused = self._quotas.refusal(mailbox.usage, pair.share, size, known)
        if refused is not None:
            return refused
        seq = mailbox.waiting[once] = mailbox.last_seq = mailbox.last_seq + 1
        mailbox.usage.add(size, known)
        pair.share.add(size, known)
        pair.has_grown = True
        sender = pair.sender
        self._rows.append(
            (mailbox.device_id, seq, once, sender.address, sender.device, bytes(envelope_id),
             int(known), size, now, envelope)
        )  # fmt: skip
        return Appended(seq)

    # --- writing ------------------------------------------------------------------------------

    def _write(self) -> None:
        _ROWS.run(self._connection, self._rows)
        mailboxes: dict[int, _Row] = {}
        shares: dict[tuple[int, str], _Row] = {}
        for pair in self._pairs.values():
            mailbox, address = pair.mailbox, pair.sender.address
            if mailbox is not None and pair.has_grown:
                number = mailbox.device_id
                mailboxes[number] = (number, mailbox.last_seq, *mailbox.usage.counts)
                shares[number, address] = (number, address, *pair.share.counts)
        _MAILBOXES.run(self._connection, list(mailboxes.values()))
        _SHARES.run(self._connection, list(shares.values()))
        risen = {where: sender.state_token for where, sender in self._senders.items() if sender.has_risen}
        keep_state_tokens(self._connection, risen)
