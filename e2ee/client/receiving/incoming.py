"""What happens in the vault to an envelope that was pushed: opened and kept, or set aside.

One operation inside one transaction: the next ratchet state, the message, envelope id and message id,
used one-time keys gone. Only after its commit may the envelope be acknowledged. Knows nothing of the
link (`receiver`). See `docs/protocol.md`, section 6, and `docs/cryptography.md`, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from e2ee.client.receiving.first_message import UnknownOneTimeKey, secrets_for, use_up
from e2ee.client.receiving.keeping import Opened, Pushed, Taken, keep
from e2ee.client.recovery.need import want
from e2ee.client.trust import Served, Standing, StatementRefused, judge, note_statement, statement_for
from e2ee.crypto.account_statement import statement_hash
from e2ee.crypto.content import decode_content
from e2ee.crypto.handshake import Handshake
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.session import Session, accept_session, peek
from e2ee.errors import E2eeError, OpenFailed, RepeatedFirstMessage
from e2ee.store.client import contacts, envelopes, healings, prekeys, sessions
from e2ee.store.client.arrivals import Arrival, ArrivalKind, add_arrival
from e2ee.store.client.healings import Wanted
from e2ee.store.client.sessions import SessionRecord
from e2ee.store.connection import Connection

CRASHES = 2
"""An envelope over which as many processes have died is not opened a third time."""


class Unconfirmed(E2eeError):
    """The envelope opens, with an account key that is believed only once the directory serves it."""


class _Contradicted(OpenFailed):
    """Session, statement, directory and the sender that the server names do not agree: not even its
    sender is known, so nothing is healed."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Opens envelopes for one own device. `warn` is the profile's setting for changed keys, `receipts` that
    for telling what has come."""

    own: OwnDevice
    warn: bool
    receipts: bool

    def take(self, tx: Connection, pushed: Pushed, served: Served | None = None) -> Taken:
        """Open and keep an envelope, or set it aside.

        Raises Unconfirmed, having changed nothing, if the directory must be asked first; pass its
        answer as `served` then.
        """
        seen = envelopes.was_opened(tx, pushed.envelope_id)
        if seen:
            return Taken(opened=not contacts.load_contact(tx, pushed.address).blocked)
        if envelopes.crashes(tx, pushed.envelope_id) >= CRASHES:
            return self.set_aside(tx, pushed)
        envelopes.forget_attempts(tx, pushed.envelope_id)
        try:
            opened = self._open(tx, pushed, served)
        except RepeatedFirstMessage:
            return Taken(opened=False)
        except UnknownOneTimeKey:
            return replace(self._unreadable(tx, pushed), stock_unknown=seen is None)
        except _Contradicted:
            return self.set_aside(tx, pushed)
        except OpenFailed:
            return self._unreadable(tx, pushed)
        envelopes.note_opened(tx, pushed.envelope_id, pushed.address, pushed.received_at)
        taken = keep(tx, pushed, opened, receipts=self.receipts)
        if opened.key_changed is not None:
            taken = replace(taken, arrivals=[opened.key_changed, *taken.arrivals])
        return taken

    def _unreadable(self, tx: Connection, pushed: Pushed) -> Taken:
        """What claims to come from somebody who may have lost his session, or we ours."""
        taken = self.set_aside(tx, pushed)
        if taken.arrivals:
            want(tx, pushed.address, Wanted.HANDSHAKE)
        return replace(taken, heal=bool(taken.arrivals))

    def set_aside(self, tx: Connection, pushed: Pushed) -> Taken:
        """Keep an envelope that is not opened; tell of it once, unless its number is blocked."""
        seen = envelopes.was_opened(tx, pushed.envelope_id) is not None
        envelopes.forget_attempts(tx, pushed.envelope_id)
        envelopes.note_set_aside(
            tx, pushed.envelope_id, pushed.address, pushed.received_at, pushed.envelope
        )
        if seen or contacts.load_contact(tx, pushed.address).blocked:
            return Taken(opened=False)
        told = Arrival(ArrivalKind.UNDECRYPTABLE, pushed.address, pushed.received_at)
        return Taken(opened=False, arrivals=[add_arrival(tx, told)])

    # --- opening ----------------------------------------------------------------------------

    def _open(self, tx: Connection, pushed: Pushed, served: Served | None) -> Opened:
        """Open it; sessions, prekeys and trust are as they must be then."""
        view = peek(pushed.envelope)
        record = sessions.session_by_id(tx, pushed.address, view.session_id)
        if record is not None:
            return self._open_in(tx, record, pushed, begins=view.handshake is not None)
        if view.handshake is None:
            raise OpenFailed
        if prekeys.first_message_seen(tx, view.handshake.ephemeral_key.raw):
            raise RepeatedFirstMessage
        return self._accept(tx, view.handshake, pushed, served)

    def _open_in(self, tx: Connection, record: SessionRecord, pushed: Pushed, *, begins: bool) -> Opened:
        if record.device != pushed.device:
            raise _Contradicted
        before = Session.decode(record.state)
        session, encoded = before.open(pushed.envelope, pushed.received_at)
        content = decode_content(encoded)
        if not before.opened_any:
            healings.note_answered(tx, pushed.address, session.session_id)
        opened = replace(record, state=session.encode())
        sessions.save_opened(tx, opened, first=not before.opened_any)
        return Opened(record.account_key, content, begins=begins)

    def _accept(
        self, tx: Connection, handshake: Handshake, pushed: Pushed, served: Served | None
    ) -> Opened:
        try:
            statement = statement_for(handshake.signed_statement, pushed.address)
        except StatementRefused:
            raise _Contradicted from None
        if statement.device != pushed.device:
            raise _Contradicted
        secrets = secrets_for(tx, handshake)
        session, encoded = accept_session(self.own, pushed.envelope, secrets, pushed.received_at)
        content = decode_content(encoded)
        key_changed = self._believe(tx, handshake.signed_statement, pushed, served)
        account_key = statement.account_key.raw
        sessions.add_session(
            tx,
            SessionRecord(
                address=pushed.address,
                device=pushed.device,
                session_id=session.session_id,
                account_key=account_key,
                statement_hash=statement_hash(handshake.signed_statement),
                state=session.encode(),
            ),
            answered=True,
        )
        use_up(tx, handshake)
        return Opened(account_key, content, key_changed, begins=True)

    def _believe(
        self, tx: Connection, signed: bytes, pushed: Pushed, served: Served | None
    ) -> int | None:
        """Let the account key of a first message count, or refuse the message.

        The arrival that tells of a changed key, if it is news.
        """
        statement = statement_for(signed, pushed.address)
        try:
            standing = judge(tx, statement, signed)
            if standing is Standing.TRUSTED:
                contacts.save_statement(tx, pushed.address, statement.account_key.raw, signed)
                return None
            if served is None and not self._is_confirmed(tx, statement.account_key.raw, signed, pushed):
                raise Unconfirmed(f"the account key of {pushed.address} has to be looked up")
            if served is not None and served.statement != signed:
                raise _Contradicted
            noted = note_statement(
                tx,
                signed,
                pushed.address,
                identity=None if served is None else served.identity,
                warn=self.warn,
                now=pushed.received_at,
            )
        except StatementRefused:
            raise _Contradicted from None
        return noted.arrival

    @staticmethod
    def _is_confirmed(tx: Connection, account_key: bytes, signed: bytes, pushed: Pushed) -> bool:
        """Whether the directory has served this very statement before and it waits for a word."""
        if contacts.load_contact(tx, pushed.address).pending_key != account_key:
            return False
        return contacts.load_statement(tx, pushed.address, account_key) == signed
