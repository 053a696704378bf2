"""How evidence learns a context: sets with bounds, of which the entry unused for longest goes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Protocol

from gatehound.detection.entry import AgentEntry, CountryEntry, Entry, NetworkEntry
from gatehound.model import Device, Network

MAX_PREFIXES: Final = 32
MAX_NETWORKS: Final = 8
MAX_COUNTRIES: Final = 8
MAX_KINDS: Final = 6
MAX_AGENTS: Final = 4
MAX_TEXT: Final = 160

# Whose place is not their user's: what country an exit is in says nothing of who uses it.
PLACELESS: Final = frozenset({"proxy", "vpn", "tor"})
# A home line and a company's own network are told apart by their provider.
_COMMON_KINDS: Final = frozenset({"", "isp", "business"})
# A set entry is stamped at most so often, or every judged request would rewrite the memory.
_STAMP: Final = 60


class Sets(Protocol):
    """What learns: the evidence of a session or of its user."""

    prefixes: dict[str, Entry]
    networks: dict[str, NetworkEntry]
    countries: dict[str, CountryEntry]
    agents: dict[str, AgentEntry]
    kinds: dict[str, Entry]


def learn(
    evidences: Iterable[Sets],
    network: Network,
    device: Device | None,
    digest: bytes,
    now: float,
    *,
    proven: bool = False,
) -> None:
    """Remember a context, for a session and its user; a `device` of None leaves the agent out."""
    at = int(now) if now > 0 else 0
    since = 0 if proven else at
    kind, asn = network.kind, network.asn
    prefix = network.prefix
    if len(prefix) > MAX_TEXT or not prefix.isascii():
        prefix = clip(prefix)
    country = "" if kind in PLACELESS else network.country
    continent = network.continent if country else ""
    for evidence in evidences:
        if prefix:
            here = evidence.prefixes.get(prefix)
            if here is None:
                _make_room(evidence.prefixes, MAX_PREFIXES)
                evidence.prefixes[prefix] = Entry(since, at)
            else:
                _stamp(here, since, at)
        if asn:
            _learn_provider(evidence.networks, network, country, continent, since, at)
        if country:
            place = evidence.countries.get(country)
            if place is None:
                _make_room(evidence.countries, MAX_COUNTRIES)
                evidence.countries[country] = CountryEntry(since, at, continent)
            else:
                _stamp(place, since, at)
                place.continent = continent
        if kind not in _COMMON_KINDS:
            here = evidence.kinds.get(kind)
            if here is None:
                _make_room(evidence.kinds, MAX_KINDS)
                evidence.kinds[kind] = Entry(since, at)
            else:
                _stamp(here, since, at)
        if device is not None:
            _learn_agent(evidence.agents, device, digest, since, at)


def _learn_provider(
    networks: dict[str, NetworkEntry],
    network: Network,
    country: str,
    continent: str,
    since: int,
    at: int,
) -> None:
    asn, build, kind = network.asn, network.build, network.kind
    key = f"{asn}{country}"
    net = networks.get(key)
    if net is None:
        _make_room(networks, MAX_NETWORKS)
        networks[key] = NetworkEntry(since, at, asn, country, continent, build, kind)
    else:
        _stamp(net, since, at)
        # What the databases say now.
        net.continent, net.build, net.kind = continent, build, kind


def _learn_agent(
    agents: dict[str, AgentEntry], device: Device, digest: bytes, since: int, at: int
) -> None:
    family, system = clip(device.family), clip(device.os)
    key = f"{family}\0{system}" if family else digest.hex()
    used = agents.get(key)
    if used is None:
        _make_room(agents, MAX_AGENTS)
        agents[key] = used = AgentEntry(since, at, family, system, device.version, digest)
    else:
        _stamp(used, since, at)
    # The last of its versions, and where no family is known, the last of its systems.
    used.os, used.version, used.digest = system, device.version, digest
    used.is_script, used.is_app = device.is_script, device.is_app


def _stamp(entry: Entry, since: int, at: int) -> None:
    """Note that an entry was seen again; it keeps its earliest `since`."""
    if since < entry.since:
        entry.since = since
    if at >= entry.last + _STAMP:
        entry.last = at


def _make_room(entries: dict[str, Any], bound: int) -> None:
    while len(entries) >= bound:
        drop_oldest(entries)


def drop_oldest(entries: dict[str, Any]) -> None:
    """Drop the entry that was not used for the longest, of several the first by name."""
    oldest, found = math.inf, ""
    for key, entry in entries.items():
        last = entry.last
        if last < oldest or (last == oldest and key < found):
            oldest, found = last, key
    del entries[found]


@lru_cache(1024)  # names and reasons, which are few
def clip(text: str) -> str:
    """Bound a text, and make it one that UTF-8 can carry."""
    if text.isascii() and len(text) <= MAX_TEXT:
        return text
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()
