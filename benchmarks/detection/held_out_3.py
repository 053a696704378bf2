"""A third set of people that was held out, until rules were changed after its figures.

They were written after all weights, without knowledge of the rules, and nothing was tuned on them
at first. People who came after that are in `held_out_4`. Change a persona only where it does not do
what it says. Their thieves are in `held_out_3_attacks`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from clients import SAFARI, Client, browser
from held_out_2 import falling_back, path
from networks import Cellular, Line, Net, SharedPool, Tunnel, office, single
from people import Person, Persona, Stay, add_device, equip, move_in
from personas import Days, at_home, flight, is_weekend
from places import COUNTRIES, is_same_continent
from world import far_country

_HUBS: Final = ("GB", "NL", "PL", "SG", "US")  # where cards for travellers reach the internet


def _at_tables(person: Person) -> None:
    move_in(person)
    rng, world = person.rng, person.world
    for place in range(4):
        block = rng.choice(world.blocks(rng.choice(("isp", "isp", "business")), person.country))
        person.nets[f"table {place}"] = single(person.seed(f"table {place}"), block)
    desks = rng.choice(world.blocks("business", person.country))
    person.nets["table 4"] = office(f"{world.seed} desks {desks.v4}", desks, size=3)
    equip(person, second=0.9)


def at_tables(person: Person, day: int) -> Days:
    """Three days of five in cafes and at a hired desk; where the wifi is bad, through the phone."""
    rng, nets = person.rng, person.nets
    if is_weekend(day) or rng.random() < 0.4:
        return at_home(person, day)
    home, cell = nets["home"], nets["cell"]
    first, second = (nets[f"table {place}"] for place in rng.sample(range(5), 2))
    leaves, lunch, ends = rng.uniform(8, 10), rng.uniform(12, 13.5), rng.uniform(16, 18.5)
    laptop = [person.stay(day, 7.3, leaves - 0.5, home)]
    for start, end, net in ((leaves, lunch, first), (lunch + 0.7, ends, second)):
        is_bad = rng.random() < 0.3
        laptop += falling_back(person, day, (start, end), net, cell, 1.0 if is_bad else 50.0)
    laptop.append(person.stay(day, 19.5, 22.5, home))
    joins = rng.random() < 0.5
    phone = path(
        *(person, day, (6.8, home), (leaves - 0.5, cell), (leaves, first if joins else cell)),
        *((lunch, cell), (lunch + 0.7, second if joins else cell), (ends, cell)),
        *((ends + 0.6, home), (23.3, home)),
    )
    return [laptop, phone]


def _mast_at_home(person: Person) -> None:
    move_in(person)
    rng, world, country = person.rng, person.world, person.country
    carrier = world.pick(rng, "mobile", country)
    if rng.random() < 0.5:
        person.nets["home"] = Cellular(person.seed("router"), carrier, country)
    else:
        person.nets["home"] = SharedPool(person.seed("router"), carrier.within(country))
    if rng.random() < 0.6:  # phone and router are of one contract
        person.nets["cell"] = Cellular(person.seed("bundle"), carrier, country)
    equip(person, second=0.8)


def _two_parents(person: Person) -> None:
    move_in(person)
    rng, world, country = person.rng, person.world, person.country
    blocks = world.pick(rng, "isp", country).within(country)
    near = [block for block in blocks if block.city == person.city] or blocks
    make = SharedPool if rng.random() < 0.3 else Line
    person.nets.update(one=person.nets["home"], other=make(person.seed("other"), near))
    kind = rng.choice(("campus", "business"))
    block = rng.choice(world.blocks(kind, country))
    person.nets["school"] = office(f"{world.seed} school {block.v4}", block, size=2)
    person.facts["away"] = set(
        rng.choice(((4, 5, 6), (2, 4, 5), (0, 1, 2, 3), (2, 3)))  # evenings at the other's
    )
    person.facts["joins"] = rng.random() < 0.5
    equip(person, first="phone", second=0.7)


def two_parents(person: Person, day: int) -> Days:
    """A pupil who lives with one parent and, on some days of each week, with the other."""
    rng, nets, facts = person.rng, person.nets, person.facts
    woke, sleeps = (
        nets["other" if evening % 7 in facts["away"] else "one"] for evening in (day - 1, day)
    )
    nets["home"] = sleeps
    if is_weekend(day):
        return at_home(person, day)
    cell = nets["cell"]
    school = nets["school"] if facts["joins"] else cell
    ends = rng.uniform(13, 16)
    phone = path(
        *(person, day, (6.6, woke), (7.5, cell), (8.0, school), (ends, cell)),
        *((ends + 0.6, sleeps), (22.5, sleeps)),
    )
    laptop = [person.stay(day, ends + 1, 21.5, sleeps)]
    if rng.random() < 0.3:
        laptop.insert(0, person.stay(day, 8.2, ends - 0.5, nets["school"]))
    return [phone, laptop]


def _by_train(person: Person) -> None:
    move_in(person)
    rng, world, country = person.rng, person.world, person.country
    blocks = world.pick(rng, "isp", country).within(country)
    elsewhere = [block for block in blocks if block.city != person.city] or blocks
    person.nets["flat"] = Line(person.seed("flat"), elsewhere)
    works = rng.choice(world.blocks("business", country))
    person.nets["work"] = office(f"{world.seed} works {works.v4}", works, size=4)
    carriages = world.blocks("mobile", country)[0]
    person.nets["train"] = office(f"{world.seed} carriages {country}", carriages, size=8)
    equip(person, second=0.9)


def by_train(person: Person, day: int) -> Days:
    """From Monday to Thursday in another city, with a flat there; wifi of the train both ways."""
    nets, weekday = person.nets, day % 7
    if weekday > 3:
        return at_home(person, day)
    home, cell, flat, work = nets["home"], nets["cell"], nets["flat"], nets["work"]
    morning = _aboard(person, day, 6.8, 9.4) if weekday == 0 else None
    evening = _aboard(person, day, 16.6, 19.2) if weekday == 3 else None
    starts, ends = (9.7 if morning else 8.6), (16.2 if evening else 18.0)
    woke, sleeps = (home if morning else flat), (home if evening else flat)
    rests = 19.8 if evening else ends + 0.6
    laptop = [*(morning or []), person.stay(day, starts, ends, work), *(evening or [])]
    laptop.append(person.stay(day, rests, 22.8, sleeps))
    leaves = 6.2 if morning else 8.0
    phone = path(
        *(person, day, (5.6 if morning else 6.9, woke), (leaves, cell), (starts, work)),
        *((ends, cell), (rests, sleeps), (23.0, sleeps)),
    )
    return [laptop, phone]


def _aboard(person: Person, day: int, start: float, end: float) -> list[Stay]:
    """On the train's wifi, which fails about every half an hour."""
    return falling_back(person, day, (start, end), person.nets["train"], person.nets["cell"], 0.5)


