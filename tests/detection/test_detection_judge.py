"""Whole judgements as stories of sessions: normal behaviour, attacks, flags over time, modes."""

from __future__ import annotations

from typing import Any

import detection_kit as kit
import pytest
from detection_kit import (
    AMERICA,
    CELL,
    DAY,
    FRANCE,
    ISP,
    V6,
    Story,
    codes,
    detection,
    session,
)
from msgspec.structs import replace

from gatehound.detection import (
    Activities,
    Networks,
    Observation,
    PolicySettings,
    describe,
)
from gatehound.detection.evidence import read
from gatehound.model import Action, Activity, Network, Signal

# --- normal behaviour ---


def test_a_first_context_is_learned_without_a_word() -> None:
    story = Story(detection())
    judged = story.step(AMERICA, kit.CURL)
    assert (judged.verdict.action, judged.fresh, judged.flag) == (Action.ALLOW, (), None)
    again = story.step(AMERICA, kit.CURL)
    assert again.fresh == ()


def test_n1_wifi_and_cellular_are_learned_once() -> None:
    story = Story(detection())
    assert story.step(ISP).verdict.action is Action.ALLOW
    assert story.step(CELL).verdict.action is Action.RECORD
    for network in (ISP, CELL) * 10:
        assert story.step(network, after=600).fresh == ()
    assert story.step(ISP).verdict.action is Action.ALLOW
    assert not story.flagged


def test_n2_n3_n39_alternating_requests_add_nothing_up() -> None:
    story = Story(detection())
    story.step(ISP)
    scores = [story.step(network, after=0.01).verdict.score for network in (V6, ISP) * 20]
    assert scores[0] == pytest.approx(0.6)
    assert max(scores) == scores[0]


def test_n6_a_day_of_new_prefixes_is_never_recorded() -> None:
    story = Story(detection())
    story.step(ISP)
    for n in range(30):
        network = replace(ISP, prefix=f"10.0.{n}.0/24")
        assert story.step(network, after=60).verdict.action is Action.ALLOW


def test_n29_a_browser_update_is_no_event() -> None:
    story = Story(detection())
    story.step(agent=kit.CHROME_WINDOWS)
    assert story.step(agent=kit.CHROME_WINDOWS_131).verdict.action is Action.ALLOW
    assert story.step(agent=kit.CHROME_WINDOWS_131).fresh == ()


def test_n47_two_countries_at_once_are_recorded_and_no_more(city_database: str) -> None:
    story = Story(detection(networks=Networks(city=city_database)))
    judged = story.step(ISP, siblings=(session("b" * 16, country="FR"),))
    assert codes(judged) == ["countries_concurrent"]
    assert judged.verdict.action is Action.RECORD


def test_n36_prefetches_are_judged_but_do_not_extend() -> None:
    request = kit.FakeRequest(headers={"Sec-Purpose": "prefetch", "Sec-Fetch-Mode": "navigate"})
    activity = Activities().classify(request)
    assert not activity.extends
    story = Story(detection())
    story.step()
    judged = story.step(AMERICA, kit.SAFARI_MAC, activity=activity)
    assert codes(judged) == ["network_changed", "os_changed", "browser_changed"]


def test_editor_background_requests_from_a_known_context_change_nothing() -> None:
    story = Story(detection())
    story.step()
    memory = story.memory
    for _ in range(50):
        judged = story.step(after=1, activity=Activity.BACKGROUND, is_new_context=False)
        assert (judged.fresh, judged.flag, judged.failures) == ((), None, ())
    assert memory == story.memory


# --- attacks ---


@pytest.mark.parametrize(
    ("case", "network", "agent", "flag_mode", "step_up_mode"),
    [
        ("A1 far, other device", AMERICA, kit.SAFARI_MAC, Action.NOTIFY, Action.STEP_UP),
        ("A2 far, cloned agent", AMERICA, kit.CHROME_WINDOWS, Action.RECORD, Action.RECORD),
        ("A3 near country, other device", FRANCE, kit.SAFARI_MAC, Action.NOTIFY, Action.STEP_UP),
        ("A4 same country, cloned agent", CELL, kit.CHROME_WINDOWS, Action.RECORD, Action.RECORD),
        ("A7 script from elsewhere", CELL, kit.CURL, Action.NOTIFY, Action.STEP_UP),
        ("A7 script on the same network", ISP, kit.CURL, Action.FLAG, Action.FLAG),
        ("A27 same network, other device", ISP, kit.SAFARI_MAC, Action.FLAG, Action.FLAG),
    ],
)
def test_stolen_cookies(
    case: str, network: Network, agent: str, flag_mode: Action, step_up_mode: Action
) -> None:
    for mode, expected in (("flag", flag_mode), ("step-up", step_up_mode)):
        story = Story(detection(mode))
        story.step()
        judged = story.step(network, agent)
        assert judged.verdict.action is expected, case
        assert judged.flag is (True if expected >= Action.FLAG else None)


def test_a2_far_away_is_flagged_on_sensitive_routes_and_for_admins() -> None:
    policy = PolicySettings(sensitive_paths=("/account/*",))
    cases: list[dict[str, Any]] = [
        {"path": "/account/mail"},
        {"session": session(roles=("admin",))},
    ]
    for changes in cases:
        story = Story(detection(policy=policy))
        story.step()
        judged = story.step(AMERICA, **changes)
        assert (judged.verdict.action, judged.flag) == (Action.FLAG, True)


def test_a20_the_networks_of_a_thief_are_not_learned_while_flagged() -> None:
    story = Story(detection())
    story.step()
    user_before = story.user_memory
    assert story.step(AMERICA, kit.SAFARI_MAC).flag is True
    known = read(story.memory)[0].known()
    assert not known.has_prefix(AMERICA.prefix)
    assert story.user_memory == user_before
    story.step(FRANCE, kit.SAFARI_MAC)
    assert not read(story.memory)[0].known().has_prefix(FRANCE.prefix)
    assert story.flagged


