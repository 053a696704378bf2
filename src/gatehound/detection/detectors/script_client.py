"""The session is used by a program, where a browser used it before."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.model import Signal

POINTS: Final = 5.0  # passes the flag threshold (4.5) alone: people do not browse with curl
# On a network of the session it may be a scanner or a download manager of the user's own, which
# borrows the browser's name: recorded, and under the threshold also with a new address.
BARE_ON_KNOWN_NETWORK: Final = 3.0
# What every browser sends with every request, for ten years or since 2023: one of them at least
# (RFC 9110, 12.5.4; W3C Fetch Metadata; User-Agent Client Hints).
_OF_BROWSERS: Final = ("accept-language", "sec-fetch-mode", "sec-fetch-site", "sec-ch-ua")
_NEAR: Final = frozenset({"", "prefix"})


class ScriptClient(Detector):
    """Look for programs: curl, HTTP libraries, headless browsers, and texts that are empty.

    Sees: a User-Agent of a program in a session that no program has used; a browser's text
    without one of the headers that every browser sends, where the session has always had them.
    Is fooled by: a copied User-Agent text with the browser's other headers, which costs a thief
    little.
    False alarms: a developer who pastes their browser's cookie into a program; a program that
    signs in by itself has a session of its own, and is none. A proxy that takes these headers away
    has taken them at the sign-in too.
    Tunables: the constants of gatehound.detection.detectors.script_client.
    """

    name = "script_client"
    needs = frozenset({"memory", "device"})

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `script_client`."""
        agents = observation.known.agents
        if not observation.is_new_context:
            return []
        if observation.device.is_script:
            return _program(observation) if agents and not any(o.is_script for o in agents) else []
        return _bare(observation) if is_bare(observation) else []


def _program(observation: Observation) -> list[Signal]:
    detail = {"agent": observation.device.label}
    return [Signal("script_client", POINTS, "Used by a program instead of a browser", detail)]


def is_bare(observation: Observation) -> bool:
    """True for a browser's text in a request that no browser makes."""
    device = observation.device
    return (
        bool(device.family)
        and not (device.is_script or device.is_app)
        and observation.is_agent_comparable
        and not observation.request.websocket  # some handshakes are as bare
        and observation.request.lacks(_OF_BROWSERS)
    )


def _bare(observation: Observation) -> list[Signal]:
    """Weigh it, unless the session has been so from the beginning."""
    if observation.is_login:  # nobody else may say so: a thief's request would
        observation.memory["bare"] = True
    if observation.memory.get("bare") or not observation.known.agents:
        return []
    near = observation.novelty in _NEAR
    reason = "Used by a program that has copied the name of a browser"
    return [Signal("script_client", BARE_ON_KNOWN_NETWORK if near else POINTS, reason)]
