"""The questions of gatehound.detection.known, answered from the evidence itself.

The sets of a Known take longer to make than all that the built-in detectors do with them: they ask
a few questions. They are given this. Detectors of your own are given a Known, which they may keep:
this here says what the evidence says now, and that learns when all have looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gatehound.detection.device import is_same_family
from gatehound.detection.entry import Entry, country_in
from gatehound.detection.evidence import (
    SETTLED,
    Evidence,
    known_agents,
    known_countries,
    known_networks,
)
from gatehound.detection.known import Known, KnownAgent, KnownNetwork, wider_of
from gatehound.model import Device, Network

_EVER: Final = 1 << 62  # seconds: entries of any age count


class Recalled:
    """What evidence knows; with `settled_at` only what was proven or is a day old then."""

    __slots__ = (
        "_agent",
        "_evidence",
        "_has_agent",
        "_has_asn",
        "_has_network",
        "_limit",
        "_network",
        "_settled_at",
        "_whole",
    )

    def __init__(self, evidence: Evidence, settled_at: float | None = None) -> None:
        # Without a context nothing is known, as `Evidence.known` has it.
        self._evidence = Evidence() if evidence.is_empty else evidence
        self._settled_at = settled_at
        self._limit = _EVER if settled_at is None else settled_at - SETTLED
        self._whole: Known | None = None
        # What was asked last, and then its answers: all detectors ask about the same request.
        self._network: Network | None = None
        self._agent: bytes | None = None

    def whole(self) -> Known:
        """Return all of it, for who looks closely."""
        if self._whole is None:
            self._whole = self._evidence.known(settled_at=self._settled_at)
        return self._whole

    @property
    def prefixes(self) -> frozenset[str]:
        return self.whole().prefixes

    @property
    def networks(self) -> tuple[KnownNetwork, ...]:
        return known_networks(self._evidence.networks, self._limit)

    @property
    def countries(self) -> Mapping[str, str]:
        return known_countries(self._evidence.countries, self._limit)

    @property
    def agents(self) -> tuple[KnownAgent, ...]:
        return known_agents(self._evidence.agents.values(), self._limit)

    @property
    def kinds(self) -> frozenset[str]:
        return self.whole().kinds

    @property
    def has_prefixes(self) -> bool:
        return bool(self._evidence.prefixes) and (
            self._limit is _EVER or _counts_any(self._evidence.prefixes, self._limit)
        )

    @property
    def has_networks(self) -> bool:
        return bool(self._evidence.networks) and (
            self._limit is _EVER or _counts_any(self._evidence.networks, self._limit)
        )

    @property
    def has_countries(self) -> bool:
        return bool(self._evidence.countries) and (
            self._limit is _EVER or _counts_any(self._evidence.countries, self._limit)
        )

    @property
    def has_agents(self) -> bool:
        return bool(self._evidence.agents) and (
            self._limit is _EVER or _counts_any(self._evidence.agents, self._limit)
        )

    def has_prefix(self, prefix: str) -> bool:
        known = self._evidence.prefixes.get(prefix)
        return known is not None and known.since <= self._limit

    def is_near(self, prefix: str) -> bool:
        if ":" not in prefix:
            return False
        wider = wider_of(prefix)
        return bool(wider) and any(
            wider_of(known) == wider and one.since <= self._limit
            for known, one in self._evidence.prefixes.items()
        )

    def has_network(self, network: Network) -> bool:
        if self._network is not network:
            self._find(network)
        return self._has_network

    def has_asn(self, asn: int) -> bool:
        if self._network is not None and self._network.asn == asn:
            return self._has_asn
        networks, limit = self._evidence.networks.values(), self._limit
        return asn in [known.asn for known in networks if known.since <= limit]

    def _find(self, network: Network) -> None:
        """Answer both for a network, which all detectors ask about in a judgement."""
        asn, limit = network.asn, self._limit
        self._network, self._has_network, self._has_asn = network, False, False
        for key, known in self._evidence.networks.items():
            if known.asn != asn or known.since > limit or not asn:
                continue
            self._has_asn, country = True, country_in(key, asn)
            if (
                known.build != network.build
                or network.kind == "mobile"
                or country == network.country
                or not (country and network.country)
            ):
                self._has_network = True
                return

    def has_country(self, country: str) -> bool:
        known = self._evidence.countries.get(country)
        return known is not None and known.since <= self._limit

    def has_any_country(self, countries: frozenset[str]) -> bool:
        entries = self._evidence.countries
        found = countries & entries.keys()
        if self._limit is _EVER or not found:
            return bool(found)
        return any(entries[name].since <= self._limit for name in found)

    def has_kind(self, kind: str) -> bool:
        known = self._evidence.kinds.get(kind)
        return known is not None and known.since <= self._limit

    def has_text(self, digest: bytes) -> bool:
        limit, found = self._limit, False
        for known in self._evidence.agents.values():
            found |= known.digest == digest and known.since <= limit
        return found

    def has_agent(self, device: Device, digest: bytes) -> bool:
        if self._agent != digest:
            self._agent, self._has_agent = digest, self._finds_agent(device, digest)
        return self._has_agent

    def _finds_agent(self, device: Device, digest: bytes) -> bool:
        limit = self._limit
        for known in self._evidence.agents.values():
            if known.since <= limit and (
                known.digest == digest
                or (
                    device.family
                    and known.os == device.os
                    and is_same_family(known.family, device.family)
                )
            ):
                return True
        return False


def _counts_any(entries: Mapping[str, Entry], limit: float) -> bool:
    return any(one.since <= limit for one in entries.values())
