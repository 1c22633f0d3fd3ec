"""How `e2ee-admin` asks the running server: one question over the socket in its state directory.

Knows the socket, exit codes and how errors are told; not what is asked.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from e2ee.server.admin_requests import ANSWER_BYTES, Request

SOCKET = "admin.sock"
ANSWER_SECONDS = 30.0
LONG_SECONDS = 6 * 3600.0
"""For what reads the whole database."""
FAILED, USAGE, UNREACHABLE, UNAVAILABLE = 1, 2, 3, 5
_EXIT_CODES = {"usage": USAGE, "unavailable": UNAVAILABLE, "busy": UNAVAILABLE}


def ask(
    state_dir: Path, request: Request, as_json: bool = False, seconds: float = ANSWER_SECONDS
) -> dict[str, Any]:
    """One question to the running server; ends the program if there is no answer, or a refusal."""
    try:
        answer = _exchange(state_dir, msgspec.json.encode(request) + b"\n", seconds)
        found: dict[str, Any] = json.loads(answer) if answer else _nothing()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no answer"
        fail(f"no server answers in {state_dir}: {reason}", "unreachable", UNREACHABLE, as_json)
    if found["type"] == "error":
        code = str(found.get("code", "failed"))
        fail(str(found["message"]), code, _EXIT_CODES.get(code, FAILED), as_json)
    return found


def fail(sentence: str, code: str, exit_code: int, as_json: bool) -> NoReturn:
    """End the program with a sentence, and with JSON an object, on standard error."""
    click.echo(sentence, err=True)
    if as_json:
        error = {"type": "error", "code": code, "message": sentence, "retry_after": None}
        click.echo(json.dumps(error), err=True)
    raise SystemExit(exit_code)


def _nothing() -> dict[str, Any]:
    return {"type": "error", "message": "the server did not answer"}


def _exchange(state_dir: Path, question: bytes, seconds: float) -> bytes:
    """From inside the directory, since the path of a socket has 108 bytes at the most."""
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(state_dir)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(SOCKET)
            os.fchdir(here)
            return _talk(connection, question)
    finally:
        os.fchdir(here)
        os.close(here)


def _talk(connection: socket.socket, question: bytes) -> bytes:
    # A server that has answered without listening says why.
    with suppress(BrokenPipeError):
        connection.sendall(question)
    answer = bytearray()
    while chunk := connection.recv(65536):
        answer += chunk
        if len(answer) > ANSWER_BYTES:
            raise OSError(0, "its answer is too long")
    return bytes(answer)
