"""Thieves whom tuning has not seen: see `unseen`.

The requirement of each was chosen before there was a figure, by the words that `attacks` has for
it. Of none are a phone abroad and a copy that is used after a day or more, a line over a border, a
copied agent in the victim's country, an exit of a VPN there, whoever leaves through the victim's
own line, and a library that sends all the headers of a browser.

Cookies come from a stealer or a bad extension on a computer, from a kit that relayed the sign-in,
and from devices that somebody else had in hand. Some are used at once and some are sold on.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from attacks import FAR_CLONED, AttackKind, Thief, server_in
from clients import CHROME, Client, browser, program
from held_out_2_attacks import away
from networks import Egress, Net, Onion, SharedPool, Tunnel, host_of, office
from people import Device, Person
from unseen_clients import Branded, Rows, impersonating, library, made, pick, speaks
from unseen_nets import Card
from world import Block, World, neighbour

# What thieves browse with; guesses, from what their guides are written for and what shops sell.
_COMPUTERS: Final[Rows] = (
    (("Chrome", "Windows"), 46),
    (("Firefox", "Windows"), 12),
    (("Opera", "Windows"), 8),
    (("Brave", "Windows"), 8),
    (("Edge", "Windows"), 7),
    (("Chrome", "macOS"), 8),
    (("Chrome", "Linux"), 7),
    (("Firefox", "Linux"), 4),
)
_PHONES: Final[Rows] = (
    (("Chrome", "Android"), 68),
    (("Safari", "iOS"), 22),
    (("Samsung", "Android"), 7),
    (("Opera", "Android"), 3),
)
_PROFILES: Final[Rows] = (  # what an anti-detect browser makes up for whoever has no log
    (("Chrome", "Windows"), 62),
    (("Chrome", "macOS"), 23),
    (("Edge", "Windows"), 10),
    (("Firefox", "Windows"), 5),
)
_STOLEN_FROM: Final = ("Windows", "macOS", "Chrome OS", "Linux")  # where stealers or extensions are
_EXACT: Final = 0.55  # of the copies have the release of the log; the others that of the program
_FITTED: Final = 0.5  # of the copies speak the language of their address
_BRANDED: Final = 0.5  # of the copies of a rare Chromium say its name in the hints as well


# --- with what ---


def _own(rng: random.Random, victim: Device, country: str, rows: Rows = _COMPUTERS) -> Client:
    """Choose a browser of another family or system than the victim's."""
    language = speaks(rng, country)
    unlike = [row for row in rows if not made(*row[0], language).is_like(victim.client)]
    return made(*pick(rng, unlike), language)


def _copy(rng: random.Random, victim: Device, country: str) -> Client:
    """Return what an anti-detect browser makes of the victim's: Chromium or Firefox with its text.

    None has Safari's engine: its text comes from a Chromium without hints.
    """
    mine = victim.client
    language = speaks(rng, country) if rng.random() < _FITTED else mine.language
    names = mine.family, mine.system, mine.version
    if mine.engine == "safari":
        return Client("chrome", *names, mine.agent, language, hints=False)
    behind = 0 if rng.random() < _EXACT else rng.choice((1, 2, 3, 6))
    if type(mine) is Branded and rng.random() >= _BRANDED:
        mine = Client("chrome", *names, mine.agent, mine.language)
    if behind == 0 and language == mine.language:
        return mine
    version = mine.version - behind
    agent = re.sub(r"\b(Chrome|Edg|Firefox|rv)([/:])\d+", rf"\g<1>\g<2>{version}", mine.agent)
    return replace(mine, version=version, agent=agent, language=language)


def _text_alone(rng: random.Random, victim: Device, country: str) -> Client:
    """Return a Chrome that an extension gives the victim's text; its hints still tell of itself."""
    own = browser("Chrome", rng.choice(("Windows", "Windows", "macOS")))
    names = own.family, own.system, own.version
    language = speaks(rng, country)
    return Client("chrome", *names, victim.client.agent, language, base=own.agent)


def _is_stolen_from(victim: Device) -> bool:
    return victim.client.system in _STOLEN_FROM


# --- from where ---


