"""What several requests show, in the flow: a proxy that is not declared, cookies in bulk, turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flow_kit import CHROME, FIREFOX, NAVIGATE, Browser, Job, Site

from gatehound import Action, Event
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]
PROXY = "10.0.0.1"
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Safari/605.1.15"
)
MENDED = {"mode": "x-forwarded-for", "trusted_proxies": ["10.0.0.0/8"]}


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event.name == name]


def home(number: int) -> str:
    """Everybody's own network, in Germany as the demo databases have it, and elsewhere unknown."""
    return f"203.{number}.113.7" if number else "203.0.113.7"


def _login(number: int) -> Job:
    return lambda visit: visit.login(f"user {number}")


def crowd_of(site: Site) -> Any:
    return site.guard.detection.population.crowd


class Users:
    """So many people with a browser each, who visit every two minutes."""

    def __init__(self, site: Site, clock: FakeClock, *, count: int, address: Any = PROXY) -> None:
        self.site, self.clock = site, clock
        self.browsers = []
        for number in range(count):
            where = address if isinstance(address, str) else address(number)
            browser = site.browser(CHROME, where)
            browser.do(_login(number), method="POST", headers=self.headers(number))
            self.browsers.append(browser)

    def headers(self, number: int) -> dict[str, str]:
        return {**NAVIGATE, "x-forwarded-for": home(number)}

    def visit(self, number: int, browser: Browser | None = None) -> Any:
        return (browser or self.browsers[number]).see(headers=self.headers(number))

    def visit_all(self, *, after: float = 120) -> list[Any]:
        self.clock.advance(after)
        return [self.visit(number) for number in range(len(self.browsers))]


def mended(users: Users, make_site: MakeSite, **more: Any) -> None:
    """Start the app again, with the settings put right; its store and its users stay."""
    users.site = make_site(client_ip=MENDED, **more)
    for browser in users.browsers:
        browser.site = users.site


# --- a proxy that is not declared ---


