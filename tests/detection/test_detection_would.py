"""What other modes would have done: counted once a session, until its evidence has faded."""

from __future__ import annotations

from typing import Any

import detection_kit as kit
import pytest
from detection_kit import AMERICA, CELL, FRANCE, ISP, Story, detection, session
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound.detection import Observation, PolicySettings
from gatehound.detection.settings import MODES
from gatehound.detection.would import WAYS, names, ways
from gatehound.model import Signal

POLICY = PolicySettings(terminate=9.0)


def worth(**points: float) -> Any:
    """A detector that finds what the path of the request names."""

    def worth(observation: Observation) -> list[Signal]:
        name = observation.request.path.strip("/")
        return [Signal(name, points[name], "Found")] if name in points else []

    return worth


def told(points: float, mode: str = "observe", **more: Any) -> tuple[str, ...]:
    """What a session newly is after a finding of so many points."""
    story = Story(detection(mode, [worth(odd=points)], policy=POLICY), **more)
    return story.step(path="/odd").reached


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (0.0, ()),
        (3.49, ()),
        (3.5, ("flag_strict",)),
        (4.49, ("flag_strict",)),
        (4.5, ("flag", "flag_strict")),
        (6.49, ("flag", "flag_strict")),
        (6.5, ("flag", "flag_strict", "notify", "step_up")),
        (8.99, ("flag", "flag_strict", "notify", "step_up")),
        (9.0, WAYS),
    ],
)
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "off"])
def test_each_way_has_its_own_count_whatever_the_mode(
    mode: str, points: float, expected: tuple[str, ...]
) -> None:
    assert told(points, mode) == expected


def test_mode_off_counts_nothing() -> None:
    assert told(99.0, "off") == ()


def test_no_way_that_the_policy_does_not_have() -> None:
    assert ways(99.0, PolicySettings()) == 0b1111
    assert names(ways(99.0, PolicySettings())) == WAYS[:-1]
    assert ways(4.0, PolicySettings(flag=3.0)) == 0b11, "a lower setting stays in mode strict"
    assert ways(3.0, PolicySettings(flag=3.0)) == 0b11
    assert names(0) == ()


def test_admins_and_sensitive_routes_are_counted_where_they_would_be_flagged() -> None:
    admin = session(roles=("admin",))
    assert told(3.5, session=admin) == ("flag", "flag_strict")
    assert told(2.5, session=admin) == ("flag_strict",)
    assert told(2.4, session=admin) == ()
    assert ways(0.0, POLICY, caution=4.0) == 0, "no evidence at all is no reason"
    relaxed = PolicySettings(relaxed_roles=("kiosk",))
    kiosk = Story(
        detection("observe", [worth(odd=4.5)], policy=relaxed), session=session(roles=("kiosk",))
    )
    assert kiosk.step(path="/odd").reached == ("flag_strict",)


def test_a_session_counts_once_though_it_is_judged_again_and_again() -> None:
    story = Story(detection("observe", [worth(odd=5.0)]))
    assert story.step(path="/odd").reached == ("flag", "flag_strict")
    for _ in range(25):
        assert story.step(path="/odd", after=20).reached == ()


def test_what_gets_worse_counts_for_the_new_way_alone() -> None:
    story = Story(detection("observe", [worth(odd=3.6, odder=1.0, oddest=9.0)], policy=POLICY))
    assert story.step(path="/odd").reached == ("flag_strict",)
    assert story.step(path="/odder", after=1).reached == ("flag",)
    assert story.step(path="/oddest", after=1).reached == ("notify", "step_up", "terminate")
    assert story.step(path="/oddest", after=1).reached == ()


def test_it_wavers_around_a_threshold_and_counts_once() -> None:
    story = Story(detection("observe", [worth(odd=5.0)]))
    assert story.step(path="/odd").reached
    for _ in range(12):  # 25 minutes leave 2.8 of 5.0, over half of 4.5
        assert story.step(after=1500).reached == ()
        assert story.step(path="/odd", after=1).reached == ()


def test_it_counts_again_after_a_request_that_found_it_faded() -> None:
    story = Story(detection("observe", [worth(odd=5.0)]))
    assert story.step(path="/odd").reached
    assert story.step(after=2 * 3600).reached == ()
    assert story.step(path="/odd").reached == ("flag", "flag_strict")


@pytest.mark.parametrize("mode", ["observe", "flag"])
def test_it_counts_again_after_it_has_faded_unseen(mode: str) -> None:
    """Requests from a known context are not judged: the next that is may be the next thief's."""
    story = Story(detection(mode))
    story.step()
    assert story.step(AMERICA, kit.SAFARI_MAC).reached
    story.flagged = False
    assert story.step(FRANCE, kit.FIREFOX_LINUX, after=3 * 3600).reached[:2] == (
        "flag",
        "flag_strict",
    )


@pytest.mark.parametrize("how", ["clear", "confirm"])
def test_it_counts_again_after_its_evidence_was_cleared(how: str) -> None:
    """By the owner, an admin or a proof: what comes afterwards is another theft."""
    story = Story(detection())
    story.step()
    first = story.step(AMERICA, kit.SAFARI_MAC).reached
    story.flagged = False
    if how == "clear":
        story.memory = story.detection.clear(story.memory)
    else:
        home = kit.observe()
        story.memory, story.user_memory = story.detection.confirm(
            story.memory, story.user_memory, network=ISP, device=home.device, now=story.now
        )
    assert story.step(AMERICA, kit.SAFARI_MAC).reached == first


def test_signals_noted_from_elsewhere_count_when_the_session_is_judged_next() -> None:
    story = Story(detection("observe", []))
    story.step()
    signal = Signal("secret_reused", 6.0, "An old copy was used")
    story.memory = story.detection.note(story.memory, signal, story.now)
    assert story.step(after=1).reached == ("flag", "flag_strict")
    assert story.step(after=1).reached == ()


def test_modes_agree_on_what_is_counted() -> None:
    """The same day, seen in each mode: a count is no matter of what was done."""
    day = [
        (ISP, kit.CHROME_WINDOWS, 0.0),
        (CELL, kit.CHROME_WINDOWS, 60.0),
        (AMERICA, kit.CHROME_WINDOWS, 600.0),
        (replace(AMERICA, kind="hosting", asn=64999, prefix="10.7.0.0/24"), kit.SAFARI_MAC, 60.0),
        (ISP, kit.CHROME_WINDOWS, 60.0),
    ]
    counted = {}
    for mode in ("observe", "flag", "step-up"):
        story = Story(detection(mode, policy=POLICY))
        counted[mode] = [
            name
            for network, agent, after in day
            for name in story.step(network, agent, after=after).reached
        ]
    assert counted["observe"] == counted["flag"] == counted["step-up"]
    assert set(counted["observe"]) == set(WAYS)
    assert len(counted["observe"]) == len(WAYS)


scores = st.floats(0, 20, allow_nan=False)


@pytest.mark.slow
@kit.FIXED
@given(scores, scores, st.floats(-3, 3))
def test_more_evidence_is_never_counted_for_less(one: float, other: float, caution: float) -> None:
    less, more = sorted((one, other))
    below, above = (ways(score, POLICY, caution=caution) for score in (less, more))
    assert below & ~above == 0
