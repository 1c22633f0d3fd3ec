"""Starts a program of the product as its command does, with a fault planted or with every envelope noted.

    python -m tests.chaos.launch [--fault NAME] [--note FILE] e2ee|twistd ARGUMENT...

Without either option it does what the command does. Knows how the commands begin.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from tests.chaos.faults import FAULTS


def note_envelopes(path: str) -> None:
    """Have the server write down each envelope that it is given, as `key_use` reads them."""
    from e2ee.server.courier import Courier
    from tests.chaos.key_use import note_of

    submit = Courier.submit
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def noted(self: Courier, peer: Any, message: Any, answer: Any) -> None:
        os.write(file, note_of(message.envelope))
        submit(self, peer, message, answer)

    Courier.submit = noted  # type: ignore[method-assign]


def run(arguments: Sequence[str]) -> None:
    """As described above; does not return."""
    rest = list(arguments)
    while rest and rest[0] in ("--fault", "--note"):
        option, value, *rest = rest
        if option == "--fault":
            FAULTS[value]()
        else:
            note_envelopes(value)
    program, *sys.argv[1:] = rest
    sys.argv[0] = program
    if program == "twistd":
        from twisted.scripts.twistd import run as twistd

        twistd()
    else:
        from e2ee.ui.cli import main

        main()


if __name__ == "__main__":
    run(sys.argv[1:])
