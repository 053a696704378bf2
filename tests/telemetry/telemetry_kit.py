"""A guarded site with a real registry of Prometheus and the real SDK of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from flow.flow_kit import Site
from gatehound.telemetry import METRICS, OpenTelemetry, Prometheus
from gatehound.telemetry.prometheus import prometheus_name

# A series: the name of the metric as OpenTelemetry knows it, and the values of its labels.
Series = dict[tuple[str, ...], float]


class Bench:
    """One site, and what both telemetries took of it."""

    def __init__(self, make_site: Callable[..., Site]) -> None:
        self._make_site = make_site
        self.registry = CollectorRegistry()
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader])
        self.telemetry = [
            Prometheus(self.registry),
            OpenTelemetry(self.tracers, self.meters),
        ]

    def site(self, *, guard: dict[str, Any] | None = None, **more: Any) -> Site:
        options = {"telemetry": self.telemetry, **(guard or {})}
        return self._make_site(guard=options, **more)

    def scraped(self) -> Series:
        """What Prometheus would scrape, by the names of the table; a histogram is its count."""
        found: Series = {}
        families = {family.name: family for family in self.registry.collect()}
        for metric in METRICS:
            name = prometheus_name(metric)
            suffix = "_count" if metric.kind == "histogram" else ""
            for sample in families[name.removesuffix("_total")].samples:
                if sample.name == f"{name}{suffix}" and sample.value:
                    labels = tuple(sample.labels[label] for label in metric.labels)
                    found[metric.name, *labels] = sample.value
        return found

    def exported(self) -> Series:
        """What the SDK of OpenTelemetry would export, in the same form."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        (scope,) = data.resource_metrics[0].scope_metrics
        return {
            (metric.name, *values): amount
            for metric in scope.metrics
            for point in metric.data.data_points
            for amount in [float(getattr(point, "value", getattr(point, "count", 0)))]
            if amount
            for values in [self._labels(metric.name, point.attributes)]
        }

    @staticmethod
    def _labels(name: str, attributes: Any) -> tuple[str, ...]:
        metric = next(one for one in METRICS if one.name == name)
        assert set(attributes) <= set(metric.attributes)
        return tuple(attributes.get(attribute, "ok") for attribute in metric.attributes)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def clear(self) -> None:
        """Forget the spans so far."""
        self._exporter.clear()

    def counted(self, *series: str) -> float:
        """How often, by both: they MUST NOT differ."""
        scraped, exported = self.scraped(), self.exported()
        assert scraped == exported
        return scraped.get(series, 0.0)


def of(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of a span."""
    return dict(span.attributes or {})


@pytest.fixture
def bench(make_site: Callable[..., Site]) -> Bench:
    return Bench(make_site)


@pytest.fixture(autouse=True)
def no_current_span() -> Iterator[None]:
    """Nothing stays open behind a request: the next would be its child."""
    yield
    assert trace.get_current_span() is trace.INVALID_SPAN
