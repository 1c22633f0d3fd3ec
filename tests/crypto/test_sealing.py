"""Padding in its steps, encryption under keys from message key and IV, and one error for all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import labels, primitives, sealing
from e2ee.errors import OpenFailed
from tests.crypto.mutations import flipped

KEY, IV, HEAD, AD = b"k" * 32, b"i" * 16, b"head", b"associated"


def taken_apart(envelope: bytes) -> tuple[bytes, bytes, bytes]:
    """(covered, ciphertext, tag) of what `seal` made with HEAD."""
    return envelope[:-32], envelope[len(HEAD) + 16 : -32], envelope[-32:]


class Padding(SynchronousTestCase):
    def test_powers_of_two_from_256_to_4096_then_multiples_of_4096(self) -> None:
        steps = {0: 256, 1: 256, 255: 256, 256: 512, 511: 512, 512: 1024, 1023: 1024, 1024: 2048}
        steps |= {2047: 2048, 2048: 4096, 4095: 4096, 4096: 8192, 8191: 8192, 8192: 12288, 12287: 12288}
        for size, padded in steps.items():
            self.assertEqual(sealing.padded_size(size), padded, size)
            self.assertEqual(len(sealing.pad(b"x" * size)), padded)

    def test_it_is_80_and_zeros(self) -> None:
        self.assertEqual(sealing.pad(b"abc"), b"abc\x80" + bytes(252))

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=9000))
    def test_every_content_comes_back(self, content: bytes) -> None:
        self.assertEqual(sealing.unpad(sealing.pad(content)), content)

    def test_contents_that_look_like_padding_come_back(self) -> None:
        for content in (b"", b"\x80", b"\0", b"\x80\0\0", bytes(256), b"\x80" * 255, b"a\x80" + bytes(253)):
            self.assertEqual(sealing.unpad(sealing.pad(content)), content)

    def test_any_other_padding_is_refused(self) -> None:
        good = sealing.pad(b"abc")
        for wrong in (
            b"",
            bytes(256),
            b"abc\x81" + bytes(252),
            good[:-1] + b"\1",
            good[:-1],
            good + bytes(256),
            b"abc\x80" + bytes(508),
            b"x" * 256,
            b"\x80",
        ):
            self.assertRaises(OpenFailed, sealing.unpad, wrong)


class Sealing(SynchronousTestCase):
    def test_it_is_the_construction_of_the_specification(self) -> None:
        """HKDF-Expand(mk, label ‖ IV) → cipher and MAC key; AES-CBC; HMAC over AD and all bytes."""
        keys = primitives.hkdf_expand(KEY, labels.MESSAGE_KEYS + IV, 64)
        ciphertext = primitives.aes_cbc_encrypt(keys[:32], IV, sealing.pad(b"content"))
        covered = HEAD + IV + ciphertext
        tag = primitives.hmac_sha256(keys[32:], AD + covered)
        self.assertEqual(sealing.seal(KEY, IV, AD, HEAD, b"content"), covered + tag)

    def test_what_was_sealed_is_opened(self) -> None:
        covered, ciphertext, tag = taken_apart(sealing.seal(KEY, IV, AD, HEAD, b"content"))
        self.assertEqual(sealing.open_sealed(KEY, IV, AD, covered, ciphertext, tag), b"content")

    def test_another_key_iv_associated_data_or_tag_is_refused(self) -> None:
        covered, ciphertext, tag = taken_apart(sealing.seal(KEY, IV, AD, HEAD, b"content"))
        for arguments in (
            (b"K" * 32, IV, AD, covered, ciphertext, tag),
            (KEY, b"I" * 16, AD, covered, ciphertext, tag),
            (KEY, IV, b"Associated", covered, ciphertext, tag),
            (KEY, IV, AD, covered, ciphertext, tag[:-1]),
            (KEY, IV, AD, covered, ciphertext, b""),
            *((KEY, IV, AD, covered, ciphertext, changed) for changed in flipped(tag)),
        ):
            self.assertRaises(OpenFailed, sealing.open_sealed, *arguments)

    def test_the_mac_is_checked_before_the_ciphertext_is_touched(self) -> None:
        def never(*_: bytes) -> bytes:
            raise AssertionError("decrypted before the MAC was checked")

        covered, ciphertext, _ = taken_apart(sealing.seal(KEY, IV, AD, HEAD, b"content"))
        self.patch(sealing, "aes_cbc_decrypt", never)
        self.assertRaises(OpenFailed, sealing.open_sealed, KEY, IV, AD, covered, ciphertext, bytes(32))

    def test_wrong_padding_under_a_right_mac_is_the_same_error(self) -> None:
        keys = primitives.hkdf_expand(KEY, labels.MESSAGE_KEYS + IV, 64)
        for padded in (bytes(256), b"abc\x80" + bytes(11), b"x" * 256):
            ciphertext = primitives.aes_cbc_encrypt(keys[:32], IV, padded)
            covered = HEAD + IV + ciphertext
            tag = primitives.hmac_sha256(keys[32:], AD + covered)
            self.assertRaises(OpenFailed, sealing.open_sealed, KEY, IV, AD, covered, ciphertext, tag)

    def test_the_same_message_key_with_another_iv_gives_other_keys(self) -> None:
        """A restored copy that uses a chain position twice reveals nothing by it."""
        one = sealing.seal(KEY, IV, AD, HEAD, b"content")
        other = sealing.seal(KEY, b"j" * 16, AD, HEAD, b"content")
        blocks = {one[at : at + 16] for at in range(len(HEAD) + 16, len(one), 16)}
        self.assertFalse(blocks & {other[at : at + 16] for at in range(len(HEAD) + 16, len(other), 16)})
