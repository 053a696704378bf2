"""The session rested for days, and comes back from somewhere else."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.novelty import NEAR
from gatehound.model import Signal

# Cookies are stolen in bulk and sold: they come back days later. A weekend is worth less than that,
# or everybody who travels on a Monday would be flagged in the next country.
# seconds of rest -> points, the longest first
POINTS: Final = ((5 * 86_400.0, 1.5), (36 * 3600.0, 1.0))
LEAST: Final = POINTS[-1][0]


class SessionAge(Detector):
    """Weigh a new provider more where the session was not used for days.

    Sees: a day and a half of rest, or five days, and then a provider or country that neither
    session nor user knows.
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
        if not (observation.is_new_context and observation.last_used):
            return []
        rested = observation.now - observation.last_used
        if rested < LEAST:
            return []
        points = next(points for least, points in POINTS if rested >= least)
        network, user = observation.network, observation.user_known
        level = observation.novelty
        if not level or level in NEAR or user.has_network(network):
            return []
        hours = int(rested // 3600)
        reason = f"Not used for {hours} hours, and now from a new network"
        return [Signal("rested_long", points, reason, {"hours": hours})]
