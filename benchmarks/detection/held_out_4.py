"""A fourth set of people that was held out, until a rule was changed after its figures.

They were written after all weights, without knowledge of the rules. People who came after that are
in `unseen`. Change a persona only where it does not do what it says. Their thieves are in
`held_out_4_attacks`.

They are meant as the visitors of one shop or company tool in Europe and beyond: most have a line at
home and a phone, and unusual lives are as rare as the shares say. Homes are drawn for all of them
alike, see `held_out_4_homes`, so that people of one persona are connected in different ways. Nobody
is on Tor: it has some millions of users among billions, which is about one in a run.
"""

from __future__ import annotations

from typing import Final

from chance import chance
from clients import browser
from held_out_2 import falling_back, path
from held_out_4_homes import connected, settle
from networks import Cellular, Net, Relay, Tunnel, office, single
from people import DESKTOPS, PHONES, Person, Persona, Stay, add_device, choose, equip, move_in
from personas import Days, at_home, flight, is_phone, is_weekend
from places import COUNTRIES, is_same_continent
from world import far_country, neighbour


def _carried(person: Person, stays: list[Stay]) -> Days:
    """Let phones follow the stays, and computers only those where they are and where wifi is."""
    home, cell = person.nets["home"], person.nets["cell"]
    if person.facts["takes"]:
        still = [one for one in stays if one.net is not cell]
    else:
        still = [one for one in stays if one.net is home]
    return [stays if is_phone(one) else still for one in person.devices]


def _no_wifi_at_work(person: Person) -> None:
    settle(person)
    rng = person.rng
    # Shops and care work on Saturdays too.
    off = rng.sample(range(7), 2) if rng.random() < 0.4 else (5, 6)
    person.facts["off"] = set(off)
    equip(person, first="phone", second=0.7)


def no_wifi_at_work(person: Person, day: int) -> Days:
    """On the phone's own network from leaving the house to coming home; a computer in the evening.

    Who sells, builds, drives or nurses mostly gets no wifi from the employer.
    """
    rng, home, cell = person.rng, person.nets["home"], person.nets["cell"]
    if day % 7 in person.facts["off"]:
        return at_home(person, day)
    leaves = rng.uniform(6.2, 9.5)
    back = leaves + rng.uniform(8.0, 10.5)
    legs = [(leaves - 0.8, home), (leaves, cell), (back, home)]
    if rng.random() < 0.2:
        legs += [(back + 0.6, cell), (back + 2.4, home)]
    phone = path(person, day, *legs, (max(23.2, back + 2.8), home))
    return [phone, [person.stay(day, back + 0.3, 22.8, home)]]


def _patchy(person: Person) -> None:
    settle(person)
    person.facts["every"] = person.rng.choice((2.0, 4.0, 8.0))
    equip(person, first="phone", second=0.65)


def patchy(person: Person, day: int) -> Days:
    """A phone at home that loses the wifi for some minutes, in the garden or two floors up."""
    rng, every = person.rng, person.facts["every"]
    home, cell = person.nets["home"], person.nets["cell"]
    out = rng.uniform(9, 18)
    back = out + rng.uniform(0.6, 4)
    phone = falling_back(person, day, (7, out), home, cell, every)
    phone.append(person.stay(day, out, back, cell))
    phone += falling_back(person, day, (back, 23.3), home, cell, every)
    return [phone, *at_home(person, day)[1:]]


def _couple(person: Person) -> None:
    settle(person)
    rng, world, country = person.rng, person.world, person.country
    person.nets["cell 2"] = Cellular(
        person.seed("cell 2"), world.pick(rng, "mobile", country), country
    )
    if rng.random() < 0.5:
        block = rng.choice(world.blocks("business", country))
        person.nets["work"] = office(f"{world.seed} shop {block.v4}", block, size=2)
    language = COUNTRIES[country].language
    add_device(person, choose(rng, PHONES, language), 0.4)
    add_device(person, choose(rng, PHONES, language), 0.35)
    add_device(person, choose(rng, DESKTOPS, language), 0.25)


