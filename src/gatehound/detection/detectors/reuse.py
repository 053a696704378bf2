"""An old secret of the session came back: there are two copies of its cookie."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.model import Signal

# Over the flag threshold of every profile (3.5 to 5.5), under that for asking for a proof (6.5).
POINTS: Final = 6.0


class Reuse(Detector):
    """Say what an old secret is worth that was presented after its grace.

    Sees: two copies of a cookie, of which one was renewed and the other was not.
    Is fooled by: a thief who holds the newest copy; sessions whose secret is never renewed
    (`session.rotate_every`).
    False alarms: a browser that was restored from a backup. An answer that got lost on its way,
    with the new secret in it, is told apart: its browser comes from where the session is known.
    Tunables: POINTS.

    The guard asks `found` when a store refuses a secret; requests that are judged have a good one.
    """

    name = "reuse"
    has_slots = False

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return nothing: a request that is judged was admitted."""
        return []

    def found(self, reuse: str, *, known_context: bool) -> Signal | None:
        """Return `secret_reused`, or None for an owner whose answer got lost.

        `reuse` is the class that the store gives (gatehound.stores.answer.Answer.reuse).
        """
        if reuse == "orphan" and known_context:
            return None
        reason = "An old copy of this session's cookie was used"
        return Signal("secret_reused", POINTS, reason, detector=self.name)
