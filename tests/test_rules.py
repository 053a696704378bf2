"""Rules between settings of sessions, cookies and outages: each names the setting and the fix."""

from __future__ import annotations

from typing import Any

import pytest

from gatehound import Guard, Settings, SettingsError

KEYS = {"secret_keys": ["s" * 40], "identity_key": "i" * 40, "store": "memory://"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"session": {"anonymous_timeout": 0.5}}, "session.anonymous_timeout: 0.5 s given; allow"),
        ({"session": {"anonymous_timeout": "401d"}}, "session.anonymous_timeout: 3.46464e+07 s"),
        ({"outage": {"stale_for": 0}}, "outage.stale_for: 0 s given; allowed are 1 s to 10 min"),
        ({"outage": {"stale_for": "601s"}}, "outage.stale_for: 601 s given; allowed are 1 s to"),
        ({"outage": {"policy": "stale"}}, "outage.policy: 'stale' given; allowed"),
        ({"cookie": {"name": "x" * 241}}, "cookie.name: 241 characters given; at most 240"),
    ],
)
def test_a_rule_names_what_was_given(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_dict({**KEYS, **given})
    (problem,) = caught.value.problems
    assert problem.startswith(said)


@pytest.mark.parametrize(
    "given",
    [
        {"session": {"anonymous_timeout": "400d"}},
        {"session": {"anonymous_timeout": "1s"}},
        {"outage": {"policy": "stale_ok", "stale_for": "10m"}},
        {"outage": {"stale_for": "1s"}},
        {"cookie": {"name": "x" * 240, "secure": False}},
    ],
)
def test_the_bounds_themselves_are_allowed(given: dict[str, Any]) -> None:
    assert Settings.from_dict({**KEYS, **given}).problems() == []


def test_defaults() -> None:
    settings = Settings.from_dict(KEYS)
    assert (settings.outage.policy, settings.outage.stale_for) == ("deny", 60.0)
    assert settings.session.anonymous_timeout == 14 * 86400.0


def test_start_says_what_a_database_would_add(caplog: pytest.LogCaptureFixture) -> None:
    Guard(KEYS, sinks=[])
    (line,) = caplog.messages
    assert line.endswith("lists alone; set both to judge by country and provider too")
