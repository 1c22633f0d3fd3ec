"""The options that every command has, before or after the verb.

Knows their names, environment variables and defaults, not what they change.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from e2ee import __version__

DEFAULT_TIMEOUT = 30.0
"""Seconds that a one-shot command tries to reach the server."""
LONGEST_TIMEOUT = 10.0**7

_GIVEN = "e2ee.options"
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for, whatever the verb. `timeout` is None where none was given."""

    profile: str = "default"
    data_dir: Path | None = None
    passphrase_file: Path | None = None
    json: bool = False
    verbose: int = 0
    timeout: float | None = None


class Seconds(click.ParamType[float]):
    """A number of seconds, 0 or more."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; fails for anything that is not a plain finite one."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0.0 <= seconds <= LONGEST_TIMEOUT:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


class FilePath(click.ParamType[Path]):
    """A path, in the bytes in which it was given, whatever the locale."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path as the operating system knows it."""
        if isinstance(value, Path):
            return value
        if not value or "\0" in value:
            self.fail("a path is not empty.", param, ctx)
        # Arguments were decoded as UTF-8; the file system may have another idea of text.
        return Path(os.fsdecode(value.encode("utf-8")))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Files, as the shell itself completes them."""
        return [CompletionItem(incomplete, type="file")]


def global_options(environment: bool) -> Callable[[Decorated], Decorated]:
    """Adds the common options; `environment`: with their variables, for the outermost command only."""

    def variable(name: str) -> str | None:
        return name if environment else None

    options = [
        click.option("--profile", metavar="NAME", envvar=variable("E2EE_PROFILE"),
                     help="The profile to use.  [default: default]", **_KEPT),
        click.option("--data-dir", metavar="DIR", type=FilePath(), envvar=variable("E2EE_DATA_DIR"),
                     help="Where profiles are kept.  [default: the platform's data directory]", **_KEPT),
        click.option("--passphrase-file", metavar="FILE", type=FilePath(),
                     envvar=variable("E2EE_PASSPHRASE_FILE"),
                     help="A file or pipe with the profile's passphrase.", **_KEPT),
        click.option("--json", is_flag=True, default=None, help="Print one JSON object a line.", **_KEPT),
        click.option("-v", "--verbose", count=True, default=None, help="Say more, on standard error.",
                     **_KEPT),
        click.option("--timeout", metavar="SECONDS", type=Seconds(),
                     help="How long to try to reach the server.  [default: 30]", **_KEPT),
        click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
                     help="Show the version and end."),
    ]  # fmt: skip

    def decorate(command: Decorated) -> Decorated:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    given: dict[str, Any] = context.meta.setdefault(_GIVEN, {})
    if parameter.name is not None and value is not None:
        source = context.get_parameter_source(parameter.name)
        if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            # The outer command comes first, and only it looks into the environment.
            given[parameter.name] = value
    return value


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo(f"e2ee {__version__}")
        context.exit()


_KEPT: dict[str, Any] = {"expose_value": False, "callback": _keep, "is_eager": True}


def given_options(context: click.Context) -> Options:
    """The options of this call, wherever they stood."""
    return Options(**context.meta.get(_GIVEN, {}))
