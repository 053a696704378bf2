"""The session is far from where it was used last, sooner than anybody travels."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.neighbours import neighbours
from gatehound.model import Network, Signal

# Supports other evidence, and is none alone: databases place whole providers in one city.
POINTS: Final = 1.5
# Up to three times as fast as an airliner it may be a mistake of time or place.
DOUBTFUL: Final = 0.4
MIN_KM: Final = 500.0  # cities that databases mix up are nearer to each other
MAX_KM_PER_HOUR: Final = 1000.0  # airliners cruise at 800 to 950
SURE_KM_PER_HOUR: Final = 3000.0
MIN_SECONDS: Final = 60.0  # requests overtake each other, and clocks differ
ABROAD_WITHIN: Final = 1800.0  # seconds to a country that is no neighbour
EARTH_KM: Final = 6371.0
_NEAR: Final = 4.4  # degrees, of 111.2 km: less than MIN_KM
# A home line is where its user is. All others carry no place: phones and satellites leave the net
# at a gateway, a server's place is that of its rack, and whoever switches the tunnel of a company
# on seems to be at its seat.
PLACED: Final = frozenset({"isp"})
# Where a session was before: a company's own people were at its seat more often than in its tunnel,
# and a browser's relay gives an address of the region that its user is in.
PLACED_BEFORE: Final = PLACED | {"", "business", "relay"}


class ImpossibleTravel(Detector):
    """Compare place and time with those of the session's last uses.

    Sees: over 500 km at over 1000 km/h from a fixed network to a home line, after a minute at
    least; where a place is not known, a country that is no neighbour within half an hour. A phone
    that has left its home line for the carrier's network is compared with both. A computer whose
    session only knows carriers' networks is at home on one: there its place counts.
    Is fooled by: a thief nearby, or who waits; a victim on a VPN or proxy, or on a phone that this
    process has seen on its carrier's network alone.
    False alarms: a VPN whose exits look like home lines to the databases; places that these have
    wrong. It supports other evidence, and reaches no threshold but for the record alone.
    Tunables: the constants of gatehound.detection.detectors.impossible_travel. `has_lines` says
    that some database or list tells home lines: an unknown network carries no place then.

    Needs a City database with places, and addresses kept in full (`privacy.address_precision`).
    """

    name = "impossible_travel"
    needs = frozenset({"memory", "user_memory", "network"})
    has_slots = False

    def __init__(self, *, has_lines: bool = True) -> None:
        self._placed = PLACED if has_lines else PLACED | {""}

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `travelled_too_fast`."""
        here, known = observation.network, observation.known
        if not observation.is_new_context or here.kind not in self._placed:
            return []
        if known.has_network(here) or observation.user_known.has_network(here):
            return []
        last, asn, place = (observation.previous, observation.last_used), here.asn, here.location
        found: list[Signal] = []
        for there, used in (last, *observation.recent):
            if there.kind not in PLACED_BEFORE and not (
                there.kind == "mobile" and _lives_on_a_carrier(observation)
            ):
                continue
            before = there.location
            if (asn and asn == there.asn) or (place and before and _are_near(place, before)):
                continue
            found += _compared(here, there, max(observation.now - used, MIN_SECONDS))
        if len(found) > 1:
            found.sort(key=_weight)
        return found[-1:]


def _lives_on_a_carrier(observation: Observation) -> bool:
    """True for a computer behind a router with a SIM card: one that travels knows home lines.

    A phone on the network of its carrier is there or roams, and a hotel's wifi comes next.
    """
    device, networks = observation.device, observation.known.networks
    if device.is_mobile or not device.os or not networks:
        return False
    return all(one.kind == "mobile" for one in networks)


def _weight(signal: Signal) -> float:
    return signal.weight


def _compared(here: Network, there: Network, seconds: float) -> list[Signal]:
    if here.location and there.location:
        return _by_distance(distance(here.location, there.location), seconds)
    return _by_country(here.country, there.country, seconds)


def _are_near(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """True for places of one region: no way is longer than that along meridian and equator."""
    return abs(one[0] - other[0]) + abs(one[1] - other[1]) < _NEAR


def _by_distance(km: float, seconds: float) -> list[Signal]:
    speed = km / seconds * 3600
    if km < MIN_KM or speed < MAX_KM_PER_HOUR:
        return []
    minutes = max(round(seconds / 60), 1)
    reason = f"{km:.0f} km from where it was used {_span(minutes)} before"
    points = POINTS if speed >= SURE_KM_PER_HOUR else DOUBTFUL
    return [Signal("travelled_too_fast", points, reason, {"km": round(km), "minutes": minutes})]


def _by_country(here: str, there: str, seconds: float) -> list[Signal]:
    """Where a database has no place that is near enough, a border is all that is left."""
    if not here or not there or here == there or here in neighbours(there):
        return []
    if seconds > ABROAD_WITHIN:
        return []
    minutes = max(round(seconds / 60), 1)
    reason = f"In {here}, and {_span(minutes)} before in {there}"
    return [Signal("travelled_too_fast", POINTS, reason, {"minutes": minutes})]


def _span(minutes: int) -> str:
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the great-circle distance in km (haversine formula; R. W. Sinnott, 1984).

    Both are latitude and longitude in degrees.
    """
    north, east = radians(other[0] - one[0]), radians(other[1] - one[1])
    half = sin(north / 2) ** 2 + cos(radians(one[0])) * cos(radians(other[0])) * sin(east / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(min(1.0, half)))
