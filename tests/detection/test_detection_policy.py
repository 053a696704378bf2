"""From score to action: the ladder, the caps of the modes, and what holds for every setting."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from detection_kit import FIXED
from hypothesis import assume, given
from hypothesis import strategies as st

from gatehound.detection import DetectionSettings, Policy, PolicySettings, decide
from gatehound.detection.settings import MODES, Mode
from gatehound.errors import SettingsError
from gatehound.model import Action, Signal

ALLOW, RECORD, FLAG, NOTIFY, STEP_UP, TERMINATE = Action
ENDING = PolicySettings(terminate=9.0)


def signals(*weights: float) -> list[Signal]:
    return [Signal(f"code_{n}", weight, "reason") for n, weight in enumerate(weights)]


def action(score: float, mode: Mode, policy: PolicySettings, *, sensitive: bool = False) -> Action:
    caution = policy.sensitive_discount if sensitive else 0.0
    return decide(signals(score), score, mode=mode, policy=policy, caution=caution)


#            off     observe  flag     step-up    strict
LADDER: list[tuple[float, PolicySettings, list[Action]]] = [
    (0.0, ENDING, [ALLOW, ALLOW, ALLOW, ALLOW, ALLOW]),
    (0.99, ENDING, [ALLOW, ALLOW, ALLOW, ALLOW, ALLOW]),
    (1.0, ENDING, [ALLOW, RECORD, RECORD, RECORD, RECORD]),
    (3.49, ENDING, [ALLOW, RECORD, RECORD, RECORD, RECORD]),
    (3.5, ENDING, [ALLOW, RECORD, RECORD, RECORD, FLAG]),
    (4.5, ENDING, [ALLOW, RECORD, FLAG, FLAG, FLAG]),
    (6.5, ENDING, [ALLOW, RECORD, NOTIFY, STEP_UP, STEP_UP]),
    (9.0, ENDING, [ALLOW, RECORD, NOTIFY, TERMINATE, TERMINATE]),
    (99.0, PolicySettings(), [ALLOW, RECORD, NOTIFY, STEP_UP, STEP_UP]),
    (5.0, PolicySettings(notify=5.0), [ALLOW, RECORD, NOTIFY, NOTIFY, NOTIFY]),
    (3.0, PolicySettings(flag=3.0), [ALLOW, RECORD, FLAG, FLAG, FLAG]),
]


@pytest.mark.parametrize(("score", "policy", "expected"), LADDER, ids=lambda one: str(one)[:12])
def test_ladder(score: float, policy: PolicySettings, expected: list[Action]) -> None:
    assert [action(score, mode, policy) for mode in MODES] == expected


@pytest.mark.parametrize(
    ("score", "expected"), [(0.0, ALLOW), (0.1, RECORD), (3.5, FLAG), (5.5, STEP_UP)]
)
def test_sensitive_routes_are_one_point_lower(score: float, expected: Action) -> None:
    assert action(score, "step-up", PolicySettings(), sensitive=True) is expected


def test_without_signals_nothing_is_done() -> None:
    assert decide([], 99.0, mode="strict", policy=ENDING) is ALLOW


@st.composite
def policies(draw: st.DrawFn) -> PolicySettings:
    rungs = sorted(draw(st.lists(st.floats(0.01, 20), min_size=5, max_size=5)))
    names = ("record", "flag", "notify", "step_up", "terminate")
    fields: dict[str, Any] = dict(zip(names, rungs, strict=True))
    if draw(st.booleans()):
        fields["terminate"] = None
    settings = PolicySettings(**fields, sensitive_discount=draw(st.floats(0, 3)))
    assume(not settings.problems())
    return settings


modes = st.sampled_from(MODES)
weights = st.lists(st.floats(-3, 8), min_size=1, max_size=5)


def total(given: list[float]) -> float:
    return max(0.0, math.fsum(given))


@pytest.mark.slow
@FIXED
@given(policies(), modes, st.booleans(), weights, st.floats(0, 8), st.integers(0, 4))
def test_more_evidence_is_never_answered_more_mildly(
    policy: PolicySettings, mode: Mode, sensitive: bool, one: list[float], more: float, at: int
) -> None:
    caution = policy.sensitive_discount if sensitive else -policy.sensitive_discount

    def act(given: list[float]) -> Action:
        return decide(signals(*given), total(given), mode=mode, policy=policy, caution=caution)

    stronger = list(one)
    stronger[at % len(one)] += more
    assert act(stronger) >= act(one)
    assert act([*one, more]) >= act(one)
    assert action(total(one), mode, policy, sensitive=True) >= action(total(one), mode, policy)


@pytest.mark.slow
@FIXED
@given(policies(), modes, modes, st.booleans(), st.floats(0, 30))
def test_a_mode_further_right_is_never_milder(
    policy: PolicySettings, one: Mode, two: Mode, sensitive: bool, score: float
) -> None:
    left, right = sorted((one, two), key=MODES.index)
    assert action(score, right, policy, sensitive=sensitive) >= action(
        score, left, policy, sensitive=sensitive
    )


@pytest.mark.slow
@FIXED
@given(policies(), st.sampled_from(["off", "observe", "flag"]), st.floats(0, 1e9))
def test_by_default_nobody_is_stopped(policy: PolicySettings, mode: Mode, score: float) -> None:
    assert action(score, mode, policy) <= NOTIFY


@pytest.mark.slow
@FIXED
@given(policies(), modes, st.booleans(), st.floats(0, 30))
def test_the_flag_is_entered_where_the_ladder_says_so(
    policy: PolicySettings, mode: Mode, sensitive: bool, score: float
) -> None:
    """Oracle: the action, where the mode allows a flag at all. Rounding at the edge is left out."""
    compiled = Policy(policy, mode)
    enter = compiled.enter(caution=policy.sensitive_discount if sensitive else 0.0)
    assert enter > 0
    assume(abs(score - enter) > 1e-9)
    if compiled.cap >= FLAG and policy.record <= enter:
        assert (action(score, mode, policy, sensitive=sensitive) >= FLAG) == (score >= enter)


def test_sensitive_and_relaxed_routes_and_roles() -> None:
    policy = Policy(
        PolicySettings(
            sensitive_paths=("/account/*", "POST /pay"),
            relaxed_paths=("/wiki/*", "/account/theme"),
            relaxed_roles=("kiosk",),
        ),
        "flag",
    )
    assert policy.caution("GET", "/account/mail", ()) == 1.0
    assert policy.caution("POST", "/pay", ()) == 1.0
    assert policy.caution("GET", "/", ("editor", "admin")) == 1.0
    assert policy.caution("GET", "/pay", ("editor",)) == 0.0
    assert policy.caution("GET", "/wiki/x", ()) == -1.0
    assert policy.caution("GET", "/", ("kiosk",)) == -1.0
    assert policy.caution("GET", "/account/theme", ("kiosk",)) == 1.0  # sensitive wins
    assert Policy(PolicySettings(), "flag").caution("GET", "/account/mail", ()) == 0.0
    assert policy.enter(caution=1.0) == 3.5
    assert Policy(PolicySettings(), "strict").enter() == 3.5


@pytest.mark.parametrize("mode", MODES)
def test_a_sensitive_route_asks_who_is_flagged_and_who_was_told(mode: Mode) -> None:
    """Between `notify` and `step_up`; what is less or more is answered the same everywhere."""
    settings = PolicySettings(notify=5.0, step_up=9.0, sensitive_paths=("POST /pay",))
    policy, asks = Policy(settings, mode), mode in ("step-up", "strict")
    asked = [one for one in Action if policy.asks_here(one, "POST", "/pay")]
    assert asked == ([FLAG, NOTIFY] if asks else [])
    assert not any(policy.asks_here(one, "GET", "/pay") for one in Action)


def test_routes_that_need_a_fresh_sign_in() -> None:
    policy = Policy(PolicySettings(fresh_paths=("POST /password",)), "flag")
    assert policy.is_fresh_path("POST", "/password")
    assert not policy.is_fresh_path("GET", "/password")


@pytest.mark.parametrize(("profile", "flag"), [("lax", 5.5), ("standard", 4.5), ("strict", 3.5)])
def test_profiles_say_where_the_flag_is(profile: Any, flag: float) -> None:
    assert PolicySettings(profile=profile).flag_at == flag
    assert PolicySettings(profile=profile, flag=2.0).flag_at == 2.0
    assert Policy(PolicySettings(profile=profile), "strict").enter() == 3.5
    assert action(flag, "flag", PolicySettings(profile=profile)) is FLAG
    assert action(flag - 0.01, "flag", PolicySettings(profile=profile)) is RECORD


@pytest.mark.parametrize("mode", MODES)
def test_a_bad_name_ends_a_session_where_the_operator_said_so(mode: Mode) -> None:
    found = [Signal("address_malicious", 6.6, "reason")]
    asked = Policy(PolicySettings(malicious="terminate"), mode)
    assert asked.ends(found) is (mode not in ("off", "observe"))
    assert not asked.ends(signals(99.0))
    assert not Policy(PolicySettings(), mode).ends(found)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"record": 0.0}, "policy.record: 0.0 was given"),
        ({"record": math.nan}, "policy.record: nan was given"),
        ({"flag": 0.5}, "policy.flag: 0.5 was given, and policy.record is 1.0"),
        ({"notify": 4.0}, "raise notify or lower flag"),
        ({"step_up": 6.0}, "policy.step_up: 6.0"),
        ({"terminate": 6.0}, "policy.terminate: 6.0"),
        ({"terminate": math.nan}, "policy.terminate: nan"),
        ({"sensitive_discount": 3.5}, "less than 3.5"),
        ({"sensitive_discount": -1.0}, "policy.sensitive_discount: -1.0"),
        ({"flag": 2.0, "sensitive_discount": 2.0}, "less than 2.0"),
        ({"sensitive_paths": ("account",)}, "policy.sensitive_paths: 'account' was given"),
        ({"relaxed_paths": ("account",)}, "policy.relaxed_paths: 'account' was given"),
        ({"fresh_paths": ("account",)}, "policy.fresh_paths: 'account' was given"),
        ({"profile": "loose"}, "policy.profile: 'loose' was given; allowed are lax, standard"),
        ({"on_terminate": "some"}, "policy.on_terminate: 'some' was given; allowed are session"),
        ({"malicious": "ban"}, "policy.malicious: 'ban' was given; allowed are flag, terminate"),
    ],
)
def test_wrong_policies_are_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        Policy(PolicySettings(**fields), "flag")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"mode": "on"}, "allowed are off, observe, flag, step-up, strict"),
        ({"ip_shift": "yes"}, "detection.ip_shift: 'yes' was given"),
        ({"geo_anomaly": ""}, "detection.geo_anomaly"),
        ({"disable": ("ipshift",)}, "detection.disable: 'ipshift' was given; allowed are ip_shift"),
        ({"half_life": 0.0}, "detection.half_life: 0.0"),
        ({"half_life": 7201.0}, "a window of 7200.0"),
    ],
)
def test_wrong_detection_settings_are_named(fields: dict[str, Any], expected: str) -> None:
    (line,) = DetectionSettings(**fields).problems()
    assert expected in line


def test_settings_are_read_by_msgspec() -> None:
    settings = msgspec.convert({"mode": "step-up", "half_life": 60.0}, DetectionSettings)
    assert (settings.mode, settings.half_life, settings.window) == ("step-up", 60.0, 7200.0)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"mode": "on"}, DetectionSettings)
    assert DetectionSettings().problems() == PolicySettings().problems() == []
