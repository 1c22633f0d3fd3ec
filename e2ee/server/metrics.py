"""What Prometheus reads: made of the server's counters when somebody asks, and not before.

Knows names, help texts and labels; every label is a limit, a code or a kind, declared in `counters` and
`wire.messages`. No number, device or address can be one. The names are documented in
`docs/operations/metrics.md`, and a test holds the page to this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from e2ee import __version__
from e2ee.server.counters import CodeOutcome, Counters, Limit
from e2ee.server.vitals import Vitals
from e2ee.store.figures import CommitFigures, Tally
from e2ee.wire.messages import Send

_SEND = str(Send.__struct_config__.tag)


@dataclass(slots=True, eq=False)
class ServerCollector(Collector):
    """Everything of this server. `vitals` is put here anew before each scrape."""

    counters: Counters
    commits: CommitFigures
    vitals: Vitals

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        yield InfoMetricFamily("e2ee_server", "The version that runs.", {"version": __version__})
        yield from self._connections()
        yield from self._registrations()
        yield from self._messages()
        yield from self._files()
        yield from self._refusals()
        yield from self._database()
        yield from _gauges(self.vitals)

    def _connections(self) -> Iterator[Metric]:
        counters = self.counters
        yield _counter("connections", "Connections that were made.", counters.connections)
        yield _counter("handshakes", "Connections whose TLS handshake was done.", counters.handshakes)
        yield _counter(
            "key_exchange_fallbacks", "Handshakes without ML-KEM, which the server would rather have.",
            counters.fallbacks,
        )  # fmt: skip
        yield _counter("logins", "Devices that have logged in.", counters.logins)
        yield _histogram(
            "login_seconds", "From a verified login to its place in the mailbox.", counters.login_seconds
        )
        yield _histogram(
            "reactor_delay_seconds", "How late the reactor came round: above 0.1, something blocks it.",
            counters.reactor_seconds,
        )  # fmt: skip

    def _registrations(self) -> Iterator[Metric]:
        counters = self.counters
        yield _counter("registrations", "Accounts made or replaced.", counters.registrations)
        deleted = counters.accounts_deleted
        yield _counter("accounts_deleted", "Accounts deleted by owner or operator.", deleted)
        yield _labelled(
            "passcodes", "Passcodes that were asked for, by what became of them.", "outcome",
            {outcome.value: counters.codes[outcome] for outcome in CodeOutcome}
            | {"withheld": counters.codes_withheld},
        )  # fmt: skip
        yield _histogram(
            "passcode_seconds", "From a passcode to its end, sent or not.", counters.code_seconds
        )

    def _messages(self) -> Iterator[Metric]:
        counters = self.counters
        outcomes = {
            "delivered": counters.delivered, "stored": counters.stored, "stale_device": counters.stale
        }  # fmt: skip
        for (request, code), count in counters.refusals.items():
            if request == _SEND:
                outcomes[code.value] = outcomes.get(code.value, 0) + count
        yield _labelled("messages", "Envelopes that were sent, by their answer.", "outcome", outcomes)
        yield _counter("messages_expired", "Envelopes that nobody fetched in time.", counters.expired)
        yield _histogram(
            "submit_seconds", "From an envelope to its answer, a commit or an acknowledgement away.",
            counters.submit_seconds,
        )  # fmt: skip

    def _files(self) -> Iterator[Metric]:
        counters = self.counters
        yield _counter("files_uploaded", "Files that were uploaded to their end.", counters.files_uploaded)
        yield _counter("files_expired", "Files that nobody fetched in time.", counters.files_expired)

    def _refusals(self) -> Iterator[Metric]:
        refusals = CounterMetricFamily(
            "e2ee_refusals", "Requests that were not done, by kind and by answer.", labels=("request", "code")
        )
        for (request, code), count in self.counters.refusals.items():
            refusals.add_metric((request, code.value), count)
        yield refusals
        yield _labelled(
            "limits_hit", "Times that a limit has said no, by its name.", "limit",
            {limit.value: self.counters.limits[limit] for limit in Limit},
        )  # fmt: skip
        yield _labelled("log_events", "Lines of the log, by level.", "level", self.counters.log_events)

    def _database(self) -> Iterator[Metric]:
        commits = self.commits
        yield _histogram("commit_operations", "Operations in one commit.", commits.operations)
        yield _histogram("commit_seconds", "Commits, from their begin to the disk.", commits.seconds)
        yield _counter(
            "database_refusals", "Operations refused for want of room on the disk or in the queue.",
            commits.unavailable,
        )  # fmt: skip


def _gauges(vitals: Vitals) -> Iterator[Metric]:
    """What is so now. What could not be found out is left out."""
    for name, text in GAUGES.items():
        value = getattr(vitals, name)
        if value is not None:
            yield GaugeMetricFamily(f"e2ee_{name}", text, float(value))
    prekeys = GaugeMetricFamily("e2ee_prekeys", "One-time keys in stock, by kind.", labels=("kind",))
    without = GaugeMetricFamily(
        "e2ee_accounts_without_prekeys", "Accounts with no one-time key left, by kind.", labels=("kind",)
    )
    for kind, (stock, empty) in vitals.prekeys.items():
        prekeys.add_metric((kind,), stock)
        without.add_metric((kind,), empty)
    yield prekeys
    yield without


GAUGES: Mapping[str, str] = {
    "connections_open": "Connections at this moment.",
    "connections_before_login": "Of them, those that have not logged in.",
    "devices_connected": "Devices that are logged in.",
    "accounts": "Accounts.",
    "mailbox_messages": "Envelopes that wait.",
    "mailbox_bytes": "Bytes of envelopes that wait.",
    "mailbox_deepest": "Envelopes in the fullest mailbox.",
    "mailbox_oldest_seconds": "Service time since the oldest waiting envelope came.",
    "files": "Files that wait to be fetched, or are being uploaded.",
    "files_bytes": "Room on the disk that they take when they are whole.",
    "database_operations_waiting": "Operations that wait for the database.",
    "database_bytes": "Size of the database file.",
    "database_log_bytes": "Size of its write-ahead log.",
    "disk_free_bytes": "Room on the disk of the database.",
    "certificate_expiry_timestamp_seconds": "When the certificate expires, since 1970.",
    "backup_key_present": "1 while the backup key lies on this machine, where it should not.",
    "last_backup_timestamp_seconds": "When the last backup was made, since 1970; 0: never.",
    "ready": "1 if the server listens and its database takes writes.",
}
"""Each is a field of `Vitals`."""


def registry(collector: ServerCollector) -> CollectorRegistry:
    """A registry of our own: this server, and the process that it runs in."""
    own = CollectorRegistry()
    own.register(collector)
    ProcessCollector(registry=own)
    PlatformCollector(registry=own)
    GCCollector(registry=own)
    return own


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(f"e2ee_{name}", text, value)


def _labelled(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"e2ee_{name}", text, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family


def _histogram(name: str, text: str, tally: Tally) -> Metric:
    buckets, below = [], 0
    for bound, count in zip((*tally.bounds, float("inf")), list(tally.counts), strict=True):
        below += count
        buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), float(below)))
    return HistogramMetricFamily(f"e2ee_{name}", text, buckets=buckets, sum_value=tally.total)
