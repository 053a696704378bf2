"""People outside of Europe whom tuning has not seen.

They were written without knowledge of the rules, after the figures of `held_out_4` had been looked
at. Nothing was tuned on these, and a figure stands as it comes out. Change a persona only where it
does not do what it says. Their thieves are in `unseen_attacks`.

They are the visitors of one shop or company tool in the Americas, South and South-East Asia and
Africa. For most the phone comes first; lines are those of `unseen_nets`, and browsers those of
`unseen_clients`. Nobody is on Tor, as in `held_out_4`.
"""

from __future__ import annotations

from typing import Final

from chance import chance
from clients import CHROME, browser
from held_out_2 import falling_back, path
from held_out_nets import Either
from networks import Net, Tunnel, single
from people import Person, Persona, Stay, add_device
from personas import Days, at_home, is_phone, is_weekend
from places import is_same_continent
from unseen_clients import (
    a_computer,
    a_phone,
    dealt,
    give,
    keep,
    made,
    outfit,
    phones,
    speaks,
    view_on,
)
from unseen_nets import Dialled, broken, card_of, cuts, home_of, house, noted, settle, shared


def _some_days(person: Person) -> None:
    settle(person)
    rng = person.rng
    person.nets["work"] = house(person, "works", kinds=("business", "isp", "campus"), size=3)
    person.facts["days"] = set(rng.sample(range(7), rng.choice((2, 2, 3, 4))))
    outfit(person, second=0.45)


def some_days(person: Person, day: int) -> Days:
    """Looks in on two to four days of a week, now from here and now from there."""
    rng, nets = person.rng, person.nets
    if day % 7 not in person.facts["days"]:
        return []
    places = ["home", "home", "home", "cell", "cell", *([] if is_weekend(day) else ["work"])]
    starts = sorted(rng.sample((7.5, 10.0, 12.5, 15.5, 18.5, 21.0), rng.choice((1, 2, 2, 3))))
    phone = [
        person.stay(day, start, start + rng.uniform(0.3, 2), nets[rng.choice(places)])
        for start in starts
    ]
    at = rng.uniform(18.5, 21)
    computer = [person.stay(day, at, at + rng.uniform(0.5, 2), nets["home"])]
    return dealt(person, phone, computer)


def _views(person: Person) -> None:
    settle(person)
    device = give(person, phones(person.country), 0.5)
    view = add_device(person, view_on(person.rng, device.client), 0.3)
    keep(view)
    if person.rng.random() < 0.45:
        a_computer(person, 0.35)


def _looks(person: Person, stays: list[Stay]) -> list[Stay]:
    """Return some minutes of the stays, in which a link in an app was followed."""
    rng, found = person.rng, []
    for one in stays:
        if rng.random() < 0.6:
            start = rng.uniform(one.start, one.end)
            found.append(Stay(start, min(one.end, start + rng.uniform(300, 1800)), one.net))
    return found


def views(person: Person, day: int) -> Days:
    """A phone whose browser and whose social app have each a session, and are used in turns."""
    rng, home, cell = person.rng, person.nets["home"], person.nets["cell"]
    out, again = rng.uniform(8, 12), rng.uniform(16.5, 19)
    breaks = [(out, out + rng.uniform(0.4, 4))]
    if rng.random() < 0.4:
        breaks.append((again, again + rng.uniform(0.5, 3)))
    phone = broken(person, day, breaks, home, cell)
    return [phone, _looks(person, phone), [person.stay(day, 18.5, 22.5, home)]]


def _two_bundles(person: Person) -> None:
    settle(person, lands=("IN", "BR", "MX", "MY", "ZA", "NG", "KE"))
    rng, nets = person.rng, person.nets
    own = frozenset({nets["cell"].blocks[0].asn})
    carrier = person.world.pick(rng, "mobile", person.country, but=own)
    nets.update(home=nets["cell"], second=card_of(person, "second", carrier))
    outfit(person, second=0.15)


