"""What would have happened in other modes: counted, so that a stricter one can be chosen knowingly.

A session is counted once for each way in which it became suspicious, and again only after its
evidence has faded.
"""

from __future__ import annotations

from typing import Final

from gatehound.detection.policy import STRICT_FLAG, PolicySettings

# Append only: the position is a bit in the stored evidence.
WAYS: Final = ("flag", "flag_strict", "notify", "step_up", "terminate")


def ways(score: float, policy: PolicySettings, *, caution: float = 0.0) -> int:
    """Return the bits of what the score would lead to, were no mode a cap."""
    if score + caution < min(policy.flag_at, STRICT_FLAG) or score <= 0:
        return 0  # far most requests; no other threshold is lower
    thresholds = (
        policy.flag_at,
        min(policy.flag_at, STRICT_FLAG),
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
