"""`e2ee pin`, and the PIN that `e2ee register` may need: where it comes from, and what is printed.

Knows files and the terminal; what a PIN is for is the client's to know.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from e2ee.client.registering.registration import CodeSource, GivenPin, PinSource, checked_pin, pin_in_file
from e2ee.errors import Code, Failure
from e2ee.ui.console import InThread
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation
from e2ee.ui.terminal import Terminal


async def pin_source(call: Invocation, file: Path | None, codes: CodeSource) -> PinSource | None:
    """Where `register` finds the PIN of the account, or None. A file is read now: Failure(USAGE)."""
    if file is not None:
        return GivenPin(await call.in_thread(lambda: pin_in_file(file)))
    terminal = call.terminal()
    # Who has the code read from elsewhere is not sitting there to be asked.
    if terminal is None or not codes.interactive:
        return None
    return PromptedPin(terminal, call.in_thread, call.mention)


class PromptedPin:
    """A person types the PIN, unseen, or nothing."""

    def __init__(
        self, terminal: Terminal, in_thread: InThread, mention: Callable[[str], None]
    ) -> None:
        self._terminal = terminal
        self._in_thread = in_thread
        self._mention = mention

    async def pin(self) -> str:
        """What was typed; asked again while it cannot be a PIN."""
        question = "Registration PIN, if this number has one (else just Enter):"
        while typed := await self._in_thread(lambda: self._terminal.ask(question, hidden=True)):
            try:
                return checked_pin(typed)
            except Failure as failure:
                self._mention(failure.sentence)
        return ""


async def set_pin(call: Invocation, file: Path | None) -> int:
    """Have the server ask for a PIN, too, before it registers this number anew."""
    pin = await _new_pin(call, file)
    async with call.conversations() as messenger:
        await messenger.connected(call.left())
        await messenger.set_pin(pin)
        await call.show(["registration PIN set"], {"type": "registration_pin", "set": True})
    return DONE


async def remove_pin(call: Invocation) -> int:
    """Have it ask for none."""
    async with call.conversations() as messenger:
        await messenger.connected(call.left())
        await messenger.remove_pin()
        await call.show(["registration PIN removed"], {"type": "registration_pin", "set": False})
    return DONE


async def _new_pin(call: Invocation, file: Path | None) -> str:
    """Raises Failure(USAGE) before anything is asked of the server."""
    terminal = call.terminal()
    if file is not None:
        pin = await call.in_thread(lambda: pin_in_file(file))
    elif terminal is not None:
        pin = await call.in_thread(terminal.new_pin)
    else:
        raise Failure(Code.USAGE, "there is nowhere to read the PIN from: --pin-file FILE, or a terminal")
    if not pin:
        raise Failure(Code.USAGE, "the PIN is empty; `e2ee pin remove` removes it")
    return checked_pin(pin)
