"""The personas on which weights may be tuned. Others: `held_out`, its kin, and `unseen`.

Weights are the part of the users in percent. A setup gives a person networks and devices; a plan
says where each device is on one day. Hours are the person's own, and days 5 and 6 the weekend.
"""

from __future__ import annotations

from typing import Final

from clients import Client, browser, desktop_site, emulated, program
from networks import Cellular, Onion, Relay, Tunnel, office, single
from people import (
    DESKTOPS,
    Device,
    Person,
    Persona,
    Stay,
    add_device,
    choose,
    equip,
    move_in,
)
from places import COUNTRIES, distance
from world import far_country, neighbour

Days = list[list[Stay]]


def is_weekend(day: int) -> bool:
    """Say whether nobody goes to work."""
    return day % 7 >= 5


def at_home(person: Person, day: int) -> Days:
    """At home all day; a phone leaves the house for an hour or two on most days."""
    rng, home, cell = person.rng, person.nets["home"], person.nets["cell"]
    days: Days = []
    for device in person.devices:
        if is_phone(device) and rng.random() < 0.6:
            out = rng.uniform(9, 19)
            back = out + rng.uniform(0.5, 2.5)
            stays = [
                person.stay(day, 7, out, home),
                person.stay(day, out, back, cell),
                person.stay(day, back, 23.5, home),
            ]
        else:
            stays = [person.stay(day, 7, 23.5, home)]
        days.append(stays)
    return days


def _home_fixed(person: Person) -> None:
    move_in(person)
    equip(person)


def _renumbered(person: Person) -> None:
    move_in(person, period=86_400.0)
    equip(person)


def _home_cgnat(person: Person) -> None:
    move_in(person, shared=True)
    equip(person)


def _mobile_only(person: Person) -> None:
    move_in(person)
    equip(person, first="phone")


def mobile_only(person: Person, day: int) -> Days:
    """On the phone's network all day, a laptop through the phone as well."""
    return [[person.stay(day, 7, 23.5, person.nets["cell"])] for _ in person.devices]


def _commuter(person: Person) -> None:
    move_in(person)
    world, rng = person.world, person.rng
    kind = rng.choice(("business", "business", "isp", "campus"))
    block = rng.choice(world.pick(rng, kind, person.country).within(person.country))
    person.nets["work"] = office(person.seed("work"), block, size=3)
    equip(person, first="phone")


def commuter(person: Person, day: int) -> Days:
    """Home, on the way, at work, out for lunch, at work, on the way, home."""
    if is_weekend(day):
        return at_home(person, day)
    rng, home, cell = person.rng, person.nets["home"], person.nets["cell"]
    work = person.nets["work"]
    leaves, arrives = rng.uniform(7.3, 8.2), rng.uniform(8.5, 9.3)
    lunch, ends = rng.uniform(12, 12.8), rng.uniform(16.5, 18)
    hours = [6.5, leaves, arrives, lunch, lunch + 0.7, ends, ends + rng.uniform(0.5, 1.1), 23.5]
    places = [home, cell, work, cell, work, cell, home]
    steps = zip(hours, hours[1:], places, strict=False)
    phone = [person.stay(day, start, end, net) for start, end, net in steps]
    laptop = [
        person.stay(day, arrives, ends, work),
        person.stay(day, 19, 22.5, home),
    ]
    return [phone, laptop]


def _corporate(person: Person) -> None:
    move_in(person)
    block = person.rng.choice(person.world.blocks("business", person.country))
    # Colleagues share their company's egress: there are a few companies for each block.
    company = f"{person.world.seed} {block.v4} {person.rng.randrange(4)}"
    person.nets["office"] = office(company, block)
    person.facts["tunnels"] = person.rng.random() < 0.4
    equip(person)


def corporate(person: Person, day: int) -> Days:
    """In the office, or working from home, some through the company's tunnel."""
    rng, home, cell = person.rng, person.nets["home"], person.nets["cell"]
    firm = person.nets["office"]
    if is_weekend(day):
        return at_home(person, day)
    starts, ends = rng.uniform(8, 9), rng.uniform(16.5, 18)
    at_work = firm if rng.random() < 0.7 or person.facts["tunnels"] else home
    laptop = [person.stay(day, starts, ends, at_work), person.stay(day, 20, 22, home)]
    phone = [
        person.stay(day, 7, starts, home),
        person.stay(day, starts, ends, cell),
        person.stay(day, ends + 0.5, 23, home),
    ]
    return [laptop, phone]


