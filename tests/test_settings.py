"""Settings from dict and environment: every problem, all at once, with the fix."""

from __future__ import annotations

import socket
import stat
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gatehound import Settings, SettingsError
from gatehound.settings import Limits

GOOD: dict[str, Any] = {"secret_keys": ["s" * 40], "identity_key": "i" * 40, "store": "memory://"}
GOOD_ENV = {
    "GATEHOUND_SECRET_KEYS": "s" * 40 + "," + "t" * 40,
    "GATEHOUND_IDENTITY_KEY": "i" * 40,
    "GATEHOUND_STORE": "memory://",
}


# Keys that a random dict of short names could hit with a value that is fine.
READABLE = {"store"}


def problems(data: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_dict(data)
    return caught.value.problems


def env_problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({**GOOD_ENV, **environ})
    return caught.value.problems


def test_defaults_are_those_of_the_reference() -> None:
    settings = Settings.from_dict(GOOD)
    session = settings.session
    assert (session.idle_timeout, session.absolute_timeout) == (3600, 43200)
    assert (session.max_per_user, session.on_limit) == (5, "oldest")
    assert settings.client_ip.mode == "remote-addr"
    assert settings.detection.mode == "flag"
    assert settings.cookie.name == "__Host-gatehound"
    assert settings.outage.policy == "deny"
    assert settings.namespace == "default"


def test_the_environment_says_the_same_as_a_dict() -> None:
    environ = {
        **GOOD_ENV,
        "GATEHOUND_CLIENT_IP__MODE": "x-forwarded-for",
        "GATEHOUND_CLIENT_IP__TRUSTED_PROXIES": "10.0.0.0/8, 192.168.0.0/16",
        "GATEHOUND_SESSION__IDLE_TIMEOUT": "30m",
        "GATEHOUND_SESSION__MAX_PER_USER": "none",
        "GATEHOUND_SESSION__ROTATE_EVERY": "1h",
        "GATEHOUND_ROLES__ADMIN__MAX_PER_USER": "2",
        "GATEHOUND_COOKIE__SECURE": "yes",
        "GATEHOUND_POLICY__FLAG": "5.5",
        "GATEHOUND_STORE": "",
        "HOME": "/nowhere",
    }
    data = {
        "secret_keys": ["s" * 40, "t" * 40],
        "identity_key": "i" * 40,
        "client_ip": {
            "mode": "x-forwarded-for",
            "trusted_proxies": ["10.0.0.0/8", "192.168.0.0/16"],
        },
        "session": {"idle_timeout": 1800, "max_per_user": None, "rotate_every": 3600},
        "roles": {"admin": {"max_per_user": 2}},
        "cookie": {"secure": True},
        "policy": {"flag": 5.5},
    }
    assert Settings.from_env(environ) == Settings.from_dict(data)
    mine = {key.replace("GATEHOUND_", "APP_"): value for key, value in environ.items()}
    assert Settings.from_env(mine, prefix="APP_") == Settings.from_dict(data)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("60m", 3600),
        ("12h", 43200),
        ("14d", 1209600),
        ("2w", 1209600),
        ("300", 300),
        (" 1.5h ", 5400),
        (300, 300),
        (300.5, 300.5),
        ("250ms", 0.25),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    data = {**GOOD, "outage": {"retry_after": text}}
    assert Settings.from_dict(data).outage.retry_after == seconds


@pytest.mark.parametrize("bad", ["soon", "-5", "5 minutes ago", "", "1h30m", -1, True, [], "nan"])
def test_a_duration_that_cannot_be_read(bad: Any) -> None:
    (line,) = problems({**GOOD, "outage": {"retry_after": bad}})
    assert line.startswith(f"outage.retry_after: {bad!r} given; allowed are seconds or text")


def test_every_problem_comes_in_one_message(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"not a database")
    found = problems(
        {
            "secret_key": ["x"],
            "identity_key": "short",
            "store": "postgres://db",
            "namespace": "No Spaces",
            "session": {"idle_timeout": "soon", "absolut_timeout": 5, "max_per_user": 0},
            "client_ip": {"mode": "x-forwarded-fro", "trusted_proxies": ["10.0.0.5/8"]},
            "cookie": {"domain": "example.com", "samesite": "sometimes"},
            "detection": {"mode": "loud", "city_database": str(broken)},
            "ignore_paths": ["static"],
            "web": {"step_up_url": "https://evil.example/"},
            "roles": {"admin": {"idel_timeout": "5m"}},
        }
    )
    text = "\n".join(found)
    for expected in (
        "secret_key: there is no such setting; did you mean secret_keys?",
        "secret_keys: none given",
        "identity_key: 5 characters given; at least 32",
        "store: scheme 'postgres' given",
        "namespace: 'No Spaces' given; allowed is text like ^[a-z0-9-]{1,32}$",
        "session.idle_timeout: 'soon' given",
        "session.absolut_timeout: there is no such setting; did you mean session.absolute_timeout?",
        "session.max_per_user: 0 given",
        "10.0.0.0/8",
        "cookie.samesite: 'sometimes' given; allowed is 'lax' or 'strict' or 'none'",
        "cookie.domain",
        "detection.mode: 'loud' given; allowed is 'off' or 'observe'",
        f"detection.city_database: {str(broken)!r}",
        "ignore_paths: 'static' given",
        "web.step_up_url",
        "did you mean roles.admin.idle_timeout?",
    ):
        assert expected in text, expected
    with pytest.raises(SettingsError) as caught:
        Settings.from_dict({"secret_keys": []})
    assert str(caught.value).startswith("2 problems in the settings:\n  - secret_keys")


def test_one_problem_needs_no_list() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_dict({**GOOD, "stroe": "x"})
    assert str(caught.value).startswith("stroe: there is no such setting; did you mean store?")


def test_keys_in_the_environment_are_named_as_they_were_written() -> None:
    found = env_problems(
        GATEHOUND_SESSION__IDLE_TIMEOUT="soon",
        GATEHOUND_SESION__IDLE_TIMEOUT="5m",
        GATEHOUND_COOKIE__SECURE="perhaps",
        GATEHOUND_SESSION="5m",
    )
    text = "\n".join(found)
    assert "GATEHOUND_COOKIE__SECURE: 'perhaps' given; allowed is true or false" in text
    assert "GATEHOUND_SESION: there is no such setting; did you mean GATEHOUND_SESSION?" in text


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("GATEHOUND_DETECTION_CITY_DATABASE", "GATEHOUND_DETECTION__CITY_DATABASE"),
        ("GATEHOUND_DETECTION__NETWORK_LISTS_TOR", "GATEHOUND_DETECTION__NETWORK_LISTS__TOR"),
    ],
)
def test_one_underscore_where_a_group_ends_is_the_commonest_slip(given: str, meant: str) -> None:
    text = "\n".join(env_problems(**{given: "x"}))
    assert f"{given}: there is no such setting; did you mean {meant}?" in text


