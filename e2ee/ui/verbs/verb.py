"""What all verbs share: help that begins with examples, the common options, and a body on the reactor.

Knows click; bodies are imported only when they run, so that help and usage errors are quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from e2ee.ui.options import global_options

CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Verb(click.Command):
    """A command whose help begins with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first, then what click writes."""
        write_examples(self.examples, formatter)
        super().format_help(ctx, formatter)


class VerbGroup(click.Group):
    """A group of commands whose help begins with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first, then what click writes."""
        write_examples(self.examples, formatter)
        super().format_help(ctx, formatter)


Declared = Callable[[Callable[..., int | None]], VerbGroup]


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """The section that help begins with."""
    formatter.write("Examples:\n")
    for example in examples:
        formatter.write(f"  {example}\n")
    formatter.write("\n")


def verb(
    name: str, *examples: str, arguments_follow: bool = False
) -> Callable[[Callable[..., int]], click.Command]:
    """Declares a verb with the common options; `arguments_follow`: none of them after the first argument."""
    settings = {**CONTEXT_SETTINGS, "allow_interspersed_args": not arguments_follow}

    def declare(body: Callable[..., int]) -> click.Command:
        command = click.command(name, cls=Verb, examples=examples, context_settings=settings)
        return command(global_options(environment=False)(body))

    return declare


def verb_group(name: str, *examples: str, environment: bool = False, **settings: Any) -> Declared:
    """Declares a group of verbs with the common options; `environment`: see `global_options`."""

    def declare(body: Callable[..., int | None]) -> VerbGroup:
        command = click.group(
            name, cls=VerbGroup, examples=examples, context_settings=CONTEXT_SETTINGS, **settings
        )
        return command(global_options(environment=environment)(body))

    return declare
