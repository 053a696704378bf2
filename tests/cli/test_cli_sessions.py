"""`gatehound sessions`: what is found, shown and ended, and what is refused before it."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_kit import CHROME, Town, flat, run

from gatehound import Event
from gatehound.admin import SyncAdmin
from gatehound.errors import StoreUnavailable

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
HOSTILE = ["\x1b[2J\x1b]0;owned\x07", "\u202egnp.exe", "[bold]x[/bold][link=http://x]", "a\nb\rc"]


def as_json(*words: str, code: int = 0) -> Any:
    return json.loads(run("sessions", *words, "--json", code=code).stdout)


def listed(*words: str, code: int = 0) -> list[str]:
    return [one["public_id"] for one in as_json("list", *words, code=code)["sessions"]]


def refused(*words: str, code: int = 2) -> str:
    result = run("sessions", *words, code=code)
    assert result.stdout == ""
    return flat(result.stderr)


# --- list ---


def test_list_shows_sessions_newest_first(town: Town) -> None:
    first = town.sign_in("ann")
    second = town.sign_in("bob", agent=IPHONE, address="2001:db8::7", country="FR", flagged=True)
    out = re.sub(r"\b\ds", "0s", run("sessions", "list", code=0).stdout)
    assert [line for line in out.splitlines() if line] == [
        "SESSION           USER  DEVICE AND PLACE   CREATED  SEEN",
        f"{second}  bob   Safari on iPhone   0s       0s",
        "flagged                 2001:db8::7, FR",
        f"{first}  ann   Chrome on Windows  0s       0s",
        "                        203.0.113.7, DE",
    ]


@pytest.mark.parametrize("columns", ["120", ""])
def test_list_takes_one_line_a_session_where_there_is_room(
    town: Town, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    one = town.sign_in("a-user-with-a-long-name@a-long-domain.example.com", flagged=True)
    out = re.sub(r"\b\ds", "0s", run("sessions", "list", code=0).stdout)
    head, line, *rest = out.splitlines()
    assert " ".join(head.split()) == "SESSION USER DEVICE ADDRESS PLACE CREATED SEEN FLAGGED"
    assert line.startswith(one)
    assert line.endswith("203.0.113.7  DE     0s       0s    flagged")
    assert len(rest) == (columns == "120")  # where the user goes on


def test_list_as_json(town: Town) -> None:
    one = town.sign_in("ann", flagged=True)
    tree = as_json("list")
    (session,) = tree.pop("sessions")
    assert tree == {"cursor": "", "looked_at": 1, "stopped": False}
    assert session["created"] == session["last_seen"] == session["authenticated_at"]
    assert session["expires"] - session["created"] == 60 * 86_400
    shown = {name: value for name, value in session.items() if not isinstance(value, float)}
    assert shown == {
        "public_id": one,
        "user_id": "ann",
        "user_name": "",
        "roles": [],
        "methods": ["password"],
        "aal": 1,
        "remembered": False,
        "address": "203.0.113.7",
        "country": "DE",
        "place": "",
        "agent": CHROME,
        "device": "Chrome on Windows",
        "flagged": True,
        "reasons": [],
    }


@pytest.mark.slow
def test_conditions_all_have_to_hold(town: Town) -> None:
    ann = town.sign_in("ann", flagged=True)
    bob = town.sign_in("bob", address="198.51.100.9", country="FR")
    eve = town.sign_in("eve", address="2001:db8::7", country="FR", flagged=True)
    for words, found in (
        ((), [eve, bob, ann]),
        (("--user", "ann"), [ann]),
        (("--find", "bob"), [bob]),  # without users.find the text is the id
        (("--flagged",), [eve, ann]),
        (("--country", "fr"), [eve, bob]),
        (("--network", "198.51.100.0/24"), [bob]),
        (("--network", " 2001:db8::7 "), [eve]),
        (("--flagged", "--country", "FR"), [eve]),
        (("--limit", "2"), [eve, bob]),
    ):
        assert listed(*words) == found
    for words in (("--user", "nobody"), ("--older-than", "30d"), ("--idle-for", "2h")):
        assert listed(*words, code=1) == []
    assert run("sessions", "list", "--user", "nobody").stdout == "No session matches.\n"


def test_spans_are_taken_back_from_now(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    one = town.sign_in()
    now = town.guard.sync.sessions_of("ann")[0].created
    monkeypatch.setattr("time.time", lambda: now + 7200)
    for words in (("--older-than", "1h"), ("--idle-for", "119m")):
        assert listed(*words) == [one]
    for words in (("--older-than", "2h"), ("--idle-for", "121m")):  # "before" is strict
        assert listed(*words, code=1) == []
    assert " 2h " in run("sessions", "list").stdout


def test_visitors_are_listed_apart(town: Town) -> None:
    ann, visitor = town.sign_in("ann"), town.sign_in(visitor=True)
    assert listed() == [ann]
    assert listed("--visitors") == [visitor]
    out = run("sessions", "list", "--visitors").stdout
    assert "(a visitor)" in out
    assert "Looked at 2 sessions and found 1." in out


@pytest.mark.slow
def test_list_goes_on_with_the_cursor_it_printed(town: Town) -> None:
    made = [town.sign_in(f"u{n}") for n in range(5)]
    words: tuple[str, ...] = ()
    found: list[str] = []
    while True:
        out = run("sessions", "list", "--limit", "2", *words, code=0).stdout
        found += re.findall(r"^[0-9a-f]{16}", out, re.MULTILINE)
        more = re.search(r"There may be more: add (--cursor) (\S+)$", out.strip())
        if more is None:
            break
        words = (more[1], more[2])
    assert found == made[::-1]


class Pages:
    """A search that gives one session a page, and does something before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, at: int, does: Any) -> None:
        self.calls = 0
        real = getattr(SyncAdmin, name)

        def one(admin: SyncAdmin, **words: Any) -> Any:
            self.calls += 1
            if self.calls == at:
                does()
            return real.__get__(admin)(**{**words, "limit": 1})

        monkeypatch.setattr(SyncAdmin, name, one)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def fail() -> None:
    raise StoreUnavailable("no answer")


