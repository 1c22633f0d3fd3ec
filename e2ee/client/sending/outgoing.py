"""What happens in the vault to an own message: queued, sealed, accepted, failed.

Operations over one transaction each, so that the ratchet never advances without the envelope that it
was advanced for, and no chain position is used twice. Knows sessions and the outbox; nothing of the
link (`lane`). See `docs/protocol.md`, section 6, "Sender".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from e2ee.client.contacts.own_token import own_token
from e2ee.client.events import FailedReason, SentState
from e2ee.client.history.disappearing import expiry_to_tell, timer_to_tell
from e2ee.client.recovery.resuming import standing
from e2ee.client.sending.receipting import told_in
from e2ee.client.transfers.file_messages import shared_file
from e2ee.crypto import limits
from e2ee.crypto.account_statement import statement_hash, verify_statement
from e2ee.crypto.bundle import VerifiedBundle
from e2ee.crypto.content import Receipt, Resume, Text, TimerNotice, TokenNotice, Typing, encode_content
from e2ee.crypto.kem import Encapsulate
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.primitives import Entropy
from e2ee.crypto.session import Session, begin_session
from e2ee.errors import Code, Failure
from e2ee.ids import Address, EnvelopeId, MessageId
from e2ee.store.client import contacts, healings, messages, outbox, sessions, timers
from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival
from e2ee.store.client.contacts import ContactRecord
from e2ee.store.client.files import file_of
from e2ee.store.client.messages import MessageRecord
from e2ee.store.client.outbox import OutboxKind, OutboxRecord
from e2ee.store.client.sessions import SessionRecord
from e2ee.store.client.state_counter import advance_state, note_answered
from e2ee.store.connection import Connection

ENVELOPE_MS = 14 * limits.DAY_MS
"""An envelope that waited longer in the outbox is made anew."""
WAITING_MS = 30 * limits.DAY_MS
"""A message that waited longer has failed."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Makes envelopes for one own device."""

    own: OwnDevice
    entropy: Entropy
    encapsulate: Encapsulate

    # --- queueing ---------------------------------------------------------------------------

    def queue_text(self, tx: Connection, to: Address, text: str, message_id: MessageId, now: int) -> bool:
        """Put a text into the outbox, sealed at once where there is a session to seal it in.

        False if it is there already. Raises Failure(USAGE) if the id belongs to another text or
        recipient. Writing to somebody accepts him, unless he is blocked.
        """
        known = messages.sent_message(tx, message_id)
        if known is not None:
            if (known.address, known.text) == (to, text) and file_of(tx, known.row) is None:
                return False
            raise Failure(Code.USAGE, f"the id {message_id} belongs to another message")
        row = keep_text(tx, to, text, message_id, now, numbered=True)
        outbox.add_to_outbox(tx, to, row, now)
        self.seal_waiting(tx, to, now)
        return True

    def queue_token(self, tx: Connection, to: Address, now: int) -> None:
        """Have the own contact token handed over to an accepted contact without a text."""
        outbox.add_control(tx, to, OutboxKind.TOKEN, now)
        self.seal_waiting(tx, to, now)

    def queue_timer(self, tx: Connection, to: Address, now: int) -> None:
        """Have an accepted contact told of the timer without a text."""
        outbox.add_control(tx, to, OutboxKind.TIMER, now)
        self.seal_waiting(tx, to, now)

    # --- sealing ----------------------------------------------------------------------------

    def seal_waiting(
        self, tx: Connection, to: Address, now: int, bundle: VerifiedBundle | None = None
    ) -> bool:
        """Seal what waits unsealed to this number, in order, as far as a session allows.

        With `bundle`, whose account key must be the trusted one, a new session is begun. False if
        something is left that needs (another) bundle.
        """
        waiting = outbox.unsealed_for(tx, to)
        contact = contacts.load_contact(tx, to)
        if not waiting:
            return True
        if bundle is None and any(entry.kind is OutboxKind.HEALING for entry in waiting):
            return False
        if contact.trusted_key is None or contact.pending_key is not None:
            return False
        found = self._begin(tx, contact, bundle, now) if bundle else self._session(tx, contact, now)
        if found is None:
            return False
        return self._seal_all(tx, contact, *found, waiting, now)

    def _session(
        self, tx: Connection, contact: ContactRecord, now: int
    ) -> tuple[SessionRecord, Session] | None:
        """The session to send on, if there is one with the newest trusted statement.

        A worn one is followed by the newest that was begun since it was last answered: whatever else is
        opened in it meanwhile is no reason for one more handshake.
        """
        signed = contacts.load_statement(tx, contact.address, contact.trusted_key or b"")
        if signed is None:
            return None
        record = sessions.session_to_send_on(tx, contact.address, statement_hash(signed))
        if record is None:
            return None
        session = Session.decode(record.state)
        if session.is_worn(now):
            newer = sessions.begun_since(tx, record)
            return None if newer is None else (newer, Session.decode(newer.state))
        return record, session

    def _begin(
        self, tx: Connection, contact: ContactRecord, bundle: VerifiedBundle, now: int
    ) -> tuple[SessionRecord, Session] | None:
        if bundle.statement.account_key.raw != contact.trusted_key:
            return None
        session = begin_session(self.own, bundle, now, self.entropy, self.encapsulate)
        record = SessionRecord(
            address=contact.address,
            device=bundle.statement.device,
            session_id=session.session_id,
            account_key=bundle.statement.account_key.raw,
            statement_hash=session.their_statement_hash,
            state=session.encode(),
        )
        sessions.add_session(tx, record, answered=False)
        return record, session

    def _seal_all(
        self,
        tx: Connection,
        contact: ContactRecord,
        record: SessionRecord,
        session: Session,
        waiting: Sequence[OutboxRecord],
        now: int,
    ) -> bool:
        first = session.sending_unanswered == 0
        done = True
        counter = advance_state(tx)
        for entry in waiting:
            if session.is_worn(now):
                done = False
                break
            content = self._content(tx, contact, record, entry, now)
            if content is None:
                outbox.remove_from_outbox(tx, entry.position)
                continue
            session, envelope = session.seal(content, now, self.entropy, self.encapsulate)
            outbox.save_envelope(tx, entry.position, envelope, record.statement_hash, now, counter)
            if entry.message is not None:
                messages.set_envelope(tx, entry.message, EnvelopeId.of(envelope), record.account_key)
            if entry.kind is OutboxKind.HEALING:
                healings.note_session(tx, contact.address, record.session_id)
        sessions.save_sent(tx, replace(record, state=session.encode()), first=first)
        return done

    def _content(
        self,
        tx: Connection,
        contact: ContactRecord,
        record: SessionRecord,
        entry: OutboxRecord,
        now: int,
    ) -> bytes | None:
        """What to seal; None for what is not to be given to this contact any more."""
        token = own_token(tx, self.entropy) if contact.accepted and not contact.blocked else None
        have_up_to = messages.load_stream(tx, contact.address, record.device).received_up_to
        signed = contacts.load_statement(tx, contact.address, record.account_key)
        theirs = 0 if signed is None else verify_statement(signed).generation
        generations = self.own.generation, theirs
        if entry.message is not None:
            text = messages.message_by_row(tx, entry.message)
            common = text.message_id, text.sent_at, have_up_to, *generations, token
            expiry = expiry_to_tell(tx, contact.address, text.lifetime)
            file = shared_file(tx, entry.message)
            return encode_content(Text(*common, text.sequence, text.text, file=file, expiry=expiry))
        if token is None:
            return None
        message_id = MessageId(self.entropy(MessageId.SIZE))
        if entry.kind is OutboxKind.TOKEN:
            return encode_content(TokenNotice(message_id, now, have_up_to, *generations, token))
        if entry.kind is OutboxKind.RECEIPT:
            told = told_in(entry.body or b"")
            return encode_content(Receipt(message_id, now, have_up_to, *generations, token, *told))
        if entry.kind is OutboxKind.TYPING:
            late = abs(now - entry.queued_at) > limits.TYPING_MS
            return None if late else encode_content(Typing(message_id, now, have_up_to, *generations, token))
        if entry.kind is OutboxKind.TIMER:
            timer = timer_to_tell(tx, contact.address)
            common = message_id, now, have_up_to, *generations, token
            return None if timer is None else encode_content(TimerNotice(*common, timer))
        everything = entry.kind is not OutboxKind.RESUME
        said = standing(tx, contact, record.device, everything=everything)
        return encode_content(
            Resume(
                message_id, now, have_up_to, *generations, token, said.sent_up_to, said.missing, said.gone
            )
        )


