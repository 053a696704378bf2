"""`gatehound events`: what is shown, followed and written, and what stops it."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Town, flat, run

from gatehound import Event
from gatehound.admin import SyncAdmin
from gatehound.cli.events.line import in_words
from gatehound.cli.filters import EventFilter
from gatehound.errors import StoreUnavailable
from gatehound.exporting import FIELDS

# The package re-exports the commands under the names of their modules.
tail_module = import_module("gatehound.cli.events.tail")
export_module = import_module("gatehound.cli.events.export")

DAY = 86_400


def names(*words: str, code: int = 0) -> list[str]:
    """The reasons of the events that a command shows, which tell them apart here."""
    out = run("events", *words, "--json", code=code).stdout
    return [json.loads(line)["reason"] for line in out.splitlines()]


@pytest.fixture
def log(town: Town) -> Town:
    """Five events that differ in what the filters look at."""
    for event in (
        Event("login_failed", "ann", None, "one", "203.0.113.7"),
        Event("login_failed", "bob", None, "two", "198.51.100.9"),
        Event("session_flagged", "ann", "00" * 8, "three", "2001:db8::7"),
        Event("session_flagged", "ann", "11" * 8, "four"),
        Event("store_up", reason="five"),
    ):
        town.note(event)
    return town


FILTERS: list[tuple[tuple[str, ...], list[str]]] = [
    ((), ["one", "two", "three", "four", "five"]),
    (("--name", "login_failed"), ["one", "two"]),
    (("--name", "login_failed", "--name", "store_up"), ["one", "two", "five"]),
    (("--user", "ann"), ["one", "three", "four"]),
    (("--session", "11" * 8), ["four"]),
    (("--network", "203.0.113.0/24"), ["one"]),
    (("--network", "2001:db8::/32"), ["three"]),
    (("--since", "1h"), ["one", "two", "three", "four", "five"]),
    (("--until", "2100-01-01", "--user", "bob"), ["two"]),
]


@pytest.mark.parametrize(("words", "found"), FILTERS)
def test_filters(log: Town, words: tuple[str, ...], found: list[str]) -> None:
    assert names("tail", *words) == found
    assert names("export", *words) == found[::-1]


@pytest.mark.parametrize(
    "words", [("--user", "nobody"), ("--until", "1h"), ("--since", "2100-01-01")]
)
@pytest.mark.parametrize("command", ["tail", "export"])
def test_nothing_matches(log: Town, command: str, words: tuple[str, ...]) -> None:
    assert names(command, *words, code=1) == []


def test_tail_says_that_nothing_matches(town: Town) -> None:
    for more in ((), ("--json",)):
        told = run("events", "tail", "--user", "nobody", *more, code=1)
        assert (told.stdout, told.stderr) == ("", "No event matches.\n")


def test_n_is_short_for_lines(log: Town) -> None:
    assert names("tail", "-n", "2") == ["four", "five"]


ADDRESSES = ["", "?", "203.0.113.7", "::ffff:203.0.113.7", "2001:db8::7"]
NETWORKS = [None, "203.0.113.0/24", "::ffff:203.0.113.0/120", "::ffff:203.0.113.7", "2001:db8::/32"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"names": ("store_up", "login_failed"), "user": "ann"},
        {"session": "11" * 8},
        {"user": ""},
        *({"network": network} for network in NETWORKS),
    ],
)
def test_what_is_followed_is_what_the_store_finds(town: Town, given: dict[str, Any]) -> None:
    for address in ADDRESSES:
        town.note(Event("login_failed", "ann", None, "one", address))
        town.note(Event("session_flagged", None, "11" * 8, "two", address))
    wanted = EventFilter(**given)
    admin = town.guard.sync
    told = admin.tail("", since=0).events
    found = admin.events(**wanted.conditions()).events if given != {"user": ""} else ()
    assert [one for one in told if wanted.admits(one)] == list(reversed(found))


@pytest.mark.parametrize(
    ("since", "until", "is_meant"),
    [
        (None, None, True),
        (1.8e9, None, True),
        (1.8e9 + 0.001, None, False),
        (None, 1.8e9 + 0.001, True),
        (None, 1.8e9, False),
        (None, 1.8e9 + 0.0004, False),  # stores count in milliseconds
    ],
)
def test_moments_are_those_of_stores(
    since: float | None, until: float | None, is_meant: bool
) -> None:
    assert EventFilter(since=since, until=until).admits(Event("x", at=1.8e9)) is is_meant


# --- tail ---


def test_tail_is_for_people(log: Town) -> None:
    log.note(Event("login_failed", 'a "b"', None, "by hand", "", {"device": "x=1", "n": 2}))
    lines = run("events", "tail", "--lines", "4", code=0).stdout.splitlines()
    assert [line[22:] for line in lines] == [
        f"session_flagged       user=ann session={'00' * 8} address=2001:db8::7 reason=three",
        f"session_flagged       user=ann session={'11' * 8} reason=four",
        "store_up              reason=five",
        r'login_failed          user="a \"b\"" reason="by hand" device="x=1" n=2',
    ]
    assert all(line[:20].replace("Z", "").count(":") == 2 for line in lines)


def test_a_line_without_anything_more() -> None:
    assert in_words(Event("store_up", at=0.0)) == "1970-01-01 00:00:00Z  store_up"
    empty = Event("store_up", detail={"place": "", "count": 0})
    assert in_words(empty).endswith("store_up              count=0")


@pytest.mark.parametrize("lines", [0, 1, 3, 9])
def test_tail_shows_so_many(log: Town, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "PAGE", 2)
    found = names("tail", "--lines", str(lines), code=0 if lines else 1)
    assert found == ["one", "two", "three", "four", "five"][max(0, 5 - lines) :]


class Script:
    """What happens while `--follow` waits: one step for each wait, then Ctrl-C."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps: Iterator[Callable[[], object]] = iter(steps)
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        step = next(self.steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()


def follow(monkeypatch: pytest.MonkeyPatch, script: Script, *words: str) -> tuple[list[str], str]:
    with monkeypatch.context() as patched:
        patched.setattr("time.sleep", script)
        result = run("events", "tail", "--follow", "--json", *words, code=130)
    return [json.loads(line)["reason"] for line in result.stdout.splitlines()], result.stderr


def test_follow_goes_on_with_what_comes(log: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(
        lambda: log.note(Event("login_failed", "ann", reason="six")),
        lambda: None,
        lambda: log.note(*(Event("login_failed", "bob", reason=one) for one in ("7", "8"))),
    )
    found, told = follow(monkeypatch, script, "--lines", "2", "--interval", "0.5")
    assert found == ["four", "five", "six", "7", "8"]
    assert script.waits == [0.5] * 4
    assert told == ""


@pytest.mark.parametrize(("words", "found"), FILTERS)
def test_follow_takes_the_same_filters(
    town: Town, words: tuple[str, ...], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--until" in words:
        told = run("events", "tail", "--follow", *words, code=2).stderr
        assert "--until given beside --follow" in told
        return
    events = (
        Event("login_failed", "ann", None, "one", "203.0.113.7"),
        Event("login_failed", "bob", None, "two", "198.51.100.9"),
        Event("session_flagged", "ann", "00" * 8, "three", "2001:db8::7"),
        Event("session_flagged", "ann", "11" * 8, "four"),
        Event("store_up", reason="five"),
    )
    came, _ = follow(monkeypatch, Script(lambda: town.note(*events)), *words)
    assert came == found


def test_follow_shows_nothing_twice(log: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    real = SyncAdmin.events

    def late(admin: SyncAdmin, **words: Any) -> Any:
        log.note(Event("store_up", reason="between"))
        return real.__get__(admin)(**words)

    monkeypatch.setattr(SyncAdmin, "events", late)
    found, _ = follow(monkeypatch, Script(lambda: None), "--lines", "2")
    assert found == ["five", "between"]


def test_follow_asks_at_once_where_there_is_more(
    log: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SyncAdmin.tail

    def short(admin: SyncAdmin, place: str = "") -> Any:
        return real.__get__(admin)(place, limit=1)

    monkeypatch.setattr(SyncAdmin, "tail", short)
    script = Script(lambda: log.note(*(Event("store_up", reason=str(n)) for n in range(5))))
    found, _ = follow(monkeypatch, script, "--lines", "0")
    assert found == list("01234")
    assert len(script.waits) == 2


def test_follow_goes_on_through_an_outage(log: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = SyncAdmin.tail, iter(range(9))

    def broken(admin: SyncAdmin, place: str = "") -> Any:
        if next(calls) in (2, 3):
            raise StoreUnavailable("no answer within 2 s")
        return real.__get__(admin)(place)

    monkeypatch.setattr(SyncAdmin, "tail", broken)
    script = Script(lambda: log.note(Event("store_up", reason="kept")), lambda: None, lambda: None)
    found, told = follow(monkeypatch, script, "--lines", "0")
    assert found == ["kept"]
    assert told.splitlines() == [
        "The store does not answer: no answer within 2 s; it is asked again.",
        "The store answers again.",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("tail", "--name", "session_flag"), "did you mean session_flagged?"),
        (("tail", "--name", "zzz"), "allowed are session_created, "),
        (("tail", "--name", "\x1b[2J"), r"no event '\x1b[2J'"),
        (("tail", "--since", "later"), "--since: 'later' given; allowed is a span back"),
        (("tail", "--interval", "0"), "0.0 is not in the range"),
        (("tail", "--lines", "-1"), "-1 is not in the range"),
        (("tail", "--user", ""), "--user: nothing given"),
        (("export", "--format", "xml"), "'xml' is not one of"),
        (("export", "--format", "csv", "--json"), "--json and --format csv given"),
        (("export", "-o", "/nowhere/x.csv"), "'/nowhere/x.csv' cannot be written"),
        (("export", "-o", "/dev/null"), "'/dev/null' is no ordinary file"),
        (("export", "-o", "circle"), "'circle' leads nowhere"),
    ],
)
def test_what_cannot_be_is_refused(log: Town, words: tuple[str, ...], says: str) -> None:
    Path("circle").symlink_to("circle")
    result = run("events", *words, code=2)
    assert result.stdout == ""
    assert says in flat(result.stderr)


# --- export ---


def test_export_writes_all_fields(log: Town) -> None:
    lines = run("events", "export", code=0).stdout.splitlines()
    assert [tuple(json.loads(line)) for line in lines] == [FIELDS] * 5


def test_export_goes_through_all_pages(log: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "PAGE", 2)
    assert names("export") == ["five", "four", "three", "two", "one"]


def test_export_as_csv(log: Town) -> None:
    log.note(Event("login_failed", "=cmd|' /C calc'!A1", None, "six\r\nseven"))
    rows = list(csv.DictReader(io.StringIO(run("events", "export", "--format", "csv").stdout)))
    assert [row["reason"] for row in rows][1:] == ["five", "four", "three", "two", "one"]
    assert rows[0]["user_id"] == "'=cmd|' /C calc'!A1"
    assert rows[0]["reason"] == "six\\r\\nseven"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_holds_what_standard_output_would(log: Town, form: str) -> None:
    words = ("export", "--format", form)
    Path("old").write_text("old")
    Path("link").symlink_to("old")
    for name in ("new", "old", "link"):
        assert run("events", *words, "-o", name, code=0).output == ""
        assert Path(name).read_bytes() == run("events", *words).stdout_bytes
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    assert Path("link").is_symlink()
    assert sorted(path.name for path in Path().iterdir() if "town" not in path.name) == [
        "link",
        "new",
        "old",
    ]
    assert run("events", *words, "-o", "-", code=0).stdout == run("events", *words).stdout
    assert not Path("-").exists()


def ctrl_c_at(monkeypatch: pytest.MonkeyPatch, call: int, does: Callable[[], None]) -> None:
    real, calls = SyncAdmin.events, iter(range(1, 99))

    def paged(admin: SyncAdmin, **words: Any) -> Any:
        if next(calls) == call:
            does()
        return real.__get__(admin)(**{**words, "limit": 2})

    monkeypatch.setattr(SyncAdmin, "events", paged)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_export_that_is_stopped_goes_on(log: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        ctrl_c_at(patched, 2, press_ctrl_c)
        result = run("events", "export", "--format", "csv", code=130)
    assert [row["reason"] for row in csv.DictReader(io.StringIO(result.stdout))] == ["five", "four"]
    start, _, cursor = flat(result.stderr).removesuffix(".").rpartition(" ")
    assert start == "Stopped after 2 events; to go on, add --cursor"
    assert names("export", "--cursor", cursor) == ["three", "two", "one"]
    rest = run("events", "export", "--format", "csv", "--cursor", cursor).stdout
    assert rest.count("\n") == 3  # no second head


@pytest.mark.parametrize("call", [1, 2])
def test_a_file_is_whole_or_not_there(
    log: Town, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreUnavailable("no answer within 2 s")

    Path("kept").write_text("old")
    for does, code in ((press_ctrl_c, 130), (fail, 3)):
        with monkeypatch.context() as patched:
            ctrl_c_at(patched, call, does)
            result = run("events", "export", "-o", "kept", code=code)
        assert Path("kept").read_text() == "old"
        assert not list(Path().glob(".kept*"))
        if code == 130:
            assert flat(result.stderr) == "Stopped: 'kept' was not written."


def test_stopped_before_the_first_page(log: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    ctrl_c_at(monkeypatch, 1, press_ctrl_c)
    told = run("events", "export", code=130).stderr
    assert told == "Stopped after 0 events; to go on, repeat the command.\n"


def test_a_full_disk_is_told(log: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    told = run("events", "export", "-o", "new", code=2).stderr
    assert "'new' cannot be written: No space left on device; nothing was changed" in flat(told)
    assert not list(Path().glob("*new*"))


def test_times_are_those_of_the_store(log: Town) -> None:
    (line, *_) = run("events", "export").stdout.splitlines()
    assert abs(json.loads(line)["at"] - time.time()) < DAY
