"""Thieves of the third set that was held out: see `held_out_3`.

The requirement of each was chosen before there was a figure, by the words that `attacks` has for
it. Of none are a phone in a neighbour country and a line of the victim's own provider, both with a
copied agent.
"""

from __future__ import annotations

import random
from typing import Final

from attacks import FAR_CLONED, AttackKind, Thief, home_asn, line_in, server_in
from clients import Client, browser
from held_out_2_attacks import away
from networks import Cellular, Egress, Net, Onion, SharedPool, host_of
from people import DESKTOPS, PHONES, Device, choose
from places import COUNTRIES
from world import World, neighbour

_LIBRARIES: Final = (
    ("node", "node"),
    ("Java-http-client", "Java-http-client/21.0.8"),
    ("Scrapy", "Scrapy/2.13.3 (+https://scrapy.org)"),
    ("Wget", "Wget/1.25.0"),
    ("PostmanRuntime", "PostmanRuntime/7.49.1"),
)


def _phone_in(world: World, rng: random.Random, country: str) -> Net:
    return Cellular(f"thief {rng.random()}", world.pick(rng, "mobile", country), country)


def _shared_line(world: World, rng: random.Random, country: str) -> Net:
    """Return a consumer's line behind carrier-grade NAT."""
    blocks = world.pick(rng, "isp", country).within(country)
    return SharedPool(f"thief {rng.random()}", blocks)


def _goes_out(world: World, rng: random.Random, victim: Device) -> Thief:
    country = away(rng, victim)
    rows = [row for row in PHONES if row[0] != (victim.client.family, victim.client.system)]
    client = choose(rng, rows, COUNTRIES[country].language)
    nets = (_shared_line(world, rng, country), _phone_in(world, rng, country))
    return Thief(client, nets)


def _two_hosts(world: World, rng: random.Random, victim: Device) -> Thief:
    country = away(rng, victim)
    blocks = world.blocks("hosting", country)  # of two companies
    numbers = [host_of(rng, block) for block in (*blocks, *blocks)]
    return Thief(victim.client, (Egress(f"hosts {numbers[0]}", numbers, "hosting"),))


def _onion_phone(world: World, rng: random.Random, victim: Device) -> Thief:
    client = browser("Firefox", "Android", 140)
    return Thief(client, (Onion(f"thief {rng.random()}", world),), accompanied=True)


def _tool(world: World, rng: random.Random, victim: Device) -> Thief:
    name, text = rng.choice(_LIBRARIES)
    own, far = victim.person.country, away(rng, victim)
    net = rng.choice(
        (
            server_in(rng, world, own),
            _phone_in(world, rng, own),
            line_in(rng, world, far),
        )
    )
    return Thief(Client("script", name, "", 0, text), (net,))


def _half_alike(world: World, rng: random.Random, victim: Device) -> Thief:
    """The same family on another system, or another family on the same system.

    The phone's Safari is left out against a tablet, which says of itself that it is a Mac or that
    it is not.
    """
    mine = victim.client.family, victim.client.system
    is_tablet = victim.person.persona == "tablet, shared screen" and mine[1] == "macOS"
    rows = [
        row
        for row in (*DESKTOPS, *PHONES)
        if (row[0][0] == mine[0]) != (row[0][1] == mine[1])
        and not (is_tablet and row[0] == ("Safari", "iOS"))
    ]
    own = victim.person.country
    client = choose(rng, rows, COUNTRIES[own].language)
    return Thief(client, (line_in(rng, world, own, but=home_asn(victim.person)),))


def _far_shared(world: World, rng: random.Random, victim: Device) -> Thief:
    return Thief(victim.client, (_shared_line(world, rng, away(rng, victim)),))


def _phone_over(world: World, rng: random.Random, victim: Device) -> Thief | None:
    country = neighbour(rng, victim.person.country)
    return Thief(victim.client, (_phone_in(world, rng, country),)) if country else None


def _same_provider(world: World, rng: random.Random, victim: Device) -> Thief:
    block = rng.choice(victim.person.nets["home"].blocks)
    number = host_of(rng, block)
    return Thief(victim.client, (Egress(f"line {number}", [number], block.kind),))


HELD_OUT_3_ATTACKS: Final = (
    AttackKind("far phone, in and out", "far, other agent", 0.97, _goes_out),
    AttackKind("two hosts, cloned agent", "hosting", 0.97, _two_hosts),
    AttackKind("Tor on a phone, interleaved", "Tor", 0.97, _onion_phone),
    AttackKind("tool, anywhere", "script", 0.97, _tool),
    AttackKind("same country, half alike", "same country, other agent", 0.97, _half_alike),
    AttackKind("far shared line, cloned agent", FAR_CLONED, 0.75, _far_shared),
    AttackKind("phone over the border, cloned", "neighbour, cloned", None, _phone_over),
    AttackKind("same provider, cloned agent", "same country, cloned", None, _same_provider),
)
