"""The registration PIN: what may be one, and that nothing else stretches to the same bytes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import limits, primitives
from e2ee.crypto.passcode_proof import Confirmations, pin_step
from e2ee.crypto.passcode_store import hash_pin
from e2ee.crypto.registration_pin import normal_pin, stretch_pin
from e2ee.errors import ProofRefused
from e2ee.ids import Address

ALICE = Address("+15550100101")
SALT = b"s" * 16


class RuleTests(SynchronousTestCase):
    """A PIN has 4 to 64 characters and no control characters."""

    def refused(self, text: str) -> str:
        error = self.assertRaises(ValueError, normal_pin, text)
        if text:
            self.assertNotIn(text, str(error))
        return str(error)

    def test_both_sides_of_its_length(self) -> None:
        for length in (4, 64):
            self.assertEqual(normal_pin("7" * length), "7" * length)
        for length in (0, 3, 65):
            self.assertIn("4 to 64 characters", self.refused("7" * length))

    def test_letters_spaces_and_every_script_are_fine(self) -> None:
        for text in ("correct horse", " 12 ", "пароль", "密码密码", "🔑🔑🔑🔑"):
            self.assertEqual(normal_pin(text), text)

    def test_characters_are_counted_and_not_bytes(self) -> None:
        self.assertEqual(normal_pin("é" * 64), "é" * 64)
        self.refused("ée\u0301é")

    def test_control_characters_and_lone_surrogates_are_refused(self) -> None:
        for text in ("12\n34", "1234\r", "\x1b1234", "12\x0034", "1234\ud800"):
            self.assertIn("control", self.refused(text))

    def test_two_ways_to_type_a_character_are_one_pin(self) -> None:
        self.assertEqual(normal_pin("cafe\u0301"), normal_pin("caf\u00e9"))


class StretchTests(SynchronousTestCase):
    """Argon2id over the PIN; label, salt and number are its salt."""

    def test_it_is_argon2id_with_the_costs_of_the_protocol(self) -> None:
        label = b"e2ee/1 registration PIN, stretched"
        salted = bytes((len(label),)) + label + SALT + b"+15550100101"
        expected = primitives.argon2id(b"1234", salted, 64 * 1024, 3, 4)
        self.assertEqual(stretch_pin("1234", ALICE, SALT), expected)
        self.assertEqual(
            (limits.PIN_MEMORY_KIB, limits.PIN_ITERATIONS, limits.PIN_LANES), (64 * 1024, 3, 4)
        )

    def test_the_format_is_frozen(self) -> None:
        """Whoever changes these bytes locks out everybody who has set a PIN."""
        stretched = stretch_pin("caf\u00e9 1234", ALICE, bytes(range(16)))
        self.assertEqual(
            stretched.hex(), "851c60435d69a8088e62f4168db6c9c943ebbb293edaf8265ec7d344667c652d"
        )
        self.assertEqual(
            hash_pin(stretched).hex(), "bed5b898996ca0de43e774cb12a590c8cdb5c3332926174c2ff6949b68b6120f"
        )

    def test_another_pin_salt_or_number_gives_another_result(self) -> None:
        results = {
            stretch_pin("1234", ALICE, SALT),
            stretch_pin("1235", ALICE, SALT),
            stretch_pin("1234", ALICE, b"t" * 16),
            stretch_pin("1234", Address("+15550100102"), SALT),
        }
        self.assertEqual([len(each) for each in results], [32] * 4)

    def test_a_server_that_chooses_a_vaults_salt_does_not_get_its_key(self) -> None:
        self.assertNotEqual(stretch_pin("1234", ALICE, SALT), primitives.argon2id(b"1234", SALT))


class StepTests(SynchronousTestCase):
    """The confirmations of the second step are for this run, this outcome and this PIN."""

    keys = Confirmations(b"c" * 32, b"s" * 32)

    def test_a_confirmation_is_for_one_body_outcome_and_pin(self) -> None:
        step = pin_step(b"body", b"outcome", b"p" * 32)
        confirmation = self.keys.client(step)
        self.keys.check_client(step, confirmation)
        for other in (
            pin_step(b"Body", b"outcome", b"p" * 32),
            pin_step(b"body", b"Outcome", b"p" * 32),
            pin_step(b"body", b"outcome", b"q" * 32),
            b"body",
        ):
            self.assertRaises(ProofRefused, self.keys.check_client, other, confirmation)

    def test_a_confirmation_of_another_run_is_refused(self) -> None:
        step = pin_step(b"body", b"outcome", b"p" * 32)
        elsewhere = Confirmations(b"d" * 32, b"t" * 32)
        self.assertRaises(ProofRefused, self.keys.check_client, step, elsewhere.client(step))
        self.assertRaises(ProofRefused, self.keys.check_server, step, b"o", elsewhere.server(step, b"o"))

    def test_no_body_of_a_registration_is_a_step(self) -> None:
        """A body is a MessagePack array; a step begins with the length of its label."""
        self.assertLess(pin_step(b"", b"", b"")[0], 0x80)