def check_text(own: Address, to: Address, text: str) -> None:
    """Raises Failure(USAGE) for a text that nobody can be sent, or the own number."""
    if to == own:
        raise Failure(Code.USAGE, f"{to} is your own number")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise Failure(Code.USAGE, "the text is not valid Unicode") from None
    if size > limits.TEXT_BYTES:
        raise Failure(Code.USAGE, f"the text has {size} bytes, and {limits.TEXT_BYTES} is the most")


def keep_text(
    tx: Connection, to: Address, text: str, message_id: MessageId, now: int, *, numbered: bool
) -> int:
    """Have an own text in the vault, which is not in the outbox by that; its row. Writing to somebody accepts
    him, unless he is blocked. Unless `numbered`, others may pass it."""
    blocked = contacts.load_contact(tx, to).blocked
    contacts.touch_contact(tx, to, accepted=not blocked)
    record = MessageRecord(
        direction="out",
        address=to,
        device=None,
        message_id=message_id,
        sequence=contacts.next_sequence(tx, to) if numbered else 0,
        sent_at=now,
        received_at=None,
        text=text,
        verified=False,
        late=False,
        state=SentState.QUEUED,
        lifetime=timers.load_timer(tx, to).seconds,
    )
    return messages.add_message(tx, record)


# --- what the server said -----------------------------------------------------------------------