def couple(person: Person, day: int) -> Days:
    """Two people with one account: a phone each, which go their own ways, and one computer."""
    rng, nets = person.rng, person.nets
    home, cell, other = nets["home"], nets["cell"], nets["cell 2"]
    if is_weekend(day):
        out, back = rng.uniform(10, 13), rng.uniform(14, 18)  # together
        first = path(person, day, (7.8, home), (out, cell), (back, home), (23.3, home))
    else:
        leaves, ends = rng.uniform(7.2, 8.5), rng.uniform(16, 18)
        first = path(
            *(person, day, (6.6, home), (leaves, cell), (leaves + 0.6, nets.get("work", cell))),
            *((ends, cell), (ends + 0.6, home), (23, home)),
        )
        out = rng.uniform(9, 15)
        back = out + rng.uniform(0.8, 3)
    second = path(person, day, (7.2, home), (out, other), (back, home), (23.1, home))
    return [first, second, [person.stay(day, max(17.0, back + 0.2), 22.5, home)]]


def _hybrid(person: Person) -> None:
    settle(person)
    rng, world = person.rng, person.world
    block = rng.choice(world.blocks("business", person.country))
    firm = f"{world.seed} firm {block.v4} {rng.randrange(4)}"
    person.nets["office"] = office(firm, block, size=2)
    # The guests' wifi is often a line of its own, and the same for all of the firm.
    draw = chance(f"guests {firm}")
    line = draw.choice(world.blocks(draw.choice(("business", "isp")), person.country))
    person.nets["guests"] = single(f"guests {firm}", line)
    person.facts["comes"] = set(rng.sample(range(5), rng.choice((2, 3))))
    person.facts["dials"] = rng.random() < 0.4
    person.facts["joins"] = rng.random() < 0.5
    equip(person, second=0.75)


def hybrid(person: Person, day: int) -> Days:
    """Two or three days in the office, the phone on the guests' wifi; the others at home.

    Some reach the site through the company's own gateway there, which breaks off now and then.
    """
    rng, nets, facts = person.rng, person.nets, person.facts
    home, cell, firm = nets["home"], nets["cell"], nets["office"]
    if is_weekend(day):
        return at_home(person, day)
    starts, ends = rng.uniform(7.8, 9.3), rng.uniform(16, 18)
    evening = person.stay(day, 19.8, 22.3, home)
    if day % 7 not in facts["comes"]:
        at_desk = [person.stay(day, starts, ends, home)]
        if facts["dials"]:
            at_desk = falling_back(person, day, (starts, ends), firm, home, 9.0)
        return [[*at_desk, evening], *at_home(person, day)[1:]]
    phone = path(
        *(person, day, (6.8, home), (starts - 0.7, cell)),
        *((starts, nets["guests"] if facts["joins"] else cell), (ends, cell)),
        *((ends + 0.7, home), (23.1, home)),
    )
    return [[person.stay(day, starts, ends, firm), evening], phone]


def _calls_on(person: Person) -> None:
    settle(person)
    rng, world = person.rng, person.world
    block = rng.choice(world.blocks(rng.choice(("business", "isp")), person.country))
    person.nets["inn"] = office(f"{world.seed} inn {block.v4}", block, size=2)
    person.facts["nights"] = set(rng.choice(((), (), (1,), (2,), (1, 2))))
    equip(person, second=0.9)


