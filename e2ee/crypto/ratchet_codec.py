"""A ratchet as bytes for the vault.

Knows the layout, not the steps. Big-endian; a flag byte stands before whatever may be missing.
"""

from __future__ import annotations

from e2ee.crypto import limits
from e2ee.crypto.chains import Chain
from e2ee.crypto.encoding import FieldReader, number
from e2ee.crypto.keys import RatchetKey
from e2ee.crypto.primitives import KEY_BYTES
from e2ee.crypto.ratchet import Ratchet, ReceivingHalf, SendingHalf
from e2ee.crypto.secret_keys import RatchetSecretKey
from e2ee.crypto.skipped_keys import SkippedKeys
from e2ee.errors import EncodingRefused, KeyRefused

_COUNTER_BYTES = 4


def encode_ratchet(ratchet: Ratchet) -> bytes:
    """For the vault only: holds keys in the clear."""
    sending, receiving = ratchet.sending, ratchet.receiving
    return b"".join((
        ratchet.root_key,
        _optional(None if sending.own is None else sending.own.raw),
        sending.public,
        _encode_chain(sending.chain),
        number(sending.previous, _COUNTER_BYTES),
        _optional(None if receiving.theirs is None else receiving.theirs.raw),
        _encode_chain(receiving.chain),
        number(len(receiving.retired), 1),
        *receiving.retired,
        receiving.skipped.encode(),
    ))


def read_ratchet(reader: FieldReader) -> Ratchet:
    """The reverse, off a longer encoding; raises EncodingRefused."""
    try:
        root_key = reader.take(KEY_BYTES)
        return Ratchet(root_key, _read_sending(reader), _read_receiving(reader))
    except KeyRefused:
        raise EncodingRefused("a ratchet key that is not acceptable") from None


def _read_sending(reader: FieldReader) -> SendingHalf:
    own = _read_optional(reader)
    public = reader.take(KEY_BYTES)
    chain = _read_chain(reader)
    previous = reader.number(_COUNTER_BYTES)
    secret = None if own is None else RatchetSecretKey(own)
    if secret is None and chain is not None:
        raise EncodingRefused("a sending chain without its ratchet key")
    return SendingHalf(secret, public, chain, previous)


def _read_receiving(reader: FieldReader) -> ReceivingHalf:
    theirs = _read_optional(reader)
    chain = _read_chain(reader)
    count = reader.number(1)
    if count > limits.RETIRED_RATCHET_KEYS or (theirs is None and (chain is not None or count)):
        raise EncodingRefused("chains or retired keys that cannot be")
    retired = tuple(reader.take(KEY_BYTES) for _ in range(count))
    key = None if theirs is None else RatchetKey(theirs)
    return ReceivingHalf(key, chain, retired, SkippedKeys.read(reader))


def _optional(key: bytes | None) -> bytes:
    return b"\0" if key is None else b"\1" + key


def _read_optional(reader: FieldReader) -> bytes | None:
    return reader.take(KEY_BYTES) if reader.flag() else None


def _encode_chain(chain: Chain | None) -> bytes:
    return b"\0" if chain is None else b"\1" + chain.key + number(chain.number, _COUNTER_BYTES)


def _read_chain(reader: FieldReader) -> Chain | None:
    return Chain(reader.take(KEY_BYTES), reader.number(_COUNTER_BYTES)) if reader.flag() else None