def test_a20_a_thief_who_waits_until_the_flag_has_faded_is_still_unknown() -> None:
    story = Story(detection())
    story.step()
    story.step(AMERICA, kit.SAFARI_MAC)
    for _ in range(20):
        story.step(AMERICA, kit.SAFARI_MAC, after=600, is_new_context=False)
    assert not story.flagged
    known = read(story.memory)[0].known()
    assert known.prefixes == {ISP.prefix}
    assert not known.has_agent(describe(kit.SAFARI_MAC), b"")
    assert story.step(AMERICA, kit.SAFARI_MAC).flag is True


def test_a_known_context_in_use_is_not_the_first_to_be_forgotten() -> None:
    story = Story(detection())
    story.step(ISP)
    for n in range(60):
        story.step(replace(ISP, prefix=f"10.0.{n}.0/24"))
        story.step(ISP, is_new_context=False)
    assert story.step(ISP).fresh == ()


def test_a20_what_was_taught_today_is_no_excuse_in_another_session() -> None:
    thief = Story(detection())
    thief.step(ISP)
    thief.step(AMERICA)
    other = Story(detection(), user_memory=thief.user_memory)
    other.step(ISP)
    assert other.step(AMERICA).verdict.score == pytest.approx(4.0)
    later = Story(detection(), user_memory=thief.user_memory)
    later.now += DAY + 3600
    later.step(ISP)
    assert later.step(AMERICA).verdict.score == pytest.approx(2.8)


# --- flags over time ---


def test_a_flag_is_raised_once_held_and_left_at_half() -> None:
    story = Story(detection())
    story.step()
    raised = story.step(ISP, kit.SAFARI_MAC)
    assert raised.flag is True
    held = story.step(ISP, is_new_context=False, after=1200)
    assert (held.flag, held.verdict.action) == (None, Action.FLAG)
    assert 2.25 < held.verdict.score < 4.5
    assert [signal.code for signal in held.verdict.signals] == ["browser_changed", "os_changed"]
    left = story.step(ISP, is_new_context=False, after=1200)
    assert (left.flag, left.verdict.action) == (False, Action.RECORD)
    assert story.step(ISP, is_new_context=False, after=7200).verdict.signals == ()
    assert story.step(ISP).flag is None


def test_a_flag_is_not_taken_back_while_late_requests_arrive() -> None:
    def vouch(observation: Observation) -> Signal | None:
        known_device = observation.request.path == "/vouched"
        return Signal("device_known", -9.0, "A known device") if known_device else None

    given = [*detection().detectors, vouch]
    story = Story(detection(detectors=given))
    story.step()
    story.step(ISP, kit.SAFARI_MAC)
    calm: dict[str, Any] = {"is_new_context": False, "path": "/vouched"}
    assert story.step(ISP, after=29, **calm).flag is None
    assert story.step(ISP, after=2, **calm).flag is False


def test_what_speaks_for_a_session_counts_in_its_own_request_only() -> None:
    def vouch(observation: Observation) -> list[Signal]:
        good = observation.request.path == "/vouched"
        return [Signal("device_known", -3.0, "A known device")] if good else []

    story = Story(detection(detectors=[*detection().detectors, vouch]))
    story.step(path="/vouched")
    judged = story.step(AMERICA, path="/vouched")
    assert judged.verdict.score == pytest.approx(1.0)
    assert judged.verdict.signals[-1].code == "device_known"
    assert story.step(AMERICA, is_new_context=False).verdict.score == pytest.approx(3.91, abs=0.01)


def test_more_than_enough_good_makes_no_negative_score() -> None:
    judged = Story(detection(detectors=[lambda _: Signal("good", -5.0, "Good")])).step()
    assert judged.verdict.score == 0.0
    assert judged.verdict.action is Action.ALLOW


def test_reasons_are_remembered_in_plain_words_strongest_first() -> None:
    story = Story(detection())
    story.step()
    story.step(FRANCE, kit.SAFARI_MAC)
    assert story.detection.reasons(story.memory) == (
        "Operating system changed to macOS",
        "Browser changed to Safari",
        "Network in a neighbouring country (FR), browser not seen before",
    )
    assert story.detection.reasons(b"") == story.detection.reasons(b"\xff") == ()


# --- modes ---


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_modes_that_do_not_flag(mode: str) -> None:
    story = Story(detection(mode))
    story.step()
    judged = story.step(AMERICA, kit.SAFARI_MAC)
    assert judged.flag is None
    assert judged.verdict.action is (Action.RECORD if mode == "observe" else Action.ALLOW)
    assert story.detection.enabled is (mode == "observe")
    assert bool(story.detection.needs) is story.detection.enabled


def test_a_flag_from_another_mode_is_cleared_when_its_evidence_is_gone() -> None:
    story = Story(detection("observe"))
    story.step()
    story.flagged = True
    assert story.step(is_new_context=False).flag is False


def test_mode_off_gives_back_what_was_stored() -> None:
    judged = Story(detection("off")).step(memory=b"\x07anything", user_memory=b"else")
    assert (judged.memory, judged.user_memory) == (b"\x07anything", b"else")


def test_terminate_only_where_policy_and_mode_say_so() -> None:
    policy = PolicySettings(terminate=9.0)
    for mode, expected in (("flag", Action.NOTIFY), ("step-up", Action.TERMINATE)):
        story = Story(detection(mode, policy=policy))
        story.step()
        assert story.step(AMERICA, kit.SAFARI_MAC).verdict.action is expected
