"""Detection as an app meets it: what is flagged, what is left alone, what is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from flow_kit import CHROME, FIREFOX, POLL, Browser, Site
from stepup_kit import back, next_of

from gatehound import (
    Action,
    Activity,
    Detector,
    Event,
    Observation,
    Signal,
    StoreUnavailable,
)
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]
SCRIPT = "python-requests/2.32"
# Without a database a script on another network is worth 5.3 points.
LOW = {"notify": 5, "step_up": 5}
# What the middleware itself asks for is in test_flow_stepup.
LEFT_TO_APP = {"step_up_url": "/again", "step_up_enforce": "sensitive"}
NEWER = CHROME.replace("126.0", "127.0")


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def thief_of(browser: Browser, agent: str, address: str) -> Browser:
    thief = browser.site.browser(agent, address)
    thief.cookies = dict(browser.cookies)
    return thief


def test_a_normal_day_is_left_alone(site: Site, clock: FakeClock, events: list[Event]) -> None:
    alice = site.browser()
    alice.login()
    for address in ("203.0.113.9", "198.51.100.4", "203.0.113.7", "2001:db8::1", "198.51.100.4"):
        clock.advance(600)
        alice.address = address
        assert alice.see().action < Action.FLAG
    alice.agent = NEWER
    assert alice.see().action < Action.FLAG
    assert "session_flagged" not in names(events)
    assert not alice.see().session.flagged


def test_a_script_on_another_network_is_flagged_and_its_reasons_are_shown(
    site: Site, events: list[Event]
) -> None:
    alice = site.browser()
    session = alice.login()
    stolen = thief_of(alice, SCRIPT, "192.0.2.66").see()
    assert stolen.action in (Action.FLAG, Action.NOTIFY)
    assert stolen.signals
    assert all(signal.reason for signal in stolen.signals)
    flagged = [event for event in events if event.name == "session_flagged"]
    assert len(flagged) == 1
    assert (flagged[0].user_id, flagged[0].public_id) == ("alice", session.public_id)
    assert flagged[0].address == "192.0.2.66"
    (shown,) = alice.call("sessions")
    assert shown.flagged
    assert shown.reasons
    assert alice.see().user_id == "alice"  # not destructive: nobody is signed out on evidence


def test_what_the_class_of_a_request_is_does_not_hide_it(site: Site, events: list[Event]) -> None:
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SCRIPT, "192.0.2.66")
    assert thief.see(headers=POLL).activity is Activity.BACKGROUND
    assert "session_flagged" in names(events)


def test_the_owner_confirms_and_the_flag_goes(site: Site, events: list[Event]) -> None:
    alice = site.browser()
    alice.login()
    thief_of(alice, SCRIPT, "192.0.2.66").see()
    assert alice.call("confirm") is True
    assert not alice.see().session.flagged
    assert events[-1].name == "session_cleared"


def test_an_admin_clears_a_flag(site: Site) -> None:
    alice = site.browser()
    session = alice.login()
    thief_of(alice, SCRIPT, "192.0.2.66").see()
    admin = site.guard.sync
    assert [s.public_id for s in admin.search(flagged=True).sessions] == [session.public_id]
    assert admin.clear_flag("alice", session.public_id) is True
    assert admin.clear_flag("alice", "0" * 16) is False
    assert admin.search(flagged=True).sessions == ()


def test_signing_in_again_clears_too(site: Site, events: list[Event]) -> None:
    alice = site.browser()
    alice.login()
    thief_of(alice, SCRIPT, "192.0.2.66").see()
    alice.call("reauthenticate")
    seen = alice.see()
    assert (seen.action, seen.session.flagged) == (Action.ALLOW, False)
    assert names(events)[-2:] == ["step_up_passed", "session_cleared"]


def test_strict_ip_shift_is_the_simple_rule(make_site: MakeSite, events: list[Event]) -> None:
    site = make_site(detection={"ip_shift": "strict"})
    alice = site.browser()
    alice.login()
    alice.address = "203.0.113.8"
    assert alice.see().action >= Action.FLAG
    assert "session_ip_shift" in names(events)


def test_observe_only_records_and_off_does_nothing(
    make_site: MakeSite, events: list[Event]
) -> None:
    for mode, expected in (("observe", Action.RECORD), ("off", Action.ALLOW)):
        site = make_site(detection={"mode": mode})
        alice = site.browser()
        alice.login()
        assert thief_of(alice, SCRIPT, "192.0.2.66").see().action is expected
        assert not alice.see().session.flagged
    assert "session_flagged" not in names(events)


def test_step_up_asks_and_a_proof_answers(make_site: MakeSite, events: list[Event]) -> None:
    site = make_site(detection={"mode": "step-up"}, policy=LOW, web=LEFT_TO_APP)
    alice = site.browser()
    alice.login()
    assert thief_of(alice, SCRIPT, "192.0.2.66").see().action is Action.STEP_UP
    assert "step_up_required" in names(events)
    assert alice.see().action is Action.STEP_UP
    reply = alice.do(lambda visit: visit.require_fresh(), catch=False, path="/transfer")
    assert (reply.status, back(alice, next_of(reply))) == (303, "/transfer")
    reply = alice.do(lambda visit: visit.require_fresh(), catch=False, headers=POLL)
    assert (reply.status, reply.header("content-type")) == (401, "application/problem+json")
    assert b"step-up-required" in reply.body
    alice.call("reauthenticate")
    assert alice.see().action is Action.ALLOW
    assert alice.do(lambda visit: visit.require_fresh(), catch=False).status == 200


def test_step_up_without_a_page_becomes_a_notification(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(detection={"mode": "step-up"}, policy=LOW)
    assert "web.step_up_url is not set" in caplog.text
    alice = site.browser()
    alice.login()
    assert thief_of(alice, SCRIPT, "192.0.2.66").see().action is Action.NOTIFY


def test_termination_is_by_opt_in_only(make_site: MakeSite, events: list[Event]) -> None:
    site = make_site(
        detection={"mode": "strict"},
        policy={**LOW, "terminate": 5.2},
        web={"step_up_url": "/again"},
    )
    alice = site.browser()
    alice.login()
    stolen = thief_of(alice, SCRIPT, "192.0.2.66").see()
    assert (stolen.user_id, stolen.ended.reason.value) == (None, "suspicious")
    told = alice.see()
    assert (told.user_id, told.ended.reason.value) == (None, "suspicious")
    assert "session_terminated" in names(events)


ENDING: dict[str, Any] = {
    "detection": {"mode": "strict"},
    "policy": {**LOW, "terminate": 5.2},
    "web": {"step_up_url": "/again"},
}


def test_a_full_store_does_not_keep_a_session_alive_that_has_to_end(
    make_site: MakeSite, store: Store, events: list[Event]
) -> None:
    """It takes no evidence, and still ends: else a thief is served while it is full."""
    faulty = FaultyStore(store)
    alice = make_site(over=faulty, **ENDING).browser()
    alice.login()
    faulty.fail("remember")
    stolen = thief_of(alice, SCRIPT, "192.0.2.66").see()
    assert (stolen.user_id, stolen.session, stolen.ended.reason.value) == (None, None, "suspicious")
    assert stolen.action is Action.TERMINATE
    assert stolen.signals
    assert names(events)[-2:] == ["session_terminated", "store_down"]
    assert alice.see().ended.reason.value == "suspicious"


@pytest.mark.parametrize("policy", ["deny", "anonymous", "stale_ok"])
@pytest.mark.parametrize("calls", [("remember", "revoke"), ("revoke",)])
def test_a_session_that_has_to_end_and_cannot_is_not_shown(
    make_site: MakeSite,
    store: Store,
    events: list[Event],
    policy: str,
    calls: tuple[str, ...],
) -> None:
    faulty = FaultyStore(store)
    alice = make_site(over=faulty, outage={"policy": policy}, **ENDING).browser()
    alice.login()
    alice.see()
    thief = thief_of(alice, SCRIPT, "192.0.2.66")
    for call in calls:
        faulty.fail(call)
    reply = thief.do(lambda visit: (visit.user_id, visit.action), catch=False)
    if policy == "anonymous":
        assert reply.value == (None, Action.TERMINATE)
    else:
        assert isinstance(reply.error, StoreUnavailable)
        assert reply.status == 503
    assert names(events)[-1] == "store_down"
    assert reply.all("set-cookie") == []
    assert thief.see().ended.reason.value == "suspicious"


def test_a_session_that_had_to_end_is_not_shown_in_an_outage(
    make_site: MakeSite, store: Store
) -> None:
    faulty = FaultyStore(store)
    alice = make_site(over=faulty, outage={"policy": "stale_ok"}, **ENDING).browser()
    alice.login()
    alice.see()
    faulty.fail("remember")
    faulty.fail("revoke")
    thief_of(alice, SCRIPT, "192.0.2.66").do(lambda visit: None)
    faulty.go_down()
    assert isinstance(alice.do(lambda visit: visit.user_id).error, StoreUnavailable)


class Counting(Detector):
    """Counts in its own memory, and finds something at the third new context."""

    name = "counting"
    needs = frozenset({"memory", "siblings"})

    def inspect(self, observation: Observation) -> Iterable[Signal]:
        count = int(observation.memory.get("count", 0) or 0) + 1
        observation.memory["count"] = count
        if count == 3:
            yield Signal("third_context", 5.0, f"Context {count}, siblings aside.")


def test_detectors_of_the_app_class_function_and_coroutine(
    make_site: MakeSite, events: list[Event]
) -> None:
    seen: list[Observation] = []

    def watching(observation: Observation) -> list[Signal]:
        seen.append(observation)
        return []

    async def waiting(observation: Observation) -> list[Signal]:
        return [Signal("always", 0.5, "Always there.")]

    def broken(observation: Observation) -> list[Signal]:
        raise ZeroDivisionError("oops")

    site = make_site(guard={"detectors": [Counting(), watching, waiting, broken]})
    alice = site.browser()
    alice.login()
    alice.agent = FIREFOX
    assert alice.see().action is Action.ALLOW
    alice.address = "198.51.100.4"
    last = alice.see()
    assert last.action is Action.FLAG
    assert {signal.code for signal in last.signals} == {"third_context", "always"}
    assert len(seen) == 3
    assert seen[-1].session is not None
    assert seen[-1].session.user_id == "alice"
    failed = [event for event in events if event.name == "detector_failed"]
    assert failed[0].detail["detector"] == "broken"
    assert "oops" in str(failed[0].detail["error"])


def test_an_unresolved_address_is_no_evidence(make_site: MakeSite, events: list[Event]) -> None:
    site = make_site(
        client_ip={"mode": "x-forwarded-for", "trusted_proxies": ["10.0.0.0/8"]},
        detection={"ip_shift": "strict"},
    )
    alice = site.browser(address="10.0.0.1")
    headers = {"sec-fetch-mode": "navigate", "accept": "text/html"}
    alice.do(
        lambda visit: visit.login("alice"), headers={**headers, "x-forwarded-for": "203.0.113.7"}
    )
    hidden = alice.see(headers=headers)
    assert hidden.address == "None"
    assert hidden.action is Action.ALLOW
    assert str(hidden.session.address) == "203.0.113.7"
    assert "session_ip_shift" not in names(events)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("full", "203.0.113.7"), ("network", "203.0.113.0"), ("none", "None")],
)
def test_address_precision(
    make_site: MakeSite, events: list[Event], precision: str, expected: str
) -> None:
    site = make_site(privacy={"address_precision": precision})
    alice = site.browser()
    assert str(alice.login().address) == expected
    assert (events[0].address or "None") == expected
    assert str(alice.see().session.address) == expected
    log: Any = site.guard.sync.events(user_id="alice")
    assert {event.address or "None" for event in log.events} == {expected}


def test_confirming_teaches_where_the_owner_is_and_not_where_the_thief_was(site: Site) -> None:
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SCRIPT, "192.0.2.66")
    assert thief.see().action >= Action.FLAG
    assert alice.call("confirm") is True
    assert alice.see().action is Action.ALLOW
    assert thief.see().action >= Action.FLAG
    assert alice.call("sessions")[0].flagged


def test_a_thief_cannot_confirm_himself(site: Site) -> None:
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SCRIPT, "192.0.2.66")
    thief.see()
    reply = thief.do(lambda visit: visit.confirm(), catch=False)
    assert reply.status == 401
    assert alice.call("sessions")[0].flagged


def test_a_thief_who_waits_is_judged_again(site: Site, clock: FakeClock) -> None:
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SCRIPT, "192.0.2.66")
    thief.see()
    for _ in range(12):  # evidence halves every 30 minutes: the flag goes in time
        clock.advance(1800)
        quiet = alice.see()
    assert (quiet.action, quiet.session.flagged) == (Action.ALLOW, False)
    assert thief.see().action >= Action.FLAG


def test_the_owner_sees_their_own_device_and_place(site: Site) -> None:
    alice = site.browser()
    alice.login()
    thief_of(alice, SCRIPT, "192.0.2.66").see()
    (shown,) = alice.call("sessions")
    assert (shown.device, str(shown.address)) == ("Chrome on Windows", "203.0.113.7")
    assert alice.see().session.device == "Chrome on Windows"


def test_findings_of_a_flagged_session_are_told_once(site: Site, events: list[Event]) -> None:
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SCRIPT, "192.0.2.66")
    for _ in range(5):
        thief.see()
    assert names(events).count("session_flagged") == 1
    assert len(events) < 5


def test_a_proof_is_learned_where_it_was_given(make_site: MakeSite) -> None:
    site = make_site(detection={"ip_shift": "strict"})
    alice = site.browser()
    alice.login()
    alice.address = "198.51.100.4"
    assert alice.see().action >= Action.FLAG
    alice.call("reauthenticate")
    assert alice.see().action is Action.ALLOW
    assert str(alice.see().session.address) == "198.51.100.4"


def test_strict_geo_anomaly_flags_every_session_of_the_user(
    make_site: MakeSite, events: list[Event], demo_databases: dict[str, str]
) -> None:
    strict = {**demo_databases, "geo_anomaly": "strict"}
    site = make_site(detection=strict)
    home, abroad = site.browser(address="203.0.113.7"), site.browser(address="198.51.100.7")
    home.login()
    abroad.login()
    assert [s.flagged for s in home.call("sessions")] == [True, True]
    assert {s.country for s in home.call("sessions")} == {"DE", "GB"}
    assert "session_geo_anomaly" in names(events)
    assert names(events).count("session_flagged") == 2


def test_two_calm_sessions_in_two_countries_are_no_anomaly(
    make_site: MakeSite, events: list[Event], demo_databases: dict[str, str]
) -> None:
    site = make_site(detection=demo_databases)
    home, abroad = site.browser(address="203.0.113.7"), site.browser(address="198.51.100.7")
    home.login()
    abroad.login()
    assert not any(s.flagged for s in home.call("sessions"))
    assert abroad.see().session.place


def test_worse_evidence_in_a_flagged_session_is_told(
    make_site: MakeSite, events: list[Event]
) -> None:
    weights = iter([5.0, 5.0, 5.0])

    def growing(observation: Observation) -> list[Signal]:
        return [Signal(f"oddity_{next(weights)}_{len(events)}", 5.0, "Odd.")]

    site = make_site(guard={"detectors": [growing]})
    alice = site.browser()
    alice.login()
    assert alice.see().action is Action.NOTIFY
    told = [(e.name, e.notify) for e in events if e.name == "session_flagged"]
    assert told == [("session_flagged", ""), ("session_flagged", "both")]


def test_a_demand_for_proof_does_not_fade(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(
        detection={"mode": "step-up"},
        policy=LOW,
        web=LEFT_TO_APP,
        session={"fresh_for": "12h"},
    )
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SCRIPT, "192.0.2.66")
    assert thief.see().action is Action.STEP_UP
    for _ in range(8):
        clock.advance(1800)
        assert alice.see().action is Action.STEP_UP
    for browser in (alice, thief):
        assert browser.do(lambda visit: visit.require_fresh(), catch=False).status == 303
    alice.call("reauthenticate")
    assert alice.see().action is Action.ALLOW


def test_confirming_what_is_not_flagged_does_nothing(site: Site, events: list[Event]) -> None:
    alice = site.browser()
    alice.login()
    assert alice.call("confirm") is False
    assert "session_cleared" not in names(events)


def test_the_visit_says_why_while_a_flag_stands(site: Site) -> None:
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SCRIPT, "192.0.2.66")
    for browser in (thief, alice, alice):
        seen = browser.see()
        assert seen.session.flagged
        assert seen.signals
        assert "Used by a program instead of a browser" in seen.session.reasons


def test_a_header_does_not_hide_another_browser(site: Site, events: list[Event]) -> None:
    alice = site.browser()
    alice.login()
    image = {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image", "accept": "image/*"}
    assert thief_of(alice, FIREFOX, "192.0.2.66").see(headers=image).action >= Action.FLAG


def test_way_back_is_a_path_of_this_site(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(session={"fresh_for": 0.001}, web={"step_up_url": "/again?x=1"})
    alice = site.browser()
    alice.login()
    for path, expected in (
        ("/a b", "/a%20b"),
        ("/transfer/é", "/transfer/%C3%A9"),
        ("//evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\\evil.example", "/"),
    ):
        clock.advance(1)
        reply = alice.do(lambda visit: visit.require_fresh(), path=path, catch=False)
        assert reply.header("location").startswith("/again?x=1&next=")
        assert back(alice, next_of(reply)) == expected


def test_a_store_that_is_full_lets_a_traveller_in(
    make_site: MakeSite, store: Store, events: list[Event]
) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    alice.address = "198.51.100.4"
    faulty.fail("remember")
    assert alice.see().user_id == "alice"
    assert names(events)[-1] == "store_down"


def test_observing_flags_no_other_session_either(
    make_site: MakeSite, clock: FakeClock, events: list[Event], demo_databases: dict[str, str]
) -> None:
    site = make_site(detection={**demo_databases, "geo_anomaly": "strict", "mode": "observe"})
    home, abroad = site.browser(address="203.0.113.7"), site.browser(address="198.51.100.7")
    home.login()
    abroad.login()
    assert not any(s.flagged for s in home.call("sessions"))
    old = dict(home.cookies)
    home.call("rotate")
    home.cookies, kept = old, dict(home.cookies)
    clock.advance(61)
    assert home.see().user_id is None
    home.cookies = kept
    assert not home.see().session.flagged
    assert "session_flagged" not in names(events)
