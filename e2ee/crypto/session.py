"""A session between two devices: handshake, ratchet, sealing and layout put together.

Knows one session. Which of several to use, whose account key to believe, and that `from` agrees with
`their_statement` is for the client. A session is a frozen value: keep what `seal` and `open` return
in the vault before the envelope leaves or the message is shown. `now` is ms since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from e2ee.crypto import limits
from e2ee.crypto.account_statement import HYBRID_CHAINS, statement_hash
from e2ee.crypto.bundle import VerifiedBundle
from e2ee.crypto.encoding import FieldReader, number, prefixed
from e2ee.crypto.envelope import SESSION_ID_BYTES, Envelope, decode_envelope, encode_head
from e2ee.crypto.handshake import Agreement, Handshake, initiate, respond
from e2ee.crypto.kem import Encapsulate
from e2ee.crypto.keys import RatchetKey
from e2ee.crypto.limits import CONTENT_BYTES
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.prekey_secrets import PreKeySecrets
from e2ee.crypto.primitives import IV_BYTES, Entropy
from e2ee.crypto.ratchet import Header, Ratchet
from e2ee.crypto.ratchet_codec import encode_ratchet, read_ratchet
from e2ee.crypto.sealing import open_sealed, seal
from e2ee.crypto.secret_keys import RatchetKemSecretKey, RatchetSecretKey
from e2ee.crypto.skipped_keys import NO_SKIPPED_KEYS
from e2ee.errors import EncodingRefused, OpenFailed

_VERSION = b"\x01"
_FROM_INITIATOR = b"\x00"
_FROM_RECIPIENT = b"\x01"

_tuple = tuple.__new__
"""Makes a named tuple in half the time of calling its class, where one is made for every message."""


@dataclass(frozen=True, slots=True)
class EnvelopeView:
    """What an envelope says about itself before it is opened; nothing of it is verified.

    `handshake` names the prekeys that `accept_session` needs (`signed_prekey_id`, `kem_one_time`,
    `kem_prekey_id`, `one_time_id`), the `ephemeral_key` by which a repeated first message is known,
    and the `signed_statement`; None in later messages.
    """

    session_id: bytes
    handshake: Handshake | None


def peek(envelope: bytes) -> EnvelopeView:
    """Which session an envelope is for, and how to begin it; raises OpenFailed if it is malformed."""
    parts = decode_envelope(envelope)
    handshake = None if parts.handshake is None else Handshake.decode(parts.handshake)
    return EnvelopeView(parts.session_id, handshake)


class Session(NamedTuple):
    """One side of a session; made by `begin_session` or `accept_session`.

    `their_statement` is the other side's signed account statement at the handshake, `own_generation`
    that of the own one. `handshake` is carried in each message until the first answer.
    `unanswered_since` is the time of the handshake that we began, or of the first message of a later sending
    chain, without an answer.
    """

    session_id: bytes
    initiator: bool
    associated: bytes
    their_statement: bytes
    own_generation: int
    handshake: bytes | None
    opened_any: bool
    unanswered_since: int | None
    ratchet: Ratchet

    def __repr__(self) -> str:
        return f"Session(session_id={self.session_id.hex()}, ratchet={self.ratchet})"

    @property
    def their_statement_hash(self) -> bytes:
        """SHA-256 of `their_statement`, as `send` names it."""
        return statement_hash(self.their_statement)

    @property
    def sending_unanswered(self) -> int:
        """How many messages were sealed since the other side's last answer."""
        chain = self.ratchet.sending.chain
        return 0 if chain is None else chain.number

    def is_worn(self, now: int) -> bool:
        """Whether the sending chain has gone too long without an answer: begin a new session.

        A clock that was set back as far counts as well: nothing would be worn until it is there again.
        """
        if self.sending_unanswered >= limits.UNANSWERED_MESSAGES:
            return True
        return self.unanswered_since is not None and abs(now - self.unanswered_since) >= limits.UNANSWERED_MS

    def seal(
        self, content: bytes, now: int, entropy: Entropy, encapsulate: Encapsulate
    ) -> tuple[Session, bytes]:
        """The next session and the envelope. ValueError if the content is too long.

        Pass `kem.encapsulate`, for a chain that answers an offer.
        """
        if len(content) > CONTENT_BYTES:
            raise ValueError(f"a content has at most {CONTENT_BYTES} bytes, not {len(content)}")
        session_id, initiator, fixed, statement, generation, handshake, opened_any, since, ratchet = self
        ratchet, (key, previous, place, extension), message_key = ratchet.send(now, entropy, encapsulate)
        head = encode_head(session_id, key, previous, place, extension, handshake)
        associated = fixed + (_FROM_INITIATOR if initiator else _FROM_RECIPIENT)
        envelope = seal(message_key, entropy(IV_BYTES), associated, head, content)
        if ratchet.receiving.skipped is not NO_SKIPPED_KEYS:
            ratchet = ratchet.forgetting_old(now)
        if since is None:
            since = now
        kept = (
            session_id, initiator, fixed, statement, generation, handshake, opened_any, since, ratchet
        )  # fmt: skip
        return _tuple(Session, kept), envelope

    def open(self, envelope: bytes, now: int) -> tuple[Session, bytes]:
        """The next session and the content; raises OpenFailed, and this session is as before."""
        parts = decode_envelope(envelope)
        if parts.session_id != self.session_id or (self.initiator and parts.handshake is not None):
            raise OpenFailed
        return self._open(parts, now)

    def _open(self, parts: Envelope, now: int) -> tuple[Session, bytes]:
        _, ratchet_key, previous, place, extension, _, iv, ciphertext, tag, covered = parts
        session_id, initiator, fixed, statement, generation, _, _, since, ratchet = self
        header = _tuple(Header, (ratchet_key, previous, place, extension))
        ratchet, message_key = ratchet.receive(header, now)
        associated = fixed + (_FROM_RECIPIENT if initiator else _FROM_INITIATOR)
        content = open_sealed(message_key, iv, associated, covered, ciphertext, tag)
        if ratchet.receiving.skipped is not NO_SKIPPED_KEYS:
            ratchet = ratchet.forgetting_old(now)
        if ratchet.sending.chain is None:
            # Their new ratchet key ends our sending chain: it answers whatever was sent before.
            since = None
        kept = (session_id, initiator, fixed, statement, generation, None, True, since, ratchet)
        return _tuple(Session, kept), content

    def encode(self) -> bytes:
        """For the vault only: holds keys in the clear."""
        return b"".join((
            _VERSION,
            number(self.initiator, 1),
            number(self.opened_any, 1),
            self.session_id,
            prefixed(self.associated, 2),
            prefixed(self.their_statement, 2),
            number(self.own_generation, 8),
            b"\0" if self.handshake is None else b"\1" + prefixed(self.handshake, 2),
            b"\0" if self.unanswered_since is None else b"\1" + number(self.unanswered_since, 8),
            encode_ratchet(self.ratchet),
        ))

    @classmethod
    def decode(cls, encoded: bytes) -> Session:
        """The reverse; raises EncodingRefused."""
        reader = FieldReader(encoded)
        reader.expect(_VERSION)
        initiator, opened_any = reader.flag(), reader.flag()
        session = cls(
            session_id=reader.take(SESSION_ID_BYTES),
            initiator=initiator,
            associated=reader.prefixed(2),
            their_statement=reader.prefixed(2),
            own_generation=reader.number(8),
            handshake=reader.prefixed(2) if reader.flag() else None,
            opened_any=opened_any,
            unanswered_since=reader.number(8) if reader.flag() else None,
            ratchet=read_ratchet(reader),
        )
        reader.end()
        if session.handshake is not None and (opened_any or not initiator):
            raise EncodingRefused("a handshake that nobody needs")
        return session


