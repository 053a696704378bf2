"""N1 to N18: people whose address changes where they are, and who hide it."""

from __future__ import annotations

from catalogue_kit import HOME, Person, Tale
from catalogue_looks import TOR_BROWSER, chrome_phone, firefox, iphone, mac
from catalogue_run import ALLOW, RECORD, normal
from catalogue_world import v4, v6

HOME_V6 = v6("home")


def browse(tale: Tale, person: Person, *addresses: str, every: float = 60) -> None:
    """Load a page, and what it fetches at once, from each address, so many seconds apart."""
    for address in addresses:
        person.move(address)
        person.page("/list")
        person.fetch("/api/list")
        tale.wait(seconds=every)


@normal(1, RECORD, ALLOW)
def wifi_and_cellular(tale: Tale) -> None:
    phone = tale.settled(iphone())
    tale.begin()
    browse(tale, phone, HOME, v4("phone", 2), v4("phone", 2))
    tale.wait(minutes=20)
    tale.begin()
    for hour in range(4):
        browse(tale, phone, HOME, v4("phone", 3 + hour), v6("phone", 7 + hour), HOME_V6)
        tale.wait(minutes=40)


@normal(2, ALLOW)
def wifi_drops_in_the_middle_of_a_burst(tale: Tale) -> None:
    phone = tale.settled(iphone())
    browse(tale, phone, v4("phone", 2), HOME)
    tale.wait(hours=1)
    tale.begin()
    for n in range(12):
        phone.move(HOME if n % 2 else v4("phone", 2))
        phone.fetch(f"/api/list/{n}")
        tale.clock.advance(ms=7)


@normal(3, ALLOW)
def dual_stack(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    browse(tale, laptop, HOME, HOME_V6, HOME, HOME_V6, HOME_V6, HOME, every=20)


@normal(4, ALLOW)
def privacy_addresses(tale: Tale) -> None:
    laptop = tale.settled(mac(), HOME_V6)
    tale.begin()
    for day in range(4):
        browse(tale, laptop, v6("home", host=0xA0 + day), v6("home", host=0xB0 + day))
        tale.wait(days=1)


@normal(5, ALLOW)
def delegated_prefix_changes(tale: Tale) -> None:
    laptop = tale.settled(address=HOME_V6)
    tale.begin()
    browse(tale, laptop, v6("home", subnet=0x0100), v6("home", 0x2B), v6("home", 0x3F1, subnet=3))


@normal(6, ALLOW)
def reconnected_every_night(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    for block in (3, 5, 8, 1, 12):
        browse(tale, laptop, v4("home", block), v6("home", 0x40 + block))
        tale.wait(days=1)


@normal(7, ALLOW)
def shared_by_a_carrier_grade_nat(tale: Tale) -> None:
    people = [tale.person(user=f"user{n}") for n in range(6)]
    for n, person in enumerate(people):
        person.move(v4("home", n % 3, 9)).login(remember=True)
    tale.begin()
    for n in range(30):
        person = people[n % 6].move(v4("home", n % 7, 9))
        person.page("/list")
        person.move(v4("home", n % 5, 9)).fetch()
        tale.wait(seconds=11)


@normal(8, ALLOW)
def carrier_moves_its_gateway(tale: Tale) -> None:
    phone = tale.settled(chrome_phone(), v4("phone"))
    tale.begin()
    for day in range(10):
        browse(tale, phone, v4("phone", 1 + day), v4("phone", 1 + day, 77))
        tale.wait(days=1)


@normal(9, ALLOW)
def native_v6_and_translated_v4(tale: Tale) -> None:
    phone = tale.settled(chrome_phone(), v6("phone", 9))
    tale.begin()
    for block in range(5):
        browse(tale, phone, v6("phone", 9), v4("phone", block), v4("phone", block + 5), every=15)


@normal(10, ALLOW)
def private_relay_changes_its_exit(tale: Tale) -> None:
    phone = tale.settled(iphone(), v4("relay_a"))
    tale.begin()
    for n in range(5):
        browse(
            tale,
            phone,
            v4("relay_a", n + 1),
            v6("relay_b", n + 1, block=n),
            v4("relay_b", n + 2),
            v6("relay_c", n + 1, block=3),
        )
        tale.wait(minutes=15)


@normal(11, RECORD)
def private_relay_on_and_off(tale: Tale) -> None:
    laptop = tale.settled(mac())
    tale.begin()
    for n in range(3):
        browse(tale, laptop, v4("relay_a", n), v6("relay_b", n), HOME, HOME_V6)
        tale.wait(minutes=10)


@normal(12, RECORD)
def a_browser_hides_its_address(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    browse(tale, laptop, HOME, v4("warp"), v4("warp", 3), v6("warp", 5), HOME, v4("relay_c", 4))


@normal(13, ALLOW)
def company_with_several_addresses(tale: Tale) -> None:
    desk = tale.settled(address=v4("company"))
    tale.begin()
    browse(tale, desk, *(v4("company", n % 3, 10 + n) for n in range(10)), every=5)


@normal(14, RECORD)
def company_gateway_changes_its_place(tale: Tale) -> None:
    desk = tale.settled(address=v4("company"))
    tale.begin()
    browse(tale, desk, v4("company"), v4("gateway", 0), v4("gateway", 1), v4("gateway", 0, 44))
    tale.wait(hours=3)
    browse(tale, desk, v4("gateway", 2), v4("gateway", 3), v4("company", 1))


@normal(15, RECORD, ALLOW)
def split_tunnel(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    _split(tale, laptop, rounds=12)
    tale.wait(days=2)
    tale.begin()
    _split(tale, laptop, rounds=12)


def _split(tale: Tale, person: Person, *, rounds: int) -> None:
    """Pages come from the line at home, and what they fetch from the company's tunnel."""
    for n in range(rounds):
        person.move(HOME).page(f"/list/{n}")
        person.move(v4("company", n % 2)).fetch()
        tale.wait(seconds=35)
        person.fetch("/api/news")
        tale.wait(seconds=35)


@normal(16, RECORD, ALLOW)
def vpn_on_and_off(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    # The second one is known to no list and stands among servers.
    browse(tale, laptop, HOME, v4("tunnel", 3), HOME, v4("rack"), v4("rack"), HOME, every=600)
    tale.wait(days=1, hours=2)
    tale.begin()
    for _ in range(4):
        browse(tale, laptop, v4("tunnel", 3), HOME, every=600)
        browse(tale, laptop, v4("rack", 1), HOME, every=600)


@normal(17, RECORD)
def vpn_in_one_country_after_another(tale: Tale) -> None:
    laptop = tale.settled(firefox())
    tale.begin()
    for n in range(6):
        browse(tale, laptop, v4("tunnel", n % 4, 20 + n), v4("tunnel", n % 4, 20 + n), every=300)


@normal(18, RECORD)
def tor_by_choice(tale: Tale) -> None:
    person = tale.settled(TOR_BROWSER, v4("onion"))
    tale.begin()
    for n in range(6):
        browse(tale, person, v4("onion", n % 2, 30 + n), v4("onion_far", n), every=300)
    person.logout()
    tale.wait(hours=20)
    person.browser.cookies.clear()  # the Tor Browser keeps none when it is closed
    person.move(v4("onion_far", 3)).login()
    browse(tale, person, v4("onion", 1), v4("onion_far", 9))
