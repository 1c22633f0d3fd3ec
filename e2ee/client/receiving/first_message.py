"""The own prekeys that a first message names: fetched before it is opened, used up once it is.

Operations over one transaction of the vault. Knows prekeys, not who the sender is. See
`docs/cryptography.md`, section 2.
"""

from __future__ import annotations

from e2ee.crypto.handshake import Handshake
from e2ee.crypto.prekey_secrets import KemPreKeySecret, OneTimePreKeySecret, PreKeySecrets, SignedPreKeySecret
from e2ee.errors import OpenFailed
from e2ee.store.client import prekeys
from e2ee.store.client.prekeys import PreKeyKind
from e2ee.store.connection import Connection


class UnknownOneTimeKey(OpenFailed):
    """A first message for a one-time key that was used, or never was."""


def secrets_for(tx: Connection, handshake: Handshake) -> PreKeySecrets:
    """The private halves that a handshake names; raises OpenFailed where one is not here."""
    signed = prekeys.prekey_secret(tx, PreKeyKind.SIGNED, handshake.signed_prekey_id)
    kem = prekeys.prekey_secret(tx, _kem_kind(handshake), handshake.kem_prekey_id)
    if signed is None:
        raise OpenFailed
    if kem is None:
        raise UnknownOneTimeKey if handshake.kem_one_time else OpenFailed
    one_time = None
    if handshake.one_time_id is not None:
        encoded = prekeys.prekey_secret(tx, PreKeyKind.ONE_TIME, handshake.one_time_id)
        if encoded is None:
            raise UnknownOneTimeKey
        one_time = OneTimePreKeySecret.decode(encoded)
    return PreKeySecrets(SignedPreKeySecret.decode(signed), KemPreKeySecret.decode(kem), one_time)


def use_up(tx: Connection, handshake: Handshake) -> None:
    """The first message is opened: its one-time keys go, its ephemeral key is remembered."""
    if handshake.one_time_id is not None:
        prekeys.delete_prekey(tx, PreKeyKind.ONE_TIME, handshake.one_time_id)
    if handshake.kem_one_time:
        prekeys.delete_prekey(tx, PreKeyKind.KEM_ONE_TIME, handshake.kem_prekey_id)
    prekeys.remember_first_message(tx, handshake.ephemeral_key.raw, handshake.signed_prekey_id)


def _kem_kind(handshake: Handshake) -> PreKeyKind:
    return PreKeyKind.KEM_ONE_TIME if handshake.kem_one_time else PreKeyKind.LAST_RESORT
