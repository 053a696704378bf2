"""How new a network is to a session: the ladder that detectors of networks share.

Novelty counts at the most specific level that is still known: an exact address means less than
a prefix, a prefix less than a provider, then country, neighbour, continent.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from gatehound.detection.known import Known
from gatehound.detection.neighbours import neighbours
from gatehound.model import Network

Level: TypeAlias = Literal[
    "",  # the very prefix is known
    "prefix",  # the same home or company, by a wider IPv6 prefix
    "unplaced",  # no database, or the address is not in it: nobody can say how far away it is
    "network",  # a known provider
    "same_country",  # a country but no provider to compare
    "provider",
    "neighbour",
    "country",
    "continent",
]
# What ip_shift weighs, and what network_change does.
NEAR: Final[frozenset[Level]] = frozenset({"prefix", "unplaced", "network"})
ABROAD: Final[frozenset[Level]] = frozenset({"neighbour", "country", "continent"})


_NOWHERE: Final = Network()


def level_of(
    network: Network, known: Known, user: Known | None = None, previous: Network = _NOWHERE
) -> Level:
    """Say how new a network is; "" for a known prefix, and where there is nothing to compare.

    A session whose own networks have no place is compared with the countries of its `user`.
    `previous` is where the session was last, as the databases have it now: where a provider was
    sold, its old name is what is known.
    """
    if not (network.prefix and known.prefixes) or known.has_prefix(network.prefix):
        return ""
    if known.is_near(network.prefix):
        return "prefix"
    if known.has_network(network) or _is_one_provider(network, previous):
        return "network"
    new_provider = bool(network.asn and known.networks)
    countries = known.countries or (user.countries if user else {})
    if not (network.country and countries):
        return "provider" if new_provider else "unplaced"
    owned = bool(network.asn) and network.asn in [one.asn for one in known.networks]
    if network.country in countries:
        return "provider" if new_provider and not owned else "same_country"
    # A known provider elsewhere is a mistake of a database, or one that is in many countries.
    if owned or not neighbours(network.country).isdisjoint(countries):
        return "neighbour"
    continents = {continent for continent in countries.values() if continent}
    far = network.continent and continents and network.continent not in continents
    return "continent" if far else "country"


def _is_one_provider(network: Network, previous: Network) -> bool:
    same = bool(network.asn) and network.asn == previous.asn
    return same and network.country == previous.country
