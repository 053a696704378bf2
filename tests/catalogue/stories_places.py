"""N19 to N28, N42, N43, N47 to N49, N51 to N53: travel, wrong places, proxies."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from catalogue_kit import HOME, Person, Tale
from catalogue_looks import chrome, chrome_phone, edge, iphone, mac, script
from catalogue_run import ALLOW, FLAG, RECORD, normal
from catalogue_world import cdn, v4
from stories_networks import HOME_V6, browse

CROWD = 24


def no_travel(tale: Tale) -> None:
    assert not [one for phase in tale.phases for one in phase if "travelled_too_fast" in one.codes]


@normal(19, FLAG)
def traveller_in_a_hotel(tale: Tale) -> None:
    laptop = tale.settled()
    tale.wait(hours=9)
    tale.begin()
    browse(tale, laptop, v4("spain"), v4("spain", 0, 12), v4("spain", 1))
    tale.wait(hours=12)
    browse(tale, laptop, v4("spain", 4), v4("spain", 4))
    no_travel(tale)


@normal(20, RECORD, ALLOW)
def roaming_phone_and_hotel_wifi(tale: Tale) -> None:
    phone = tale.settled(iphone(), v4("phone"))
    browse(tale, phone, HOME)
    tale.wait(hours=8)
    tale.begin()
    browse(tale, phone, v4("phone", 2), v4("spain"), v4("phone", 2), v4("spain"))
    tale.wait(hours=1, minutes=30)
    tale.begin()
    for n in range(6):
        browse(tale, phone, v4("phone", 3 + n % 2), v4("spain", 0, 30 + n), every=90)
    no_travel(tale)


@normal(21, RECORD)
def wifi_in_the_aircraft(tale: Tale) -> None:
    laptop = tale.settled()
    tale.wait(hours=2)
    tale.begin()
    browse(tale, laptop, v4("aircraft"), v4("aircraft", 3), v4("aircraft", 0, 9))
    no_travel(tale)


@normal(22, ALLOW)
def satellite_comes_down_elsewhere(tale: Tale) -> None:
    laptop = tale.settled(address=v4("dish", 0))
    tale.begin()
    browse(tale, laptop, v4("dish", 0), v4("dish", 1), v4("dish", 1, 40), v4("dish", 0))


@normal(23, RECORD)
def phone_at_the_border(tale: Tale) -> None:
    phone = tale.settled(chrome_phone(), v4("phone"))
    tale.begin()
    browse(tale, phone, v4("austria"), v4("phone", 1), v4("austria", 2), v4("phone", 1), every=240)


@normal(24, ALLOW)
def database_places_the_line_elsewhere(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    laptop.page("/")
    tale.replace_databases()
    tale.wait(minutes=1)
    laptop.page("/")
    # A new version makes this a new pair, so that it is judged.
    laptop.use(chrome(156))
    browse(tale, laptop, HOME, v4("home", 1), HOME_V6, v4("home", 4), v4("home", 1))
    assert tale.site.guard.networks.lookup(ip_address(HOME)).country == "FR"


@normal(25, ALLOW)
def addresses_are_those_of_an_edge(tale: Tale) -> None:
    people = [tale.person(address=cdn(n % 2, n), user=f"user{n}") for n in range(CROWD)]
    for person in people:
        person.login(remember=True)
    tale.begin()
    for n, person in enumerate(people):
        browse(tale, person, cdn((n + 1) % 2, n), cdn(n % 2, 99), every=7)
    (event,) = tale.told("proxy_misconfigured")
    assert event.detail["networks"] == "cdn"


@normal(26, ALLOW)
def everybody_has_the_address_of_the_proxy(tale: Tale) -> None:
    people = [tale.person(address=v4("rack"), user=f"user{n}") for n in range(CROWD)]
    for person in people:
        person.login(remember=True)
    tale.begin()
    for person in people:
        browse(tale, person, v4("rack"), v4("cloud"), v4("cloud"), every=7)
    (event,) = tale.told("proxy_misconfigured")
    assert event.notify == "admins"
    assert event.detail["setting"] == "client_ip.trusted_proxies"


@normal(27, ALLOW)
def load_balancers_take_turns(tale: Tale) -> None:
    pool = [v4("rack"), v4("company"), v4("cloud")]
    people = [tale.person(address=pool[n % 3], user=f"user{n}") for n in range(CROWD)]
    for person in people:
        person.login(remember=True)
    tale.begin()
    for turn in range(4):
        for n, person in enumerate(people):
            browse(tale, person, pool[(n + turn) % 3], every=9)
    assert len(tale.told("proxy_misconfigured")) == 1


@normal(28, ALLOW, client_ip={"mode": "x-forwarded-for", "trusted_proxies": ["10.0.0.0/8"]})
def forwarding_headers_of_all_shapes(tale: Tale) -> None:
    laptop = tale.person(address="10.1.2.3")
    shapes = {
        HOME: (HOME, f"{HOME}:41234", f"unknown, {HOME}", f"192.0.2.9, {HOME}, 10.9.9.9"),
        HOME_V6: (HOME_V6, f"[{HOME_V6}]:443", f"[{HOME_V6}]", f"unknown, {HOME_V6}"),
    }
    tale.begin()
    laptop.browser.do(lambda visit: visit.login("ada"), method="POST", headers=_from(HOME))
    for address, texts in shapes.items():
        for text in texts:
            step = laptop.page("/", headers={"x-forwarded-for": text})
            assert step.address == address, text


def _from(text: str) -> dict[str, str]:
    return {**chrome().headers("page"), "x-forwarded-for": text}


@normal(42, RECORD)
def laptop_wakes_up_somewhere_else(tale: Tale) -> None:
    laptop = tale.settled()
    tale.wait(hours=14)
    tale.begin()
    laptop.move(v4("france"))
    for n in range(5):
        laptop.fetch(f"/api/list/{n}")
    browse(tale, laptop, v4("france"))
    no_travel(tale)


@normal(43, ALLOW)
def clocks_of_two_nodes_differ(tale: Tale) -> None:
    laptop = tale.settled(address=v4("home", 4))
    tale.begin()
    for block in (8, 4, 9, 5):
        browse(tale, laptop, v4("home", block), every=-3)
    no_travel(tale)


@normal(47, RECORD)
def phone_and_laptop_in_two_countries(tale: Tale) -> None:
    laptop = tale.settled()
    phone = tale.settled(iphone())
    browse(tale, phone, v4("phone"))
    tale.wait(hours=8)
    tale.begin()
    for n in range(4):  # the phone roams, and its packets go home; the laptop has the hotel's wifi
        browse(tale, phone, v4("phone", n))
        browse(tale, laptop, v4("spain", 0, 20 + n))
    no_travel(tale)


@normal(48, RECORD)
def family_shares_an_account(tale: Tale) -> None:
    mother = tale.settled()
    tale.begin()
    child = tale.person(edge(), v4("cable", 2))
    aunt = tale.person(mac(), v4("france", 3))
    for person in (child, aunt):
        person.login(remember=True)
    for _ in range(5):
        for person in (mother, child, aunt):
            browse(tale, person, person.browser.address)
        tale.wait(hours=21)


@normal(49, RECORD, ALLOW)
def remote_desktop(tale: Tale) -> None:
    tale.settled()
    remote = tale.person(edge(), v4("rack"))
    tale.begin()
    remote.login()
    browse(tale, remote, v4("rack"), v4("rack"))
    tale.begin()
    for day in range(3):
        tale.wait(hours=23)
        remote.move(v4("rack", day)).login()
        browse(tale, remote, v4("rack", day), v4("rack", day + 1))


@normal(51, ALLOW)
def one_address_in_several_spellings(tale: Tale) -> None:
    laptop = tale.settled()
    number = int(ip_address(HOME))
    tale.begin()
    assert laptop.move(f"::ffff:{HOME}").page("/").address == HOME
    translated = str(IPv6Address((0x64FF9B << 96) + number))
    sixth = str(IPv6Address((0x2002 << 112) + (number << 80) + 1))
    tunnelled = str(IPv6Address((0x20010000 << 96) + (0xCB007101 << 64) + (number ^ 0xFFFFFFFF)))
    browse(tale, laptop, HOME, translated, HOME, sixth, tunnelled, HOME)


@normal(52, ALLOW)
def providers_merge(tale: Tale) -> None:
    people = [
        tale.person(address=v4("cable", n % 6, 30 + n), user=f"user{n}") for n in range(CROWD)
    ]
    for person in people:
        person.login(remember=True)
    tale.wait(days=2)
    for person in people:
        person.page("/")
    tale.replace_databases()
    tale.begin()
    for n, person in enumerate(people):
        if n % 2:
            person.use(chrome(156))
        browse(tale, person, person.browser.address, every=5)
    tale.wait(hours=20)
    for n, person in enumerate(people):  # the nightly reconnection
        browse(tale, person, v4("cable", 6 + n % 6, 30 + n), every=5)
    assert [event.reason for event in tale.told("sessions_moved")] == []


@normal(53, ALLOW)
def robot_among_servers(tale: Tale) -> None:
    robot = tale.settled(script(), v4("cloud"))
    tale.begin()
    for n in range(3):
        _nightly(tale, robot, n)


def _nightly(tale: Tale, robot: Person, n: int) -> None:
    """A build starts on another machine of the same provider, without any cookie."""
    robot.browser.cookies.clear()
    robot.move(v4("cloud", n + 1, 50 + n)).login()
    for _ in range(4):
        robot.fetch("/api/deploy")
        tale.wait(seconds=20)
    robot.logout()
    tale.wait(hours=24)
    assert tale.told("login_new_device") == []
