"""Two parties use the session in turn: it goes back and forth between two contexts."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.device import is_desktop_site, is_same_family
from gatehound.model import Signal

# Alone under the flag threshold (4.5), also with a new provider in the same country that is half
# an hour old: whoever works over two lines at once does this all day.
NETWORKS: Final = 2.5
BROWSERS: Final = 2.0
ALTERNATIONS: Final = 3  # within 15 minutes, each 30 s apart: see gatehound.detection.turns
# Only lines that do not move: a phone between wifi and cellular goes back and forth all day.
FIXED: Final = frozenset({"isp", "business", "hosting"})


class Interleaving(Detector):
    """Count how often the session went back and forth between two networks or two browsers.

    Sees: three alternations within 15 minutes between two fixed networks of different providers,
    or between two different browsers.
    Is fooled by: a thief who waits until the victim is done; networks whose kind is not known;
    several processes, each of which sees a part of the requests.
    False alarms: two lines used at once (split tunnels), until the user has known both for a day.
    Tunables: the constants of gatehound.detection.detectors.interleaving.

    Needs an ASN database, and a Connection-Type database or lists for the kinds.
    """

    name = "interleaving"
    needs = frozenset({"memory", "user_memory", "network", "device"})
    has_slots = False

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return `networks_interleaved` and `browsers_interleaved`, or what of them was found."""
        if observation.alternations < ALTERNATIONS:
            return []
        found = []
        if _two_lines(observation):
            reason = "Used in turn from two networks that do not move"
            found.append(Signal("networks_interleaved", NETWORKS, reason))
        if _two_browsers(observation):
            found.append(Signal("browsers_interleaved", BROWSERS, "Used in turn by two browsers"))
        return found


def _two_lines(observation: Observation) -> bool:
    here, there = observation.network, observation.previous
    if here.kind not in FIXED or there.kind not in FIXED or not here.asn or not there.asn:
        return False
    if here.asn == there.asn:
        return False
    user = observation.user_known
    return not (user.has_network(here) and user.has_network(there))


def _two_browsers(observation: Observation) -> bool:
    """True where the last context was of another known browser: its text is stored as a digest."""
    device, before = observation.device, observation.previous_agent
    if before == observation.agent_digest or not observation.is_agent_comparable:
        return False
    other = [one for one in observation.known.agents if one.digest == before]
    if not other:  # this one's own text may be an update of it
        known = observation.known.has_agent(device, observation.agent_digest)
        return bool(observation.known.agents) and not known
    before_os = other[0].os
    if not is_same_family(other[0].family, device.family):
        return True
    return before_os != device.os and not is_desktop_site(before_os, device.os)
