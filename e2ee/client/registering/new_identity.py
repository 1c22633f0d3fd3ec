"""The keys of a new registration, and what the server gets of them.

Knows which keys there are and how they are bound to one connection; not when they are made or sent.
See `docs/cryptography.md`, section 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from e2ee.crypto.keys import KemSuite
from e2ee.crypto.own_device import OwnDevice, create_device
from e2ee.crypto.prekey_secrets import make_kem_prekey, make_signed_prekey
from e2ee.ids import Address, PasscodeSessionId
from e2ee.store.client.identity import PendingKeys
from e2ee.wire.codec import encode
from e2ee.wire.messages import RegistrationBody

PREKEYS = 2
"""A signed prekey and a last-resort KEM prekey; one-time keys follow after the first login."""


def next_generation(previous: OwnDevice | None, now: int) -> int:
    """The generation of a new account statement: the clock (ms), but always above the previous one."""
    return now if previous is None else max(previous.generation + 1, now)


def make_keys(
    address: Address,
    generation: int,
    key_ids: Sequence[int],
    now: int,
    entropy: Callable[[int], bytes],
    suite: KemSuite = KemSuite.ML_KEM_1024,
) -> PendingKeys:
    """New keys for a number. `key_ids` names the PREKEYS prekeys, `now` is ms since 1970.

    With RSA it takes up to seconds: run it in a thread.
    """
    own = create_device(address, generation, entropy, suite)
    signed_id, last_resort_id = key_ids
    owner = own.device_signing_secret
    signed_secret, signed = make_signed_prekey(owner, signed_id, now, entropy)
    kem_secret, kem = make_kem_prekey(owner, last_resort_id, now, False, entropy, suite)
    return PendingKeys(
        own_device=own.encode(),
        signed_prekey_id=signed_id,
        signed_prekey=signed,
        signed_prekey_secret=signed_secret.encode(),
        last_resort_id=last_resort_id,
        last_resort=kem,
        last_resort_secret=kem_secret.encode(),
        made_at=now,
    )


def registration_body(
    own: OwnDevice, keys: PendingKeys, exporter: bytes, session: PasscodeSessionId
) -> bytes:
    """What the proof confirms: public keys, signed for this session on the connection of `exporter`."""
    account_signature, device_signature = own.sign_registration(exporter, session)
    body = RegistrationBody(
        statement=own.signed_statement,
        signed_prekey=keys.signed_prekey,
        last_resort_prekey=keys.last_resort,
        account_signature=account_signature,
        device_signature=device_signature,
    )
    return encode(body)
