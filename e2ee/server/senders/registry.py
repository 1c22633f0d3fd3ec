"""The sender that ``--otp`` names, among all that are installed. Knows plugins, and no sender."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.plugin import getPlugins

from e2ee.server.senders.interface import (
    CodeSender,
    ICodeSenderPlugin,
    SenderRefused,
    SenderSurroundings,
)

_SHOWN_CHARACTERS = 20


def installed() -> list[ICodeSenderPlugin]:
    """Every kind of sender on this machine, ours and others' (`twisted.plugin`)."""
    return list(getPlugins(ICodeSenderPlugin))


def sender_from_option(
    option: str, around: SenderSurroundings, plugins: Iterable[ICodeSenderPlugin] | None = None
) -> CodeSender:
    """The sender for the text of ``--otp``.

    Opens files and looks for programs: what is wrong shows when the server starts, not with the
    first code. Raises SenderRefused, a ValueError whose text is for the operator.
    """
    known = sorted(installed() if plugins is None else plugins, key=lambda plugin: plugin.kind)
    kind = option.partition(":")[0]
    found = [plugin for plugin in known if plugin.kind == kind]
    if not found:
        # The rest of the option may hold a password: only its kind is repeated.
        ways = ", ".join(plugin.usage for plugin in known)
        raise SenderRefused(f"the passcode sender {kind[:_SHOWN_CHARACTERS]!a} is not known: use {ways}")
    if len(found) > 1:
        raise SenderRefused(f"more than one plugin is installed for the passcode sender {kind}")
    return _made(found[0], option, around)


def _made(plugin: ICodeSenderPlugin, option: str, around: SenderSurroundings) -> CodeSender:
    try:
        return plugin.make(option, around)
    except SenderRefused:
        raise
    except ModuleNotFoundError as error:
        raise SenderRefused(
            f"the passcode sender {plugin.kind} needs the Python module {error.name}, which is not installed"
            " (docs/operations/passcodes.md says how)"
        ) from None
    except Exception as error:
        # What others have written may fail in any way, and its text may repeat the option.
        raise SenderRefused(
            f"the passcode sender {plugin.kind} cannot be used: its plugin failed ({type(error).__name__})"
        ) from None
