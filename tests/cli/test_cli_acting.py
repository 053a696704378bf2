"""What commands leave of what they do, and what `sessions list` says of flagged sessions."""

from __future__ import annotations

import getpass
import json
import signal
from typing import Any

import pytest
from cli_kit import Town, flat, run

from gatehound import Event
from gatehound.admin import SyncAdmin
from gatehound.errors import StoreUnavailable

THIEF = "198.51.100.9"


@pytest.fixture(autouse=True)
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")


def acts(town: Town) -> list[tuple[str, dict[str, Any]]]:
    found = town.guard.sync.events(names=["admin_acted"]).events
    assert all(one.user_id is None and one.public_id is None for one in found)
    return [(one.reason, dict(one.detail)) for one in found]


def ended_by(town: Town) -> list[object]:
    found = town.guard.sync.events(names=["session_terminated"]).events
    return [one.detail.get("by") for one in found]


def test_each_way_of_ending_is_noted(town: Town) -> None:
    one = town.sign_in("ann")
    for name in ("ann", "ann", "bob", "eve"):
        town.sign_in(name)
    run("sessions", "end", one, "--user", "ann", "--yes", code=0)
    run("sessions", "end", "--user", "ann", "--all", "--yes", code=0)
    run("sessions", "end", "--country", "de", "--user", "bob", "--yes", code=0)
    run("sessions", "end", "--everyone", "--yes", code=0)
    assert acts(town)[::-1] == [
        ("ended a session", {"by": "ada", "of_user": "ann", "of_session": one, "count": 1}),
        ("ended all sessions of a user", {"by": "ada", "of_user": "ann", "count": 2}),
        ("ended sessions that match", {"by": "ada", "filter": "user=bob, country=DE", "count": 1}),
        ("ended all sessions of the site", {"by": "ada", "count": 1}),
    ]
    assert ended_by(town) == ["ada (command line)"] * 4


def test_what_only_counts_or_ends_nobody_is_not_noted(town: Town) -> None:
    one = town.sign_in("ann")
    for words in ((one, "--user", "ann"), ("--user", "ann", "--all"), ("--country", "DE")):
        run("sessions", "end", *words, code=0)
    run("sessions", "end", "--everyone", code=0)
    run("sessions", "end", "--country", "SE", "--yes", code=1)
    run("sessions", "end", "0" * 16, "--user", "ann", "--yes", code=1)
    assert acts(town) == []


def test_what_breaks_off_is_noted_as_that(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.sign_in("ann")

    def fail(*given: Any, **named: Any) -> None:
        raise StoreUnavailable("no answer")

    for name in ("terminate", "terminate_where"):
        monkeypatch.setattr(SyncAdmin, name, fail)
    run("sessions", "end", "0" * 16, "--user", "ann", "--yes", code=3)
    run("sessions", "end", "--country", "DE", "--yes", code=3)
    reasons = [reason for reason, _ in acts(town)]
    assert reasons[::-1] == [
        "ended a session; it broke off, and may be incomplete",
        "ended sessions that match; it was stopped, and is incomplete",
    ]


def test_operator_without_a_name(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", fail)
    town.sign_in("ann")
    run("sessions", "end", "--user", "ann", "--all", "--yes", code=0)
    assert [detail["by"] for _, detail in acts(town)] == ["unknown"]


def test_flagged_from_a_network_is_hinted_at(town: Town) -> None:
    ann, bob = town.sign_in("ann", flagged=True), town.sign_in("bob", flagged=True)
    town.sign_in("eve", address=THIEF)
    for user, one in (("ann", ann), ("bob", bob)):
        town.note(Event("session_flagged", user, one, address=THIEF))
    hint = (
        "Not listed: 2 sessions that were flagged from there, and found by the address of the "
        "owner. See: gatehound events tail --name session_flagged --network 198.51.100.0/24"
    )
    for form in ((), ("--json",)):
        result = run("sessions", "list", "--network", "198.51.100.0/24", *form, code=0)
        assert flat(result.stderr) == hint
        assert "eve" in result.stdout
    assert len(json.loads(result.stdout)["sessions"]) == 1
    result = run("sessions", "list", "--network", THIEF, "--user", "ann", code=1)
    assert flat(result.stderr).startswith("Not listed: 1 session that was flagged")
    tail = run("events", "tail", "--name", "session_flagged", "--network", THIEF, code=0).stdout
    assert (ann in tail, bob in tail) == (True, True)


def test_no_hint_where_there_is_nothing_to_say(town: Town) -> None:
    one = town.sign_in("ann", flagged=True)
    town.note(Event("session_flagged", "ann", one, address="203.0.113.9"))
    for words in (
        (),
        ("--network", "203.0.113.0/24"),  # it is listed
        ("--network", THIEF),
        ("--network", "203.0.113.9", "--visitors"),
    ):
        assert run("sessions", "list", *words).stderr == ""


def test_no_hint_after_ctrl_c(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.sign_in("ann")
    real = SyncAdmin.search

    def stopped(admin: SyncAdmin, **words: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return real.__get__(admin)(**words)

    monkeypatch.setattr(SyncAdmin, "search", stopped)
    result = run("sessions", "list", "--network", THIEF, code=130)
    assert "Not listed" not in result.stderr
