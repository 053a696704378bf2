"""Spans and metrics for OpenTelemetry.

Needs the extra `otel`, which is the API alone: without an SDK in the process nothing is recorded.
Names of attributes are those of its semantic conventions where there is one: `session.id`,
`db.system.name`, `db.operation.name`, `error.type`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gatehound import __version__
from gatehound.errors import SettingsError
from gatehound.model import Signal
from gatehound.telemetry.base import Telemetry
from gatehound.telemetry.metric import BUCKETS, DONE, METRICS, Metric, Values

try:
    from opentelemetry import context, metrics, trace
except ImportError as error:
    raise SettingsError(
        "telemetry.opentelemetry: it was asked for, and opentelemetry-api is not installed: "
        "install the extra with `pip install 'gatehound[otel]'`, or leave it out"
    ) from error

SCOPE: Final = "gatehound"
_Entered: TypeAlias = tuple[trace.Span, Any]


class OpenTelemetry(Telemetry):
    """Make spans and metrics with these providers; None means the global ones.

    `gatehound.examine` is the span of a request's look-up, over before the app is called, and
    `gatehound.store.*` those of store operations: inside it, or inside the app's span.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(SCOPE, __version__, meter_provider)
        self._tell = {metric.name: _instrument(meter, metric) for metric in METRICS}
        self._attributes: dict[tuple[str, Values], dict[str, str]] = {}
        self._is_down = 0

    def add(self, metric: Metric, values: Values, by: int) -> None:
        """Count `by` more."""
        self._tell[metric.name](by, self._named(metric, values))

    def observe(self, metric: Metric, values: Values, amount: float) -> None:
        """Take one value of a histogram."""
        self._tell[metric.name](amount, self._named(metric, values))

    def put(self, metric: Metric, amount: int) -> None:
        """Set a gauge, which is a sum that goes up and down: every version has that."""
        change, self._is_down = amount - self._is_down, amount
        self._tell[metric.name](change, {})

    def enter(self, name: str, attributes: Mapping[str, str]) -> _Entered:
        """Begin a span, and make it the current one."""
        kind = trace.SpanKind.INTERNAL
        if attributes.get("db.system.name", "memory") != "memory":
            kind = trace.SpanKind.CLIENT
        span = self._tracer.start_span(name, kind=kind, attributes=attributes)
        if not span.get_span_context().is_valid:  # no SDK: nobody could be its child
            return span, None
        return span, context.attach(trace.set_span_in_context(span))

    def leave(self, entered: _Entered, attributes: Mapping[str, str], error: str) -> None:
        """Make the span before the current one again, and end this one."""
        span, token = entered
        if token is not None:
            context.detach(token)
        try:
            if span.is_recording():
                _describe(span, attributes, error)
        finally:
            span.end()

    def note(self, signal: Signal) -> None:
        """Add an event to the current span; reasons and details may name places, and stay out."""
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(
                "gatehound.signal",
                {
                    "gatehound.signal": signal.code,
                    "gatehound.detector": signal.detector,
                    "gatehound.weight": signal.weight,
                },
            )

    def _named(self, metric: Metric, values: Values) -> dict[str, str]:
        """Return the attributes of a series; labels are closed lists, so all are kept."""
        key = metric.name, values
        named = self._attributes.get(key)
        if named is None:
            pairs = zip(metric.attributes, values, strict=True)
            # By the conventions, error.type is there for errors alone.
            named = {name: value for name, value in pairs if (name, value) != ("error.type", DONE)}
            self._attributes[key] = named
        return named


def _describe(span: trace.Span, attributes: Mapping[str, str], error: str) -> None:
    for name, value in attributes.items():
        span.set_attribute(name, value)
    if error:
        span.set_attribute("error.type", error)
        span.set_status(trace.Status(trace.StatusCode.ERROR))


def _instrument(meter: metrics.Meter, metric: Metric) -> Callable[[Any, dict[str, str]], None]:
    """Make an instrument; return what takes a value of it."""
    name, unit, text = metric.name, metric.unit, metric.help
    if metric.kind == "counter":
        return meter.create_counter(name, unit, text).add
    if metric.kind == "gauge":
        return meter.create_up_down_counter(name, unit, text).add
    try:
        return meter.create_histogram(
            name, unit, text, explicit_bucket_boundaries_advisory=BUCKETS
        ).record
    except TypeError:  # before 1.30 it took no advice
        return meter.create_histogram(name, unit, text).record
