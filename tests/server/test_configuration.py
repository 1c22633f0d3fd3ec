"""Command line before environment before file, and one sentence for whatever is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.configuration import (
    Choice,
    Configuration,
    ConfigurationError,
    configure,
    with_backlog,
)
from e2ee.server.policy import (
    LIMIT_NAMES,
    LISTEN_BACKLOG,
    Policy,
    PolicyError,
    PresencePolicy,
    RegistrationMode,
)


class ConfigureTests(SynchronousTestCase):
    """Three sources, one configuration."""

    def file(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def refused(self, given: Mapping[str, Choice], **environment: str) -> str:
        return str(self.assertRaises(ConfigurationError, configure, given, environment))

    def test_defaults(self) -> None:
        state = Path("e2ee-state").absolute()
        self.assertEqual(
            configure({}, {}),
            Configuration(
                state, "tcp:8443", (), None, None, state / "server.sqlite3", "console", None, "text", Policy()
            ),
        )

    def test_command_line_before_environment_before_file(self) -> None:
        file = self.file('otp = "file:f"\nlisten = "tcp:1"\npresence = "nobody"')
        environment = {"E2EE_SERVER_OTP": "file:e", "E2EE_SERVER_LISTEN": "tcp:2"}
        made = configure({"config": file, "otp": "file:c"}, environment)
        self.assertEqual((made.otp, made.listen), ("file:c", "tcp:2"))
        self.assertIs(made.policy.presence, PresencePolicy.NOBODY)

    def test_room_for_a_second_of_connections(self) -> None:
        for listen in ("tcp:8443", "tcp6:8443:interface=\\:\\:1", "haproxy:tcp:8443"):
            self.assertEqual(with_backlog(listen), f"{listen}:backlog={LISTEN_BACKLOG}")
        for listen in ("tcp:8443:backlog=5", "unix:/run/e2ee", "systemd:domain=INET:index=0"):
            self.assertEqual(with_backlog(listen), listen)

    def test_names_in_the_environment(self) -> None:
        environment = {
            "E2EE_STATE_DIR": "/s",
            "E2EE_SERVER_HOST": "A.example 192.0.2.1",
            "E2EE_SERVER_CONFIG": self.file('registration = "closed"'),
        }
        made = configure({}, environment)
        self.assertEqual((made.state_dir, made.hosts), (Path("/s"), ("a.example", "192.0.2.1")))
        self.assertIs(made.policy.registration, RegistrationMode.CLOSED)

    def test_lists_and_limits_in_the_file(self) -> None:
        file = self.file('host = ["a", "b"]\n[limits]\nmailbox_days = 0.5\ncodes_burst = 0')
        made = configure({"config": file}, {})
        self.assertEqual((made.hosts, made.policy.mailbox_days), (("a", "b"), 0.5))
        self.assertEqual(made.policy.passcode_limits().waits_seconds, ())

    def test_who_may_register(self) -> None:
        file = self.file('registration = "invite"\nallow_prefix = ["+44", "+1555", "+44"]')
        policy = configure({"config": file}, {}).policy
        self.assertIs(policy.registration, RegistrationMode.INVITE)
        self.assertEqual(policy.allowed_prefixes, ("+44", "+1555"))
        policy = configure({}, {"E2EE_SERVER_ALLOW_PREFIX": "+44 +1"}).policy
        self.assertEqual(policy.allowed_prefixes, ("+44", "+1"))
        self.assertEqual(configure({"allow_prefix": ["+44"]}, {}).policy.allowed_prefixes, ("+44",))
        for prefix in ("44", "+", "+0", "+44x", "+\u0664\u0664", "+1234567890123456", ""):
            self.assertIn("allow-prefix", self.refused({"allow_prefix": [prefix]}))

    def test_where_the_secret_comes_from(self) -> None:
        self.assertIsNone(configure({}, {}).secret)
        file = self.file('secret = "credential:e2ee.secret"')
        self.assertEqual(str(configure({"config": file}, {}).secret), "credential:e2ee.secret")
        made = configure({"config": file}, {"E2EE_SERVER_SECRET": "file:secret"}).secret
        assert made is not None
        self.assertEqual(made.file, Path("secret").absolute())
        self.assertNotIn("ab" * 32, self.refused({"secret": "ab" * 32}))

    def test_what_is_not_available_yet_says_so(self) -> None:
        sentence = self.refused({"database": "postgresql://u:secret@h/d"})
        self.assertIn("not available yet", sentence)
        self.assertNotIn("secret", sentence)

    def test_what_is_wrong_is_one_sentence(self) -> None:
        for name, value in (
            ("registration", "maybe"), ("presence", "some"), ("database", "x"), ("certificate", "c"),
            ("listen", "ssl:1"), ("listen", "tcp:65536"), ("listen", "tcp:-5"), ("listen", "tcp6:port=-1"),
            ("listen", "tcp:" + "9" * 5000), ("config", "/nowhere/at/all"), ("metrics", "ssl:1"),
            ("metrics", "tcp:65536"), ("log_format", "xml"),
        ):  # fmt: skip
            self.assertNotIn("\n", self.refused({name: value}))
        self.assertIn("host", self.refused({"host": ["not a host"]}))

    def test_files_that_are_wrong(self) -> None:
        for text in ("nothing", 'nope = "x"', "listen = 1", 'host = "a"', "limits = 1", "[limits]\nnope = 1"):
            self.refused({"config": self.file(text)})


class PolicyTests(SynchronousTestCase):
    """The names of docs/limits.md, with their bounds."""

    def test_exactly_these_names(self) -> None:
        self.assertEqual(len(LIMIT_NAMES), 21)
        for name in LIMIT_NAMES:
            self.assertEqual(getattr(Policy().with_limits({name: 0}), name), 0)

    def test_values_that_cannot_be(self) -> None:
        for name, value in (
            ("nope", 1), ("registration", "closed"), ("connections", 1.5), ("connections", -1),
            ("connections", True), ("connections", "1"), ("mailbox_share", 1.01), ("mailbox_days", -0.1),
            ("mailbox_days", float("nan")), ("connections", 2**53 + 1),
        ):  # fmt: skip
            self.assertRaises(PolicyError, Policy().with_limits, {name: value})

    def test_zero_is_no_limit(self) -> None:
        policy = Policy().with_limits({"messages_per_second": 0, "codes_total": 0})
        self.assertEqual((policy.messages().burst, policy.passcode_limits().total.burst), (0, 0))

    def test_the_documented_values(self) -> None:
        codes, messages = Policy().passcode_limits(), Policy().messages()
        self.assertEqual((codes.codes.burst, codes.codes.refill_seconds), (6, 3600))
        self.assertEqual((codes.source.burst, codes.source.refill_seconds), (20, 180))
        self.assertEqual((messages.burst, messages.refill_seconds), (200, 0.05))
        self.assertEqual(Policy().mailbox_limits().seconds, 30 * 86400)
