"""`e2ee account delete`: the end of an account, and whether a person means it.

Knows the question and what is printed.
"""

from __future__ import annotations

from e2ee.errors import Code, Failure
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation


async def delete(call: Invocation, sure: bool) -> int:
    """Have the server delete the account. A person at a terminal is asked first, unless `sure`."""
    async with call.conversations() as messenger:
        address = str(messenger.own_address)
        terminal = call.terminal()
        if terminal is not None and not sure:
            question = f"Type {address} to delete this account and all that waits for it on the server:"
            typed = await call.in_thread(lambda: terminal.ask(question, hidden=False))
            if typed.strip() != address:
                raise Failure(Code.FAILED, "nothing was deleted")
        await messenger.connected(call.left())
        await messenger.delete_account()
        await call.show([f"deleted {address}"], {"type": "deleted", "address": address})
    return DONE
