"""`--metrics`: /metrics for Prometheus and /health for whoever decides about restarts, over plain HTTP.

Knows paths and headers. There is nothing secret here and no password: bind it to loopback, or to where
only the monitoring is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from e2ee.server.metrics import ServerCollector
from e2ee.server.vitals import Pulse

IDLE_SECONDS = 30.0
PAGES_AT_ONCE = 8
"""Each is made of what the database says; whoever asks more often than that asks too often."""


class Page(Resource):
    """A page that `make` makes when it is asked for; it may be read, and nothing else."""

    isLeaf = True
    _log = Logger()

    def __init__(self, make: Callable[[Request], Coroutine[Deferred[Any], Any, bytes]]) -> None:
        super().__init__()
        self._make = make
        self._under_way = 0

    def render_GET(self, request: Request) -> int | bytes:
        """See `Resource.render`; HEAD comes here as well."""
        if self._under_way >= PAGES_AT_ONCE:
            request.setResponseCode(503)
            return b"busy\n"
        self._under_way += 1
        gone: list[bool] = []
        request.notifyFinish().addErrback(lambda reason: gone.append(True))
        answered = Deferred.fromCoroutine(self._make(request))
        answered.addErrback(self._failed, request)
        answered.addCallback(self._finish, request, gone)
        return NOT_DONE_YET

    def _failed(self, failure: Failure, request: Request) -> bytes:
        self._log.error("a page of the metrics has failed: {kind}", kind=type(failure.value).__name__)
        request.setResponseCode(500)
        return b"failed\n"

    def _finish(self, content: bytes, request: Request, gone: list[bool]) -> None:
        self._under_way -= 1
        if gone:
            return
        request.setHeader(b"Content-Length", b"%d" % len(content))
        request.setHeader(b"Cache-Control", b"no-store")
        if request.method != b"HEAD":
            request.write(content)
        request.finish()


class BodilessRequest(Request):
    """Whoever sends a body gets no room for it."""

    def gotLength(self, length: int | None) -> None:
        """Called with the length that a body claims to have."""
        super().gotLength(0)

    def handleContentChunk(self, data: bytes) -> None:
        """Nothing here is for reading."""


class MetricsSite(Site):
    """Both pages. Requests are not logged."""

    noisy = False

    def __init__(
        self, collector: ServerCollector, registry: CollectorRegistry, pulse: Pulse, reactor: IReactorTime
    ) -> None:
        self._collector = collector
        self._registry = registry
        self._pulse = pulse
        root = Resource()
        root.putChild(b"metrics", Page(self._metrics))
        root.putChild(b"health", Page(self._health))
        super().__init__(
            root, BodilessRequest, timeout=IDLE_SECONDS, reactor=reactor, parsePOSTFormSubmission=False
        )

    async def _metrics(self, request: Request) -> bytes:
        """For Prometheus, in the form that it prefers."""
        self._collector.vitals = await self._pulse.take()
        encode, content_type = choose_encoder(request.getHeader("accept") or "")
        request.setHeader(b"Content-Type", content_type.encode("ascii"))
        return encode(self._registry)

    async def _health(self, request: Request) -> bytes:
        """200 when the server takes messages, else 503 with the reason."""
        ailment = await self._pulse.ailment()
        request.setHeader(b"Content-Type", b"application/json")
        if ailment:
            request.setResponseCode(503)
        return json.dumps({"ready": not ailment, "reason": ailment or None}).encode("ascii") + b"\n"

    def log(self, request: HttpRequest) -> None:
        """Who looks at the metrics, and when, is nobody's business."""
