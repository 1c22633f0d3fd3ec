"""Where the server's secret comes from, if not from the state directory: a file, a credential, a command.

Knows the three forms of `--secret`, and how a secret is written; not what it opens. A credential is
what systemd hands over in $CREDENTIALS_DIRECTORY. Reading blocks, and is done before the reactor runs.
No secret, and nothing that a command prints, appears in any text.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from e2ee.errors import E2eeError
from e2ee.server.state_directory import StateRefused, decode_secret, read_given

COMMAND_SECONDS = 30.0
"""A key store on another machine may be slow; a start that waits for ever helps nobody."""
_MOST_BYTES = 1024
_CREDENTIALS = "CREDENTIALS_DIRECTORY"


class SecretRefused(StateRefused):
    """There is no secret there; the text says why, and never what was there instead."""


class NoSecretSource(E2eeError, ValueError):
    """The option has none of the three forms. Its text is not repeated: it may be a secret."""


@dataclass(frozen=True, slots=True, repr=False)
class SecretSource:
    """`kind` is ``file``, ``credential`` or ``command``; `where` is what stands behind the colon."""

    kind: str
    where: str

    @classmethod
    def parse(cls, option: str) -> Self:
        """``file:PATH``, ``credential:NAME`` or ``command:COMMAND``. Raises NoSecretSource."""
        kind, _, where = option.partition(":")
        if kind not in ("file", "credential", "command") or not where.strip():
            raise NoSecretSource(
                "secret is file:PATH, credential:NAME or command:COMMAND, and never the secret itself"
            )
        if kind == "credential" and ("/" in where or where.startswith(".")):
            raise NoSecretSource("secret is credential:NAME, with the name of one file")
        if kind == "file":
            where = os.path.abspath(where)
        elif kind == "command" and not _words(where):
            raise NoSecretSource("secret is command:COMMAND, with quotes that end")
        return cls(kind, where)

    def __str__(self) -> str:
        # A command may have arguments that are nobody's business.
        return f"command:{_words(self.where)[0]} …" if self.kind == "command" else f"{self.kind}:{self.where}"

    __repr__ = __str__

    def read(self, environment: Mapping[str, str]) -> bytes:
        """The secret, 32 bytes. Raises StateRefused."""
        if self.kind == "command":
            return decode_secret(_output(_words(self.where)), f"what {self} prints")
        return decode_secret(read_given(self._path(environment), _MOST_BYTES), str(self))

    @property
    def file(self) -> Path | None:
        """The file that it is read from, if it is the operator's own."""
        return Path(self.where) if self.kind == "file" else None

    def _path(self, environment: Mapping[str, str]) -> Path:
        if self.kind == "file":
            return Path(self.where)
        directory = environment.get(_CREDENTIALS)
        if not directory:
            raise SecretRefused(
                f"{self} comes from a service manager, but ${_CREDENTIALS} is not set: is there a"
                " LoadCredential= for it?"
            )
        return Path(directory, self.where)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _output(command: list[str]) -> bytes:
    """What it prints, if it ends well and in time. What it says on standard error is not shown either."""
    name = command[0]
    deadline = time.monotonic() + COMMAND_SECONDS
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise SecretRefused(f"the command {name} cannot be run: {error.strerror}") from None
    with process:
        try:
            printed = _read_until(process, deadline)
            status = process.wait(max(0.0, deadline - time.monotonic()))
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, (TimeoutError, subprocess.TimeoutExpired)):
                seconds = f"{COMMAND_SECONDS:.0f} seconds"
                raise SecretRefused(f"the command {name} did not end within {seconds}") from None
            raise
    if status:
        raise SecretRefused(f"the command {name} failed with status {status}: run it by hand to see why")
    return printed


def _read_until(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """To the end of its output, or a little more than a secret. Raises TimeoutError."""
    if process.stdout is None:
        raise SecretRefused("the command has no output")
    printed = bytearray()
    while len(printed) <= _MOST_BYTES:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        chunk = os.read(process.stdout.fileno(), _MOST_BYTES)
        if not chunk:
            return bytes(printed)
        printed += chunk
    raise SecretRefused("the command prints more than a secret")
