"""Profiles as data: each can be used, keeps what its source says, and stands in the docs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gatehound import Guard, Settings
from gatehound._reading import nest_environment, read_struct
from gatehound.audit.standards import AAL1, AAL2, AAL3, all_lives, beyond, level_of
from gatehound.profiles import FIGURES, OF_ROLES, PROFILES
from gatehound.settings import RoleSettings, SessionSettings

PAGE = Path(__file__).parents[2] / "docs/profiles.md"
KEYS: dict[str, Any] = {
    "secret_keys": ["vJ3xq0Zb-7eKfWm2RtYuPs9LdAhGcN1o"],
    "identity_key": "Q8nTz5_yXkV4bMwHj6CrEaDi0FpUgS2l",
    "store": "memory://",
}
ROW = re.compile(r"^\| `([\w-]+)` \| `([\w.]+)` \| `(.+)` \| (.+) \|$", re.MULTILINE)


def settings_of(name: str, **more: Any) -> Settings:
    return Settings.from_dict({**KEYS, "profile": name, **more})


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_needs_the_keys_alone(name: str) -> None:
    guard = Guard({**KEYS, "profile": name})
    assert guard.settings.problems() == []
    found = guard.sync.check()
    assert {one.code for one in found if one.level != "note"} == {"store-in-memory"}
    assert guard.sync.describe().startswith(f"What is not set comes from the profile {name},")


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_can_be_that_of_a_role_beside_any_other(name: str) -> None:
    for other in PROFILES:
        settings = settings_of(other, roles={"staff": {"profile": name}})
        session = PROFILES[name].get("session", {})
        for field in OF_ROLES:
            assert getattr(settings.roles["staff"], field) == session.get(field)


def test_what_a_role_takes_is_what_it_can_have() -> None:
    assert ("profile", *OF_ROLES) == RoleSettings.__struct_fields__


@pytest.mark.parametrize("name", PROFILES)
def test_no_profile_asks_for_what_only_the_operator_has(name: str) -> None:
    assert set(PROFILES[name]) <= {"session", "policy", "client_ip", "detection"}
    assert set(PROFILES[name].get("detection", {})) <= {"ip_shift"}
    assert set(PROFILES[name].get("client_ip", {})) <= {"mode"}
    # A role lowers it for everybody, and must never raise it.
    touch = PROFILES[name].get("session", {}).get("touch_interval", 60.0)
    assert touch <= SessionSettings().touch_interval


def test_profiles_cannot_be_changed() -> None:
    tree: Any = PROFILES
    figures: Any = FIGURES
    for broken in (tree, tree["shop"], tree["shop"]["session"], figures):
        with pytest.raises(TypeError):
            broken["x"] = 1


@pytest.mark.parametrize(
    ("name", "level"), [("nist-aal1", AAL1), ("nist-aal2", AAL2), ("nist-aal3", AAL3)]
)
def test_profiles_of_nist_satisfy_their_level(name: str, level: Any) -> None:
    assert level_of(*all_lives(settings_of(name))) == level
    assert not list(beyond(all_lives(settings_of(name)), level))


@pytest.mark.parametrize(
    ("name", "idle", "absolute"),
    [("owasp-high", (120, 300), (14400, 28800)), ("owasp-low", (900, 1800), (14400, 28800))],
)
def test_profiles_of_owasp_are_in_its_ranges(
    name: str, idle: tuple[int, int], absolute: tuple[int, int]
) -> None:
    session = settings_of(name).session
    for value in (session.idle_timeout, session.remember_idle_timeout):
        assert idle[0] <= value <= idle[1]
    for value in (session.absolute_timeout, session.remember_timeout):
        assert absolute[0] <= value <= absolute[1]


def test_figures_of_guard_dog_are_in_its_ranges() -> None:
    for figures in FIGURES.values():
        for name, (value, source) in figures.items():
            if "5 to 1440 minutes" in source:
                assert 5 * 60 <= value <= 1440 * 60, name
            if "1 to 20 sessions" in source:
                assert 1 <= value <= 20, name


def test_behind_a_cdn_goes_with_any_other() -> None:
    shop = PROFILES["shop"]
    for order in ("shop, behind-cdn", ["behind-cdn", "shop"]):
        both = Settings.from_dict({**KEYS, "profile": order})
        assert both.client_ip.mode == "cloudflare"
        assert both.session.max_per_user == shop["session"]["max_per_user"]


# --- the page ---


def read_back(setting: str, text: str) -> Any:
    """Read a value of the table as an operator would give it in the environment."""
    variable = "X_" + setting.replace(".", "__").upper()
    problems: list[str] = []
    tree = nest_environment({variable: text}, "X_")
    value: Any = read_struct(Settings, tree, problems, text=True, prefix="X_", separator="__")
    assert not problems
    for part in setting.split("."):
        value = getattr(value, part)
    return value


def test_the_table_in_the_docs_is_the_data() -> None:
    rows = [found.groups() for found in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    told = {(name, setting): (text, source) for name, setting, text, source in rows}
    assert len(told) == len(rows)
    assert list(told) == [(name, one) for name, figures in FIGURES.items() for one in figures]
    for (name, setting), (text, source) in told.items():
        figure = FIGURES[name][setting]
        assert read_back(setting, text) == figure.value, (name, setting)
        assert source == figure.source, (name, setting)


def test_every_profile_has_its_line_in_the_docs() -> None:
    lines = re.findall(r"^- `([\w-]+)`: .+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert lines == list(PROFILES)
