"""Three implementations of an encrypted session behind one small interface.

Ours, the Python packages `doubleratchet` and `x3dh`, and the Rust library `vodozemac`. Each begins a
session between two people in memory, and then encrypts and decrypts in both directions.
"""

from __future__ import annotations

import os
import time
from typing import Any, Protocol

import doubleratchet
import vodozemac
import x3dh
from doubleratchet.recommended import (
    HashFunction,
    aead_aes_hmac,
    diffie_hellman_ratchet_curve25519,
    kdf_hkdf,
    kdf_separate_hmacs,
)

from e2ee.crypto.bundle import verify_bundle
from e2ee.crypto.kem import encapsulate
from e2ee.crypto.limits import HYBRID_MESSAGES
from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.crypto.prekey_secrets import (
    PreKeySecrets,
    make_kem_prekey,
    make_one_time_prekey,
    make_signed_prekey,
)
from e2ee.crypto.session import Session, accept_session, begin_session
from e2ee.ids import Address

ASSOCIATED = b"two people"


class Pair(Protocol):
    """Two ends of a session; side 0 began it."""

    def encrypt(self, side: int, plaintext: bytes) -> Any:
        """The message that this side sends next."""

    def decrypt(self, side: int, message: Any) -> bytes:
        """What this side reads in it."""


