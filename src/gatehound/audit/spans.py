"""Write durations as people say them."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Write a duration: 3600 -> "1 hour"."""
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{seconds:g} seconds"
