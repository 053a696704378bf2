"""Chance that can be repeated: every generator of the simulation is made here, from a text."""

from __future__ import annotations

import random


def chance(seed: str) -> random.Random:
    """Return a generator of its own for a seed; a text seeds alike in every process."""
    return random.Random(seed)  # noqa: S311 - it guards nothing
