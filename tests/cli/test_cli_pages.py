"""The page of commands says what the commands take, print and exit with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from cli_kit import Town, run

from gatehound import Event, audit, exporting
from gatehound.cli.commands import gatehound as command
from gatehound.cli.output import fold
from gatehound.clientip.check import Finding
from gatehound.model import Session
from gatehound.stores.sqlite import SQLiteStore

PAGE = (Path(__file__).parents[2] / "docs/reference/commands.md").read_text(encoding="utf-8")
GROUPS = ("events", "sessions")
FIELDS = set(Session.__struct_fields__) - {"current", "user_avatar"}


def commands() -> Iterator[tuple[str, click.Command]]:
    for name in GROUPS:
        group = command.commands[name]
        assert isinstance(group, click.Group)
        for one in group.commands.values():
            yield f"{name} {one.name}", one
    for name in ("check", "describe"):
        yield name, command.commands[name]


COMMANDS = dict(commands())


def section(name: str) -> str:
    head = re.search(rf"^##+ `gatehound {name}`\n", PAGE, re.MULTILINE)
    assert head, name
    return re.split(r"^##+ ", PAGE[head.end() :], flags=re.MULTILINE)[0]


def keys(name: str) -> set[str]:
    """The words in the first column of the section's last table."""
    cells = re.findall(r"^\| (`.+?) \|", section(name), re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_heading_options_and_exit_codes(name: str) -> None:
    text = section(name)
    told = re.findall(r"^- `(--[\w-]+)`", text, re.MULTILINE)
    taken = [
        next(opt for opt in item.opts if opt.startswith("--"))
        for item in COMMANDS[name].params
        if isinstance(item, click.Option)
    ]
    assert sorted(told) == sorted(taken)
    for item in COMMANDS[name].params:
        for opt in item.opts if isinstance(item, click.Option) else ():
            assert f"`{opt}`" in text
    assert "\nExit codes: 0" in text


def test_every_exit_code_is_in_the_table() -> None:
    table = PAGE.partition("## Exit codes\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["0", "1", "2", "3", "130", "141"]


@pytest.mark.parametrize("name", ["sessions list", "sessions end", "sessions show", "check"])
def test_keys_of_json_are_those_of_the_page(town: Town, name: str) -> None:
    words = name.split()
    one = town.sign_in()
    words += {"end": ["--flagged"], "show": [one, "--user", "ann"]}.get(words[-1], [])
    tree: dict[str, Any] = json.loads(run(*words, "--json").stdout)
    assert keys(name) == set(tree)
    if name == "sessions list":
        assert set(tree["sessions"][0]) == FIELDS


def test_keys_of_a_copy_are_those_of_the_page(town: Town, tmp_path: Path) -> None:
    town.sign_in()
    out = run("sessions", "copy", f"sqlite:///{tmp_path}/new.db", "--json", code=0).stdout
    assert keys("sessions copy") == set(json.loads(out))


def test_fields_of_events_are_those_of_the_page() -> None:
    assert keys("events export") == {*exporting.FIELDS, *exporting.COLUMNS}


@pytest.mark.slow
def test_commands_in_the_page_can_be_read(town: Town) -> None:
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    lines = [
        line.removeprefix("$ ")
        for block in blocks
        for line in block.splitlines()
        if re.match(r"(\$ )?gatehound (sessions|events|check|describe)", line)
    ]
    assert len(lines) > 7
    for line in lines:
        words = line.partition(" <")[0].split()[1:]
        assert "Usage:" not in run(*words).stderr, line


# --- transcripts ---

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)


def masked(text: str) -> str:
    """Leave out what differs from run to run, and keep its width."""
    text = re.sub(r"\b\d{13}-[0-9a-f]{16}\b", "C" * 30, text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "I" * 16, text)
    return re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ", "T" * 20, text)


def transcript(name: str) -> tuple[list[str], str]:
    """The words of the command in a section, and what it is said to print."""
    found = re.search(
        r"^```console\n\$ gatehound (.+)\n((?s:.*?))^```$", section(name), re.MULTILINE
    )
    assert found
    return found[1].split(), found[2]


def test_transcript_of_list(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.sign_in("eve")
    town.sign_in("bob")
    town.sign_in(
        "ann", agent=IPHONE, address="2001:db8:85a3::8a2e:370:7334", country="FR", flagged=True
    )
    now = town.guard.sync.sessions_of("ann")[0].created
    monkeypatch.setattr("time.time", lambda: now + 130)
    words, told = transcript("sessions list")
    assert masked(run(*words, code=0).stdout) == masked(told)


def test_transcript_of_tail(town: Town) -> None:
    town.sign_in("bob")
    town.note(Event("login_failed", "ann", None, "wrong password", "203.0.113.7"))
    town.sign_in("ann")
    words, told = transcript("events tail")
    lines = run(*words, code=0).stdout.splitlines()
    assert masked("".join(f"{fold(line)}\n" for line in lines)) == masked(told)


def test_transcript_of_check(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    real = audit.findings
    monkeypatch.setattr(SQLiteStore, "findings", nothing)
    monkeypatch.setattr(
        audit,
        "findings",
        lambda *of: [one for one in real(*of) if one.code == "cookie-no-host-prefix"],
    )
    monkeypatch.setenv("GATEHOUND_COOKIE__NAME", "sid")
    words, told = transcript("check")
    assert run(*words, code=0).stdout == told


async def nothing(_store: object) -> list[Finding]:
    return []


def test_every_transcript_is_tested() -> None:
    assert PAGE.count("```console") == PAGE.count("```console\n$ gatehound ip ") + 3
