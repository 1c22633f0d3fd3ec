"""The sender that ``--otp`` names. Knows the spellings; each sender is a module of its own."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.interfaces import IReactorProcess, IReactorTime

from e2ee.server.senders.command import CommandSender
from e2ee.server.senders.console import ConsoleSender
from e2ee.server.senders.file import FileSender, InThread
from e2ee.server.senders.interface import CodeSender, SenderRefused


def sender_from_option(
    option: str, processes: IReactorProcess, clock: IReactorTime, in_thread: InThread
) -> CodeSender:
    """The sender for ``console``, ``file:PATH`` or ``command:PATH``.

    Opens the file, and looks for the command: what is wrong shows when the server starts, not with
    the first code. Raises SenderRefused, a ValueError whose text is for the operator.
    """
    kind, _, path = option.partition(":")
    if option == "console":
        return ConsoleSender()
    if kind == "file" and path:
        return FileSender(Path(path), in_thread)
    if kind == "command" and path:
        return CommandSender(Path(path), processes, clock)
    if kind in ("smtp", "http", "https"):
        raise SenderRefused(f"the passcode sender {kind} is not available yet")
    # The rest of the option may hold a password: only its kind is repeated.
    raise SenderRefused(
        f"the passcode sender {kind!r} is not known: use console, file:PATH or command:PATH"
    )
