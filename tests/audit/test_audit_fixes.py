"""A fix that is applied to the letter makes its finding vanish."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from audit_kit import guard_of, production
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gatehound import Settings, SettingsError, audit
from gatehound.audit.notices import notice_findings
from gatehound.audit.sessions import session_findings
from gatehound.clientip.check import Finding
from gatehound.profiles import merged

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_SET = re.compile(
    r"(?P<name>[\w.:-]+) to (?:(?P<many>[\d.]+) (?P<unit>second|minute|hour|day)|(?P<word>\w+))"
)


def applied(tree: Mapping[str, Any], fix: str) -> dict[str, Any]:
    """Do what a fix says: "set a.b to 1 hour, c.d to admin"."""
    assert fix.startswith("set ")
    for found in _SET.finditer(fix.partition(", or write")[0]):
        value: Any = found["word"]
        if found["many"]:
            value = float(found["many"]) * _SECONDS[found["unit"]]
        for part in reversed(found["name"].split(".")):
            value = {part: value}
        tree = merged(tree, value)
    return dict(tree)


def of_code(findings: list[Finding], code: str) -> list[Finding]:
    return [one for one in findings if one.code == code]


CASES: list[tuple[str, dict[str, Any]]] = [
    ("timeouts-over-aal1", {"profile": ["nist-aal1"], "session": {"remember_timeout": "60d"}}),
    ("timeouts-over-aal1", {"session": {"remember_timeout": "60d", "remember_idle_timeout": 4e6}}),
    ("timeouts-over-aal1", {"roles": {"user:42": {"remember_timeout": "31d"}}}),
    ("timeouts-over-aal2", {"session": {"idle_timeout": "2h", "absolute_timeout": "25h"}}),
    ("timeouts-over-aal2", {"roles": {"user:42": {"profile": "consumer"}}}),
    ("admin-timeouts", {"web": {"admin_roles": ["owner", "boss"]}}),
    ("admin-timeouts", {"roles": {"admin": {"idle_timeout": "1h", "absolute_timeout": "24h"}}}),
    (
        "admin-timeouts",
        {"roles": {"admin": {"idle_timeout": None, "absolute_timeout": None}}},
    ),
    ("idle-timeout-unusual", {"session": {"idle_timeout": "2d", "absolute_timeout": "3d"}}),
    ("idle-timeout-unusual", {"session": {"idle_timeout": "2m", "touch_interval": 10}}),
    ("fresh-long", {"session": {"fresh_for": "61m"}}),
]


@pytest.mark.parametrize(("code", "change"), CASES)
def test_what_a_fix_says_mends_it(tmp_path: Path, code: str, change: dict[str, Any]) -> None:
    guard = guard_of(production(tmp_path), change)
    (finding,) = of_code(audit.findings(guard.settings, guard.detection, guard.store), code)
    mended = guard_of(applied(merged(production(tmp_path), change), finding.fix))
    assert not of_code(audit.findings(mended.settings, mended.detection, mended.store), code)


def test_every_loose_role_is_named(tmp_path: Path) -> None:
    change = {"web": {"admin_roles": ["owner", "boss"]}}
    guard = guard_of(production(tmp_path), change)
    (finding,) = of_code(
        audit.findings(guard.settings, guard.detection, guard.store), "admin-timeouts"
    )
    assert finding.fix == "set roles.owner.profile to admin, roles.boss.profile to admin"


def test_a_fix_of_timeouts_is_no_setting_that_is_refused(tmp_path: Path) -> None:
    change = {"web": {"admin_roles": ["owner"]}, "session": {"touch_interval": "2m"}}
    base = merged(production(tmp_path), change) | {"roles": {}}
    guard = guard_of(base)
    (finding,) = of_code(
        audit.findings(guard.settings, guard.detection, guard.store), "admin-timeouts"
    )
    assert finding.fix == "set roles.owner.profile to admin, session.touch_interval to 90 seconds"
    mended = guard_of(applied(base, finding.fix))
    found = audit.findings(mended.settings, mended.detection, mended.store)
    assert not of_code(found, "admin-timeouts")


def test_every_limit_is_named() -> None:
    tree = {"session": {"max_per_user": None}, "roles": {"a": {"max_per_user": 21}, "b": {}}}
    found = session_findings(read(tree))
    (finding,) = (one for one in found if one.code == "session-limit-high")
    assert finding.fix == "set session.max_per_user and roles.a.max_per_user to 1 to 20"


KEYS = {"secret_keys": ["s" * 40], "identity_key": "i" * 40, "store": "memory://"}
SPANS = st.sampled_from(
    [60, 600, 900, 3600, 7200, 43_200, 86_400, 90_000, 14 * 86_400, 30 * 86_400, 60 * 86_400]
)
NAMES = ("idle_timeout", "absolute_timeout", "remember_timeout", "remember_idle_timeout")
GROUP = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, SPANS))


def read(tree: Mapping[str, Any]) -> Settings:
    return Settings.from_dict({**KEYS, **tree})


@settings(deadline=None)
@given(
    session=GROUP,
    roles=st.dictionaries(st.sampled_from(["a", "b"]), GROUP),
    touch=st.sampled_from([5, 60, 300, 600]),
)
def test_timeouts_that_are_shortened_as_told_are_allowed_and_enough(
    session: dict[str, Any], roles: dict[str, Any], touch: int
) -> None:
    """Not checked: figures between those of SPANS."""
    tree = {"session": {**session, "touch_interval": touch}, "roles": roles}
    try:
        given = read(tree)
    except SettingsError:
        assume(False)
        raise
    for finding in session_findings(given):
        if not finding.code.startswith("timeouts-over-"):
            continue
        mended = read(applied(tree, finding.fix))
        assert not of_code(list(session_findings(mended)), finding.code)


LETTERS = {"smtp": "smtp://127.0.0.1", "mail_from": "a@b.example", "users": True}


@pytest.mark.parametrize(
    ("notify", "path", "found"),
    [
        (
            {},
            None,
            {
                "notices-without-link": "set web.path and notify.site_url",
                "notices-without-name": "set notify.site_name",
            },
        ),
        ({"site_name": "Shop"}, "/me", {"notices-without-link": "set notify.site_url"}),
        ({"site_url": "https://shop.example"}, None, {"notices-without-link": "set web.path"}),
        ({"site_url": "https://shop.example"}, "/me", {}),  # its host is the name
        (
            {"users": False, "admins": ["a@b.example"]},
            None,
            {"notices-without-name": "set notify.site_name"},
        ),
        ({"users": False, "smtp": None, "mail_from": None, "log": True}, None, {}),
    ],
)
def test_letters_need_a_link_and_a_name(
    notify: dict[str, Any], path: str | None, found: dict[str, str]
) -> None:
    tree = {"notify": {**LETTERS, **notify}, "web": {"path": path}}
    assert {one.code: one.fix for one in notice_findings(read(tree))} == found
