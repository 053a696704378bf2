"""How the homes of `held_out_4` are connected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from chance import chance
from held_out_nets import Orbit
from networks import DAY, Cellular, Line, Net, site_of, v4_text, v6_text
from people import Person, move_in
from world import V4_SIZE, Block

_WEEK: Final = 7 * DAY
_PAIRED_DAYS: Final = 3.0  # a guess: nobody publishes how long a pool keeps an address for a home
_NATIVE_V6: Final = 0.6  # of the homes behind a pool; DS-Lite (RFC 6333) is made that way

# What is at home, in percent: an address that lasts, a new one each week or each day, one of a
# carrier's pool, a mast, a dish. Precedents: 24 hours in Germany and a week in France (Padmanabhan
# et al., "Reasons Dynamic Addresses Change", IMC 2016); address sharing by some 17% of the networks
# that have homes (Richter et al., IMC 2016); 3.7% of the lines of OECD countries on a mast and 0.7%
# on a dish in 2023, and growing. What each country has is a guess within these.
_WAYS: Final = ("lasting", "week", "day", "pool", "mast", "dish")
_COMMON: Final = (70, 4, 3, 17, 5, 1)
_DAILY: Final = (54, 4, 18, 18, 5, 1)
_WEEKLY: Final = (60, 24, 1, 12, 2, 1)
_SCARCE: Final = (34, 2, 5, 43, 15, 1)  # where there were few addresses and few cables
_HOMES: Final[Mapping[str, Sequence[int]]] = {
    **dict.fromkeys(("DE", "AT"), _DAILY),
    **dict.fromkeys(("FR",), _WEEKLY),
    **dict.fromkeys(("IN", "KE", "MX", "MY", "NG", "TR", "ZA"), _SCARCE),
}


class Weekly(Line):
    """A line whose address is changed once a week, at its own hour of the week."""

    def __init__(self, seed: str, blocks: Sequence[Block]) -> None:
        super().__init__(seed, blocks, period=_WEEK)
        self._until = self._rng.uniform(0.0, _WEEK)


class Paired:
    """Carrier-grade NAT that keeps a home on one address of its pool (RFC 6888, REQ-2).

    The next one is of the same pool, which the neighbours share. IPv6 is the home's own.
    """

    kind = "isp"
    v6_share = 0.6

    def __init__(self, seed: str, blocks: Sequence[Block]) -> None:
        self._rng = rng = chance(seed)
        self.blocks = blocks
        self._block = block = rng.choice(blocks)
        region = chance(f"paired {block.v4} {rng.randrange(6)}")
        self._pool = block.v4 + (region.randrange(V4_SIZE >> 8) << 8)
        self._v6 = site_of(rng, block, 56)
        self._v4 = 0
        self._until = 0.0

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        rng = self._rng
        while now >= self._until:
            self._until += rng.expovariate(1 / (_PAIRED_DAYS * DAY))
            self._v4 = self._pool + rng.randrange(1, 255)
        if not v6:
            return v4_text(self._v4)
        privacy = chance(f"privacy {self._v6} {int(now // DAY)}")  # RFC 8981
        return v6_text(self._v6 + privacy.getrandbits(64))


def connected(person: Person, name: str, city: int) -> Net:
    """Return what some home of the person's country has, in the city if its provider is there."""
    rng, world, country, seed = person.rng, person.world, person.country, person.seed(name)
    way = rng.choices(_WAYS, _HOMES.get(country, _COMMON))[0]
    dishes = world.of("satellite", country)
    if way == "mast":
        return Cellular(seed, world.pick(rng, "mobile", country), country)
    if way == "dish" and dishes:
        return Orbit(seed, rng.choice(dishes), country)
    blocks = world.pick(rng, "isp", country).within(country)
    blocks = [block for block in blocks if block.city == city] or blocks
    if way == "pool":
        return Paired(seed, blocks)
    if way == "week":
        return Weekly(seed, blocks)
    return Line(seed, blocks, period=DAY if way == "day" else None)


def settle(person: Person) -> None:
    """Give the person a phone's contract, and one of the homes that there are."""
    move_in(person)
    person.nets["home"] = home = connected(person, "settled", person.city)
    if isinstance(home, Paired) and person.rng.random() < _NATIVE_V6:
        person.has_v6 = True
