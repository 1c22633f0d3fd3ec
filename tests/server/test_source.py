"""A source is an IPv4 address or an IPv6 /64."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.source import source_of


class SourceTests(SynchronousTestCase):
    def test_an_ipv4_address_is_a_source(self) -> None:
        self.assertEqual(source_of("192.0.2.1"), "192.0.2.1")
        self.assertNotEqual(source_of("192.0.2.1"), source_of("192.0.2.2"))

    def test_an_ipv6_64_is_a_source(self) -> None:
        self.assertEqual(source_of("2001:db8:0:1::1"), source_of("2001:db8:0:1:ffff::2"))
        self.assertNotEqual(source_of("2001:db8:0:1::1"), source_of("2001:db8:0:2::1"))

    def test_ipv4_inside_ipv6_is_ipv4(self) -> None:
        self.assertEqual(source_of("::ffff:192.0.2.1"), "192.0.2.1")

    def test_a_zone_does_not_make_another_source(self) -> None:
        self.assertEqual(source_of("fe80::1%eth0"), source_of("fe80::1%eth1"))

    def test_what_has_no_address_is_one_source(self) -> None:
        self.assertEqual(source_of(""), source_of("/run/socket"))