@pytest.mark.parametrize("name", ["STORE", "SESSION", "NAMESPACE", "ROLES", "NONSENSE"])
def test_a_key_that_is_both_a_value_and_a_group_is_told(name: str) -> None:
    pair = [(f"GATEHOUND_{name}", "memory://"), (f"GATEHOUND_{name}__FOO", "1")]
    for order in (pair, pair[::-1]):
        text = "\n".join(env_problems(**dict(order)))
        assert f"GATEHOUND_{name}" in text


@pytest.mark.parametrize("name", ["SESSION__MAX_PER_USER", "DEVELOPMENT", "SESSION__IDLE_TIMEOUT"])
def test_a_value_given_as_a_group_is_told(name: str) -> None:
    (line,) = env_problems(**{f"GATEHOUND_{name}__FOO": "1"})
    assert line.startswith(f"GATEHOUND_{name}: {{'foo': '1'}} given; allowed")


def test_rules_name_settings_as_the_operator_wrote_them() -> None:
    (line,) = env_problems(GATEHOUND_SESSION__IDLE_TIMEOUT="13h")
    assert line.startswith("GATEHOUND_SESSION__IDLE_TIMEOUT: 46800 s is longer")
    (line,) = env_problems(GATEHOUND_SESSION__IDLE_TIMEOUT="soon")
    assert line.startswith("GATEHOUND_SESSION__IDLE_TIMEOUT: 'soon' given")


