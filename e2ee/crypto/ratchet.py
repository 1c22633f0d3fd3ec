"""The Double Ratchet without header encryption (its specification, section 3), as frozen values.

Knows ratchet keys, chains and message numbers; not how messages are encrypted, what a handshake is,
or what time it is (`now` is ms since 1970). Each step returns the next state, and a step that fails
changes nothing. A state that `receive` returns may be kept only after the message was authenticated.

The sending half of a turn is done when the next message is sent, not when the other side's new key
arrives: the keys are the same, but `receive` needs no entropy, and the old private key goes earlier.

In a hybrid ratchet, chains may offer an ML-KEM key or answer one (`docs/cryptography.md`, section 3):
which, is decided when the chain's ratchet key is made.
"""

from __future__ import annotations

from typing import NamedTuple

from e2ee.crypto import limits
from e2ee.crypto.chains import Chain, hybrid_root_step, root_step, skip
from e2ee.crypto.extension import ANSWER, OFFER, Extension
from e2ee.crypto.kem import Encapsulate
from e2ee.crypto.keys import RatchetKemKey, RatchetKey
from e2ee.crypto.limits import MESSAGE_NUMBERS
from e2ee.crypto.primitives import Entropy
from e2ee.crypto.secret_keys import RatchetKemSecretKey, RatchetSecretKey
from e2ee.crypto.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ee.errors import KeyRefused, OpenFailed

_tuple = tuple.__new__
"""Makes a named tuple in half the time of calling its class, where one is made for every message."""


class Header(NamedTuple):
    """What a message says about its place: ratchet key, length of the chain before, number in this one.

    `extension`: what an offering or answering chain adds.
    """

    ratchet_key: bytes
    previous: int
    number: int
    extension: Extension | None = None


class SendingHalf(NamedTuple):
    """`own` and `chain` are None from the other side's new key until our next message.

    `public` is the newest own ratchet key, also when `own` is gone; `previous` is the length of the
    chain before this one. An offering chain has the KEM key `offer`, which lives as long as `own`; an
    answering one has the ciphertext `answer`; none has both.
    """

    own: RatchetSecretKey | None
    public: bytes
    chain: Chain | None
    previous: int
    offer: RatchetKemSecretKey | None = None
    answer: bytes | None = None

    def extension(self, number: int) -> Extension | None:
        """What the message with this number of the chain carries."""
        if self.answer is not None:
            return Extension(ANSWER, self.answer)
        if self.offer is not None and number < limits.OFFERING_MESSAGES:
            return Extension(OFFER, self.offer.public_raw)
        return None


class ReceivingHalf(NamedTuple):
    """`theirs` is their newest ratchet key, None for a recipient before the first message.

    `chain` is None until a message with that key has come; `retired` are their keys before it.
    `offer` is the KEM key that came with `theirs`, until our next turn answers it.
    """

    theirs: RatchetKey | None
    chain: Chain | None
    retired: tuple[bytes, ...] = ()
    skipped: SkippedKeys = NO_SKIPPED_KEYS
    offer: RatchetKemKey | None = None


