"""A registration that was confirmed becomes the profile's identity, in one transaction.

Knows which tables belong to an identity and which stay with the person: history, contacts and what
waits in the outbox are kept, sessions and prekeys of the old identity are not.
"""

from __future__ import annotations

from e2ee.errors import StoreError
from e2ee.store.client.anew import begin_anew
from e2ee.store.client.identity import (
    PendingKeys,
    forget_registration,
    load_registration,
    save_identity,
    save_server,
    unburn_all,
)
from e2ee.store.client.prekeys import PreKeyKind, PreKeyRecord, adopt_prekeys
from e2ee.store.connection import Connection


def adopt_registration(tx: Connection, now: int) -> None:
    """Make the keys of the registration under way the identity; `now` is ms since 1970.

    Raises StoreError where nothing is under way.
    """
    pending = load_registration(tx)
    if pending is None or pending.keys is None:
        raise StoreError("there is no registration to adopt")
    save_identity(tx, pending.keys.own_device, now)
    save_server(tx, pending.server)
    adopt_prekeys(tx, _prekey_records(pending.keys))
    begin_anew(tx)
    forget_registration(tx)
    unburn_all(tx)


def _prekey_records(keys: PendingKeys) -> list[PreKeyRecord]:
    """The two that went to the server with the proof."""
    signed = PreKeyRecord(
        keys.signed_prekey_id,
        PreKeyKind.SIGNED,
        keys.signed_prekey_secret,
        keys.signed_prekey,
        keys.made_at,
        published=True,
    )
    last_resort = PreKeyRecord(
        keys.last_resort_id,
        PreKeyKind.LAST_RESORT,
        keys.last_resort_secret,
        keys.last_resort,
        keys.made_at,
        published=True,
    )
    return [signed, last_resort]