def _taken(person: Person) -> set[int]:
    """Return the AS numbers of all networks that the victim uses."""
    rules = [getattr(net, "blocks", ()) for net in person.nets.values()]
    blocks: Iterable[Block] = [*person.facts.get("blocks", ()), *(b for own in rules for b in own)]
    return {block.asn for block in blocks}


def _others(world: World, person: Person, kind: str) -> list[Block]:
    """Return the blocks of a kind in the victim's country, of operators that it does not use."""
    taken = _taken(person)
    return [one for one in world.blocks(kind, person.country) if one.asn not in taken]


def _line(rng: random.Random, blocks: Sequence[Block]) -> Net:
    """Return one line that nobody rents out."""
    block = rng.choice(blocks)
    number = host_of(rng, block)
    return Egress(f"line {number}", [number], block.kind)


def _bought(rng: random.Random, rows: Sequence[tuple[Block, int]], count: int = 1) -> Net:
    """Return lines that a proxy service rents out; another one for each request."""
    numbers = [number for _, number in rng.sample(rows, count)]
    return Egress(f"bought {numbers[0]}", numbers, "isp")


def _bought_near(world: World, person: Person, *, city: bool) -> list[tuple[Block, int]]:
    """Return what is rented out in the victim's country or city, but of its own providers."""
    taken = _taken(person)
    rows = [row for row in world.rented[person.country] if row[0].asn not in taken]
    return [row for row in rows if row[0].city == person.city] if city else rows


def _phone_in(rng: random.Random, world: World, country: str) -> Net:
    return Card(f"thief {rng.random()}", world.pick(rng, "mobile", country), country)


def _onion(rng: random.Random, world: World) -> tuple[Net]:
    return (Onion(f"thief {rng.random()}", world),)


# --- the kinds that have to be found ---


def _campus(world: World, rng: random.Random, victim: Device) -> Thief:
    """A laptop on the wifi of a university or of a firm."""
    country = away(rng, victim)
    block = rng.choice(world.blocks(rng.choice(("campus", "business")), country))
    net = office(f"thief {rng.random()}", block, size=3)
    return Thief(_own(rng, victim, country), (net,))


def _profile(world: World, rng: random.Random, victim: Device) -> Thief:
    """A cookie without a log: the profile is made up, and the gateway changes the line."""
    country = away(rng, victim)
    net = _bought(rng, world.rented[country], 15)
    return Thief(_own(rng, victim, country, _PROFILES), (net,), accompanied=True)


def _phone_later(world: World, rng: random.Random, victim: Device) -> Thief:
    country = away(rng, victim)
    return Thief(_own(rng, victim, country, _PHONES), (_phone_in(rng, world, country),))


def _cloud(world: World, rng: random.Random, victim: Device) -> Thief:
    """Browsers that a program drives, at whatever place has room; they say nothing of it."""
    client = browser("Chrome", "Linux", CHROME - rng.choice((0, 0, 2, 5)))
    nets = tuple(server_in(rng, world, away(rng, victim)) for _ in range(3))
    return Thief(client, nets)


def _server_copy(world: World, rng: random.Random, victim: Device) -> Thief:
    country = away(rng, victim)
    return Thief(_copy(rng, victim, country), (server_in(rng, world, country),))


def _server_phone(world: World, rng: random.Random, victim: Device) -> Thief:
    """A thief's phone behind a tunnel to a rented server; it may be like the victim's."""
    client = made(*pick(rng, _PHONES), speaks(rng, away(rng, victim)))
    return Thief(client, (server_in(rng, world, away(rng, victim)),), accompanied=True)


def _onion_window(world: World, rng: random.Random, victim: Device) -> Thief:
    """A window of Brave that goes through Tor: its text is that of Chrome."""
    return Thief(made("Brave", "Windows", "en-US"), _onion(rng, world), accompanied=True)


def _onion_later(world: World, rng: random.Random, victim: Device) -> Thief:
    return Thief(program("tor"), _onion(rng, world))


