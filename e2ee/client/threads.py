"""Work that would hold up the reactor, done in its thread pool instead.

Knows nothing of the work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.threads import deferToThreadPool

T = TypeVar("T")


class InThread(Protocol):
    """`await in_thread(work)` gives what `work()` returns or raises. Tests do it at once."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


def threads_of(reactor: Any) -> InThread:
    """The pool of this reactor."""

    def in_thread(work: Callable[[], T], /) -> Awaitable[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    return in_thread