def _relay(person: Person) -> None:
    move_in(person)
    language = COUNTRIES[person.country].language
    add_device(person, browser("Safari", "iOS", 0, language), 0.65)
    if person.rng.random() < 0.55:
        add_device(person, browser("Safari", "macOS", 0, language), 0.35)
    for place, _ in enumerate(person.devices):
        seed = person.seed(f"relay {place}")
        person.nets[f"relay{place}"] = Relay(seed, person.world, person.country)


def relayed(person: Person, day: int) -> Days:
    """Through the relay; on one day in twelve it is off for some hours."""
    rng = person.rng
    days: Days = []
    for place, _ in enumerate(person.devices):
        relay = person.nets[f"relay{place}"]
        if rng.random() < 1 / 12:
            off = rng.uniform(9, 19)
            on = off + rng.uniform(1, 4)
            direct = person.nets["home" if rng.random() < 0.6 else "cell"]
            days.append(
                [
                    person.stay(day, 7, off, relay),
                    person.stay(day, off, on, direct),
                    person.stay(day, on, 23.5, relay),
                ]
            )
        else:
            days.append([person.stay(day, 7, 23.5, relay)])
    return days


def give_tunnel(person: Person) -> None:
    """Subscribe to a VPN: the favourite exits are at home in half of all cases."""
    rng = person.rng
    operator = rng.choice([one for one in person.world.operators if one.kind == "vpn"])
    codes = sorted({block.country for block in operator.blocks})
    chosen = rng.sample(codes, 4)
    if person.country in codes and rng.random() < 0.5:
        chosen = [person.country, *(code for code in chosen if code != person.country)]
    person.nets["tunnel"] = Tunnel(person.seed("tunnel"), operator, chosen)


def tunnelled(person: Person, day: int, home_hours: tuple[float, float], count: int) -> list[Stay]:
    """At home, with a tunnel opened and closed `count` times."""
    rng, home, tunnel = person.rng, person.nets["home"], person.nets["tunnel"]
    start, end = home_hours
    marks = sorted(rng.uniform(start, end - 3) for _ in range(count))
    stays: list[Stay] = []
    at = start
    for mark in marks:
        opened = max(at, mark)
        closed = min(end, opened + rng.uniform(0.5, 3))
        stays.append(person.stay(day, at, opened, home))
        tunnel.connect()
        # The exit is kept for the stay, and the rule may connect elsewhere for the next one.
        fixed = Tunnel(person.seed(f"exit {day} {mark}"), tunnel.operator, [tunnel.country])
        stays.append(person.stay(day, opened, closed, fixed))
        at = closed
    stays.append(person.stay(day, at, end, home))
    return stays


def _vpn(person: Person) -> None:
    move_in(person)
    give_tunnel(person)
    equip(person)


def vpn_toggler(person: Person, day: int) -> Days:
    """The first device tunnels twice a day, the second one never."""
    rest = at_home(person, day)[1:]
    return [tunnelled(person, day, (7.5, 23.5), person.rng.choice((1, 2, 3))), *rest]


def _traveller(person: Person) -> None:
    move_in(person)
    rng, world = person.rng, person.world
    equip(person, first=rng.choice(("phone", "desktop")))
    leaves = rng.choice((1, 2, 3, 4))
    border = neighbour(rng, person.country)
    there = border if border and rng.random() < 0.3 else None
    near = rng.random() < 0.5
    there = there or far_country(rng, person.country, same_continent=near)
    there = there or far_country(rng, person.country, same_continent=False)
    assert there is not None  # there is always another continent
    person.facts.update(leaves=leaves, returns=leaves + rng.choice((2, 3, 4)), there=there)
    block = rng.choice(world.blocks(rng.choice(("isp", "business")), there))
    person.nets["hotel"] = single(person.seed("hotel"), block)
    if rng.random() < 0.6:  # the home carrier gives the address (home-routed roaming)
        person.nets["roaming"] = person.nets["cell"]
    else:
        carrier = world.pick(rng, "mobile", there)
        person.nets["roaming"] = Cellular(person.seed("roaming"), carrier, there)


def flight(one: str, other: str) -> float:
    """Hours in the air, and half an hour on the ground."""
    here, there = COUNTRIES[one].cities[0], COUNTRIES[other].cities[0]
    km = distance((here.latitude, here.longitude), (there.latitude, there.longitude))
    return km / 850 + 0.5


