"""What a session, or its user, is known by: the frozen view that detectors compare with.

Built-in detectors have nothing else to compare with, so a detector of your own can do what
they do. The questions are asked here once, so that every detector means the same by "known".

They are asked several times a judgement, of one or two entries: a plain loop costs a third of a
generator. Nothing here can be part of a cycle (`gc=False`). A question that is added or changed
here is also one of gatehound.detection.recall.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Network
from types import MappingProxyType
from typing import Final

import msgspec

from gatehound.detection.device import is_same_family
from gatehound.model import Device, Network, NetworkKind

_NO_COUNTRIES: Final[Mapping[str, str]] = MappingProxyType({})
# RIPE-690 4.2: providers delegate a /56 or a /48 to one customer, so /64s within one /48 are
# mostly one household or one company.
_WIDER_V6: Final = 48


class KnownNetwork(msgspec.Struct, frozen=True, gc=False):
    """An ASN in one country, as the database of that `build` had it. 0 and "" are not known."""

    asn: int
    country: str = ""
    continent: str = ""
    build: int = 0
    kind: NetworkKind = ""


class KnownAgent(msgspec.Struct, frozen=True, gc=False):
    """A browser: its digest where `family` is "", else family and system, last in `version`."""

    family: str
    os: str
    version: tuple[int, ...]
    digest: bytes
    is_script: bool = False
    is_app: bool = False


class Known(msgspec.Struct, frozen=True, gc=False):
    """Sets of what was seen and learned; empty where nothing was.

    `prefixes` are texts such as `192.0.2.0/24`; `countries` maps a country to its continent
    ("" not known); `networks` and `agents` are the latest first; `kinds` are those of networks
    that are no home line and no company's own.
    """

    prefixes: frozenset[str] = frozenset()
    networks: tuple[KnownNetwork, ...] = ()
    countries: Mapping[str, str] = _NO_COUNTRIES
    agents: tuple[KnownAgent, ...] = ()
    kinds: frozenset[str] = frozenset()

    @property
    def has_prefixes(self) -> bool:
        """True where any prefix is known."""
        return bool(self.prefixes)

    @property
    def has_networks(self) -> bool:
        """True where any provider is known."""
        return bool(self.networks)

    @property
    def has_countries(self) -> bool:
        """True where any country is known."""
        return bool(self.countries)

    @property
    def has_agents(self) -> bool:
        """True where any browser is known."""
        return bool(self.agents)

    def has_prefix(self, prefix: str) -> bool:
        """True for a known prefix; "" is never known."""
        return prefix in self.prefixes

    def is_near(self, prefix: str) -> bool:
        """True where an IPv6 prefix shares its /48 with a known one."""
        if ":" not in prefix:
            return False
        wider = wider_of(prefix)
        return bool(wider) and any(wider_of(known) == wider for known in self.prefixes)

    def has_network(self, network: Network) -> bool:
        """True for a known ASN in a known country of it.

        Where the entry is from another build of the database the country is not compared, so
        that a database update never looks like a move; nor that of phones and satellites, which
        leave the net where their carrier likes.
        """
        asn = network.asn
        if not asn:
            return False
        for known in self.networks:
            if known.asn == asn and (
                known.build != network.build
                or network.kind == "mobile"
                or known.country == network.country
                or not (known.country and network.country)
            ):
                return True
        return False

    def has_asn(self, asn: int) -> bool:
        """True for a known provider, in whatever country."""
        return asn in [known.asn for known in self.networks]

    def has_country(self, country: str) -> bool:
        """True for a known country."""
        return country in self.countries

    def has_any_country(self, countries: frozenset[str]) -> bool:
        """True where any of these is known."""
        return not countries.isdisjoint(self.countries)

    def has_kind(self, kind: str) -> bool:
        """True where a network of that kind is known, but for home lines and companies."""
        return kind in self.kinds

    def has_text(self, digest: bytes) -> bool:
        """True for the very text of a known browser."""
        return digest in [known.digest for known in self.agents]

    def has_agent(self, device: Device, digest: bytes) -> bool:
        """True for the very text, or for the same browser family on the same system."""
        for known in self.agents:
            if known.digest == digest or (
                device.family
                and known.os == device.os
                and is_same_family(known.family, device.family)
            ):
                return True
        return False


@lru_cache(maxsize=4096)
def wider_of(prefix: str) -> str:
    """The /48 around an IPv6 prefix, "" for all else."""
    if ":" not in prefix:
        return ""
    try:
        network = IPv6Network(prefix)
    except ValueError:  # out of a damaged memory
        return ""
    return str(network.supernet(new_prefix=_WIDER_V6)) if network.prefixlen > _WIDER_V6 else prefix
