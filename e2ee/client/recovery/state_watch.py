"""At each login: was this vault put back to an older state, or the server?

Knows the link's answer and listeners; how it is seen, and what follows, stands in `rollback`.
"""

from __future__ import annotations

from collections.abc import Callable

from e2ee.client.context import Context
from e2ee.client.events import Event
from e2ee.client.recovery.rollback import begin_again, compare
from e2ee.client.shown import describe
from e2ee.store.connection import Connection
from e2ee.wire.messages import LoggedIn


class StateWatch:
    """One profile's. `then` is called with each login once that is known: nothing is said before."""

    def __init__(self, context: Context, then: Callable[[LoggedIn], None]) -> None:
        self._context = context
        self._then = then

    def connected(self, logged_in: LoggedIn) -> None:
        """Hold the server's state token against the vault; make good, and tell, what was put back."""
        self._context.tasks.spawn(self._compare(logged_in))

    async def _compare(self, logged_in: LoggedIn) -> None:
        context, connection = self._context, self._context.connection
        own, now, token = context.own, context.now, logged_in.state_token

        def operation(tx: Connection) -> list[Event]:
            rollback = compare(tx, own, token)
            if rollback is None:
                return []
            return list(describe(tx, begin_again(tx, own, rollback, now, context.entropy)))

        context.listeners.tell(await context.write(operation))
        if connection == context.connection:
            self._then(logged_in)
