"""A second set of people that was held out, until a rule or two were changed after its figures.

They were written after the weights, without knowledge of the rules. Then their figures were looked
at, as those of `held_out` had been; people who came after that are in `held_out_3`. Change a
persona only where it does not do what it says. Their thieves are in `held_out_2_attacks`.
"""

from __future__ import annotations

from typing import Final

from chance import chance
from clients import browser, updated
from networks import Cellular, Line, Net, SharedPool, Tunnel, office, single
from people import Person, Persona, Stay, add_device, equip, move_in
from personas import Days, at_home, flight, is_phone, is_weekend
from places import COUNTRIES
from world import far_country, neighbour

_MAINLAND: Final = ("DE", "FR", "NL", "PL", "AT", "CH", "IT", "ES")  # one can drive or take a train
_HOME_ROUTED: Final = 0.75  # of the phones abroad have an address of their carrier at home


def path(person: Person, day: int, *legs: tuple[float, Net]) -> list[Stay]:
    """Stay on each network from its hour to that of the next one; the last leg only ends."""
    ends = [hour for hour, _ in legs[1:]]
    return [
        person.stay(day, start, end, net) for (start, net), end in zip(legs, ends, strict=False)
    ]


def falling_back(
    person: Person, day: int, hours: tuple[float, float], usual: Net, other: Net, every: float
) -> list[Stay]:
    """On the usual network; after about so many hours of it some minutes on the other one."""
    rng, (at, end) = person.rng, hours
    legs: list[tuple[float, Net]] = []
    while at < end:
        away = at + rng.expovariate(1 / every)
        legs += [(at, usual), (min(away, end), other)]
        at = away + rng.uniform(0.04, 0.6)
    return path(person, day, *legs, (end, usual))


def _abroad(person: Person, name: str, country: str) -> None:
    """Give the phone what it has in another country: mostly its own carrier's network."""
    carrier = person.world.pick(person.rng, "mobile", country)
    is_routed = person.rng.random() < _HOME_ROUTED
    local = Cellular(person.seed(name), carrier, country)
    person.nets[name] = person.nets["cell"] if is_routed else local


def _nurse(person: Person) -> None:
    move_in(person)
    kind = person.rng.choice(("business", "campus"))
    block = person.rng.choice(person.world.blocks(kind, person.country))
    person.nets["work"] = office(f"{person.world.seed} hospital {block.v4}", block, size=6)
    person.facts["shifts"] = person.rng.choices(
        ("early", "late", "night", "off"), (3, 2, 2, 3), k=9
    )
    equip(person, first="phone")


def nurse(person: Person, day: int) -> Days:
    """In shifts: a phone on the hospital's wifi or its own network, a laptop tethered to it."""
    home, cell, work = person.nets["home"], person.nets["cell"], person.nets["work"]
    shift = person.facts["shifts"][day % 9]
    if shift == "off":
        return at_home(person, day)
    start, end = {"early": (6.2, 14.4), "late": (13.6, 22.0), "night": (0.1, 6.9)}[shift]
    ward = falling_back(person, day, (start, end), work, cell, 1.5)
    way = [person.stay(day, end, end + 0.6, cell)]
    slept = 14.0 if shift == "night" else end + 0.6
    phone = [*ward, *way, person.stay(day, slept, 23.6, home)]
    if shift == "late":
        phone = path(person, day, (8.5, home), (13.1, cell), (13.6, work)) + phone
    rest = start + person.rng.uniform(2, 5)
    laptop = [person.stay(day, rest, rest + 0.8, cell)]
    laptop += [person.stay(day, 16, 21, home)] if shift != "late" else []
    return [phone, laptop]


def _driver(person: Person) -> None:
    rng = person.rng
    if person.country not in _MAINLAND:
        person.country = rng.choice(_MAINLAND)
    move_in(person)
    out = [person.country]
    while len(out) < 4:  # three days out, three days back
        borders = [code for code in COUNTRIES[out[-1]].neighbours if code in _MAINLAND]
        out.append(rng.choice(borders) if rng.random() < 0.75 else out[-1])
    person.facts["route"] = route = [*out, *reversed(out[:-1])]
    for code in sorted(set(route) - {person.country}):
        _abroad(person, f"cell {code}", code)
    person.nets[f"cell {person.country}"] = person.nets["cell"]
    equip(person, first="phone", second=0.3)


def driver(person: Person, day: int) -> Days:
    """Over a border on most days; on some evenings on the wifi of a place to rest."""
    rng, route = person.rng, person.facts["route"]
    here, there = route[day % 7], route[(day + 1) % 7]
    before, after = person.nets[f"cell {here}"], person.nets[f"cell {there}"]
    evening = after
    if rng.random() < 0.4:
        block = rng.choice(person.world.blocks(rng.choice(("business", "isp")), there))
        evening = single(person.seed(f"rest {day}"), block)
    border = rng.uniform(9, 16)
    cab = [(6.0, before), (border, after), (18.5, evening), (22.0, after), (22.5, after)]
    return [path(person, day, *cab) for _ in person.devices]


