"""What operators are warned of, from when on, and what they are told to do."""

from __future__ import annotations

import resource
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from e2ee.server.copying import Copying
from e2ee.server.counters import FAILURES, CodeOutcome
from e2ee.server.credentials import RENEWAL_DAYS
from e2ee.server.examination import (
    BACKUP_DAYS,
    FREE_ERROR_BYTES,
    FREE_WARNING_BYTES,
    OPEN_FILES,
    Examination,
    Finding,
    Level,
)
from e2ee.server.policy import DAY_SECONDS, Policy, RegistrationMode
from e2ee.server.secret_source import SecretSource
from e2ee.server.senders.interface import CodeNotSent
from e2ee.store.stepping import sqlite_error
from tests.server.registration_house import RecordingSender
from tests.server.running_house import KEY, WALL, RunningCase


class ReachableSender(RecordingSender):
    """One that can be tried."""

    trouble = ""

    async def reach(self) -> None:
        """As told."""
        if self.trouble:
            raise CodeNotSent(self.trouble)


class ExaminationTests(RunningCase):
    """All is well but for the backup key, and that no backup was made."""

    def setUp(self) -> None:
        super().setUp()
        self.copying = Copying(self.running, KEY)
        self.limit = OPEN_FILES
        self.free = FREE_WARNING_BYTES
        self.patch(resource, "getrlimit", lambda which: (self.limit, self.limit))
        self.patch(shutil, "disk_usage", lambda path: SimpleNamespace(free=self.free))

    def look(self) -> list[Finding]:
        answer = self.now(Examination(self.running, self.copying).answer())
        findings: list[dict[str, str]] = answer["findings"]  # type: ignore[assignment]
        return [Finding(each["name"], Level(each["level"]), each["message"]) for each in findings]

    def find(self, name: str) -> Finding:
        return next(finding for finding in self.look() if finding.name == name)

    def assert_level(self, name: str, level: Level, part: str = "") -> None:
        found = self.find(name)
        self.assertIs(found.level, level, found.message)
        self.assertIn(part, found.message)

    def test_all_is_well(self) -> None:
        self.state.remove("backup-key.pem")
        self.now(self.running.facts.put("backed_up_at", int(WALL * 1000).to_bytes(8, "big")))
        self.assertEqual({finding.level for finding in self.look()}, {Level.OK})

    def test_advice_is_nothing_that_matters(self) -> None:
        self.assert_level("backup key", Level.ADVICE, "move it to a safe place")
        self.assert_level("backup", Level.ADVICE, "none was ever made")
        self.assertFalse(any(finding.matters for finding in self.look()))

    def test_the_certificate_from_thirty_days_before_its_end(self) -> None:
        end = self.running.identity.credentials.certificate.not_valid_after_utc
        for days, level in ((RENEWAL_DAYS, Level.OK), (RENEWAL_DAYS - 1, Level.WARNING), (-1, Level.ERROR)):
            self.wall = (end - timedelta(days=days)).timestamp()
            self.assert_level("certificate", level, f"in {days} days")

    def test_a_host_that_the_certificate_does_not_name(self) -> None:
        self.reconfigure(hosts=("chat.example.org", "other.example.org"))
        found = [finding.message for finding in self.look() if finding.name == "certificate"]
        self.assertEqual((len(found), "other.example.org" in found[1]), (2, True))

    def test_no_backup_key(self) -> None:
        self.running.identity.backup_pin = self.running.identity.pin
        self.assert_level("backup key", Level.WARNING, "rotate-certificate")

    def test_files_that_others_can_read(self) -> None:
        (self.path / "server.secret").chmod(0o640)
        self.assert_level("permissions", Level.ERROR, "chmod 600")

    def test_a_secret_that_lies_elsewhere(self) -> None:
        elsewhere = self.path / "elsewhere"
        self.reconfigure(secret=SecretSource.parse(f"file:{elsewhere}"))
        self.assert_level("secret", Level.ADVICE, f"file:{elsewhere}, and {self.path / 'server.secret'}")
        self.state.remove("server.secret")
        self.state.write("elsewhere", b"x")
        elsewhere.chmod(0o640)
        self.assert_level("permissions", Level.OK)
        elsewhere.chmod(0o644)
        self.assert_level("permissions", Level.ERROR, f"chmod o=,g-w {elsewhere}")
        self.assertNotIn("secret", [finding.name for finding in self.look()])

    def test_the_secret_before_a_rotation(self) -> None:
        self.state.write("server.secret.old", b"x")
        self.assert_level("secret", Level.ADVICE, "server.secret.old opens the backups")

    def test_the_disk(self) -> None:
        for free, level in (
            (FREE_WARNING_BYTES, Level.OK), (FREE_WARNING_BYTES - 1, Level.WARNING),
            (FREE_ERROR_BYTES, Level.WARNING), (FREE_ERROR_BYTES - 1, Level.ERROR),
        ):  # fmt: skip
            self.free = free
            self.assert_level("disk", level)

    def test_the_age_of_the_last_backup(self) -> None:
        self.now(self.running.facts.put("backed_up_at", int(WALL * 1000).to_bytes(8, "big")))
        for days, level in ((0, Level.OK), (BACKUP_DAYS, Level.OK), (BACKUP_DAYS + 1, Level.ADVICE)):
            self.wall = WALL + days * DAY_SECONDS
            self.assert_level("backup", level, f"{days} days ago")

    def test_open_files(self) -> None:
        for self.limit, level in ((OPEN_FILES, Level.OK), (OPEN_FILES - 1, Level.ADVICE)):
            self.assert_level("open files", level)

    def test_codes_that_could_not_be_sent(self) -> None:
        counters = self.town.rooms.counters
        counters.code(CodeOutcome.SENT, 0.1)
        counters.code(CodeOutcome.NUMBER, 0.1)
        self.assertNotIn("passcodes", {finding.name for finding in self.look()})
        for outcome in FAILURES:
            counters.code(outcome, 1.0)
        self.assert_level("passcodes", Level.WARNING, "4 of 5")

    def test_the_code_sender(self) -> None:
        self.assert_level("passcode sender", Level.OK, "cannot be tried")
        sender = ReachableSender()
        self.running.delivery.replace(sender)
        self.assert_level("passcode sender", Level.OK, "can be reached")
        sender.trouble = "the gateway does not answer"
        self.assert_level("passcode sender", Level.ERROR, "file: the gateway does not answer")
        self.reconfigure(otp="console")
        self.assert_level("passcode sender", Level.ADVICE, "into the log")
        self.town.rooms.apply(replace(Policy(), registration=RegistrationMode.CLOSED))
        self.assert_level("passcode sender", Level.OK, "not needed")

    def test_a_damaged_database(self) -> None:
        self.faults.add("PRAGMA integrity_check", sqlite_error(11, "database disk image is malformed"))
        self.assert_level("database", Level.ERROR, "restore a backup")

    def test_warnings_go_to_the_log_as_well(self) -> None:
        said: list[str] = []
        self.patch(type(self.running.identity), "_log", _Log(said))
        identity = self.running.identity
        end = identity.credentials.certificate.not_valid_after_utc
        identity.warn(datetime.fromtimestamp(WALL, UTC))
        self.assertEqual(said, [])
        identity.warn(end - timedelta(days=RENEWAL_DAYS - 1))
        self.assertIn("expires in", said[0])


class _Log:
    def __init__(self, said: list[str]) -> None:
        self._said = said

    def warn(self, text: str, **fields: object) -> None:
        """Keep it."""
        self._said.append(text)