def calls_on(person: Person, day: int) -> Days:
    """Sells or repairs at customers': a laptop on their wifi or on the phone, inns now and then."""
    rng, nets, nights = person.rng, person.nets, person.facts["nights"]
    if is_weekend(day):
        return at_home(person, day)
    cell = nets["cell"]
    woke = nets["inn" if day % 7 - 1 in nights else "home"]
    sleeps = nets["inn" if day % 7 in nights else "home"]
    laptop = [person.stay(day, 6.9, 7.5, woke)]
    at = rng.uniform(8.5, 9.5)
    for visit in range(rng.choice((2, 3, 4))):
        there: Net = cell
        if rng.random() < 0.4:
            block = rng.choice(person.world.blocks("business", person.country))
            there = single(person.seed(f"customer {day} {visit}"), block)
        laptop.append(person.stay(day, at, at + rng.uniform(0.5, 1.5), there))
        at += rng.uniform(2.0, 2.6)
    rests = max(17.5, at)
    laptop.append(person.stay(day, rests + 0.5, 22, sleeps))
    phone = path(person, day, (6.7, woke), (7.6, cell), (rests, sleeps), (23, sleeps))
    return [phone if is_phone(one) else laptop for one in person.devices]


def _visitor(person: Person) -> None:
    settle(person)
    rng = person.rng
    city = 1 - person.city if rng.random() < 0.6 else person.city
    person.nets["there"] = connected(person, "there", city)
    person.facts.update(goes=rng.random() < 0.7, takes=rng.random() < 0.5)
    equip(person, first="phone", second=0.75)


def visitor(person: Person, day: int) -> Days:
    """From Friday to Sunday at the home of parents or of a partner, in many weeks."""
    rng, weekday = person.rng, day % 7
    home, cell, there = (person.nets[name] for name in ("home", "cell", "there"))
    if weekday < 4 or not person.facts["goes"]:
        return at_home(person, day)
    leaves = rng.uniform(15, 18.5) if weekday == 4 else rng.uniform(13.5, 18)
    arrives = leaves + rng.uniform(0.7, 2.8)
    if weekday == 4:
        stays = path(person, day, (7, home), (leaves, cell), (arrives, there), (23.4, there))
    elif weekday == 6:
        stays = path(person, day, (8.5, there), (leaves, cell), (arrives, home), (23, home))
    else:
        out = rng.uniform(10, 15)
        back = out + rng.uniform(1, 5)
        stays = path(person, day, (8.5, there), (out, cell), (back, there), (23.6, there))
    return _carried(person, stays)


def _in_town(person: Person) -> None:
    settle(person)
    world, country = person.world, person.country
    for place in range(3):  # a chain's shops all leave from one place
        draw = chance(f"{world.seed} chain {country} {place}")
        block = draw.choice(world.blocks(draw.choice(("business", "isp")), country))
        person.nets[f"chain {place}"] = office(f"{world.seed} chain {block.v4}", block, size=3)
    equip(person, first="phone")


def in_town(person: Person, day: int) -> Days:
    """Out for hours; the phone joins by itself the wifi of stations, shops and restaurants."""
    rng, nets = person.rng, person.nets
    home, cell = nets["home"], nets["cell"]
    if rng.random() < 0.3:
        return at_home(person, day)
    at, returns = rng.uniform(8, 11), rng.uniform(15.5, 20.5)
    legs = [(7.1, home)]
    while at < returns:
        joins = at + rng.uniform(0.3, 4)
        legs += [(at, cell), (min(joins, returns), nets[f"chain {rng.randrange(3)}"])]
        at = min(joins, returns) + rng.uniform(0.15, 0.9)
    legs += [(at, cell), (at + 0.5, home)]
    return [path(person, day, *legs, (23.3, home)), *at_home(person, day)[1:]]


def _relayed_phone(person: Person) -> None:
    settle(person)
    rng, language = person.rng, COUNTRIES[person.country].language
    person.nets["relay"] = Relay(person.seed("relay"), person.world, person.country)
    block = rng.choice(person.world.blocks("business", person.country))
    person.nets["work"] = office(f"{person.world.seed} ward {block.v4}", block, size=3)
    person.facts["refused"] = rng.random() < 0.3  # a network may refuse the relay
    add_device(person, browser("Safari", "iOS", 0, language), 0.65)
    if rng.random() < 0.65:
        others = [row for row in DESKTOPS if row[0][0] in ("Chrome", "Edge", "Firefox")]
        add_device(person, choose(rng, others, language), 0.35)


