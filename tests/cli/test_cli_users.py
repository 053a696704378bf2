"""`gatehound users`, `sessions clear` and `status`: what is shown, done, counted and refused."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Town, flat, run

from gatehound import Event
from gatehound._sync import run_sync
from gatehound.listing import FailedLogins, FailedNetwork
from gatehound.tally import Tally

Look = import_module("gatehound.cli.status").Look  # commands hides the module behind its name


def as_json(*words: str, code: int = 0) -> Any:
    return json.loads(run(*words, "--json", code=code).stdout)


def acts(town: Town) -> list[str]:
    """What was noted of who did what, the newest first."""
    return [one.reason for one in town.guard.sync.events(names=("admin_acted",)).events]


# --- disable and enable ---


def test_disable_without_yes_counts(town: Town) -> None:
    town.sign_in("ann")
    town.sign_in("ann")
    told = run("users", "disable", "ann", "bob", code=0).stdout
    assert told.splitlines() == [
        "'ann' would be disabled: 2 sessions would end.",
        "'bob' would be disabled: 0 sessions would end.",
        "Nothing was done: add --yes to do it.",
    ]
    assert len(town.ids()) == 2
    assert not town.guard.sync.is_disabled("ann")
    assert acts(town) == []


def test_disable_and_enable(town: Town) -> None:
    town.sign_in("ann")
    other = town.sign_in("cy")
    told = run("users", "disable", "ann", "bob", "ann", "--yes", code=0).stdout
    assert told.splitlines() == [
        "'ann' is disabled: 1 session ended.",
        "'bob' is disabled: 0 sessions ended.",
    ]
    admin = town.guard.sync
    assert [admin.is_disabled(user) for user in ("ann", "bob", "cy")] == [True, True, False]
    assert (town.ids("ann"), town.ids("cy")) == (set(), {other})
    told = run("users", "enable", "ann", "cy", code=0).stdout
    assert told.splitlines() == ["'ann' may sign in again.", "'cy' was not disabled."]
    assert not admin.is_disabled("ann")
    run("users", "enable", "ann", code=1)
    assert acts(town)[-1] == "disabled a user"


def test_disable_and_enable_as_json(town: Town) -> None:
    town.sign_in("ann")
    users = {"ann": 1, "bob": 0}
    counted = as_json("users", "disable", "ann", "bob")
    assert counted == {"dry_run": True, "users": users, "count": 1}
    done = as_json("users", "disable", "ann", "bob", "--yes")
    assert done == {"dry_run": False, "users": users, "count": 1}
    assert as_json("users", "enable", "ann", "cy") == {"users": {"ann": True, "cy": False}}
    assert as_json("users", "enable", "cy", code=1) == {"users": {"cy": False}}


# --- show ---


def test_show(town: Town) -> None:
    one = town.sign_in("ann")
    town.note(Event("login_failed", "ann", None, "wrong password"))
    out = run("users", "show", "ann", code=0).stdout
    head, _, rest = out.partition("\n\n")
    assert head.splitlines() == ["user         ann", "may sign in  yes", "sessions     1"]
    assert one in rest
    assert "Latest events:" in rest
    assert 'reason="wrong password"' in flat(rest)
    run("users", "disable", "ann", "--yes", code=0)
    out = run("users", "show", "ann", code=0).stdout
    assert "may sign in  no: disabled\nsessions     none\n" in out


def test_show_as_json(town: Town) -> None:
    one = town.sign_in("ann")
    tree = as_json("users", "show", "ann")
    assert [session["public_id"] for session in tree.pop("sessions")] == [one]
    assert [event["name"] for event in tree.pop("events")] == ["session_created"]
    assert tree == {"user_id": "ann", "user_name": "", "disabled": False}


def test_show_of_nobody(town: Town) -> None:
    assert "sessions     none" in run("users", "show", "nobody", code=1).stdout


# --- export and forget ---


def test_export(town: Town) -> None:
    one = town.sign_in("ann")
    tree = json.loads(run("users", "export", "ann", code=0).stdout)
    assert tree["user_id"] == "ann"
    assert [session["public_id"] for session in tree["sessions"]] == [one]
    assert run("users", "export", "ann", "-o", "-", code=0).stdout.startswith("{")
    assert acts(town) == ["exported a user"] * 2


def test_export_to_a_file_that_is_for_its_owner_alone(town: Town, tmp_path: Path) -> None:
    town.sign_in("ann")
    file = tmp_path / "ann.json"
    assert run("users", "export", "ann", "--output", str(file), code=0).output == ""
    assert json.loads(file.read_text())["user_id"] == "ann"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = run("users", "export", "ann", "-o", str(tmp_path / "no" / "file"), code=2).stderr
    assert "cannot be written" in flat(told)


def test_forget(town: Town) -> None:
    town.sign_in("ann")
    bob = town.sign_in("bob")
    told = flat(run("users", "forget", "ann", code=0).stdout)
    assert told == "All of 'ann' would be erased, with 1 session. Nothing was: add --yes to do it."
    assert as_json("users", "forget", "ann") == {"dry_run": True, "user_id": "ann", "count": 1}
    assert len(town.ids("ann")) == 1
    told = flat(run("users", "forget", "ann", "--yes", code=0).stdout)
    assert told == "What was stored of 'ann' is erased, with 1 session."
    assert (town.ids("ann"), town.ids("bob")) == (set(), {bob})
    assert acts(town) == ["erased a user"]
    left = run_sync(town.guard.blocking().events()).events
    assert not any("ann" in (event.user_id, *event.detail.values()) for event in left)
    done = as_json("users", "forget", "ann", "--yes")
    assert done == {"dry_run": False, "user_id": "ann", "count": 0}


# --- what is refused ---


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("disable",), "Missing argument 'ID...'"),
        (("disable", "ann", ""), "ID: "),
        (("enable", "x" * 600), "user id of 600 bytes given"),
        (("show", ""), "ID: "),
        (("forget", "x" * 600, "--yes"), "user id of 600 bytes given"),
        (("export", "ann", "bob"), "unexpected extra argument"),
    ],
)
def test_what_can_be_no_user_is_refused_before_anything(
    town: Town, words: tuple[str, ...], says: str
) -> None:
    one = town.sign_in("ann")
    result = run("users", *words, code=2)
    assert result.stdout == ""
    assert says in flat(result.stderr)
    assert town.ids() == {one}


def test_what_a_stranger_sent_is_shown_and_not_obeyed(town: Town) -> None:
    for words in (("show", "\x1b[2Jx"), ("disable", "\x1b[2Jx"), ("forget", "\x1b[2Jx")):
        out = run("users", *words).stdout
        assert all(line.isprintable() for line in out.splitlines())


# --- sessions clear, and show without a user ---


def test_clear(town: Town) -> None:
    one = town.sign_in("ann", flagged=True)
    told = run("sessions", "clear", one, "--user", "ann", code=0).stdout
    assert told == f"The session '{one}' is not flagged (any more).\n"
    assert [session.flagged for session in town.guard.sync.sessions_of("ann")] == [False]
    tree = {"public_id": one, "cleared": True}
    assert as_json("sessions", "clear", one, "--user", "ann") == tree
    told = run("sessions", "clear", "0" * 16, "--user", "ann", code=1).stdout
    assert "is not there (any more)" in flat(told)
    assert acts(town)[-1] == "cleared a flag"


def test_show_finds_the_user_by_the_log(town: Town) -> None:
    one = town.sign_in("ann")
    assert "user           ann" in run("sessions", "show", one, code=0).stdout
    told = run("sessions", "show", "0" * 16, code=1)
    assert told.stdout == ""
    assert "no event names the session '0000000000000000' and its user" in flat(told.stderr)
    assert "`gatehound sessions list`" in flat(told.stderr)


# --- status ---


def test_status(town: Town) -> None:
    town.sign_in("ann")
    town.sign_in("bob")
    town.note(
        Event("login_failed", "ann", None, "wrong"),
        Event("login_failed", reason="more of them", detail={"count": 89}),
        Event("session_flagged", "ann"),
    )
    run_sync(town.store.count("would", "flag", window=86_400_000))
    out = run("status", code=0).stdout
    assert [flat(line) for line in out.splitlines()] == [
        "living sessions 2",
        "failed sign-ins of this hour 0, of 0 users from 0 networks",
        "users guessed at 0",
        "",
        "in the last 24 hours",
        "sign-ins 2",
        "sessions ended 0",
        "sessions flagged 1",
        "sign-ins failed or refused 90",
        "proofs asked for 0",
        "",
        "suspicious today, so would be",
        "flagged 1",
        "flagged in mode strict 0",
        "told to people 0",
        "asked for a proof 0",
        "ended 0",
    ]


def test_status_as_json(town: Town) -> None:
    town.sign_in("ann")
    tree = as_json("status")
    assert abs(tree.pop("at") - time.time()) < 60
    assert tree.pop("until") > 0
    assert tree == {
        "living": 1,
        "failed_logins": {"attempts": 0, "users": 0, "networks": 0, "worst": [], "guessed": 0},
        "observed": {"flag": 0, "flag_strict": 0, "notify": 0, "step_up": 0, "terminate": 0},
        "last_24_hours": {"logins": 1, "ends": 0, "flags": 0, "failed": 0, "step_ups": 0},
        "complete": True,
    }


def test_status_leaves_out_what_is_older_than_a_day() -> None:
    counts = {"logins": {0: 1, 1: 2, 24: 4, 25: 8}}
    tally = Tally(counts, 0.0, 0.0, complete=True)
    found = Look(24 * 3600.0 + 5, 0, FailedLogins(0, 0, 0, (), 0), {}, tally)
    assert found.day()["logins"] == 6


# --- a guard that only the app can build ---

MAIL = {
    "GATEHOUND_NOTIFY__SMTP": "smtp://mail.example",
    "GATEHOUND_NOTIFY__MAIL_FROM": "a@b.example",
    "GATEHOUND_NOTIFY__USERS": "true",
}
COMMANDS = [
    (("sessions", "list"), 0),
    (("events", "tail"), 0),
    (("users", "show", "ann"), 0),
    (("status",), 0),
    (("describe",), 0),
    (("check", "--fail-on", "never"), 0),
    (("sessions", "end", "--user", "ann", "--all", "--yes"), 0),
]


@pytest.mark.parametrize(("words", "code"), COMMANDS)
def test_commands_need_no_addresses_of_users(
    town: Town, words: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.sign_in("ann")
    for name, value in MAIL.items():
        monkeypatch.setenv(name, value)
    out = run(*words, code=code).stdout
    if words[0] == "describe":  # it says what the app does
        assert "Notices go to users by mail" in out
    told = run("notify", "--once", code=2).stderr  # which does need them
    assert "nobody knows the addresses of users" in flat(told)


APP = """
from gatehound import Guard
guard = Guard({settings}, sinks=(), notify=lambda letter: open("letter", "w").close())
"""


def test_the_notifier_of_the_app_is_not_started_by_commands(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "secret_keys": [os.environ["GATEHOUND_SECRET_KEYS"]],
        "identity_key": os.environ["GATEHOUND_IDENTITY_KEY"],
        "store": os.environ["GATEHOUND_STORE"],
    }
    Path("noisy_app.py").write_text(APP.format(settings=settings))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "noisy_app", raising=False)
    town.sign_in("ann")
    run("users", "disable", "ann", "--yes", "--guard", "noisy_app:guard", code=0)
    assert "gatehound-notify" not in [one.name for one in threading.enumerate()]


def test_status_names_the_worst_networks_and_says_what_is_not_counted_yet(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    worst = (FailedNetwork("198.51.100.0/24", 9, 3), FailedNetwork("", 2, 1))
    tally = Tally({}, 0.0, 3600.0, complete=False)
    found = Look(7200.0, 0, FailedLogins(11, 4, 2, worst, 0), {}, tally)
    monkeypatch.setattr(import_module("gatehound.cli.status"), "_look", lambda guard: found)
    out = flat(run("status", code=0).stdout)
    assert "198.51.100.0/24: 9 of 3 users (not kept): 2 of 1 users" in out
    assert out.endswith("Counted up to 1970-01-01 01:00:00Z; ask again for the rest.")
