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
    prefix = network.prefix
    if not prefix or known.has_prefix(prefix) or not known.has_prefixes:
        return ""
    if ":" in prefix and known.is_near(prefix):
        return "prefix"
    asn, country = network.asn, network.country
    is_same_as_before = asn and asn == previous.asn and country == previous.country
    if is_same_as_before or known.has_network(network):
        return "network"
    is_new_provider = bool(asn) and known.has_networks
    places = known if user is None or known.has_countries else user
    if not (country and places.has_countries):
        return "provider" if is_new_provider else "unplaced"
    is_owned = bool(asn) and known.has_asn(asn)
    if places.has_country(country):
        return "provider" if is_new_provider and not is_owned else "same_country"
    # A known provider elsewhere is a mistake of a database, or one that is in many countries.
    if is_owned or places.has_any_country(neighbours(country)):
        return "neighbour"
    continents = {continent for continent in places.countries.values() if continent}
    is_far = network.continent and continents and network.continent not in continents
    return "continent" if is_far else "country"
