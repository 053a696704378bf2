"""What would have happened in other modes: counted, so that a stricter one can be chosen knowingly.

A session is counted once for each way in which it became suspicious, and again only after its
evidence has faded.
"""

from __future__ import annotations

from typing import Final

from gatehound.detection.policy import STRICT_FLAG, PolicySettings

# Append only: the position is a bit in the stored evidence.
WAYS: Final = ("flag", "flag_strict", "notify", "step_up", "terminate")


def least(policy: PolicySettings) -> float:
    """Return the lowest of the thresholds: no evidence under it leads to anything."""
    return min(policy.flag_at, STRICT_FLAG)


def ways(score: float, policy: PolicySettings, *, caution: float = 0.0) -> int:
    """Return the bits of what the score would lead to, were no mode a cap."""
    lowest = least(policy)
    if score + caution < lowest or score <= 0:
        return 0
    thresholds = (
        policy.flag_at,
        lowest,
        policy.notify,
        policy.step_up,
        policy.terminate,
    )
    score += caution
    return sum(
        1 << position
        for position, threshold in enumerate(thresholds)
        if threshold is not None and score >= threshold
    )


def names(bits: int) -> tuple[str, ...]:
    """Return the names of the bits."""
    return tuple(name for position, name in enumerate(WAYS) if bits >> position & 1)
