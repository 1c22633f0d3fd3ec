"""Ends a change of the database's key at one of its steps, as a killed process would.

Knows which function cleans up after an error: whoever is killed does not come to that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from e2ee.store.server import rekey


class Killed(BaseException):
    """The process ends here."""


def killed_at(
    case: SynchronousTestCase, step: int, calls: Sequence[tuple[Any, str]], run: Callable[[], object]
) -> bool:
    """Run up to the call number `step`, from 0, of these (where, name); whether it came so far."""
    left = step

    def before(call: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return call(*arguments, **named)

        return counted

    patches = [case.patch(where, name, before(getattr(where, name))) for where, name in calls]
    patches.append(case.patch(rekey, "_remove", lambda target: None))
    try:
        run()
    except Killed:
        return True
    finally:
        for each in reversed(patches):
            each.restore()
    return False
