"""Rules of networks that only the held-out personas use."""

from __future__ import annotations

from collections.abc import Sequence

from chance import chance
from networks import DAY, Cellular, Net, host_of, site_of, v4_text, v6_text
from places import is_same_continent
from world import Operator


class Either:
    """Two networks at once: each connection takes one of them."""

    kind = "split"
    v6_share = 0.4

    def __init__(self, seed: str, nets: Sequence[Net]) -> None:
        self._rng = chance(seed)
        self._nets = nets

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        net = self._rng.choice(self._nets)
        return net.at(now, v6 and net.v6_share > 0)


class Orbit:
    """A satellite dish: the ground station changes every day or two, sometimes abroad."""

    kind = "satellite"
    v6_share = 0.5

    def __init__(self, seed: str, operator: Operator, country: str) -> None:
        self._rng = chance(seed)
        self._home = operator.within(country)
        # No satellite is over two continents.
        self._all = [b for b in operator.blocks if is_same_continent(b.country, country)]
        self._until = 0.0
        self._v4 = self._v6 = 0

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        rng = self._rng
        while now >= self._until:
            self._until += rng.expovariate(1 / (1.5 * DAY))
            block = rng.choice(self._all if rng.random() < 0.12 else self._home)
            self._v4 = host_of(rng, block)
            self._v6 = site_of(rng, block, 56) + rng.getrandbits(64)
        return v6_text(self._v6) if v6 else v4_text(self._v4)


class Nat64(Cellular):
    """A phone without IPv4: native IPv6, and a translated address of a pool for old sites."""

    v6_share = 0.5

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        native = super().at(now, True)
        if v6:
            return native
        return v4_text(self.pool()[self._rng.randrange(32)])

    def pool(self) -> list[int]:
        """Return the translator's addresses, which all phones of the region share."""
        block = self.blocks[0]
        region = chance(f"nat64 {block.v4}")
        nets = [region.randrange(200) << 8 for _ in range(3)]
        return [block.v4 + region.choice(nets) + region.randrange(1, 255) for _ in range(32)]
