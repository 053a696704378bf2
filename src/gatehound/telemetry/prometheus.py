"""Metrics for Prometheus, in the registry of prometheus-client.

Needs the extra `prometheus`. Where PROMETHEUS_MULTIPROC_DIR is set, prometheus-client itself writes
to files that one scrape adds up; how gauges are put together there is chosen here.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from gatehound import __version__
from gatehound.errors import SettingsError
from gatehound.telemetry.base import Down, Telemetry
from gatehound.telemetry.metric import BUCKETS, METRICS, Metric, Values

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as error:
    raise SettingsError(
        "telemetry.prometheus: it was asked for, and prometheus-client is not installed; install "
        "the extra with `pip install 'gatehound[prometheus]'`, or leave it out"
    ) from error

# A store that one process cannot reach is worth an alert; one that has ended says nothing.
DOWN_MODE: Final = "livemax"
BUILD: Final = "gatehound_build_info"

# A registry takes each name once, and any number of guards may use one.
_made: WeakKeyDictionary[CollectorRegistry, tuple[dict[str, Any], Down]] = WeakKeyDictionary()


class Prometheus(Telemetry):
    """Count in this registry; None is the one that prometheus-client serves by default.

    SettingsError where something else has registered one of our names.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = REGISTRY if registry is None else registry
        made = _made.get(registry)
        if made is None:
            made = _made[registry] = _collectors(registry), Down()
        self._collectors, self.down = made
        self._series: dict[tuple[str, Values], Any] = {}

    def add(self, metric: Metric, values: Values, by: int) -> None:
        """Count `by` more."""
        self._of(metric, values).inc(by)

    def observe(self, metric: Metric, values: Values, amount: float) -> None:
        """Take one value of a histogram."""
        self._of(metric, values).observe(amount)

    def put(self, metric: Metric, amount: int) -> None:
        """Set a gauge."""
        self._of(metric, ()).set(amount)

    def _of(self, metric: Metric, values: Values) -> Any:
        key = metric.name, values
        series = self._series.get(key)
        if series is None:
            collector = self._collectors[metric.name]
            series = self._series[key] = collector.labels(*values) if values else collector
        return series


def prometheus_name(metric: Metric) -> str:
    """Return the name that is scraped, without the endings of a histogram's parts."""
    name = metric.name.replace(".", "_")
    ending = {"counter": "_total", "gauge": "", "histogram": "_seconds"}[metric.kind]
    return f"{name}{ending}"


def _collectors(registry: CollectorRegistry) -> dict[str, Any]:
    try:
        made = {metric.name: _collector(registry, metric) for metric in METRICS}
        _tell_build(registry)
    except ValueError as error:
        raise SettingsError(
            f"telemetry: the registry given to Prometheus has one of our names already ({error}); "
            "give it another prometheus_client.CollectorRegistry(), or rename your own metric"
        ) from error
    return made


def _collector(registry: CollectorRegistry, metric: Metric) -> Any:
    name, text, labels = prometheus_name(metric), metric.help, metric.labels
    if metric.kind == "gauge":
        return Gauge(name, text, labels, registry=registry, multiprocess_mode=DOWN_MODE)
    if metric.kind == "histogram":
        made: Any = Histogram(name, text, labels, buckets=BUCKETS, registry=registry)
    else:
        made = Counter(name, text, labels, registry=registry)
    for value in metric.known:  # a rate needs a first value, before the first time it happens
        made.labels(value)
    return made


def _tell_build(registry: CollectorRegistry) -> None:
    text = "1, with the version of gatehound as a label."
    build = Gauge(BUILD, text, ("version",), registry=registry, multiprocess_mode="max")
    build.labels(__version__).set(1)
