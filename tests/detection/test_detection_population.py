"""What many users do at once: addresses of a proxy, and sessions that move together.

Attack properties: who has many accounts cannot switch network evidence off with them. Not checked:
what a site shares whose users are few and nearly all the attacker's.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from itertools import cycle
from typing import Any

import detection_kit as kit
import pytest
from detection_kit import AMERICA, CELL, ISP, ISP_OTHER, NOW, Story, codes, detection, session
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound.detection import Known, PopulationMove, prefix_of
from gatehound.detection.detectors import population as detector
from gatehound.detection.evidence import Evidence
from gatehound.detection.population import (
    ENOUGH,
    FEW,
    HELD,
    MAX_MOVES,
    MAX_USERS,
    MOVED,
    NEARLY_ALL,
    SHARE,
    WINDOW,
    Crowd,
    Population,
)
from gatehound.model import Network, NetworkKind

PRIVATE, EDGE, OFFICE = "10.0.0.7", "173.245.48.9", "198.51.100.20"


def home(number: int) -> str:
    """An address in a /24 of its own."""
    return f"203.{number >> 8 & 255}.{number & 255}.1"


class Site:
    """A population whose users are numbers."""

    def __init__(self, shared: Iterable[str] = ()) -> None:
        self.population = Population(shared)
        self.now = NOW

    def use(self, user: int, address: str | None, *, after: float = 0.0) -> Crowd | None:
        self.now += after
        found = None if address is None else ip_address(address)
        packed = None if found is None else found.packed
        self.population.note(user.to_bytes(12), packed, prefix_of(found), self.now)
        return self.population.crowd

    def fill(
        self, addresses: Iterable[str | None], *, first: int = 0, after: float = 0.0
    ) -> Crowd | None:
        for user, address in enumerate(addresses, first):
            self.use(user, address, after=after)
        return self.population.crowd


def test_the_numbers() -> None:
    assert (ENOUGH, FEW, SHARE, NEARLY_ALL, WINDOW, HELD) == (20, 5, 0.25, 0.9, 3600.0, 3600.0)
    assert (MAX_USERS, MOVED, MAX_MOVES) == (10_000, 10, 2_000)


# --- addresses that no client can have ---


@pytest.mark.parametrize(
    ("group", "addresses"),
    [
        ("private", ["10.0.0.7"]),
        ("private", ["10.1.2.3", "172.16.0.1", "192.168.7.7", "100.64.0.1", "169.254.1.1"]),
        ("private", ["127.0.0.1", "::1", "fd00::7", "fe80::1"]),
        ("hidden", [None]),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("users", "is_crowd"), [(5, False), (6, True), (20, True)])
def test_over_a_quarter_with_an_address_that_no_client_can_have(
    group: str, addresses: list[str | None], users: int, is_crowd: bool
) -> None:
    site = Site()
    given = cycle(addresses)
    crowd = site.fill([next(given) if n < users else home(n) for n in reversed(range(ENOUGH))])
    assert (crowd is not None) is is_crowd
    if crowd is not None:
        assert (crowd.groups, crowd.users, crowd.active) == ((group,), users, ENOUGH)
        assert crowd.address in {str(one or "") for one in addresses}


def test_of_fewer_than_twenty_nothing_is_said() -> None:
    site = Site()
    assert site.fill([PRIVATE] * 19) is site.use(0, PRIVATE) is None
    assert site.use(19, PRIVATE) is not None


def test_the_crowd_is_as_it_was_when_it_was_found() -> None:
    site = Site()
    crowd = Crowd(("hidden",), 10, 20, "")
    assert site.fill([PRIVATE, None] * 10) == crowd == site.fill([PRIVATE, None] * 20)


@pytest.mark.parametrize(("users", "is_crowd"), [(6, False), (17, False), (18, True)])
def test_a_cdn_is_one_network_and_its_workers_are_no_proxy(users: int, is_crowd: bool) -> None:
    """Whoever rents a Worker comes from the addresses of the edge."""
    edges = cycle([EDGE, "2606:4700::1", "2a06:98c0:3600::103", "151.101.1.1"])
    crowd = Site().fill([home(n) for n in range(20 - users)] + [next(edges) for _ in range(users)])
    assert (crowd is not None) is is_crowd
    if crowd is not None:
        assert (crowd.groups, crowd.users) == (("cdn",), users)


# --- public networks ---


@pytest.mark.parametrize(("users", "is_crowd"), [(17, False), (18, True), (20, True)])
def test_one_office_is_no_proxy_and_all_in_one_network_are(users: int, is_crowd: bool) -> None:
    crowd = Site().fill([home(n) for n in range(20 - users)] + [OFFICE] * users)
    assert crowd == (Crowd(("198.51.100.0/24",), users, 20, OFFICE) if is_crowd else None)


def test_n27_a_pool_of_three_balancers_covers_all() -> None:
    pool = ["192.0.2.1", "198.51.100.1", "203.0.113.1"]
    crowd = Site().fill(pool * 10)
    assert crowd is not None
    assert set(crowd.groups) == {"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"}
    assert Site().fill([home(n) for n in range(4)] + pool * 9) is None, "27 of 31 are under 90%"


def test_four_networks_of_a_quarter_each_are_four_towns() -> None:
    """And those for documentation and benchmarks are no private ones."""
    assert Site().fill(["192.0.2.1", "198.18.0.1", "203.0.113.1", "2001:db8::1"] * 20) is None


def test_shared_networks_are_left_out() -> None:
    site = Site(["198.51.100.0/24", "10.0.0.0/8", "2001:db8::/32"])
    assert site.fill([OFFICE, PRIVATE, "2001:db8::9"] * 20) is None
    assert site.fill(["192.168.0.1"] * 30, first=100) is not None, "the other private ones are not"


# --- begins once, holds, ends ---


def told(site: Site) -> tuple[bool, Crowd | None, bool]:
    """Whether there is something to tell, what is told then, and whether it still is."""
    population = site.population
    return population.is_due, population.tell(), population.is_due


def test_it_is_told_once() -> None:
    site = Site()
    assert told(site) == (False, None, False)
    crowd = site.fill([PRIVATE] * 30)
    assert told(site) == (True, crowd, False)
    site.fill([PRIVATE] * 40)
    assert told(site) == (False, None, False)
    site.now += HELD
    assert site.use(0, PRIVATE, after=1) is not None
    site.now += HELD
    assert site.fill((home(n) for n in range(40)), after=1) is None
    assert site.fill([PRIVATE] * 40) is not None
    assert told(site) == (False, None, False), "a process says it once in its life"


def test_it_holds_at_night() -> None:
    """Three users at four in the morning show nothing: their addresses are still the proxy's."""
    site = Site()
    site.fill([PRIVATE] * 30)
    site.now += 2 * WINDOW
    for user in range(3):
        assert site.use(user, PRIVATE, after=60) is not None
    site.now += 2 * WINDOW
    assert site.fill([PRIVATE] * 30) is not None


