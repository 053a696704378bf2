"""Ways around what policy asks for: other spellings, relaxed paths, lists, stores that fail."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from flow_kit import CHROME, Browser
from stepup_kit import MakeSite, OddHeader, asking, reached, reaches, thief_of

from gatehound import Action, Detector, EndReason, Event, Observation, Signal
from gatehound.detection.detectors.reputation import Reputation
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore

LISTED = "198.51.100.99"


class NewPlace(Detector):
    """Weighs any new network or browser: just over a flag, and less than a step-up."""

    name = "new_place"

    def inspect(self, observation: Observation) -> Iterable[Signal]:
        if observation.is_new_context and not observation.is_login:
            yield Signal("new_place", 4.6, "Used from somewhere new")


class Listed(Detector):
    """Knows one address that attacks come from."""

    name = "listed"

    def inspect(self, observation: Observation) -> Iterable[Signal]:
        if observation.client_ip.text == LISTED:
            yield Signal("address_malicious", 6.6, "Address known for attacks")


def copy_of(browser: Browser, address: str) -> Browser:
    """Somebody with the cookie and the very browser text of another."""
    return Browser(browser.site, CHROME, address, dict(browser.cookies))


# --- spellings of a path that asks for more ---


@pytest.mark.parametrize("path", ["/pay", "/pay/", "//pay", "/x/../pay", "/pay/.", "/\\pay"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_sensitive_path_asks_a_flagged_session_however_it_is_written(
    make_site: MakeSite, path: str, method: str
) -> None:
    site = make_site(
        **asking(
            policy={"sensitive_paths": ["GET /pay", "POST /pay"]},
            guard={"detectors": [NewPlace()]},
        )
    )
    user = site.browser()
    user.login()
    thief = thief_of(user)
    assert reaches(thief, "/mail")  # flagged, and goes on
    assert not reaches(thief, path, method=method)
    assert reaches(thief, "/payments")


@pytest.mark.parametrize("path", ["/account/", "//account/", "/x/../account/", "/account/x/.."])
def test_a_folder_that_needs_a_fresh_sign_in_keeps_its_slash(
    make_site: MakeSite, clock: FakeClock, path: str
) -> None:
    site = make_site(policy={"fresh_paths": ["/account/*"]}, web={"step_up_url": "/again"})
    user = site.browser()
    user.login()
    assert reaches(user, path)
    clock.advance(3000)
    assert not reaches(user, path)
    assert reaches(user, "/accounts")


# --- relaxed paths ---


def test_what_passes_on_a_relaxed_path_is_judged_again_elsewhere(make_site: MakeSite) -> None:
    """A thief who begins there is neither learned nor known by it."""
    site = make_site(
        **asking(
            policy={"relaxed_paths": ["/public/*"]},
            guard={"detectors": [NewPlace()]},
        )
    )
    user = site.browser()
    user.login()
    thief = thief_of(user)
    first = thief.see(path="/public/x")
    assert first.action < Action.FLAG
    assert not first.session.flagged
    assert thief.see(path="/mail").session.flagged


def test_a_relaxed_role_is_known_after_its_first_request(make_site: MakeSite) -> None:
    site = make_site(
        policy={"relaxed_roles": ["robot"]}, guard={"detectors": [NewPlace()]}, detection={}
    )
    robot = site.browser()
    robot.do(lambda visit: visit.login("robot", roles=("robot",)), method="POST")
    moved = copy_of(robot, "203.0.113.200")
    assert not moved.see(path="/a").session.flagged
    again = moved.see(path="/b")
    assert not again.session.flagged
    assert again.signals == ()


# --- lists of addresses ---


def test_a_listed_address_is_seen_next_to_a_known_one(make_site: MakeSite, tmp_path: Path) -> None:
    """With the browser text of the user, in the network of the user."""
    bad = tmp_path / "bad.txt"
    bad.write_text(f"{LISTED}\n", encoding="utf-8")
    site = make_site(
        policy={"malicious": "terminate"}, detection={"reputation": {"malicious": [str(bad)]}}
    )
    user = site.browser(CHROME, "198.51.100.7")
    user.login()
    assert copy_of(user, "198.51.100.8").see().user_id == "alice"
    assert copy_of(user, LISTED).see().user_id is None
    assert user.see().ended.reason is EndReason.SUSPICIOUS


def test_lists_are_read_when_asked_for_and_told_of_when_damaged(
    make_site: MakeSite, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("# nobody\n", encoding="utf-8")
    site = make_site(detection={"reload_every": 0, "reputation": {"risky": [str(bad)]}})
    assert any(isinstance(one, Reputation) for one in site.guard.detection.detectors)
    user = site.browser(CHROME, LISTED)
    user.login()
    assert not user.see().session.flagged
    assert not site.guard.refresh()
    bad.write_text(f"{LISTED}\n", encoding="utf-8")
    assert site.guard.refresh()
    user.login()
    assert user.see().session.flagged
    codes = [one.code for one in site.guard.sync.check()]
    assert "database-unusable" not in codes
    bad.write_text("neither an address nor a network\n", encoding="utf-8")
    assert not site.guard.refresh()
    (found,) = [one for one in site.guard.sync.check() if one.code == "database-unusable"]
    assert "detection.reputation.risky" in found.text


# --- ends ---


def test_an_end_does_not_wait_for_a_counter(make_site: MakeSite, store: Store) -> None:
    faulty = FaultyStore(store)
    told: list[object] = []
    site = make_site(
        over=faulty,
        **asking(
            policy={"terminate": 7.0},
            guard={"detectors": [OddHeader()], "on_hijack": lambda *about: told.append(about)},
        ),
    )
    user = site.browser()
    user.login()
    thief = thief_of(user)
    faulty.fail("count", times=9)
    assert thief.do(lambda visit: visit.user_id).value is None
    assert len(told) == 1
    assert user.see().user_id is None


def test_a_login_that_policy_refuses_leaves_the_visitor_what_it_had(make_site: MakeSite) -> None:
    site = make_site(policy={"malicious": "terminate"}, guard={"detectors": [Listed()]})
    visitor = site.browser(CHROME, LISTED)
    visitor.do(lambda visit: visit.anonymous.set("cart", "3 books"), method="POST")
    refused = visitor.do(lambda visit: visit.login("alice", carry=("cart",)), method="POST")
    assert type(refused.error).__name__ == "LoginRefused"
    assert visitor.do(lambda visit: visit.anonymous.get("cart")).value == "3 books"


@pytest.mark.parametrize("mode", ["flag", "step-up"])
def test_others_prove_themselves_where_the_mode_asks_for_proofs(
    make_site: MakeSite, events: list[Event], mode: str
) -> None:
    site = make_site(
        **asking(
            mode=mode,
            policy={"malicious": "terminate", "on_terminate": "reauthenticate"},
            guard={"detectors": [Listed()]},
        )
    )
    stolen, other = site.browser(), site.browser()
    stolen.login()
    other.login()
    assert copy_of(stolen, LISTED).see(path="/again").user_id is None
    asked = [event for event in events if event.name == "step_up_required"]
    seen = other.see(path="/again")
    assert seen.session.flagged
    if mode == "flag":
        assert other.do(reached, path="/mail").status == 200
        assert (seen.action < Action.STEP_UP, asked) == (True, [])
    else:
        assert not reaches(other, "/mail")
        assert len(asked) == 1