def two_bundles(person: Person, day: int) -> Days:
    """A phone with two prepaid cards and no line: data is on for a while, by the cheaper card."""
    rng, nets = person.rng, person.nets
    names = ("cell", "second") if rng.random() < 0.7 else ("second", "cell")
    runs_out = rng.uniform(10, 21) if rng.random() < 0.45 else 24.0
    at, phone = rng.uniform(6.3, 8.5), []
    while at < 22.7:
        off = at + rng.uniform(0.3, 2.2)
        phone.append(person.stay(day, at, off, nets[names[at >= runs_out]]))
        at = off + rng.uniform(0.1, 2.2)
    return dealt(person, phone, sorted(rng.sample(phone, 2), key=lambda one: one.start))


def _power_cuts(person: Person) -> None:
    settle(person, lands=("IN", "ZA", "NG", "KE"))
    rng = person.rng
    person.facts["area"] = f"{person.country} {person.city} {rng.randrange(3)}"
    person.facts["often"] = {"NG": 1.6, "KE": 0.5}.get(person.country, 0.6)
    person.facts.update(lasts=rng.random() < 0.3, tethers=rng.random() < 0.45)
    outfit(person, first="desktop" if rng.random() < 0.4 else "phone", second=0.6)


def power_cuts(person: Person, day: int) -> Days:
    """At home, where the power fails for hours, and the router with it unless it has a battery."""
    rng, nets, facts = person.rng, person.nets, person.facts
    home, cell = nets["home"], nets["cell"]
    dark = [] if facts["lasts"] else cuts(person, day, facts["often"])
    if isinstance(home, Dialled):
        for _, end in dark:
            home.cut(person.clock(day, end))
    computer = broken(person, day, dark, home, cell)
    if not facts["tethers"]:
        computer = [one for one in computer if one.net is home]
    out = rng.uniform(8, 20)
    errand = (out, out + rng.uniform(0.4, 2))
    is_free = all(errand[1] < start or end < errand[0] for start, end in dark)
    return dealt(
        person, broken(person, day, [*dark, *([errand] if is_free else [])], home, cell), computer
    )


def _two_lines(person: Person) -> None:
    settle(person)
    rng, world, country = person.rng, person.world, person.country
    firm = f"{world.seed} two lines {country} {rng.randrange(5)}"
    draw = chance(firm)  # the same lines for all of the firm
    makers = draw.sample([*world.of("isp", country), *world.of("business", country)], 2)
    blocks = [noted(person, draw.choice(one.within(country))) for one in makers]
    first, second = (single(f"{firm} {number}", one) for number, one in enumerate(blocks))
    person.facts["balanced"] = is_balanced = draw.random() < 0.4
    person.nets["work"] = Either(person.seed("both"), (first, second)) if is_balanced else first
    person.nets["spare"] = second
    person.facts.update(off=(6,) if draw.random() < 0.5 else (5, 6), carries=rng.random() < 0.4)
    outfit(person, first="desktop", second=0.8)


def two_lines(person: Person, day: int) -> Days:
    """In a small firm whose router spreads connections over two lines, or falls back on one."""
    rng, nets, facts = person.rng, person.nets, person.facts
    home, cell, work = nets["home"], nets["cell"], nets["work"]
    if day % 7 in facts["off"]:
        days = zip(person.devices, at_home(person, day), strict=True)
        return [stays if is_phone(one) or facts["carries"] else [] for one, stays in days]
    starts, lunch, ends = rng.uniform(8, 10), rng.uniform(12.5, 14), rng.uniform(17, 19.5)
    computer = [person.stay(day, starts, ends, work)]
    if not facts["balanced"]:
        computer = falling_back(person, day, (starts, ends), work, nets["spare"], 25.0)
    if facts["carries"]:
        computer.append(person.stay(day, 20.3, 22.6, home))
    legs = [(6.7, home), (starts - 0.7, cell), (starts, work), (lunch, cell), (lunch + 0.8, work)]
    phone = path(person, day, *legs, (ends, cell), (ends + 0.8, home), (23.2, home))
    return dealt(person, phone, computer)


