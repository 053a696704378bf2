"""What admin code does, through the asynchronous and the plain face of the Guard."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest
from flow_kit import CHROME, FIREFOX, Browser, Site, run

from gatehound import (
    Event,
    Guard,
    LoginRefused,
    SettingsError,
    StoreUnavailable,
    UsageError,
    Users,
    current,
)
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]


class Face:
    """The admin methods, whichever face the test is about."""

    def __init__(self, guard: Guard, world: str) -> None:
        self._target: Any = guard if world == "asgi" else guard.sync

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            result = getattr(self._target, name)(*args, **options)
            return run(result) if inspect.iscoroutine(result) else result

        return call


@pytest.fixture
def admin(site: Site, world: str) -> Face:
    return Face(site.guard, world)


def people(site: Site, clock: FakeClock) -> dict[str, Browser]:
    found = {}
    for name, agent, address in (
        ("alice", CHROME, "203.0.113.7"),
        ("bob", FIREFOX, "198.51.100.4"),
        ("carol", CHROME, "2001:db8::9"),
    ):
        found[name] = site.browser(agent, address)
        found[name].login(name)
        clock.advance(60)
    return found


def users(page: Any) -> list[str]:
    return [session.user_id for session in page.sessions]


def test_search(site: Site, admin: Face, clock: FakeClock) -> None:
    people(site, clock)
    assert users(admin.search()) == ["carol", "bob", "alice"]
    assert users(admin.search(user_id="bob")) == users(admin.search(find="bob")) == ["bob"]
    assert users(admin.search(network="203.0.113.0/24")) == ["alice"]
    assert users(admin.search(network="2001:db8::9")) == ["carol"]
    assert users(admin.search(created_before=1_800_000_030)) == ["alice"]
    assert users(admin.search(seen_before=1_800_000_090)) == ["bob", "alice"]
    assert users(admin.search(country="DE")) == users(admin.search(flagged=True)) == []
    first = admin.search(limit=2)
    assert users(first) == ["carol", "bob"]
    assert users(admin.search(limit=2, cursor=first.cursor)) == ["alice"]
    with pytest.raises(ValueError, match="does not appear to be"):
        admin.search(network="nonsense")
    (bob,) = admin.sessions_of("bob")
    assert (bob.device, str(bob.address)) == ("Firefox on Linux", "198.51.100.4")


def test_names_come_from_the_app(make_site: MakeSite, world: str, clock: FakeClock) -> None:
    known = Users(
        describe=lambda ids: {i: (i.title(), "") for i in ids if i != "carol"},
        find=lambda text: [i for i in ("alice", "bob") if i.startswith(text)],
    )
    site = make_site(guard={"users": known})
    people(site, clock)
    admin = Face(site.guard, world)
    assert [s.user_name for s in admin.search().sessions] == ["", "Bob", "Alice"]
    assert users(admin.search(find="al")) == ["alice"]
    assert users(admin.search(find="zz")) == []


def test_ending_one_and_all_of_a_user(site: Site, admin: Face, events: list[Event]) -> None:
    first, second = site.browser(), site.browser()
    one = first.login()
    second.login()
    assert admin.terminate("bob", one.public_id) is False
    assert admin.terminate("alice", "nonsense") is False
    assert admin.terminate("alice", one.public_id) is True
    assert first.see().ended.reason.value == "admin"
    assert admin.terminate_user("alice", reason="password_changed") == 1
    assert second.see().ended.reason.value == "password_changed"
    assert admin.terminate_user("alice") == 0
    ended = [event for event in events if event.name == "session_terminated"]
    assert [(event.user_id, event.reason) for event in ended] == [
        ("alice", "admin"),
        ("alice", "password_changed"),
    ]


def test_ending_all_that_match(site: Site, admin: Face, clock: FakeClock) -> None:
    browsers = people(site, clock)
    assert admin.terminate_where(network="0.0.0.0/0").count == 2
    assert browsers["alice"].see().user_id == "alice"
    assert admin.terminate_where(network="0.0.0.0/0", dry_run=False).count == 2
    assert browsers["alice"].see().user_id is None
    assert browsers["carol"].see().user_id == "carol"
    for nothing in ({}, {"country": ""}, {"network": "", "country": None}):
        with pytest.raises(UsageError, match="without a condition"):
            admin.terminate_where(dry_run=False, **nothing)


@pytest.mark.parametrize("limit", [0, -1, True])
def test_a_limit_that_is_none_ends_nobody(site: Site, admin: Face, limit: int) -> None:
    alice = site.browser()
    alice.login()
    with pytest.raises(UsageError, match="allowed is a whole number from 1"):
        admin.terminate_where(network="0.0.0.0/0", dry_run=False, limit=limit)
    with pytest.raises(UsageError, match="empty condition"):
        admin.terminate_where(network="0.0.0.0/0", country="", dry_run=False)
    assert alice.see().user_id == "alice"


def test_ending_everyone(site: Site, admin: Face, clock: FakeClock) -> None:
    browsers = people(site, clock)
    assert admin.terminate_everyone() == 3
    assert browsers["bob"].see().ended.reason.value == "everyone"
    browsers["bob"].login("bob")
    assert browsers["bob"].see().user_id == "bob"
    (told,) = admin.events(names=["everyone_terminated"]).events
    assert (told.detail, told.reason) == ({"count": 3}, "by an admin")
    assert admin.tally().series("ends", [int(clock() // 3_600_000)]) == [3]


def test_ending_everyone_tells_also_where_it_breaks_off(
    make_site: MakeSite, world: str, store: Store, events: list[Event]
) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    faulty.fail("revoke_everyone", when="after")
    with pytest.raises(StoreUnavailable):
        Face(site.guard, world).terminate_everyone()
    assert alice.see().user_id is None
    told = [event for event in events if event.name == "everyone_terminated"]
    assert [event.reason for event in told] == [
        "by an admin; it broke off and may be incomplete: repeat it"
    ]
    Face(site.guard, world).terminate_everyone()
    assert events[-1].reason == "by an admin"
    assert [event.detail for event in told] == [{}]
    assert events[-1].detail == {"count": 0}  # the first call had ended them all


def test_disabling_a_user(site: Site, admin: Face, events: list[Event]) -> None:
    alice = site.browser()
    alice.login()
    assert admin.disable_user("alice") == 1
    assert alice.see().ended.reason.value == "disabled"
    with pytest.raises(LoginRefused) as caught:
        alice.call("login", "alice")
    assert caught.value.reason == "disabled"
    assert admin.enable_user("alice") is True
    assert admin.enable_user("alice") is False
    alice.login()
    told = [event.name for event in events if event.name.startswith(("user_", "login_"))]
    assert told == ["user_disabled", "login_refused", "user_enabled"]


def test_forgetting_and_exporting(site: Site, admin: Face) -> None:
    alice = site.browser()
    session = alice.login()
    alice.do(lambda visit: visit.data.set("cart", [1]))
    found = json.loads(json.dumps(admin.export_user("alice")))
    assert found["user_id"] == "alice"
    assert [s["public_id"] for s in found["sessions"]] == [session.public_id]
    assert found["sessions"][0]["address"] == "203.0.113.7"
    assert found["data"] == {session.public_id: {"cart": "[1]"}}
    assert [event["name"] for event in found["events"]] == ["session_created"]
    assert admin.forget_user("alice") == 1
    empty = admin.export_user("alice")
    assert not any(empty[key] for key in ("sessions", "ended", "data", "events", "disabled"))
    assert alice.see().user_id is None


def test_the_log_can_be_read(site: Site, admin: Face, clock: FakeClock) -> None:
    alice = site.browser()
    alice.login()
    clock.advance(10)
    site.browser().call("login_failed", "alice", "wrong password")
    site.browser().call("login_failed", None, "x" * 1000)
    clock.advance(10)
    alice.call("logout")
    log = [(event.name, event.user_id) for event in admin.events().events]
    assert log == [
        ("session_terminated", "alice"),
        ("login_failed", None),
        ("login_failed", "alice"),
        ("session_created", "alice"),
    ]
    failed = admin.events(names=["login_failed"], user_id="alice").events
    assert [(event.reason, event.address) for event in failed] == [
        ("wrong password", "203.0.113.7")
    ]
    assert len(admin.events(since=1_800_000_005).events) == 3
    assert len(admin.events(limit=1).events) == 1


def test_sweeping(site: Site, admin: Face, clock: FakeClock, events: list[Event]) -> None:
    people(site, clock)
    assert admin.sweep() == 0
    clock.advance(3600)
    assert admin.sweep() == 3
    assert [e.reason for e in events if e.name == "session_expired"] == ["idle"] * 3
    assert admin.sweep() == 0


def test_the_policy_in_words(make_site: MakeSite, world: str) -> None:
    site = make_site(
        session={"max_per_user": None}, roles={"admin": {"idle_timeout": "15m"}, "none": {}}
    )
    text = Face(site.guard, world).describe()
    assert "A session ends after 1 hour without a person's activity, and 12 hours after" in text
    assert "any number of sessions" in text
    assert "For the role 'admin': idle_timeout 15 minutes." in text
    deny = make_site(session={"on_limit": "deny"}, outage={"policy": "anonymous"})
    text = Face(deny.guard, world).describe()
    assert "one more is refused" in text
    assert "nobody is signed in" in text


def test_what_detection_does_in_words(make_site: MakeSite, world: str) -> None:
    def told(**changes: Any) -> str:
        return str(Face(make_site(**changes).guard, world).describe())

    plain = told()
    assert "A session is flagged at 4.5 points." in plain
    assert "1 points sooner for the role 'admin', the role 'administrator'." in plain
    assert "comes from: their prefixes alone." in plain
    assert "prove" not in plain
    strict = told(
        detection={"mode": "strict", "geo_anomaly": "strict", "disable": ["reuse"]},
        policy={
            "terminate": 9.0,
            "on_terminate": "all",
            "malicious": "terminate",
            "relaxed_paths": ["/wiki/*"],
            "fresh_paths": ["POST /password"],
        },
        web={"step_up_url": "/again"},
    )
    for line in (
        "A session is flagged at 3.5 points, and has to prove itself at 6.5.",
        "At 9 points all sessions of its user end.",
        "A session that is used from an address known for attacks ends.",
        "1 points later for /wiki/*.",
        "A recent sign-in is needed for POST /password.",
        "geo_anomaly is strict",
        "Switched off: reuse.",
    ):
        assert line in strict, line
    observing = told(detection={"mode": "observe"}, policy={"terminate": 9.0})
    assert "flagged at" not in observing
    assert "At 9 points" not in observing


# Of every guard of these tests: keys of one letter, and a store in memory.
POOR = {"key-weak", "store-in-memory", "timeouts-over-aal2", "step-up-missing"}
MISSING = POOR | {"no-city-database", "no-asn-database", "no-network-kinds"}


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        ({}, MISSING),
        ({"cookie": {"name": "sid", "secure": False}}, MISSING | {"cookie-not-secure"}),
        ({"cookie": {"name": "sid"}}, MISSING | {"cookie-no-host-prefix"}),
        (
            {"session": {"idle_timeout": 200, "touch_interval": 10}},
            MISSING | {"idle-timeout-unusual"},
        ),
        ({"detection": {"mode": "off"}}, POOR | {"detection-off"}),
        (
            {"detection": {"mode": "step-up"}},
            MISSING - {"step-up-missing"} | {"no-step-up-page"},
        ),
        ({"policy": {"terminate": 9.0}}, MISSING | {"terminate-without-effect"}),
        ({"policy": {"malicious": "terminate"}}, MISSING | {"malicious-without-list"}),
        (
            {"client_ip": {"mode": "x-forwarded-for", "trust_everyone": True}},
            MISSING | {"trust-everyone"},
        ),
    ],
)
def test_findings(
    make_site: MakeSite, world: str, settings: dict[str, Any], codes: set[str]
) -> None:
    found = Face(make_site(**settings).guard, world).check()
    assert {finding.code for finding in found} == codes
    assert all(finding.text and finding.fix for finding in found)


def test_a_store_that_waits_is_refused_where_nothing_may_wait(store: Store) -> None:
    waiting = FaultyStore(store)
    waiting.suspends = True
    guard = Guard({"secret_keys": ["s" * 40], "identity_key": "i" * 40}, store=waiting)
    with pytest.raises(SettingsError, match="suspends=False"):
        guard.sync.sessions_of("alice")
    from gatehound.wsgi import GatehoundMiddleware

    with pytest.raises(SettingsError, match="waits for an event loop"):
        GatehoundMiddleware(lambda environ, start: [b""], guard)


def test_a_geo_database_that_fails_is_a_finding(site: Site, world: str) -> None:
    site.guard.networks.failures = 3
    found = Face(site.guard, world).check()
    assert {finding.code for finding in found} == POOR | {"geo-database-damaged"}
    (one,) = [finding for finding in found if finding.level == "warning"]
    assert one.text.startswith("3 look-ups")


@pytest.mark.slow
def test_ending_more_than_one_page(site: Site, admin: Face) -> None:
    for number in range(501):
        site.browser().login(f"user {number}")
    assert admin.terminate_where(network="203.0.113.0/24").count == 501
    part = admin.terminate_where(network="203.0.113.0/24", dry_run=False, limit=3)
    assert (part.count, bool(part.cursor)) == (3, True)
    rest = admin.terminate_where(network="203.0.113.0/24", dry_run=False, cursor=part.cursor)
    assert (rest.count, rest.cursor) == (498, "")
    assert admin.search().sessions == ()


@pytest.mark.parametrize("source", [{}, {"gatehound": "text"}, object(), None])
def test_an_app_that_is_not_wrapped_is_told(source: Any) -> None:
    with pytest.raises(UsageError, match="wrap the app in GatehoundMiddleware"):
        current(source)
