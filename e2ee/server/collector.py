"""When Python looks for reference cycles in a server that runs.

Knows the collector of the interpreter and what a server allocates; not what any object is for. The
collector stays on: a finished TLS connection is a cycle.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG_OBJECTS: Final = 20_000
"""Objects made and still there before the young ones are looked at: those of a hundred dead
connections, some MiB. With Python's 700 a loaded server spends a quarter of its time on looking at
what messages on their way are made of."""


def settle_collector() -> None:
    """Call it when the server has started: what is there now stays, and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