def test_forty_users_behind_one_proxy_are_told_of_once(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    users = Users(make_site(), clock, count=40)
    for _ in range(5):
        users.visit_all()
    (event,) = named(events, "proxy_misconfigured")
    assert event.notify == "admins"
    assert (event.user_id, event.public_id) == (None, None)
    assert event.detail["setting"] == "client_ip.trusted_proxies"
    assert (event.detail["users"], event.detail["active"]) == (20, 20)
    assert event.detail["networks"] == "private"
    for told in ("client_ip.mode", "remote-addr", "x-forwarded-for", "10.0.0.1",
                 "client_ip.trusted_proxies", "detection.shared_networks"):  # fmt: skip
        assert told in event.reason, told
    assert named(events, "session_flagged") == []
    log: Any = users.site.guard.sync.events(names=["proxy_misconfigured"])
    assert len(log.events) == 1


def test_where_nobody_forwards_no_header_is_named(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    users = Users(make_site(), clock, count=0)
    for number in range(20):
        users.site.browser(address=PROXY).login(f"user {number}")
    (event,) = named(events, "proxy_misconfigured")
    assert "requests carry" not in event.reason


def test_another_process_tells_it_no_second_time_that_day(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    for _ in range(3):
        Users(make_site(session={"max_per_user": None}), clock, count=25)
    assert len(named(events, "proxy_misconfigured")) == 1
    clock.advance(86_400)
    Users(make_site(session={"max_per_user": None}), clock, count=25)
    assert len(named(events, "proxy_misconfigured")) == 2


def test_a_store_that_fails_just_then_costs_no_request_and_no_event(
    make_site: MakeSite, store: Store, clock: FakeClock, events: list[Event]
) -> None:
    faulty = FaultyStore(store)
    users = Users(make_site(over=faulty), clock, count=19)
    faulty.fail("count")
    last = users.site.browser(address=PROXY)
    assert last.login("user 19").user_id == "user 19"
    assert last.see().user_id == "user 19"
    assert len(named(events, "proxy_misconfigured")) == 1


def test_addresses_of_a_pool_that_alternates_are_no_evidence(
    make_site: MakeSite, clock: FakeClock, events: list[Event], demo_databases: dict[str, str]
) -> None:
    """N27: three balancers in two countries, and everybody comes from each in turn."""
    pool = ["203.0.113.1", "198.51.100.1", "192.0.2.1"]
    site = make_site(detection=demo_databases)
    users = Users(site, clock, count=30, address=lambda number: pool[number % 3])
    actions = set()
    for turn in range(1, 6):
        for number, browser in enumerate(users.browsers):
            browser.address = pool[(number + turn) % 3]
        actions |= {seen.action for seen in users.visit_all()[1:]}
    assert len(named(events, "proxy_misconfigured")) == 1
    assert named(events, "session_flagged") == []
    assert max(actions) < Action.FLAG


def test_browsers_are_evidence_all_the_same(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    users = Users(make_site(), clock, count=30)
    thief = users.site.browser(SAFARI, PROXY)
    thief.cookies = dict(users.browsers[7].cookies)
    stolen = users.visit(7, thief)
    assert stolen.action is Action.FLAG
    assert {signal.code for signal in stolen.signals} == {"os_changed", "browser_changed"}
    (event,) = named(events, "session_flagged")
    assert event.user_id == "user 7"


def test_shared_networks_are_somebodys_office(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    site = make_site(detection={"shared_networks": ["10.0.0.0/8"]})
    Users(site, clock, count=40).visit_all()
    assert named(events, "proxy_misconfigured") == []
    assert crowd_of(site) is None


# --- and mended ---


def stolen_abroad(users: Users, number: int) -> set[str]:
    """What is found where a session is used with a copied agent in another country."""
    thief = users.site.browser(CHROME, PROXY)
    thief.cookies = dict(users.browsers[number].cookies)
    seen = thief.see(headers={**NAVIGATE, "x-forwarded-for": "192.0.2.66"})
    return {signal.code for signal in seen.signals}


def test_network_evidence_comes_back_when_the_proxy_is_mended(
    make_site: MakeSite, clock: FakeClock, events: list[Event], demo_databases: dict[str, str]
) -> None:
    """The app was started again: what it knew of its users is gone, and stored is what was."""
    users = Users(make_site(detection=demo_databases), clock, count=40)
    users.visit_all()
    assert stolen_abroad(users, 0) == set()
    mended(users, make_site, detection=demo_databases)
    users.visit_all()
    assert crowd_of(users.site) is None
    assert named(events, "session_flagged") == []
    assert "network_changed" in stolen_abroad(users, 0)


def test_network_evidence_comes_back_though_nobody_starts_the_app_again(
    make_site: MakeSite, clock: FakeClock, demo_databases: dict[str, str]
) -> None:
    """The proxy hid its clients, and now it names them. The first come back while it still counts
    as wrong: their networks have to be learned all the same, or their sessions stay without any.
    """
    site = make_site(client_ip=MENDED, detection=demo_databases)
    users = Users(site, clock, count=0)
    users.browsers = [site.browser(CHROME, PROXY) for _ in range(40)]
    for number, browser in enumerate(users.browsers):
        browser.login(f"user {number}")
    assert crowd_of(site) is not None
    for _ in range(5):
        users.visit_all(after=1500)
    assert crowd_of(site) is None
    for number in (39, 20, 0):
        assert "network_changed" in stolen_abroad(users, number), number


# --- sessions that move together ---


def moved(users: Users, address: str, *, agent: str = CHROME) -> list[Any]:
    """Somebody replays the cookies of all, one after the other, from one place."""
    seen = []
    for browser in users.browsers:
        thief = users.site.browser(agent, address)
        thief.cookies = dict(browser.cookies)
        users.clock.advance(60)
        seen.append(thief.see())
    return seen


def test_a30_ten_sessions_in_one_new_network_are_told_of_once(
    make_site: MakeSite, clock: FakeClock, events: list[Event], demo_databases: dict[str, str]
) -> None:
    site = make_site(detection=demo_databases)
    users = Users(site, clock, count=12, address="203.0.113.7")
    seen = moved(users, "198.51.100.66", agent=SAFARI)
    found = ["moved_with_others" in {s.code for s in one.signals} for one in seen]
    assert found == [False] * 9 + [True] * 3
    (event,) = named(events, "sessions_moved")
    assert event.notify == "admins"
    assert event.user_id == "user 9"
    assert event.detail == {"sessions": 10, "network": "Example Offices", "asn": 64499}
    assert event.reason == "Moved to a new network within the same hour as 9 other sessions"
    log: Any = site.guard.sync.events(names=["sessions_moved"])
    assert len(log.events) == 1


def test_a_company_that_moves_offices_is_told_of_and_not_flagged(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    users = Users(make_site(), clock, count=15, address="203.0.113.7")
    assert max(one.action for one in moved(users, "198.51.100.66")) < Action.FLAG
    assert len(named(events, "sessions_moved")) == 1
    assert named(events, "session_flagged") == []


@pytest.mark.parametrize("requests", [1, 5])
def test_nine_sessions_are_none_however_often_they_come(
    make_site: MakeSite, clock: FakeClock, events: list[Event], requests: int
) -> None:
    users = Users(make_site(), clock, count=9, address="203.0.113.7")
    for _ in range(requests):
        moved(users, "198.51.100.66", agent=SAFARI)
    assert named(events, "sessions_moved") == []


def test_one_user_with_ten_sessions_is_not_ten(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    """Sessions of as many users: one who moves house takes all devices along."""
    site = make_site(session={"max_per_user": None})
    users = Users(site, clock, count=0)
    users.browsers = [site.browser(CHROME, "203.0.113.7") for _ in range(12)]
    for browser in users.browsers:
        browser.login("alice")
    moved(users, "198.51.100.66")
    assert named(events, "sessions_moved") == []


# --- two who take turns ---


@pytest.mark.parametrize("apart", [30, 40, 60, 90])
@pytest.mark.parametrize("polls", [1, 4])
def test_a24_two_who_take_turns_are_seen_whoever_comes_third(
    make_site: MakeSite,
    clock: FakeClock,
    demo_databases: dict[str, str],
    tmp_path: Path,
    apart: int,
    polls: int,
) -> None:
    """A thief in the same country with a copied agent, while the owner works."""
    lines = tmp_path / "lines"
    lines.write_text("203.0.113.0/24\n2001:db8:40::/48\n")
    site = make_site(detection={**demo_databases, "network_lists": {"isp": [str(lines)]}})
    alice, thief = site.browser(), site.browser(CHROME, "2001:db8:40::66")
    alice.login()
    thief.cookies = dict(alice.cookies)
    found: set[str] = set()
    for turn in range(600 // apart):
        for _ in range(polls):
            clock.advance(apart / polls)
            seen = (thief, alice)[turn % 2].see()
            found |= {signal.code for signal in seen.signals}
    assert "networks_interleaved" in found


@pytest.mark.parametrize("apart", [30, 60])
def test_a24_two_browsers_that_take_turns_are_seen_whoever_comes_third(
    make_site: MakeSite, clock: FakeClock, apart: int
) -> None:
    site = make_site()
    alice, other = site.browser(), site.browser(FIREFOX)
    alice.login()
    other.cookies = dict(alice.cookies)
    other.do()
    site.guard.sync.clear_flag("alice", alice.see().session.public_id)
    other.do(lambda visit: visit.reauthenticate(), method="POST")  # both are hers, and known
    alice.cookies = dict(other.cookies)
    found: set[str] = set()
    for turn in range(600 // apart):
        clock.advance(apart)
        found |= {signal.code for signal in (other, alice)[turn % 2].see().signals}
    assert "browsers_interleaved" in found
