"""How a line, a phone or a tunnel hands out addresses: one rule for each kind.

Every rule answers `at(now, v6)`: the address of a connection that opens at `now` (seconds from
the start of the run), as text. Each has a generator of its own, so that one user's addresses do
not depend on how often another one connects. `now` never goes back by more than a burst.

Anchors: fixed lines keep over 80% of their addresses for 30 days; phones keep 70% for a day and
11.6% for 30; about half of all new addresses lie in another announced prefix.
"""

from __future__ import annotations

import math
import random
import socket
from collections.abc import Sequence
from typing import Final, Protocol

from chance import chance
from world import V4_SIZE, Block, Operator, World

DAY: Final = 86_400.0
# A phone's address lives exponentially long; some move within hours, most within weeks. The mix
# gives 0.69 after a day and 0.116 after 30.
QUICK_SHARE, QUICK_DAYS, SLOW_DAYS = 0.29, 0.4, 16.6
FIXED_DAYS: Final = 140.0  # mean life of a fixed line's address: 81% are left after 30 days
ATTACHES_A_DAY: Final = 4  # a phone gets another /64 each time
CIRCUIT: Final = 600.0  # seconds that Tor keeps a circuit for new connections
RELAY_EPOCH: Final = 1200.0
HOST_BITS: Final = 64


class Net(Protocol):
    """What all rules have in common."""

    v6_share: float
    kind: str

    def at(self, now: float, v6: bool) -> str:
        """Return the address of a connection that opens now."""
        ...


def v4_text(number: int) -> str:
    """Write an IPv4 address."""
    return socket.inet_ntoa(number.to_bytes(4, "big"))


def v6_text(number: int) -> str:
    """Write an IPv6 address."""
    return socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, "big"))


def host_of(rng: random.Random, block: Block) -> int:
    """Choose an address of a block that is no first or last one of its /24."""
    return block.v4 + (rng.randrange(V4_SIZE >> 8) << 8) + rng.randrange(1, 255)


def site_of(rng: random.Random, block: Block, length: int) -> int:
    """Choose a delegated prefix of the length within a block."""
    return block.v6 + (rng.randrange(1 << (length - 36)) << (128 - length))


def another(rng: random.Random, blocks: Sequence[Block], now: Block) -> Block:
    """Choose a block that is not the present one, where there is one."""
    return rng.choice([block for block in blocks if block is not now] or blocks)


