"""Rules that sites use today, each as small as it is published, on the same requests.

They see address, ASN, country, place, agent text and time of one session, and the other sessions
of its user. They read the City and the ASN file; the guard reads those too, and besides them the
Anonymous-IP and the Connection-Type file, the relay's list and the one of hosting providers. They
share no code with it. A rule takes what it has flagged as the new state, as a site does where its
user signs in again.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import maxminddb
from databases import ASN, CITY
from places import distance

ANY_CHANGE: Final = "any change of address"
COUNTRIES: Final = "concurrent countries"
BINDING: Final = "strict binding"
TRAVEL: Final = "impossible travel"
NEW_ASN: Final = "new ASN and unlike agent"
NAMES: Final = (ANY_CHANGE, COUNTRIES, BINDING, TRAVEL, NEW_ASN)

SPEED: Final = 805.0 / 3600  # km a second: 500 mph, an airliner
NEAR: Final = 100.0  # km: how far two answers for one city may lie apart
ACTIVE: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Place:
    """What the databases say of an address."""

    asn: int
    country: str
    latitude: float | None
    longitude: float | None
    net: str


class Lookup:
    """The two databases, read with maxminddb and remembered."""

    def __init__(self, folder: Path) -> None:
        self._city = maxminddb.open_database(folder / CITY)
        self._asn = maxminddb.open_database(folder / ASN)
        self.at = lru_cache(maxsize=200_000)(self._at)

    def _at(self, address: str) -> Place:
        city: Any = self._city.get(address) or {}
        owner: Any = self._asn.get(address) or {}
        where = city.get("location", {})
        return Place(
            owner.get("autonomous_system_number", 0),
            city.get("country", {}).get("iso_code", ""),
            where.get("latitude"),
            where.get("longitude"),
            _net(address),
        )

    def close(self) -> None:
        """Let go of the files."""
        self._city.close()
        self._asn.close()


def _net(address: str) -> str:
    if ":" in address:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return address.rpartition(".")[0]


@dataclass(slots=True)
class State:
    """What the rules know of one session."""

    address: str = ""
    agent: str = ""
    place: Place | None = None
    at: float = 0.0
    asns: set[int] = field(default_factory=set)
    signed_in_with: tuple[str, str] | None = None


class Baselines:
    """All rules; ask `see` for each request in the order of time."""

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup
        self._sessions: dict[int, State] = {}
        self._users: dict[int, dict[int, State]] = {}

    def begin(self, device: int, user: int) -> None:
        """Note that a session begins: nothing of the one before counts."""
        self._sessions[device] = State()
        self._users.setdefault(user, {})[device] = self._sessions[device]

    def see(self, device: int, user: int, address: str, agent: str, now: float) -> list[str]:
        """Return the names of the rules that flag this request."""
        state = self._sessions[device]
        is_same = address == state.address and agent == state.agent
        place = state.place if is_same and state.place else self.lookup.at(address)
        fired = []
        others = self._users[user]
        if len(others) > 1 and any(_elsewhere(one, state, place, now) for one in others.values()):
            fired.append(COUNTRIES)
        if not is_same:
            fired += _changed(state, address, agent, place, now)
            state.address, state.agent, state.place = address, agent, place
            state.asns.add(place.asn)
            state.signed_in_with = state.signed_in_with or family_of(agent)
        state.at = now
        return fired


def _elsewhere(other: State, own: State, place: Place, now: float) -> bool:
    if other is own or other.place is None or now - other.at > ACTIVE:
        return False
    return bool(place.country) and other.place.country not in ("", place.country)


def _changed(state: State, address: str, agent: str, place: Place, now: float) -> list[str]:
    before = state.place
    if before is None:
        return []
    fired = []
    if address != state.address:
        fired.append(ANY_CHANGE)
    if place.net != before.net or agent != state.agent:
        fired.append(BINDING)
    if address != state.address and _is_too_fast(before, place, now - state.at):
        fired.append(TRAVEL)
    if place.asn not in state.asns and family_of(agent) != state.signed_in_with:
        fired.append(NEW_ASN)
    return fired


def _is_too_fast(one: Place, other: Place, seconds: float) -> bool:
    km = kilometres(one, other)
    return km > NEAR and km / max(1.0, seconds) > SPEED


def kilometres(one: Place, other: Place) -> float:
    """Return the distance over the ground, 0 where a place is not known."""
    if one.latitude is None or one.longitude is None:
        return 0.0
    if other.latitude is None or other.longitude is None:
        return 0.0
    return distance((one.latitude, one.longitude), (other.latitude, other.longitude))


_FAMILIES: Final = (
    ("Edge", re.compile(r"Edg(?:A|iOS)?/")),
    ("Firefox", re.compile(r"Firefox/|FxiOS/")),
    ("Headless", re.compile(r"HeadlessChrome/")),
    ("Chrome", re.compile(r"Chrome/|CriOS/")),
    ("Safari", re.compile(r"Safari/|AppleCoreMedia/")),
)
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("iOS", "iPhone"),
    ("Android", "Android"),
    ("macOS", "Macintosh"),
    ("Linux", "Linux"),
)


@lru_cache(maxsize=4096)
def family_of(agent: str) -> tuple[str, str]:
    """Return the browser family and the system that an agent text names."""
    family = next((name for name, pattern in _FAMILIES if pattern.search(agent)), agent[:12])
    system = next((name for name, word in _SYSTEMS if word in agent), "")
    return family, system
