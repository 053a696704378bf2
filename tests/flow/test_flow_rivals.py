"""Rivals over one store, and what only one of several ways shows: each test has one right answer.

Somebody else writes between a read and its write, another process judges the same session, or a
crowd stands while a session begins. Detectors here are made up, as in test_flow_acting.
"""

from __future__ import annotations

from typing import Any

import pytest
from flow_kit import CHROME, NAVIGATE, Browser, Site
from stepup_kit import MakeSite, OddHeader, asking, reached, thief_of

from gatehound import Action, Event, Observation, Session, Signal, Verdict
from gatehound.stores.answer import Remembered
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import FLAGGED
from gatehound.testing import FakeClock

PROXY = "10.0.0.1"
NAMED = {"mode": "x-forwarded-for", "trusted_proxies": ["10.0.0.0/8"]}
MINUTE = 60_000


class Contested(MemoryStore):
    """A store in which a rival writes to one session just before whoever writes to it first."""

    contested = b""  # the session
    rivals = 0  # how often
    flags = 0  # what the rival sets; with 0 it writes the memory as it is stored
    denies = False  # says once that the session is gone, though the next look finds it

    async def remember(
        self, alias: bytes, sid: bytes, secret_hash: bytes, **change: Any
    ) -> Remembered:
        if sid == self.contested and self.rivals:
            self.rivals -= 1
            if self.denies:
                return Remembered(done=False, now=0, gone=True)
            stored, _ = await self.recall(alias, sid)
            await super().remember(alias, sid, secret_hash, memory=stored, set_flags=self.flags)
        return await super().remember(alias, sid, secret_hash, **change)

    def contest(self, browser: Browser, *, rivals: int = 1, flags: int = 0) -> None:
        """Let rivals come first, from now on, wherever this browser's session is written."""
        self.contested = bytes.fromhex(browser.see(path="/again").session.public_id)
        self.rivals, self.flags = rivals, flags


@pytest.fixture
def store(clock: FakeClock) -> Contested:
    return Contested(clock=clock)


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event.name == name]


def state(browser: Browser) -> str:
    """What becomes of a browser that comes as always, on the page that asks for a proof."""
    seen = browser.see(path="/again")
    return "asked" if seen.action is Action.STEP_UP else "flagged" if seen.session.flagged else "in"


def signed_in(site: Site, *users: str, address: str = "203.0.113.7") -> list[Browser]:
    browsers = [site.browser(address=address) for _ in users]
    for browser, user in zip(browsers, users, strict=True):
        browser.login(user)
    return browsers


def odd(points: float) -> Any:
    """A detector that weighs the path /odd."""

    def inspect(observation: Observation) -> list[Signal]:
        is_odd = observation.request.path == "/odd"
        return [Signal("odd", points, "Used on an odd path")] if is_odd else []

    return inspect


# --- another process ---


def test_what_one_process_found_counts_on_a_sensitive_path_in_another(make_site: MakeSite) -> None:
    """Less than a flag, and from a context that is the newest known: no turn shows it there."""
    settings: dict[str, Any] = {
        "policy": {"sensitive_paths": ["/pay"]},
        "guard": {"detectors": [odd(3.6)]},
    }
    one, other = make_site(**settings), make_site(**settings)
    (alice,) = signed_in(one, "alice")
    alice.address = "198.51.100.7"
    assert alice.see(path="/odd").action is Action.RECORD
    alice.site = other
    assert alice.see(path="/mail").action is Action.ALLOW
    assert alice.see(path="/pay").action is Action.FLAG


# --- lost races ---


def test_who_judges_again_sees_what_the_rival_flagged(
    make_site: MakeSite, store: Contested
) -> None:
    flagged: list[bool] = []

    def note(observation: Observation) -> list[Signal]:
        assert observation.session is not None
        flagged.append(observation.session.flagged)
        return []

    (alice,) = signed_in(make_site(guard={"detectors": [note]}), "alice")
    store.contest(alice, flags=FLAGGED)
    flagged.clear()
    alice.address = "198.51.100.7"
    alice.do()
    assert (flagged, store.rivals) == ([False, True], 0)


@pytest.mark.parametrize("rivals", [1, 7])
@pytest.mark.parametrize("flags", [0, FLAGGED])
def test_a_demand_of_the_others_outlives_lost_races(
    make_site: MakeSite, store: Contested, events: list[Event], rivals: int, flags: int
) -> None:
    policy = {"terminate": 7.0, "on_terminate": "reauthenticate"}
    stolen, phone = signed_in(make_site(**asking(policy=policy)), "alice", "alice")
    store.contest(phone, rivals=rivals, flags=flags)
    thief_of(stolen).do()
    assert store.rivals == 0
    assert state(phone) == "asked"
    (asked,) = named(events, "step_up_required")
    assert asked.public_id == store.contested.hex()


