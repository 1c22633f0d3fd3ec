"""A ratchet as bytes for the vault.

Knows the layout, not the steps. Big-endian; a flag byte stands before whatever may be missing.
"""

from __future__ import annotations

from e2ee.crypto import limits
from e2ee.crypto.chains import Chain
from e2ee.crypto.encoding import FieldReader, number
from e2ee.crypto.kem_primitives import (
    MLKEM768_CIPHERTEXT_BYTES,
    MLKEM768_PUBLIC_BYTES,
    MLKEM_SEED_BYTES,
)
from e2ee.crypto.keys import RatchetKemKey, RatchetKey
from e2ee.crypto.primitives import KEY_BYTES
from e2ee.crypto.ratchet import Ratchet, ReceivingHalf, SendingHalf
from e2ee.crypto.secret_keys import RatchetKemSecretKey, RatchetSecretKey
from e2ee.crypto.skipped_keys import SkippedKeys
from e2ee.errors import EncodingRefused, KeyRefused

_COUNTER_BYTES = 4
_TIME_BYTES = 8


def encode_ratchet(ratchet: Ratchet) -> bytes:
    """For the vault only: holds keys in the clear."""
    sending, receiving = ratchet.sending, ratchet.receiving
    return b"".join((
        ratchet.root_key,
        _optional(None if sending.own is None else sending.own.raw),
        sending.public,
        _encode_chain(sending.chain),
        number(sending.previous, _COUNTER_BYTES),
        _optional(None if sending.offer is None else sending.offer.raw + sending.offer.public_raw),
        _optional(sending.answer),
        _optional(None if receiving.theirs is None else receiving.theirs.raw),
        _encode_chain(receiving.chain),
        number(len(receiving.retired), 1),
        *receiving.retired,
        receiving.skipped.encode(),
        _optional(None if receiving.offer is None else receiving.offer.raw),
        number(ratchet.messages, _TIME_BYTES),
        _optional(None if ratchet.since is None else number(ratchet.since, _TIME_BYTES)),
    ))


def read_ratchet(reader: FieldReader) -> Ratchet:
    """The reverse, off a longer encoding; raises EncodingRefused."""
    try:
        root_key = reader.take(KEY_BYTES)
        sending, receiving = _read_sending(reader), _read_receiving(reader)
    except KeyRefused:
        raise EncodingRefused("a ratchet key that is not acceptable") from None
    messages = reader.number(_TIME_BYTES)
    since = reader.number(_TIME_BYTES) if reader.flag() else None
    _check_hybrid(sending, receiving, since)
    return Ratchet(root_key, sending, receiving, messages, since)


def _check_hybrid(sending: SendingHalf, receiving: ReceivingHalf, since: int | None) -> None:
    """Nothing hybrid in a plain ratchet; no chain both offers and answers; an offer waits for our turn."""
    parts = sending.offer, sending.answer, receiving.offer
    if since is None and parts != (None, None, None):
        raise EncodingRefused("a plain ratchet with hybrid chains")
    if sending.chain is None and (sending.offer is not None or sending.answer is not None):
        raise EncodingRefused("no chain that could offer or answer")
    if sending.offer is not None and sending.answer is not None:
        raise EncodingRefused("a chain that offers and answers")
    if receiving.offer is not None and (sending.chain is not None or receiving.theirs is None):
        raise EncodingRefused("an offer that nobody waits for")


def _read_sending(reader: FieldReader) -> SendingHalf:
    own = _read_optional(reader, KEY_BYTES)
    public = reader.take(KEY_BYTES)
    chain = _read_chain(reader)
    previous = reader.number(_COUNTER_BYTES)
    offer = None
    if reader.flag():
        offer = RatchetKemSecretKey(reader.take(MLKEM_SEED_BYTES), reader.take(MLKEM768_PUBLIC_BYTES))
    answer = _read_optional(reader, MLKEM768_CIPHERTEXT_BYTES)
    secret = None if own is None else RatchetSecretKey(own)
    if secret is None and chain is not None:
        raise EncodingRefused("a sending chain without its ratchet key")
    return SendingHalf(secret, public, chain, previous, offer, answer)


def _read_receiving(reader: FieldReader) -> ReceivingHalf:
    theirs = _read_optional(reader, KEY_BYTES)
    chain = _read_chain(reader)
    count = reader.number(1)
    if count > limits.RETIRED_RATCHET_KEYS or (theirs is None and (chain is not None or count)):
        raise EncodingRefused("chains or retired keys that cannot be")
    retired = tuple(reader.take(KEY_BYTES) for _ in range(count))
    key = None if theirs is None else RatchetKey(theirs)
    skipped = SkippedKeys.read(reader)
    offered = _read_optional(reader, MLKEM768_PUBLIC_BYTES)
    return ReceivingHalf(
        key, chain, retired, skipped, None if offered is None else RatchetKemKey(offered)
    )


def _optional(value: bytes | None) -> bytes:
    return b"\0" if value is None else b"\1" + value


def _read_optional(reader: FieldReader, size: int) -> bytes | None:
    return reader.take(size) if reader.flag() else None


def _encode_chain(chain: Chain | None) -> bytes:
    return b"\0" if chain is None else b"\1" + chain.key + number(chain.number, _COUNTER_BYTES)


def _read_chain(reader: FieldReader) -> Chain | None:
    return Chain(reader.take(KEY_BYTES), reader.number(_COUNTER_BYTES)) if reader.flag() else None