def relayed_phone(person: Person, day: int) -> Days:
    """A phone behind the relay, but for a network that refuses it; a computer without one."""
    rng, nets = person.rng, person.nets
    relay, work = nets["relay"], nets["work"]
    legs: list[tuple[float, Net]] = [(7.0, relay)]
    if person.facts["refused"] and not is_weekend(day):
        lunch = rng.uniform(12, 13)
        legs += [(8.7, work), (lunch, relay), (lunch + 0.6, work), (rng.uniform(16, 17.5), relay)]
    elif rng.random() < 1 / 15:  # it is down, or somebody switched it off
        off = rng.uniform(8, 20)
        direct = nets["home" if rng.random() < 0.6 else "cell"]
        legs += [(off, direct), (off + rng.uniform(0.2, 2), relay)]
    return [path(person, day, *legs, (23.4, relay)), *at_home(person, day)[1:]]


def _some_evenings(person: Person) -> None:
    settle(person)
    rng = person.rng
    operator = rng.choice([one for one in person.world.operators if one.kind == "vpn"])
    codes = sorted({block.country for block in operator.blocks} - {person.country})
    near = [code for code in codes if is_same_continent(code, person.country)] or codes
    own = operator.within(person.country)
    # Programs choose the nearest server; some want to be elsewhere, for what is shown there.
    there = person.country if own and rng.random() < 0.6 else rng.choice(near)
    person.facts.update(operator=operator, route=[person.country, there])
    equip(person, second=0.7)


def some_evenings(person: Person, day: int) -> Days:
    """At home; on nearly every second evening the computer is behind a VPN for a while.

    The exit is always in the one country, and of another server each time.
    """
    rng, home, facts = person.rng, person.nets["home"], person.facts
    if rng.random() > 0.45:
        return at_home(person, day)
    opens = rng.uniform(17.5, 20.5)
    tunnel = Tunnel(person.seed(f"exit {day}"), facts["operator"], [facts["route"][1]])
    closes = opens + rng.uniform(1, 3)
    computer = path(person, day, (9.0, home), (opens, tunnel), (closes, home), (23.8, home))
    return [computer, *at_home(person, day)[1:]]


def _short_trip(person: Person) -> None:
    settle(person)
    rng, world = person.rng, person.world
    there = neighbour(rng, person.country) if rng.random() < 0.65 else None
    there = there or far_country(rng, person.country, same_continent=True)
    there = there or far_country(rng, person.country, same_continent=False)
    assert there is not None  # there is always another continent
    leaves = rng.choice((1, 2, 3, 4))
    person.facts.update(there=there, leaves=leaves, returns=leaves + rng.choice((2, 3)))
    person.facts.update(route=[person.country, there], takes=rng.random() < 0.3)
    block = rng.choice(world.blocks(rng.choice(("isp", "business")), there))
    person.nets["hotel"] = office(f"{world.seed} lodge {block.v4}", block, size=2)
    person.nets["abroad"] = person.nets["cell"]  # what a phone abroad has is of its home
    if rng.random() < 0.15:
        carrier = world.pick(rng, "mobile", there)
        person.nets["abroad"] = Cellular(person.seed("abroad"), carrier, there)
    equip(person, first="phone", second=0.7)


