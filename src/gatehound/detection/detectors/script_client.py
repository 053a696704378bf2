"""The session is used by a program, where a browser used it before."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.model import Signal

POINTS: Final = 5.0  # passes the flag threshold (4.5) alone: people do not browse with curl
# Without the parser nothing is known of browsers, and a program is seen by its name alone.


class ScriptClient(Detector):
    """Look for programs: curl, HTTP libraries, headless browsers, and texts that are empty.

    Sees: a User-Agent of a program in a session that no program has used.
    Is fooled by: a copied User-Agent text, which costs a thief nothing.
    False alarms: a developer who pastes their browser's cookie into a program; a program that
    signs in by itself has a session of its own, and is none.
    Tunables: POINTS.
    """

    name = "script_client"
    needs = frozenset({"memory", "device"})
    has_slots = False

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `script_client`."""
        agents = observation.known.agents
        if not (observation.is_new_context and agents and observation.device.is_script):
            return []
        if any(one.is_script for one in agents):
            return []
        detail = {"agent": observation.device.label}
        return [Signal("script_client", POINTS, "Used by a program instead of a browser", detail)]
