"""Whether the store is down, told once: a part of it may fail while the rest answers.

With one of three servers of a cluster gone, every third request fails. Telling "down" and "up" at
each turn would bury what matters, so the store is up again once nothing failed for a while.
"""

from __future__ import annotations

import time
from typing import Final

# Seconds without a failure. Recovery itself waits for nothing: requests are served at once.
QUIET: Final = 2.0


class Outage:
    """What this process knows of the store's health; shared by a guard and its blocking twin."""

    __slots__ = ("_failed_at", "is_down")

    def __init__(self) -> None:
        self.is_down = False
        self._failed_at = 0.0

    def begins(self) -> bool:
        """Note a failure; True for the one to tell of."""
        self._failed_at = time.monotonic()
        was_down, self.is_down = self.is_down, True
        return not was_down

    def ends(self) -> bool:
        """Note an answer while down; True for the one to tell of."""
        if not self.is_down or time.monotonic() - self._failed_at < QUIET:
            return False
        self.is_down = False
        return True
