"""/metrics and /health as somebody with curl sees them."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from e2ee.server.copying import Copying
from e2ee.server.metrics import ServerCollector, registry
from e2ee.server.metrics_site import PAGES_AT_ONCE, MetricsSite
from e2ee.server.vitals import Pulse, Vitals
from tests.server.running_house import KEY, RunningCase


class SiteTests(RunningCase):
    """Requests go in as bytes."""

    def setUp(self) -> None:
        super().setUp()
        collector = ServerCollector(self.town.rooms.counters, self.database.commits, Vitals())
        self.clock = Clock()
        self.pulse = Pulse(self.running, Copying(self.running, KEY), self.clock)
        self.site = MetricsSite(collector, registry(collector), self.pulse, self.clock)

    def connect(self, sent: bytes) -> StringTransport:
        protocol, transport = self.site.buildProtocol(None), StringTransport()
        assert protocol is not None
        protocol.makeConnection(transport)
        protocol.dataReceived(sent)
        return transport

    def get(
        self, path: str, method: str = "GET", *headers: str, body: bytes = b""
    ) -> tuple[int, bytes, bytes]:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        answer = self.connect("\r\n".join(lines).encode() + b"\r\n\r\n" + body).value()
        head, _, content = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), head, content

    def test_metrics(self) -> None:
        self.town.rooms.counters.delivered = 7
        status, head, content = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b"text/plain; version=0.0.4", head)
        samples = [
            sample for family in text_string_to_metric_families(content.decode()) for sample in family.samples
        ]
        [delivered] = [
            sample.value for sample in samples
            if sample.name == "e2ee_messages_total" and sample.labels == {"outcome": "delivered"}
        ]  # fmt: skip
        self.assertEqual(delivered, 7)

    def test_open_metrics_for_who_prefers_it(self) -> None:
        _, head, content = self.get("/metrics", "GET", "Accept: application/openmetrics-text; version=1.0.0")
        self.assertIn(b"application/openmetrics-text", head)
        self.assertTrue(content.endswith(b"# EOF\n"))

    def test_health(self) -> None:
        status, _, content = self.get("/health")
        self.assertEqual((status, json.loads(content)), (200, {"ready": True, "reason": None}))
        self.listening = False
        status, _, content = self.get("/health")
        self.assertEqual((status, json.loads(content)), (503, {"ready": False, "reason": "not_listening"}))

    def test_head_has_no_content(self) -> None:
        status, head, content = self.get("/health", "HEAD")
        self.assertEqual((status, content), (200, b""))
        self.assertIn(b"Content-Length: 32", head)

    def test_everything_else_is_refused(self) -> None:
        for path, method, expected in (
            ("/", "GET", 404), ("/admin", "GET", 404), ("/metrics", "POST", 405), ("/health", "PUT", 501),
        ):  # fmt: skip
            self.assertEqual(self.get(path, method)[0], expected, path)

    def test_a_body_is_not_kept(self) -> None:
        status, _, _ = self.get("/metrics", "POST", "Content-Length: 100000", body=b"x" * 100_000)
        self.assertEqual(status, 405)

    def test_pages_at_once_have_a_bound_and_one_who_leaves_frees_his(self) -> None:
        gates: list[Deferred[str]] = []

        def ailment() -> Deferred[str]:
            gates.append(Deferred())
            return gates[-1]

        self.patch(self.pulse, "ailment", ailment)
        request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        waiting = [self.connect(request) for _ in range(PAGES_AT_ONCE)]
        self.assertIn(b" 503 ", self.connect(request).value())
        self.assertEqual(waiting[0].value(), b"")
        gates[0].callback("")
        self.assertIn(b" 200 ", waiting[0].value())
        self.connect(request)
        self.assertEqual(len(gates), PAGES_AT_ONCE + 1)
        for gate in gates[1:]:
            gate.callback("")

    def test_a_defect_is_a_page_without_its_text(self) -> None:
        def ailment() -> str:
            raise KeyError("a secret")

        self.patch(self.pulse, "ailment", ailment)
        status, _, content = self.get("/health")
        self.assertEqual((status, content), (500, b"failed\n"))
