"""Requests about the chunks of a file, a few at a time, their answers taken in order.

Knows how many may be without an answer; not what they ask for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred

from e2ee.wire.limits import FILE_WINDOW_CHUNKS

T = TypeVar("T")


class ChunkWindow(Generic[T]):
    """One transfer's."""

    def __init__(self) -> None:
        self._under_way: deque[Deferred[T]] = deque()

    @property
    def full(self) -> bool:
        """Whether an answer has to be waited for before more is asked."""
        return len(self._under_way) >= FILE_WINDOW_CHUNKS

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def ask(self, request: Coroutine[Deferred[Any], Any, T]) -> None:
        """Begin one more."""
        self._under_way.append(Deferred.fromCoroutine(request))

    async def answer(self) -> T:
        """The answer to the oldest. Raises what it failed with."""
        return await self._under_way.popleft()

    def forget(self) -> None:
        """Nobody waits for the rest."""
        while self._under_way:
            self._under_way.popleft().addErrback(lambda _: None)
