"""What an operator should know of before it hurts: `e2ee-admin check`, and the warnings of `status`.

Knows what is looked at and from when on it matters; each finding is one sentence that says what to do.
"""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from e2ee.errors import E2eeError, StoreError
from e2ee.server import credentials
from e2ee.server.copying import Copying
from e2ee.server.counters import FAILURES, CodeOutcome
from e2ee.server.policy import DAY_SECONDS, RegistrationMode
from e2ee.server.running import Running
from e2ee.server.state_directory import (
    BACKUP_KEY,
    FOR_OTHERS,
    OLD_SECRET,
    ONLY_OURS,
    PRIVATE,
    SECRET,
    StateRefused,
    refuse_readable,
)
from e2ee.store.server.snapshot import faults

MEBIBYTE = 1024 * 1024
FREE_WARNING_BYTES = 1024 * MEBIBYTE
FREE_ERROR_BYTES = 100 * MEBIBYTE
"""Below, a burst of mail may fill the disk; senders are then told to try later."""
BACKUP_DAYS = 7
OPEN_FILES = 4096
"""One file for each connection and some more: the usual 1,024 are not many."""


class Level(StrEnum):
    """How much a finding matters; the exit code of `check` is 1 from WARNING on."""

    OK = "ok"
    ADVICE = "advice"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    level: Level
    message: str

    @property
    def matters(self) -> bool:
        """Whether something should be done soon."""
        return self.level in (Level.WARNING, Level.ERROR)


@dataclass(frozen=True, slots=True)
class Examination:
    """One for the server."""

    running: Running
    copying: Copying

    async def answer(self) -> dict[str, object]:
        """Everything, for `check`; the database is read from its first page to its last."""
        found = [await self._database(), *await self.quick(), await self._sender()]
        return {
            "type": "check",
            "findings": [
                {"type": "finding", "name": each.name, "level": each.level.value, "message": each.message}
                for each in found
            ],
        }

    async def quick(self) -> list[Finding]:
        """What costs little to look at."""
        now = self.running.wall()
        found = await self.running.in_thread(lambda: [*self._files(), *self._disks(), *self._keys(now)])
        return [*found, await self._backups(now), *self._senders_failures(), _open_files()]

    async def _database(self) -> Finding:
        try:
            wrong = await self.running.database.aside(lambda connection, stopped: faults(connection))
        except StoreError as error:
            wrong = [str(error)]
        if wrong:
            return Finding(
                "database", Level.ERROR, f"is damaged; restore a backup on a sound disk: {'; '.join(wrong)}"
            )
        return Finding("database", Level.OK, "every page is authentic and every table sound")

    def _files(self) -> Iterator[Finding]:
        state, configuration = self.running.state, self.running.identity.configuration
        secret = configuration.secret
        given = [configuration.private_key, None if secret is None else secret.file]
        refused = [
            *_refusals([state.path / name for name in PRIVATE]),
            *_refusals([path for path in given if path is not None], FOR_OTHERS),
        ]
        for sentence in refused:
            yield Finding("permissions", Level.ERROR, sentence)
        if not refused:
            yield Finding("permissions", Level.OK, "nobody else can read the server's files")
        yield from self._secrets()

    def _secrets(self) -> Iterator[Finding]:
        state, source = self.running.state, self.running.identity.configuration.secret
        if source is not None and state.has(SECRET):
            yield Finding(
                "secret", Level.ADVICE, f"comes from {source}, and {state.path / SECRET} is still there: if a"
                " backup opens with it, move it to the backups, else remove it",
            )  # fmt: skip
        if state.has(OLD_SECRET):
            yield Finding(
                "secret", Level.ADVICE, f"{state.path / OLD_SECRET} opens the backups from before the secret"
                " was changed: move it to them",
            )  # fmt: skip

    def _disks(self) -> Iterator[Finding]:
        folders = {self.running.state.path, self.running.identity.configuration.database.parent}
        for folder in sorted(folders):
            free = shutil.disk_usage(folder).free
            level = Level.OK if free >= FREE_WARNING_BYTES else Level.WARNING
            level = level if free >= FREE_ERROR_BYTES else Level.ERROR
            yield Finding("disk", level, f"{free // MEBIBYTE} MiB are free for {folder}")

    def _keys(self, now: float) -> Iterator[Finding]:
        identity = self.running.identity
        left = credentials.days_left(identity.credentials, datetime.fromtimestamp(now, UTC))
        level = Level.OK if left >= credentials.RENEWAL_DAYS else Level.WARNING
        message = f"expires in {left} days"
        if level is Level.WARNING:
            message += ": renew it with the same key, then send SIGHUP (docs/operations/certificates.md)"
        yield Finding("certificate", level if left >= 0 else Level.ERROR, message)
        for host in credentials.unnamed_hosts(identity.configuration, identity.credentials):
            yield Finding("certificate", Level.WARNING, f"does not name {host}: clients refuse it there")
        yield self._backup_key()

    def _backup_key(self) -> Finding:
        identity = self.running.identity
        if identity.pin == identity.backup_pin:
            return Finding(
                "backup key", Level.WARNING, "there is none: make one with e2ee-admin rotate-certificate"
            )
        if identity.state.has(BACKUP_KEY):
            return Finding(
                "backup key",
                Level.ADVICE,
                f"{identity.state.path / BACKUP_KEY} is still on this machine: move it to a safe place, since"
                " whoever takes the active key here would take this one as well",
            )
        return Finding("backup key", Level.OK, "is not on this machine")

    async def _backups(self, now: float) -> Finding:
        last = await self.copying.last()
        if last is None:
            return Finding("backup", Level.ADVICE, "none was ever made: e2ee-admin backup FILE")
        days = int((now - last) // DAY_SECONDS)
        level = Level.OK if days <= BACKUP_DAYS else Level.ADVICE
        return Finding("backup", level, f"the last one was made {days} days ago")

    def _senders_failures(self) -> Iterator[Finding]:
        counts = self.running.rooms.counters.codes
        failed, sent = sum(counts[outcome] for outcome in FAILURES), counts[CodeOutcome.SENT]
        if failed:
            yield Finding(
                "passcodes", Level.WARNING, f"{failed} of {failed + sent} could not be sent since the start:"
                " the log says why",
            )  # fmt: skip

    async def _sender(self) -> Finding:
        running = self.running
        if running.rooms.registration.policy.registration is RegistrationMode.CLOSED:
            return Finding("passcode sender", Level.OK, "is not needed: registration is closed")
        option = running.identity.configuration.otp.partition(":")[0]
        if option == "console":
            return Finding(
                "passcode sender", Level.ADVICE, "writes codes into the log: choose another --otp"
                " before others use this server",
            )  # fmt: skip
        try:
            tried = await running.delivery.reach()
        except E2eeError as error:
            return Finding("passcode sender", Level.ERROR, f"{option}: {error}")
        message = "can be reached" if tried else "cannot be tried without sending a code"
        return Finding("passcode sender", Level.OK, f"{option}: {message}")


def _refusals(paths: list[Path], others: int = ONLY_OURS) -> Iterator[str]:
    for path in paths:
        try:
            refuse_readable(path, others)
        except StateRefused as refused:
            yield str(refused)


def _open_files() -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    used = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    if limit == resource.RLIM_INFINITY or limit >= OPEN_FILES:
        return Finding("open files", Level.OK, f"{used} of {limit}")
    return Finding(
        "open files",
        Level.ADVICE,
        f"at most {limit}, {used} are open: a connection is one each; raise it (LimitNOFILE=, ulimit -n)",
    )