def _shop(person: Person) -> None:
    settle(person)
    rng, world, nets = person.rng, person.world, person.nets
    nets["shop"] = home_of(person, "shop", person.city)
    nets["cell 2"] = card_of(person, "cell 2", world.pick(rng, "mobile", person.country))
    nets["accounts"] = house(person, "accounts", kinds=("business", "isp"), size=1)
    person.facts.update(books=set(rng.sample(range(5), 2)), joins=rng.random() < 0.6)
    a_computer(person, 0.4)  # at the till
    a_phone(person, 0.3)
    a_phone(person, 0.15)
    if rng.random() < 0.5:
        a_computer(person, 0.15)


def shop(person: Person, day: int) -> Days:
    """A small shop with one account: its till, the owner, who sells there, and who does the books.

    Where its line fails, the till goes through the seller's phone.
    """
    rng, nets, facts = person.rng, person.nets, person.facts
    home, cell, line, other = nets["home"], nets["cell"], nets["shop"], nets["cell 2"]
    if day % 7 == 6:
        out = rng.uniform(10, 16)
        return [[], broken(person, day, [(out, out + 3)], home, cell)]
    opens, closes, out = rng.uniform(8, 10), rng.uniform(18, 20.5), rng.uniform(11, 14)
    till = falling_back(person, day, (opens, closes), line, other, 40.0)
    legs = [(6.8, home), (opens - 0.4, cell), (opens, line), (out, cell), (out + 1.6, line)]
    owner = path(person, day, *legs, (closes, cell), (closes + 0.4, home), (23.3, home))
    sells = line if facts["joins"] else other
    seller = path(person, day, (opens, other), (opens + 0.3, sells), (closes, other), (22, other))
    books = [person.stay(day, 9.5, 17, nets["accounts"])] if day % 7 in facts["books"] else []
    return [till, owner, seller, books]


def _carried(person: Person) -> None:
    settle(person, lands=("IN", "BR", "MX", "MY", "ZA", "NG", "KE"))
    own = frozenset({person.nets["cell"].blocks[0].asn})
    carrier = person.world.pick(person.rng, "mobile", person.country, but=own)
    person.nets["home"] = card_of(person, "router", carrier)
    outfit(person, second=0.7)


def carried(person: Person, day: int) -> Days:
    """A router in the bag, for the phone and a computer; the phone's own card when it is flat."""
    rng, router, cell = person.rng, person.nets["home"], person.nets["cell"]
    leaves, back = rng.uniform(7, 10), rng.uniform(16, 19)
    flat = leaves + rng.uniform(3, 10)
    if rng.random() < 0.3:  # it stays with the others at home
        flat = leaves
    away = (min(flat, back), back)
    phone = broken(person, day, [away], router, cell)
    computer = [person.stay(day, leaves + 1, flat, router)] if flat > leaves + 1.5 else []
    if flat > back:
        computer = [person.stay(day, leaves + 1, back - 1, router)]
    return dealt(person, phone, [*computer, person.stay(day, max(back, 19) + 0.3, 22.7, router)])


def _headquarters(person: Person) -> None:
    settle(person, lands=("IN", "BR", "MX", "CA", "AR", "MY", "ZA", "SG"))
    rng, world, nets = person.rng, person.world, person.nets
    main = rng.choices(("US", "GB", "DE", "JP", "FR", "NL"), (55, 15, 10, 8, 7, 5))[0]
    group = f"{world.seed} group {main} {rng.randrange(3)}"
    draw = chance(group)
    kind = "hosting" if draw.random() < 0.25 else "business"
    nets["group"] = shared(person, group, world.blocks(kind, main), size=3)
    is_routed = draw.random() < 0.5  # branches reach the internet through it as well
    branch = nets["group"] if is_routed else house(person, "branch", kinds=("business",), size=3)
    nets["branch"] = branch
    person.facts.update(route=[person.country, main], comes=set(rng.sample(range(5), 2)))
    person.facts["always"] = rng.random() < 0.5
    outfit(person, first="desktop", second=0.7)


