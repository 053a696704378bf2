"""Thieves of the fourth set that was held out: see `held_out_4`.

The requirement of each was chosen before there was a figure, by the words that `attacks` has for
it. Of none are a line in the victim's country or over a border with a copied agent, a line of the
victim's own provider, and whoever leaves through the victim's own line. Of a phone abroad with a
copied agent it was asked as of a home line, and is not since the first run.

Where cookies come from: a stealer takes them from a computer, with the agent text and the country,
and whoever buys such a log imports them into a browser made for it (`_copy`), behind lines that are
sold by country or city; a phishing kit takes them from any device; people nearby take them from a
screen that was left open. Many thieves just use what they have.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from attacks import FAR_CLONED, AttackKind, Thief, home_asn, server_in
from clients import Client, browser, program
from held_out_2_attacks import away
from networks import Cellular, Egress, Net, Onion, Tunnel, host_of
from people import PHONES, Device, choose
from places import COUNTRIES
from world import Block, World, neighbour

# What thieves work with; a guess, from what their guides are written for.
_THIEVES: Final = (
    (("Chrome", "Windows"), 55),
    (("Firefox", "Windows"), 14),
    (("Edge", "Windows"), 6),
    (("Chrome", "macOS"), 8),
    (("Chrome", "Linux"), 6),
    (("Firefox", "Linux"), 5),
    (("Chrome", "Android"), 6),
)
_CHECKERS: Final = (
    ("requests", "python-requests/2.32.5"),
    ("httpx", "python-httpx/0.28.1"),
    ("Go-http-client", "Go-http-client/1.1"),
    ("node-fetch", "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)"),
    ("OpenBullet", "OpenBullet2/0.3.2"),
)
_EXACT: Final = 0.6  # of the copies have the version that the log says
_FITTED: Final = 0.5  # of the copies speak the language of their address, as those browsers do


# --- with what ---


def _own(rng: random.Random, victim: Device, country: str) -> Client:
    """Choose a thief's browser of another family or system than the victim's."""
    rows = [row for row in _THIEVES if row[0] != (victim.client.family, victim.client.system)]
    return choose(rng, rows, COUNTRIES[country].language)


def _copy(rng: random.Random, victim: Device, country: str) -> Client:
    """Return what an anti-detect browser makes of a log: Chromium or Firefox with its agent.

    There is none that has the engine of Safari: its agent comes from a Chromium without hints.
    """
    mine = victim.client
    language = COUNTRIES[country].language if rng.random() < _FITTED else mine.language
    if mine.family == "Safari":
        text = mine.agent
        return Client("chrome", mine.family, mine.system, mine.version, text, language, hints=False)
    behind = 0 if rng.random() < _EXACT else rng.choice((1, 1, 2, 4))
    if victim.switches is not None or (behind == 0 and language == mine.language):
        return mine  # an app is copied as it is
    return browser(mine.family, mine.system, mine.version - behind, language)


def _is_stolen_from(victim: Device) -> bool:
    """Say whether stealers are made for the device: they are for Windows, and some for macOS."""
    return victim.client.system in ("Windows", "macOS")


# --- from where ---


def _bought(
    rng: random.Random, world: World, country: str, count: int = 1, *, city: int | None = None
) -> Net:
    """Return lines that a proxy service rents out, of a country or of a city of it."""
    rows = [row for row in world.rented[country] if city is None or row[0].city == city]
    numbers = [number for _, number in rng.sample(rows, count)]
    return Egress(f"bought {numbers[0]}", numbers, "isp")


def _line_at(rng: random.Random, blocks: Sequence[Block]) -> Net:
    """Return somebody's line at home, of one of the blocks."""
    block = rng.choice(blocks)
    number = host_of(rng, block)
    return Egress(f"line {number}", [number], block.kind)


def _on_phone(rng: random.Random, world: World, country: str) -> Net:
    return Cellular(f"thief {rng.random()}", world.pick(rng, "mobile", country), country)


