"""What an audit finds: nothing where nothing is wrong, each fault alone, and many at once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from audit_kit import IDENTITY, SECRET, guard_of, production
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehound import Guard, audit
from gatehound.audit.keys import _weakness
from gatehound.audit.places import far_hosts
from gatehound.clientip.check import Finding
from gatehound.stores.memory import MemoryStore
from gatehound.stores.redis.address import SCHEMES


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return production(tmp_path_factory.mktemp("production"))


def found_in(guard: Guard) -> list[Finding]:
    return audit.findings(guard.settings, guard.detection, guard.blocking().store)


def codes_of(guard: Guard) -> set[str]:
    return {finding.code for finding in found_in(guard)}


# What a SQLite file says of the library and the disk of the machine that runs these tests.
OF_THE_MACHINE = {"sqlite-wal-reset", "disk-low", "session-file-open"}


def test_nothing_is_found_where_nothing_is_wrong(good: dict[str, Any]) -> None:
    guard = guard_of(good)
    assert found_in(guard) == []
    assert {finding.code for finding in guard.sync.check()} <= OF_THE_MACHINE


@pytest.mark.parametrize(
    "change",
    [
        {"store": "redis://127.0.0.1:6379/0"},
        {"store": "redis://localhost"},
        {"store": "redis://[::1]:6379"},
        {"store": "unix:///run/redis.sock"},
        {"store": "rediss://app:pw@redis.example/0"},
        {"store": "redis+sentinel://127.0.0.1:26379,localhost:26379/service"},
        {"secret_keys": [SECRET]},
        {"secret_keys": ["a41f09c7d2e86b35f00c91d7be642a83"]},
        {"cookie": {"samesite": "none", "partitioned": True}},
        {"cookie": {"samesite": "strict"}},
        {"csrf": {"protect": False, "exempt": []}},
        {"csrf": {"exempt": ["/hooks/*"], "trusted_origins": ["https://other.example"]}},
        {"profile": ["nist-aal3"]},
        {"profile": ["owasp-high"]},
        {"session": {"max_per_user": 20, "fresh_for": "1h"}},
        {"privacy": {"event_retention": "30d"}},
        {"roles": {"user:43": {}}, "policy": {"sensitive_roles": ["admin", "user:42"]}},
        {"policy": {"relaxed_roles": ["customer"]}},
        {"policy": {"sensitive_roles": ["admin", "admins"]}},
        {"detection": {"mode": "flag"}},
        {"web": {"admin_roles": ["admin"]}},
    ],
)
def test_nothing_is_found_in_what_is_right_too(
    good: dict[str, Any], change: dict[str, Any]
) -> None:
    assert found_in(guard_of(good, change)) == []


FAULTS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "key-weak": (
        {"secret_keys": ["s" * 40]},
        {"secret_keys": [SECRET, "12" * 20]},
        {"secret_keys": ["abcdefgabdcegfbacdgefcabdgefacdb"]},
        {"identity_key": "change-me-change-me-change-me-change-me"},
        {"secret_keys": ["django-insecure-vJ3xq0Zb7eKfWm2RtYuPs9L"]},
        {"secret_keys": ["my-own-PASSWORD-for-this-website-2026"]},
        {"secret_keys": ["kX9mQ2vR7tZ4kX9mQ2vR7tZ4kX9mQ2vR7tZ4kX"]},
    ),
    "keys-alike": (
        {"secret_keys": [SECRET, SECRET[:-4] + "wxyz"]},
        {"secret_keys": [IDENTITY[:10] + SECRET]},
    ),
    "store-in-memory": ({"store": "memory://"},),
    "store-not-encrypted": (
        {"store": "redis://redis.example:6379/0"},
        {"store": "redis://app@10.0.0.5/0"},
        {"store": "redis://app:pw@10.0.0.5/0"},
        {"store": "redis://10.0.0.5/0?password=pw"},
        {"store": "redis+cluster://127.0.0.1:6379,redis.example:6379"},
    ),
    "cookie-no-host-prefix": ({"cookie": {"name": "sid"}},),
    "cookie-not-partitioned": ({"cookie": {"samesite": "none"}},),
    "timeouts-over-aal2": (
        {"session": {"remember_timeout": "14d"}},
        {"session": {"absolute_timeout": "25h"}},
        {"roles": {"user:42": {"idle_timeout": "2h"}}},
        {"roles": {"user:42": {"profile": "consumer"}}},
    ),
    "timeouts-over-aal1": ({"roles": {"user:42": {"remember_timeout": "31d"}}},),
    "session-limit-high": (
        {"session": {"max_per_user": None}},
        {"session": {"max_per_user": 21}},
        {"roles": {"user:42": {"max_per_user": 500}}},
    ),
    "fresh-long": ({"session": {"fresh_for": "61m"}},),
    "events-short": ({"privacy": {"event_retention": "29d"}},),
    "detection-off": ({"detection": {"mode": "off"}},),
    "terminate-without-effect": ({"detection": {"mode": "flag"}, "policy": {"terminate": 9.0}},),
    "malicious-without-list": ({"policy": {"malicious": "terminate"}},),
    "no-city-database": ({"detection": {"city_database": ""}},),
    "no-asn-database": ({"detection": {"asn_database": ""}},),
    "no-network-kinds": ({"detection": {"anonymous_database": ""}},),
    "role-misspelled": (
        {"policy": {"sensitive_roles": ["Admin", "administrator"]}},
        {"web": {"trace_roles": ["admins"]}},
    ),
    "role-relaxed": (
        {"policy": {"relaxed_roles": ["administrator"]}},
        {"policy": {"sensitive_roles": [], "relaxed_roles": ["admin"]}},
    ),
    "fresh-waived": ({"web": {"require_fresh": False}},),
    "no-sign-in-url": ({"web": {"sign_in_url": None}},),
    "step-up-missing": (
        {
            "web": {"path": None, "admin_path": None, "step_up_url": None},
            "detection": {"mode": "flag"},
            "policy": {"fresh_paths": []},
        },
    ),
    "fresh-paths-dead": (
        {
            "web": {"path": None, "admin_path": None, "step_up_url": None},
            "detection": {"mode": "flag"},
        },
    ),
    "no-step-up-page": ({"web": {"path": None, "admin_path": None, "step_up_url": None}},),
    "no-way-to-be-fresh": (
        {
            "web": {"step_up_url": None},
            "detection": {"mode": "flag"},
            "policy": {"fresh_paths": []},
        },
    ),
    "admin-roles-empty": ({"web": {"admin_roles": []}},),
    "admin-timeouts": (
        {"roles": {"admin": {"idle_timeout": None, "absolute_timeout": None}}},
        {"web": {"admin_roles": ["owner"]}},
    ),
    "csrf-without-effect": (
        {"csrf": {"protect": False}},
        {"csrf": {"protect": False, "exempt": [], "trusted_origins": ["https://b.example"]}},
    ),
    "csrf-exempt-broad": (
        {"csrf": {"exempt": ["*/hook"]}},
        {"csrf": {"exempt": ["POST /*.json"]}},
    ),
    "csrf-origin-plain": ({"csrf": {"trusted_origins": ["http://other.example"]}},),
    "outage-anonymous": ({"outage": {"policy": "anonymous"}},),
    "outage-stale": ({"outage": {"policy": "stale_ok"}},),
    "trust-wide": ({"client_ip": {"trusted_proxies": ["203.0.0.0/8"]}},),
    "trust-everyone": ({"client_ip": {"trusted_proxies": [], "trust_everyone": True}},),
}


@pytest.mark.parametrize(
    ("code", "change"), [(code, change) for code, changes in FAULTS.items() for change in changes]
)
def test_each_fault_alone_is_found_and_nothing_else(
    good: dict[str, Any], code: str, change: dict[str, Any]
) -> None:
    found = found_in(guard_of(good, change))
    assert [one.code for one in found] == [code]
    (one,) = found
    assert one.text.endswith(".")
    assert one.fix
    assert not one.fix.endswith(".")
    assert not any(key in one.text + one.fix for key in (SECRET, IDENTITY, "pw@", "=pw"))


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"cookie": {"name": "sid", "secure": False}}, {"cookie-not-secure"}),
        (
            {"cookie": {"name": "sid", "domain": "example.com"}},
            {"cookie-shared", "cookie-no-host-prefix"},
        ),
        (
            {"cookie": {"samesite": "none"}, "csrf": {"protect": False, "exempt": []}},
            {"cookie-cross-site", "cookie-not-partitioned"},
        ),
        (
            {"session": {"idle_timeout": "200s", "touch_interval": 10}},
            {"idle-timeout-unusual"},
        ),
        ({"session": {"idle_timeout": "24h"}}, {"timeouts-over-aal2"}),
        (
            {
                "ignore_paths": ["/"],
                "web": {"path": None, "admin_path": None, "step_up_url": None},
                "detection": {"mode": "flag"},
                "policy": {"fresh_paths": []},
            },
            {"sessions-ignored", "step-up-missing"},
        ),
        (
            {"session": {"idle_timeout": "25h", "absolute_timeout": "31d"}},
            {"idle-timeout-unusual", "timeouts-over-aal1"},
        ),
    ],
)
def test_faults_that_come_together(
    good: dict[str, Any], change: dict[str, Any], codes: set[str]
) -> None:
    assert codes_of(guard_of(good, change)) == codes


# --- three configurations as they are met, and what is wrong with each ---

COPIED: dict[str, Any] = {  # out of a tutorial
    "secret_keys": ["your-secret-key-goes-here-please-change"],
    "identity_key": "i" * 40,
    "store": "memory://",
    "cookie": {"name": "session", "secure": False},
    "client_ip": {"mode": "x-forwarded-for", "trust_everyone": True},
    "detection": {"mode": "off"},
    "session": {"max_per_user": None, "remember_timeout": "365d", "remember_idle_timeout": "365d"},
    "privacy": {"event_retention": "1d"},
    "csrf": {"trusted_origins": ["http://localhost:3000"]},
    "web": {"path": "/me", "admin_path": "/boss"},
}
GROWN: dict[str, Any] = {  # by many hands, each with one wish
    "secret_keys": [SECRET, SECRET[:-2] + "02"],
    "identity_key": IDENTITY,
    "store": "redis://cache.internal:6379/0",
    "cookie": {"name": "__Secure-sid", "domain": "example.com", "samesite": "none"},
    "client_ip": {"mode": "x-real-ip", "trusted_proxies": ["10.0.0.0/8", "198.0.0.0/8"]},
    "roles": {"Admin": {"max_per_user": 50}},
    "policy": {"relaxed_roles": ["administrator"], "malicious": "terminate", "terminate": 8.0},
    "web": {"path": "/me", "require_fresh": False, "admin_path": "/boss", "admin_roles": []},
    "outage": {"policy": "anonymous"},
    "csrf": {"exempt": ["/api/*"]},
}
HASTY: dict[str, Any] = {  # switched to strict the evening after an incident
    "profile": "consumer",
    "secret_keys": [SECRET],
    "identity_key": IDENTITY,
    "store": "redis://app:pw@10.0.0.9/0",
    "ignore_paths": ["/"],
    "detection": {"mode": "strict"},
    "session": {"idle_timeout": "2d", "fresh_for": "4h"},
    "outage": {"policy": "stale_ok"},
    "csrf": {"protect": True, "exempt": ["*/callback"], "trusted_origins": ["http://b.example"]},
}
PLANTED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "copied": (
        COPIED,
        {
            *("key-weak", "store-in-memory", "cookie-not-secure", "trust-everyone"),
            *("detection-off", "session-limit-high", "timeouts-over-aal1", "events-short"),
            *("csrf-without-effect", "no-way-to-be-fresh", "no-sign-in-url", "admin-timeouts"),
        },
    ),
    "grown": (
        GROWN,
        {
            *("keys-alike", "store-not-encrypted", "cookie-no-host-prefix", "cookie-shared"),
            *("cookie-cross-site", "cookie-not-partitioned", "header-spoofable", "trust-wide"),
            *("trust-private", "role-misspelled", "role-relaxed", "session-limit-high"),
            *("malicious-without-list", "terminate-without-effect", "fresh-waived"),
            *("no-sign-in-url", "admin-roles-empty", "outage-anonymous", "csrf-without-effect"),
            *("timeouts-over-aal2", "step-up-missing"),
            *("no-city-database", "no-asn-database", "no-network-kinds"),
        },
    ),
    "hasty": (
        HASTY,
        {
            *("store-not-encrypted", "sessions-ignored", "no-step-up-page", "fresh-long"),
            *("idle-timeout-unusual", "timeouts-over-aal2", "outage-stale", "csrf-exempt-broad"),
            "csrf-origin-plain",
            *("no-city-database", "no-asn-database", "no-network-kinds"),
        },
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_every_fault_that_was_planted_is_found(name: str) -> None:
    data, planted = PLANTED[name]
    found = found_in(guard_of(data))
    assert {one.code for one in found} == planted
    assert audit.grade(audit.score(found)) == "bad"


# --- each part ---


def test_a_store_that_was_given_is_the_one_that_counts(good: dict[str, Any]) -> None:
    guard = Guard({**good, "store": "redis://far.example"}, store=MemoryStore())
    assert codes_of(guard) == {"store-in-memory"}
    assert guard.sync.check()[0].code == "store-in-memory"


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        ({}, "development", "note"),
        ({"store": "redis://far.example/0"}, "development-exposed", "warning"),
        ({"cookie": {"domain": "a.example"}}, "development-exposed", "warning"),
        (
            {"client_ip": {"mode": "x-forwarded-for", "trusted_proxies": ["10.0.0.1"]}},
            "development-exposed",
            "warning",
        ),
    ],
)
def test_development_is_told_the_louder_the_more_it_looks_like_production(
    change: dict[str, Any], code: str, level: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    if "cookie" in change:
        change = {"cookie": {"name": "sid", "secure": False, **change["cookie"]}}
    found = found_in(guard_of({"development": True, "secret_keys": ["s" * 40]}, change))
    (one,) = [one for one in found if one.code.startswith("development")]
    assert (one.code, one.level) == (code, level)
    assert not {"key-weak", "store-in-memory", "store-not-encrypted"} & {x.code for x in found}


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(0))
def test_no_random_key_is_complained_of(seed: int) -> None:
    """Random with a fixed seed: those of `gatehound keygen`, and the poorest that are allowed."""
    import random

    source = random.Random(seed)
    for key in (
        "".join(source.choices("0123456789abcdef", k=32)),
        "".join(
            source.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", k=43)
        ),
    ):
        assert _weakness(key) is None


def test_a_key_of_the_command_is_fine() -> None:
    assert _weakness(secrets.token_urlsafe(32)) is None


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("sqlite:///a/b.db", []),
        ("memory://", []),
        ("unix:///run/redis.sock", []),
        ("redis://", []),
        ("redis://:pw@", []),
        ("redis://127.9.9.9", []),
        ("redis://app.localhost:1", []),
        ("rediss://user:p@127.0.0.1/0", []),
        ("redis://[2001:db8::1]:6379/0", ["2001:db8::1"]),
        ("redis://user:pw@redis.example:6379/0?client_name=x", ["redis.example"]),
        ("redis+cluster://u:p@a.example:1,b.example:2", ["a.example", "b.example"]),
        ("rediss+sentinel://127.0.0.1:26379,s.example:26379/service/0", ["s.example"]),
    ],
)
def test_hosts_of_a_url_that_are_elsewhere(url: str, hosts: list[str]) -> None:
    assert far_hosts(url) == hosts


def test_every_scheme_of_redis_is_known() -> None:
    elsewhere = [scheme for scheme in SCHEMES if scheme != "unix"]
    assert all(far_hosts(f"{scheme}://a.example/0") == ["a.example"] for scheme in elsewhere)


@pytest.mark.parametrize(
    ("store", "level"),
    [("redis://far.example", "warning"), ("redis://u:pw@far.example", "note")],
)
def test_a_password_makes_a_plain_connection_less_bad(
    good: dict[str, Any], store: str, level: str
) -> None:
    (found,) = found_in(guard_of(good, {"store": store}))
    assert (found.code, found.level) == ("store-not-encrypted", level)


def test_databases_that_fail_are_found(good: dict[str, Any]) -> None:
    guard = guard_of(good)
    guard.networks.failures = 3
    (found,) = found_in(guard)
    assert (found.code, found.level) == ("geo-database-damaged", "warning")
    assert found.text.startswith("3 look-ups")


def test_a_file_that_became_unusable_is_found(good: dict[str, Any], tmp_path: Path) -> None:
    listed = tmp_path / "risky.txt"
    listed.write_text("198.51.100.7\n", encoding="utf-8")
    guard = guard_of(good, {"detection": {"reputation": {"risky": [str(listed)]}}})
    assert found_in(guard) == []
    listed.write_text("no address\n", encoding="utf-8")
    guard.refresh()
    (found,) = found_in(guard)
    assert found.code == "database-unusable"
    assert "detection.reputation.risky" in found.text


# --- order and score ---


def findings_of(*levels: Any) -> list[Finding]:
    return [Finding(level, f"code-{at}", "Text.", "fix") for at, level in enumerate(levels)]


@pytest.mark.parametrize(
    ("levels", "score", "grade"),
    [
        ((), 100, "good"),
        (("note",) * 5, 90, "good"),
        (("note",) * 6, 88, "fair"),
        (("warning",), 90, "good"),
        (("warning", "warning"), 80, "fair"),
        (("warning",) * 3, 70, "weak"),
        (("danger",), 70, "weak"),
        (("danger", "warning", "warning"), 50, "weak"),
        (("danger", "danger"), 40, "bad"),
        (("danger",) * 4, 0, "bad"),
    ],
)
def test_score(levels: tuple[str, ...], score: int, grade: str) -> None:
    assert audit.score(findings_of(*levels)) == score
    assert audit.grade(score) == grade


def test_the_worst_comes_first_and_the_rest_stays() -> None:
    found = findings_of("note", "danger", "warning", "note", "danger")
    order = [one.code for one in audit.worst_first(found)]
    assert order == ["code-1", "code-4", "code-2", "code-0", "code-3"]


# What the tests of detection and of the flow make happen, and test_audit_fixes.
ELSEWHERE = {
    *("notices-without-link", "notices-without-name"),
    *("development", "development-exposed", "geo-database-damaged", "database-unusable"),
    *("cookie-not-secure", "cookie-cross-site", "cookie-shared", "idle-timeout-unusual"),
}
OF_THE_ADDRESS = {"header-spoofable", "trust-everyone", "trust-private", "trust-wide"}


def test_the_docs_have_a_row_for_every_finding() -> None:
    page = (Path(__file__).parents[2] / "docs/compliance.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([\w-]+)` \| (danger|warning|note) \| ", page, re.MULTILINE)
    planted = {code for _, codes in PLANTED.values() for code in codes}
    assert {code for code, _ in told} == (planted | set(FAULTS) | ELSEWHERE) - OF_THE_ADDRESS
    levels = dict(told)
    for data, _ in PLANTED.values():
        for one in found_in(guard_of(data)):
            # Of two levels the page says which stands for what.
            is_milder = one.code in ("cookie-not-secure", "store-not-encrypted")
            assert levels.get(one.code, one.level) == one.level or is_milder
