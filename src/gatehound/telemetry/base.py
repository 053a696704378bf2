"""What hears of a guard's work: the base of OpenTelemetry, Prometheus, and of your own.

Every method is called on the request's own thread or loop, so it must return at once. Threads,
loops and several guards call one object at the same time. What a method raises is logged once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Self
from weakref import WeakSet

from gatehound.model import Signal
from gatehound.telemetry.metric import Metric, Values


class Down:
    """The guards whose store is down, of all that tell one telemetry. Usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guards: WeakSet[Any] = WeakSet()

    def note(self, guard: object, is_down: bool, tell: Callable[[int], None]) -> None:
        """Say how it is with one; `tell` is called with how many are down, in order."""
        with self._lock:
            if is_down:
                self._guards.add(guard)
            else:
                self._guards.discard(guard)
            tell(len(self._guards))


class Telemetry:
    """Told what a guard measures; override what you want to hear, the rest costs nothing.

    `values` are those of `metric.labels`, in their order.
    """

    down: Down

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Prepare one; not in `__init__`, which a subclass may leave uncalled."""
        made = super().__new__(cls)
        vars(made)["down"] = Down()  # also where the subclass is frozen
        return made

    def add(self, metric: Metric, values: Values, by: int) -> None:
        """Count `by` more."""

    def observe(self, metric: Metric, values: Values, amount: float) -> None:
        """Take one value of a histogram, in the unit of the metric."""

    def put(self, metric: Metric, amount: int) -> None:
        """Set a gauge, which is the sum of all guards that tell this object; one call at a time."""

    def enter(self, name: str, attributes: Mapping[str, str]) -> Any:
        """Begin a span; what this returns is given to `leave`.

        Spans are left in the reverse order, in the same thread or task.
        """

    def leave(self, entered: Any, attributes: Mapping[str, str], error: str) -> None:
        """End a span; `error` is "" or one word for what went wrong."""

    def note(self, signal: Signal) -> None:
        """Hear of a new finding, inside the span that is open, if one is."""
