"""The session is used through another provider, or from another country, than before.

Weights are data: POINTS says what novelty at each level is worth, and the kind of the new network
changes that, because the place of an exit is not the place of its user.
"""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.detectors.ip_shift import USER_KNOWS_NETWORK, browser
from gatehound.detection.known import Known
from gatehound.detection.novelty import ABROAD, Level
from gatehound.model import Detail, Network, NetworkKind, Signal

POINTS: Final[dict[str, tuple[float, str]]] = {
    # A country but no provider to compare: as little as can be said of the same country.
    "same_country": (0.6, "New network in the same country"),
    "provider": (1.6, "New network in the same country"),
    "neighbour": (2.6, "Network in a neighbouring country"),  # or a known provider elsewhere
    "country": (3.2, "Network in another country"),
    "continent": (4.0, "Network on another continent"),
}
USER_KNOWS_COUNTRY: Final = -0.9
# Added to the level: servers browse seldom, phones change networks all the time.
HOSTING: Final = 1.4
MOBILE: Final = -0.6
# Relays are built into browsers, and keep the country: what is left of the level's points.
RELAY: Final = 0.2
# Whose place says nothing, in place of the level: the session's first such network, and others.
# A session does not wander into Tor by itself: whoever uses Tor has a browser for it, with cookies
# of its own. A VPN or a company's gateway is switched on in the middle of one every day.
PLACELESS: Final = {
    "tor": (6.6, "Used through the Tor network"),
    "vpn": (2.5, "Used through a VPN"),
    "proxy": (2.5, "Used through a proxy"),
}
SAME_KIND: Final = 0.3


class NetworkChange(Detector):
    """Weigh a new provider by how far away it is, and by what kind of network it is.

    Sees: providers, countries and continents that the session has not used, servers, Tor, VPNs
    and proxies; less where the user has used them in another session.
    Is fooled by: a thief in the same city and provider, or behind an exit there; a thief on a VPN
    where the user has one too.
    False alarms: travellers, until the network is learned. On its own no such change passes the
    flag threshold but those to Tor, and to servers in another country.
    Tunables: the constants of gatehound.detection.detectors.network_change, and the files of
    `detection.network_lists`.

    Needs an ASN or City database, or lists. An address that nothing is known of is for `ip_shift`.
    """

    name = "network_change"
    needs = frozenset({"memory", "user_memory", "network", "device"})
    has_slots = False

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `network_changed`."""
        network, known = observation.network, observation.known
        if not observation.is_new_context:
            return []
        level = observation.novelty
        weight, text = _weighed(level, network, known, observation.user_known)
        if weight <= 0:
            return []
        detail: Detail = {
            "level": level,
            "asn": network.asn,
            "country": network.country,
            "kind": network.kind,
        }
        return [Signal("network_changed", weight, f"{text}, {browser(observation)}", detail)]


def _weighed(level: Level, network: Network, known: Known, user: Known) -> tuple[float, str]:
    """Return the points of a new network and what to say; 0 where this is not ours to weigh."""
    kind = network.kind
    if kind in PLACELESS and level not in ("", "prefix", "network"):
        return _of_exit(network, known, user)
    if level == "unplaced" and kind == "hosting":
        return HOSTING, "Used from a server"
    if level not in POINTS:
        return 0.0, ""
    if kind == "hosting" and known.has_kind("tor"):  # exits that no list has yet
        points = min(PLACELESS["vpn"][0], POINTS[level][0] + HOSTING)
        return points + _discount(network, user), PLACELESS["vpn"][1]
    points, text = POINTS[level]
    if level in ABROAD:
        text = f"{text} ({network.country})"
    points += _discount(network, user, is_abroad=level in ABROAD)
    return _by_kind(points, kind) if kind else points, text


def _by_kind(points: float, kind: NetworkKind) -> float:
    if kind == "hosting":
        return points + HOSTING
    if kind == "mobile":
        return points + MOBILE
    return points * RELAY if kind == "relay" else points


def _of_exit(network: Network, known: Known, user: Known) -> tuple[float, str]:
    points, text = PLACELESS[network.kind]
    if known.has_kind(network.kind) or user.has_kind(network.kind):
        points = SAME_KIND
    elif network.kind == "tor" and known.has_kind("hosting"):  # or it began at an unlisted exit
        points = PLACELESS["vpn"][0]
    return points + _discount(network, user), text


def _discount(network: Network, user: Known, *, is_abroad: bool = False) -> float:
    """What the user's other sessions say for the network; only the most specific counts."""
    prefix = network.prefix
    knows = user.has_prefix(prefix) or (":" in prefix and user.is_near(prefix))
    if knows or user.has_network(network):
        return USER_KNOWS_NETWORK
    # Where the country is not what is new, that the user knows it is nothing new either.
    return USER_KNOWS_COUNTRY if is_abroad and user.has_country(network.country) else 0.0
