"""A clock that stands still until it is told to move."""

from __future__ import annotations

from typing import Final

START: Final = 1_800_000_000_000  # 2027-01-15 08:00:00 UTC


class FakeClock:
    """Return the same instant (milliseconds since 1970) until `advance` is called.

    Give it to a store as `clock`. It starts at 1 800 000 000 000.
    """

    def __init__(self, start: int = START) -> None:
        self._now = start

    def __call__(self) -> int:
        """Return the present instant, in milliseconds since 1970."""
        return self._now

    def advance(self, seconds: float = 0, *, ms: int = 0) -> int:
        """Move by `seconds` and `ms` (negative: back) and return the new instant."""
        self._now += round(seconds * 1000) + ms
        return self._now