def test_roles_keep_their_case_in_a_dict() -> None:
    settings = Settings.from_dict({**GOOD, "roles": {"Admin": {"max_per_user": 1}}})
    assert settings.limits(("Admin",), remembered=False).max_per_user == 1


def test_secrets_are_never_shown() -> None:
    secret = "hunter2-" * 3
    found = problems({**GOOD, "secret_keys": [secret], "identity_key": secret})
    assert secret not in "\n".join(found)
    found = problems({**GOOD, "secret_keys": {"a": secret}})
    assert secret not in "\n".join(found)
    found = problems({**GOOD, "store": f"postgres://user:{secret}@db"})
    assert secret not in "\n".join(found)
    edge = {"mode": "fastly", "edge_overwrites": True, "edge_secret": ["x-edge", secret]}
    given = Settings.from_dict({**GOOD, "client_ip": edge})
    for shown in (repr, lambda part: repr(part.__rich_repr__())):  # as rich shows locals
        assert "s" * 40 not in shown(given)
        assert "i" * 40 not in shown(given)
        assert secret not in shown(given.client_ip)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"secret_keys": ["i" * 40]}, "identity_key: the same as one of secret_keys"),
        ({"identity_key": ""}, "identity_key: none given"),
        ({"session": {"idle_timeout": "13h"}}, "session.idle_timeout: 46800 s is longer than"),
        ({"session": {"remember_idle_timeout": "15d"}}, "session.remember_idle_timeout"),
        (
            {"session": {"idle_timeout": 300}},
            "session.idle_timeout: session.touch_interval (60 s) is over",
        ),
        ({"session": {"absolute_timeout": "401d"}}, "allowed are 1 s to 400 days"),
        ({"roles": {"a": {"max_per_user": 1001}}}, "roles.a.max_per_user: 1001 given"),
        ({"roles": ["a"]}, "roles"),
        ({"session": 5}, "session: 5 given; allowed is a group of settings: idle_timeout"),
        ({"store": "sqlite:///"}, "store: sqlite:/// names no file"),
        ({"store": "redis:user:hunter2@h"}, "store: no URL given"),
        ({"store": "http://a"}, "store: scheme 'http' given"),
        ({"roles": {"a": {"idle_timeout": "60s"}}}, "roles.a.idle_timeout: session.touch_interval"),
        ({"roles": {"a": {"idle_timeout": "13h"}}}, "roles.a.idle_timeout: 46800 s is longer"),
        ({"session": {"rotation_grace": "2h"}}, "session.rotation_grace: 7200 s given"),
        ({"privacy": {"event_retention": 0}}, "privacy.event_retention: 0 s given"),
        (
            {"detection": {"ip_shift": "strict"}, "privacy": {"address_precision": "network"}},
            "detection.ip_shift: strict compares whole addresses",
        ),
        ({"client_ip": {"trusted_proxies": ["10.0.0.1"]}}, "client_ip.trusted_proxies: given, but"),
        ({"client_ip": {"mode": "x-real-ip"}}, "client_ip.mode: x-real-ip given without"),
        ({"web": {"step_up_url": "/a\r\nX: y"}}, "web.step_up_url"),
        ({"cookie": {"path": "/app"}}, "cookie.path"),
        ({"cookie": {"secure": False}}, "cookie.secure"),
        ({"cookie": {"name": "a b"}}, "cookie.name"),
        ({"cookie": {"name": "plain", "samesite": "none", "secure": False}}, "cookie.secure"),
        ({"client_ip": {"mode": "x-forwarded-for", "trusted_proxies": ["*"]}}, "trust_everyone"),
        ({"web": {"step_up_url": "//evil"}}, "web.step_up_url"),
        ({"web": {"step_up_url": "/a\\b"}}, "web.step_up_url"),
        ({"policy": {"flag": -1}}, "policy"),
    ],
)
def test_rules_between_settings(data: dict[str, Any], expected: str) -> None:
    assert expected in "\n".join(problems({**GOOD, **data}))


