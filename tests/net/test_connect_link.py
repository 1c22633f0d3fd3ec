"""The connect link: one spelling for each, nothing accepted without a pin."""

from __future__ import annotations

import base64
import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from e2ee.errors import Code, Failure
from e2ee.net.connect_link import LINK_CHARACTERS, ConnectLink, format_pin, is_ip_address

A, B = b"a" * 32, b"\xfb\xff" * 16
PIN_A, PIN_B = format_pin(A), format_pin(B)

HOSTS = st.one_of(
    st.ip_addresses().map(str),
    st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,8}){0,3}", fullmatch=True),
)
LINKS = st.builds(
    ConnectLink,
    HOSTS,
    st.integers(1, 65535),
    st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=2, unique=True).map(tuple),
    st.binary(max_size=32),
)


class ConnectLinkTests(SynchronousTestCase):
    """`ConnectLink.parse` and `str`."""

    def assert_refused(self, text: str, words: str = "") -> None:
        failure = self.assertRaises(Failure, ConnectLink.parse, text)
        self.assertEqual(failure.code, Code.USAGE)
        self.assertIn(words, failure.sentence)

    def test_two_pins_and_an_invite(self) -> None:
        link = ConnectLink.parse(f"e2ee://chat.example.org:8443/{PIN_A},{PIN_B}/aW52aXRl")
        self.assertEqual(link, ConnectLink("chat.example.org", 8443, (A, B), b"invite"))

    def test_one_pin(self) -> None:
        link = ConnectLink.parse(f"e2ee://127.0.0.1:1/{PIN_A}")
        self.assertEqual(link, ConnectLink("127.0.0.1", 1, (A,)))

    def test_an_ipv6_address_stands_in_brackets(self) -> None:
        link = ConnectLink.parse(f"e2ee://[::1]:65535/{PIN_A}")
        self.assertEqual((link.host, link.port), ("::1", 65535))
        self.assertEqual(str(link), f"e2ee://[::1]:65535/{PIN_A}")

    def test_pins_are_base64url_without_padding(self) -> None:
        self.assertEqual(PIN_B, "sha256:" + base64.urlsafe_b64encode(B).decode().rstrip("="))
        self.assertIn("-", PIN_B)
        self.assertEqual(len(PIN_B), len("sha256:") + 43)

    def test_a_host_name_in_capitals_is_the_same_host(self) -> None:
        self.assertEqual(ConnectLink.parse(f"e2ee://Chat.Example.ORG:1/{PIN_A}").host, "chat.example.org")

    def test_the_invite_is_in_no_repr(self) -> None:
        self.assertNotIn("topsecret", repr(ConnectLink("localhost", 1, (A,), b"topsecret")))

    def test_no_pin(self) -> None:
        for text in ("e2ee://h:1", "e2ee://h:1/", "e2ee://h:1//aW52aXRl"):
            self.assert_refused(text, "no pin")

    def test_three_pins(self) -> None:
        self.assert_refused(f"e2ee://h:1/{PIN_A},{PIN_B},{format_pin(b'c' * 32)}", "one or two pins")

    def test_the_same_pin_twice(self) -> None:
        self.assert_refused(f"e2ee://h:1/{PIN_A},{PIN_A}", "the same")

    def test_pins_of_another_spelling(self) -> None:
        standard = "sha256:" + base64.b64encode(B).decode().rstrip("=")
        for pin in (
            PIN_A + "=", PIN_A[:-1], PIN_A + "A", PIN_A.upper(), PIN_A[7:], standard,
            "sha1:" + PIN_A[7:], "sha256:", PIN_A[:-1] + "F", f"{PIN_A},", f",{PIN_A}",
        ):  # fmt: skip
            self.assert_refused(f"e2ee://h:1/{pin}")

    def test_ports(self) -> None:
        for port in ("", "0", "65536", "08", "+1", "1_0", "\uff11", "-1", "1.0", "99999999"):
            self.assert_refused(f"e2ee://h:{port}/{PIN_A}", "port")

    def test_hosts(self) -> None:
        for host in (
            "", "a b", "-a", "a-", "a..b", ".", "\u00e4.example", "1.2.3", "1.2.3.4.5", "256.1.1.1",
            "01.2.3.4", "[1.2.3.4]", "[h]", "[::1", "::1]", "[fe80::1%eth0]", "[]", "a" * 64,
            "u@h", "h\n", "h%20",
        ):  # fmt: skip
            self.assert_refused(f"e2ee://{host}:1/{PIN_A}")

    def test_other_spellings_around_it(self) -> None:
        good = f"e2ee://h:1/{PIN_A}"
        for text in (
            good + "/", good + " ", " " + good, good + "\n", good + "/aW52aXRl/", good + "?x=1", good + "#x",
            "E2EE" + good[4:], "https" + good[4:], f"e2ee:h:1/{PIN_A}", f"e2ee://h/{PIN_A}", "", "e2ee://",
            good + "/" + "A" * LINK_CHARACTERS,
        ):  # fmt: skip
            self.assert_refused(text)

    def test_an_invite_has_32_bytes_at_most(self) -> None:
        ConnectLink("h", 1, (A,), b"i" * 32)
        self.assertRaises(Failure, ConnectLink, "h", 1, (A,), b"i" * 33)

    def test_a_host_is_an_address_or_a_name(self) -> None:
        for host, expected in (("127.0.0.1", True), ("::1", True), ("localhost", False), ("1a.b", False)):
            self.assertIs(is_ip_address(host), expected)

    @settings(deadline=None, max_examples=150)
    @given(link=LINKS)
    def test_the_round_trip(self, link: ConnectLink) -> None:
        self.assertEqual(ConnectLink.parse(str(link)), link)

    @settings(deadline=None, max_examples=200)
    @given(link=LINKS, at=st.integers(0, 500), char=st.characters())
    def test_a_mutation_is_another_link_or_refused(self, link: ConnectLink, at: int, char: str) -> None:
        text = str(link)
        at %= len(text)
        changed = text[:at] + char + text[at + 1 :]
        with contextlib.suppress(Failure):
            parsed = str(ConnectLink.parse(changed))
            # Only a host may have been written in other ways: in capitals, or an address with zeros.
            self.assertEqual(parsed.split("/")[3:], changed.split("/")[3:])
            port, expected = (each.split("/")[2].rpartition(":")[2] for each in (parsed, changed))
            self.assertEqual(port, expected)

    @settings(deadline=None, max_examples=200)
    @given(text=st.text(max_size=120))
    def test_any_text_raises_nothing_else(self, text: str) -> None:
        for candidate in (text, "e2ee://" + text, f"e2ee://{text}/{PIN_A}"):
            with contextlib.suppress(Failure):
                ConnectLink.parse(candidate)