def begin_session(
    own: OwnDevice, bundle: VerifiedBundle, now: int, entropy: Entropy, encapsulate: Encapsulate
) -> Session:
    """The initiator's session; has opened nothing yet. Pass `kem.encapsulate`."""
    agreement = initiate(own, bundle, entropy, encapsulate)
    theirs = RatchetKey.of_prekey(bundle.signed_prekey.key)
    ratchet = Ratchet.begin(agreement.secret, theirs, RatchetSecretKey.generate(entropy))
    if HYBRID_CHAINS in agreement.features:
        due = not agreement.handshake.suite.is_post_quantum
        offer = RatchetKemSecretKey.generate(entropy) if due else None
        ratchet = ratchet.made_hybrid(now, due=due, offer=offer)
    handshake = agreement.handshake.encode()
    return _new(own, agreement, bundle.signed_statement, handshake, ratchet, unanswered_since=now)


def accept_session(
    own: OwnDevice, envelope: bytes, secrets: PreKeySecrets, now: int
) -> tuple[Session, bytes]:
    """The recipient's session and the content of its first opened message; raises OpenFailed.

    `secrets` are those that `peek(envelope).handshake` names. The statement inside is verified; that
    its number and device are those of `from`, and its account key the trusted one, is for the client.
    """
    parts = decode_envelope(envelope)
    if parts.handshake is None:
        raise OpenFailed
    handshake = Handshake.decode(parts.handshake)
    agreement = respond(own, handshake, secrets)
    if agreement.session_id != parts.session_id:
        raise OpenFailed
    ratchet = Ratchet.wait(agreement.secret, RatchetSecretKey.of_prekey(secrets.signed.secret))
    if HYBRID_CHAINS in agreement.features:
        ratchet = ratchet.made_hybrid(now, due=not handshake.suite.is_post_quantum)
    return _new(own, agreement, handshake.signed_statement, None, ratchet)._open(parts, now)


def _new(
    own: OwnDevice,
    agreement: Agreement,
    their_statement: bytes,
    handshake: bytes | None,
    ratchet: Ratchet,
    unanswered_since: int | None = None,
) -> Session:
    return Session(
        session_id=agreement.session_id,
        initiator=handshake is not None,
        associated=agreement.associated,
        their_statement=their_statement,
        own_generation=own.generation,
        handshake=handshake,
        opened_any=False,
        unanswered_since=unanswered_since,
        ratchet=ratchet,
    )
