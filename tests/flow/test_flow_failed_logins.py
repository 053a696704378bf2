"""Failed logins: what is counted, who is told, and what a sign-in amid an attack is weighed as."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from flow_kit import FIREFOX, IDENTITY, SECRET, Browser, Site, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zoo
from gatehound import Event, Guard, SettingsError, Visit
from gatehound._sync import run_sync
from gatehound.guessing import FIRST, HOUR, MORE, WORST, attacks_on, count
from gatehound.listing import FailedLogins, FailedNetwork
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.stores.redis import RedisStore
from gatehound.stores.rule import MAX_COUNTER_NAMES
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import FakeClock, FaultyStore
from gatehound.testing.faulty import Moment

MakeSite = Callable[..., Site]
MakeGuard = Callable[..., Guard]
ATTACKER, OFFICE, HOME = "198.51.100.66", "192.0.2.20", "203.0.113.7"
CABLE = "2001:db8:40::9"  # where HOME is, from another provider
FEW: dict[str, Any] = {"failed_logins": {"users_per_network": 3, "attempts_per_user": 4}}
NOTHING = FailedLogins(0, 0, 0, (), 0)
START = FakeClock()()


def failing(*users: str | int | None) -> Callable[[Any], Any]:
    """Make a job that reports one failed login of each."""

    async def later(visit: Visit) -> None:
        for user in users:
            await visit.login_failed(user, "wrong password")

    def job(visit: Any) -> Any:
        if isinstance(visit, Visit):
            return later(visit)
        for user in users:
            visit.login_failed(user, "wrong password")
        return None

    return job


def fail(site: Site, address: str, *users: str | int | None) -> None:
    result = site.browser(address=address).do(failing(*users), method="POST")
    assert (result.status, result.error) == (200, None)


def alarms(events: list[Event]) -> list[Event]:
    return [one for one in events if one.name in ("login_spray", "login_guessing")]


def summed(site: Site) -> FailedLogins:
    guard = site.guard

    async def ask() -> FailedLogins:
        try:
            return await guard.failed_logins()
        finally:
            await guard.close()

    return guard.sync.failed_logins() if site.world == "wsgi" else asyncio.run(ask())


@pytest.fixture
def few(make_site: MakeSite) -> Site:
    return make_site(detection=FEW)


# --- who is told ---


def test_many_users_of_one_network_are_told_once_an_hour(
    few: Site, events: list[Event], clock: FakeClock
) -> None:
    fail(few, ATTACKER, "ann", "bob", "ann", "ann")
    assert alarms(events) == []
    fail(few, "198.51.100.7", "cy")  # the same /24
    fail(few, ATTACKER, "dan", "eve", "flo")
    (alarm,) = alarms(events)
    assert (alarm.name, alarm.notify, alarm.user_id) == ("login_spray", "admins", None)
    assert (alarm.public_id, alarm.address) == (None, "198.51.100.7")
    assert alarm.detail == {
        "network": "198.51.100.0/24",
        "attempts": 5,
        "users": 3,
        "country": "",
        "organisation": "",
    }
    assert alarm.reason == "sign-ins of 3 users failed from one network within the hour"
    clock.advance(3600)
    fail(few, ATTACKER, "ann", "bob")
    assert len(alarms(events)) == 1
    fail(few, ATTACKER, "cy")
    assert [one.name for one in alarms(events)] == ["login_spray"] * 2


def test_many_attempts_for_one_user_are_told_once_an_hour_and_never_to_the_user(
    few: Site, events: list[Event], clock: FakeClock
) -> None:
    for number in range(10):
        fail(few, f"198.51.{number}.9", "ann")
    (alarm,) = alarms(events)
    assert (alarm.name, alarm.notify, alarm.user_id) == ("login_guessing", "admins", "ann")
    assert alarm.detail == {"attempts": 4, "networks": 4}
    assert alarm.reason == "4 sign-ins of one user failed within the hour"
    clock.advance(3600)
    fail(few, ATTACKER, *["ann"] * 9)
    assert [one.detail["networks"] for one in alarms(events)] == [4, 1]


def test_alarms_are_in_the_log_too(few: Site) -> None:
    fail(few, ATTACKER, "ann", "bob", "cy", "cy", "cy", "cy")
    names = ["login_spray", "login_guessing"]
    log = few.guard.sync.events(names=names).events
    assert sorted(one.name for one in log) == sorted(names)


@pytest.mark.parametrize(
    ("addresses", "prefix"),
    [
        (("2001:db8:1::1", "2001:db8:1:ffff::1", "2001:db8:1:9::1"), "2001:db8:1::/48"),
        (("::ffff:198.51.100.1", "198.51.100.2", "198.51.100.3"), "198.51.100.0/24"),
        (("2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1"), None),
        (("198.51.100.1", "198.51.101.1", "198.51.102.1"), None),
    ],
)
def test_what_is_one_network(
    few: Site, events: list[Event], addresses: tuple[str, ...], prefix: str | None
) -> None:
    for number, address in enumerate(addresses):
        fail(few, address, f"user {number}")
    assert [one.detail["network"] for one in alarms(events)] == ([prefix] if prefix else [])


def test_settings_of_prefixes_change_nothing(make_site: MakeSite, events: list[Event]) -> None:
    site = make_site(detection={**FEW, "v4_prefix": 8, "v6_prefix": 128})
    for number in range(6):
        fail(site, f"198.51.{number}.1", f"user {number}")
    assert alarms(events) == []


def test_a_network_that_many_share_may_fail_ten_times_as_often(
    make_site: MakeSite, events: list[Event]
) -> None:
    site = make_site(detection={**FEW, "shared_networks": ["192.0.2.0/24"]})
    fail(site, OFFICE, *(f"user {number}" for number in range(29)))
    assert alarms(events) == []
    fail(site, OFFICE, "user 30")
    assert [one.detail["users"] for one in alarms(events)] == [30]


def test_where_the_client_is_not_known_no_network_is_to_blame(
    few: Site, events: list[Event]
) -> None:
    fail(few, "unknown", "ann", "bob", "cy", "dan", "ann", "ann", "ann")
    (alarm,) = alarms(events)
    assert (alarm.name, alarm.detail["networks"]) == ("login_guessing", 0)
    assert summed(few) == FailedLogins(7, 4, 0, (), 1)


def test_while_all_seem_to_come_from_a_proxy_no_network_is_to_blame(
    few: Site, events: list[Event]
) -> None:
    few.guard.detection.population.crowd = object()  # type: ignore[assignment] # any will do
    fail(few, "10.0.0.1", "ann", "bob", "cy")
    assert alarms(events) == []
    assert summed(few).networks == 0


def test_admins_are_not_flooded(few: Site, events: list[Event]) -> None:
    """Whoever makes names up makes 10 alarms a minute for each process."""
    for number in range(30):
        fail(few, ATTACKER, *[f"user {number}"] * 4)
    assert Counter(one.name for one in alarms(events)) == {"login_guessing": 10, "login_spray": 1}


# --- what is never done ---


@pytest.mark.slow
def test_no_account_is_ever_locked(site: Site, store: Store) -> None:
    """Who knows a name could keep its owner out; 10,000 wrong passwords change nothing."""
    alice = site.browser()
    alice.login()
    fail(site, ATTACKER, *["alice"] * 10_000)
    assert summed(site).attempts == 10_000
    again = site.browser(FIREFOX, ATTACKER)
    attempt = again.call("begin_login", "alice")
    assert again.call("login", "alice", attempt).user_id == "alice"
    assert again.see().user_id == "alice"
    assert alice.see().user_id == "alice"
    assert not alice.see().session.flagged


def test_a_login_that_succeeds_is_not_counted(site: Site) -> None:
    site.browser().login()
    assert summed(site) == NOTHING


def test_no_counter_holds_a_name(few: Site, store: Store) -> None:
    fail(few, ATTACKER, *["ann@example.org"] * 9)
    kinds = [f"failed_{kind}" for kind in ("pairs", "networks", "users", "rest", "attacks")]
    names = [name for kind in kinds for name in run(store.counts(kind, window=HOUR))]
    assert len(names) == 4
    assert not any("ann" in name for name in names)


def test_off_looks_at_nothing(make_site: MakeSite, store: Store, events: list[Event]) -> None:
    site = make_site(over=FaultyStore(store), detection={**FEW, "mode": "off"})
    fail(site, ATTACKER, *"abcdefgh")
    assert [one.name for one in events] == ["login_failed"] * 8
    calls = site.guard.store.calls  # type: ignore[attr-defined] # FaultyStore
    assert set(calls) - {"prepare", "close"} == {"append"}  # the former at the start


@pytest.mark.parametrize("precision", ["network", "none"])
def test_addresses_are_kept_as_the_settings_allow(
    make_site: MakeSite, store: Store, events: list[Event], precision: str
) -> None:
    site = make_site(detection=FEW, privacy={"address_precision": precision})
    fail(site, ATTACKER, "ann", "bob", "cy")
    kept = "198.51.100.0/24" if precision == "network" else ""
    (alarm,) = alarms(events)
    assert (alarm.address, alarm.detail["network"]) == (kept[:-3], kept)
    assert summed(site).worst == (FailedNetwork(kept, 3, 3),)
    names = [*run(store.counts("failed_networks", window=HOUR))]
    assert any("198.51.100" in name for name in names) is bool(kept)


# --- what it costs, and what a store that fails does ---


@pytest.mark.parametrize(
    ("address", "user", "counts"),
    [(ATTACKER, "ann", 3), (ATTACKER, None, 1), ("unknown", "ann", 2), ("unknown", None, 1)],
)
def test_what_a_failed_login_asks_of_the_store(
    make_site: MakeSite, store: Store, address: str, user: str | None, counts: int
) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty)
    for _ in range(2):
        faulty.calls.clear()
        fail(site, address, user)
        assert Counter(faulty.calls) - Counter(["prepare"]) == {"count": counts, "append": 1}
    for _ in range(70):
        fail(site, address, user)
    faulty.calls.clear()
    fail(site, address, user)  # more than 60 a minute: it is counted, and no line is written
    assert Counter(faulty.calls) == {"count": counts}


@pytest.mark.parametrize("down", [True, False])
def test_an_outage_costs_the_line_in_the_store_alone(
    make_site: MakeSite, store: Store, events: list[Event], down: bool
) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty, detection=FEW)
    fail(site, ATTACKER, "ann")
    if down:
        faulty.go_down()
    else:
        faulty.fail("count", times=100)
    faulty.calls.clear()
    fail(site, ATTACKER, *["bob"] * 5)
    assert [(one.name, one.user_id) for one in events[1:]] == [("login_failed", "bob")] * 5
    assert faulty.calls == ["count"] * 5
    faulty.heal()
    fail(site, ATTACKER, "bob", "cy")
    assert [one.name for one in alarms(events)] == ["login_spray"]


def test_a_store_of_somebody_else_costs_the_line_alone(
    make_site: MakeSite, store: Store, events: list[Event]
) -> None:
    make_site().browser().login()
    events.clear()
    site = make_site(identity_key="j" * 40, check_store_at_start=False)
    fail(site, ATTACKER, "ann")
    assert [one.name for one in events] == ["login_failed"]


class FailsAt(FaultyStore):
    """Fails one call, the `left`th from now."""

    left = 0
    when: Moment = "before"

    async def _pass(self, name: str, args: Any, kwargs: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.fail(name, when=self.when)
        return await super()._pass(name, args, kwargs)


@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("when", ["before", "after"])
def test_any_call_may_fail(
    make_site: MakeSite, store: Store, events: list[Event], at: int, when: Moment
) -> None:
    """Of the login that reaches both thresholds: pair, network, user, marks, and three lines."""
    faulty = FailsAt(store)
    site = make_site(over=faulty, detection=FEW)
    fail(site, ATTACKER, "ann", "bob")
    fail(site, OFFICE, "dan", "dan", "dan")
    events.clear()
    faulty.calls.clear()
    faulty.left, faulty.when = at, when
    fail(site, ATTACKER, "dan")
    assert [one.name for one in events if one.name == "login_failed"] == ["login_failed"]
    # What is counted when the store answers is told, whether its line can be written or not.
    assert len(alarms(events)) == (0 if at <= 3 else 2)
    assert len(faulty.calls) == (at if at <= 3 else 8)
    assert site.browser().login("dan").user_id == "dan"


def test_a_sign_in_reads_once_and_other_requests_never(make_site: MakeSite, store: Store) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    assert faulty.calls.count("counts") == 1
    alice.do()
    site.browser(FIREFOX, ATTACKER).cookies = dict(alice.cookies)
    alice.address = OFFICE
    alice.do()
    alice.call("reauthenticate")
    alice.call("logout")
    assert faulty.calls.count("counts") == 1


@pytest.mark.parametrize(
    "detection", [{"disable": ["failed_logins"]}, {"mode": "off"}], ids=["disabled", "off"]
)
def test_without_the_detector_a_sign_in_reads_nothing(
    make_site: MakeSite, store: Store, detection: dict[str, Any]
) -> None:
    faulty = FaultyStore(store)
    make_site(over=faulty, detection=detection).browser().login()
    assert "counts" not in faulty.calls


def test_a_sign_in_whose_read_fails_stands(make_site: MakeSite, store: Store) -> None:
    faulty = FaultyStore(store)
    alice = make_site(over=faulty).browser()
    faulty.fail("counts")
    alice.login()
    assert alice.see().user_id == "alice"


# --- the sign-in amid an attack ---


def signals(browser: Browser, user: str = "alice") -> list[tuple[str, float]]:
    """Sign in, and return what counts against it."""

    async def later(visit: Visit) -> Any:
        await visit.login(user)
        return visit.signals

    def job(visit: Any) -> Any:
        if isinstance(visit, Visit):
            return later(visit)
        visit.login(user)
        return visit.signals

    result = browser.do(job, method="POST")
    assert result.error is None
    return [(one.code, one.weight) for one in result.value]


AMID = "signed_in_amid_attack"


@pytest.mark.parametrize(
    ("attacked", "address", "found"),
    [
        ([], ATTACKER, []),
        ([(ATTACKER, "ann"), (ATTACKER, "bob")], ATTACKER, []),
        ([(ATTACKER, "ann"), (ATTACKER, "bob"), (ATTACKER, "cy")], ATTACKER, [(AMID, 2.6)]),
        ([(ATTACKER, "ann"), (ATTACKER, "bob"), (ATTACKER, "cy")], "198.51.100.1", [(AMID, 2.6)]),
        ([(ATTACKER, "ann"), (ATTACKER, "bob"), (ATTACKER, "cy")], HOME, []),
        ([(f"198.51.{one}.1", "alice") for one in range(4)], HOME, [(AMID, 2.6)]),
        ([(f"198.51.{one}.1", "bob") for one in range(4)], HOME, []),
        ([(ATTACKER, one) for one in ("ann", "bob", *["alice"] * 4)], ATTACKER, [(AMID, 3.6)]),
        ([("unknown", one) for one in ("ann", "bob", "cy")], "unknown", []),
        ([("unknown", "alice")] * 4, "unknown", [(AMID, 2.6)]),
    ],
)
def test_a_sign_in_amid_an_attack_is_weighed(
    few: Site, attacked: list[tuple[str, str]], address: str, found: list[tuple[str, float]]
) -> None:
    for where, user in attacked:
        fail(few, where, user)
    browser = few.browser(address=address)
    assert signals(browser) == found
    assert not browser.see().session.flagged  # alone it is no flag


def test_a_known_device_is_no_attacker(few: Site, clock: FakeClock) -> None:
    alice = few.browser(address=ATTACKER)
    alice.login()
    alice.call("logout")
    fail(few, ATTACKER, "ann", "bob", *["alice"] * 5)
    assert signals(alice) == []
    alice.cookies.clear()
    assert signals(alice) == [(AMID, 3.6)]
    clock.advance(3600)  # the hour is over
    alice.cookies.clear()
    assert signals(alice) == []


@pytest.mark.parametrize(
    ("address", "both", "flagged"),
    [
        (CABLE, False, False),  # a new device in the same country: 3.6
        (CABLE, True, True),  # and from a network under attack: 4.6
        ("192.0.2.9", False, True),  # and in a country that is new: 5.8
    ],
)
def test_with_a_new_device_it_is_a_flag(
    make_site: MakeSite,
    demo_databases: dict[str, str],
    clock: FakeClock,
    address: str,
    both: bool,
    flagged: bool,
) -> None:
    site = make_site(detection={**FEW, **demo_databases})
    alice = site.browser(address="203.0.113.129")
    alice.login()
    clock.advance(86_400 + 3600)
    alice.login()  # a day later all is known
    fail(site, address if both else ATTACKER, *(["ann", "bob"] if both else []), *["alice"] * 4)
    browser = site.browser(FIREFOX, address)
    assert AMID in dict(signals(browser))
    assert browser.see().session.flagged is flagged


def test_what_observe_does(make_site: MakeSite) -> None:
    site = make_site(detection={**FEW, "mode": "observe"})
    fail(site, ATTACKER, "ann", "bob", *["alice"] * 4)
    browser = site.browser(address=ATTACKER)
    assert signals(browser) == [(AMID, 3.6)]
    assert browser.see().session.flagged is False


# --- the sum ---


def test_the_sum_of_an_hour(
    make_site: MakeSite, demo_databases: dict[str, str], clock: FakeClock
) -> None:
    site = make_site(detection={**FEW, **demo_databases})
    assert summed(site) == NOTHING
    fail(site, HOME, "ann", "ann", "bob")
    fail(site, ATTACKER, *["ann"] * 5, None)
    fail(site, "unknown", "cy", 7, "7")
    found = summed(site)
    assert (found.attempts, found.users, found.networks, found.guessed) == (12, 4, 2, 1)
    first, second = found.worst
    assert (first.prefix, first.attempts, first.users) == ("203.0.113.0/24", 3, 2)
    assert first.place
    assert first.organisation
    assert (second.prefix, second.attempts, second.users) == ("198.51.100.0/24", 6, 1)
    clock.advance(3600)
    assert summed(site) == NOTHING


def test_the_worst_networks_are_named_and_no_more(few: Site) -> None:
    for number in range(WORST + 5):
        fail(few, f"198.51.{number}.1", *(f"user {one}" for one in range(1 + number % 7)))
    worst = summed(few).worst
    assert len(worst) == WORST
    order = [(-one.users, -one.attempts) for one in worst]
    assert order == sorted(order)


def test_a_user_is_the_one_who_would_sign_in(few: Site, events: list[Event]) -> None:
    """Numbers as text, and what can be no id all the same."""
    fail(few, ATTACKER, 7, "7", 7, "7")
    assert [one.user_id for one in alarms(events)] == ["7"]
    fail(few, OFFICE, "\ud800", "", "x" * 5000, None)
    assert summed(few).users == 3


def fill(store: Store, *kinds: str, count: int = MAX_COUNTER_NAMES, now: int = START) -> None:
    """Count as many names of these kinds as a store tells apart, or so many."""
    assert isinstance(store, MemoryStore)
    for kind in kinds:
        counters = store._counters.at(f"failed_{kind}", HOUR, now)
        counters.update({f"made up {number}": 1 for number in range(count)})


def test_more_pairs_than_a_store_tells_apart_hide_no_network(
    few: Site, store: Store, events: list[Event]
) -> None:
    """Each attempt counts as another user of its network."""
    fill(store, "pairs")
    fail(few, ATTACKER, "ann", "ann", "ann")
    assert [one.name for one in alarms(events)] == ["login_spray"]
    assert summed(few).attempts == 3


@pytest.mark.parametrize(
    ("kind", "name", "detail"),
    [
        ("users", "login_guessing", {"users": MAX_COUNTER_NAMES}),
        ("networks", "login_spray", {"networks": MAX_COUNTER_NAMES}),
    ],
)
def test_more_names_than_a_store_tells_apart_are_an_alarm(
    few: Site,
    store: Store,
    events: list[Event],
    clock: FakeClock,
    kind: str,
    name: str,
    detail: dict[str, int],
) -> None:
    """Whom a flood of made-up names hides is not known, and that there may be somebody is."""
    alice = few.browser(address=HOME)
    alice.login()
    alice.call("logout")
    fill(store, kind)
    for user in ("ann", "ann", "ann", "bob"):  # one user less than of a spray
        fail(few, ATTACKER, user)
    (alarm,) = [one for one in alarms(events) if one.detail == detail]
    assert (alarm.name, alarm.notify) == (name, "admins")
    assert (alarm.user_id, alarm.public_id) == (None, None)
    whose = kind.removesuffix("s")
    assert alarm.reason == (
        f"sign-ins of more than 10,000 {whose}s failed within the hour: "
        "the others are not told apart, and attacks on them not named"
    )
    fail(few, ATTACKER, "cy", "dan")
    assert [one.detail for one in alarms(events)].count(detail) == 1
    assert signals(alice) == []  # on a device that is known
    assert signals(few.browser(address=HOME), "zoe") == [(AMID, 2.6)]
    clock.advance(3600)
    assert signals(few.browser(address=HOME), "yan") == []
    fill(store, kind, now=clock())
    fail(few, ATTACKER, "ann")
    assert [one.detail for one in alarms(events)].count(detail) == 2


def test_as_many_names_as_a_store_tells_apart_are_none(
    few: Site, store: Store, events: list[Event]
) -> None:
    fill(store, "users", "networks", count=MAX_COUNTER_NAMES - 1)
    fail(few, ATTACKER, "ann", "ann")
    assert alarms(events) == []
    assert signals(few.browser(address=HOME)) == []


def test_more_attacks_than_a_store_tells_apart_are_every_sign_ins(few: Site, store: Store) -> None:
    fill(store, "attacks", count=MAX_COUNTER_NAMES - 1)
    assert signals(few.browser(address=HOME)) == []
    fail(few, ATTACKER, *["bob"] * 4)
    assert signals(few.browser(address=HOME)) == [(AMID, 2.6)]


def test_a_mark_that_fails_is_made_by_the_next(
    make_site: MakeSite, store: Store, events: list[Event]
) -> None:
    fill(store, "users")
    faulty = FailsAt(store)
    site = make_site(over=faulty, detection=FEW)
    site.browser(address=ATTACKER).see()
    faulty.left = 4  # pairs, networks, users, and the mark
    fail(site, ATTACKER, "ann")
    assert alarms(events) == []
    fail(site, ATTACKER, "ann")
    assert [one.detail for one in alarms(events)] == [{"users": MAX_COUNTER_NAMES}]


@pytest.mark.slow
def test_a_flood_of_names_does_not_hide_a_guesser(make_guard: MakeGuard) -> None:
    """The whole way, over a store that is filled as an attacker would."""
    guard = make_guard()
    run_sync(guard.ready())
    address, far = ip_address(ATTACKER), ip_address(HOME)
    told = [
        attack
        for number in range(MAX_COUNTER_NAMES + 100)
        for attack in run_sync(count(guard, address, f"made up {number}"))
    ]
    assert [(one.on, one.name) for one in told] == [("network", "198.51.100.0/24"), ("user", MORE)]
    for number in range(50):  # from everywhere: no network has many
        assert run_sync(count(guard, ip_address(f"192.0.{number}.1"), "bob")) == ()
    assert run_sync(attacks_on(guard, far, guard.alias("bob"))) == {MORE}


# --- three stores, and races ---


class PatientSQLite(SQLiteStore):
    """Waits for others as long as a busy machine takes."""

    deadline = 20_000


def redis_store(server: zoo.Server, clock: FakeClock, *, suspends: bool) -> RedisStore:
    """With patience: a busy machine is no outage."""
    return RedisStore(server.url, namespace="default", suspends=suspends, clock=clock, deadline=20)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def each_store(
    request: pytest.FixtureRequest, world: str, clock: FakeClock, tmp_path: Path
) -> Iterator[Store]:
    """A real store of each kind, at the clock of the test."""
    suspends = world == "asgi"
    if request.param == "memory":
        yield MemoryStore(clock=clock)
    elif request.param == "sqlite":
        yield PatientSQLite(tmp_path / "store.db", suspends=suspends, clock=clock)
    else:
        with zoo.server(zoo.SYSTEM, tmp_path) as server:
            store = redis_store(server, clock, suspends=suspends)
            yield store
            if not suspends:  # else it was closed with each loop
                run_sync(store.close())


class Closing(Site):
    """A site that closes its store with each loop that was made for a request."""

    async def _serve_asgi(self, *request: Any) -> None:
        await super()._serve_asgi(*request)
        await self.guard.close()


@pytest.mark.slow
def test_over_each_store(
    world: str, make_guard: MakeGuard, each_store: Store, events: list[Event], clock: FakeClock
) -> None:
    site = Closing(world, make_guard(over=each_store, detection=FEW, check_store_at_start=False))
    fail(site, ATTACKER, "ann", "bob", "cy", "cy", "cy", "cy", None)
    fail(site, HOME, "dan")
    assert Counter(one.name for one in alarms(events)) == {"login_spray": 1, "login_guessing": 1}
    found = summed(site)
    assert (found.attempts, found.users, found.networks, found.guessed) == (8, 4, 2, 1)
    assert [(one.prefix, one.attempts, one.users) for one in found.worst] == [
        ("198.51.100.0/24", 7, 3),
        ("203.0.113.0/24", 1, 1),
    ]
    assert signals(site.browser(address=ATTACKER), "cy") == [(AMID, 3.6)]
    assert signals(site.browser(address=HOME), "ann") == []
    clock.advance(3600)
    assert summed(site) == NOTHING


class Rivals:
    """Threads that report failed logins at once, each with a guard and a store of its own."""

    def __init__(self, make: Callable[[], Store], events: list[Event]) -> None:
        self.guards = [
            Guard(
                {
                    "secret_keys": [SECRET],
                    "identity_key": IDENTITY,
                    "detection": FEW,
                    "check_store_at_start": False,
                },
                store=make(),
                sinks=[events.append],
            )
            for _ in range(4)
        ]

    def go(self, times: int) -> None:
        start = threading.Barrier(len(self.guards))

        def work(guard: Guard) -> None:
            site = Site("wsgi", guard)
            start.wait()
            for number in range(times):
                fail(site, ATTACKER, f"user {number % 5}")
            run_sync(guard.store.close())  # each thread has connections of its own

        threads = [threading.Thread(target=work, args=(guard,)) for guard in self.guards]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
def test_of_many_at_once_none_is_lost_and_each_alarm_is_told_once(
    kind: str, tmp_path: Path, events: list[Event], clock: FakeClock
) -> None:
    one = MemoryStore(clock=clock)
    with zoo.server(zoo.SYSTEM, tmp_path) as server:
        makers: dict[str, Callable[[], Store]] = {
            "memory": lambda: one,
            "sqlite": lambda: PatientSQLite(tmp_path / "store.db", clock=clock),
            "redis": lambda: redis_store(server, clock, suspends=False),
        }
        rivals = Rivals(makers[kind], events)
        rivals.go(25)
        found = rivals.guards[0].sync.failed_logins()
        run_sync(rivals.guards[0].blocking().store.close())
    assert (found.attempts, found.users, found.networks, found.guessed) == (100, 5, 1, 5)
    assert found.worst == (FailedNetwork("198.51.100.0/24", 100, 5),)
    assert sorted((one.name, str(one.user_id)) for one in alarms(events)) == [
        *(("login_guessing", f"user {number}") for number in range(5)),
        ("login_spray", "None"),
    ]


PROCESS = """
import sys
from ipaddress import ip_address
from gatehound import Guard
from gatehound._sync import run_sync
from gatehound.guessing import count
from gatehound.stores.redis import RedisStore
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import FakeClock

