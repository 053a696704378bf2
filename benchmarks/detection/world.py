"""A made-up internet: who announces which addresses, and where they are.

Belongs here: what is true in this world. What databases say of it is in `databases`, and how a
line hands out its addresses is in `networks`. The addresses are global and of no reserved range,
and no packet is ever sent to them. One seed gives one world.

    60.0.0.0 - 95.255.255.255   a /16 for each block, in shuffled order
    2a10::/16                   a /32 for each operator in a country, and a /36 for each block
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from chance import chance
from places import CODES, COUNTRIES, is_same_continent

V4_SIZE: Final = 1 << 16  # addresses in a block
V6_BITS: Final = 36  # length of the IPv6 prefix of a block
_V4_FIRST, _V4_LAST = 60, 95
_V6_FIRST: Final = 0x2A10 << 112
_ASNS: Final = range(64_512, 65_535)  # for private use (RFC 6996)

# kind: (operators in each country, blocks of each; a True is in the second city)
NATIONAL: Final = {
    "isp": (3, (False, False, True, True)),
    "mobile": (2, (False, False, False)),
    "business": (2, (False, True)),
    "campus": (1, (False,)),
    "hosting": (2, (False,)),
}
# kind: (operators, in how many countries each has a block; 0 is all)
GLOBAL: Final = {"relay": (3, 0), "vpn": (3, 14), "proxy": (2, 12), "satellite": (2, 6)}
# Most exits of Tor are in few countries; the numbers are made up.
TOR_EXITS: Final = {"DE": 70, "NL": 40, "US": 50, "FR": 20, "CH": 14, "SE": 12, "AT": 10, "CA": 8}
RESIDENTIAL_PROXIES: Final = 40  # addresses of an ISP that somebody rents out
# Share of consumer ISPs whose IPv6 a database can place by city; the others are in the capital.
PLACED_V6: Final = 0.5


@dataclass(frozen=True, slots=True)
class Block:
    """A /16 and a /36 of one operator in one city (0 is the capital)."""

    asn: int
    kind: str
    country: str
    city: int
    v4: int
    v6: int
    v6_city: int

    def v4_at(self, host: int) -> int:
        """Return an address of the block as a number."""
        return self.v4 + host % V4_SIZE


@dataclass(slots=True)
class Operator:
    """An autonomous system and its blocks."""

    asn: int
    name: str
    kind: str
    blocks: list[Block] = field(default_factory=list)

    def within(self, country: str) -> list[Block]:
        """Return the blocks in a country."""
        return [block for block in self.blocks if block.country == country]


class World:
    """All operators, by kind and country, with Tor exits and rented lines."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._rng = chance(f"world {seed}")
        first, last = _V4_FIRST << 8, (_V4_LAST + 1) << 8
        self._free_v4 = list(range(first, last))
        self._rng.shuffle(self._free_v4)
        self._next_v6 = 0
        self._asns = iter(_ASNS)
        self.operators: list[Operator] = []
        self._by_place: dict[tuple[str, str], list[Operator]] = {}
        for kind, (count, cities) in NATIONAL.items():
            for code in CODES:
                for _ in range(count):
                    self._add(kind, [(code, int(second)) for second in cities])
        for kind, (count, spread) in GLOBAL.items():
            for _ in range(count):
                codes = sorted(self._rng.sample(CODES, spread or len(CODES)))
                self._add(kind, [(code, 0) for code in codes])
        self.tor_exits = self._exits()
        self.rented = self._rented()

    def _add(self, kind: str, places: list[tuple[str, int]]) -> None:
        asn = next(self._asns)
        where = places[0][0] if kind in NATIONAL else "World"
        operator = Operator(asn, f"{where} {kind} {asn}", kind)
        placed = self._rng.random() < PLACED_V6
        by_country: dict[str, int] = {}
        for code, city in places:
            if code not in by_country:
                by_country[code] = self._next_v6
                self._next_v6 += 1
                self._by_place.setdefault((kind, code), []).append(operator)
            number = len(operator.within(code))
            v6 = _V6_FIRST + (by_country[code] << 96) + (number << (128 - V6_BITS))
            v4 = self._free_v4.pop() << 16
            v6_city = city if placed or kind != "isp" else 0
            operator.blocks.append(Block(asn, kind, code, city, v4, v6, v6_city))
        self.operators.append(operator)

    def _exits(self) -> list[tuple[Block, int]]:
        exits = []
        for code, count in TOR_EXITS.items():
            for _ in range(count):
                block = self._rng.choice(self.blocks("hosting", code))
                exits.append((block, block.v4_at(self._rng.randrange(V4_SIZE))))
        return exits

    def _rented(self) -> dict[str, list[tuple[Block, int]]]:
        """Lines of consumers that a residential proxy service sells, by country."""
        return {
            code: [
                (block, block.v4_at(self._rng.randrange(V4_SIZE)))
                for block in self.blocks("isp", code)
                for _ in range(RESIDENTIAL_PROXIES // 3)
            ]
            for code in CODES
        }

    def of(self, kind: str, country: str) -> list[Operator]:
        """Return the operators of a kind that have a block in the country."""
        return self._by_place.get((kind, country), [])

    def blocks(self, kind: str, country: str) -> list[Block]:
        """Return the blocks of a kind in a country, of all operators."""
        return [block for one in self.of(kind, country) for block in one.within(country)]

    def pick(
        self, rng: random.Random, kind: str, country: str, *, but: frozenset[int] = frozenset()
    ) -> Operator:
        """Choose an operator, the first ones more often; `but` are ASNs to leave out."""
        found = [one for one in self.of(kind, country) if one.asn not in but]
        weights = [1 / (place + 1) for place in range(len(found))]
        return rng.choices(found, weights)[0]

    def countries_of(self, kind: str) -> list[str]:
        """Return the countries in which there is an operator of the kind."""
        return [code for code in CODES if self.of(kind, code)]


def neighbour(rng: random.Random, country: str) -> str | None:
    """Choose a neighbouring country; None where there is none in this world."""
    borders = COUNTRIES[country].neighbours
    return rng.choice(borders) if borders else None


def far_country(rng: random.Random, country: str, *, same_continent: bool) -> str | None:
    """Choose a country that is no neighbour, on this continent or on another one."""
    borders = COUNTRIES[country].neighbours
    found = [
        code
        for code in CODES
        if code != country
        and code not in borders
        and is_same_continent(country, code) is same_continent
    ]
    return rng.choice(found) if found else None