def _program_near(world: World, rng: random.Random, victim: Device) -> Thief | None:
    """A program with the text of a common browser, behind lines of the victim's city."""
    rows = _bought_near(world, victim.person, city=True)
    if not rows:
        return None
    text = browser("Chrome", "Windows", CHROME - rng.choice((0, 5, 20))).agent
    client = library(rng.choice(("requests", "aiohttp", "guzzle", "go")), text)
    return Thief(client, (_bought(rng, rows, min(8, len(rows))),))


def _program_phone(world: World, rng: random.Random, victim: Device) -> Thief | None:
    """A terminal on a phone, or a computer that is tethered to one."""
    blocks = _others(world, victim.person, "mobile")
    if not blocks:
        return None
    client = library(rng.choice(("curl", "dart", "requests", "powershell")))
    return Thief(client, (_line(rng, blocks),))


def _program_cloud(world: World, rng: random.Random, victim: Device) -> Thief:
    """Functions in a cloud, with the victim's text; in the nearest region as often as not."""
    country = victim.person.country if rng.random() < 0.5 else away(rng, victim)
    nets = tuple(server_in(rng, world, country) for _ in range(5))
    client = library(rng.choice(("axios", "fetch", "go", "aiohttp")), victim.client.agent)
    return Thief(client, nets, accompanied=True)


def _phone_near(world: World, rng: random.Random, victim: Device) -> Thief | None:
    """Somebody who stands beside the victim, with a phone of another carrier."""
    person = victim.person
    blocks = _others(world, person, "mobile")
    if not blocks:
        return None
    client = _own(rng, victim, person.country, _PHONES)
    return Thief(client, (_line(rng, blocks),), accompanied=True)


def _repairs(world: World, rng: random.Random, victim: Device) -> Thief | None:
    """Who repairs the device, and has it for a day; the cookie goes to a computer of the firm."""
    blocks = _others(world, victim.person, "business")
    if not blocks:
        return None
    return Thief(_own(rng, victim, victim.person.country), (_line(rng, blocks),))


def _profile_near(world: World, rng: random.Random, victim: Device) -> Thief | None:
    """Lines bought for the country, one after the other, and a profile that is made up."""
    rows = _bought_near(world, victim.person, city=False)
    if not rows:
        return None
    client = _own(rng, victim, victim.person.country, _PROFILES)
    return Thief(client, tuple(_bought(rng, rows) for _ in range(4)))


def _fresh_log(world: World, rng: random.Random, victim: Device) -> Thief | None:
    """What a stealer has sent minutes ago, behind one line that is kept for the work."""
    if not _is_stolen_from(victim):
        return None
    country = away(rng, victim)
    net = _bought(rng, world.rented[country])
    return Thief(_copy(rng, victim, country), (net,), accompanied=True)


def _extension(world: World, rng: random.Random, victim: Device) -> Thief:
    """A thief at home abroad."""
    country = away(rng, victim)
    net = _line(rng, world.blocks("isp", country))
    return Thief(_text_alone(rng, victim, country), (net,))


def _kit(world: World, rng: random.Random, victim: Device) -> Thief:
    """Who runs a phishing kit, at home behind a pool that neighbours share."""
    country = away(rng, victim)
    blocks = world.pick(rng, "isp", country).within(country)
    net = SharedPool(f"thief {rng.random()}", blocks, size=6)
    return Thief(_copy(rng, victim, country), (net,))


# --- the kinds that are only reported ---


def _phones_copy(world: World, rng: random.Random, victim: Device) -> Thief:
    """A farm of phones: each is used for a few requests."""
    country = away(rng, victim)
    nets = tuple(_phone_in(rng, world, country) for _ in range(3))
    return Thief(_copy(rng, victim, country), nets, accompanied=True)


def _sold_on(world: World, rng: random.Random, victim: Device) -> Thief | None:
    if not _is_stolen_from(victim):
        return None
    country = away(rng, victim)
    return Thief(_copy(rng, victim, country), (_bought(rng, world.rented[country], 2),))


def _over_copy(world: World, rng: random.Random, victim: Device) -> Thief | None:
    country = neighbour(rng, victim.person.country)
    if country is None:
        return None
    net = _bought(rng, world.rented[country])
    return Thief(_copy(rng, victim, country), (net,), accompanied=True)