class Line:
    """A line at home: its address stays for months, or is changed every `period`.

    A new one lies in another block of the operator, where there is one in the same city or any,
    half the time. IPv6 is a delegated /56 of which a device uses one /64, with a privacy address
    that changes each day (RFC 8981).
    """

    kind = "isp"
    v6_share = 0.6

    def __init__(self, seed: str, blocks: Sequence[Block], *, period: float | None = None) -> None:
        self._rng = chance(seed)
        self.blocks = blocks
        self._period = period
        self._block = self._rng.choice(blocks)
        self._until = 0.0
        self._subnet = self._rng.randrange(4)
        self._privacy: dict[int, int] = {}
        self._change(0.0)

    def _change(self, now: float) -> None:
        rng = self._rng
        if self._until and rng.random() < 0.5:
            self._block = another(rng, self.blocks, self._block)
        self._v4 = host_of(rng, self._block)
        self._v6 = site_of(rng, self._block, 56) + (self._subnet << HOST_BITS)
        if self._period is None:
            self._until = now + rng.expovariate(1 / (FIXED_DAYS * DAY))
        else:  # in the small hours, at the line's own minute
            first = rng.uniform(0.1, 0.25) * DAY
            self._until = self._until + self._period if self._until else first

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        while now >= self._until:
            self._change(self._until)
        if not v6:
            return v4_text(self._v4)
        day = int(now // DAY)
        if day not in self._privacy:
            self._privacy[day] = self._rng.getrandbits(HOST_BITS)
        return v6_text(self._v6 + self._privacy[day])

    def reboot(self, now: float) -> None:
        """Change the address now, as a router that starts again does with some providers."""
        self._until = max(self._until, 1.0)
        self._change(now)


class SharedPool:
    """Carrier-grade NAT at home: each connection leaves from any address of a regional pool."""

    kind = "isp"
    v6_share = 0.5

    def __init__(self, seed: str, blocks: Sequence[Block], *, size: int = 48) -> None:
        self._rng = rng = chance(seed)
        self.blocks = blocks
        block = rng.choice(blocks)
        # The pool is a thing of the region, so neighbours share it.
        region = chance(f"pool {block.v4} {rng.randrange(6)}")
        nets = [region.randrange(V4_SIZE >> 8) << 8 for _ in range(4)]
        self._pool = [
            block.v4 + region.choice(nets) + region.randrange(1, 255) for _ in range(size)
        ]
        self._v6 = site_of(rng, block, 56)
        self._host = rng.getrandbits(HOST_BITS)

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        return v6_text(self._v6 + self._host) if v6 else v4_text(self._rng.choice(self._pool))


class Cellular:
    """A phone: an egress address of the carrier that lasts for days, and a /64 per attach."""

    kind = "mobile"
    v6_share = 0.7

    def __init__(self, seed: str, operator: Operator, country: str) -> None:
        self._rng = chance(seed)
        self.blocks = operator.within(country)
        mean = QUICK_DAYS if self._rng.random() < QUICK_SHARE else SLOW_DAYS
        self._rate = 1 / (mean * DAY)
        self._until = self._attach = 0.0
        self._v4 = self._v6 = 0
        self._block = self._rng.choice(self.blocks)

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        rng = self._rng
        while now >= self._until:
            self._until += rng.expovariate(self._rate)
            if rng.random() < 0.5:
                self._block = another(rng, self.blocks, self._block)
            self._v4 = host_of(rng, self._block)
        while now >= self._attach:
            self._attach += rng.expovariate(ATTACHES_A_DAY / DAY)
            self._v6 = site_of(rng, self._block, 64) + rng.getrandbits(HOST_BITS)
        return v6_text(self._v6) if v6 else v4_text(self._v4)


class Egress:
    """Some fixed addresses, of which each connection gets one: an office, a hotel, a campus."""

    v6_share = 0.0

    def __init__(self, seed: str, addresses: Sequence[int], kind: str = "business") -> None:
        self._rng = chance(seed)
        self._addresses = addresses
        self.kind = kind

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        return v4_text(self._rng.choice(self._addresses))


def office(seed: str, block: Block, *, size: int = 5) -> Egress:
    """Return the egress of a company: some addresses in two or three /24s of one block."""
    rng = chance(f"office {seed}")
    nets = [rng.randrange(V4_SIZE >> 8) << 8 for _ in range(rng.choice((2, 3)))]
    addresses = [block.v4 + rng.choice(nets) + rng.randrange(1, 255) for _ in range(size)]
    return Egress(seed, addresses, block.kind)


def single(seed: str, block: Block) -> Egress:
    """Return one address for all: a hotel, a café, a server."""
    return Egress(seed, [host_of(chance(f"single {seed}"), block)], block.kind)


class Relay:
    """A two-hop relay as phones have it: three operators, v4 and v6, the country is kept."""

    kind = "relay"
    v6_share = 0.6
    _WEIGHTS: Final = (5, 3, 2)

    def __init__(self, seed: str, world: World, country: str) -> None:
        self._seed = seed
        self._rng = chance(seed)
        self.blocks = world.blocks("relay", country)
        self._epoch = -1
        self._now: Block | None = None

    def at(self, now: float, v6: bool) -> str:
        """See the class: the operator stays for some minutes, the address for a connection."""
        epoch = int(now // RELAY_EPOCH)
        if epoch != self._epoch or self._now is None:
            self._epoch = epoch
            self._now = self._rng.choices(self.blocks, self._WEIGHTS)[0]
        rng, block = self._rng, self._now
        if v6:
            return v6_text(site_of(rng, block, 48) + rng.getrandbits(16))
        return v4_text(block.v4 + rng.randrange(8 << 8))


class Tunnel:
    """A consumer's VPN: one exit address from connecting to disconnecting."""

    kind = "vpn"
    v6_share = 0.0

    def __init__(self, seed: str, operator: Operator, countries: Sequence[str]) -> None:
        self._rng = chance(seed)
        self.operator = operator
        self._countries = countries
        self._exit = 0
        self.connect()

    def connect(self) -> None:
        """Choose another exit: the favourite country more often than others."""
        rng = self._rng
        weights = [2.0**-place for place in range(len(self._countries))]
        country = rng.choices(self._countries, weights)[0]
        block = rng.choice(self.operator.within(country))
        # A provider has some dozens of servers in a place.
        number = rng.randrange(32)
        self._exit = block.v4 + (number % 4 << 8) + 10 + number
        self.country = country

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        return v4_text(self._exit)


class Onion:
    """Tor: another exit every ten minutes, anywhere."""

    kind = "tor"
    v6_share = 0.0

    def __init__(self, seed: str, world: World) -> None:
        self._rng = chance(seed)
        self._exits = world.tor_exits
        self._circuit = -1
        self._exit = 0

    def at(self, now: float, v6: bool) -> str:
        """See the class."""
        circuit = math.floor(now / CIRCUIT)
        if circuit != self._circuit:
            self._circuit = circuit
            _, self._exit = self._rng.choice(self._exits)
        return v4_text(self._exit)
