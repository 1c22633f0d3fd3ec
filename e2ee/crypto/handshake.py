"""PQXDH: two devices agree on a secret while one of them is away.

Knows X3DH's Diffie-Hellmans, one KEM secret and the transcript that binds them (PQXDH, section 3);
not the ratchet that the secret begins, nor whom to trust. Roles: initiator and recipient.

Layout of the handshake inside an envelope, all numbers big-endian: initiator's signed statement
(length-prefixed with 2 bytes), ephemeral key (32), signed prekey's id (4), KEM suite (1), one-time
KEM prekey or last resort (flag), KEM prekey's id (4), one-time prekey (flag, then id (4)),
ciphertext (length-prefixed with 2 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.crypto import labels, limits
from e2ee.crypto.account_statement import AccountStatement, common_features, verify_statement
from e2ee.crypto.bundle import VerifiedBundle
from e2ee.crypto.encoding import FieldReader, number, prefixed
from e2ee.crypto.envelope import SESSION_ID_BYTES
from e2ee.crypto.kem import Encapsulate, decapsulate, kem_name
from e2ee.crypto.keys import EphemeralKey, KemSuite
from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.prekey_secrets import PreKeySecrets
from e2ee.crypto.primitives import HASH_BYTES, KEY_BYTES, Entropy, hkdf, sha256
from e2ee.crypto.secret_keys import EphemeralSecretKey
from e2ee.errors import EncodingRefused, KeyRefused, OpenFailed, SignatureRefused

_NO_SALT = bytes(HASH_BYTES)
_CURVE_PREFIX = b"\xff" * KEY_BYTES
"""PQXDH, section 2.2: no output of X25519 begins like this."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the initiator tells the recipient in the clear; believed only once a message is opened."""

    signed_statement: bytes = field(repr=False)
    ephemeral_key: EphemeralKey
    signed_prekey_id: int
    suite: KemSuite
    kem_one_time: bool
    kem_prekey_id: int
    one_time_id: int | None
    ciphertext: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The bytes that go into the envelope."""
        return b"".join((
            prefixed(self.signed_statement, 2),
            self.ephemeral_key.raw,
            number(self.signed_prekey_id, 4),
            number(self.suite, 1),
            number(self.kem_one_time, 1),
            number(self.kem_prekey_id, 4),
            b"\0" if self.one_time_id is None else b"\1" + number(self.one_time_id, 4),
            prefixed(self.ciphertext, 2),
        ))

    @classmethod
    def decode(cls, encoded: bytes) -> Handshake:
        """The reverse; raises OpenFailed."""
        reader = FieldReader(encoded)
        try:
            handshake = cls(
                signed_statement=reader.prefixed(2),
                ephemeral_key=EphemeralKey(reader.take(KEY_BYTES)),
                signed_prekey_id=reader.number(4),
                suite=KemSuite.of(reader.number(1)),
                kem_one_time=reader.flag(),
                kem_prekey_id=reader.number(4),
                one_time_id=reader.number(4) if reader.flag() else None,
                ciphertext=reader.prefixed(2),
            )
            reader.end()
        except (EncodingRefused, KeyRefused):
            raise OpenFailed from None
        if len(handshake.signed_statement) > limits.STATEMENT_BYTES:
            raise OpenFailed
        return handshake


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides have after the handshake: SK, the session's id and its associated data.

    `features` are those that both have.
    """

    secret: bytes = field(repr=False)
    session_id: bytes
    associated: bytes = field(repr=False)
    features: tuple[int, ...]
    handshake: Handshake


@dataclass(frozen=True, slots=True)
class _Parties:
    """Both statements, as bytes and decoded."""

    initiator: AccountStatement
    initiator_signed: bytes
    recipient: AccountStatement
    recipient_signed: bytes


@dataclass(frozen=True, slots=True)
class _RecipientKeys:
    """The public keys of the recipient that one handshake uses, as bytes for the transcript."""

    signed: bytes
    kem: bytes
    one_time: bytes | None


