"""The process that fuzzes one decoder: ``python -m tests.fuzz.target DECODER [options of libFuzzer]``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["e2ee"]):
    from tests.fuzz.decoders import DECODERS


def main() -> None:
    """Never returns."""
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, DECODERS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