def headquarters(person: Person, day: int) -> Days:
    """Works for a group from abroad, through whose gateway the laptop leaves; the phone does not.

    On the other days at home the gateway breaks off now and then, and some begin without it.
    """
    rng, nets, facts = person.rng, person.nets, person.facts
    home, cell, group = nets["home"], nets["cell"], nets["group"]
    if is_weekend(day):
        return at_home(person, day)
    starts, ends = rng.uniform(8, 10), rng.uniform(17, 19)
    phone = broken(person, day, [(12.5, 13.3)] if rng.random() < 0.5 else [], home, cell)
    if day % 7 in facts["comes"]:
        laptop = [person.stay(day, starts, ends, nets["branch"])]
        phone = broken(person, day, [(starts - 0.8, ends + 0.8)], home, cell)
    else:
        begins = starts if facts["always"] else starts + rng.uniform(0.05, 0.4)
        laptop = path(person, day, (starts, home), (begins, group))
        laptop += falling_back(person, day, (begins, ends), group, home, 14.0)
    if rng.random() < 0.5:
        laptop.append(person.stay(day, 20.2, 22.3, group if facts["always"] else home))
    return dealt(person, phone, laptop)


def _inland(person: Person) -> None:
    settle(person, lands=("US", "IN", "BR", "CA", "MX"))
    rng, world, country, nets = person.rng, person.world, person.country, person.nets
    for name, city in (("airport", 0), ("hotel", 1 - person.city), ("customer", None)):
        nets[name] = house(person, name, kinds=("business", "business", "isp"), size=3, city=city)
    dishes = [block for one in world.of("satellite", country) for block in one.within(country)]
    blocks = dishes or world.blocks("business", country)
    nets["cabin"] = shared(person, f"{world.seed} cabins {country}", blocks, size=8)
    leaves = rng.choice((0, 1, 2, 3))
    person.facts.update(leaves=leaves, returns=leaves + rng.choice((1, 1, 2)))
    outfit(person, second=0.85)


def _flies(person: Person, day: int, way: tuple[str, str]) -> list[Stay]:
    """From one place to the other: wifi of the airport, and in the cabin where there is some."""
    rng, nets, cell = person.rng, person.nets, person.nets["cell"]
    goes = rng.uniform(9, 16.5)
    lands = goes + rng.uniform(1.2, 4.5)
    legs = [(6.6, nets[way[0]]), (goes - 2.2, cell), (goes - 1.3, nets["airport"])]
    stays = path(person, day, *legs, (goes - 0.4, cell), (goes, cell))
    has_wifi = rng.random() < (0.5 if person.country in ("US", "CA") else 0.15)
    if has_wifi:
        stays += [person.stay(day, goes + 0.4, lands - 0.4, nets["cabin"])]
    return stays + path(person, day, (lands, cell), (lands + 1.1, nets[way[1]]), (23.3, cell))


def inland(person: Person, day: int) -> Days:
    """By plane to another city of the country, for a night or two."""
    facts, nets, cell = person.facts, person.nets, person.nets["cell"]
    if not facts["leaves"] <= day <= facts["returns"]:
        return at_home(person, day)
    if day == facts["leaves"]:
        phone = _flies(person, day, ("home", "hotel"))
    elif day == facts["returns"]:
        phone = _flies(person, day, ("hotel", "home"))
    else:
        legs = [(6.9, nets["hotel"]), (8.4, cell), (9.2, nets["customer"]), (17, cell)]
        phone = path(person, day, *legs, (20.5, nets["hotel"]), (23.3, cell))
    return dealt(person, phone, [one for one in phone if one.net is not cell])


def _for_hire(person: Person) -> None:
    settle(person, lands=("IN", "MX", "AR", "ZA", "NG", "KE"))
    rng, nets = person.rng, person.nets
    nets["home"] = nets["cell"]
    person.facts["days"] = set(rng.sample(range(7), rng.choice((2, 3, 4))))
    a_phone(person, 0.6)
    language = speaks(rng, person.country)
    for number in range(2):
        nets[f"place {number}"] = house(person, f"hire {number}", kinds=("isp", "business"), size=1)
        is_old = rng.random() < 0.3
        version = CHROME - rng.randrange(9)
        client = (
            made("Chrome", "Windows 7", language)
            if is_old
            else browser("Chrome", "Windows", version, language)
        )
        device = add_device(person, client, 0.25, v6=False)
        # Such computers are set back each night, and nobody wants to be remembered there.
        device.updates_at, device.remember = float("inf"), False


