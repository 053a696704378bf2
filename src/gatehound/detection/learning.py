"""How evidence learns a context: sets with bounds, of which the entry unused for longest goes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Protocol, TypeVar

from gatehound.detection.entry import AgentEntry, CountryEntry, Entry, NetworkEntry, key_of
from gatehound.detection.neighbours import continent as continent_of
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
_END: Final = 1 << 62  # only a damaged memory has later times, and they could not be written

E = TypeVar("E", bound=Entry)


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
    continent = _odd_continent(network.continent, country)
    provider = key_of(asn, country) if asn else ""
    agent = "" if device is None else _agent_key(device, digest)
    for evidence in evidences:
        if prefix and _kept(evidence.prefixes, prefix, MAX_PREFIXES, since, at) is None:
            evidence.prefixes[prefix] = Entry(since, at - since)
        if provider:
            net = _kept(evidence.networks, provider, MAX_NETWORKS, since, at)
            if net is None:
                net = evidence.networks[provider] = NetworkEntry(since, at - since, asn)
            # What the databases say now.
            net.continent, net.build, net.kind = continent, network.build, kind
        if country:
            place = _kept(evidence.countries, country, MAX_COUNTRIES, since, at)
            if place is None:
                place = evidence.countries[country] = CountryEntry(since, at - since)
            place.continent = continent
        if kind not in _COMMON_KINDS and _kept(evidence.kinds, kind, MAX_KINDS, since, at) is None:
            evidence.kinds[kind] = Entry(since, at - since)
        if device is not None:
            _learn_agent(evidence.agents, agent, device, digest, since, at)


def _odd_continent(continent: str, country: str) -> str:
    """Return what has to be kept of a continent: one that is not known by the country."""
    return "" if not country or continent == continent_of(country) else continent


def _kept(entries: dict[str, E], key: str, bound: int, since: int, at: int) -> E | None:
    """Return an entry, stamped; None where it is new, and then there is room for it."""
    entry = entries.get(key)
    if entry is None:
        while len(entries) >= bound:
            drop_oldest(entries)
    else:
        _stamp(entry, since, at)
    return entry


def _agent_key(device: Device, digest: bytes) -> str:
    family = device.family
    return f"{clip(family)}\0{clip(device.os)}" if family else digest.hex()


def _learn_agent(
    agents: dict[str, AgentEntry], key: str, device: Device, digest: bytes, since: int, at: int
) -> None:
    used, system = _kept(agents, key, MAX_AGENTS, since, at), clip(device.os)
    if used is None:
        family = clip(device.family)
        agents[key] = used = AgentEntry(since, at - since, family, system, device.version, digest)
    # The last of its versions, and where no family is known, the last of its systems.
    used.os, used.version, used.digest = system, device.version, digest
    used.is_script, used.is_app = device.is_script, device.is_app


def _stamp(entry: Entry, since: int, at: int) -> None:
    """Note that an entry was seen again; it keeps its earliest `since`."""
    first, last = entry.since, entry.since + entry.span
    is_due = at >= last + _STAMP
    if since < first:
        entry.since, entry.span = since, (at if is_due or last > _END else last) - since
    elif is_due:
        entry.span = at - first


def drop_oldest(entries: dict[str, Any]) -> None:
    """Drop the entry that was not used for the longest, of several the first by name."""
    oldest, found = math.inf, ""
    for key, entry in entries.items():
        last = entry.since + entry.span
        if last < oldest or (last == oldest and key < found):
            oldest, found = last, key
    del entries[found]


@lru_cache(1024)  # names and reasons, which are few
def clip(text: str) -> str:
    """Bound a text, and make it one that UTF-8 can carry."""
    if text.isascii() and len(text) <= MAX_TEXT:
        return text
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()
