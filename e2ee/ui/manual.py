"""Manual pages (troff, man macros, section 1) made from the commands' own declarations.

Knows what click knows of a command, and `man(7)`; not what a command does. `make man` calls it: one page
for each command and verb, so that `man e2ee-send` says just what `e2ee send --help` does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import click

from e2ee import __version__
from e2ee.ui.exit_codes import MEANINGS

_ESCAPES = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
_ENVIRONMENT = "ENVIRONMENT"


def pages(command: click.Command, name: str) -> dict[str, str]:
    """The page of this command and of each one below it, by file name: `e2ee-outbox-cancel.1`."""
    contexts = _contexts(command, name)
    return {f"{context.command_path.replace(' ', '-')}.1": _page(context) for context in contexts}


def write_pages(directory: Path, commands: Sequence[tuple[str, click.Command]]) -> int:
    """Write the pages of these commands into `directory`; returns how many. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    made = {file: text for name, command in commands for file, text in pages(command, name).items()}
    for file, text in made.items():
        (directory / file).write_text(text, encoding="utf-8")
    return len(made)


def _contexts(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[click.Context]:
    context = click.Context(command, parent, info_name=name, **command.context_settings)
    yield context
    for below, found in _below(context):
        yield from _contexts(found, below, context)


def _below(context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """The commands of a group that are to be seen; of other commands none."""
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            found = context.command.get_command(context, name)
            if found is not None and not found.hidden:
                yield name, found


def _page(context: click.Context) -> str:
    title = context.command_path.replace(" ", "-")
    lines = [f'.TH "{title.upper()}" "1" "" "e2ee {__version__}" "e2ee"']
    lines += _section("NAME", [f"{_text(title)} \\- {_text(_summary(context.command))}"])
    usage = " ".join(context.command.collect_usage_pieces(context))
    lines += _section("SYNOPSIS", [f"\\fB{_text(context.command_path)}\\fR {_text(usage)}"])
    lines += _examples(context.command)
    lines += _description(context.command)
    lines += _commands(context)
    lines += _options(context)
    lines += _exit_codes(context)
    lines += _see_also(context)
    return "\n".join(lines) + "\n"


def _summary(command: click.Command) -> str:
    first = (command.help or "").split("\n\n")[0]
    return " ".join(first.split()).split(". ")[0].rstrip(".:")


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f".SH {title}", *lines] if lines else []


def _examples(command: click.Command) -> list[str]:
    examples = [f"  {_text(example)}" for example in getattr(command, "examples", ())]
    return _section("EXAMPLES", [".nf", *examples, ".fi"] if examples else [])


def _description(command: click.Command) -> list[str]:
    lines: list[str] = []
    for paragraph in (command.help or "").split("\n\n"):
        lines += [".PP", _text(" ".join(paragraph.split()))]
    return _section("DESCRIPTION", lines)


def _commands(context: click.Context) -> list[str]:
    lines = []
    for name, command in _below(context):
        lines += [".TP", f"\\fB{_text(name)}\\fR", _text(_summary(command))]
    return _section("COMMANDS", lines)


def _options(context: click.Context) -> list[str]:
    lines = []
    variables = []
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or isinstance(parameter, click.Argument):
            continue
        lines += [".TP", f"\\fB{_text(record[0])}\\fR", _text(record[1])]
        if isinstance(parameter.envvar, str):
            variables += [".TP", f"\\fB{_text(parameter.envvar)}\\fR", f"As {_text(parameter.opts[0])}."]
    return _section("OPTIONS", lines) + _section(_ENVIRONMENT, variables)


def _exit_codes(context: click.Context) -> list[str]:
    if context.find_root().info_name != "e2ee":
        return []
    if context.parent is not None:
        return _section("EXIT STATUS", ["As listed in \\fBe2ee\\fR(1)."])
    lines = []
    for code, meaning in MEANINGS.items():
        lines += [".TP", f"\\fB{code}\\fR", _text(meaning)]
    return _section("EXIT STATUS", lines)


def _see_also(context: click.Context) -> list[str]:
    root = context.find_root().command_path
    above = (context.parent.command_path.replace(" ", "-"),) if context.parent else ()
    others = dict.fromkeys((*above, root, "e2ee", "e2ee-admin"))
    others.pop(context.command_path.replace(" ", "-"), None)
    return _section("SEE ALSO", [", ".join(f"\\fB{_text(other)}\\fR(1)" for other in others)])


def _text(text: str) -> str:
    """As troff prints it unaltered; a line that begins with a control character is no request."""
    escaped = re.sub(r"[\\\-'`^~]|[^\x00-\x7f]", lambda found: _escape(found[0]), text)
    return "\\&" + escaped if escaped.startswith(".") else escaped


def _escape(character: str) -> str:
    return _ESCAPES.get(character) or f"\\[u{ord(character):04X}]"


def main(directory: str, *named: str) -> None:
    """`python -m e2ee.ui.manual DIR NAME=MODULE:COMMAND…`."""
    commands = []
    for one in named:
        name, _, place = one.partition("=")
        module, _, attribute = place.partition(":")
        commands.append((name, getattr(import_module(module), attribute)))
    click.echo(f"{write_pages(Path(directory), commands)} pages in {directory}")


if __name__ == "__main__":
    main(*sys.argv[1:])
