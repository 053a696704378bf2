"""The address moved, and its provider did not.

What is further away than that is weighed by network_change. A request is never weighed by both,
and both say `network_changed`: the greater of the two counts, and not their sum.
"""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.model import Detail, Signal

# level -> (points, what to say). Little, because phones, home lines and VPNs change addresses all
# the time: a rule on any change of address would misjudge most people.
POINTS: Final = {
    "prefix": (0.3, "New address in a known network"),
    "unplaced": (0.3, "New network"),
    "network": (0.6, "New address of a known provider"),
}
USER_KNOWS_NETWORK: Final = -1.2
# What a network is says more than that nobody knows whose it is: these are for network_change.
BY_KIND: Final = frozenset({"hosting", "proxy", "vpn", "tor"})
# Over every usual flag threshold (3.5 to 5.5), and under that for asking for a proof (6.5).
STRICT: Final = 6.0


class IPShift(Detector):
    """Weigh a new address of a provider that the session knows.

    Sees: addresses and prefixes that the session has not used, as far as their provider is known
    or nothing is known of them. Another provider or country is for `network_change`.
    Is fooled by: a thief with the same provider in the same country.
    False alarms: none that reach a threshold alone.
    Tunables: `strict=True` (`detection.ip_shift`) makes every change of the exact address a signal
    that passes the flag threshold alone, and knows no exceptions: a phone that leaves the house is
    flagged.

    An unresolved address is no evidence, before or now.
    """

    name = "ip_shift"
    needs = frozenset({"memory", "user_memory", "network", "device"})
    has_slots = False

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal: `network_changed`, or `address_changed` if strict."""
        if self.strict:
            return _exact(observation)
        network = observation.network
        if not observation.is_new_context:
            return []
        level = observation.novelty
        if level not in POINTS or (level == "unplaced" and network.kind in BY_KIND):
            return []
        points, text = POINTS[level]
        user = observation.user_known
        if user.has_prefix(network.prefix) or user.is_near(network.prefix):
            points += USER_KNOWS_NETWORK
        if points <= 0:
            return []
        detail: Detail = {"level": level, "asn": network.asn, "country": network.country}
        return [Signal("network_changed", points, f"{text}, {browser(observation)}", detail)]


def browser(observation: Observation) -> str:
    """Say in words whether the browser is one that the session knows."""
    known = observation.known.has_agent(observation.device, observation.agent_digest)
    return "browser unchanged" if known else "browser not seen before"


def _exact(observation: Observation) -> list[Signal]:
    before = observation.session.address if observation.session else None
    now = observation.client_ip.address
    if before is None or now is None or before == now:
        return []
    return [Signal("address_changed", STRICT, f"New address, {browser(observation)}")]
