"""What follows from a judgement: sessions that end, others that have to prove themselves, the hook.

Detectors here are made up, so that no test depends on what the built-in ones weigh.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from flow_kit import CHROME, POLL, Browser, Site
from stepup_kit import ODD, asking, thief_of

from gatehound import (
    Action,
    Detector,
    Event,
    FreshLoginRequired,
    LoginRefused,
    Observation,
    Session,
    Signal,
    UsageError,
    Verdict,
)
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]
LISTED, CALM = "198.51.100.99", "203.0.113.7"
ENDING = {"terminate": 7.0}


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def ending(mode: str = "step-up", how: str = "session", **more: Any) -> dict[str, Any]:
    """Settings under which `OddHeader` ends a session."""
    return asking(mode=mode, policy={**ENDING, "on_terminate": how}, **more)


def signed_in(site: Site, *users: str) -> list[Browser]:
    browsers = []
    for user in users:
        browsers.append(site.browser())
        browsers[-1].login(user)
    return browsers


def state(browser: Browser) -> str:
    """What becomes of a browser that comes as always."""
    # On the page that asks for the proof: elsewhere the app is not reached.
    seen = browser.see(path="/again")
    if seen.session is None:
        return str(seen.ended.reason.value)
    return "asked" if seen.action is Action.STEP_UP else "flagged" if seen.session.flagged else "in"


# --- policy.terminate ---


@pytest.mark.parametrize("mode", ["step-up", "strict"])
@pytest.mark.parametrize(
    ("how", "own", "other"),
    [
        ("session", "suspicious", "in"),
        ("all", "suspicious", "suspicious"),
        ("reauthenticate", "suspicious", "asked"),
    ],
)
def test_what_ends(
    make_site: MakeSite, events: list[Event], mode: str, how: str, own: str, other: str
) -> None:
    site = make_site(**ending(mode, how))
    stolen, phone, tablet, bob = signed_in(site, "alice", "alice", "alice", "bob")
    thief = thief_of(stolen)
    seen = thief.see()
    assert (seen.user_id, seen.session, seen.action) == (None, None, Action.TERMINATE)
    assert seen.ended.reason.value == "suspicious"
    assert [signal.reason for signal in seen.signals] == [ODD]
    assert [state(one) for one in (thief, stolen, phone, tablet, bob)] == [
        own,
        own,
        other,
        other,
        "in",
    ]
    ended = [event for event in events if event.name == "session_terminated"]
    assert {event.reason for event in ended} == {"suspicious"}
    assert len(ended) == (3 if how == "all" else 1)
    log: Any = site.guard.sync.events(names=["session_terminated"])
    assert len(log.events) == len(ended)


@pytest.mark.parametrize("mode", ["off", "observe", "flag"])
@pytest.mark.parametrize("how", ["session", "all", "reauthenticate"])
def test_other_modes_end_nothing(
    make_site: MakeSite, events: list[Event], mode: str, how: str
) -> None:
    site = make_site(**ending(mode, how))
    stolen, phone = signed_in(site, "alice", "alice")
    thief = thief_of(stolen)
    assert thief.see().user_id == "alice"
    expected = "flagged" if mode == "flag" else "in"
    assert [state(stolen), state(phone)] == [expected, "in"]
    assert not {"session_terminated", "step_up_required"} & set(names(events))


def test_the_others_have_to_prove_themselves_and_can(
    make_site: MakeSite, events: list[Event]
) -> None:
    site = make_site(**ending(how="reauthenticate"))
    stolen, phone = signed_in(site, "alice", "alice")
    before = phone.see().session
    thief_of(stolen).do()
    (flagged,) = [e for e in events if e.name == "session_flagged" and e.reason != ODD]
    assert flagged.public_id == before.public_id
    assert flagged.reason == "Another session of this account was ended as suspicious"
    assert state(phone) == "asked"
    (shown,) = site.guard.sync.sessions_of("alice")
    assert (shown.flagged, shown.reasons) == (True, (flagged.reason,))
    phone.do(lambda visit: visit.reauthenticate(), method="POST", path="/again")
    assert state(phone) == "in"
    assert phone.do(lambda visit: visit.require_fresh()).error is None


def test_a_demand_of_the_others_does_not_fade(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(**ending(how="reauthenticate"))
    stolen, phone = signed_in(site, "alice", "alice")
    thief_of(stolen).do()
    for _ in range(6):
        clock.advance(1800)
        assert state(phone) == "asked"


def test_a_session_that_was_flagged_already_is_asked_too(make_site: MakeSite) -> None:
    """And does not end: what is known of another session is no evidence in its own."""

    def odd(observation: Observation) -> list[Signal]:
        points = observation.request.header("x-odd") and observation.request.path.strip("/")
        return [Signal("odd", float(points), ODD)] if points in ("5", "7") else []

    site = make_site(**ending(how="reauthenticate", guard={"detectors": [odd]}))
    stolen, phone = signed_in(site, "alice", "alice")
    thief_of(phone).do(path="/5")
    assert state(phone) == "flagged"
    thief_of(stolen).do(path="/7")
    assert state(phone) == "asked"


def test_a_demand_is_met_by_no_word_of_who_came_when_the_evidence_had_faded(
    make_site: MakeSite, clock: FakeClock
) -> None:
    """While it stands no context is remembered: `confirm` believes those that are known."""
    web = {"step_up_enforce": "sensitive"}
    site = make_site(**asking(web=web, session={"idle_timeout": "12h"}))
    (alice,) = signed_in(site, "alice")
    thief_of(alice).do()
    thief = site.browser(CHROME, "198.51.100.7")  # a copied agent, and not odd any more
    thief.cookies = dict(alice.cookies)
    clock.advance(3 * 3600)
    for _ in range(2):
        assert thief.see().action is Action.STEP_UP
    assert isinstance(thief.do(lambda visit: visit.confirm()).error, FreshLoginRequired)
    assert state(alice) == "asked"


# --- policy.malicious ---


class Listed(Detector):
    """What a list of addresses known for attacks would find, whatever the context."""

    name = "listed"
    needs = frozenset({"network"})

    def inspect(self, observation: Observation) -> Iterable[Signal]:
        if str(observation.client_ip.address) == LISTED:
            yield Signal("address_malicious", 6.6, "Address known for attacks")


def listing(mode: str = "flag", *, malicious: str = "terminate", **more: Any) -> dict[str, Any]:
    policy = {"malicious": malicious, **more.pop("policy", {})}
    return asking(mode=mode, policy=policy, guard={"detectors": [Listed()]}, **more)


@pytest.mark.parametrize("mode", ["flag", "step-up", "strict"])
def test_a_malicious_address_ends_a_session_in_the_middle(make_site: MakeSite, mode: str) -> None:
    site = make_site(**listing(mode))
    alice, bob = signed_in(site, "alice", "bob")
    thief = site.browser(CHROME, LISTED)
    thief.cookies = dict(alice.cookies)
    seen = thief.see()
    assert (seen.user_id, seen.ended.reason.value) == (None, "suspicious")
    assert [state(one) for one in (thief, alice, bob)] == ["suspicious", "suspicious", "in"]


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_where_nothing_is_done_a_malicious_address_ends_none(
    make_site: MakeSite, mode: str
) -> None:
    site = make_site(**listing(mode))
    alice = site.browser(CHROME, LISTED)
    alice.login()
    assert alice.see().user_id == "alice"


def test_without_the_setting_a_malicious_address_is_told_of(
    make_site: MakeSite, events: list[Event]
) -> None:
    site = make_site(**listing(malicious="flag"))
    alice = site.browser(CHROME, LISTED)
    alice.login()
    seen = alice.see()
    assert (seen.user_id, seen.action, seen.session.flagged) == ("alice", Action.NOTIFY, True)
    assert [event.notify for event in events if event.name == "session_flagged"] == ["both"]


@pytest.mark.parametrize("mode", ["flag", "step-up", "strict"])
@pytest.mark.parametrize("how", ["session", "all", "reauthenticate"])
def test_nobody_signs_in_from_a_malicious_address(
    make_site: MakeSite, events: list[Event], mode: str, how: str
) -> None:
    """Refused, as the app and the person can read, and no cookie is left for what has ended."""
    site = make_site(**listing(mode, policy={"on_terminate": how}))
    thief = site.browser(CHROME, LISTED)
    reply = thief.do(lambda visit: visit.login("alice"), method="POST")
    assert isinstance(reply.error, LoginRefused)
    assert (reply.all("set-cookie"), thief.cookies) == ([], {})
    assert thief.see().user_id is None
    assert site.guard.sync.sessions_of("alice") == []
    assert names(events).count("session_created") == names(events).count("session_terminated") == 1


def test_a_refused_sign_in_leaves_the_session_that_was_there_ended(make_site: MakeSite) -> None:
    """Who is signed in as somebody else is not, afterwards: a login ends what it replaces."""
    site = make_site(**listing())
    browser = site.browser()
    browser.login("bob")
    browser.address = LISTED
    browser.do(lambda visit: visit.login("alice"), method="POST")
    browser.address = CALM
    assert browser.see().user_id is None


@pytest.mark.parametrize("faults", [("revoke",), ("remember", "revoke")])
def test_a_sign_in_that_has_to_end_and_cannot_leaves_no_cookie(
    make_site: MakeSite, store: Store, faults: tuple[str, ...]
) -> None:
    """The store fails just then: what was created may live on, but nobody has its secret."""
    faulty = FaultyStore(store)
    site = make_site(over=faulty, **listing())
    thief = site.browser(CHROME, LISTED)
    for fault in faults:
        faulty.fail(fault)
    reply = thief.do(lambda visit: visit.login("alice"), method="POST")
    assert reply.error is not None
    assert reply.all("set-cookie") == []
    assert thief.see().user_id is None


# --- the app's hook ---


class Hook:
    """What an app is told, plainly or in a coroutine."""

    def __init__(self, *, kind: str = "plain", error: Exception | None = None) -> None:
        self.told: list[tuple[Session, Verdict]] = []
        self.error = error
        self.call = self._plain if kind == "plain" else self._later

    def _plain(self, session: Session, verdict: Verdict) -> None:
        self.told.append((session, verdict))
        if self.error is not None:
            raise self.error

    async def _later(self, session: Session, verdict: Verdict) -> None:
        self._plain(session, verdict)


def hooked(hook: Hook, **settings: Any) -> dict[str, Any]:
    return {**settings, "guard": {**settings.get("guard", {}), "on_hijack": hook.call}}


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_the_hook_is_called_once_for_each_demand(make_site: MakeSite, kind: str) -> None:
    hook = Hook(kind=kind)
    site = make_site(**hooked(hook, **asking()))
    (alice,) = signed_in(site, "alice")
    thief = thief_of(alice)
    for _ in range(5):
        thief.do(headers=POLL)
        alice.do()
    ((session, verdict),) = hook.told
    assert session.public_id == alice.see(path="/again").session.public_id
    assert (verdict.action, verdict.score) == (Action.STEP_UP, 7.0)
    assert [signal.reason for signal in verdict.signals] == [ODD]
    alice.do(lambda visit: visit.reauthenticate(), method="POST", path="/again")
    thief_of(alice).do()
    assert len(hook.told) == 2


@pytest.mark.parametrize("how", ["session", "all", "reauthenticate"])
def test_the_hook_is_called_once_where_a_session_ends(make_site: MakeSite, how: str) -> None:
    hook = Hook()
    site = make_site(**hooked(hook, **ending(how=how)))
    stolen, phone = signed_in(site, "alice", "alice")
    thief = thief_of(stolen)
    for browser in (thief, thief, stolen):
        browser.do()
    phone.see(path="/again")
    ((session, verdict),) = hook.told
    assert (session.user_id, verdict.action) == ("alice", Action.TERMINATE)


def test_the_hook_is_called_for_a_sign_in_that_ends(make_site: MakeSite) -> None:
    hook = Hook()
    settings = listing()
    settings["guard"]["on_hijack"] = hook.call
    thief = make_site(**settings).browser(CHROME, LISTED)
    thief.do(lambda visit: visit.login("alice"), method="POST")
    assert [(one.user_id, verdict.action) for one, verdict in hook.told] == [
        ("alice", Action.TERMINATE)
    ]


@pytest.mark.parametrize("mode", ["off", "observe", "flag"])
def test_the_hook_is_not_called_where_nothing_is_asked(make_site: MakeSite, mode: str) -> None:
    hook = Hook()
    (alice,) = signed_in(make_site(**hooked(hook, **ending(mode))), "alice")
    thief_of(alice).do()
    alice.do()
    assert hook.told == []


def test_the_hook_is_not_called_where_nobody_can_be_asked(make_site: MakeSite) -> None:
    hook = Hook()
    site = make_site(**hooked(hook, **asking(web={"step_up_url": None})))
    (alice,) = signed_in(site, "alice")
    thief_of(alice).do()
    assert hook.told == []


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [(asking(), "asked"), (ending(), "suspicious")],
    ids=["asked", "ended"],
)
def test_a_hook_that_raises_is_logged_and_changes_nothing(
    make_site: MakeSite,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    settings: dict[str, Any],
    expected: str,
) -> None:
    hook = Hook(kind=kind, error=ZeroDivisionError("mail server on fire"))
    (alice,) = signed_in(make_site(**hooked(hook, **settings)), "alice")
    caplog.clear()
    reply = thief_of(alice).do()
    assert reply.status < 500
    assert len(hook.told) == 1
    assert "mail server on fire" in caplog.text
    assert [record.levelno for record in caplog.records if "on_hijack" in record.message] == [
        logging.ERROR
    ]
    assert state(alice) == expected


def test_a_hook_that_waits_needs_a_loop(make_site: MakeSite, world: str) -> None:
    """Under WSGI nothing may wait; what stands against the session is written before."""
    told: list[str] = []

    async def hook(session: Session, verdict: Verdict) -> None:
        await asyncio.sleep(0)
        told.append(session.user_id)

    settings = asking()
    settings["guard"]["on_hijack"] = hook
    (alice,) = signed_in(make_site(**settings), "alice")
    if world == "asgi":
        thief_of(alice).do()
        assert told == ["alice"]
    else:
        with pytest.raises(UsageError, match="__sleep0"):
            thief_of(alice).do()
    assert state(alice) == "asked"