def note_accepted(tx: Connection, entry: OutboxRecord, state: SentState) -> MessageRecord | None:
    """The server has this entry's envelope; the text as it stands now, if it was one.

    What is stored has its state token on the server's disk as well.
    """
    if state is SentState.STORED:
        note_answered(tx, entry.state_counter or 0)
    if not outbox.remove_from_outbox(tx, entry.position) or entry.message is None:
        return None
    receipt = messages.message_by_row(tx, entry.message).receipt
    messages.set_sent_state(tx, entry.message, receipt or state)
    return messages.message_by_row(tx, entry.message)


def note_failed(
    tx: Connection, entry: OutboxRecord, reason: str, now: int
) -> tuple[MessageRecord, int] | None:
    """This entry will not be delivered; the text, if it was one, and the arrival that tells of it."""
    if not outbox.remove_from_outbox(tx, entry.position) or entry.message is None:
        return None
    return fail_text(tx, messages.message_by_row(tx, entry.message), reason, now)


def note_envelope_lost(
    tx: Connection, envelope_id: bytes, reason: FailedReason, now: int
) -> tuple[MessageRecord, int] | None:
    """An envelope that the server had will not be delivered; the text that it carried, if any waits."""
    text = messages.message_of_envelope(tx, envelope_id)
    if text is None or text.state not in (SentState.QUEUED, SentState.STORED):
        return None
    waiting = outbox.waiting_message(tx, text.row)
    if waiting is not None:
        outbox.remove_from_outbox(tx, waiting.position)
    return fail_text(tx, text, reason, now)


def fail_text(tx: Connection, text: MessageRecord, reason: str, now: int) -> tuple[MessageRecord, int]:
    """An own text will not be delivered; as it stands now, and the arrival that tells of it."""
    messages.set_sent_state(tx, text.row, SentState.FAILED, reason)
    arrival = add_arrival(tx, Arrival(ArrivalKind.FAILED, text.address, now, message=text.row))
    return messages.message_by_row(tx, text.row), arrival