def traveller(person: Person, day: int) -> Days:
    """At home; a flight without a network; a hotel and a roaming phone; the flight back."""
    facts, rng = person.facts, person.rng
    leaves, returns = facts["leaves"], facts["returns"]
    if not leaves <= day <= returns:
        return at_home(person, day)
    if day in (leaves, returns):
        lands = rng.uniform(12, 22.5)
        departs = lands - flight(person.country, facts["there"])
        before, after = ("home", "hotel") if day == leaves else ("hotel", "home")
        roams = "roaming" if day == leaves else "cell"
        return [
            [
                *([person.stay(day, 6, departs - 2, person.nets[before])] if departs > 8.2 else []),
                person.stay(day, lands, lands + 1, person.nets[roams if is_phone(one) else after]),
                person.stay(day, lands + 1, max(lands + 2, 23.5), person.nets[after]),
            ]
            for one in person.devices
        ]
    hotel, roaming = person.nets["hotel"], person.nets["roaming"]
    out, back = rng.uniform(8.5, 10), rng.uniform(17, 20)
    return [
        [
            person.stay(day, 7, out, hotel),
            *([person.stay(day, out, back, roaming)] if is_phone(one) else []),
            person.stay(day, back, 23.5, hotel),
        ]
        for one in person.devices
    ]


def is_phone(device: Device) -> bool:
    """Say whether the device goes where the person goes."""
    return device.client.system in ("Android", "iOS")


def _tor(person: Person) -> None:
    person.nets["tor"] = Onion(person.seed("tor"), person.world)
    device = add_device(person, program("tor"), v6=False)
    device.updates_at = float("inf")  # its text says the long-term release for a year


def tor(person: Person, day: int) -> Days:
    """Through Tor, always."""
    return [[person.stay(day, 8, 23, person.nets["tor"])]]


def _developer(person: Person) -> None:
    move_in(person)
    give_tunnel(person)
    rng, language = person.rng, COUNTRIES[person.country].language
    chromium = [row for row in DESKTOPS if row[0][0] in ("Chrome", "Edge")]
    add_device(person, choose(rng, chromium, language), 0.6)
    if rng.random() < 0.5:
        add_device(person, program("curl"), 0.15)
    if rng.random() < 0.5:
        phone = browser("Chrome", "Android", 0, language)
        add_device(person, phone if rng.random() < 0.6 else browser("Safari", "iOS", 0, language))


def developer(person: Person, day: int) -> Days:
    """At home; on some days with the tools that pretend to be a phone, or with a VPN."""
    rng, home = person.rng, person.nets["home"]
    days: Days = []
    for device in person.devices:
        if device.client.engine == "script":
            days.append([person.stay(day, 9, 18, home)])
        elif is_phone(device):
            days.append(_pretending(person, day, desktop_site(device.client), 0.15))
        elif rng.random() < 0.3:
            days.append(tunnelled(person, day, (8, 23), 1))
        else:
            phone = "Pixel" if rng.random() < 0.6 else "iPhone"
            days.append(_pretending(person, day, emulated(device.client, phone), 0.25))
    return days


def _pretending(person: Person, day: int, client: Client, chance: float) -> list[Stay]:
    """At home; with that chance some minutes as another client, once or twice."""
    rng, home = person.rng, person.nets["home"]
    at, stays = 8.0, []
    if rng.random() < chance:
        for mark in sorted(rng.uniform(9, 21) for _ in range(rng.choice((1, 2)))):
            start = max(at, mark)
            end = start + rng.uniform(0.05, 0.4)
            stays += [
                person.stay(day, at, start, home),
                person.stay(day, start, end, home, client),
            ]
            at = end
    return [*stays, person.stay(day, at, 23.5, home)]


PERSONAS: Final = (
    Persona("home fixed", 20, _home_fixed, at_home),
    Persona("24-hour renumbered", 10, _renumbered, at_home),
    Persona("home CGNAT", 10, _home_cgnat, at_home),
    Persona("mobile only", 12, _mobile_only, mobile_only),
    Persona("commuter", 18, _commuter, commuter),
    Persona("corporate egress", 11, _corporate, corporate),
    Persona("private relay", 6, _relay, relayed),
    Persona("VPN toggler", 5, _vpn, vpn_toggler),
    Persona("traveller", 4, _traveller, traveller),
    Persona("Tor", 1, _tor, tor),
    Persona("developer", 3, _developer, developer),
)
MILD: Final = PERSONAS[:6]
# What no proxy hides: the developer's agents are their own, so a flag says nothing of addresses.
SAME_AGENT: Final = PERSONAS[:10]