def test_a_settings_object_that_was_built_by_hand_is_checked_by_the_guard() -> None:
    from gatehound import Guard

    with pytest.raises(SettingsError, match="secret_keys"):
        Guard(Settings())


def test_the_default_store_is_a_file_of_this_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    settings = Settings.from_dict({**GOOD, "store": ""})
    assert settings.store_url == f"sqlite:///{tmp_path}/gatehound/default.db"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings.store_url == f"sqlite:///{tmp_path}/.local/state/gatehound/default.db"


def test_development_makes_keys_once_and_keeps_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first = Settings.from_dict({"development": True})
    again = Settings.from_dict({"development": True})
    assert first == again
    assert first.identity_key not in first.secret_keys
    assert (first.cookie.name, first.cookie.secure) == ("gatehound", False)
    (file,) = (tmp_path / "gatehound").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    other = Settings.from_dict({"development": True, "namespace": "other"})
    assert other.secret_keys != first.secret_keys
    mine = Settings.from_dict({"development": True, **GOOD, "cookie": {"samesite": "strict"}})
    assert mine.secret_keys == ("s" * 40,)
    assert mine.cookie.secure


def test_limits_take_the_strictest_role() -> None:
    settings = Settings.from_dict(
        {
            **GOOD,
            "session": {"touch_interval": 20},
            "roles": {
                "admin": {"idle_timeout": "10m", "max_per_user": 2, "fresh_for": 60},
                "kiosk": {"idle_timeout": "5m", "on_limit": "deny", "remember_timeout": "1d"},
                "robot": {"idle_timeout": "10h", "on_limit": "oldest"},
            },
        }
    )
    assert settings.limits((), remembered=False) == Limits(
        idle=3600, absolute=43200, max_per_user=5, on_limit="oldest", fresh_for=600
    )
    assert settings.limits(("admin", "kiosk", "unknown"), remembered=False) == Limits(
        idle=300, absolute=43200, max_per_user=2, on_limit="deny", fresh_for=60
    )
    assert settings.limits(("robot",), remembered=False).idle == 36000
    assert settings.limits(("kiosk",), remembered=True).absolute == 86400
    assert settings.limits(("admin",), remembered=True).idle == 14 * 86400


# How quickly inputs are made says more of a busy machine than of what is tested.
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(
        st.text(string.ascii_lowercase + "_", max_size=12),
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers()),
        max_size=4,
    )
)
def test_whatever_is_given_only_settings_errors_are_raised(data: dict[str, Any]) -> None:
    problems: tuple[str, ...] = ()
    try:
        Settings.from_dict({**GOOD, **data})
    except SettingsError as error:
        problems = error.problems
    assert bool(problems) == bool(data.keys() - READABLE)


def test_a_store_that_nobody_serves_is_named_with_the_fix(free_port: int) -> None:
    from gatehound import Guard

    with pytest.raises(SettingsError) as caught:
        Guard({**GOOD, "store": f"redis://:hunter2@127.0.0.1:{free_port}/0"})
    (line,) = caught.value.problems
    assert line.startswith("store: ")
    assert f"127.0.0.1:{free_port}" in line
    assert "check_store_at_start" in line
    assert "hunter2" not in line


@pytest.fixture
def free_port() -> int:
    for port in range(21000, 22000):
        with socket.socket() as listening:
            if listening.connect_ex(("127.0.0.1", port)):
                return port
    pytest.fail("no port between 21000 and 22000 is free")