# --- the kinds ---


def _own_browser(world: World, rng: random.Random, victim: Device) -> Thief:
    country = away(rng, victim)
    net = _line_at(rng, world.blocks("isp", country))
    return Thief(_own(rng, victim, country), (net,))


def _exit_abroad(world: World, rng: random.Random, victim: Device) -> Thief:
    while True:
        country = away(rng, victim)
        operators = world.of("vpn", country)
        if operators:
            net = Tunnel(f"thief {rng.random()}", rng.choice(operators), [country])
            return Thief(_own(rng, victim, away(rng, victim)), (net,), accompanied=True)


def _rented_desktop(world: World, rng: random.Random, victim: Device) -> Thief:
    """A Windows server with the browser that somebody installed; it may be like the victim's."""
    family = rng.choice(("Edge", "Edge", "Chrome", "Firefox"))
    version = browser(family, "Windows").version - rng.choice((0, 1, 3, 8))
    client = browser(family, "Windows", version)
    return Thief(client, (server_in(rng, world, away(rng, victim)),))


def _kit(world: World, rng: random.Random, victim: Device) -> Thief:
    """First the kit that relayed the sign-in, then who runs it, with the agent that it noted."""
    country = away(rng, victim)
    kit = server_in(rng, world, away(rng, victim))
    return Thief(victim.client, (kit, _bought(rng, world, country)))


def _onion_own(world: World, rng: random.Random, victim: Device) -> Thief:
    """The browser of Tor on Linux, which says so, or on a phone."""
    client = browser("Firefox", rng.choice(("Linux", "Linux", "Android")), program("tor").version)
    return Thief(client, (Onion(f"thief {rng.random()}", world),))


def _onion_copy(world: World, rng: random.Random, victim: Device) -> Thief:
    return Thief(
        _copy(rng, victim, victim.person.country), (Onion(f"thief {rng.random()}", world),)
    )


def _checker(world: World, rng: random.Random, victim: Device) -> Thief:
    """A program that looks through logs by the thousand, over lines of several countries."""
    name, text = rng.choice(_CHECKERS)
    nets = tuple(_bought(rng, world, away(rng, victim)) for _ in range(4))
    return Thief(Client("script", name, "", 0, text), nets)


def _script_copy(world: World, rng: random.Random, victim: Device) -> Thief:
    """A program that is given the agent text of the log, and no other header of a browser."""
    mine = victim.client
    own = victim.person.country
    net = rng.choice((server_in(rng, world, away(rng, victim)), _bought(rng, world, own, 5)))
    return Thief(Client("script", mine.family, mine.system, mine.version, mine.agent), (net,))


def _in_city(world: World, rng: random.Random, victim: Device) -> Thief:
    """A line bought for the victim's city; it may be one of the victim's provider."""
    person = victim.person
    rows = [row for row in world.rented[person.country] if row[0].city == person.city]
    block, number = rng.choice(rows)
    kind = _SAME_PROVIDER if block.asn == home_asn(person) else None
    client = _own(rng, victim, rng.choice((person.country, away(rng, victim))))
    return Thief(client, (Egress(f"bought {number}", [number], block.kind),), kind=kind)


def _no_turn(world: World, rng: random.Random, victim: Device) -> None:
    """Build none: some of those that `_in_city` builds in its own turn are of this kind."""


def _acquaintance(world: World, rng: random.Random, victim: Device) -> Thief:
    """Somebody whom the victim knows, at a home nearby with another provider, or on the way."""
    person = victim.person
    mine = (victim.client.family, victim.client.system)
    client = choose(
        rng,
        [row for row in (*PHONES, *_THIEVES) if row[0] != mine],
        COUNTRIES[person.country].language,
    )
    near = [
        block
        for block in world.blocks("isp", person.country)
        if block.city == person.city and block.asn != home_asn(person)
    ]
    home = _line_at(rng, near)
    phone = client.system in ("Android", "iOS")
    nets = (_on_phone(rng, world, person.country), home) if phone else (home,)
    return Thief(client, nets)