def initiate(
    own: OwnDevice, bundle: VerifiedBundle, entropy: Entropy, encapsulate: Encapsulate
) -> Agreement:
    """The initiator's side, for a verified bundle."""
    ephemeral = EphemeralSecretKey.generate(entropy)
    kem_secret, ciphertext = encapsulate(bundle.kem_prekey.key)
    handshake = Handshake(
        own.signed_statement,
        ephemeral.public,
        bundle.signed_prekey.key_id,
        bundle.kem_prekey.suite,
        bundle.kem_prekey.one_time,
        bundle.kem_prekey.key_id,
        None if bundle.one_time is None else bundle.one_time.key_id,
        ciphertext,
    )
    agreed = [
        own.device_secret.exchange(bundle.signed_prekey.key),
        ephemeral.exchange(bundle.statement.device_key),
        ephemeral.exchange(bundle.signed_prekey.key),
    ]
    if bundle.one_time is not None:
        agreed.append(ephemeral.exchange(bundle.one_time.key))
    parties = _Parties(own.statement, own.signed_statement, bundle.statement, bundle.signed_statement)
    one_time = None if bundle.one_time is None else bundle.one_time.key.raw
    keys = _RecipientKeys(bundle.signed_prekey.key.raw, bundle.kem_prekey.key.raw, one_time)
    return _agree(parties, keys, handshake, [*agreed, kem_secret])


def respond(own: OwnDevice, handshake: Handshake, secrets: PreKeySecrets) -> Agreement:
    """The recipient's side; `secrets` are those that the handshake names. Raises OpenFailed."""
    try:
        initiator = verify_statement(handshake.signed_statement)
        _check_named(handshake, secrets)
        agreed = [
            secrets.signed.secret.exchange(initiator.device_key),
            own.device_secret.exchange(handshake.ephemeral_key),
            secrets.signed.secret.exchange(handshake.ephemeral_key),
        ]
        if secrets.one_time is not None:
            agreed.append(secrets.one_time.secret.exchange(handshake.ephemeral_key))
    except (KeyRefused, SignatureRefused):
        raise OpenFailed from None
    agreed.append(decapsulate(secrets.kem.secret, handshake.ciphertext))
    parties = _Parties(initiator, handshake.signed_statement, own.statement, own.signed_statement)
    one_time = None if secrets.one_time is None else secrets.one_time.secret.public_raw()
    keys = _RecipientKeys(secrets.signed.secret.public_raw(), secrets.kem.secret.public_raw, one_time)
    return _agree(parties, keys, handshake, agreed)


def _check_named(handshake: Handshake, secrets: PreKeySecrets) -> None:
    named = (handshake.signed_prekey_id, handshake.kem_one_time, handshake.kem_prekey_id)
    given = (secrets.signed.key_id, secrets.kem.one_time, secrets.kem.key_id)
    one_time_id = None if secrets.one_time is None else secrets.one_time.key_id
    if named != given or handshake.one_time_id != one_time_id or handshake.suite != secrets.kem.secret.suite:
        raise OpenFailed


def _agree(parties: _Parties, keys: _RecipientKeys, handshake: Handshake, agreed: list[bytes]) -> Agreement:
    features = common_features(parties.initiator, parties.recipient)
    digest = sha256(_transcript(parties, keys, handshake, features))
    mode = bytes((handshake.suite, handshake.kem_one_time, keys.one_time is not None))
    secret = hkdf(
        _NO_SALT,
        _CURVE_PREFIX + b"".join(agreed),
        labels.HANDSHAKE_SECRET + mode + digest,
        KEY_BYTES,
    )
    return Agreement(
        secret, digest[:SESSION_ID_BYTES], _associated_data(parties), features, handshake
    )


def _transcript(
    parties: _Parties, keys: _RecipientKeys, handshake: Handshake, features: tuple[int, ...]
) -> bytes:
    """Everything that both sides must agree on, in one unambiguous encoding."""
    one_time = b"\0"
    if keys.one_time is not None and handshake.one_time_id is not None:
        one_time = b"\1" + number(handshake.one_time_id, 4) + keys.one_time
    return b"".join((
        prefixed(labels.HANDSHAKE_TRANSCRIPT, 1),
        prefixed(parties.initiator.address.encode(), 1),
        prefixed(parties.recipient.address.encode(), 1),
        prefixed(parties.initiator_signed, 2),
        prefixed(parties.recipient_signed, 2),
        number(len(features), 1),
        *(number(feature, 2) for feature in features),
        parties.initiator.device_key.raw,
        parties.recipient.device_key.raw,
        handshake.ephemeral_key.raw,
        number(handshake.signed_prekey_id, 4),
        keys.signed,
        one_time,
        number(handshake.suite, 1),
        prefixed(kem_name(handshake.suite), 1),
        number(handshake.kem_one_time, 1),
        number(handshake.kem_prekey_id, 4),
        prefixed(keys.kem, 2),
        prefixed(handshake.ciphertext, 2),
    ))


def _associated_data(parties: _Parties) -> bytes:
    """What every message of the session is authenticated with, but for the byte of who sends."""
    return prefixed(labels.SESSION_ASSOCIATED_DATA, 1) + b"".join(
        prefixed(one.address.encode(), 1) + one.device + one.account_key.raw
        for one in (parties.initiator, parties.recipient)
    )
