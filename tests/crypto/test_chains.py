"""Chains and root, written out once more from the Double Ratchet's specification, section 5.2."""

from __future__ import annotations

import hashlib
import hmac

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import chains
from e2ee.crypto.chains import Chain, hybrid_root_step, root_step


def keyed(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


class Chains(SynchronousTestCase):
    def test_a_step_gives_hmac_1_as_message_key_and_hmac_2_as_chain_key(self) -> None:
        message_key, after = Chain(b"c" * 32, 41).step()
        self.assertEqual(message_key, keyed(b"c" * 32, b"\x01"))
        self.assertEqual(after, Chain(keyed(b"c" * 32, b"\x02"), 42))

    def test_the_root_step_is_hkdf_with_the_root_key_as_salt(self) -> None:
        root_key, chain = root_step(b"r" * 32, b"d" * 32)
        extracted = keyed(b"r" * 32, b"d" * 32)
        first = keyed(extracted, b"e2ee/1 root step\x01")
        second = keyed(extracted, first + b"e2ee/1 root step\x02")
        self.assertEqual((root_key, chain), (first, Chain(second, 0)))

    def test_the_hybrid_root_step_adds_the_kem_secret_and_binds_key_and_ciphertext(self) -> None:
        public, ciphertext = b"p" * 1184, b"c" * 1088
        root_key, chain = hybrid_root_step(b"r" * 32, b"d" * 32, b"s" * 32, public, ciphertext)
        extracted = keyed(b"r" * 32, b"d" * 32 + b"s" * 32)
        info = b"e2ee/1 hybrid root step" + hashlib.sha256(public + ciphertext).digest()
        first = keyed(extracted, info + b"\x01")
        second = keyed(extracted, first + info + b"\x02")
        self.assertEqual((root_key, chain), (first, Chain(second, 0)))

    def test_skipping_gives_every_key_before_the_wanted_message(self) -> None:
        chain = Chain(b"c" * 32, 5)
        keys, after = chains.skip(chain, 8)
        expected = []
        for number in (5, 6, 7):
            key, chain = chain.step()
            expected.append((number, key))
        self.assertEqual((keys, after), (expected, chain))
        self.assertEqual(chains.skip(chain, 8), ([], chain))