@pytest.mark.parametrize("rivals", [1, 7])
def test_a_copy_that_came_too_late_flags_over_lost_races(
    make_site: MakeSite, store: Contested, clock: FakeClock, events: list[Event], rivals: int
) -> None:
    (alice,) = signed_in(make_site(session={"rotate_every": "30m"}), "alice")
    copy = thief_of(alice)
    clock.advance(1801)
    alice.do()  # renewed
    alice.do()  # and the new secret presented
    clock.advance(61)
    store.contest(alice, rivals=rivals)
    assert copy.do(lambda visit: visit.user_id).value is None
    assert store.rivals == 0
    (flagged,) = named(events, "session_flagged")
    assert flagged.reason == "An old copy of this session's cookie was used"
    assert state(alice) == "flagged"


def test_a_session_that_was_gone_and_is_found_was_not_judged(
    make_site: MakeSite, store: Contested
) -> None:
    """As a replica behind the others may say: this request is nobody's, and the next is judged."""
    site = make_site(guard={"detectors": [OddHeader()]})
    (alice,) = signed_in(site, "alice")
    store.contest(alice)
    store.denies = True
    thief = thief_of(alice)
    seen = thief.see()
    assert (store.rivals, seen.session, seen.user_id, seen.ended) == (0, None, None, None)
    assert (seen.action, seen.signals) == (Action.ALLOW, ())
    assert thief.see().session.flagged


# --- the app's hook ---


def test_what_one_route_asks_for_is_no_hijack(make_site: MakeSite) -> None:
    """Flagged, and not asked anywhere else: the app forces no new password for it."""
    told: list[tuple[Session, Verdict]] = []
    site = make_site(
        **asking(
            policy={"sensitive_paths": ["/pay"]},
            guard={
                "detectors": [lambda seen: odd_header(seen, 5.0)],
                "on_hijack": lambda *about: told.append(about),
            },
        )
    )
    (alice,) = signed_in(site, "alice")
    thief = thief_of(alice)
    for _ in range(2):
        assert thief.do(reached, path="/pay").status == 303
        assert told == []
    assert thief.see(path="/mail").action is Action.FLAG
    assert told == []


def odd_header(observation: Observation, points: float) -> list[Signal]:
    """What `OddHeader` finds, at another weight."""
    is_odd = observation.request.header("x-odd")
    return [Signal("odd_header", points, "Used with an odd header")] if is_odd else []


# --- a crowd that ends ---


def test_who_came_while_networks_were_no_evidence_is_a_stranger_afterwards(
    make_site: MakeSite, clock: FakeClock, demo_databases: dict[str, str]
) -> None:
    """The proxy hides most of its clients for a while, and names the owner and the thief."""
    site = make_site(client_ip=NAMED, detection=demo_databases)
    alice = site.browser(CHROME, PROXY)
    here, abroad = named_as("203.0.113.7"), named_as("192.0.2.66")
    login = alice.do(lambda visit: visit.login("alice"), method="POST", headers=here)
    assert login.error is None
    thief = Browser(site, CHROME, PROXY, dict(alice.cookies))
    others = signed_in(site, *[f"user {number}" for number in range(20)], address=PROXY)
    assert crowd_of(site) is not None
    assert thief.see(headers=abroad).signals == ()
    for _ in range(5):
        clock.advance(1500)
        for number, browser in enumerate(others):
            browser.do(headers=named_as(f"203.{number}.113.7"))
        alice.do(headers=here)
    assert crowd_of(site) is None
    assert "network_changed" in {signal.code for signal in thief.see(headers=abroad).signals}


def test_who_signs_in_while_networks_are_no_evidence_teaches_theirs_afterwards(
    make_site: MakeSite, clock: FakeClock, demo_databases: dict[str, str]
) -> None:
    site = make_site(client_ip=NAMED, detection=demo_databases)
    others = signed_in(site, *[f"user {number}" for number in range(20)], address=PROXY)
    assert crowd_of(site) is not None
    alice = site.browser(CHROME, PROXY)
    here, abroad = named_as("203.0.113.7"), named_as("192.0.2.66")
    alice.do(lambda visit: visit.login("alice"), method="POST", headers=here)
    for _ in range(5):
        clock.advance(1500)
        for number, browser in enumerate(others):
            browser.do(headers=named_as(f"203.{number}.113.7"))
        alice.do(headers=here)
    assert crowd_of(site) is None
    thief = Browser(site, CHROME, PROXY, dict(alice.cookies))
    assert "network_changed" in {signal.code for signal in thief.see(headers=abroad).signals}


def crowd_of(site: Site) -> Any:
    return site.guard.detection.population.crowd


def named_as(address: str) -> dict[str, str]:
    """The headers of a page load whose proxy names its client."""
    return {**NAVIGATE, "x-forwarded-for": address}
