"""Where the people of `unseen` live, and how they are connected there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from chance import chance
from held_out_2 import path
from held_out_4_homes import Paired
from held_out_nets import Orbit
from networks import (
    DAY,
    Cellular,
    Line,
    Net,
    SharedPool,
    office,
    site_of,
    v4_text,
    v6_text,
)
from people import Person, Stay, move_in
from world import Block, Operator

# code: (part of the users in percent, share of IPv6, percent of iPhones among the phones)
# The part is a guess for a shop or a tool that is sold outside of Europe, from how many people are
# on the internet in each country and how much of them buys there. It is of people whom there are
# everywhere; with those of some countries alone, a fifth of all is in India and one in the US.
# The others are rounded, and from memory: connections to Google over IPv6, which it publishes by
# country, and StatCounter, in 2025.
LANDS: Final[Mapping[str, tuple[int, float, int]]] = {
    "IN": (13, 0.72, 5),
    "US": (30, 0.52, 57),
    "BR": (14, 0.50, 19),
    "MX": (9, 0.48, 24),
    "CA": (8, 0.40, 60),
    "AR": (6, 0.22, 13),
    "MY": (5, 0.65, 34),
    "ZA": (5, 0.05, 18),
    "NG": (4, 0.05, 13),
    "SG": (3, 0.30, 42),
    "KE": (3, 0.10, 7),
}
_DIALS: Final = 9.0  # days from one restart of a router to the next; a guess
_ATTACHES: Final = 5.0  # a day, of a phone that stays on; a guess
_DATA_OFF: Final = 1200.0  # seconds without a request, after which the data may have been off
_WAS_OFF: Final = 0.5
_NEW_EACH_TIME: Final = 0.35  # of the carriers; a guess

# What is at home, in percent: an address that lasts, a new one each time that the router dials,
# one of a carrier's pool for some days, any of a pool for each connection, a mast, a dish.
# Precedents: masts are about a tenth of the broadband lines of the US (reports of its carriers,
# 2025), and most of them in Nigeria; pools are most common in South America, Africa and Asia
# (Livadariu et al., "Inferring Carrier-Grade NAT Deployment in the Wild", INFOCOM 2018). What each
# country has is a guess within these.
_WAYS: Final = ("lasting", "dialled", "pool", "any", "mast", "dish")
_NORTH: Final = (79, 3, 4, 1, 11, 2)
_LATIN: Final = (25, 20, 39, 8, 6, 2)
_HOMES: Final[Mapping[str, Sequence[int]]] = {
    **dict.fromkeys(("CA", "US"), _NORTH),
    **dict.fromkeys(("AR", "BR", "MX"), _LATIN),
    "IN": (20, 15, 43, 10, 12, 0),
    "MY": (27, 43, 18, 0, 12, 0),
    "SG": (76, 8, 4, 0, 12, 0),
    "ZA": (22, 20, 27, 3, 25, 3),
    "KE": (14, 6, 42, 6, 28, 4),
    "NG": (6, 4, 22, 6, 58, 4),
}


class Dialled(Line):
    """A line that has another address each time that its router dials."""

    def __init__(self, seed: str, blocks: Sequence[Block]) -> None:
        self._back: list[float] = []
        super().__init__(seed, blocks)

    def cut(self, until: float) -> None:
        """Have no power until then; a later cut is told after an earlier one."""
        self._back.append(until)

    def _change(self, now: float) -> None:
        super()._change(now)
        self._until = now + self._rng.expovariate(1 / (_DIALS * DAY))

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        while self._back and now >= self._back[0]:
            self._change(self._back.pop(0))
        return super().at(now, v6)


class Card:
    """A phone that gets another address of its region's pool each time that it attaches.

    Balakrishnan et al. ("Where's That Phone?", IMC 2009) saw addresses of phones change within
    hours; `Cellular` is one of a carrier that keeps them for days.
    """

    kind = "mobile"
    v6_share = 0.7

    def __init__(self, seed: str, operator: Operator, country: str) -> None:
        self._rng = chance(seed)
        self.blocks = operator.within(country)
        self._region = self._rng.randrange(4)
        self._until = self._used = 0.0
        self._v4 = self._v6 = 0

    def _attach(self, now: float) -> None:
        rng = self._rng
        self._until = now + rng.expovariate(_ATTACHES / DAY)
        # The gateways of a carrier stand in for one another now and then.
        block = self.blocks[0] if rng.random() < 0.85 else rng.choice(self.blocks)
        region = chance(f"gateway {block.v4} {self._region}")
        nets = [region.randrange(1 << 8) << 8 for _ in range(4)]
        self._v4 = block.v4 + rng.choice(nets) + rng.randrange(1, 255)
        self._v6 = site_of(rng, block, 64) + rng.getrandbits(64)

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        was_off = now - self._used > _DATA_OFF and self._rng.random() < _WAS_OFF
        if now >= self._until or was_off:
            self._attach(now)
        self._used = now
        return v6_text(self._v6) if v6 else v4_text(self._v4)


def card_of(person: Person, name: str, operator: Operator) -> Net:
    """Return a contract of the carrier, of the kind that all of its phones have."""
    draw = chance(f"{person.world.seed} carrier {operator.asn}")
    make = Card if draw.random() < _NEW_EACH_TIME else Cellular
    return make(person.seed(name), operator, person.country)


def home_of(person: Person, name: str, city: int) -> Net:
    """Return what some home or shop of the person's country has, in the city if it can be had."""
    rng, world, country, seed = person.rng, person.world, person.country, person.seed(name)
    way = rng.choices(_WAYS, _HOMES[country])[0]
    dishes = world.of("satellite", country)
    if way == "mast":
        return card_of(person, name, world.pick(rng, "mobile", country))
    if way == "dish" and dishes:
        return Orbit(seed, rng.choice(dishes), country)
    blocks = world.pick(rng, "isp", country).within(country)
    blocks = [block for block in blocks if block.city == city] or blocks
    if way == "pool":
        return Paired(seed, blocks)
    if way == "any":
        return SharedPool(seed, blocks)
    return Dialled(seed, blocks) if way == "dialled" else Line(seed, blocks)


