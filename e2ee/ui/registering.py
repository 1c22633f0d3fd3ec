"""`e2ee register`: where code and PIN come from, and what is printed at the end.

Knows the sources of a code that the command line offers; the registration itself is the client's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from e2ee.client.registering.registration import CodeSource, register, source_from_options
from e2ee.errors import Code, Failure
from e2ee.ids import Address
from e2ee.ui.console import InThread
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation
from e2ee.ui.pins import pin_source
from e2ee.ui.terminal import Terminal

CERTIFICATES_BYTES = 1024 * 1024
"""The longest CA file; what a mistaken one may cost to read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What `register` was asked for. `code_file` is `-` for a line of standard input."""

    link: str = field(repr=False)
    address: Address
    code_file: Path | None = None
    code_command: str | None = None
    pin_file: Path | None = None
    no_passphrase: bool = False
    ca: Path | None = None
    again: bool = False
    kem: str = "ml-kem-1024"


async def run_registration(call: Invocation, asked: Asked) -> int:
    """Register this profile, and print who it is now. Raises Failure."""
    codes = code_source(call, asked)
    pins = await pin_source(call, asked.pin_file, codes)
    done = await register(
        call.reactor,
        call.profile,
        call.passphrases,
        link=asked.link,
        address=asked.address,
        codes=codes,
        pins=pins,
        no_passphrase=asked.no_passphrase,
        ca=_certificates(asked.ca),
        again=asked.again,
        kem=asked.kem,
        timeout=call.left(),
        entropy=os.urandom,
        on_broken=call.on_broken,
        notice=call.mention,
    )
    await call.show(
        [f"registered {done.address} device {done.device}"],
        {
            "type": "registered",
            "address": str(done.address),
            "device": str(done.device),
            "fingerprint": done.fingerprint,
        },
    )
    if call.terminal() is not None and not call.options.json:
        call.mention("next: e2ee chat NUMBER, or e2ee --help")
    return DONE


def code_source(call: Invocation, asked: Asked) -> CodeSource:
    """Where the code will come from. Raises Failure(USAGE) if there is no source, or more than one."""
    if asked.code_file is not None and asked.code_command is not None:
        raise Failure(Code.USAGE, "the code comes from --code-file or from --code-command, not from both")
    file = None if asked.code_file is None else str(asked.code_file)
    given = source_from_options(call.reactor, asked.address, file, asked.code_command)
    if given is not None:
        return given
    terminal = call.terminal()
    if terminal is None:
        raise Failure(
            Code.USAGE,
            "there is nowhere to read the code from: --code-file FILE (- for standard input),"
            " --code-command CMD, or a terminal",
        )
    return PromptedCode(terminal, asked.address, call.in_thread)


class PromptedCode:
    """A person types the code; a wrong one is asked for again while guesses remain."""

    interactive = True
    timed = False

    def __init__(self, terminal: Terminal, address: Address, in_thread: InThread) -> None:
        self._terminal = terminal
        self._question = f"Code sent to {address}:"
        self._in_thread = in_thread

    async def code(self) -> str:
        """What was typed, without the spaces around it."""
        return (await self._in_thread(lambda: self._terminal.ask(self._question))).strip()


def _certificates(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            found = file.read(CERTIFICATES_BYTES + 1)
    except OSError as error:
        raise Failure(Code.USAGE, f"the CA file cannot be read: {error.strerror}") from error
    if len(found) > CERTIFICATES_BYTES:
        raise Failure(Code.USAGE, "the CA file is too long to be one")
    return found