def _log_abroad(world: World, rng: random.Random, victim: Device) -> Thief | None:
    """A log, and lines of a country that is cheap; the gateway gives another one each time."""
    if not _is_stolen_from(victim):
        return None
    country = away(rng, victim)
    return Thief(_copy(rng, victim, country), (_bought(rng, world, country, 12),))


def _kit_abroad(world: World, rng: random.Random, victim: Device) -> Thief:
    """What a kit has caught, a day after, by one line abroad."""
    country = away(rng, victim)
    return Thief(_copy(rng, victim, country), (_bought(rng, world, country),))


def _phone_farm(world: World, rng: random.Random, victim: Device) -> Thief:
    """Modems that are rented out: another address of the carrier where it is asked for."""
    country = away(rng, victim)
    nets = tuple(_on_phone(rng, world, country) for _ in range(2))
    return Thief(_copy(rng, victim, country), nets, accompanied=True)


def _log_in_city(world: World, rng: random.Random, victim: Device) -> Thief | None:
    if not _is_stolen_from(victim):
        return None
    person = victim.person
    net = _bought(rng, world, person.country, city=person.city)
    return Thief(_copy(rng, victim, person.country), (net,))


def _log_over(world: World, rng: random.Random, victim: Device) -> Thief | None:
    country = neighbour(rng, victim.person.country)
    if country is None or not _is_stolen_from(victim):
        return None
    return Thief(_copy(rng, victim, country), (_bought(rng, world, country),))


def _through(world: World, rng: random.Random, victim: Device) -> Thief | None:
    """The stealer that is still there lends out the victim's own line."""
    if not _is_stolen_from(victim):
        return None
    return Thief(_copy(rng, victim, victim.person.country), (), accompanied=True)


def _flatmate(world: World, rng: random.Random, victim: Device) -> Thief:
    """Who shares the wifi, with any browser."""
    return Thief(choose(rng, (*PHONES, *_THIEVES), victim.client.language), ())


_FAR: Final = "far, other agent"
_SAME_PROVIDER: Final = AttackKind(
    "line of the same provider, own browser", "same provider, other agent", None, _no_turn
)
# Those that need a stealer lie apart: one that is not possible gives its turn to the next one.
HELD_OUT_4_ATTACKS: Final = (
    AttackKind("own browser, own line abroad", _FAR, 0.97, _own_browser),
    AttackKind("rented Windows desktop", "hosting", 0.97, _rented_desktop),
    AttackKind("Tor Browser, Linux or phone", "Tor", 0.97, _onion_own),
    AttackKind("log, changing lines abroad", FAR_CLONED, 0.75, _log_abroad),
    AttackKind("checker of logs", "script", 0.97, _checker),
    AttackKind("line in the city, own browser", "same country, other agent", 0.97, _in_city),
    _SAME_PROVIDER,
    AttackKind("kit's cookie, a day later", FAR_CLONED, 0.75, _kit_abroad, rests=1),
    AttackKind("log, line in the city", "same country, cloned", None, _log_in_city),
    AttackKind("flatmate, any browser", "same line", None, _flatmate),
    AttackKind("own browser, VPN exit abroad", _FAR, 0.97, _exit_abroad),
    AttackKind("phishing kit, then a line abroad", "hosting", 0.97, _kit),
    AttackKind("log, line over the border", "neighbour, cloned", None, _log_over),
    AttackKind("Tor, copied from a log", "Tor", 0.97, _onion_copy),
    AttackKind("script, agent text of the log", "script", 0.97, _script_copy),
    AttackKind("acquaintance nearby", "same country, other agent", 0.97, _acquaintance),
    AttackKind("through the victim's computer", "same line", None, _through),
    AttackKind("phone farm abroad, copied", "phone abroad, cloned", None, _phone_farm),
)
