"""Metrics and traces of a guard: `Guard(..., telemetry=Prometheus())`.

Nothing here is loaded unless a guard is given telemetry or its settings switch it on, and nothing
here is on the way of a request then: a guard that is measured gets a class of its own, a store
that measures around its own, and events that count (see gatehound.telemetry.guarded).

Belongs here: what is counted, and where the figures go. Does not: anything that decides. What
telemetry raises is logged once, and no request notices.

Reading order: metric (all that is measured), base (what hears of it), guarded, store, meters, otel,
prometheus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatehound.telemetry.base import Telemetry
    from gatehound.telemetry.metric import METRICS, Metric
    from gatehound.telemetry.otel import OpenTelemetry
    from gatehound.telemetry.prometheus import Prometheus

_HOMES = {
    "METRICS": "metric",
    "Metric": "metric",
    "OpenTelemetry": "otel",
    "Prometheus": "prometheus",
    "Telemetry": "base",
}

__all__ = ["METRICS", "Metric", "OpenTelemetry", "Prometheus", "Telemetry"]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use: who takes Prometheus needs no OpenTelemetry."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *__all__])
