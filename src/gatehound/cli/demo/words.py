"""Times in words, as the pages say them."""

from __future__ import annotations

import math
from typing import Final

_UNITS: Final = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def span(seconds: float) -> str:
    """Say a duration with its largest unit, rounded down: `3 minutes`."""
    for name, size in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "a moment"


def ago(then: float, now: float) -> str:
    """Say how long ago something was; clocks that disagree make it `just now`."""
    return "just now" if now - then < 3 else f"{span(now - then)} ago"


def until(then: float, now: float) -> str:
    """Say how soon something comes; over a minute it is rounded up to whole minutes."""
    left = then - now
    if left <= 0:
        return "now"
    return f"in {span(left if left < 60 else math.ceil(left / 60) * 60)}"
