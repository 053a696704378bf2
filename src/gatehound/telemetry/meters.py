"""Hand what is measured to every telemetry, and let none of them break a request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from gatehound.errors import SettingsError
from gatehound.model import Signal
from gatehound.telemetry.base import Telemetry
from gatehound.telemetry.metric import DOWN, OTHER, SIGNALS, Metric, Values

if TYPE_CHECKING:
    from gatehound.settings import TelemetrySettings

Leave: TypeAlias = Callable[[Any, Mapping[str, str], str], None]
Entered: TypeAlias = Sequence[tuple[Leave, Any]]

# Pairs of a detector and its code that are told by name. The built-in ones have about 20; one of
# the app that makes codes out of data must not fill the memory of whoever collects them.
MAX_CODES: Final = 200
NOWHERE: Final[Entered] = ()

log: Final = logging.getLogger("gatehound")


class Meters:
    """All telemetry of one guard. Callable from any thread; never raises."""

    def __init__(self, telemetry: Sequence[Telemetry]) -> None:
        self.telemetry = tuple(telemetry)
        self._add = self._who("add")
        self._observe = self._who("observe")
        self._put = tuple((one.down, one.put) for one in telemetry if _overrides(one, "put"))
        self._note = self._who("note")
        self._spans = [(one.enter, one.leave) for one in telemetry if _overrides(one, "enter")]
        self.traces = bool(self._spans)
        self._codes: set[Values] = set()
        self._told: set[str] = set()

    def add(self, metric: Metric, values: Values = (), by: int = 1) -> None:
        """Count `by` more."""
        for add in self._add:
            try:
                add(metric, values, by)
            except Exception as raised:
                self._failed(add, raised)

    def observe(self, metric: Metric, values: Values, amount: float) -> None:
        """Take one value of a histogram."""
        for observe in self._observe:
            try:
                observe(metric, values, amount)
            except Exception as raised:
                self._failed(observe, raised)

    def tell_store(self, *, is_down: bool) -> None:
        """Set the gauge of stores that are down, of which this guard's is one or is none."""
        for down, put in self._put:
            try:
                down.note(self, is_down, partial(put, DOWN))
            except Exception as raised:
                self._failed(put, raised)

    def found(self, signal: Signal) -> None:
        """Count a new finding, and note it in the span that is open."""
        values = (signal.detector, signal.code)
        if values not in self._codes:
            if len(self._codes) < MAX_CODES:
                self._codes.add(values)
            else:
                values = (OTHER, OTHER)
        self.add(SIGNALS, values)
        for note in self._note:
            try:
                note(signal)
            except Exception as raised:
                self._failed(note, raised)

    def enter(self, name: str, attributes: Mapping[str, str]) -> Entered:
        """Begin a span everywhere."""
        entered = []
        for enter, leave in self._spans:
            try:
                entered.append((leave, enter(name, attributes)))
            except Exception as raised:
                self._failed(enter, raised)
        return entered

    def leave(self, entered: Entered, attributes: Mapping[str, str], error: str = "") -> None:
        """End what `enter` began, the last one first."""
        for leave, what in reversed(entered):
            try:
                leave(what, attributes, error)
            except Exception as raised:
                self._failed(leave, raised)

    def _who(self, name: str) -> tuple[Callable[..., None], ...]:
        """Return the method of those who have one of their own."""
        return tuple(getattr(one, name) for one in self.telemetry if _overrides(one, name))

    def _failed(self, method: Callable[..., Any], error: Exception) -> None:
        """Log the first failure of each method; there may be one for each request."""
        name = getattr(method, "__qualname__", repr(method))
        if name not in self._told:
            self._told.add(name)
            text = "telemetry: %s failed; its further failures are not logged"
            log.error(text, name, exc_info=error)


def _overrides(one: Telemetry, name: str) -> bool:
    return getattr(type(one), name) is not getattr(Telemetry, name)


def meters_of(given: object, settings: TelemetrySettings) -> Meters:
    """Put together what a guard was given and what its settings switch on.

    The settings add nothing of a kind that was given. SettingsError for what is no telemetry, and
    for a library that is missing.
    """
    telemetry = _checked(given)
    kinds = {type(one).__name__ for one in telemetry}
    if settings.opentelemetry and "OpenTelemetry" not in kinds:
        from gatehound.telemetry.otel import OpenTelemetry

        telemetry.append(OpenTelemetry())
    if settings.prometheus and "Prometheus" not in kinds:
        from gatehound.telemetry.prometheus import Prometheus

        telemetry.append(Prometheus())
    return Meters(telemetry)


def _checked(given: object) -> list[Telemetry]:
    if given is None:
        return []
    several: list[Any] = list(given) if isinstance(given, Sequence) else [given]
    wrong = [one for one in several if not isinstance(one, Telemetry)]
    if wrong:
        raise SettingsError(
            f"telemetry: {wrong[0]!r} was given; allowed are gatehound.telemetry.OpenTelemetry(), "
            "gatehound.telemetry.Prometheus(), an instance of your own subclass of "
            "gatehound.telemetry.Telemetry, or a list of them"
        )
    return several