@pytest.mark.parametrize(("address", "few"), [(PRIVATE, 30), (None, 30), (OFFICE, 5)])
def test_it_ends_an_hour_after_the_share_fell(address: str | None, few: int) -> None:
    """10 of 40 are no more than a quarter, and 35 of 40 under nine tenths."""
    site = Site()
    site.fill([address] * 40)
    for user in range(few - 1):
        assert site.use(user, home(user), after=60) is not None
    met = site.now
    assert site.use(few - 1, home(few - 1), after=60) is not None
    site.fill(home(user) if user < few else address for user in range(40))  # and all are active
    site.now = met + HELD
    assert site.use(0, home(0)) is not None
    assert site.use(0, home(0), after=1) is None


def test_a_few_users_say_that_it_is_gone() -> None:
    site = Site()
    site.fill([PRIVATE] * 40)
    site.now += WINDOW + 1
    assert site.fill(home(n) for n in range(4)) is not None, "of so few a share says nothing"
    assert site.use(4, home(4)) is None


def test_who_was_not_seen_for_an_hour_does_not_count() -> None:
    site = Site()
    site.fill([PRIVATE] * 10)
    site.now += WINDOW + 1
    assert site.fill((home(n) for n in range(10, 29)), first=10) is None
    site = Site()
    site.fill([PRIVATE] * 10)
    site.now += WINDOW
    site.fill((home(n) for n in range(10, 29)), first=10)
    assert site.use(0, PRIVATE) is not None, "10 of 29, and nobody is forgotten"


def test_the_bound_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehound.detection.population.MAX_USERS", 100)
    site = Site()
    site.fill([PRIVATE] * 60)
    site.fill((home(n) for n in range(100)), first=60)
    groups = site.population._groups
    assert len(site.population._users) == sum(groups.values()) == 100
    assert "private" not in groups


addresses = st.sampled_from([None, PRIVATE, "192.168.1.1", EDGE, OFFICE]) | st.integers(0, 9).map(
    home
)
visits = st.lists(st.tuples(st.integers(0, 40), addresses, st.integers(0, 400)), max_size=150)


