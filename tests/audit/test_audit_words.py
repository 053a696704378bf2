"""The active policy in words: each setting that it speaks of changes a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from audit_kit import guard_of, production

from gatehound import Settings, audit
from gatehound.audit.spans import span

KEYS: dict[str, Any] = {
    "secret_keys": ["vJ3xq0Zb-7eKfWm2RtYuPs9LdAhGcN1o"],
    "identity_key": "Q8nTz5_yXkV4bMwHj6CrEaDi0FpUgS2l",
    "store": "memory://",
}


def lines_of(**data: Any) -> list[str]:
    return audit.describe(Settings.from_dict({**KEYS, **data})).splitlines()


def test_defaults_in_words() -> None:
    assert lines_of()[:9] == [
        "A session ends after 1 hour without a person's activity, and 12 hours after sign-in.",
        (
            "A remembered session ends after 14 days without a person's activity, and 14 days "
            "after sign-in."
        ),
        (
            "The timeouts of a session satisfy AAL2 (2.2.3) of NIST SP 800-63B-4, those of a "
            "remembered session AAL1 (2.1.3)."
        ),
        (
            "Over what AAL2 asks are session.remember_idle_timeout with 14 days (at most 1 hour), "
            "session.remember_timeout with 14 days (at most 1 day)."
        ),
        (
            "The idle timeout is longer than that of low-risk applications (up to 30 minutes) in "
            "OWASP's Session Management Cheat Sheet."
        ),
        "A user may have 5 sessions at once; one more ends the oldest.",
        "The secret of a session changes at sign-in and at each proof of who the user is.",
        "A sign-in counts as fresh for 10 minutes.",
        (
            "The cookie '__Host-gatehound' is Secure, HttpOnly and SameSite=Lax, and goes to this "
            "host alone."
        ),
    ]


SMTP = {
    "smtp": "smtps://user:hunter2@mail.example",
    "mail_from": "site@site.example",
    "site_url": "https://site.example",
}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"profile": "shop"}, "What is not set comes from the profile shop, and else from the "),
        ({"profile": "shop,admin"}, "What is not set comes from the profiles shop, admin, and"),
        (
            {"profile": "nist-aal3"},
            (
                "The timeouts of a session satisfy AAL3 (2.3.3) of NIST SP 800-63B-4, those of a "
                "remembered session AAL3 (2.3.3)."
            ),
        ),
        (
            {"session": {"absolute_timeout": "31d"}},
            "The timeouts of a session satisfy no level of NIST SP 800-63B-4,",
        ),
        (
            {"roles": {"robot": {"absolute_timeout": "2d"}}, "profile": "nist-aal2"},
            "Over what AAL2 asks are roles.robot.absolute_timeout with 2 days (at most 1 day).",
        ),
        ({"profile": "owasp-high"}, "The idle timeout is that of high-value applications (up to 5"),
        ({"profile": "owasp-low"}, "The idle timeout is that of low-risk applications (up to 30"),
        ({"session": {"max_per_user": 1}}, "A user may have 1 session at once; one more ends the"),
        ({"session": {"on_limit": "deny"}}, "A user may have 5 sessions at once; one more is refu"),
        ({"session": {"max_per_user": None}}, "A user may have any number of sessions at once."),
        (
            {"session": {"rotate_every": "1h"}},
            (
                "The secret of a session changes at sign-in and at each proof of who the user is, "
                "and at a page load once it is 1 hour old."
            ),
        ),
        (
            {"cookie": {"name": "sid", "secure": False, "samesite": "strict"}},
            "The cookie 'sid' is HttpOnly and SameSite=Strict, and goes to this host alone.",
        ),
        (
            {"cookie": {"name": "sid", "domain": "a.example"}},
            "The cookie 'sid' is Secure, HttpOnly and SameSite=Lax, and goes to a.example and all",
        ),
        ({}, "What another site makes a browser send is left to SameSite and to the app's tokens."),
        ({"csrf": {"protect": True}}, "What another site makes a browser send is refused."),
        (
            {"csrf": {"protect": True, "trusted_origins": ["https://b.example"]}},
            "Pages of https://b.example may act as the site's own.",
        ),
        ({"csrf": {"protect": True, "exempt": ["/hook"]}}, "Any site may ask /hook."),
        (
            {"web": {"path": "/me"}},
            "People see and end their own sessions below /me, with a sign-in of the last 10 minu",
        ),
        (
            {"web": {"path": "/me", "require_fresh": False}},
            "People see and end their own sessions below /me, without a fresh sign-in, which OWA",
        ),
        (
            {"web": {"admin_path": "/staff", "admin_roles": ["boss", "root"]}},
            "Who has the role 'boss' or 'root' sees and ends everybody's below /staff, with a si",
        ),
        (
            {"web": {"admin_path": "/staff", "admin_roles": []}},
            "Nobody has a role for the pages of admins below /staff.",
        ),
        ({"web": {"step_up_url": "/again"}}, "People prove again who they are at /again."),
        ({}, "No notices are sent: who is to be told stands in the events alone."),
        ({"notify": {"log": True}}, "Notices go to the log."),
        (
            {"notify": {**SMTP, "admins": ["a@site.example"]}},
            "Notices go to 1 address of admins by mail, at most 3 in an hour and 10 in two days fo",
        ),
        ({"outage": {"policy": "deny"}}, "While the store does not answer, reading a session ans"),
        (
            {"roles": {"admin": {"profile": "nist-aal3", "max_per_user": 1}}},
            "For the role 'admin' (profile nist-aal3): idle_timeout 15 minutes, absolute_timeout 1",
        ),
        (
            {"roles": {"admin": {"profile": "nist-aal3"}}},
            "The timeouts of the role 'admin' satisfy AAL3 (2.3.3), remembered AAL3 (2.3.3).",
        ),
        ({"roles": {"user:42": {"max_per_user": 2}}}, "For the role 'user:42': max_per_user 2."),
        ({"roles": {"guest": {}}}, "For the role 'guest': no difference."),
    ],
)
def test_what_is_set_is_said(data: dict[str, Any], line: str) -> None:
    assert [one for one in lines_of(**data) if one.startswith(line)], lines_of(**data)


STRICT: dict[str, Any] = {
    "detection": {
        "mode": "strict",
        "geo_anomaly": "strict",
        "disable": ["reuse"],
    },
    "policy": {
        "terminate": 9.0,
        "on_terminate": "reauthenticate",
        "malicious": "terminate",
        "relaxed_paths": ["/wiki/*"],
        "relaxed_roles": ["reader"],
        "fresh_paths": ["POST /password"],
    },
    "web": {"step_up_url": "/again"},
}


@pytest.mark.parametrize(
    ("data", "said", "unsaid"),
    [
        (
            STRICT,
            [
                "A session is flagged at 3.5 points, and has to prove itself at 6.5.",
                (
                    "At 9 points a session ends, and all others of its user have to prove "
                    "themselves."
                ),
                "A session that is used from an address known for attacks ends.",
                "Every threshold is reached 1 points later for the role 'reader', /wiki/*.",
                "A recent sign-in is needed for POST /password.",
                "geo_anomaly is strict: it flags every change alone.",
                "Switched off: reuse.",
            ],
            [],
        ),
        (
            {**STRICT, "detection": {"mode": "observe"}},
            ["Detection is in mode 'observe'. Findings are recorded, and nothing is done."],
            ["A session is flagged", "At 9 points", "Switched off"],
        ),
        (
            {"detection": {"mode": "off"}},
            ["Detection is in mode 'off'. Nothing is looked at."],
            ["A session is flagged", "What is known of networks"],
        ),
        (
            {"policy": {"sensitive_roles": []}},
            ["A session is flagged at 4.5 points."],
            ["Every threshold"],
        ),
        (
            {"outage": {"policy": "stale_ok", "stale_for": "2m"}},
            [
                (
                    "While the store does not answer, reading a session shows what was valid up "
                    "to 2 minutes ago to requests that only read, or answers 503."
                )
            ],
            [],
        ),
    ],
)
def test_what_detection_does_is_said(
    data: dict[str, Any], said: list[str], unsaid: list[str]
) -> None:
    told = lines_of(**data)
    assert [one for one in said if one not in told] == []
    assert [one for one in told if one.startswith(tuple(unsaid))] == []


def test_sources_of_networks_are_said(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("192.0.2.0/24\n", encoding="utf-8")
    change = {"network_lists": {"tor": [str(listed)]}, "reputation": {"risky": [str(listed)]}}
    text = guard_of(production(tmp_path), {"detection": change}).sync.describe()
    assert (
        "What is known of networks comes from: the city database, the asn database, the "
        "anonymous database, a list of tor networks, a list of risky addresses."
    ) in text


def test_a_role_with_no_timeout_of_its_own_is_in_no_class() -> None:
    told = lines_of(roles={"user:42": {"max_per_user": 2}})
    assert not [one for one in told if one.startswith("The timeouts of the role")]


def test_every_line_ends_as_a_sentence_and_no_secret_is_in_any(tmp_path: Path) -> None:
    notify = {**SMTP, "admins": ["a@site.example"]}
    guard = guard_of(production(tmp_path), {"notify": notify})
    text = guard.sync.describe()
    assert all(line.endswith(".") for line in text.splitlines())
    for secret in (*guard.settings.secret_keys, guard.settings.identity_key, "hunter2"):
        assert secret not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 seconds"),
        (90, "90 seconds"),
        (60, "1 minute"),
        (5400, "90 minutes"),
        (7200, "2 hours"),
        (86400, "1 day"),
        (0.5, "0.5 seconds"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
