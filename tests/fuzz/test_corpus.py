"""The corpus, input by input; and a short look for more, where atheris is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.crypto.mutations import flipped, resized
from tests.fuzz.corpus import CORPUS, inputs, seeds
from tests.fuzz.decoders import DECODERS, Finding


class CorpusTests(SynchronousTestCase):
    """Every decoder bears every input that was ever of interest."""

    def test_each_decoder_has_inputs_and_each_input_a_decoder(self) -> None:
        self.assertEqual({path.name for path in CORPUS.iterdir()}, set(DECODERS))

    def test_all_inputs(self) -> None:
        for name, decoder in DECODERS.items():
            for data in inputs(name):
                with self.subTest(decoder=name, data=data.hex()):
                    decoder(data)

    def test_small_changes_of_valid_inputs(self) -> None:
        for name, data in seeds():
            for changed in (*flipped(data, max(1, len(data) // 50)), *resized(data)):
                with self.subTest(decoder=name, data=changed.hex()):
                    DECODERS[name](changed)

    def test_valid_inputs_are_accepted(self) -> None:
        """Otherwise a decoder that refuses everything would pass."""
        names = {name for name, data in seeds() if self.accepts(name, data)}
        self.assertEqual(set(DECODERS) - names, set())

    def accepts(self, name: str, data: bytes) -> bool:
        decoder = DECODERS[name]
        try:
            decoder.decode(data)
        except decoder.refusals:
            return False
        return True

    def test_a_second_encoding_is_a_finding(self) -> None:
        accepted = inputs("content")[0]
        decoder = DECODERS["content"]
        lenient = type(decoder)(lambda data: accepted, (), lambda data, found: found == data)
        lenient(accepted)
        self.assertRaises(Finding, lenient, accepted + b"\0")


class ShortRun(SynchronousTestCase):
    """A few seconds of `make fuzz`."""

    def test_nothing_is_found_at_once(self) -> None:
        if importlib.util.find_spec("atheris") is None:
            raise SkipTest("atheris is not installed: the decoders were not fuzzed, only the corpus replayed")
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--seconds", "1", "client_message", "envelope", "content"],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