@pytest.mark.slow
@kit.FIXED
@given(visits)
def test_who_is_active_from_where_is_counted_as_from_scratch(
    steps: list[tuple[int, str | None, int]],
) -> None:
    """Oracle: the last visit of each user within the hour. Not checked: what threads lose."""
    site = Site()
    last: dict[int, tuple[str, float]] = {}
    for user, address, after in steps:
        site.use(user, address, after=after)
        group = _group(address)
        last[user] = group, site.now
        last = {one: seen for one, seen in last.items() if seen[1] >= site.now - WINDOW}
        counted = site.population._groups
        assert dict(counted) == {
            name: sum(1 for one, _ in last.values() if one == name)
            for name in {name for name, _ in last.values()}
        }
        impossible = {"private", "hidden"}
        shares = {name: number / len(last) for name, number in counted.items()}
        if len(last) >= ENOUGH and shares[group] > SHARE and group in impossible:
            assert site.population.crowd is not None


def _group(address: str | None) -> str:
    if address is None:
        return "hidden"
    known = {PRIVATE: "private", "192.168.1.1": "private", EDGE: "cdn"}
    return known.get(address) or prefix_of(ip_address(address))


# --- who has many accounts ---


@st.composite
def crowds(draw: st.DrawFn) -> tuple[int, list[str]]:
    """So many accounts of an attacker on one network, and honest users everywhere, in any order."""
    total = draw(st.integers(ENOUGH, 120))
    own = draw(st.integers(0, total))
    order = draw(st.permutations([OFFICE] * own + [home(n) for n in range(total - own)]))
    return own, order


@pytest.mark.slow
@kit.FIXED
@given(crowds())
def test_one_public_network_is_a_crowd_at_nine_tenths_and_never_before(
    given: tuple[int, list[str]],
) -> None:
    """Whatever the order, and at each moment. Honest networks are under a quarter each."""
    site, was_met = Site(), False
    for active, address in enumerate(given[1], 1):
        crowd = site.use(active, address)
        own = given[1][:active].count(OFFICE)
        was_met |= active >= ENOUGH and own >= NEARLY_ALL * active
        assert crowd is None or was_met
    if given[0] >= NEARLY_ALL * len(given[1]):
        assert site.use(given[1].index(OFFICE), OFFICE) is not None