place, secret, identity = sys.argv[1:]
SQLiteStore.deadline = 20_000
if place.startswith("redis:"):
    store = RedisStore(place, namespace="default", suspends=False, clock=FakeClock(), deadline=20)
else:
    store = SQLiteStore(place, clock=FakeClock())
settings = {"secret_keys": [secret], "identity_key": identity, "check_store_at_start": False}
guard = Guard(settings, store=store, sinks=[]).blocking()
run_sync(guard.ready())
input()  # all begin at once
found = []
for number in range(200):
    address = ip_address(f"198.51.100.{number}")
    found += run_sync(count(guard, address, f"user {number % 25}"))
print(*(one.on for one in found))
"""


@pytest.mark.full
@pytest.mark.ci
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_of_many_processes_none_is_lost_and_each_threshold_is_met_once(
    make_guard: MakeGuard, kind: str, tmp_path: Path, clock: FakeClock
) -> None:
    with zoo.server(zoo.SYSTEM, tmp_path) as server:
        file = tmp_path / "store.db"
        store: Store = PatientSQLite(file, clock=clock)
        if kind == "redis":
            store = redis_store(server, clock, suspends=False)
        place = server.url if kind == "redis" else str(file)
        command = [sys.executable, "-c", PROCESS, place, SECRET, IDENTITY]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running: list[Any] = [subprocess.Popen(command, **pipes) for _ in range(3)]
        for one in running:
            one.stdin.write("go\n")
            one.stdin.flush()
        met = Counter(" ".join(one.communicate(timeout=60)[0] for one in running).split())
        found = make_guard(over=store, check_store_at_start=False).sync.failed_logins()
        run_sync(store.close())
    assert met == {"network": 1, "user": 25}
    assert (found.attempts, found.users, found.networks, found.guessed) == (600, 25, 1, 25)
    assert found.worst == (FailedNetwork("198.51.100.0/24", 600, 25),)


# --- the accounting, against a model ---

ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from([None, "198.51.100.1", "198.51.100.2", "192.0.2.1", "2001:db8::1"]),
        st.sampled_from([None, "ann", "bob", "cy", "dan"]),
    ),
    max_size=40,
)


class Model:
    """Failed logins kept whole, and counted by walking over them."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str | None]] = []

    def add(self, address: str | None, user: str | None) -> set[str]:
        """Note one; return what it made an attack of."""
        network = address and (
            address.rpartition(".")[0] + ".0/24" if "." in address else "2001:db8::/48"
        )
        before = self._sums()
        self.seen.append((network, user))
        after = self._sums()
        return {on for on in after if after[on] != before[on]}

    def _sums(self) -> dict[str, int]:
        networks = {one for one, _ in self.seen if one}
        users = Counter(user for _, user in self.seen if user)
        sprayed = [len({u for n, u in self.seen if n == one and u}) >= 3 for one in networks]
        return {"network": sum(sprayed), "user": sum(times >= 4 for times in users.values())}

    def report(self) -> FailedLogins:
        networks = Counter(one for one, _ in self.seen if one)
        users = Counter(user for _, user in self.seen if user)
        worst = [
            FailedNetwork(name, times, len({u for n, u in self.seen if n == name and u}))
            for name, times in networks.items()
        ]
        worst.sort(key=lambda one: (-one.users, -one.attempts, one.prefix))
        guessed = self._sums()["user"]
        return FailedLogins(len(self.seen), len(users), len(networks), tuple(worst), guessed)


