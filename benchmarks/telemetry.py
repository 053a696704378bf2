"""What telemetry costs a request, in CPU: off, Prometheus, OpenTelemetry without an SDK and with.

    python benchmarks/telemetry.py [--rounds 15] [--requests 1000] [--json FILE]

A guard for each kind of telemetry, in one process, serves the same requests of a signed-in user
over a memory store, through both adapters; they take turns, and medians are shown. A request has
one store operation: one duration of it, one of the whole, and two spans with the SDK.
What the SDK records is thrown away by its exporter: what yours costs comes on top.

Needs the extras `otel` and `prometheus`, and opentelemetry-sdk.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NoOpTracerProvider
from prometheus_client import CollectorRegistry

from gatehound import Guard
from gatehound._sync import run_sync
from gatehound.asgi import GatehoundMiddleware as AsgiMiddleware
from gatehound.stores.memory import MemoryStore
from gatehound.telemetry import OpenTelemetry, Prometheus, Telemetry
from gatehound.wsgi import GatehoundMiddleware as WsgiMiddleware

WARM_UP: Final = 300
KEYS: Final = {"secret_keys": ["k" * 40], "identity_key": "K" * 40}
HEADERS: Final = {
    "host": "app.example",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "accept": "text/html",
    "sec-fetch-mode": "navigate",
}


class Discard(SpanExporter):
    """Takes spans and keeps none."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Say that all went well."""
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Have nothing to end."""


def _sdk_tracers() -> TracerProvider:
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(Discard()))
    return tracers


def _sdk_meters() -> MeterProvider:
    return MeterProvider([InMemoryMetricReader()])


KINDS: Final[dict[str, Callable[[], Telemetry | None]]] = {
    "off": lambda: None,
    "prometheus": lambda: Prometheus(CollectorRegistry()),
    "otel, no sdk": lambda: OpenTelemetry(NoOpTracerProvider(), NoOpMeterProvider()),
    "otel, metrics": lambda: OpenTelemetry(NoOpTracerProvider(), _sdk_meters()),
    "otel, all": lambda: OpenTelemetry(_sdk_tracers(), _sdk_meters()),
}


class Site:
    """One app behind one guard under one adapter."""

    def __init__(self, world: str, telemetry: Telemetry | None) -> None:
        guard = Guard(KEYS, store=MemoryStore(), sinks=[], telemetry=telemetry)
        self._cookie = ""
        self._asgi = AsgiMiddleware(self._asgi_app, guard) if world == "asgi" else None
        self._wsgi = WsgiMiddleware(self._wsgi_app, guard) if world == "wsgi" else None

    async def run(self, requests: int) -> float:
        """Return CPU microseconds a request."""
        ask = self._ask_wsgi if self._asgi is None else self._ask_asgi
        if not self._cookie:
            await ask("/login")
        began = time.process_time()
        for _ in range(requests):
            await ask("/")
        return (time.process_time() - began) / requests * 1e6

    async def _ask_asgi(self, path: str) -> None:
        async def send(message: Any) -> None:
            self._take((n.decode(), v.decode()) for n, v in message.get("headers", ()))

        sent = {**HEADERS, **({"cookie": self._cookie} if self._cookie else {})}
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "scheme": "https",
            "client": ("203.0.113.7", 40000),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
        assert self._asgi is not None
        await self._asgi(scope, _receive, send)

    async def _ask_wsgi(self, path: str) -> None:
        sent = {**HEADERS, **({"cookie": self._cookie} if self._cookie else {})}
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "REMOTE_ADDR": "203.0.113.7",
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in sent.items()},
        }

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
            self._take(headers)

        assert self._wsgi is not None
        self._wsgi(environ, start_response)

    async def _asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/login":
            await scope["gatehound"].login("ada")
        assert scope["gatehound"].user_id == "ada"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    def _wsgi_app(self, environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/login":
            environ["gatehound"].login("ada")
        assert environ["gatehound"].user_id == "ada"
        start_response("200 OK", [])
        return [b"ok"]

    def _take(self, headers: Any) -> None:
        if not self._cookie:
            cookies = [v.partition(";")[0] for n, v in headers if n.lower() == "set-cookie"]
            self._cookie = "; ".join(cookies)


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def measure(world: str, rounds: int, requests: int) -> dict[str, list[float]]:
    """Let all kinds take turns; return what each round of each took."""
    sites = {kind: Site(world, make()) for kind, make in KINDS.items()}
    for site in sites.values():
        await site.run(WARM_UP)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, site in sites.items():
            found[kind].append(await site.run(requests))
    return found


def main() -> None:
    """Measure, and print a line for each kind under each adapter."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    logging.disable()  # a guard without databases says so, ten times
    rows = []
    for world in ("asgi", "wsgi"):
        work = measure(world, given.rounds, given.requests)
        found = asyncio.run(work) if world == "asgi" else run_sync(work)
        off = found["off"]
        for kind, values in found.items():
            added = statistics.median(one - base for one, base in zip(values, off, strict=True))
            ratio = statistics.median(one / base for one, base in zip(values, off, strict=True))
            us = statistics.median(values)
            rows.append({"world": world, "kind": kind, "us": us, "added": added, "ratio": ratio})
            print(f"{world}  {kind:14} {us:7.1f} us {added:+7.1f} us  x {ratio:.2f}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
