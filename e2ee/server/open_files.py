"""How many connections the process can have: each is an open file, and the server needs some itself.

At the limit of the operating system accept() fails and nobody comes in any more, who is honest or not. So the
server's own limit is below it, and makes room as every other does: see `admission`.
"""

from __future__ import annotations

import resource

RESERVED_FILES = 256
"""Databases, log, workers, senders and monitoring, and what Twisted accepts in one turn of the reactor before
those that were cut are closed."""


def most_connections(besides: int = 0) -> int:
    """With the limit of this process (`ulimit -n`); 0: there is none.

    `besides` are others that it may have, and that do not count.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return 0
    return max(files - RESERVED_FILES - besides, files // 2)
