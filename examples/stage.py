"""A server and clients as real processes in a temporary directory, for the demonstration.

Knows the command line only: everything here can be typed by hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Self

PATIENCE_SECONDS = 120.0
"""Until something counts as not happening at all, on a machine that is slow and does much else."""
COMMAND_SECONDS = 60.0
"""For a command to reach the server, as its `--timeout`."""


class StageError(Exception):
    """Something that the demonstration waited for did not happen."""


def program(name: str) -> str:
    """The installed command of this name, beside the running interpreter or on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise StageError(f"{name} is not installed; run: pip install .")
    return found


def wait_until(what: str, condition: Callable[[], bool], patience: float = PATIENCE_SECONDS) -> None:
    """Wait for something of another process; raises StageError after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise StageError(f"gave up waiting for {what}")
        time.sleep(0.02)


class Screen:
    """What a client process has printed, shown with the name of whose screen it is."""

    def __init__(self, stream: IO[str], title: str, show: bool) -> None:
        self.lines: list[str] = []
        self._stream = stream
        self._title = title
        self._show = show
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self.lines.append(line.rstrip("\n"))
            if self._show:
                print(f"  {self._title:>6} | {line}", end="", flush=True)

    def wait_for(self, text: str) -> None:
        """Wait until a printed line contains this text."""
        wait_until(f"{text!r} on {self._title}'s screen", lambda: any(text in line for line in self.lines))

    def finish(self) -> None:
        """Wait for the end of the output."""
        self._thread.join(PATIENCE_SECONDS)


class Chat:
    """One `e2ee chat` process that is driven line by line through its pipes."""

    def __init__(self, stage: Stage, profile: str, *arguments: str, show: bool = True) -> None:
        self._title = profile
        self._show = show
        self._process = subprocess.Popen(
            [program("e2ee"), "--profile", profile, "chat", *arguments],
            env=stage.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise StageError("no pipes to the client")
        self._input = self._process.stdin
        self.screen = Screen(self._process.stdout, profile, show)

    def type(self, line: str) -> None:
        """Type a line."""
        if self._show:
            print(f"  {self._title:>6} > {line}", flush=True)
        self._input.write(line + "\n")
        self._input.flush()

    def see(self, address: str) -> None:
        """Ask who is online until somebody is: then both are there, and everything arrives at once."""
        self.screen.wait_for("* chat with")

        def asked() -> bool:
            # Counted before: the answer may be there before this line is over.
            count = len(self.screen.lines)
            self.type("/online")
            wait_until("an answer", lambda: len(self.screen.lines) > count)
            return any(line.startswith(address) for line in self.screen.lines)

        wait_until(f"{address} online", asked)

    def leave(self) -> None:
        """End of input, as a person ends with Ctrl-D; raises StageError unless it ends with 0."""
        self._input.close()
        status = self._process.wait(PATIENCE_SECONDS)
        self.screen.finish()
        if status != 0:
            raise StageError(f"the client ended with {status}")


class Stage:
    """A running server with a temporary directory; leaving the context ends and removes all."""

    server_options: Sequence[str] = ("--presence", "everyone")
    passed_files: Sequence[int] = ()
    patience = PATIENCE_SECONDS

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="e2ee-demo-"))
        self.state = self.directory / "server"
        self.codes = self.directory / "passcodes.jsonl"
        self.environment = dict(os.environ, E2EE_DATA_DIR=str(self.directory / "clients"))
        self._log = (self.directory / "server.log").open("wb")
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(self.patience)
        self._log.close()
        shutil.rmtree(self.directory)

    def listen(self) -> str:
        """The endpoint that the server listens on."""
        return "tcp:0:interface=127.0.0.1"

    def command(self) -> list[str]:
        """The server's command, up to its own options."""
        return [program("twistd"), "-n", "--pidfile=", "e2ee-server"]

    def start_server(self) -> str:
        """Start `twistd e2ee-server` on a free port of loopback; its connect link."""
        self.begin_server()
        link = self.state / "connect-link"
        wait_until("the server", lambda: link.exists() or self._ended(), self.patience)
        if self._ended():
            raise StageError("the server did not start:\n" + (self.directory / "server.log").read_text())
        return link.read_text().strip()

    def begin_server(self) -> None:
        """The same, without waiting for it."""
        self._server = subprocess.Popen(
            [
                *self.command(),
                "--state-dir", str(self.state),
                "--listen", self.listen(),
                "--otp", f"file:{self.codes}",
                *self.server_options,
            ],
            env=self.environment, stdout=self._log, stderr=self._log, pass_fds=self.passed_files,
        )

    def _ended(self) -> bool:
        return self._server is not None and self._server.poll() is not None

    def client_command(self) -> list[str]:
        """The client's command, up to its options."""
        return [program("e2ee")]

    def command_line(self, profile: str, *arguments: str) -> list[str]:
        """A command of the client. A `--timeout` among the arguments counts instead of the one here."""
        timeout = ("--timeout", str(COMMAND_SECONDS))
        return [*self.client_command(), "--profile", profile, *timeout, *arguments]

    def run(self, profile: str, *arguments: str) -> str:
        """One command of the client; its standard output. Raises StageError unless it ends with 0."""
        done = subprocess.run(
            self.command_line(profile, *arguments), env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", timeout=2 * self.patience, check=False,
        )
        if done.returncode != 0:
            raise StageError(f"e2ee {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def register(
        self, profile: str, link: str, address: str, *options: str, passphrase_file: Path | None = None
    ) -> str:
        """Register a profile with the passcode that the server wrote to its file."""
        protected = ["--no-passphrase"]
        if passphrase_file is not None:
            protected = ["--passphrase-file", str(passphrase_file)]
        newest_code = (
            f"grep -F \"$E2EE_ADDRESS\" '{self.codes}' | tail -n 1"
            " | sed 's/.*\"code\": *\"\\([0-9]*\\)\".*/\\1/'"
        )
        return self.run(
            profile, "register", link, address, *protected, "--code-command", newest_code, *options
        )

    def waiting(self) -> Sequence[bytes]:
        """The envelopes that wait in the server's database, opened with its secret."""
        import sqlcipher3

        connection = sqlcipher3.connect(f"file:{self.state / 'server.sqlite3'}?mode=ro", uri=True)
        try:
            secret = (self.state / "server.secret").read_text().strip()
            connection.execute(f"PRAGMA key = \"x'{secret}'\"")
            return [row[0] for row in connection.execute("SELECT envelope FROM mail ORDER BY seq")]
        finally:
            connection.close()

    def find_on_disk(self, text: str) -> list[str]:
        """The names of the server's files that contain this text in the clear."""
        return [
            path.name for path in sorted(self.state.iterdir())
            if path.is_file() and text.encode() in path.read_bytes()
        ]