class Ratchet(NamedTuple):
    """One side's state; made by `begin` or `wait`.

    `since` is when the last post-quantum secret came in, None in a plain ratchet; `messages` were sent
    and opened since then.
    """

    root_key: bytes
    sending: SendingHalf
    receiving: ReceivingHalf
    messages: int = 0
    since: int | None = None

    def __repr__(self) -> str:
        return f"Ratchet(sending={self.sending}, receiving={self.receiving})"

    @classmethod
    def begin(cls, secret: bytes, theirs: RatchetKey, own: RatchetSecretKey) -> Ratchet:
        """The initiator: the handshake's secret, the recipient's signed prekey, and a new key."""
        root_key, chain = root_step(secret, own.exchange(theirs))
        return cls(root_key, SendingHalf(own, own.public_raw(), chain, 0), ReceivingHalf(theirs, None))

    @classmethod
    def wait(cls, secret: bytes, own: RatchetSecretKey) -> Ratchet:
        """The recipient: the handshake's secret, and the own signed prekey."""
        return cls(secret, SendingHalf(own, own.public_raw(), None, 0), ReceivingHalf(None, None))

    def made_hybrid(self, now: int, *, due: bool, offer: RatchetKemSecretKey | None = None) -> Ratchet:
        """A new ratchet, with hybrid chains from now on.

        `due` where the handshake gave no post-quantum secret: the next chain offers, and an initiator's
        first one `offer`.
        """
        messages = limits.HYBRID_MESSAGES if due else 0
        return Ratchet(self.root_key, self.sending._replace(offer=offer), self.receiving, messages, now)

    # --- sending ------------------------------------------------------------------------------

    def send(
        self, now: int, entropy: Entropy, encapsulate: Encapsulate
    ) -> tuple[Ratchet, Header, bytes]:
        """The next state, and the header and the key of the next message.

        ValueError for a recipient before the first message has come, or at the end of the numbers.
        """
        root_key, half, receiving, messages, since = self
        own, public, chain, previous, offer, answer = half
        if chain is None:
            return self._turn(now, entropy, encapsulate).send(now, entropy, encapsulate)
        number = chain.number
        if number >= MESSAGE_NUMBERS:
            raise ValueError("a sending chain has less than 2**31 messages")
        message_key, advanced = chain.step()
        sent = _tuple(SendingHalf, (own, public, advanced, previous, offer, answer))
        extension = None if offer is None and answer is None else half.extension(number)
        header = _tuple(Header, (public, previous, number, extension))
        return _tuple(Ratchet, (root_key, sent, receiving, messages + 1, since)), header, message_key

    def _turn(self, now: int, entropy: Entropy, encapsulate: Encapsulate) -> Ratchet:
        """The sending half of a turn: a new own key against their newest one."""
        theirs, chain, retired, skipped, offered = self.receiving
        if theirs is None:
            raise ValueError("a recipient cannot send before the first message has come")
        own = RatchetSecretKey.generate(entropy)
        agreed, public, previous = own.exchange(theirs), own.public_raw(), self.sending.previous
        if offered is None:
            root_key, begun = root_step(self.root_key, agreed)
            offer = RatchetKemSecretKey.generate(entropy) if self._is_due(now) else None
            half = SendingHalf(own, public, begun, previous, offer)
            return Ratchet(root_key, half, self.receiving, self.messages, self.since)
        secret, answer = encapsulate(offered)
        root_key, begun = hybrid_root_step(self.root_key, agreed, secret, offered.raw, answer)
        half = SendingHalf(own, public, begun, previous, None, answer)
        return Ratchet(root_key, half, ReceivingHalf(theirs, chain, retired, skipped), 0, now)

    def _is_due(self, now: int) -> bool:
        """Whether a chain that begins now offers."""
        if self.since is None:
            return False
        return self.messages >= limits.HYBRID_MESSAGES or now - self.since >= limits.HYBRID_MS

    # --- receiving ----------------------------------------------------------------------------

    def receive(self, header: Header, now: int) -> tuple[Ratchet, bytes]:
        """The state after the message with this header, and its key; raises OpenFailed.

        What the header alone can refuse is refused before any computation.
        """
        ratchet_key, previous, number, extension = header
        if previous >= MESSAGE_NUMBERS or number >= MESSAGE_NUMBERS:
            raise OpenFailed
        root_key, sending, half, messages, since = self
        if extension is not None and since is None:
            raise OpenFailed
        theirs, chain, retired, skipped, offer = half
        if skipped is not NO_SKIPPED_KEYS:
            kept = skipped.find((ratchet_key, number), now)
            if kept is not None:
                rest = skipped.without((ratchet_key, number))
                opened = ReceivingHalf(theirs, chain, retired, rest, offer)
                return self._opened(opened, header), kept
        if theirs is None or ratchet_key != theirs.raw:
            return self._receive_turn(header, now)
        if chain is None:
            raise OpenFailed
        if number == chain.number and extension is None:
            # Most messages are the next ones of their chains: no time for them to be treated as late.
            message_key, advanced = chain.step()
            received = _tuple(ReceivingHalf, (theirs, advanced, retired, skipped, offer))
            return _tuple(Ratchet, (root_key, sending, received, messages + 1, since)), message_key
        received, message_key = _advance(theirs, chain, half, number, now)
        return self._opened(received, header), message_key

    def _opened(self, half: ReceivingHalf, header: Header) -> Ratchet:
        """One message more is opened; what it offers is kept until our turn, if that is still to come."""
        extension = header.extension
        if extension is not None and extension.kind == OFFER and self.sending.chain is None:
            half = _keep_offer(half, header.ratchet_key, extension.value)
        return _tuple(Ratchet, (self.root_key, self.sending, half, self.messages + 1, self.since))

    def forgetting_old(self, now: int) -> Ratchet:
        """Without the skipped keys that have waited too long."""
        skipped = self.receiving.skipped
        fresh = skipped.forgetting_old(now)
        return self if fresh is skipped else self._with_skipped(fresh)

    def _with_skipped(self, skipped: SkippedKeys) -> Ratchet:
        half = self.receiving
        changed = ReceivingHalf(half.theirs, half.chain, half.retired, skipped, half.offer)
        return Ratchet(self.root_key, self.sending, changed, self.messages, self.since)

    def _receive_turn(self, header: Header, now: int) -> tuple[Ratchet, bytes]:
        """The receiving half of a turn: their new key against our newest one."""
        half, own = self.receiving, self.sending.own
        # Without an own key they have not seen one to answer: this cannot be a turn of theirs.
        if own is None or header.ratchet_key == self.sending.public or header.ratchet_key in half.retired:
            raise OpenFailed
        received = 0 if half.chain is None else half.chain.number
        if max(0, header.previous - received) + header.number > limits.SKIPPED_GAP:
            raise OpenFailed
        try:
            theirs = RatchetKey(header.ratchet_key)
            root_key, chain, answered = self._their_step(own.exchange(theirs), header.extension)
        except KeyRefused:
            raise OpenFailed from None
        ended = _retire(half, header.previous, now)
        begun, message_key = _advance(theirs, chain, ended, header.number, now)
        sent = 0 if self.sending.chain is None else self.sending.chain.number
        messages, since = (0, now) if answered else (self.messages, self.since)
        sending = SendingHalf(None, self.sending.public, None, sent)
        return Ratchet(root_key, sending, begun, messages, since)._opened(begun, header), message_key

    def _their_step(self, agreed: bytes, extension: Extension | None) -> tuple[bytes, Chain, bool]:
        """Root key and chain of their new ratchet key, and whether it answers our offer."""
        if extension is None or extension.kind != ANSWER:
            return *root_step(self.root_key, agreed), False
        offer = self.sending.offer
        if offer is None:
            raise OpenFailed
        secret, public = offer.decapsulate(extension.value), offer.public_raw
        return *hybrid_root_step(self.root_key, agreed, secret, public, extension.value), True


