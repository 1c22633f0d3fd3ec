"""What the operating system is told before a secret enters the process.

Knows nothing of profiles: the entry point of the client calls it once, first.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def harden_process() -> None:
    """No core dumps, and on Linux no other process of this user may look into this one's memory.

    Does what it can: a system that refuses is no reason not to start.
    """
    _forbid_core_dumps()
    if sys.platform == "linux":
        _forbid_looking_in()


def _forbid_core_dumps() -> None:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return


def _forbid_looking_in() -> None:
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, AttributeError):
        return