def test_list_goes_on_until_it_has_found_enough(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [town.sign_in(f"u{n}") for n in range(4)]
    pages = Pages(monkeypatch, "search", 0, fail)
    assert listed("--limit", "3") == made[:0:-1]
    assert pages.calls == 3


@pytest.mark.parametrize(
    ("does", "code", "says"),
    [
        (press_ctrl_c, 130, "Stopped: 2 sessions were looked at; to go on, {}."),
        (
            fail,
            3,
            "Error: the store does not answer: no answer; 2 sessions were looked at; to go on, {}.",
        ),
    ],
)
def test_list_that_is_stopped_shows_what_it_has_and_how_to_go_on(
    town: Town, monkeypatch: pytest.MonkeyPatch, does: Callable[[], None], code: int, says: str
) -> None:
    made = [town.sign_in(f"u{n}") for n in range(4)]
    with monkeypatch.context() as patched:
        Pages(patched, "search", 3, does)
        result = run("sessions", "list", code=code)
    assert re.findall(r"^[0-9a-f]{16}", result.stdout, re.MULTILINE) == made[:1:-1]
    pattern = re.escape(flat(says)).replace(r"\{\}", r"add --cursor (\S+)")
    found = re.fullmatch(pattern, flat(result.stderr))
    assert found, result.stderr
    assert listed("--cursor", found[1]) == made[1::-1]


def test_list_that_is_stopped_at_once_is_repeated(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.sign_in()
    Pages(monkeypatch, "search", 1, press_ctrl_c)
    result = run("sessions", "list", "--json", code=130)
    assert json.loads(result.stdout)["stopped"] is True
    assert "0 sessions were looked at; to go on, repeat the command." in flat(result.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("columns", ["40", "80", "120", ""])
def test_what_a_stranger_sent_is_shown_and_not_obeyed(
    town: Town, text: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "")
    one = town.sign_in(text, agent=f"{text} curl/8")
    town.note(Event("login_failed", text, one, reason=text, detail={text: text}))
    words = [
        ("sessions", "list"),
        ("sessions", "show", one, "--user", text),
        ("sessions", "show", "nothing", "--user", text),
        ("events", "tail"),
    ]
    for each in words:
        for form in ((), ("--json",)):
            out = run(*each, *form)
            assert all(line.isprintable() for line in (out.stdout + out.stderr).splitlines())
            if form:
                assert out.stdout.isascii()
    if "[bold]" in text:
        assert "[bold]" in run("events", "tail").stdout  # no markup


# --- show ---


def test_show_tells_everything(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    one = town.sign_in("ann", flagged=True)
    real = SyncAdmin.sessions_of

    def with_reasons(admin: SyncAdmin, user_id: str) -> Any:
        from msgspec.structs import replace

        found = real.__get__(admin)(user_id)
        return [replace(one, reasons=("It moved.", "It changed."), roles=("a",)) for one in found]

    monkeypatch.setattr(SyncAdmin, "sessions_of", with_reasons)
    out = run("sessions", "show", one, "--user", "ann", code=0).stdout
    pairs = dict(re.findall(r"^(\w[\w ]*?) {2,}(\S.*)$", out, re.MULTILINE))
    assert pairs["session"] == one
    assert pairs["device"] == "Chrome on Windows"
    assert (pairs["address"], pairs["place"], pairs["roles"]) == ("203.0.113.7", "DE", "a")
    assert pairs["assurance"] == "level 1"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ by password", pairs["authenticated"])
    assert re.search(r"^flagged +yes\n +It moved\.\n +It changed\.\n", out, re.MULTILINE)
    assert "\nLatest events:\n20" in out
    assert f"session_created       user=ann session={one}" in flat(out).replace(
        "session_created ", "session_created       "
    )


def test_show_as_json(town: Town) -> None:
    one = town.sign_in("ann")
    tree = as_json("show", one, "--user", "ann")
    assert tree["session"]["public_id"] == one
    assert [event["name"] for event in tree["events"]] == ["session_created"]


def test_show_of_a_session_that_is_over_tells_why(town: Town) -> None:
    one = town.sign_in("ann")
    town.guard.sync.terminate("ann", one)
    out = run("sessions", "show", one, "--user", "ann", code=1).stdout
    assert flat(out).startswith(f"The session '{one}' of this user is not there (any more).")
    assert "session_terminated" in out
    assert "reason=admin" in out
    assert as_json("show", one, "--user", "ann", code=1)["session"] is None
    assert run("sessions", "show", "x", "--user", "bob", code=1).stdout.count("\n") == 1


# --- end ---


def test_ending_is_a_dry_run_without_yes(town: Town) -> None:
    one, two = town.sign_in(), town.sign_in(flagged=True)
    for words, many in (
        ((one, "--user", "ann"), "1 session"),
        (("--user", "ann", "--all"), "2 sessions"),
        (("--flagged",), "1 session"),
        (("--everyone",), "2 sessions"),
    ):
        told = f"{many} would end. Nothing was ended: add --yes to do it.\n"
        assert run("sessions", "end", *words, code=0).stdout == told
        tree = as_json("end", *words)
        assert (tree["dry_run"], tree["count"]) == (True, int(many[0]))
    assert town.ids() == {one, two}


def test_end_one(town: Town) -> None:
    one, two = town.sign_in(), town.sign_in()
    assert run("sessions", "end", one, "--user", "ann", "--yes", code=0).stdout == (
        "1 session ended.\n"
    )
    assert town.ids() == {two}
    for words in ((), ("--yes",)):
        again = run("sessions", "end", one, "--user", "ann", *words, code=1)
        assert again.stdout == "No session matches.\n"
    assert run("sessions", "end", two, "--user", "bob", "--yes", code=1).exit_code == 1
    assert town.ids() == {two}


def test_end_all_of_a_user(town: Town) -> None:
    for _ in range(2):
        town.sign_in()
    bob = town.sign_in("bob")
    assert as_json("end", "--user", "ann", "--all", "--yes") == {
        "dry_run": False,
        "count": 2,
        "looked_at": 2,
        "cursor": "",
        "stopped": False,
    }
    assert listed() == [bob]


def test_end_what_matches_in_slices(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehound.cli.sessions.scan.SLICE", 2)
    for n in range(5):
        town.sign_in(f"u{n}", country="FR")
    stays = town.sign_in(country="DE")
    told = run("sessions", "end", "--country", "FR", "--yes", code=0).stdout
    assert told == "5 sessions ended.\n"
    assert listed() == [stays]


def test_end_what_matches_of_one_user(town: Town) -> None:
    stays, goes = town.sign_in(), town.sign_in(flagged=True)
    bob = town.sign_in("bob", flagged=True)
    assert as_json("end", "--user", "ann", "--flagged", "--yes")["count"] == 1
    assert goes not in listed()
    assert set(listed()) == {bob, stays}


def test_end_everyone(town: Town) -> None:
    for user in ("ann", "bob"):
        town.sign_in(user)
    assert run("sessions", "end", "--everyone", "--yes", code=0).stdout == "2 sessions ended.\n"
    assert listed(code=1) == []
    assert as_json("end", "--everyone", code=1)["count"] == 0


def stopped(*words: str, code: int = 130) -> tuple[str, str]:
    """Run what is stopped; return what it printed, and the cursor to go on with."""
    result = run("sessions", "end", *words, code=code)
    found = re.search(r"add --cursor (\S+)\.$", flat(result.stderr))
    assert found, result.stderr
    return result.stdout, found[1]


def test_ending_stops_between_two_slices_and_goes_on(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [town.sign_in(f"u{n}", flagged=True) for n in range(4)]
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        Pages(patched, "terminate_where", 2, press_ctrl_c)
        out, cursor = stopped("--flagged", "--yes")
    # The slice under way when Ctrl-C came was ended whole.
    assert out == "2 sessions ended so far.\n"
    assert listed() == made[1::-1]
    assert signal.getsignal(signal.SIGINT) is before
    told = run("sessions", "end", "--flagged", "--yes", "--cursor", cursor, code=0).stdout
    assert told == "2 sessions ended.\n"


def test_counting_stops_too(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        town.sign_in(f"u{n}", flagged=True)
    Pages(monkeypatch, "terminate_where", 1, press_ctrl_c)
    out, _ = stopped("--flagged")
    assert out == "1 session matched so far.\n"


def test_the_second_ctrl_c_does_not_wait(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        town.sign_in(f"u{n}", flagged=True)

    def press_twice() -> None:
        press_ctrl_c()
        press_ctrl_c()

    Pages(monkeypatch, "terminate_where", 2, press_twice)
    out, _ = stopped("--flagged", "--yes")
    assert out == "1 session ended so far.\n"
    assert len(listed()) == 2


def test_ending_that_breaks_off_says_how_to_go_on(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        town.sign_in(f"u{n}", flagged=True)
    with monkeypatch.context() as patched:
        Pages(patched, "terminate_where", 3, fail)
        out, cursor = stopped("--flagged", "--yes", code=3)
    assert out == "2 sessions ended so far.\n"
    assert as_json("end", "--flagged", "--yes", "--cursor", cursor)["count"] == 1


REFUSED = [
    (("end",), "nothing says which sessions"),
    (("end", "--yes"), "nothing says which sessions"),
    (("end", "--user", "ann"), "nothing says which sessions"),
    (("end", "abc"), "PUBLIC_ID given without a user; add --user ID"),
    (("end", "--all", "--yes"), "--all given without a user; add --user ID"),
    (("end", "abc", "--user", "ann", "--all"), "PUBLIC_ID and --all given"),
    (("end", "--everyone", "--all", "--user", "ann"), "--all and --everyone given"),
    (("end", "--everyone", "--flagged"), "--everyone given beside conditions"),
    (("end", "--everyone", "--user", "ann"), "write --all for all sessions of the user"),
    (("end", "--everyone", "--cursor", "abc"), "--everyone given beside conditions or --cursor"),
    (("end", "--user", ""), "--user: nothing given"),
    (("list", "--find", ""), "--find: nothing given"),
    (("list", "--user", "x" * 600), "user id of 600 bytes given"),
    (("list", "--user", "ann", "--find", "ann"), "--user and --find given"),
    (("list", "--country", "GER"), "--country: 'GER' given; allowed are two letters"),
    (("list", "--country", ""), "--country: '' given"),
    (("list", "--network", "10.0.0.0/33"), "'10.0.0.0/33' does not appear to be"),
    (("list", "--network", "\x1b[2J"), r"'\x1b[2J' does not appear to be"),
    (("list", "--older-than", "soon"), "--older-than: 'soon' given; allowed are seconds"),
    (("list", "--limit", "0"), "0 is not in the range"),
    (("clear", "abc"), "Missing option '--user'"),
    (("list", "--config", "none.toml"), "does not exist"),
]


@pytest.mark.parametrize(("words", "says"), REFUSED)
def test_what_could_mean_two_things_is_refused(
    town: Town, words: tuple[str, ...], says: str
) -> None:
    one = town.sign_in()
    assert says in refused(*words)
    assert town.ids() == {one}


# --- sweep and copy ---


def test_sweep(town: Town) -> None:
    town.sign_in("ann", idle=1)
    town.sign_in("bob")
    while town.store.kind == "sqlite" and len(listed()) == 2:  # a millisecond has to pass
        pass
    assert run("sessions", "sweep", code=0).stdout == "1 session was over.\n"
    assert as_json("sweep") == {"count": 0}


def test_copy(town: Town, tmp_path: Path) -> None:
    one = town.sign_in()
    town.sign_in("bob")
    target = f"sqlite:///{tmp_path}/other.db"
    out = run("sessions", "copy", target, code=0).stdout
    assert flat(out) == f"2 users and 2 sessions are in {target} now."
    tree = json.loads(run("sessions", "copy", "-", "--json", stdin=f"{target}\n", code=0).stdout)
    assert tree == {"users": 2, "sessions": 2, "to": target}
    other = Town(target)
    assert other.ids() == {one}
    other.close()


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("memory://", 2, "memory:// would be gone"),
        ("nonsense", 2, "the store to copy to: no URL given"),
        ("ftp://user:hunter2@host", 2, "the store to copy to: scheme 'ftp' given"),
        ("redis://user:hunter2@127.0.0.1:1/0", 3, "the store does not answer"),
        ("", 2, "URL: nothing given"),
    ],
)
def test_copy_refuses_where_it_cannot_be(town: Town, url: str, code: int, says: str) -> None:
    told = refused("copy", url, code=code)
    assert says in told
    assert "hunter2" not in told


def test_copy_into_itself_is_refused(town: Town, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "town.db")
    assert "into itself" in refused("copy", f"sqlite:///{tmp_path}/link.db")


def test_copy_that_is_stopped_says_how_far_it_came(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_to(_admin: SyncAdmin, _url: str, *, progress: Callable[[int], object]) -> None:
        progress(1200)
        press_ctrl_c()

    monkeypatch.setattr(SyncAdmin, "copy_to", copy_to)
    told = refused("copy", f"sqlite:///{tmp_path}/other.db", code=130)
    assert told == "Stopped: 1,200 users were copied, each whole; repeat the command to copy all."
