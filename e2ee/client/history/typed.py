"""What was typed in a chat, for the arrow keys: kept in the vault and nowhere else.

Knows the vault; neither chats nor keys.
"""

from __future__ import annotations

from e2ee.client.context import Context
from e2ee.store.client import typed_lines


class Typed:
    """One profile's."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def remember(self, line: str) -> None:
        """Keep a line as the newest of them."""
        await self._context.vault.write(lambda tx: typed_lines.remember_line(tx, line))

    async def lines(self) -> list[str]:
        """All that are kept, oldest first."""
        return await self._context.vault.read(typed_lines.typed_lines)
