"""A household whose server and clients have wall clocks that can be set, from one moment to the next.

Knows how programs are started with another clock; the product has no such switch.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.end_to_end.household import Household

HOUR, DAY = 3600, 86_400

_SKEWED = """
import os, sys, time
right = time.time
def skewed():
    with open(os.environ[{variable!r}]) as file:
        return right() + float(file.read())
time.time = skewed
from {module} import {function}
sys.argv = [{name!r}, *sys.argv[1:]]
{function}()
"""
"""A program whose wall clock is off by what stands in a file."""
_SERVER, _CLIENT = "SERVER_SKEW_FILE", "CLIENT_SKEW_FILE"


class SkewedHousehold(Household):
    """Everybody's clock is right at the beginning. All clients have one."""

    def __init__(self, *server_options: str) -> None:
        super().__init__(*server_options)
        self.skew = self._made(_SERVER)
        self._client_skew = self._made(_CLIENT)

    def _made(self, variable: str) -> Path:
        path = Path(self.directory / variable)
        path.write_text("0")
        self.environment[variable] = str(path)
        return path

    def command(self) -> list[str]:
        """The server, with its own clock."""
        program = _SKEWED.format(
            variable=_SERVER, module="twisted.scripts.twistd", function="run", name="twistd"
        )
        return [sys.executable, "-c", program, "-n", "--pidfile=", "e2ee-server"]

    def client_command(self) -> list[str]:
        """A client, with that of the clients."""
        program = _SKEWED.format(variable=_CLIENT, module="e2ee.ui.cli", function="main", name="e2ee")
        return [sys.executable, "-c", program]

    def set_clock(self, seconds: float) -> None:
        """The server's is off by so much from now on."""
        _write(self.skew, seconds)

    def set_clients_clock(self, seconds: float) -> None:
        """That of the clients is."""
        _write(self._client_skew, seconds)


def _write(path: Path, seconds: float) -> None:
    """In one step: somebody may be reading."""
    fresh = path.with_suffix(".new")
    fresh.write_text(str(seconds))
    fresh.replace(path)
