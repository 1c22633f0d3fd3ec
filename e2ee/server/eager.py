"""Runs a coroutine as far as it goes without waiting, at the price of a plain call.

Knows coroutines and Deferreds; not what is run. What a server does for every message rarely waits,
and a Deferred for each would cost more than the work.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

Step = Coroutine[Deferred[Any], Any, None]


def run_eagerly(step: Step) -> Deferred[None] | None:
    """Begin a coroutine: None if it is over, else a Deferred for its end.

    Raises what the coroutine raises before it waits for the first time.
    """
    try:
        awaited = step.send(None)
    except StopIteration:
        return None
    return Deferred.fromCoroutine(_rest(step, awaited))


async def _rest(step: Step, awaited: Deferred[Any]) -> None:
    """Wait in its place for what it waits for, and hand it the result or the error."""
    while True:
        try:
            go_on = partial(step.send, await awaited)
        except BaseException as error:
            go_on = partial(step.throw, error)
        try:
            awaited = go_on()
        except StopIteration:
            return