@pytest.mark.slow
@kit.FIXED
@given(st.integers(1, 3), st.integers(30, 120), st.data())
def test_an_attacker_with_several_networks_needs_as_many_accounts(
    networks: int, total: int, data: st.DataObject
) -> None:
    own = data.draw(st.integers(0, -(-9 * total // 10) - 1))
    site, used = Site(), cycle([f"198.51.{n}.1" for n in range(networks)])
    site.fill(home(n) for n in range(total - own))
    for user in range(total - own, total):
        assert site.use(user, next(used)) is None


def test_who_made_a_crowd_by_night_does_not_keep_it_by_day() -> None:
    """Twenty accounts and two users at night; a site that never has twenty users at once."""
    site = Site()
    assert site.fill([*[OFFICE] * 20, home(1), home(2)]) is not None, "20 of 22"
    for hour in range(48):
        site.now += WINDOW + 1
        site.fill((home(n) for n in range(10)), first=100 + hour)
    assert site.population.crowd is None


# --- sessions that move ---


def test_ten_sessions_within_the_hour() -> None:
    population = Population()
    counts = [population.note_move(str(n), AMERICA, NOW + n * 300) for n in range(12)]
    assert counts == list(range(1, 13))
    assert population.note_move("later", AMERICA, NOW + 11 * 300 + WINDOW) == 2
    assert population.note_move("much later", AMERICA, NOW + 5 * WINDOW) == 1


def test_the_same_session_counts_once() -> None:
    population = Population()
    assert {population.note_move("one", AMERICA, NOW + n) for n in range(50)} == {1}
    assert population.note_move("two", AMERICA, NOW + 50) == 2


def test_who_comes_once_more_counts_for_an_hour_from_then() -> None:
    population = Population()
    population.note_move("one", AMERICA, NOW)
    population.note_move("two", AMERICA, NOW + 1)
    population.note_move("one", AMERICA, NOW + 1800)
    assert population.note_move("three", AMERICA, NOW + WINDOW + 2) == 2  # two has gone
    assert population.note_move("four", AMERICA, NOW + 1800 + WINDOW) == 3
    assert population.note_move("five", AMERICA, NOW + 1800 + WINDOW + 1) == 3  # and so has one
    assert population.note_move("six", AMERICA, NOW + 3 * WINDOW) == 1
    assert len(population._moves) == 1


def test_one_who_comes_again_and_again_pushes_nobody_out() -> None:
    """Each request of a flagged session is new to it, and a thief could make many."""
    population = Population()
    for name in "abcdefgh":
        population.note_move(name, AMERICA, NOW)
    for n in range(2 * MAX_MOVES):
        population.note_move("thief", CELL if n % 2 else AMERICA, NOW + 1 + n / 1000)
    assert population.note_move("i", AMERICA, NOW + 10) == 10


def test_two_moves_of_one_moment_are_forgotten_once() -> None:
    population = Population()
    for name in ("one", "one", "two", "three"):
        population.note_move(name, AMERICA, NOW)
    assert population.note_move("four", AMERICA, NOW + WINDOW + 1) == 1


def test_a_clock_that_steps_back_keeps_nobody() -> None:
    population = Population()
    for n in range(30):
        population.note(b"%d" % n, b"\xcb\0\x71\1", "203.0.113.0/24", NOW + 11 * 86_400)
    for n in range(30):
        population.note(b"%d" % n, b"\xcb\0\x71\1", "203.0.113.0/24", NOW)
    population.note(b"later", b"\xcb\0\x71\1", "203.0.113.0/24", NOW + 2 * WINDOW)
    assert list(population._users) == [b"later"]


def test_one_provider_is_one_place_and_a_prefix_where_none_is_known() -> None:
    population, bare = Population(), Network(prefix="192.0.2.0/24")
    assert population.note_move("one", AMERICA, NOW) == 1
    assert population.note_move("two", replace(AMERICA, prefix="203.0.115.0/24"), NOW) == 2
    assert population.note_move("one", bare, NOW) == 1
    assert population.note_move("two", bare, NOW) == 2
    assert population.note_move("three", Network(prefix="192.0.3.0/24"), NOW) == 1
    assert population.note_move("one", Network(), NOW) == 0


def test_the_bound_of_moves() -> None:
    population = Population()
    for n in range(MAX_MOVES + 50):
        assert population.note_move(str(n), Network(prefix=f"p{n}"), NOW) == 1
    assert len(population._moves) == MAX_MOVES


def known_of(network: Network) -> Known:
    evidence = Evidence()
    evidence.learn(network, kit.observe().device, kit.observe().agent_digest, NOW)
    return evidence.known()


def step_all(network: Network, agent: str, sessions: int = 12) -> list[list[str]]:
    """Sessions with homes of their own move to one network, a minute apart: what is found."""
    judge, found = detection(), []
    for n in range(sessions):
        story = Story(judge, session=session(f"{n:016x}", user_id=f"user {n}"))
        story.now += 60 * n
        story.step(replace(ISP_OTHER, asn=64700 + n))
        judged = story.step(network, agent)
        found.append([code for code in codes(judged) if code == "moved_with_others"])
        if found[-1]:
            (signal,) = (one for one in judged.verdict.signals if one.code == found[-1][0])
            changed = agent != kit.CHROME_WINDOWS
            assert signal.weight == (detector.POINTS if changed else detector.UNCHANGED)
            assert signal.detail["sessions"] == n + 1
            assert judged.verdict.action.name == ("NOTIFY" if changed else "RECORD")
    return found


@pytest.mark.slow  # the first parses two agents
@pytest.mark.parametrize("agent", [kit.CHROME_WINDOWS, kit.FIREFOX_LINUX])
def test_a30_the_tenth_session_is_told(agent: str) -> None:
    network = replace(ISP, prefix="203.0.116.0/24", asn=64510)
    assert step_all(network, agent) == [[]] * 9 + [["moved_with_others"]] * 3


@pytest.mark.parametrize("kind", ["mobile", "relay", "proxy", "vpn"])
def test_whole_sites_move_to_networks_of_some_kinds(kind: NetworkKind) -> None:
    assert step_all(replace(AMERICA, kind=kind), kit.CHROME_WINDOWS) == [[]] * 12


@pytest.mark.parametrize(
    ("case", "network", "changes", "counts"),
    [
        ("another provider", CELL, {}, True),
        ("without a database", Network(prefix="10.9.0.0/24"), {}, True),
        ("at sign-in nothing is known yet", CELL, {"known": Known()}, False),
        ("a known network", ISP, {}, False),
        ("another address of a known provider", ISP_OTHER, {}, False),
        ("one that the user's other sessions know", CELL, {"user_known": known_of(CELL)}, False),
        ("a context that the session used last", CELL, {"is_new_context": False}, False),
        ("no session", CELL, {"session": None}, False),
    ],
)
def test_what_counts_as_a_move(
    case: str, network: Network, changes: dict[str, Any], counts: bool
) -> None:
    population = Population()
    fields = {"network": network, "known": known_of(ISP), **changes}
    assert PopulationMove(population).inspect(kit.observe(**fields)) == []
    assert bool(population._moves) is counts, case