def short_trip(person: Person, day: int) -> Days:
    """Two or three nights abroad, mostly next door: a hotel's wifi, and the phone as at home."""
    rng, nets, facts = person.rng, person.nets, person.facts
    home, cell, hotel, abroad = (nets[name] for name in ("home", "cell", "hotel", "abroad"))
    if not facts["leaves"] <= day <= facts["returns"]:
        return at_home(person, day)
    hours = flight(person.country, facts["there"]) + 1.0
    if day == facts["leaves"]:
        lands = rng.uniform(15, 19) if hours < 8 else 21.5
        goes = lands - hours
        stays = path(person, day, (6.5, home), (goes - 1, cell), (goes, cell)) if goes > 8 else []
        stays += path(person, day, (lands, abroad), (lands + 1.2, hotel), (23.5, hotel))
    elif day == facts["returns"]:
        goes = rng.uniform(9, 10.5)
        stays = path(person, day, (7.5, hotel), (goes - 1, abroad), (goes, abroad))
        lands = goes + hours
        if lands < 22.5:  # from very far it is the next day
            stays += path(person, day, (lands, cell), (lands + 1, home), (23.8, home))
    else:
        out, back = rng.uniform(9, 11), rng.uniform(16, 21)
        stays = path(person, day, (7.8, hotel), (out, abroad), (back, hotel), (23.7, hotel))
    return _carried(person, stays)


def _phone_alone(person: Person) -> None:
    move_in(person)
    rng, world, nets = person.rng, person.world, person.nets
    nets["home"] = nets["cell"]
    nets["friend"] = connected(person, "friend", person.city)
    for name, kinds in (("library", ("campus", "business")), ("work", ("business", "isp"))):
        block = rng.choice(world.blocks(rng.choice(kinds), person.country))
        nets[name] = office(f"{world.seed} {name} {block.v4}", block, size=2)
    person.facts["works"] = rng.random() < 0.5
    equip(person, first="phone", second=0.0)


def phone_alone(person: Person, day: int) -> Days:
    """A phone with few paid megabytes and no line at home; it takes the wifi of others."""
    rng, nets = person.rng, person.nets
    cell = nets["cell"]
    legs = [(7.2, cell)]
    if person.facts["works"] and not is_weekend(day):
        legs += [(rng.uniform(8, 9.5), nets["work"]), (rng.uniform(15.5, 17.5), cell)]
    elif day % 7 != 6 and rng.random() < 0.35:
        at = rng.uniform(11, 15)
        legs += [(at, nets["library"]), (at + rng.uniform(0.5, 2), cell)]
    if rng.random() < 0.3:
        legs += [(rng.uniform(18, 19.5), nets["friend"]), (rng.uniform(20.5, 22.5), cell)]
    return [path(person, day, *legs, (23.4, cell))]


# Parts of the users in percent; guesses where no source is named.
HELD_OUT_4: Final = (
    Persona("no wifi at work", 20, _no_wifi_at_work, no_wifi_at_work),
    # About a fifth of those who work in the EU do so at home, always or on some days (Eurostat).
    Persona("hybrid week", 17, _hybrid, hybrid),
    Persona("patchy wifi", 11, _patchy, patchy),
    Persona("couple, one account", 10, _couple, couple),
    # 15% of the adults of the US have a smartphone and no line at home (Pew, 2021); they buy and
    # work less on the web than others.
    Persona("phone alone", 9, _phone_alone, phone_alone),
    # 1,300 million trips a year by 430 million residents of the EU, 73% of them in the country
    # (Eurostat, 2017): some 4% of the people leave for one in a week. Nights at a partner's home
    # are mostly not counted there.
    Persona("weekends elsewhere", 9, _visitor, visitor),
    Persona("hotspots in town", 7, _in_town, in_town),
    # A third of the phones are iPhones, and few of their owners pay for the relay.
    Persona("relay on the phone", 5, _relayed_phone, relayed_phone),
    Persona("calls on customers", 5, _calls_on, calls_on),
    # In surveys a quarter of the people say that they use a VPN (GlobalWebIndex). Most of them do
    # so now and then: on a day it is some percent of the visitors of a site.
    Persona("VPN some evenings", 4, _some_evenings, some_evenings),
    # 27% of those trips are abroad: under 2% of the people leave for one in a week.
    Persona("short trip abroad", 3, _short_trip, short_trip),
)
