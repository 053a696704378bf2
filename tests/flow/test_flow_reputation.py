"""Addresses with a bad name, from the file to what a person and an operator get to know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flow_kit import FIREFOX, POLL, Site
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # netaddr ships no types

from gatehound import Action, Event, LoginRefused
from gatehound.detection.detectors.reputation import MALICIOUS, RISKY
from gatehound.stores.base import Store
from gatehound.testing import FaultyStore

MakeSite = Callable[..., Site]
LISTED, CALM = "198.51.100.99", "203.0.113.7"
NEVER: dict[str, Any] = {"reload_every": 0}


def as_text(path: Path, *networks: str) -> str:
    """Put a list in place whole, as a download does."""
    new = path.with_suffix(".new")
    new.write_text("# made for a test\n" + "".join(f"{one}\n" for one in networks))
    new.replace(path)
    return str(path)


def as_database(path: Path, *networks: str) -> str:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Bots")
    writer.insert_network(IPSet(["192.0.2.255/32"]), {"risk": 1})
    for one in networks:
        writer.insert_network(IPSet([one]), {"risk": 99})
    new = path.with_suffix(".new")
    writer.to_db_file(str(new))
    new.replace(path)
    return f"{path}#risk>=80"


WRITERS = {"list.txt": as_text, "list.mmdb": as_database}


@pytest.fixture(params=WRITERS)
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., str]:
    """What writes a list of either kind, at the same place each time."""
    write: Callable[..., str] = WRITERS[request.param]
    return lambda *networks: write(tmp_path / request.param, *networks)


def listing(path: str, level: str = "risky", *, mode: str = "flag", **policy: Any) -> Any:
    detection = {"mode": mode, "reputation": {level: [path]}, **NEVER}
    return {"detection": detection, "policy": policy}


def told(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event.name == name]


# --- risky: flags at a sign-in and in the middle ---


@pytest.mark.parametrize(("level", "weight"), [("risky", RISKY), ("malicious", MALICIOUS)])
def test_a_sign_in_from_a_listed_address_is_flagged(
    make_site: MakeSite, put: Callable[..., str], events: list[Event], level: str, weight: float
) -> None:
    site = make_site(**listing(put(LISTED), level))
    browser = site.browser(address=LISTED)
    browser.login()
    seen = browser.see()
    assert seen.session.flagged
    assert [(one.code, one.weight) for one in seen.signals] == [(f"address_{level}", weight)]
    assert seen.session.reasons == tuple(one.reason for one in seen.signals)
    (event,) = told(events, "session_flagged")
    assert event.notify == ("both" if level == "malicious" else "")
    assert event.reason == seen.session.reasons[0]


def test_a_session_that_comes_to_a_listed_address_is_flagged(
    make_site: MakeSite, put: Callable[..., str], events: list[Event]
) -> None:
    site = make_site(**listing(put("203.0.113.99")))
    browser = site.browser(address=CALM)
    browser.login()
    assert not browser.see().session.flagged
    browser.address = "203.0.113.99"  # in its own prefix
    assert browser.see(headers=POLL).session.flagged
    assert len(told(events, "session_flagged")) == 1
    browser.address = CALM
    browser.do()
    browser.address = "203.0.113.99"
    browser.do()
    assert len(told(events, "session_flagged")) == 1


# --- malicious: refused at a sign-in, ended in the middle ---


def test_a_sign_in_from_a_malicious_address_is_refused(
    make_site: MakeSite, put: Callable[..., str], events: list[Event]
) -> None:
    site = make_site(**listing(put(LISTED), "malicious", malicious="terminate"))
    browser = site.browser(address=LISTED)
    reply = browser.do(lambda visit: visit.login("alice"), method="POST")
    assert isinstance(reply.error, LoginRefused)
    assert reply.error.reason == "suspicious"
    assert str(reply.error) == "this sign-in looked as if it was somebody else's"
    assert (reply.set_cookies, browser.names) == ([], set())
    reply = browser.do(lambda visit: visit.login("alice"), method="POST", catch=False)
    assert (reply.status, b"somebody else" in reply.body) == (403, True)
    (refused, again) = told(events, "login_refused")
    assert (refused.reason, refused.user_id, refused.address) == ("suspicious", "alice", LISTED)
    assert again.reason == "suspicious"
    assert [one.reason for one in told(events, "session_terminated")] == ["suspicious"] * 2
    assert {one.notify for one in told(events, "session_terminated")} == {"both"}
    elsewhere = site.browser(address=CALM)
    elsewhere.login()
    assert elsewhere.see().user_id == "alice"


def test_a_session_that_comes_to_a_malicious_address_ends(
    make_site: MakeSite, put: Callable[..., str], events: list[Event]
) -> None:
    site = make_site(**listing(put(LISTED), "malicious", malicious="terminate"))
    alice = site.browser(address=CALM)
    alice.login()
    thief = site.browser(FIREFOX, LISTED)
    thief.cookies = dict(alice.cookies)
    seen = thief.see()
    assert (seen.user_id, seen.session, seen.action) == (None, None, Action.TERMINATE)
    text = "This session looked as if somebody else was using it."
    assert (seen.ended.reason.value, seen.ended.text) == ("suspicious", text)
    seen = alice.see()
    assert (seen.user_id, seen.ended.text) == (None, text)
    (event,) = told(events, "session_terminated")
    assert (event.reason, event.notify, event.address) == ("suspicious", "both", LISTED)


@pytest.mark.parametrize("level", ["risky", "malicious"])
def test_observe_counts_and_does_nothing(
    make_site: MakeSite, put: Callable[..., str], events: list[Event], level: str
) -> None:
    site = make_site(**listing(put(LISTED), level, mode="observe", malicious="terminate"))
    browser = site.browser(address=LISTED)
    browser.login()
    seen = browser.see()
    assert (seen.user_id, seen.session.flagged) == ("alice", False)
    assert not told(events, "session_flagged")
    assert not told(events, "session_terminated")
    counts = site.guard.sync.observed()
    assert counts["flag"] == 1
    assert counts["step_up"] == (1 if level == "malicious" else 0)


# --- a list that changes while a session stays where it is ---


def test_a_session_is_looked_at_once_more_when_its_address_is_listed(
    make_site: MakeSite, put: Callable[..., str], store: Store, events: list[Event]
) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty, **listing(put(LISTED)))
    alice, bob = site.browser(address=CALM), site.browser(address="203.0.113.8")
    alice.login()
    bob.login("bob")
    for browser in (alice, bob):
        browser.do()
    put(LISTED, CALM)
    assert not alice.see().session.flagged  # not read yet
    assert site.guard.refresh()
    faulty.calls.clear()
    bob.do()
    assert "recall" not in faulty.calls  # who is not listed is not looked at
    seen = alice.see(headers=POLL)
    assert seen.session.flagged
    assert [one.code for one in seen.signals] == ["address_risky"]
    assert len(told(events, "session_flagged")) == 1
    for _ in range(3):
        alice.do()
    assert len(told(events, "session_flagged")) == 1


def test_a_session_ends_where_its_address_becomes_malicious(
    make_site: MakeSite, put: Callable[..., str]
) -> None:
    site = make_site(**listing(put(LISTED), "malicious", malicious="terminate"))
    alice = site.browser(address=CALM)
    alice.login()
    alice.do()
    put(LISTED, CALM)
    site.guard.refresh()
    assert alice.see().ended.reason.value == "suspicious"


def test_a_session_ends_where_its_address_goes_from_one_list_to_the_other(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """Of one that is not flagged, and so is not looked at each time."""
    risky, malicious = tmp_path / "risky.txt", tmp_path / "malicious.txt"
    lists = {"risky": [as_text(risky, CALM)], "malicious": [as_text(malicious, LISTED)]}
    detection = {"mode": "flag", "reputation": lists, **NEVER}
    policy = {"malicious": "terminate", "flag": 6.0}
    site = make_site(detection=detection, policy=policy)
    alice = site.browser(address=CALM)
    alice.login()
    assert not alice.see().session.flagged
    as_text(malicious, LISTED, CALM)
    site.guard.refresh()
    assert alice.see().ended.reason.value == "suspicious"


def test_a_session_goes_on_where_its_address_leaves_the_list(
    make_site: MakeSite, put: Callable[..., str], store: Store
) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty, **listing(put(CALM), mode="observe"))
    alice = site.browser(address=CALM)
    alice.login()
    assert alice.see().signals == ()  # judged at the sign-in, and settled
    put(LISTED)
    site.guard.refresh()
    assert alice.see().user_id == "alice"
    faulty.calls.clear()
    for _ in range(3):
        alice.do()
    assert "recall" not in faulty.calls


def test_another_process_with_the_older_list_disturbs_nobody(
    make_site: MakeSite, make_guard: Any, world: str, tmp_path: Path, events: list[Event]
) -> None:
    """Both look at it once; that the lists differ is no going back and forth of the session."""
    path = as_text(tmp_path / "list.txt", LISTED)
    settings = listing(path, mode="observe")
    site = make_site(**settings)
    alice = site.browser(address=CALM)
    alice.login()
    as_text(tmp_path / "list.txt", LISTED, CALM)
    newer = Site(world, make_guard(**settings))
    codes: set[str] = set()
    for _ in range(8):
        alice.site = newer
        codes |= {one.code for one in alice.see().signals}
        alice.site = site
        codes |= {one.code for one in alice.see().signals}
    assert codes == {"address_risky"}


def test_a_list_is_read_when_it_is_due_by_whoever_is_judged(
    make_site: MakeSite, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(**listing(put(LISTED)))
    alice = site.browser(address=CALM)
    alice.login()
    (reputation,) = (one for one in site.guard.detection.detectors if one.name == "reputation")
    put(LISTED, CALM)
    monkeypatch.setattr(reputation._files, "due", 0.0)  # type: ignore[attr-defined] # Reputation
    site.browser(address="192.0.2.1").login("bob")
    assert alice.see().session.flagged


def test_a_damaged_list_raises_in_no_request(
    make_site: MakeSite, tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of an address is asked before anything is judged."""
    site = make_site(**listing(as_database(tmp_path / "list.mmdb", LISTED)))
    (reputation,) = (one for one in site.guard.detection.detectors if one.name == "reputation")

    def broken(*_: object) -> bytes:
        raise OSError("made up for a test")

    monkeypatch.setattr(
        "gatehound.detection.list_database.ListDatabase.covers", broken, raising=True
    )
    alice = site.browser(address=LISTED)
    alice.login()
    assert alice.see().user_id == "alice"
    assert [one.detail["detector"] for one in told(events, "detector_failed")] == ["reputation"]
    assert reputation.name == "reputation"
