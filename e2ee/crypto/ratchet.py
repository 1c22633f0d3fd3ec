"""The Double Ratchet without header encryption (its specification, section 3), as frozen values.

Knows ratchet keys, chains and message numbers; not how messages are encrypted, what a handshake is,
or what time it is (`now` is ms since 1970). Each step returns the next state, and a step that fails
changes nothing. A state that `receive` returns may be kept only after the message was authenticated.

The sending half of a turn is done when the next message is sent, not when the other side's new key
arrives: the keys are the same, but `receive` needs no entropy, and the old private key goes earlier.
"""

from __future__ import annotations

from typing import NamedTuple

from e2ee.crypto import limits
from e2ee.crypto.chains import Chain, root_step, skip
from e2ee.crypto.keys import RatchetKey
from e2ee.crypto.primitives import Entropy
from e2ee.crypto.secret_keys import RatchetSecretKey
from e2ee.crypto.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ee.errors import KeyRefused, OpenFailed


class Header(NamedTuple):
    """What a message says about its place: ratchet key, length of the chain before, number in this one."""

    ratchet_key: bytes
    previous: int
    number: int


class SendingHalf(NamedTuple):
    """`own` and `chain` are None from the other side's new key until our next message.

    `public` is the newest own ratchet key, also when `own` is gone; `previous` is the length of the
    chain before this one.
    """

    own: RatchetSecretKey | None
    public: bytes
    chain: Chain | None
    previous: int


class ReceivingHalf(NamedTuple):
    """`theirs` is their newest ratchet key, None for a recipient before the first message.

    `chain` is None until a message with that key has come; `retired` are their keys before it.
    """

    theirs: RatchetKey | None
    chain: Chain | None
    retired: tuple[bytes, ...] = ()
    skipped: SkippedKeys = NO_SKIPPED_KEYS


class Ratchet(NamedTuple):
    """One side's state; made by `begin` or `wait`."""

    root_key: bytes
    sending: SendingHalf
    receiving: ReceivingHalf

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

    # --- sending ------------------------------------------------------------------------------

    def send(self, entropy: Entropy) -> tuple[Ratchet, Header, bytes]:
        """The next state, and the header and the key of the next message.

        ValueError for a recipient before the first message has come, or at the end of the numbers.
        """
        state = self if self.sending.chain is not None else self._turn(entropy)
        root_key, (own, public, chain, previous), receiving = state
        if chain is None or chain.number >= limits.MESSAGE_NUMBERS:
            raise ValueError("a sending chain has less than 2**31 messages")
        message_key, advanced = chain.step()
        sent = SendingHalf(own, public, advanced, previous)
        return Ratchet(root_key, sent, receiving), Header(public, previous, chain.number), message_key

    def _turn(self, entropy: Entropy) -> Ratchet:
        """The sending half of a turn: a new own key against their newest one."""
        if self.receiving.theirs is None:
            raise ValueError("a recipient cannot send before the first message has come")
        own = RatchetSecretKey.generate(entropy)
        root_key, chain = root_step(self.root_key, own.exchange(self.receiving.theirs))
        half = SendingHalf(own, own.public_raw(), chain, self.sending.previous)
        return Ratchet(root_key, half, self.receiving)

    # --- receiving ----------------------------------------------------------------------------

    def receive(self, header: Header, now: int) -> tuple[Ratchet, bytes]:
        """The state after the message with this header, and its key; raises OpenFailed.

        What the header alone can refuse is refused before any computation.
        """
        ratchet_key, previous, number = header
        if previous >= limits.MESSAGE_NUMBERS or number >= limits.MESSAGE_NUMBERS:
            raise OpenFailed
        half = self.receiving
        if half.skipped:
            kept = half.skipped.find((ratchet_key, number), now)
            if kept is not None:
                return self._with_skipped(half.skipped.without((ratchet_key, number))), kept
        if half.theirs is None or ratchet_key != half.theirs.raw:
            return self._receive_turn(header, now)
        if half.chain is None:
            raise OpenFailed
        received, message_key = _advance(half.theirs, half.chain, half, number, now)
        return Ratchet(self.root_key, self.sending, received), message_key

    def forgetting_old(self, now: int) -> Ratchet:
        """Without the skipped keys that have waited too long."""
        fresh = self.receiving.skipped.forgetting_old(now)
        return self if fresh is self.receiving.skipped else self._with_skipped(fresh)

    def _with_skipped(self, skipped: SkippedKeys) -> Ratchet:
        half = self.receiving
        changed = ReceivingHalf(half.theirs, half.chain, half.retired, skipped)
        return Ratchet(self.root_key, self.sending, changed)

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
            root_key, chain = root_step(self.root_key, own.exchange(theirs))
        except KeyRefused:
            raise OpenFailed from None
        ended = _retire(half, header.previous, now)
        begun, message_key = _advance(theirs, chain, ended, header.number, now)
        sent = 0 if self.sending.chain is None else self.sending.chain.number
        return Ratchet(root_key, SendingHalf(None, self.sending.public, None, sent), begun), message_key


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
    return ReceivingHalf(theirs, advanced, half.retired, skipped), message_key
