"""Personas and attacks that were held out, until their figures were looked at during tuning.

Look at them, and change no weight by them. A figure that was looked at while weights were chosen
says little of people who come later: those in `held_out_2` were written after that, and those in
`held_out_3`, `held_out_4` and `unseen` each after the figures of the one before.

Four thieves are no new ones either: `_far_other` and `_far_cloned`, and `_interleaved` and
`_interleaved_far`, come from where tuned ones in `attacks` do, with the same browsers. Their timing
alone is new: days later, and in turns with a victim at work.
"""

from __future__ import annotations

import random
from typing import Final

from attacks import (
    AttackKind,
    Thief,
    far,
    home_asn,
    line_in,
    other_agent,
    server_in,
)
from clients import Client, browser, program, stripped
from held_out_nets import Either, Nat64, Orbit
from networks import Cellular, Line, Net, Tunnel, office, single
from people import (
    DESKTOPS,
    Device,
    Person,
    Persona,
    add_device,
    choose,
    equip,
    home_blocks,
    move_in,
)
from personas import Days, at_home, commuter, is_phone, is_weekend
from places import CODES, COUNTRIES, is_same_continent
from world import World, far_country, neighbour

# --- people ---


def _border_phone(person: Person) -> None:
    codes = [code for code in CODES if COUNTRIES[code].neighbours]
    person.country = person.rng.choice(codes)
    move_in(person)
    country = neighbour(person.rng, person.country)
    assert country is not None  # chosen among those that have one
    carrier = person.world.pick(person.rng, "mobile", country)
    person.nets["over"] = Cellular(person.seed("over"), carrier, country)
    equip(person, first="phone")


def border_phone(person: Person, day: int) -> Days:
    """A phone that finds the other country's mast several times a day."""
    rng, nets = person.rng, person.nets
    hours = sorted(rng.uniform(8, 21) for _ in range(rng.choice((2, 4, 6))))
    marks = [7.0, *hours, 23.5]
    places = [nets["home"] if number == 0 else nets["cell"] for number in range(len(marks) - 1)]
    places[1::2] = [nets["over"]] * len(places[1::2])
    steps = zip(marks, marks[1:], places, strict=False)
    phone = [person.stay(day, start, end, net) for start, end, net in steps]
    return [phone, *at_home(person, day)[1:]]


def _aboard(person: Person) -> None:
    move_in(person)
    operator = person.rng.choice([o for o in person.world.operators if o.kind == "satellite"])
    block = person.rng.choice([b for b in operator.blocks if b.country != person.country])
    person.nets["aboard"] = office(person.seed("aboard"), block, size=8)
    person.facts["sails"] = set(person.rng.sample(range(1, 7), 2))
    equip(person, first="phone")


def aboard(person: Person, day: int) -> Days:
    """On two days some hours on a ship or plane, whose egress is in another country."""
    if day not in person.facts["sails"]:
        return at_home(person, day)
    rng, home = person.rng, person.nets["home"]
    start = rng.uniform(9, 14)
    end = start + rng.uniform(1.5, 6)
    return [
        [
            person.stay(day, 7, start - 1, home),
            person.stay(day, start, end, person.nets["aboard"]),
            person.stay(day, end + 0.5, 23.5, person.nets["cell" if is_phone(one) else "home"]),
        ]
        for one in person.devices
    ]


def _gateway(person: Person) -> None:
    rng, world = person.rng, person.world
    operator = rng.choice([one for one in world.operators if one.kind == "proxy"])
    person.country = rng.choice(operator.blocks).country
    move_in(person)
    blocks = operator.within(person.country)
    away = [block for block in operator.blocks if block.country != person.country]
    person.nets["near"] = office(f"{world.seed} pop {person.country}", blocks[0], size=12)
    # Where the near one is full or down, the next one is mostly on the same continent.
    away.sort(key=lambda block: not is_same_continent(block.country, person.country))
    for place, block in enumerate(away[:2]):
        seed = f"{world.seed} pop {block.country}"
        person.nets[f"away{place}"] = office(seed, block, size=12)
    equip(person)


def gateway(person: Person, day: int) -> Days:
    """A laptop behind the company's cloud gateway, which now and then is one abroad."""
    rng, nets = person.rng, person.nets
    starts, ends = rng.uniform(8, 9), rng.uniform(17, 18)
    if is_weekend(day):
        return at_home(person, day)
    stays, at = [], starts
    if rng.random() < 0.5:
        switch = rng.uniform(starts, ends - 2)
        back = switch + rng.uniform(0.5, 2)
        away = nets[rng.choice(("away0", "away0", "away1"))]
        stays = [person.stay(day, at, switch, nets["near"]), person.stay(day, switch, back, away)]
        at = back
    stays.append(person.stay(day, at, ends, nets["near"]))
    return [stays, *at_home(person, day)[1:]]


def _split(person: Person) -> None:
    move_in(person)
    kind = person.rng.choice(("business", "hosting"))
    block = person.rng.choice(person.world.blocks(kind, person.country))
    firm = office(person.seed("firm"), block, size=2)
    person.nets["split"] = Either(person.seed("split"), (person.nets["home"], firm))
    equip(person)


