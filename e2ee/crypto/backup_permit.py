"""Who may have a vault sealed into a backup by the process that holds it: whoever has the vault's key.

Knows keys only. Without it any program of the same user could have the identity sealed under a key of its
own choosing. See `docs/cryptography.md`, section 8.
"""

from __future__ import annotations

from e2ee.crypto import labels, primitives
from e2ee.crypto.primitives import KEY_BYTES


def permit_key(vault_key: bytes) -> bytes:
    """What the holder keeps to check permits with: it does not open the vault."""
    return primitives.hkdf_expand(vault_key, labels.BACKUP_PERMIT, KEY_BYTES)


def new_permit(key: bytes, chunk_key: bytes) -> bytes:
    """The permit to seal the vault under this chunk key. `key` is that of `permit_key`."""
    return primitives.hmac_sha256(key, chunk_key)


def is_permitted(key: bytes, chunk_key: bytes, permit: bytes) -> bool:
    """Whether this permit is the one for this chunk key."""
    return primitives.equal(permit, new_permit(key, chunk_key))