def settle(person: Person, *, lands: Sequence[str] = tuple(LANDS)) -> None:
    """Let the person live in one of the countries, with a home and a phone's contract there."""
    rng = person.rng
    person.country = rng.choices(lands, [LANDS[code][0] for code in lands])[0]
    person.has_v6 = rng.random() < LANDS[person.country][1]
    move_in(person)
    carrier = person.world.pick(rng, "mobile", person.country)
    person.nets["cell"] = card_of(person, "cell", carrier)
    person.nets["home"] = home_of(person, "settled", person.city)


def noted(person: Person, block: Block) -> Block:
    """Remember that the person is seen from the block, where the network does not say so."""
    person.facts.setdefault("blocks", []).append(block)
    return block


def house(
    person: Person, name: str, *, kinds: Sequence[str], size: int, city: int | None = None
) -> Net:
    """Return the addresses of a firm or a public place, which other people have as well."""
    rng, world = person.rng, person.world
    blocks = world.blocks(rng.choice(kinds), person.country)
    blocks = [block for block in blocks if city in (None, block.city)] or blocks
    block = noted(person, rng.choice(blocks))
    return office(f"{world.seed} {name} {block.v4} {rng.randrange(3)}", block, size=size)


def shared(person: Person, firm: str, blocks: Sequence[Block], *, size: int) -> Net:
    """Return the addresses by which all people of a firm leave, in one of the blocks."""
    block = noted(person, chance(firm).choice(blocks))
    return office(firm, block, size=size)


def cuts(person: Person, day: int, often: float) -> list[tuple[float, float]]:
    """Return the hours without power in the person's part of the city: the same for neighbours.

    `often` is how many there are on a day, of those that last for two hours or more.
    """
    area = person.facts["area"]
    draw = chance(f"{person.world.seed} power {area} {day}")
    found = [start for start in (6, 10, 14, 18) if draw.random() < often / 4]
    return [(start + draw.uniform(0, 0.2), start + draw.uniform(2, 3.4)) for start in found]


def broken(
    person: Person, day: int, breaks: Sequence[tuple[float, float]], usual: Net, other: Net
) -> list[Stay]:
    """On the usual network from morning to night, and on the other one in the breaks."""
    legs = [(6.9, usual)]
    for start, end in sorted(breaks):
        legs += [(max(start, 6.9), other), (end, usual)]
    return path(person, day, *legs, (23.2, usual))
