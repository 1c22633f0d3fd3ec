"""Checks what a device publishes before anything of it is stored. Pure; slow enough for a thread.

Knows public prekeys and their signatures; not databases or limits.
"""

from __future__ import annotations

from e2ee.crypto.account_statement import verify_statement
from e2ee.crypto.keys import DeviceSigningKey, KemSuite, OneTimePreKeyPublic
from e2ee.crypto.prekeys import verify_kem_prekey, verify_signed_prekey
from e2ee.errors import KeyRefused
from e2ee.store.server.ports import Account, PreKeyUpload, StoredPreKey
from e2ee.wire.messages import Publish


def verified_upload(account: Account, message: Publish) -> PreKeyUpload:
    """The upload as it is stored. Raises KeyRefused or SignatureRefused for any part of it."""
    owner = DeviceSigningKey(account.device_signing_key)
    suite = verify_statement(account.statement).suite
    return PreKeyUpload(
        signed_prekey=_signed(message.signed_prekey, owner),
        last_resort_prekey=_last_resort(message.last_resort_prekey, owner, suite),
        one_time=tuple(
            StoredPreKey(one.key_id, OneTimePreKeyPublic(one.key).raw) for one in message.one_time
        ),
        kem_one_time=tuple(_kem(encoded, owner, suite, one_time=True) for encoded in message.kem_one_time),
        replace_stock=message.replace_stock,
    )


def _signed(encoded: bytes | None, owner: DeviceSigningKey) -> StoredPreKey | None:
    if encoded is None:
        return None
    return StoredPreKey(verify_signed_prekey(encoded, owner).key_id, encoded)


def _last_resort(encoded: bytes | None, owner: DeviceSigningKey, suite: KemSuite) -> StoredPreKey | None:
    return None if encoded is None else _kem(encoded, owner, suite, one_time=False)


def _kem(encoded: bytes, owner: DeviceSigningKey, suite: KemSuite, one_time: bool) -> StoredPreKey:
    prekey = verify_kem_prekey(encoded, owner)
    if prekey.one_time is not one_time or prekey.suite is not suite:
        raise KeyRefused("a KEM prekey of another kind than its place")
    return StoredPreKey(prekey.key_id, encoded)
