"""One figure and one word for a list of findings: a way to see that it gets better, no proof."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gatehound.clientip.check import Finding

COSTS: Final = {"danger": 30, "warning": 10, "note": 2}
"""Points from 100. One danger weighs as much as three warnings, and is never `good`."""
GRADES: Final = ((90, "good"), (75, "fair"), (50, "weak"), (0, "bad"))
"""From how many points on. 75: with one danger (70) it is no longer fair."""


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort by level; those of one level stay as they were."""
    return sorted(findings, key=lambda finding: -COSTS[finding.level])


def score(findings: Iterable[Finding]) -> int:
    """Return 0 to 100 points: 100 where nothing was found."""
    return max(0, 100 - sum(COSTS[finding.level] for finding in findings))


def grade(points: int) -> str:
    """Return the word for a score: good, fair, weak or bad."""
    return next(word for least, word in GRADES if points >= least)
