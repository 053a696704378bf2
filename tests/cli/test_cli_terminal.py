"""Commands as people and programs run them: on a terminal, in a pipe, over a real Redis."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_kit import GATEHOUND, Terminal, Town, flat, run

import zoo
from gatehound import Event
from parts import require

pytestmark = [pytest.mark.full, pytest.mark.ci]

HERE = Path(__file__).parent
SLOW = {"PYTHONPATH": str(HERE)}
AGENT = "\x1b[31mred\x1b]0;owned\x07"


@pytest.fixture
def crowd(town: Town) -> Town:
    """Five users, the first of whom is flagged and hostile."""
    town.sign_in("\x1b[2J[bold]evil", agent=AGENT, flagged=True)
    for n in range(4):
        town.sign_in(f"user-{n}", address="2001:db8:85a3::8a2e:370:7334", country="FR")
    return town


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_tables_fit_their_terminal(crowd: Town, columns: int) -> None:
    terminal = Terminal("sessions", "list", environ=crowd.environ, columns=columns)
    assert terminal.end() == 0
    lines = terminal.text.splitlines()
    assert max(map(len, lines)) <= columns
    assert "\x1b[2J" not in terminal.raw
    assert "\x1b]0;" not in terminal.raw
    for part in ("\\x1b[2J[bold]", "user-3"):
        assert part in "".join(line.strip() for line in lines)
    ids = {one.public_id for one in crowd.guard.sync.search().sessions}
    assert len(ids) == 5
    assert all(any(line.startswith(one) for line in lines) for one in ids)


def test_a_terminal_gets_colours_and_a_pipe_none(crowd: Town) -> None:
    terminal = Terminal("sessions", "list", "--flagged", environ=crowd.environ)
    assert terminal.end() == 0
    assert "\x1b[1;31mflagged" in terminal.raw
    plain = Terminal("sessions", "list", "--flagged", environ={**crowd.environ, "NO_COLOR": "1"})
    assert plain.end() == 0
    assert "\x1b[1;31m" not in plain.raw
    piped = shell(crowd, "gatehound sessions list --flagged")
    assert "\x1b" not in piped.stdout
    assert piped.stdout.splitlines()[1].endswith("flagged")


def shell(town: Town, line: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GATEHOUND_", "COLUMNS"))}
    path = f"{GATEHOUND.parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env={**kept, **town.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_long_search_shows_how_far_it_is_and_stops_at_ctrl_c(crowd: Town) -> None:
    words = ("sessions", "list", "--guard", "slow_app:guard")
    terminal = Terminal(*words, environ={**crowd.environ, **SLOW})
    terminal.until("2/5")
    terminal.interrupt()
    assert terminal.end() == 130
    assert "user-3" in terminal.text  # what was found so far
    assert "user-1" not in terminal.text
    stopped = flat(terminal.text)
    assert "Stopped: 2 sessions were looked at; to go on, add --cursor" in stopped
    cursor = stopped.rpartition("--cursor ")[2].removesuffix(".")
    rest = Terminal("sessions", "list", "--cursor", cursor, environ=crowd.environ)
    assert rest.end() == 0
    assert "user-1" in rest.text
    assert "user-3" not in rest.text


def test_a_long_run_of_ends_shows_how_far_it_is(crowd: Town) -> None:
    words = ("sessions", "end", "--country", "FR", "--yes", "--guard", "slow_app:guard")
    terminal = Terminal(*words, environ={**crowd.environ, **SLOW})
    terminal.until("(it waits)")
    terminal.until("2/5")
    terminal.interrupt()  # a wish, which a slice that waits does not hear
    while not terminal.has_ended(0.2):
        terminal.interrupt()
    assert terminal.end() == 130
    assert "2 sessions ended so far." in terminal.text
    assert "Stopped: 2 sessions were looked at; to go on, add --cursor" in flat(terminal.text)
    assert len(crowd.guard.sync.search().sessions) == 3


def test_progress_is_on_standard_error_alone(crowd: Town) -> None:
    line = "gatehound events export -o all.csv --format csv"
    terminal = Terminal(*shlex.split(line)[1:], environ=crowd.environ)
    assert terminal.end() == 0
    assert "Events" in terminal.raw
    assert len(list(csv.DictReader(Path("all.csv").read_text().splitlines()))) == 5
    both = Terminal("events", "export", environ=crowd.environ)
    assert both.end() == 0
    assert "Events" not in both.raw


def test_follow_on_a_terminal(crowd: Town) -> None:
    words = ("events", "tail", "-f", "--interval", "0.1", "--name", "login_failed")
    terminal = Terminal(*words, environ=crowd.environ)
    crowd.note(Event("login_failed", "before"))
    while "login_failed" not in terminal.raw:  # until it has begun, which is not shown
        crowd.note(Event("login_failed", "ann\x1b[2J"))
        assert not terminal.has_ended(0.1), terminal.raw
    crowd.note(Event("login_failed", "last"))
    terminal.until("user=last")
    terminal.interrupt()
    assert terminal.end() == 130
    assert "Traceback" not in terminal.raw
    assert "\x1b[2J" not in terminal.raw


def test_json_is_for_programs(crowd: Town) -> None:
    listed = shell(crowd, "gatehound sessions list --json")
    assert len(json.loads(listed.stdout)["sessions"]) == 5
    assert (listed.returncode, listed.stderr) == (0, "")
    events = shell(crowd, "gatehound events export --json").stdout.splitlines()
    assert {json.loads(line)["name"] for line in events} == {"session_created"}


@pytest.mark.parametrize("command", ["sessions list", "events tail", "events export", "describe"])
def test_a_reader_that_goes_away_is_no_error(crowd: Town, command: str) -> None:
    done = shell(crowd, f"gatehound {command} | true")
    assert done.stderr == ""
    assert done.returncode in (0, 141)  # by whether it had written all before


def test_a_reader_that_goes_away_ends_a_long_command(crowd: Town) -> None:
    lines = "gatehound events tail -f --interval 0.1 --lines 5"
    town = crowd.note
    process = subprocess.Popen(
        [GATEHOUND, *shlex.split(lines)[1:]],
        env={**os.environ, **crowd.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    end = time.monotonic() + 20
    while process.poll() is None:
        if time.monotonic() > end:
            process.kill()
            pytest.fail("it does not notice that nobody reads")
        town(Event("store_up"))
        time.sleep(0.02)
    assert process.wait() == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_no_character_fails_in_a_narrow_encoding(crowd: Town) -> None:
    crowd.sign_in("Zo-京")
    for command in ("sessions list", "events tail", "events export --format csv"):
        done = shell(crowd, f"PYTHONIOENCODING=latin-1 gatehound {command}")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Zo-\\u4eac" in done.stdout


def test_tmux_shows_the_table_as_it_is_meant(crowd: Town) -> None:
    tmux = require("tmux")
    name = f"gatehound-{os.getpid()}"
    environ = [word for k, v in crowd.environ.items() for word in ("-e", f"{k}={v}")]
    command = f"{shlex.quote(str(GATEHOUND))} sessions list; echo done=$?; cat"
    subprocess.run(
        [tmux, "-L", name, "new-session", "-d", "-x", "80", "-y", "30", *environ, command],
        check=True,
        env={k: v for k, v in os.environ.items() if k != "TMUX"},
    )
    try:
        end = time.monotonic() + 20
        shown = ""
        while "done=0" not in shown and time.monotonic() < end:
            done = subprocess.run(
                [tmux, "-L", name, "capture-pane", "-p"], capture_output=True, text=True, check=True
            )
            shown = done.stdout
        lines = shown.splitlines()
        assert lines[0].split() == ["SESSION", "USER", "DEVICE", "AND", "PLACE", "CREATED", "SEEN"]
        assert "done=0" in lines
        # The bar is gone, and the hostile agent has moved nothing.
        assert not any("Looking" in line and "━" in line for line in lines)
        assert [line[18:24] for line in lines if line[18:22] == "user"] == [
            f"user-{n}" for n in (3, 2, 1, 0)
        ]
    finally:
        subprocess.run([tmux, "-L", name, "kill-server"], check=False)


# --- Redis ---


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with zoo.server(zoo.SYSTEM, tmp_path_factory.mktemp("redis")) as server:
        yield server.url


def test_all_of_it_over_redis(make_town: Callable[..., Town], redis: str, tmp_path: Path) -> None:
    town = make_town(redis)
    goes = town.sign_in("ann", flagged=True)
    stays = [town.sign_in(f"u{n}") for n in range(3)]
    listed = shell(town, "gatehound sessions list --flagged")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert goes in listed.stdout
    assert "Looked at 4 sessions and found 1." in listed.stdout
    shown = json.loads(run("sessions", "show", goes, "--user", "ann", "--json", code=0).stdout)
    assert [one["name"] for one in shown["events"]] == ["session_created"]
    counted = run("sessions", "end", "--flagged", "--json", code=0).stdout
    assert json.loads(counted)["count"] == 1
    assert run("sessions", "end", "--flagged", "--yes").stdout == "1 session ended.\n"
    tree = json.loads(run("sessions", "list", "--json").stdout)
    assert [one["public_id"] for one in tree["sessions"]] == stays[::-1]
    assert run("sessions", "sweep").stdout == "0 sessions were over.\n"
    copied = run("sessions", "copy", f"sqlite:///{tmp_path}/copy.db", "--json").stdout
    assert json.loads(copied)["sessions"] == 3
    assert run("events", "export", "--format", "csv", code=0).stdout.count("\n") == 7
    terminal = Terminal("events", "tail", "-f", "--interval", "0.1", environ=town.environ)
    terminal.until("reason=admin")
    town.note(Event("login_failed", "late"))
    terminal.until("user=late")
    terminal.interrupt()
    assert terminal.end() == 130
    checked = run("check", "--json", "--fail-on", "never", code=0).stdout
    assert json.loads(checked)["findings"]
