"""The names, one telemetry alone, older libraries, and guards of a class of your own."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import metrics, trace
from prometheus_client import CollectorRegistry
from telemetry_kit import Bench

from flow.flow_kit import FIREFOX, IDENTITY, SECRET, Site, run
from gatehound import Guard, telemetry
from gatehound.stores.memory import MemoryStore
from gatehound.telemetry import METRICS, OpenTelemetry, Prometheus
from gatehound.telemetry.metric import BUCKETS, EXAMINE

KEYS: dict[str, Any] = {"secret_keys": [SECRET], "identity_key": IDENTITY}


def test_public_names_are_sorted_and_there() -> None:
    assert telemetry.__all__ == sorted(telemetry.__all__)
    assert set(telemetry.__all__) <= set(dir(importlib.reload(telemetry)))
    assert all(getattr(telemetry, name) is not None for name in telemetry.__all__)
    with pytest.raises(AttributeError, match="no attribute 'StatsD'"):
        telemetry.StatsD  # noqa: B018 - the look-up is what is tested


def test_prometheus_alone_opens_no_span(make_site: Callable[..., Site]) -> None:
    registry, seen = CollectorRegistry(), []

    def look(request: Any) -> None:
        seen.append(trace.get_current_span())

    telemetry = Prometheus(registry)
    browser = make_site(guard={"telemetry": telemetry, "activity": look}).browser()
    browser.login()
    browser.agent = FIREFOX
    browser.see()
    assert set(seen) == {trace.INVALID_SPAN}
    sample = registry.get_sample_value
    assert sample("gatehound_examine_duration_seconds_count", {"outcome": "live"}) == 1
    assert sample("gatehound_examine_duration_seconds_count", {"outcome": "none"}) == 1
    bounds, bucket = [str(one) for one in BUCKETS], "gatehound_examine_duration_seconds_bucket"
    assert sample(bucket, {"le": bounds[-1], "outcome": "live"}) == 1


def test_an_api_that_takes_no_advice_makes_histograms_all_the_same() -> None:
    class Old(metrics.NoOpMeter):
        def create_histogram(  # type: ignore[override]  # as before 1.30
            self, name: str, unit: str = "", description: str = ""
        ) -> metrics.Histogram:
            made.append(name)
            return super().create_histogram(name, unit, description)

    class OldProvider(metrics.NoOpMeterProvider):
        def get_meter(self, name: str, *args: Any, **kwargs: Any) -> metrics.Meter:
            return Old(name)

    made: list[str] = []
    OpenTelemetry(meter_provider=OldProvider()).observe(EXAMINE, ("live",), 0.1)
    assert made == [metric.name for metric in METRICS if metric.kind == "histogram"]


def test_a_guard_of_your_own_class_stays_one(bench: Bench) -> None:
    class Ours(Guard):
        async def examine(self, request: Any) -> Any:
            passage = await super().examine(request)
            asked.append(request.path)
            return passage

    asked: list[str] = []
    guard = Ours(KEYS, store=MemoryStore(), telemetry=bench.telemetry, sinks=[])
    assert isinstance(guard, Ours)
    assert isinstance(guard.blocking(), Ours)
    for world in ("asgi", "wsgi"):
        Site(world, guard).browser().see(path=f"/{world}")
    assert asked == ["/asgi", "/wsgi"]
    assert bench.counted("gatehound.examine.duration", "none") == 2


def test_admin_code_is_measured_in_both_worlds(bench: Bench, tmp_path: Any) -> None:
    settings = {**KEYS, "store": f"sqlite:///{tmp_path}/s.db"}
    guard = Guard(settings, telemetry=bench.telemetry, sinks=[])
    operation = "gatehound.store.operation.duration"

    async def waiting() -> None:
        assert await guard.sessions_of("ada") == []
        await guard.close()

    assert guard.sync.sessions_of("ada") == []
    assert bench.counted(operation, "sqlite", "sessions", "ok") == 1
    run(waiting())
    assert bench.counted(operation, "sqlite", "sessions", "ok") == 2
    assert guard.store is not guard.blocking().store
    guard.sync.close()


def test_one_memory_serves_both_worlds_and_is_measured_once(bench: Bench) -> None:
    settings = {**KEYS, "store": "memory://"}
    guard = Guard(settings, telemetry=bench.telemetry, sinks=[])
    assert guard.blocking().store is guard.store
    Site("wsgi", guard).browser().login()
    assert len(run(guard.sessions_of("alice"))) == 1
    assert bench.counted("gatehound.store.operation.duration", "memory", "sessions", "ok") == 1