class People(Protocol):
    """Two people with keys, before there is a session."""

    def pair(self) -> Pair:
        """Both sides of a new session."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


class OurPair:
    """e2ee: PQXDH with ML-KEM-1024, ratchet with AES-256-CBC and HMAC-SHA256, as frozen values."""

    def __init__(self, people: OurPeople) -> None:
        one_time = people.one_time.key_id, people.one_time.key.raw
        bundle = verify_bundle(people.bob.signed_statement, people.signed, people.kem, one_time)
        began = begin_session(people.alice, bundle, now_ms(), os.urandom, encapsulate)
        began, first = began.seal(b"first", now_ms(), os.urandom, encapsulate)
        accepted, _ = accept_session(people.bob, first, people.secrets, now_ms())
        self.sessions: list[Session] = [began, accepted]
        self.decrypt(0, self.encrypt(1, b"answer"))

    def encrypt(self, side: int, plaintext: bytes) -> bytes:
        session = self.sessions[side]
        self.sessions[side], envelope = session.seal(plaintext, now_ms(), os.urandom, encapsulate)
        return envelope

    def decrypt(self, side: int, message: bytes) -> bytes:
        self.sessions[side], content = self.sessions[side].open(message, now_ms())
        return content

    def post_quantum_step_is_due(self, side: int) -> None:
        """As if 50 messages had gone since the last one: the next chain of this side offers."""
        session = self.sessions[side]
        ratchet = session.ratchet._replace(messages=HYBRID_MESSAGES)
        self.sessions[side] = session._replace(ratchet=ratchet)


class OurPeople:
    """Keys that exist before a session does."""

    def __init__(self) -> None:
        self.alice: OwnDevice = create_device(Address("+15550100101"), now_ms(), os.urandom)
        self.bob: OwnDevice = create_device(Address("+15550100102"), now_ms(), os.urandom)
        owner = self.bob.device_signing_secret
        signed_secret, self.signed = make_signed_prekey(owner, 1, now_ms(), os.urandom)
        kem_secret, self.kem = make_kem_prekey(owner, 2, now_ms(), True, os.urandom)
        one_secret, self.one_time = make_one_time_prekey(3, os.urandom)
        self.secrets = PreKeySecrets(signed_secret, kem_secret, one_secret)

    def pair(self) -> OurPair:
        """Both sides of a new session."""
        return OurPair(self)


class _Aead(aead_aes_hmac.AEAD):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256

    @staticmethod
    def _get_info() -> bytes:
        return b"message keys"


class _RootKdf(kdf_hkdf.KDF):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256

    @staticmethod
    def _get_info() -> bytes:
        return b"root step"


class _ChainKdf(kdf_separate_hmacs.KDF):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256


class _Ratchet(doubleratchet.DoubleRatchet):
    @staticmethod
    def _build_associated_data(associated_data: bytes, header: doubleratchet.Header) -> bytes:
        lengths = header.previous_sending_chain_length, header.sending_chain_length
        return associated_data + header.ratchet_pub + b"".join(n.to_bytes(4, "big") for n in lengths)


class _Person(x3dh.BaseState):
    @staticmethod
    def _encode_public_key(key_format: x3dh.IdentityKeyFormat, pub: bytes) -> bytes:
        return pub


def finished(coroutine: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("the coroutine waits for something")


_SETTINGS: dict[str, Any] = {
    "diffie_hellman_ratchet_class": diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet,
    "root_chain_kdf": _RootKdf,
    "message_chain_kdf": _ChainKdf,
    "message_chain_constant": b"\x01\x02",
    "dos_protection_threshold": 2000,
    "max_num_skipped_message_keys": 2000,
    "aead": _Aead,
}


class PythonPair:
    """The packages doubleratchet and x3dh, with the recommended algorithms."""

    def __init__(self, people: PythonPeople) -> None:
        secret, associated, header = finished(
            people.alice.get_shared_secret_active(people.bundle, ASSOCIATED)
        )
        ours, first = finished(_Ratchet.encrypt_initial_message(
            shared_secret=secret, recipient_ratchet_pub=people.bundle.signed_pre_key,
            message=b"first", associated_data=associated, **_SETTINGS,
        ))
        secret, associated, pair = finished(people.bob.get_shared_secret_passive(header, ASSOCIATED))
        theirs, _ = finished(_Ratchet.decrypt_initial_message(
            shared_secret=secret, own_ratchet_priv=pair.priv, message=first, associated_data=associated,
            **_SETTINGS,
        ))
        self.sides = [ours, theirs]
        self.decrypt(0, self.encrypt(1, b"answer"))

    def encrypt(self, side: int, plaintext: bytes) -> Any:
        return finished(self.sides[side].encrypt_message(plaintext, ASSOCIATED))

    def decrypt(self, side: int, message: Any) -> bytes:
        plaintext: bytes = finished(self.sides[side].decrypt_message(message, ASSOCIATED))
        return plaintext


class PythonPeople:
    """X3DH states with published bundles."""

    def __init__(self) -> None:
        self.alice, self.bob = (
            _Person.create(x3dh.IdentityKeyFormat.CURVE_25519, x3dh.HashFunction.SHA_256, b"handshake")
            for _ in range(2)
        )
        self.bob.generate_pre_keys(1)
        # What others fetch; the property derives it anew each time, which would be charged to the set-up.
        self.bundle = self.bob.bundle

    def pair(self) -> PythonPair:
        """Both sides of a new session."""
        return PythonPair(self)


class RustPair:
    """vodozemac's Olm: X3DH with three Diffie-Hellmans, no post-quantum part, MAC cut to 8 bytes."""

    def __init__(self, people: RustPeople) -> None:
        people.bob.generate_one_time_keys(1)
        key = next(iter(people.bob.one_time_keys.values()))
        people.bob.mark_keys_as_published()
        ours = people.alice.create_outbound_session(people.bob.curve25519_key, key)
        first = ours.encrypt(b"first").to_pre_key()
        if first is None:
            raise RuntimeError("not a first message")
        theirs, _ = people.bob.create_inbound_session(people.alice.curve25519_key, first)
        self.sides = [ours, theirs]
        self.decrypt(0, self.encrypt(1, b"answer"))

    def encrypt(self, side: int, plaintext: bytes) -> Any:
        return self.sides[side].encrypt(plaintext)

    def decrypt(self, side: int, message: Any) -> bytes:
        return bytes(self.sides[side].decrypt(message))


class RustPeople:
    """Two Olm accounts."""

    def __init__(self) -> None:
        self.alice, self.bob = vodozemac.Account(), vodozemac.Account()

    def pair(self) -> RustPair:
        """Both sides of a new session."""
        return RustPair(self)