@lru_cache(maxsize=256)
def narrow(version: int, language: str) -> Client:
    """Return the Safari of an iPad that shares its screen: it then says that it is an iPad.

    In a window as wide as the screen it says that it is a Mac.
    """
    agent = (
        "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        f"Version/{version}.2 Mobile/15E148 Safari/604.1"
    )
    return Client("safari", "Safari", "iOS", version, agent, language)


def _tablet(person: Person) -> None:
    move_in(person)
    language = COUNTRIES[person.country].language
    add_device(person, browser("Safari", "macOS", SAFARI, language), 0.6)
    if person.rng.random() < 0.7:
        add_device(person, browser("Safari", "iOS", SAFARI, language), 0.4)


def tablet(person: Person, day: int) -> Days:
    """A tablet at home, or out for a while; on some days it shows the app beside another one."""
    rng, home = person.rng, person.nets["home"]
    stays, at = [], 7.5
    if rng.random() < 0.3:
        for mark in sorted(rng.uniform(8, 12) for _ in range(rng.choice((1, 1, 2)))):
            start = max(at, mark)
            end = start + rng.uniform(0.15, 0.8)
            client = person.devices[0].client_at(person.clock(day, start))
            shared = narrow(client.version, client.language)
            stays += [
                person.stay(day, at, start, home),
                person.stay(day, start, end, home, shared),
            ]
            at = end
    out = rng.uniform(14, 18)
    goes = person.nets["cell"] if rng.random() < 0.25 else home
    stays += path(person, day, (at, home), (out, goes), (out + rng.uniform(1, 3), home), (23, home))
    return [stays, *at_home(person, day)[1:]]