def _failover(person: Person) -> None:
    orbits = [one for one in person.world.operators if one.kind == "satellite"]
    dish = person.rng.choice(orbits) if person.rng.random() < 0.15 else None
    if dish:
        person.country = person.rng.choice(dish.blocks).country
    move_in(person)
    if dish:
        person.nets["home"] = SharedPool(person.seed("dish"), dish.within(person.country))
    person.facts["every"] = 5.0 if dish else 60.0  # trees stand before a dish
    carrier = person.world.pick(person.rng, "mobile", person.country)
    person.nets["spare"] = Cellular(person.seed("spare"), carrier, person.country)
    # An iPad says that it is a Mac.
    tablet = ("Safari", "macOS") if person.rng.random() < 0.6 else ("Chrome", "Android")
    language = COUNTRIES[person.country].language
    add_device(person, browser(*tablet, 0, language), 0.6)
    equip(person, second=0.0)


def failover(person: Person, day: int) -> Days:
    """A tablet and a computer in a house whose router takes a SIM card while the line is down."""
    home, spare = person.nets["home"], person.nets["spare"]
    house = falling_back(person, day, (7, 23), home, spare, person.facts["every"])
    return [house for _ in person.devices]


def _two_homes(person: Person) -> None:
    rng, world = person.rng, person.world
    if person.country not in _MAINLAND:
        person.country = rng.choice(_MAINLAND)
    move_in(person)
    there = rng.choice([one for one in COUNTRIES[person.country].neighbours if one in _MAINLAND])
    for name, code in (("office", person.country), ("branch", there)):
        block = rng.choice(world.blocks("business", code))
        person.nets[name] = office(f"{world.seed} {name} {block.v4}", block, size=4)
    person.nets["flat"] = Line(person.seed("flat"), world.pick(rng, "isp", there).within(there))
    _abroad(person, "roaming", there)
    carriages = rng.choice(world.blocks("mobile", person.country))
    person.nets["train"] = office(f"{world.seed} train {person.country}", carriages, size=6)
    leaves = rng.choice((0, 1))
    person.facts.update(leaves=leaves, returns=leaves + rng.choice((2, 3)))
    person.facts["route"] = [person.country, there]
    equip(person)


def two_homes(person: Person, day: int) -> Days:
    """Some days of the week in another country, with an office and a flat there; by train."""
    nets, facts = person.nets, person.facts
    if is_weekend(day):
        return at_home(person, day)
    home, cell, roaming, flat = nets["home"], nets["cell"], nets["roaming"], nets["flat"]
    aboard = nets["train"] if person.rng.random() < 0.4 else cell
    legs = [(6.8, home), (8.0, cell), (8.6, nets["office"]), (17.2, cell), (17.9, home)]
    if day == facts["leaves"]:
        legs = [(5.2, home), (5.8, aboard), (7.8, roaming), (9.5, nets["branch"]), (18.0, flat)]
    elif day == facts["returns"]:
        legs = [(7.0, flat), (8.5, nets["branch"]), (15.5, roaming), (17.0, aboard), (19.0, home)]
    elif facts["leaves"] < day < facts["returns"]:
        legs = [(7.0, flat), (8.3, roaming), (8.7, nets["branch"]), (18.0, flat)]
    return [path(person, day, *legs, (23.0, home)) for _ in person.devices]


def _delegate(person: Person) -> None:
    move_in(person)
    rng, world = person.rng, person.world
    there: str | None = None
    if rng.random() < 0.4:
        there = neighbour(rng, person.country) if rng.random() < 0.6 else None
        there = there or far_country(rng, person.country, same_continent=True)
    there = there or person.country
    person.facts.update(there=there, route=[person.country, there], first=rng.choice((0, 1, 2)))
    for name in ("hotel", "venue"):
        block = rng.choice(world.blocks(rng.choice(("business", "isp")), there))
        person.nets[name] = office(f"{world.seed} {name} {block.v4}", block, size=2)
    _abroad(person, "roaming", there)
    offered = world.of("vpn", person.country) or world.of("vpn", there)
    if offered and rng.random() < 0.7:
        person.nets["vpn"] = operator = rng.choice(offered)
        person.facts["exit"] = person.country if operator.within(person.country) else there
    equip(person, second=0.8)


def _late_tunnel(person: Person, day: int, start: float, end: float, net: Net) -> list[Stay]:
    """Some minutes on the wifi as it is, and then through the VPN, if there is one."""
    operator = person.nets.get("vpn")
    if operator is None:
        return [person.stay(day, start, end, net)]
    tunnel = Tunnel(person.seed(f"exit {day} {start}"), operator, [person.facts["exit"]])
    opened = start + person.rng.uniform(0.03, 0.4)
    return path(person, day, (start, net), (opened, tunnel), (end, tunnel))