def _over_phone(world: World, rng: random.Random, victim: Device) -> Thief | None:
    country = neighbour(rng, victim.person.country)
    if country is None:
        return None
    return Thief(_own(rng, victim, country, _PHONES), (_phone_in(rng, world, country),))


def _city_copy(world: World, rng: random.Random, victim: Device) -> Thief | None:
    """A log, and a line bought for the victim's city, while the victim goes on."""
    rows = _bought_near(world, victim.person, city=True)
    if not rows or not _is_stolen_from(victim):
        return None
    country = victim.person.country
    return Thief(_copy(rng, victim, country), (_bought(rng, rows),), accompanied=True)


def _exit_near(world: World, rng: random.Random, victim: Device) -> Thief | None:
    country = victim.person.country
    operators = world.of("vpn", country)
    if not operators:
        return None
    net = Tunnel(f"thief {rng.random()}", rng.choice(operators), [country])
    return Thief(_own(rng, victim, country), (net,))


def _server_near(world: World, rng: random.Random, victim: Device) -> Thief:
    country = victim.person.country
    return Thief(_copy(rng, victim, country), (server_in(rng, world, country),))


def _box(world: World, rng: random.Random, victim: Device) -> Thief:
    """A box beside the television that lends out the victim's line, and a copy."""
    return Thief(_copy(rng, victim, victim.person.country), (), accompanied=True)


def _impersonated(world: World, rng: random.Random, victim: Device) -> Thief:
    name = rng.choice((("Chrome", "macOS"), ("Chrome", "Windows"), ("Firefox", "Windows")))
    client = impersonating(*name, browser(*name).version - rng.choice((3, 9, 15)))
    return Thief(client, (_bought(rng, world.rented[away(rng, victim)], 6),))


_FAR: Final = "far, other agent"
_NEAR: Final = "same country, other agent"
# Kinds that are not possible against each victim lie apart: one gives its turn to the next one.
UNSEEN_ATTACKS: Final = (
    AttackKind("laptop on wifi abroad", _FAR, 0.97, _campus),
    AttackKind("log of the hour, one line abroad", FAR_CLONED, 0.75, _fresh_log),
    AttackKind("cloud browsers", "hosting", 0.97, _cloud),
    AttackKind("who repairs the device", _NEAR, 0.97, _repairs, rests=1),
    AttackKind("Brave's window with Tor", "Tor", 0.97, _onion_window),
    AttackKind("log, line in the city, interleaved", "same country, cloned", None, _city_copy),
    AttackKind("program, lines in the city", "script", 0.97, _program_near),
    AttackKind("phone over the border", "neighbour, other agent", None, _over_phone),
    AttackKind("text alone, home abroad", FAR_CLONED, 0.75, _extension),
    AttackKind("log sold on, lines abroad", "far, cloned after a rest", None, _sold_on, rests=2),
    AttackKind("phone of another carrier", _NEAR, 0.97, _phone_near),
    AttackKind("line over the border, interleaved", "neighbour, cloned", None, _over_copy),
    AttackKind("phones abroad, copied", "phone abroad, cloned", None, _phones_copy),
    AttackKind("VPN exit nearby, own browser", "VPN nearby, other agent", None, _exit_near),
    AttackKind("program on a phone's network", "script", 0.97, _program_phone),
    AttackKind("made-up profile, lines abroad", _FAR, 0.97, _profile),
    AttackKind("server, copied, days later", "hosting", 0.97, _server_copy, rests=2),
    AttackKind("kit, shared line abroad", FAR_CLONED, 0.75, _kit),
    AttackKind("Tor Browser, days later", "Tor", 0.97, _onion_later, rests=3),
    AttackKind("box on the line, copied", "same line", None, _box),
    AttackKind("made-up profile, lines nearby", _NEAR, 0.97, _profile_near),
    AttackKind("phone abroad, days later", _FAR, 0.97, _phone_later, rests=2),
    AttackKind("phone behind a rented server", "hosting", 0.97, _server_phone),
    AttackKind("program in a cloud, copied text", "script", 0.97, _program_cloud),
    AttackKind("server nearby, copied", "hosting, same country", None, _server_near),
    AttackKind("impersonating library", "script with a browser's headers", None, _impersonated),
)