@pytest.mark.slow
def test_the_accounting_is_that_of_a_simple_model(make_guard: MakeGuard, clock: FakeClock) -> None:
    """Does not check what comes over an hour or 10,000 names: the tests above do."""
    guard = make_guard(detection=FEW).blocking()

    @settings(deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(attempts=ATTEMPTS)
    def check(attempts: Any) -> None:
        clock.advance(3600)  # each example has an hour of its own
        model = Model()
        for address, user in attempts:
            found = run_sync(count(guard, address and ip_address(address), user))
            assert {one.on for one in found} == model.add(address, user)
        assert run_sync(guard.failed_logins()) == model.report()

    check()


def test_a_sum_is_whole_where_counters_are_doubles() -> None:
    """Lua counts in doubles: more names than a store has, times what lies above the attempts."""
    assert (MAX_COUNTER_NAMES + 1) * FIRST < 1 << 53


# --- settings ---


@pytest.mark.parametrize("name", ["users_per_network", "attempts_per_user"])
@pytest.mark.parametrize("given", [-1, 0, 1, 1001])
def test_thresholds_that_say_nothing(name: str, given: int) -> None:
    with pytest.raises(SettingsError) as caught:
        Guard(
            {
                "secret_keys": [SECRET],
                "identity_key": IDENTITY,
                "store": "memory://",
                "detection": {"failed_logins": {name: given}},
            }
        )
    (problem,) = caught.value.problems
    assert problem.startswith(
        f"detection.failed_logins.{name}: {given} was given; it is 2 or more, and at most 1000"
    )