def _retire(half: ReceivingHalf, length: int, now: int) -> ReceivingHalf:
    """The end of a receiving chain of this length: what is missing of it may still come."""
    if half.theirs is None:
        return half
    retired = (*half.retired, half.theirs.raw)[-limits.RETIRED_RATCHET_KEYS :]
    skipped = half.skipped
    if half.chain is not None and length > half.chain.number:
        keys, _ = skip(half.chain, length)
        skipped = skipped.adding(half.theirs.raw, keys, now)
    return ReceivingHalf(half.theirs, None, retired, skipped)


def _advance(
    theirs: RatchetKey, chain: Chain, half: ReceivingHalf, wanted: int, now: int
) -> tuple[ReceivingHalf, bytes]:
    """Step the chain of their key `theirs` to the message `wanted`; raises OpenFailed."""
    if wanted < chain.number or wanted - chain.number > limits.SKIPPED_GAP:
        raise OpenFailed
    skipped = half.skipped
    if wanted > chain.number:
        keys, chain = skip(chain, wanted)
        skipped = skipped.adding(theirs.raw, keys, now)
    message_key, advanced = chain.step()
    return _tuple(ReceivingHalf, (theirs, advanced, half.retired, skipped, half.offer)), message_key


def _keep_offer(half: ReceivingHalf, ratchet_key: bytes, raw: bytes) -> ReceivingHalf:
    """With the KEM key that one of their newest chain's messages carries; raises OpenFailed for a bad one."""
    if half.offer is not None or half.theirs is None or ratchet_key != half.theirs.raw:
        return half
    try:
        return half._replace(offer=RatchetKemKey(raw))
    except KeyRefused:
        raise OpenFailed from None
