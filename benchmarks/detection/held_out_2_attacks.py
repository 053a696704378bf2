"""The thieves of the second set that was held out: see `held_out_2`.

Each is of the requirement of `attacks` that its words put it in, and of none where none says so: a
VPN or a server in the victim's country with a copied agent, and a neighbour country.
"""

from __future__ import annotations

import random
from typing import Final

from attacks import FAR_CLONED, AttackKind, Thief, far, home_asn, line_in, other_agent
from clients import Client, browser
from networks import Cellular, Egress, Net, Onion, Tunnel, single
from people import Device
from places import is_far
from world import World, neighbour

_LIBRARIES: Final = (
    "Go-http-client/2.0",
    "Python/3.13 aiohttp/3.12.15",
    "curl/8.5.0",
    "axios/1.12.2",
)


def away(rng: random.Random, victim: Device) -> str:
    """Choose a country that is far from wherever the victim goes."""
    while True:
        country = far(rng, victim.person)
        if all(is_far(country, one) for one in victim.person.facts.get("route", ())):
            return country


def _rented(rng: random.Random, world: World, country: str) -> Net:
    block, number = rng.choice(world.rented[country])
    return Egress(f"rented {number}", [number], block.kind)


def _sibling(world: World, rng: random.Random, victim: Device) -> Thief:
    has = {"Safari": ("iOS", "macOS"), "Edge": ("Windows", "macOS")}
    mine = victim.client
    systems = has.get(mine.family, ("Windows", "macOS", "Linux", "Android"))
    system = rng.choice([one for one in systems if one != mine.system])
    net = _rented(rng, world, away(rng, victim))
    return Thief(browser(mine.family, system, mine.version), (net,))


def _exit_cloned(world: World, rng: random.Random, victim: Device) -> Thief | None:
    operators = world.of("vpn", victim.person.country)
    if not operators:
        return None
    seed = f"thief {rng.random()}"
    return Thief(victim.client, (Tunnel(seed, rng.choice(operators), [victim.person.country]),))


def _kit(world: World, rng: random.Random, victim: Device) -> Thief:
    own = victim.person.country
    is_near = rng.random() < 0.5
    block = rng.choice(world.blocks("hosting", own if is_near else away(rng, victim)))
    net = single(f"kit {rng.random()}", block)
    return Thief(victim.client, (net,), kind=_KIT_NEAR if is_near else None)


def _no_turn(world: World, rng: random.Random, victim: Device) -> None:
    """Build none: half of those that `_kit` builds in its own turn are of this kind."""


def _library(world: World, rng: random.Random, victim: Device) -> Thief:
    text = rng.choice(_LIBRARIES)
    client = Client("script", text.partition("/")[0], "", 0, text)
    is_near = rng.random() < 0.5
    country = victim.person.country if is_near else away(rng, victim)
    return Thief(client, (line_in(rng, world, country, but=home_asn(victim.person)),))


def _phone_in(world: World, rng: random.Random, country: str) -> Net:
    return Cellular(f"thief {rng.random()}", world.pick(rng, "mobile", country), country)


def _hotspot(world: World, rng: random.Random, victim: Device) -> Thief:
    return Thief(other_agent(rng, victim), (_phone_in(world, rng, victim.person.country),))


def _hotspot_over(world: World, rng: random.Random, victim: Device) -> Thief | None:
    country = neighbour(rng, victim.person.country)
    return Thief(other_agent(rng, victim), (_phone_in(world, rng, country),)) if country else None


def _onion(world: World, rng: random.Random, victim: Device) -> Thief:
    return Thief(other_agent(rng, victim), (Onion(f"thief {rng.random()}", world),))


def _rotating(world: World, rng: random.Random, victim: Device) -> Thief:
    nets = tuple(_rented(rng, world, away(rng, victim)) for _ in range(5))
    return Thief(victim.client, nets)


_KIT_NEAR: Final = AttackKind(
    "phishing kit, hosting nearby", "hosting, same country", None, _no_turn
)
HELD_OUT_2_ATTACKS: Final = (
    AttackKind("far rented line, same family", "far, other agent", 0.97, _sibling),
    AttackKind("phishing kit, hosting far away", "hosting", 0.97, _kit),
    _KIT_NEAR,
    AttackKind("Tor after a day's rest", "Tor", 0.97, _onion, rests=1),
    AttackKind("library, consumer line", "script", 0.97, _library),
    AttackKind("hotspot, other agent", "same country, other agent", 0.97, _hotspot),
    AttackKind("rotating countries, cloned", FAR_CLONED, 0.75, _rotating),
    AttackKind("VPN exit nearby, cloned agent", "same country, cloned", None, _exit_cloned),
    AttackKind("hotspot over the border", "neighbour, other agent", None, _hotspot_over),
)
