"""The session rested for days, and comes back from somewhere else."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.novelty import NEAR
from gatehound.model import Signal

POINTS: Final = 1.5  # cookies are stolen in bulk and sold: they come back days later
RESTED: Final = 3 * 86_400.0  # seconds; people who stay signed in come back within days


class SessionAge(Detector):
    """Weigh a new provider more where the session was not used for days.

    Sees: three days of rest, and then a provider or country that neither session nor user knows.
    Is fooled by: a thief who comes at once, or from the victim's own provider; a session that
    is used in between. Timeouts bound that, and this does not.
    False alarms: who stays signed in on a laptop that only travels; this alone records.
    Tunables: the constants of gatehound.detection.detectors.session_age.
    """

    name = "session_age"
    needs = frozenset({"memory", "user_memory", "network"})
    has_slots = False

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `rested_long`."""
        rested = observation.now - observation.last_used
        if not (observation.is_new_context and observation.last_used) or rested < RESTED:
            return []
        network, user = observation.network, observation.user_known
        level = observation.novelty
        if not level or level in NEAR or user.has_network(network):
            return []
        days = int(rested // 86_400)
        reason = f"Not used for {days} days, and now from a new network"
        return [Signal("rested_long", POINTS, reason, {"days": days})]
