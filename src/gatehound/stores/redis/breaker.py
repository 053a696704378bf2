"""A breaker: a server that gives no answer is left alone for a moment.

Without one each request waits out its deadline at a server that is down, and the app's workers
are all waiting. Source of the pattern: Michael Nygard, "Release It!", Circuit Breaker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

# Silences in a row before the server is left alone. Each counts only if its call began after
# the one before was noticed: a pause of 300 ms that fifty calls meet is one silence, not fifty,
# and three take three quarters of a second.
SILENCES: Final = 3
# How long it is left alone; then one call tries. Recovery is noticed within this and one call.
REST: Final = 1.0


class Breaker:
    """Count the silences of one server. Safe to share between threads, loops and processes.

    `clock` gives seconds that never go back.
    """

    __slots__ = ("_clock", "_failed_at", "_lock", "_try_at", "heard_at", "silences")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # held for a few assignments, never while anybody waits
        self.silences = 0
        """How many in a row up to now: 0 for a server that answered last time."""
        self._failed_at = 0.0
        self._try_at = 0.0
        self.heard_at = float("-inf")
        """When the last call that was answered began."""

    def begin(self) -> float | None:
        """Return when the call begins, to be given to `silent`; None: do not ask now."""
        now = self._clock()
        if self.silences < SILENCES:
            return now
        with self._lock:
            if now < self._try_at:
                return None
            self._try_at = now + REST  # this one tries; if it is never heard of, another will
            return now

    def answered(self, began: float) -> None:
        """An answer came, be it a refusal: the server is there."""
        self.silences = 0
        self.heard_at = began

    def silent(self, began: float) -> None:
        """No answer came in time, or no connection."""
        with self._lock:
            if self.silences and began < self._failed_at:
                return
            self.silences += 1
            self._failed_at = self._clock()
            self._try_at = self._failed_at + REST
