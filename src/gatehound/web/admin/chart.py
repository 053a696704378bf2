"""Small charts as inline SVG: bars or a line over hours or days, with the figures for a table.

Nothing here is style: positions are attributes, which a strict Content-Security-Policy allows, and
colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

WIDTH: Final = 480
HEIGHT: Final = 96
GAP: Final = 0.2  # of a bar's place


class Bar(msgspec.Struct, frozen=True):
    """One value: where its bar is, in user units, and what it says."""

    x: float
    y: float
    width: float
    height: float
    at: float
    value: int


class Chart(msgspec.Struct, frozen=True):
    """One series: bars from left to right, the same as points of a line, and its largest value."""

    bars: tuple[Bar, ...]
    points: str
    most: int
    total: int
    latest: int


def chart(moments: Sequence[float], values: Sequence[int]) -> Chart:
    """Lay out one series; `moments` are when each value begins, in seconds since 1970.

    The scale begins at 0, so that twice as high is twice as many.
    """
    most, place = max(values, default=0), WIDTH / max(len(values), 1)
    bars = []
    for number, (at, value) in enumerate(zip(moments, values, strict=True)):
        height = round(HEIGHT * value / most, 2) if most else 0.0
        x = round(number * place + place * GAP / 2, 2)
        bars.append(Bar(x, HEIGHT - height, round(place * (1 - GAP), 2), height, at, value))
    points = " ".join(f"{round(one.x + one.width / 2, 2)},{one.y:g}" for one in bars)
    return Chart(tuple(bars), points, most, sum(values), values[-1] if values else 0)


def grouped(values: Sequence[int], size: int) -> list[int]:
    """Return the sums of each `size` values, the last whole group last."""
    start = len(values) % size
    return [sum(values[at : at + size]) for at in range(start, len(values), size)]
