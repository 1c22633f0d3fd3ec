"""What a greeting may change of what a profile knows of its server."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from e2ee.client.linking import known_server
from e2ee.client.linking.known_server import after_greeting, offered_versions
from e2ee.errors import Code, Failure
from e2ee.net.connect_link import ConnectLink
from e2ee.store.client.identity import ServerRecord
from e2ee.wire.messages import Welcome
from tests.client.server_double import ACTIVE_PIN, BACKUP_PIN, LATER_PIN, LINK


def welcome(version: int = 1, backup_pin: bytes = BACKUP_PIN) -> Welcome:
    return Welcome(1, version, (), backup_pin)


class PinTests(SynchronousTestCase):
    """The pin set changes only on a connection that is served by the backup pin."""

    def pins(self, link: ConnectLink, served_by: bytes | None, announced: bytes) -> tuple[bytes, ...]:
        record = after_greeting(ServerRecord(str(link)), served_by, welcome(backup_pin=announced))
        return ConnectLink.parse(record.link).pins

    def test_the_active_key_changes_nothing(self) -> None:
        self.assertEqual(self.pins(LINK, ACTIVE_PIN, LATER_PIN), (ACTIVE_PIN, BACKUP_PIN))

    def test_the_backup_key_takes_over_with_its_new_backup(self) -> None:
        self.assertEqual(self.pins(LINK, BACKUP_PIN, LATER_PIN), (BACKUP_PIN, LATER_PIN))

    def test_a_backup_key_that_announces_itself_changes_nothing(self) -> None:
        self.assertEqual(self.pins(LINK, BACKUP_PIN, BACKUP_PIN), (ACTIVE_PIN, BACKUP_PIN))

    def test_with_one_pin_nothing_is_added(self) -> None:
        one = replace(LINK, pins=(ACTIVE_PIN,))
        self.assertEqual(self.pins(one, ACTIVE_PIN, LATER_PIN), (ACTIVE_PIN,))

    def test_without_a_certificate_nothing_changes(self) -> None:
        self.assertEqual(self.pins(LINK, None, LATER_PIN), (ACTIVE_PIN, BACKUP_PIN))


class VersionTests(SynchronousTestCase):
    """The highest version seen is remembered, and less is refused."""

    def setUp(self) -> None:
        self.patch(known_server, "VERSIONS", (1, 2, 3))

    def test_what_is_below_the_highest_seen_is_not_offered(self) -> None:
        offered = [offered_versions(seen) for seen in (0, 1, 2, 3)]
        self.assertEqual(offered, [(1, 2, 3), (1, 2, 3), (2, 3), (3,)])
        with self.assertRaises(Failure) as raised:
            offered_versions(4)
        self.assertEqual(raised.exception.code, Code.CERTIFICATE)

    def test_a_downgrade_is_refused(self) -> None:
        record = ServerRecord(str(LINK), highest_version=2)
        with self.assertRaises(Failure) as raised:
            after_greeting(record, ACTIVE_PIN, welcome(1))
        self.assertEqual(raised.exception.code, Code.CERTIFICATE)
        self.assertEqual(after_greeting(record, ACTIVE_PIN, welcome(2)).highest_version, 2)
        self.assertEqual(after_greeting(record, ACTIVE_PIN, welcome(3)).highest_version, 3)

    def test_a_version_that_nobody_offered_is_refused(self) -> None:
        with self.assertRaises(Failure):
            after_greeting(ServerRecord(str(LINK)), ACTIVE_PIN, welcome(4))
