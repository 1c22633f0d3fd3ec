"""What follows from an answer that does not accept a message, and from a look into the directory.

Each function asks the server if it must, changes the vault in one transaction and returns what is to
be told. Knows the rules of trust by name only (`trust`). See `docs/cryptography.md`, section 5.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from e2ee.client.context import Context
from e2ee.client.events import Event, MessageSent
from e2ee.client.recovery.need import want
from e2ee.client.refusals import Refusal
from e2ee.client.sending.outbox_plan import waiting_event
from e2ee.client.sending.outgoing import Outgoing, note_failed
from e2ee.client.shown import UNKNOWN_RECIPIENT, describe, sent_state
from e2ee.client.trust import Noted, StatementRefused, note_statement, refused_statement_failure
from e2ee.crypto.account_statement import statement_hash
from e2ee.crypto.bundle import VerifiedBundle, verify_bundle
from e2ee.errors import Code, Failure, KeyRefused, SignatureRefused
from e2ee.ids import Address
from e2ee.store.client import contacts, outbox
from e2ee.store.client.healings import Wanted
from e2ee.store.client.outbox import OutboxKind, OutboxRecord
from e2ee.store.connection import Connection
from e2ee.wire import messages as m

_log = Logger()

WAITING_CODES: Final = frozenset(
    {Code.RATE_LIMITED, Code.QUOTA, Code.MAILBOX_FULL, Code.BUSY, Code.UNAVAILABLE, Code.KEY_CHANGED}
)
"""What a user may be told while a message waits; anything else is `unavailable`."""
RETRY_SECONDS = 30.0
"""Where the server does not say when trying again helps."""
LEAST_RETRY_SECONDS = 0.5
DISTRUST_SECONDS = 600.0
"""After keys that cannot be right: the server is asked again, but not at every turn."""


async def note_waiting(context: Context, entry: OutboxRecord, refusal: Failure) -> list[Event]:
    """The server wants nothing now: the entry waits, and all behind it."""
    code = refusal.code if refusal.code in WAITING_CODES else Code.UNAVAILABLE
    asked = RETRY_SECONDS if refusal.retry_after is None else refusal.retry_after
    until = context.now + int(1000 * max(LEAST_RETRY_SECONDS, asked))

    def note(tx: Connection) -> list[Event]:
        if entry.kind is OutboxKind.TYPING:
            outbox.remove_from_outbox(tx, entry.position)
            return []
        outbox.save_error(tx, entry.position, code, refusal.sentence, until)
        return waiting_event(tx, entry, context.now)

    return await context.write(note)


async def unknown_recipient(context: Context, entry: OutboxRecord) -> list[Event]:
    """Nobody has this number: the message has failed."""
    return await context.write(lambda tx: _fail_unknown(tx, entry, context.now))


def _fail_unknown(tx: Connection, entry: OutboxRecord, now: int) -> list[Event]:
    failed = note_failed(tx, entry, UNKNOWN_RECIPIENT, now)
    if failed is None:
        return []
    text, arrival = failed
    shown = describe(tx, [arrival])
    return [*shown, MessageSent(sent_state(tx, text, now))]


async def stale_device(
    context: Context, entry: OutboxRecord, answer: m.StaleDevice, *, again: bool
) -> list[Event]:
    """The recipient has another device: sealed again if the account key is the trusted one.

    The entry keeps message id, sequence number and time. `again`: that was said before, and nothing was
    accepted since. Then it waits for a while: else whoever has both the account and the server would have one
    handshake after the other from us.
    """
    signed = answer.statement
    contradiction = Failure(Code.UNAVAILABLE, "the server contradicts itself about the recipient")
    if statement_hash(signed) == entry.statement_hash:
        return await note_waiting(context, entry, contradiction)

    def settle(tx: Connection) -> tuple[bool, list[Event]]:
        noted = _note(tx, context, entry.address, signed, answer.identity)
        if noted.trusted:
            outbox.unseal(tx, entry.address)
        return noted.trusted, list(describe(tx, _news(noted)))

    try:
        trusted, news = await context.write(settle)
    except StatementRefused as refused:
        return await _distrust(context, entry, refused)
    if again and trusted:
        return [*news, *await note_waiting(context, entry, contradiction)]
    return news


async def fetch_bundle(context: Context, outgoing: Outgoing, address: Address) -> list[Event]:
    """Begin a new session and seal in it what waits unsealed. Raises LinkLost."""
    contact, entry = await context.vault.read(
        lambda tx: (contacts.load_contact(tx, address), next(iter(outbox.unsealed_for(tx, address)), None))
    )
    if entry is None:
        return []
    try:
        bundle = await context.ask(m.FetchBundle(0, str(address), _raw(contact.token)), m.Bundle)
    except Refusal as refusal:
        if await context.write(lambda tx: _put_off_healing(tx, address)):
            return []
        if refusal.refusal is m.RefusalCode.UNKNOWN_RECIPIENT:
            return await unknown_recipient(context, entry)
        return await note_waiting(context, entry, refusal)
    try:
        return await context.write(lambda tx: _begin(tx, context, outgoing, address, bundle))
    except (StatementRefused, SignatureRefused, KeyRefused) as refused:
        if await context.write(lambda tx: _put_off_healing(tx, address)):
            _log.warn("a session was not begun anew: the directory has keys that cannot be right")
            return []
        return await _distrust(context, entry, refused)


def _put_off_healing(tx: Connection, address: Address) -> bool:
    """A new session cannot be begun, and the one that there is may be as good as it was; whether only
    healing would have needed another. It is wanted still."""
    if not outbox.control_waits(tx, address, OutboxKind.HEALING):
        return False
    outbox.remove_resumes(tx, address)
    want(tx, address, Wanted.HANDSHAKE)
    return True


def _refuse_older(tx: Connection, address: Address, checked: VerifiedBundle) -> None:
    """To heal, no signed prekey is taken that is older than one seen before: somebody may know its secret."""
    key, made_at = checked.statement.account_key.raw, checked.signed_prekey.created_at
    healing = outbox.control_waits(tx, address, OutboxKind.HEALING)
    if healing and made_at < contacts.newest_prekey_time(tx, address, key):
        raise StatementRefused(f"a signed prekey of {address} older than one seen before")
    contacts.note_prekey_time(tx, address, key, made_at)


def _begin(
    tx: Connection, context: Context, outgoing: Outgoing, address: Address, bundle: m.Bundle
) -> list[Event]:
    noted = _note(tx, context, address, bundle.statement, bundle.identity)
    if noted.trusted:
        one_time = None if bundle.one_time is None else (bundle.one_time.key_id, bundle.one_time.key)
        checked = verify_bundle(bundle.statement, bundle.signed_prekey, bundle.kem_prekey, one_time)
        _refuse_older(tx, address, checked)
        outgoing.seal_waiting(tx, address, context.now, checked)
    return list(describe(tx, _news(noted)))


async def look_up_again(context: Context, address: Address) -> tuple[bool, list[Event]]:
    """Whether the directory serves an account key that can be used, and what is to be told of it.

    Raises LinkLost.
    """

    def note(tx: Connection) -> tuple[bool, list[Event]]:
        noted = _note(tx, context, address, answer.statement, answer.identity)
        return noted.trusted, list(describe(tx, _news(noted)))

    try:
        answer = await context.ask(m.LookUp(0, str(address)), m.LookedUp)
        return await context.write(note)
    except (Refusal, StatementRefused):
        return False, []


def _note(
    tx: Connection, context: Context, address: Address, statement: bytes, identity: bytes | None
) -> Noted:
    return note_statement(
        tx, statement, address, identity=identity, warn=context.warn, now=context.now
    )


async def _distrust(context: Context, entry: OutboxRecord, refused: Exception) -> list[Event]:
    """The server shows keys that cannot be right: nothing is sent, the user is told."""
    if isinstance(refused, StatementRefused):
        failure = refused_statement_failure(refused)
    else:
        failure = Failure(Code.KEY_CHANGED, f"keys of {entry.address} do not verify; nothing is sent")
    return await note_waiting(
        context, entry, Failure(failure.code, failure.sentence, retry_after=DISTRUST_SECONDS)
    )


def _news(noted: Noted) -> list[int]:
    return [] if noted.arrival is None else [noted.arrival]


def _raw(token: bytes | None) -> bytes | None:
    return None if token is None else bytes(token)