def split(person: Person, day: int) -> Days:
    """Half of the connections go through the company's tunnel, half do not."""
    if is_weekend(day):
        return at_home(person, day)
    return [[person.stay(day, 8.5, 18, person.nets["split"])], *at_home(person, day)[1:]]


def _satellite_home(person: Person) -> None:
    operator = person.rng.choice([o for o in person.world.operators if o.kind == "satellite"])
    person.country = person.rng.choice(operator.blocks).country
    move_in(person)
    person.nets["home"] = Orbit(person.seed("orbit"), operator, person.country)
    equip(person)


def _virtual_desktop(person: Person) -> None:
    move_in(person)
    block = person.rng.choice(person.world.blocks("hosting", person.country))
    person.nets["desk"] = office(person.seed("desk"), block, size=2)
    add_device(person, browser("Edge", "Windows"), 0.65, v6=False)
    add_device(person, choose(person.rng, DESKTOPS, COUNTRIES[person.country].language), 0.35)


def virtual_desktop(person: Person, day: int) -> Days:
    """At work on a remote desktop in a data centre; another browser at home."""
    away = is_weekend(day)
    desk = [] if away else [person.stay(day, 8.5, 17.5, person.nets["desk"])]
    return [desk, [person.stay(day, 18, 23, person.nets["home"])]]


def disguises() -> tuple[Client, ...]:
    """Return what an extension in Firefox pretends to be: the agent text alone is changed."""
    real = browser("Firefox", "Windows")
    texts = [browser(family, system) for (family, system), _ in DESKTOPS]
    return tuple(
        Client("firefox", one.family, one.system, one.version, one.agent, real.language)
        for one in texts
    )


def _disguised(person: Person) -> None:
    move_in(person)
    device = add_device(person, browser("Firefox", "Windows"))
    device.updates_at = float("inf")
    device.switches = lambda rng: rng.choice(disguises())


def _roaming_pair(person: Person) -> None:
    move_in(person)
    there = far_country(person.rng, person.country, same_continent=person.rng.random() < 0.5)
    there = there or far_country(person.rng, person.country, same_continent=False)
    assert there is not None  # there is always another continent
    block = person.rng.choice(person.world.blocks("isp", there))
    person.nets["hotel"] = single(person.seed("hotel"), block)
    equip(person, first="phone", second=0.2)


def roaming_pair(person: Person, day: int) -> Days:
    """Abroad all week: the hotel's wifi and a phone that is routed through its home."""
    rng, hotel, cell = person.rng, person.nets["hotel"], person.nets["cell"]
    marks = [7.0, *sorted(rng.uniform(8, 22) for _ in range(rng.choice((3, 4, 5)))), 23.5]
    places = [hotel if number % 2 == 0 else cell for number in range(len(marks) - 1)]
    steps = zip(marks, marks[1:], places, strict=False)
    phone = [person.stay(day, start, end, net) for start, end, net in steps]
    return [phone, [person.stay(day, 19, 23, hotel)]]


def _rebooting(person: Person) -> None:
    person.has_v6 = True
    move_in(person)
    person.nets["home"] = Line(person.seed("reboots"), home_blocks(person), period=28_800.0)
    equip(person)


def _nat64(person: Person) -> None:
    person.has_v6 = True
    move_in(person)
    operator = person.world.pick(person.rng, "mobile", person.country)
    person.nets["cell"] = Nat64(person.seed("nat64"), operator, person.country)
    equip(person, first="phone", second=0.2)


def on_cell(person: Person, day: int) -> Days:
    """On the phone's network all day."""
    return [[person.stay(day, 7, 23.5, person.nets["cell"])] for _ in person.devices]


def _student(person: Person) -> None:
    move_in(person)
    rng, world = person.rng, person.world
    campus = world.blocks("campus", person.country)[0]
    person.nets["work"] = office(f"{world.seed} campus {person.country}", campus, size=16)
    block = rng.choice(world.blocks("business", person.country))
    person.nets["guest"] = office(person.seed("guest"), block, size=2)  # another university's
    equip(person, first="phone", second=0.8)


def student(person: Person, day: int) -> Days:
    """On the campus; one day in three at another one through eduroam."""
    days = commuter(person, day)
    if person.rng.random() < 0.3:
        work, guest = person.nets["work"], person.nets["guest"]
        days = [
            [
                person.stay(day, 10, 16, guest) if one.net is work else one
                for one in stays
                if one.net is not work or one is next(s for s in stays if s.net is work)
            ]
            for stays in days
        ]
    return days


def _mover(person: Person) -> None:
    move_in(person)
    person.nets["old"] = person.nets["home"]
    operators = person.world.of("isp", person.country)
    operator = person.rng.choice([one for one in operators if one.asn != home_asn(person)])
    person.nets["new"] = Line(person.seed("new"), operator.within(person.country))
    person.facts["moves"] = person.rng.choice((2, 3, 4))
    equip(person)


