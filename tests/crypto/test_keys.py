"""Keys by role: equal only to their own kind, well formed, and silent about secrets."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import keys, secret_keys
from e2ee.errors import KeyRefused, SignatureRefused
from tests.crypto.people import SeededEntropy

SIGNING = (secret_keys.AccountSecretKey, secret_keys.DeviceSigningSecretKey)
AGREEMENT = (
    secret_keys.DeviceSecretKey,
    secret_keys.SignedPreKeySecretKey,
    secret_keys.OneTimePreKeySecretKey,
    secret_keys.EphemeralSecretKey,
    secret_keys.RatchetSecretKey,
)


class PublicKeys(SynchronousTestCase):
    def test_the_same_bytes_in_another_role_are_another_key(self) -> None:
        raw = secret_keys.DeviceSecretKey(SeededEntropy("k")(32)).public.raw
        self.assertEqual(keys.DeviceKey(raw), keys.DeviceKey(raw))
        self.assertEqual(hash(keys.DeviceKey(raw)), hash(keys.DeviceKey(raw)))
        self.assertNotEqual(keys.DeviceKey(raw), keys.RatchetKey(raw))

    def test_a_bad_key_does_not_become_a_key(self) -> None:
        for signing in (keys.AccountKey, keys.DeviceSigningKey):
            self.assertRaises(KeyRefused, signing, (1).to_bytes(32, "little"))
        for agreement in (keys.DeviceKey, keys.RatchetKey, keys.EphemeralKey, keys.OneTimePreKeyPublic):
            self.assertRaises(KeyRefused, agreement, bytes(32))

    def test_a_signature_counts_in_its_context_only(self) -> None:
        secret = secret_keys.AccountSecretKey.generate(SeededEntropy("a"))
        signature = secret.sign(b"context", b"message")
        secret.public.verify(b"context", b"message", signature)
        for context, message in ((b"other", b"message"), (b"context", b"massage"), (b"contextm", b"essage")):
            self.assertRaises(SignatureRefused, secret.public.verify, context, message, signature)

    def test_an_unknown_kem_suite_is_refused(self) -> None:
        self.assertIs(keys.KemSuite.of(1), keys.KemSuite.ML_KEM_1024)
        for number in (0, 3, 255):
            self.assertRaises(KeyRefused, keys.KemSuite.of, number)


class SecretKeys(SynchronousTestCase):
    def test_no_repr_shows_a_secret(self) -> None:
        entropy = SeededEntropy("r")
        generated: list[object] = [role.generate(entropy) for role in SIGNING + AGREEMENT]
        generated.append(secret_keys.KemSecretKey.generate(keys.KemSuite.ML_KEM_1024, entropy))
        for key in generated:
            raw = key.raw  # type: ignore[attr-defined]
            for shown in (repr(key), str(key)):
                self.assertNotIn(raw.hex(), shown)
                self.assertNotIn(repr(raw), shown)
                self.assertNotIn("raw", shown)

    def test_public_halves_have_the_type_of_their_role(self) -> None:
        entropy = SeededEntropy("p")
        roles = [type(role.generate(entropy).public) for role in SIGNING + AGREEMENT]
        self.assertEqual(len(set(roles)), len(roles))

    def test_both_sides_of_an_exchange_agree(self) -> None:
        entropy = SeededEntropy("x")
        one, other = (secret_keys.RatchetSecretKey.generate(entropy) for _ in range(2))
        self.assertEqual(one.exchange(other.public), other.exchange(one.public))

    def test_keys_come_from_the_given_entropy_alone(self) -> None:
        one = secret_keys.DeviceSecretKey.generate(SeededEntropy("same"))
        self.assertEqual(one, secret_keys.DeviceSecretKey.generate(SeededEntropy("same")))
        self.assertNotEqual(one, secret_keys.DeviceSecretKey.generate(SeededEntropy("other")))