def delegate(person: Person, day: int) -> Days:
    """At a conference: wifi of the hotel and of the venue, and a laptop's VPN begun late."""
    nets, since = person.nets, day - person.facts["first"]
    home, hotel, venue = nets["home"], nets["hotel"], nets["venue"]
    way = flight(person.country, person.facts["there"]) + 1.5
    if since not in (0, 1, 2):
        return at_home(person, day)
    if since == 0:
        leaves = person.stay(day, 7, 20 - way, home)
        arrives = [person.stay(day, 20, 23.5, hotel)]
        laptop = _late_tunnel(person, day, 20, 23.5, hotel)
        return [[leaves, *(arrives if is_phone(one) else laptop)] for one in person.devices]
    ends, evening = (17.0, [(19.0, hotel)]) if since == 1 else (15.0, [])
    back = [] if evening else [person.stay(day, min(ends + way, 23), 23.5, home)]
    phone = path(person, day, (6.8, hotel), (8.4, nets["roaming"]), (9.0, venue))
    phone += path(person, day, (9.0, venue), (ends, nets["roaming"]), (ends + 0.8, home)) + back
    laptop = _late_tunnel(person, day, 6.8, 8.3, hotel) + _late_tunnel(person, day, 9, 12.3, venue)
    laptop += _late_tunnel(person, day, 13.5, ends, venue) + back
    for start, net in evening:
        phone.append(person.stay(day, start, 23.5, net))
        laptop += _late_tunnel(person, day, start, 23.5, net)
    return [phone if is_phone(one) else laptop for one in person.devices]


def _two_sims(person: Person) -> None:
    move_in(person)
    rng, country = person.rng, person.country
    first = frozenset({person.nets["cell"].blocks[0].asn})
    if rng.random() < 0.1:  # the card of the country where they come from
        country = neighbour(rng, country) or far_country(rng, country, same_continent=False) or ""
        first = frozenset()
        person.facts["route"] = [person.country, country]
    carrier = person.world.pick(rng, "mobile", country, but=first)
    person.nets["second"] = Cellular(person.seed("second"), carrier, country)
    equip(person, first="phone")


def two_sims(person: Person, day: int) -> Days:
    """A phone that takes the card with the better signal while it is out."""
    home, cell, second = person.nets["home"], person.nets["cell"], person.nets["second"]
    out, back = person.rng.uniform(7.5, 11), person.rng.uniform(16, 21)
    phone = path(person, day, (6.8, home), (out, cell))
    phone += falling_back(person, day, (out, back), cell, second, 3.0)
    return [[*phone, person.stay(day, back, 23.3, home)], *at_home(person, day)[1:]]


def _agent(person: Person) -> None:
    move_in(person)
    rng, world = person.rng, person.world
    racks = world.blocks(rng.choice(("hosting", "business")), person.country)
    firm = f"{world.seed} centre {racks[0].v4} {rng.randrange(3)}"
    person.nets["work"] = office(firm, racks[0], size=2)
    person.nets["spare"] = office(f"spare {firm}", racks[-1], size=2)
    is_moved = chance(firm).random() < 0.2  # to the other data centre, for one day
    person.facts["moved"] = chance(firm).choice((2, 3, 4)) if is_moved else None
    person.facts["off"] = set(rng.sample(range(7), 2))
    person.facts["starts"] = rng.choice((7.0, 9.0, 13.5))
    desk = add_device(
        person, browser("Edge" if rng.random() < 0.4 else "Chrome", "Windows"), v6=False
    )
    desk.updates_at = float("inf")  # the images are updated, and not the browser in them
    add_device(person, browser("Chrome", "Android", 0, COUNTRIES[person.country].language), 0.25)


def agent(person: Person, day: int) -> Days:
    """In a call centre, on a virtual desktop of an old or a new image, behind two addresses."""
    facts, nets, rng = person.facts, person.nets, person.rng
    private = at_home(person, day)[1]
    if day % 7 in facts["off"]:
        return [[], private]
    net = nets["spare" if day == facts["moved"] else "work"]
    desk = []
    for start in (facts["starts"], facts["starts"] + 4.5):
        client = person.devices[0].client
        client = updated(client) if rng.random() < 0.2 * day else client
        desk.append(person.stay(day, start, start + 4, net, client))
    return [desk, private]


HELD_OUT_2: Final = (
    Persona("nurse in shifts", 18, _nurse, nurse),
    Persona("lorry driver", 6, _driver, driver),
    Persona("failover to LTE", 18, _failover, failover),
    Persona("two countries", 9, _two_homes, two_homes),
    Persona("conference", 13, _delegate, delegate),
    Persona("two SIM cards", 20, _two_sims, two_sims),
    Persona("call centre", 16, _agent, agent),
)
