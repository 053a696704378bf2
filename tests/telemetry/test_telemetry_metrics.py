"""What is counted, through both adapters, by Prometheus and by the SDK of OpenTelemetry alike."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from telemetry_kit import Bench

from flow.flow_kit import CHROME, FIREFOX, POLL, Browser, Site
from gatehound import Event, Guard
from gatehound.model import Signal
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.telemetry import OpenTelemetry, Prometheus
from gatehound.telemetry.metric import METRICS, OUTCOMES
from gatehound.testing import FakeClock, FaultyStore

Scene = Callable[[Bench, FakeClock, Store], None]
COOKIE = "__Host-gatehound"


def none(bench: Bench, clock: FakeClock, store: Store) -> None:
    bench.site().browser().see()


def live(bench: Bench, clock: FakeClock, store: Store) -> None:
    signed_in(bench.site()).see()


def graced(bench: Bench, clock: FakeClock, store: Store) -> None:
    browser = signed_in(bench.site(session={"rotate_every": "10m"}))
    before = dict(browser.cookies)
    clock.advance(700)
    browser.see()
    browser.cookies = before
    browser.see(headers=POLL)


def ended(bench: Bench, clock: FakeClock, store: Store) -> None:
    browser = signed_in(bench.site())
    browser.site.guard.sync.terminate_user("alice")
    browser.see()


def idle(bench: Bench, clock: FakeClock, store: Store) -> None:
    browser = signed_in(bench.site())
    clock.advance(3601)
    browser.see()


def superseded(bench: Bench, clock: FakeClock, store: Store) -> None:
    browser = signed_in(bench.site())
    before = dict(browser.cookies)
    browser.call("rotate")
    browser.cookies = before
    browser.do(lambda visit: visit.client_ip)


def reused(bench: Bench, clock: FakeClock, store: Store) -> None:
    browser = signed_in(bench.site())
    before = dict(browser.cookies)
    browser.call("rotate")
    clock.advance(120)
    browser.cookies = before
    browser.see()


def unknown(bench: Bench, clock: FakeClock, store: Store) -> None:
    browser = signed_in(bench.site())
    browser.site.guard.sync.forget_user("alice")
    browser.see()


def forged(bench: Bench, clock: FakeClock, store: Store) -> None:
    browser = signed_in(bench.site())
    browser.cookies = {COOKIE: browser.cookies[COOKIE][:-4] + "AAAA"}
    browser.see()


def outage(bench: Bench, clock: FakeClock, store: Store) -> None:
    faulty = FaultyStore(store)
    browser = signed_in(bench.site(over=faulty))
    faulty.go_down()
    assert browser.do(lambda visit: visit.client_ip).error is None


def stale(bench: Bench, clock: FakeClock, store: Store) -> None:
    faulty = FaultyStore(store)
    browser = signed_in(bench.site(over=faulty, outage={"policy": "stale_ok"}))
    browser.see()
    faulty.go_down()
    assert browser.see().user_id == "alice"


def ignored(bench: Bench, clock: FakeClock, store: Store) -> None:
    browser = signed_in(bench.site(ignore_paths=["/static/"]))
    browser.see(path="/static/a.css")


def failed(bench: Bench, clock: FakeClock, store: Store) -> None:
    def broken(request: Any) -> None:
        raise LookupError(request.path)

    with pytest.raises(LookupError):
        bench.site(guard={"activity": broken}).browser().see()


def signed_in(site: Site, user: str = "alice") -> Browser:
    browser = site.browser()
    browser.login(user)
    return browser


SCENES: dict[str, tuple[Scene, str]] = {
    **{scene.__name__: (scene, scene.__name__) for scene in (none, live, graced, ended, reused)},
    **{scene.__name__: (scene, scene.__name__) for scene in (superseded, unknown, forged)},
    **{scene.__name__: (scene, scene.__name__) for scene in (outage, stale, ignored, failed)},
    "idle": (idle, "ended"),
}


@pytest.mark.parametrize("name", SCENES)
def test_requests_are_counted_by_what_came_of_their_cookie(
    name: str, bench: Bench, clock: FakeClock, store: Store
) -> None:
    scene, outcome = SCENES[name]
    scene(bench, clock, store)
    # Some scenes take a request of another kind before: the last one is what the scene is for.
    assert bench.counted("gatehound.examine.duration", outcome) == 1


def test_there_is_a_scene_for_every_outcome() -> None:
    assert {outcome for _, outcome in SCENES.values()} == set(OUTCOMES)


def test_a_forged_cookie_of_a_visitor_is_no_forged_session(bench: Bench) -> None:
    site = bench.site()
    browser = site.browser()
    browser.cookies = {site.guard.anonymous_cookies.shape.name: "made-up"}
    browser.do(lambda visit: visit.anonymous.get("cart"))
    assert bench.counted("gatehound.events", "token_forged") == 1
    assert bench.counted("gatehound.examine.duration", "none") == 1


def test_sign_ins_and_events_are_counted(bench: Bench) -> None:
    site = bench.site(session={"max_per_user": 1, "on_limit": "deny"})
    signed_in(site)
    other = site.browser()
    assert other.do(lambda visit: visit.login("alice"), method="POST").error is not None
    other.call("login_failed", "alice", "wrong password")
    for outcome in ("succeeded", "failed", "refused"):
        assert bench.counted("gatehound.logins", outcome) == 1
    for name in ("session_created", "login_failed", "login_refused"):
        assert bench.counted("gatehound.events", name) == 1


def test_a_flood_is_counted_as_it_happens(bench: Bench, events: list[Any]) -> None:
    browser = bench.site().browser()
    browser.cookies = {COOKIE: "made-up"}
    for _ in range(20):
        browser.see()
    assert len(events) == 1  # the others wait for the end of the minute
    assert bench.counted("gatehound.events", "token_forged") == 20
    for number in range(70):
        browser.call("login_failed", f"user{number}", "no such user")
    assert bench.counted("gatehound.logins", "failed") == 70


def test_what_a_flood_held_back_is_not_counted_again(
    bench: Bench, events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = bench.site()
    now = [0.0]
    monkeypatch.setattr(site.guard._events, "_monotonic", lambda: now[0])
    browser = site.browser()
    browser.cookies = {COOKIE: "made-up"}
    for at in (0.0, 1.0, 2.0, 61.0):
        now[0] = at
        browser.see()
    assert [event.detail.get("count") for event in events] == [None, 2, None]
    assert bench.counted("gatehound.events", "token_forged") == 4


ENDS: dict[str, tuple[str, Callable[[Site, Browser, FakeClock], object]]] = {
    "logout": ("logout", lambda site, browser, clock: browser.call("logout")),
    "admin": ("admin", lambda site, browser, clock: site.guard.sync.terminate_user("alice")),
    "password": (
        "password_changed",
        lambda site, browser, clock: site.guard.sync.terminate_user("alice", "password_changed"),
    ),
    "idle": ("idle", lambda site, browser, clock: (clock.advance(3601), browser.see())),
    "swept": ("idle", lambda site, browser, clock: (clock.advance(3601), site.guard.sync.sweep())),
    "limit": ("limit", lambda site, browser, clock: site.browser().login("alice")),
    "replaced": ("replaced", lambda site, browser, clock: browser.login("alice")),
    "disabled": ("disabled", lambda site, browser, clock: site.guard.sync.disable_user("alice")),
    "everyone": ("everyone", lambda site, browser, clock: site.guard.sync.terminate_everyone()),
    "undone": (
        "undone",
        lambda site, browser, clock: browser.do(
            lambda visit: visit.login("bob"), method="POST", status=500
        ),
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_ends_are_counted_by_reason(how: str, bench: Bench, clock: FakeClock) -> None:
    reason, end = ENDS[how]
    site = bench.site(session={"max_per_user": 1})
    browser = signed_in(site)
    assert not [one for one in bench.scraped() if one[0] == "gatehound.sessions.ended"]
    end(site, browser, clock)
    assert bench.counted("gatehound.sessions.ended", reason) == 1


def test_judgements_signals_and_what_would_have_been_are_counted(bench: Bench) -> None:
    browser = signed_in(bench.site(detection={"mode": "observe"}))
    browser.see()  # an unchanged request is not looked at
    assert bench.counted("gatehound.judgements", "allow") == 1  # the sign-in
    browser.agent = FIREFOX
    browser.see()
    assert bench.counted("gatehound.judgements", "record") == 1
    assert bench.counted("gatehound.signals", "agent_change", "browser_changed") == 1
    assert bench.counted("gatehound.signals", "agent_change", "os_changed") == 1
    assert bench.counted("gatehound.would", "flag") == 1
    assert bench.counted("gatehound.would", "terminate") == 0


def test_a_session_that_policy_ends_is_counted(bench: Bench) -> None:
    ladder = {"flag": 3.5, "notify": 3.8, "step_up": 4.0, "terminate": 4.0}
    site = bench.site(detection={"mode": "strict"}, policy=ladder, web={"step_up_url": "/prove"})
    browser = signed_in(site)
    browser.agent = FIREFOX
    assert browser.see().user_id is None
    assert bench.counted("gatehound.judgements", "terminate") == 1
    assert bench.counted("gatehound.examine.duration", "ended") == 1
    assert bench.counted("gatehound.sessions.ended", "suspicious") == 1


def test_nothing_is_judged_where_detection_is_off(bench: Bench) -> None:
    signed_in(bench.site(detection={"mode": "off"})).see()
    assert not [one for one in bench.scraped() if one[0] == "gatehound.judgements"]


def test_codes_that_a_detector_makes_up_do_not_grow_without_end(bench: Bench) -> None:
    made = iter(range(10_000))

    def inventive(observation: Any) -> list[Signal]:
        return [Signal(f"code_{next(made)}", 0.01, "made up") for _ in range(150)]

    site = bench.site(guard={"detectors": [inventive]})
    for number in range(16):  # 16 of a look are kept
        signed_in(site, f"user{number}")
    signals = {one: n for one, n in bench.scraped().items() if one[0] == "gatehound.signals"}
    assert len(signals) == 201
    assert signals["gatehound.signals", "other", "other"] == sum(signals.values()) - 200
    bench.counted()


def sharing(bench: Bench, *, own: bool) -> Callable[[], Guard]:
    """Make guards that are given the same objects, or each its own for the same place."""

    def made() -> Guard:
        telemetry = bench.telemetry
        if own:
            telemetry = [Prometheus(bench.registry), OpenTelemetry(bench.tracers, bench.meters)]
        return bench.site(over=MemoryStore(), guard={"telemetry": telemetry}).guard

    return made


@pytest.mark.parametrize("own", [False, True])
def test_of_several_guards_it_shows_how_many_are_down(bench: Bench, own: bool) -> None:
    make = sharing(bench, own=own)
    first = make()
    first.announce(Event("store_down"))
    first.announce(Event("store_down"))  # told twice, down once
    assert bench.counted("gatehound.store.down") == 1
    second = make()
    assert bench.counted("gatehound.store.down") == 1  # a guard that is built hides no other
    second.announce(Event("store_down"))
    assert bench.counted("gatehound.store.down") == 2
    second.announce(Event("store_up"))
    second.announce(Event("store_up"))
    assert bench.counted("gatehound.store.down") == 1
    first.announce(Event("store_up"))
    assert bench.counted("gatehound.store.down") == 0


@pytest.mark.parametrize("own", [False, True])
def test_guards_that_go_down_in_many_threads_are_each_counted(bench: Bench, own: bool) -> None:
    make = sharing(bench, own=own)
    guards = [make() for _ in range(8)]

    def flap(guard: Guard) -> None:
        for _ in range(50):
            guard.announce(Event("store_up"))
            guard.announce(Event("store_down"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(flap, guards))
    assert bench.counted("gatehound.store.down") == 8


def test_an_outage_shows_from_its_begin_to_its_end(
    bench: Bench, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("gatehound.outage.time.monotonic", lambda: now[0])
    faulty = FaultyStore(store)
    browser = signed_in(bench.site(over=faulty))
    assert bench.counted("gatehound.store.down") == 0
    faulty.go_down()
    for _ in range(3):
        browser.do(lambda visit: visit.client_ip)
    assert bench.counted("gatehound.store.down") == 1
    faulty.heal()
    browser.see()
    assert bench.counted("gatehound.store.down") == 1  # it failed a moment ago
    now[0] += 3
    browser.see()
    assert bench.counted("gatehound.store.down") == 0
    loads = ("gatehound.store.operation.duration", "faulty", "load")
    assert bench.counted(*loads, "unavailable") == 3
    assert bench.counted(*loads, "ok") == 2


def test_labels_name_nobody(bench: Bench, world: str) -> None:
    site = bench.site()
    browser = site.browser(CHROME, "203.0.113.77")
    browser.login("alice@example.org")
    session = browser.see().session
    browser.agent = FIREFOX
    browser.see()
    values = {value for series in (*bench.scraped(), *bench.exported()) for value in series[1:]}
    assert values
    for secret in ("alice", "203.0.113", session.public_id, "Firefox", browser.cookies[COOKIE]):
        assert not [value for value in values if secret in value]


def test_every_series_of_one_known_label_is_there_from_the_start(bench: Bench) -> None:
    for metric in METRICS:
        assert len(metric.labels) == len(metric.attributes)
        assert not metric.known or len(metric.labels) == 1
    sample = bench.registry.get_sample_value("gatehound_logins_total", {"outcome": "failed"})
    assert sample == 0


def test_the_guard_is_what_it_was(bench: Bench, make_guard: Callable[..., Guard]) -> None:
    plain, measured = make_guard(), bench.site().guard
    assert isinstance(measured, Guard)
    assert type(measured).__qualname__ == type(plain).__qualname__
    assert type(measured).__module__ == type(plain).__module__
    assert measured.store.kind == plain.store.kind == "memory"
