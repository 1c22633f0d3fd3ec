"""Takes what was forgotten out of the vault's file, of which SQLite leaves copies.

Knows when the file has to be made anew; what is left in it, and why, stands in `store.client.traces`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from e2ee.client.context import Context
from e2ee.errors import StoreUnavailable
from e2ee.store.client import traces

ERASE_SECONDS = 20.0
"""After texts were forgotten: whoever forgets one often forgets another, and the file may be large."""

EXPIRED_SECONDS = 5 * 60.0
"""After texts have disappeared: in a conversation with a short timer that happens all the time."""

_log = Logger()


class Erasure:
    """One profile's."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._take_back: Callable[[], None] | None = None
        self._soon = False

    def forgotten(self) -> None:
        """Texts were deleted: their traces go soon, however long this process runs."""
        if not self._soon:
            self._soon = True
            self._later(ERASE_SECONDS)

    def expired(self) -> None:
        """Texts have disappeared: their traces go a little later."""
        if self._take_back is None:
            self._later(EXPIRED_SECONDS)

    def _later(self, seconds: float) -> None:
        if self._take_back is not None:
            self._take_back()
        self._take_back = self._context.tasks.later(seconds, self._begin)

    def _begin(self) -> None:
        self._take_back, self._soon = None, False
        self._context.tasks.spawn(self.run())

    async def run(self) -> None:
        """Make the file anew if texts were forgotten since; without room it is left for later."""
        vault = self._context.vault
        if not await vault.read(traces.has_forgotten):
            return
        try:
            await vault.rewrite()
            await vault.write(traces.note_rewritten)
        except StoreUnavailable:
            _log.warn("no room to make the vault anew: traces of forgotten messages stay in it until then")
