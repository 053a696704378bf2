"""What hears of a guard's work: the base of OpenTelemetry, Prometheus, and of your own.

Every method is called on the request's own thread or loop, so it must return at once. Threads,
loops and several guards call one object at the same time. What a method raises is logged once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatehound.model import Signal
from gatehound.telemetry.metric import Metric, Values


class Telemetry:
    """Told what a guard measures; override what you want to hear, the rest costs nothing.

    `values` are those of `metric.labels`, in their order.
    """

    def add(self, metric: Metric, values: Values, by: int) -> None:
        """Count `by` more."""

    def observe(self, metric: Metric, values: Values, amount: float) -> None:
        """Take one value of a histogram, in the unit of the metric."""

    def put(self, metric: Metric, amount: int) -> None:
        """Set a gauge."""

    def enter(self, name: str, attributes: Mapping[str, str]) -> Any:
        """Begin a span; what this returns is given to `leave`.

        Spans are left in the reverse order, in the same thread or task.
        """

    def leave(self, entered: Any, attributes: Mapping[str, str], error: str) -> None:
        """End a span; `error` is "" or one word for what went wrong."""

    def note(self, signal: Signal) -> None:
        """Hear of a new finding, inside the span that is open, if one is."""