def mover(person: Person, day: int) -> Days:
    """Lives with another provider from one day on."""
    person.nets["home"] = person.nets["new" if day >= person.facts["moves"] else "old"]
    return at_home(person, day)


def _family(person: Person) -> None:
    move_in(person)
    rng, world = person.rng, person.world
    block = rng.choice(world.blocks("isp", person.country))
    person.nets["away"] = Line(person.seed("away"), [block])
    equip(person, second=1.0)
    language = COUNTRIES[person.country].language
    add_device(person, choose(rng, DESKTOPS, language), 0.3)
    add_device(person, browser("Safari", "iOS", 0, language), 0.4)


def family(person: Person, day: int) -> Days:
    """Four devices of one account: two at home, one elsewhere, one that goes about."""
    rng, home, cell = person.rng, person.nets["home"], person.nets["cell"]
    away = [person.stay(day, 9, 23, person.nets["away"])]
    out = rng.uniform(8, 12)
    about = [person.stay(day, 7, out, home), person.stay(day, out, out + 6, cell)]
    return [*at_home(person, day)[:2], away, about]


HELD_OUT: Final = (
    Persona("border-town phone", 8, _border_phone, border_phone),
    Persona("ship or plane", 8, _aboard, aboard),
    Persona("cloud gateway", 8, _gateway, gateway),
    Persona("split tunnel", 8, _split, split),
    Persona("satellite at home", 8, _satellite_home, at_home),
    Persona("virtual desktop", 8, _virtual_desktop, virtual_desktop),
    Persona("agent randomiser", 2, _disguised, at_home),
    Persona("roaming pair", 8, _roaming_pair, roaming_pair),
    Persona("rebooting router", 8, _rebooting, at_home),
    Persona("NAT64 phone", 10, _nat64, on_cell),
    Persona("student", 10, _student, student),
    Persona("moves house", 6, _mover, mover),
    Persona("shared account", 8, _family, family),
)

# --- attacks ---


def _headless(world: World, rng: random.Random, victim: Device) -> Thief:
    return Thief(program("headless"), (server_in(rng, world, far(rng, victim.person)),))


def _stripped(world: World, rng: random.Random, victim: Device) -> Thief:
    client = stripped(victim.client, versions=rng.choice((1, 2, 4)))
    return Thief(client, (line_in(rng, world, far(rng, victim.person)),))


def _exit_near(world: World, rng: random.Random, victim: Device) -> Thief | None:
    operators = world.of("vpn", victim.person.country)
    if not operators:
        return None
    net: Net = Tunnel(f"thief {rng.random()}", rng.choice(operators), [victim.person.country])
    return Thief(other_agent(rng, victim), (net,))


def _far_other(world: World, rng: random.Random, victim: Device) -> Thief:
    return Thief(other_agent(rng, victim), (line_in(rng, world, far(rng, victim.person)),))


def _far_cloned(world: World, rng: random.Random, victim: Device) -> Thief:
    return Thief(victim.client, (line_in(rng, world, far(rng, victim.person)),))


def _far_phone(world: World, rng: random.Random, victim: Device) -> Thief:
    country = far(rng, victim.person)
    net = Cellular(f"thief {rng.random()}", world.pick(rng, "mobile", country), country)
    return Thief(other_agent(rng, victim), (net,))


def _slow_burn(world: World, rng: random.Random, victim: Device) -> Thief:
    home = victim.person.country
    first = line_in(rng, world, home, but=home_asn(victim.person))
    middle = neighbour(rng, home) or far_country(rng, home, same_continent=True) or home
    last = line_in(rng, world, far(rng, victim.person))
    return Thief(victim.client, (first, line_in(rng, world, middle), last))


def _interleaved(world: World, rng: random.Random, victim: Device) -> Thief:
    net = line_in(rng, world, victim.person.country, but=home_asn(victim.person))
    return Thief(victim.client, (net,), accompanied=True)


def _interleaved_far(world: World, rng: random.Random, victim: Device) -> Thief:
    net = line_in(rng, world, far(rng, victim.person))
    return Thief(victim.client, (net,), accompanied=True)


_FAR_CLONED: Final = "far line, cloned agent"
HELD_OUT_ATTACKS: Final = (
    AttackKind("headless browser, hosting", "script", 0.97, _headless),
    AttackKind("far line, older and stripped", _FAR_CLONED, 0.75, _stripped),
    AttackKind("VPN exit nearby, other agent", "same country, other agent", 0.97, _exit_near),
    AttackKind("far phone, other agent", "far, other agent", 0.97, _far_phone),
    AttackKind("days later, other agent", "far, other agent", 0.97, _far_other, rests=2),
    AttackKind("days later, cloned agent", _FAR_CLONED, 0.75, _far_cloned, rests=2),
    AttackKind("interleaved, far, cloned agent", _FAR_CLONED, 0.75, _interleaved_far),
    AttackKind("interleaved, same country, cloned", "same country, cloned", None, _interleaved),
    AttackKind("slow burn, cloned agent", "slow burn", None, _slow_burn),
)
