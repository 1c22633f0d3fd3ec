"""Permits for backups: whoever has the vault's key has them, for one chunk key each."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto.backup_permit import is_permitted, new_permit, permit_key

VAULT_KEY, CHUNK_KEY = b"\x07" * 32, b"\x09" * 32


class PermitTests(SynchronousTestCase):
    """Who may."""

    def test_a_permit_is_for_one_vault_and_one_chunk_key(self) -> None:
        key = permit_key(VAULT_KEY)
        permit = new_permit(key, CHUNK_KEY)
        self.assertTrue(is_permitted(key, CHUNK_KEY, permit))
        self.assertFalse(is_permitted(key, bytes(32), permit))
        self.assertFalse(is_permitted(permit_key(bytes(32)), CHUNK_KEY, permit))
        for wrong in (b"", permit[:-1], permit + b"\0", bytes([permit[0] ^ 1]) + permit[1:]):
            self.assertFalse(is_permitted(key, CHUNK_KEY, wrong))

    def test_what_the_holder_keeps_is_not_the_key_of_the_vault(self) -> None:
        self.assertNotEqual(permit_key(VAULT_KEY), VAULT_KEY)