def for_hire(person: Person, day: int) -> Days:
    """A phone, and on some days an hour at a computer of one of two internet cafes."""
    rng, nets = person.rng, person.nets
    days: Days = [[person.stay(day, 6.8, 23, nets["cell"])], [], []]
    if day % 7 in person.facts["days"]:
        number, at = rng.choice((0, 0, 1)), rng.uniform(9.5, 19)
        days[1 + number] = [person.stay(day, at, at + rng.uniform(0.5, 2), nets[f"place {number}"])]
    return days


def _free_tunnel(person: Person) -> None:
    settle(person)
    rng = person.rng
    operator = rng.choice([one for one in person.world.operators if one.kind == "vpn"])
    codes = sorted({block.country for block in operator.blocks} - {person.country})
    rng.shuffle(codes)
    # What an app calls the fastest server is mostly one of the nearer ones.
    codes.sort(key=lambda code: code != "US" and not is_same_continent(code, person.country))
    person.facts.update(operator=operator, route=[person.country, *codes[:3]], exits=codes[:3])
    outfit(person, second=0.35)


def _tunnelled(person: Person, day: int, start: float, under: Net) -> list[Stay]:
    """For an hour or so behind some exit, which drops often."""
    rng, facts = person.rng, person.facts
    tunnel = Tunnel(person.seed(f"exit {day} {start}"), facts["operator"], facts["exits"])
    return falling_back(person, day, (start, start + rng.uniform(0.4, 1.5)), tunnel, under, 1.0)


def free_tunnel(person: Person, day: int) -> Days:
    """A phone with a free VPN, for what is blocked: an hour now and then, each time elsewhere."""
    rng, home, cell = person.rng, person.nets["home"], person.nets["cell"]
    out, back = rng.uniform(8.5, 10.5), rng.uniform(15, 17.5)
    phone = path(person, day, (7, home), (out, cell), (out + 2, cell))
    if rng.random() < 0.3:
        phone += _tunnelled(person, day, out + 2, cell)
    phone += path(person, day, (out + 3.6, cell), (back, home), (18.5, home))
    if rng.random() < 0.5:
        phone += _tunnelled(person, day, 18.5, home)
    phone.append(person.stay(day, 20.1, 23.3, home))
    return dealt(person, phone, [person.stay(day, 19, 22.5, home)])


# Parts of the users in percent; guesses where no source is named.
UNSEEN: Final = (
    # Shops see most customers on few days, and tools have people who need them now and then.
    Persona("some days only", 18, _some_days, some_days),
    # What is sold in social networks is opened in their apps; more so in Latin America and Asia.
    Persona("views in apps", 15, _views, views),
    # Four of five people online in these countries are so by phone alone or mostly (GSMA, "The
    # State of Mobile Internet Connectivity"), but they buy and work less on the web than others.
    Persona("two bundles", 13, _two_bundles, two_bundles),
    # Firms of South Asia and of Africa report outages on many days of a month (World Bank,
    # Enterprise Surveys); South Africa had rolling ones on most days of 2023.
    Persona("power cuts", 11, _power_cuts, power_cuts),
    Persona("two lines at work", 11, _two_lines, two_lines),
    Persona("shop, one account", 9, _shop, shop),
    Persona("router in the bag", 6, _carried, carried),
    Persona("headquarters abroad", 6, _headquarters, headquarters),
    # Airports of the US let in some 2.5 million passengers a day (TSA, 2024): 2 to 3% of the
    # people fly there and back in a week, and more of those who work with a tool.
    Persona("inland flight", 4, _inland, inland),
    Persona("free VPN", 4, _free_tunnel, free_tunnel),
    Persona("computers for hire", 3, _for_hire, for_hire),
)