def _always_on(person: Person) -> None:
    move_in(person)
    rng, world = person.rng, person.world
    operators = [one for one in world.operators if one.kind == "vpn"]
    operator = rng.choice(world.of("vpn", person.country) or operators)
    codes = sorted({block.country for block in operator.blocks})
    near = [code for code in codes if is_same_continent(code, person.country)] or codes
    there = person.country if person.country in codes else rng.choice(near)
    person.facts.update(operator=operator, route=[person.country, there])
    _connect(person, "")
    equip(person, first="phone", second=0.6)


def _connect(person: Person, when: str) -> Tunnel:
    """Take another server of the same country, for the time to come."""
    operator, there = person.facts["operator"], person.facts["route"][1]
    person.nets["server"] = server = Tunnel(person.seed(f"server {when}"), operator, [there])
    return server


def always_on(person: Person, day: int) -> Days:
    """A phone behind a VPN day and night, which is off for some minutes on one day in five."""
    rng, nets = person.rng, person.nets
    before = _connect(person, f"{day} early") if rng.random() < 0.3 else nets["server"]
    off = rng.uniform(8, 21)
    legs: list[tuple[float, Net]] = [(7.0, before)]
    if rng.random() < 0.2:
        on = off + rng.uniform(0.05, 0.6)
        direct = nets["home" if rng.random() < 0.5 else "cell"]
        legs += [(off, direct), (on, _connect(person, f"{day} late"))]
    return [path(person, day, *legs, (23.5, before)), *at_home(person, day)[1:]]


def _holiday(person: Person) -> None:
    move_in(person)
    rng, world = person.rng, person.world
    there = far_country(rng, person.country, same_continent=False)
    assert there is not None  # there is always another continent
    hub = rng.choice([code for code in _HUBS if code != there])
    leaves = rng.choice((0, 1, 2))
    person.facts.update(there=there, leaves=leaves, returns=leaves + rng.choice((3, 4, 7)))
    person.facts["route"] = [person.country, there, hub]
    person.nets["card"] = Cellular(person.seed("card"), world.pick(rng, "mobile", hub), hub)
    block = rng.choice(world.blocks(rng.choice(("isp", "business")), there))
    person.nets["hotel"] = office(f"{world.seed} rooms {block.v4}", block, size=2)
    equip(person, first="phone", second=0.35)


def holiday(person: Person, day: int) -> Days:
    """Overseas with a card bought for it, which reaches the internet in a third country."""
    rng, nets, facts = person.rng, person.nets, person.facts
    home, hotel, card = nets["home"], nets["hotel"], nets["card"]
    if not facts["leaves"] <= day <= facts["returns"]:
        return at_home(person, day)
    if day == facts["leaves"]:
        hours = flight(person.country, facts["there"]) + 1.5
        lands = max(20.0, hours - 0.5)  # who flies for longer leaves after the day before
        leaves = person.stay(day, 7, lands - hours, home)
        phone = path(person, day, (lands, card), (lands + 1.3, hotel), (23.5, hotel))
        return [[leaves, *phone], [leaves]]
    if day == facts["returns"]:  # home on the day after
        return [path(person, day, (4.5, hotel), (5.2, card), (5.9, card)), []]
    out, back = rng.uniform(9, 10.5), rng.uniform(17, 20)
    legs = [(7.3, hotel), (out, card), (back, hotel)]
    if rng.random() < 0.4:  # on a table's wifi at noon
        block = rng.choice(person.world.blocks("isp", facts["there"]))
        legs[2:2] = [(12.5, single(person.seed(f"noon {day}"), block)), (13.4, card)]
    phone = path(person, day, *legs, (23.2, hotel))
    return [phone, [person.stay(day, back, 23, hotel)]]


HELD_OUT_3: Final = (
    Persona("cafes and desks", 18, _at_tables, at_tables),
    Persona("5G at home", 22, _mast_at_home, at_home),
    Persona("two parents", 16, _two_parents, two_parents),
    Persona("weekly commuter", 13, _by_train, by_train),
    Persona("tablet, shared screen", 14, _tablet, tablet),
    Persona("VPN always on", 12, _always_on, always_on),
    Persona("travel SIM card", 5, _holiday, holiday),
)
