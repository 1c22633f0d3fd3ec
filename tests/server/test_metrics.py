"""The metrics: each is documented, each that an alert or a panel names exists, and no label is anybody's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.core import Sample
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from e2ee.server.counters import FAILURES, CodeOutcome, Counters, Limit
from e2ee.server.metrics import GAUGES, ServerCollector, registry
from e2ee.server.policy import LIMIT_NAMES, Policy
from e2ee.server.refusal import Refusal
from e2ee.server.vitals import Vitals
from e2ee.store.figures import CommitFigures
from e2ee.store.server.ports import PasscodeLimit
from e2ee.wire import messages as m
from tests.server.town import ALICE, BOB, CAROL, TownCase

OPERATIONS = Path(__file__).parent.parent.parent / "docs" / "operations"
PREKEYS = {"x25519": (5, 1), "kem": (0, 3)}
EVERYTHING = Vitals(
    accounts=1, mailbox_messages=2, mailbox_bytes=3, mailbox_deepest=4, mailbox_oldest_seconds=5.0,
    files=1, files_bytes=65600,
    database_bytes=6, database_log_bytes=7, disk_free_bytes=8,
    certificate_expiry_timestamp_seconds=9.0, last_backup_timestamp_seconds=0.0, prekeys=PREKEYS,
)  # fmt: skip


def samples(counters: Counters, vitals: Vitals = EVERYTHING) -> list[Sample]:
    """All that a scrape would show."""
    made = registry(ServerCollector(counters, CommitFigures(), vitals))
    return [sample for family in made.collect() for sample in family.samples]


def value(counters: Counters, name: str, **labels: str) -> float:
    """One figure."""
    [found] = [each.value for each in samples(counters) if (each.name, each.labels) == (name, labels)]
    return found


def names() -> set[str]:
    """Of all samples, as a query has them."""
    counters = Counters()
    counters.refused(m.LogIn(1, "+15550100101", b"d" * 8, b"s" * 64), m.RefusalCode.LOGIN_REFUSED, None)
    return {sample.name for sample in samples(counters)}


def base(name: str) -> str:
    """A histogram has three sorts of samples and one name."""
    stem = re.sub(r"_(bucket|sum|count)$", "", name)
    return stem if f"{stem}_bucket" in names() else name


class DocumentedTests(SynchronousTestCase):
    """docs/operations/ and the code say the same."""

    def test_every_metric_is_documented_and_every_documented_one_exists(self) -> None:
        page = (OPERATIONS / "metrics.md").read_text("utf-8")
        documented = set(re.findall(r"`((?:e2ee|process|python)_[a-z_]+)`", page))
        existing = {base(name) for name in names()}
        self.assertEqual(existing - documented, set())
        # What the process and the interpreter tell depends on the system.
        self.assertEqual({name for name in documented - existing if name.startswith("e2ee_")}, set())

    def test_every_limit_is_documented(self) -> None:
        page = (OPERATIONS / "metrics.md").read_text("utf-8").partition("### The limits")[2]
        for limit in Limit:
            self.assertIn(f"`{limit.value}`", page)

    def test_the_alerts_name_what_exists(self) -> None:
        rules = (OPERATIONS / "e2ee-alerts.yml").read_text("utf-8")
        expressions = re.findall(r"expr: (.*)", rules)
        self.assertEqual(len(expressions), rules.count("- alert:"))
        for expression in expressions:
            self.assert_known(expression)

    def test_every_alert_has_its_section(self) -> None:
        alerts = re.findall(r"- alert: (\w+)", (OPERATIONS / "e2ee-alerts.yml").read_text("utf-8"))
        page = (OPERATIONS / "alarms.md").read_text("utf-8")
        self.assertEqual(set(re.findall(r"^## (E2ee\w+)$", page, re.MULTILINE)), set(alerts))

    def test_the_dashboard_names_what_exists(self) -> None:
        dashboard: dict[str, Any] = json.loads((OPERATIONS / "grafana.json").read_text("utf-8"))
        expressions = [
            target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
        ]
        self.assertGreater(len(expressions), 30)
        for expression in expressions:
            self.assert_known(expression)

    def test_the_dashboard_shows_every_metric_of_ours(self) -> None:
        shown = (OPERATIONS / "grafana.json").read_text("utf-8")
        hidden = {"e2ee_server_info", "e2ee_backup_key_present"}
        for name in {base(each) for each in names() if each.startswith("e2ee_")} - hidden:
            self.assertIn(name, shown)

    def assert_known(self, expression: str) -> None:
        for name in re.findall(r"\b(?:e2ee|process|python)_[a-z_]+", expression):
            self.assertIn(name, names(), expression)
        for label, wanted in re.findall(r'(\w+)=~?"([^"]*)"', expression):
            for one in wanted.split("|"):
                self.assertIn((label, one), self.labels() | {("job", "e2ee")}, expression)

    def labels(self) -> set[tuple[str, str]]:
        return {item for sample in samples(Counters()) for item in sample.labels.items()}


class FigureTests(SynchronousTestCase):
    """What is counted is shown."""

    def test_gauges_are_fields_of_the_vitals(self) -> None:
        self.assertEqual(set(GAUGES) | {"prekeys"}, set(Vitals.__dataclass_fields__))

    def test_what_could_not_be_found_out_is_not_there(self) -> None:
        self.assertNotIn("e2ee_accounts", {sample.name for sample in samples(Counters(), Vitals())})
        self.assertIn("e2ee_accounts", {sample.name for sample in samples(Counters())})

    def test_a_histogram_adds_up(self) -> None:
        counters = Counters()
        for seconds in (0.001, 0.003, 99.0):
            counters.submit_seconds.observe(seconds)
        name = "e2ee_submit_seconds"
        buckets = [value(counters, f"{name}_bucket", le=le) for le in ("0.001", "0.005", "10.0", "+Inf")]
        self.assertEqual(buckets, [1, 2, 2, 3])
        self.assertEqual(value(counters, f"{name}_count"), 3)
        self.assertAlmostEqual(value(counters, f"{name}_sum"), 99.004)

    def test_refusals_of_envelopes_are_outcomes(self) -> None:
        counters = Counters()
        send = m.Send(1, "+15550100101", b"h" * 32, None, b"e", bytes(40))
        counters.refused(send, m.RefusalCode.QUOTA, Limit.MAILBOX_SHARE)
        counters.stored += 2
        self.assertEqual(value(counters, "e2ee_messages_total", outcome="quota"), 1)
        self.assertEqual(value(counters, "e2ee_messages_total", outcome="stored"), 2)
        self.assertEqual(value(counters, "e2ee_refusals_total", request="send", code="quota"), 1)
        self.assertEqual(value(counters, "e2ee_limits_hit_total", limit="mailbox_share"), 1)

    def test_passcodes_by_what_became_of_them(self) -> None:
        counters = Counters()
        counters.code(CodeOutcome.LATE, 60.0)
        counters.code(CodeOutcome.SENT, 0.2)
        for outcome, count in (("sent", 1), ("late", 1), ("failed", 0)):
            self.assertEqual(value(counters, "e2ee_passcodes_total", outcome=outcome), count)
        counters.codes_withheld += 1
        self.assertEqual(value(counters, "e2ee_passcodes_total", outcome="withheld"), 1)
        self.assertEqual(value(counters, "e2ee_passcode_seconds_bucket", le="60.0"), 2)
        self.assertEqual(value(counters, "e2ee_passcode_seconds_bucket", le="45.0"), 1)

    def test_what_the_operator_cannot_mend_wakes_nobody(self) -> None:
        rules = (OPERATIONS / "e2ee-alerts.yml").read_text("utf-8")
        [outcomes] = re.findall(r'e2ee_passcodes_total{outcome=~"([^"]*)"}', rules)
        self.assertEqual(set(outcomes.split("|")), {outcome.value for outcome in FAILURES})
        self.assertEqual(set(CodeOutcome) - set(FAILURES), {CodeOutcome.SENT, CodeOutcome.NUMBER})

    def test_what_refuses_codes_has_a_name_here(self) -> None:
        for limit in PasscodeLimit:
            self.assertEqual(Limit(limit.value).value, limit.value)

    def test_limits_of_the_operator_keep_their_names(self) -> None:
        joined = {
            "mailbox_messages", "mailbox_bytes", "strangers_waiting", "stranger_waiting",
            "messages_per_second", "codes_per_hour",
        }  # fmt: skip
        self.assertEqual(set(LIMIT_NAMES) - {limit.value for limit in Limit}, joined)


class NobodyTests(TownCase):
    """No label may contain a number or a device, whatever people do."""

    policy = Policy(messages_burst=2, messages_per_second=1, mailbox_messages=1)

    def test_no_label_is_made_from_what_people_send(self) -> None:
        town = self.town
        alice = self.now(town.log_in(ALICE))
        for text in (b"one", b"two", b"three", b"four"):
            message = town.send(BOB, text, restart=True)
            town.submit(alice, message).addErrback(self.count, message)
        counters = town.rooms.counters
        self.assertEqual(value(counters, "e2ee_messages_total", outcome="stored"), 1)
        self.assertEqual(value(counters, "e2ee_limits_hit_total", limit="mailbox"), 1)
        self.assertEqual(value(counters, "e2ee_limits_hit_total", limit="messages_burst"), 2)
        shown = " ".join(item for each in samples(counters) for item in each.labels.values())
        device = bytes(town.where(ALICE).device).hex()
        for part in ("+1555", "15550100", ALICE, device, device[:8]):
            self.assertNotIn(part, shown)

    def test_a_passcode_on_its_way_is_counted(self) -> None:
        rooms = self.town.rooms
        for _ in range(2):
            self.now(rooms.registration.request_code("192.0.2.1", m.RequestCode(1, CAROL)))
        for outcome in ("sent", "withheld"):
            self.assertEqual(value(rooms.counters, "e2ee_passcodes_total", outcome=outcome), 1)
        self.assertEqual(value(rooms.counters, "e2ee_passcode_seconds_count"), 1)
        self.assertEqual(value(rooms.counters, "e2ee_limits_hit_total", limit="waits"), 1)

    def count(self, failure: Failure, sent: m.Message) -> None:
        """As a connection does."""
        refusal = failure.value
        assert isinstance(refusal, Refusal)
        self.town.rooms.counters.refused(sent, refusal.code, refusal.limit)
