"""The session is used from a network that it has not used before.

Weights are data: LADDER says what novelty at each level is worth, and the level is the most
specific one that is still known (an exact address means less than a prefix, a prefix less than
an ASN, then country, then continent).
"""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.known import Known
from gatehound.model import Detail, Network, Signal

# level -> (points, what to say). Graded, because phones, home lines and VPNs change addresses all
# the time: a rule on any change of address would misjudge most people.
LADDER: Final = {
    "prefix": (0.3, "New address in a known network"),
    # No database, or the address is not in it: nobody can say how far away it is.
    "unplaced": (0.3, "New network"),
    "network": (0.6, "New address of a known provider"),
    # A country but no ASN to compare: as little as can be said of the same country.
    "same_country": (0.6, "New network in the same country"),
    "provider": (1.6, "New network in the same country"),
    # There is no table of neighbours yet (2.6): a neighbour counts as the same continent.
    "country": (3.2, "Network in another country"),
    "continent": (4.0, "Network on another continent"),
}
USER_KNOWS_NETWORK: Final = -1.2
USER_KNOWS_COUNTRY: Final = -0.9
# Over every usual flag threshold (3.5 to 5.5), and under that for asking for a proof (6.5).
STRICT: Final = 6.0

_NEW_COUNTRY: Final = frozenset({"country", "continent"})


class IPShift(Detector):
    """Weigh a new network by how much about it is new.

    Sees: prefixes, ASNs, countries and continents that the session has not used, less where the
    user has used them in another session.
    Is fooled by: a thief in the same city and provider, or behind an exit there.
    False alarms: travellers and VPN users, until the network is learned; on its own no such
    change passes the flag threshold.
    Tunables: `strict=True` makes every change of the exact address a signal that passes the
    flag threshold alone, and knows no exceptions: a phone that leaves the house is flagged.

    An unresolved address is no evidence, before or now.
    """

    name = "ip_shift"
    needs = frozenset({"memory", "user_memory", "network", "device"})

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal: `network_changed`, or `address_changed` if strict."""
        if self.strict:
            return _exact(observation)
        network = observation.network
        if not (observation.is_new_context and network.prefix and observation.known.prefixes):
            return []
        level = level_of(network, observation.known)
        if not level:
            return []
        points, text = LADDER[level]
        weight = points + _discount(level, network, observation.user_known)
        if weight <= 0:
            return []
        detail: Detail = {"level": level, "asn": network.asn, "country": network.country}
        reason = f"{text}{_named(level, network)}; {_browser(observation)}"
        return [Signal("network_changed", weight, reason, detail)]


def level_of(network: Network, known: Known) -> str:
    """Return the key of LADDER that fits, "" where the very prefix is known."""
    if known.has_prefix(network.prefix):
        return ""
    if known.is_near(network.prefix):
        return "prefix"
    if known.has_network(network):
        return "network"
    new_provider = bool(network.asn and known.networks)
    if not (network.country and known.countries):
        return "provider" if new_provider else "unplaced"
    if network.country in known.countries:
        return "provider" if new_provider and not _owns(network.asn, known) else "same_country"
    continents = {continent for continent in known.countries.values() if continent}
    far = network.continent and continents and network.continent not in continents
    return "continent" if far else "country"


def _owns(asn: int, known: Known) -> bool:
    return any(one.asn == asn for one in known.networks)


def _discount(level: str, network: Network, user: Known) -> float:
    """What the user's other sessions say for the network; only the most specific counts."""
    if user.has_prefix(network.prefix) or user.is_near(network.prefix) or user.has_network(network):
        return USER_KNOWS_NETWORK
    # Where the country is not what is new, that the user knows it is nothing new either.
    if level in _NEW_COUNTRY and network.country in user.countries:
        return USER_KNOWS_COUNTRY
    return 0.0


def _named(level: str, network: Network) -> str:
    return f" ({network.country})" if level in _NEW_COUNTRY else ""


def _browser(observation: Observation) -> str:
    known = observation.known.has_agent(observation.device, observation.agent_digest)
    return "browser unchanged" if known else "browser not seen before"


def _exact(observation: Observation) -> list[Signal]:
    before = observation.session.address if observation.session else None
    now = observation.client_ip.address
    if before is None or now is None or before == now:
        return []
    return [Signal("address_changed", STRICT, f"New address; {_browser(observation)}")]
