"""`gatehound check` and `describe`, where settings come from, and what becomes of errors."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from cli_kit import IDENTITY, SECRET, Town, flat, run

from gatehound.cli import opening
from gatehound.clientip.check import Finding

COMMANDS = [
    ("sessions", "list"),
    ("sessions", "show", "ab", "--user", "ann"),
    ("sessions", "end", "--flagged"),
    ("sessions", "sweep"),
    ("sessions", "copy", "sqlite:///x.db"),
    ("events", "tail"),
    ("events", "export"),
]
PASSWORD = "hunter2"
NOWHERE = f"redis://user:{PASSWORD}@127.0.0.1:1/0"


def found(*words: str, code: int) -> dict[str, Finding]:
    tree = json.loads(run("check", "--json", *words, code=code).stdout)
    assert set(tree) == {"score", "grade", "findings"}
    assert 0 <= tree["score"] <= 100
    return {one["code"]: Finding(**one) for one in tree["findings"]}


def set_findings(monkeypatch: pytest.MonkeyPatch, *levels: Any) -> None:
    made = [Finding(level, f"a-{level}", f"It is a {level}.", "mend it") for level in levels]
    monkeypatch.setattr("gatehound.audit.findings", lambda *_: made)
    monkeypatch.setattr("gatehound.stores.sqlite.SQLiteStore.findings", nothing)


async def nothing(_store: object) -> list[Finding]:
    return []


LEVELS = ("note", "warning", "danger")


@pytest.mark.parametrize("bar", [*LEVELS, "never"])
@pytest.mark.parametrize("level", [None, *LEVELS])
def test_exit_code_of_check(
    town: Town, level: str | None, bar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_findings(monkeypatch, *filter(None, [level]))
    order = [*LEVELS, "never"]
    reached = level is not None and order.index(level) >= order.index(bar)
    run("check", "--fail-on", bar, code=int(reached))
    if bar == "danger":
        run("check", code=int(reached))


def test_check_is_for_people(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    set_findings(monkeypatch, "note", "danger")
    assert run("check", code=1).stdout.splitlines() == [
        "danger: It is a danger. (a-danger)",
        "  Fix: mend it.",
        "note: It is a note. (a-note)",
        "  Fix: mend it.",
        "",
        "Score: 68 of 100, weak.",
    ]
    set_findings(monkeypatch)
    assert run("check", code=0).stdout == "Nothing to say.\n\nScore: 100 of 100, good.\n"


def test_check_asks_settings_and_store(town: Town) -> None:
    codes = set(found("--fail-on", "never", code=0))
    assert {"key-weak", "no-city-database"} <= codes


def test_check_tells_the_rest_without_a_store(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUND_STORE", NOWHERE)
    result = run("check", code=1)
    assert PASSWORD not in result.output
    assert "danger: The store redis://127.0.0.1:1/0 does not answer" in flat(result.stdout)
    codes = set(found("--fail-on", "never", code=0))
    assert {"store-unreachable", "key-weak"} <= codes


def test_check_tells_of_a_store_of_other_settings(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.sign_in()
    monkeypatch.setenv("GATEHOUND_IDENTITY_KEY", "j" * 40)
    one = found(code=1)["store-mismatch"]
    assert one.level == "danger"
    assert "identity_key" in one.text
    assert "j" * 40 not in one.text


def test_check_makes_no_store(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUND_STORE", "sqlite:///other.db")
    one = found("--fail-on", "never", code=0)["store-missing"]
    assert one.level == "note"
    assert not Path("other.db").exists()


def test_check_of_a_store_in_memory(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUND_STORE", "memory://")
    assert "key-weak" in found("--fail-on", "never", code=0)


def test_describe(town: Town) -> None:
    lines = run("describe", code=0).stdout
    told = json.loads(run("describe", "--json", code=0).stdout)["lines"]
    assert "A user may have 5 sessions at once; one more ends the oldest." in lines
    assert flat(lines) == flat(" ".join(told))
    assert told == town.guard.sync.describe().splitlines()


# --- where the settings come from ---

TREE = {"secret_keys": [SECRET], "identity_key": IDENTITY, "store": "sqlite:///other.db"}
TOML = f'secret_keys = ["{SECRET}"]\nidentity_key = "{IDENTITY}"\nstore = "sqlite:///other.db"\n'


@pytest.mark.parametrize(("name", "text"), [("a.json", json.dumps(TREE)), ("a.toml", TOML)])
def test_settings_of_a_file_replace_those_of_the_environment(
    town: Town, name: str, text: str
) -> None:
    town.sign_in()
    Path(name).write_text(
        f'{text[:-1]}, "session": {{"max_per_user": 3}}}}'
        if "json" in name
        else f"{text}[session]\nmax_per_user = 3\n"
    )
    assert "A user may have 3 sessions" in run("describe", "--config", name, code=0).stdout
    other = Town("sqlite:///other.db")
    mine = other.sign_in("bob")
    other.close()
    out = run("sessions", "list", "--config", name, "--json", code=0).stdout
    assert [one["public_id"] for one in json.loads(out)["sessions"]] == [mine]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.yaml", "", "allowed are .toml and .json"),
        ("a.toml", "= 1", "cannot be read"),
        ("a.json", "[]", 'holds no object; write {"secret_keys"'),
        ("a.json", "[" * 100_000, "cannot be read"),
        ("a.json", '{"sesion": {}}', "sesion: there is no such setting; did you mean session?"),
        ("a.json", "{}", "secret_keys"),
        ("a.json", '{"store": "ftp://u:hunter2@h", "secret_keys": 1}', "2 problems"),
    ],
)
def test_a_file_that_holds_no_settings(town: Town, name: str, text: str, says: str) -> None:
    Path(name).write_text(text)
    for words in (*COMMANDS, ("check",), ("describe",)):
        result = run(*words, "--config", name, code=2)
        assert result.stdout == ""
        assert says in flat(result.stderr) or says == "2 problems"
        assert PASSWORD not in result.stderr


def test_settings_of_the_environment_are_told_by_their_names(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUND_SESSION__MAX_PER_USER", "many")
    monkeypatch.setenv("GATEHOUND_NAMESPACE", "A B")
    told = run("sessions", "list", code=2).stderr
    assert "Error: 2 problems in the settings:" in told
    assert "GATEHOUND_SESSION__MAX_PER_USER: 'many' given" in told


APP = """
from gatehound import Guard, Users
SETTINGS = {settings}
guard = Guard(SETTINGS, users=Users(
    describe=lambda ids: {{one: (f"Name of {{one}}", "") for one in ids}},
    find=lambda text: [one for one in ("ann", "anna", "bob") if text in one],
))
class Box:
    inner = guard
"""


@pytest.fixture
def app(town: Town, monkeypatch: pytest.MonkeyPatch) -> Town:
    """A module with a guard in the folder where commands are run."""
    settings = TREE | {"store": town.environ["GATEHOUND_STORE"]}
    Path("town_app.py").write_text(APP.format(settings=settings))
    monkeypatch.delenv("GATEHOUND_STORE")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "town_app", raising=False)
    return town


@pytest.mark.parametrize("name", ["town_app:guard", "town_app:Box.inner"])
def test_the_guard_of_an_app_has_its_names(app: Town, name: str) -> None:
    bob, ann = app.sign_in("bob"), app.sign_in("ann")
    out = run("sessions", "list", "--guard", name, code=0).stdout
    assert "bob (Name of bob)" in out
    found = run("sessions", "list", "--find", "bo", "--guard", name, "--json", code=0).stdout
    assert [one["public_id"] for one in json.loads(found)["sessions"]] == [bob]
    assert "Name of ann" in run("sessions", "show", ann, "--user", "ann", "--guard", name).stdout


def test_a_text_that_means_several_users_ends_nobody(app: Town) -> None:
    ann = app.sign_in("ann", flagged=True)
    for words in (("--all", "--yes"), ("--flagged", "--yes")):
        told = run("sessions", "end", "--find", "an", *words, "--guard", "town_app:guard", code=1)
        assert flat(told.stderr) == (
            "Error: several users are meant by 'an': 'ann' (Name of ann), 'anna' (Name of anna); "
            "name one with --user"
        )
        none = run("sessions", "end", "--find", "x", *words, "--guard", "town_app:guard", code=1)
        assert "no user is meant by 'x'" in none.stderr
    assert app.ids() == {ann}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("town_app", "allowed is MODULE:NAME, such as shop.app:guard"),
        (":guard", "allowed is MODULE:NAME"),
        ("town_app:nothing", "cannot be imported: AttributeError"),
        ("town_app:APP", "cannot be imported: AttributeError"),
        ("town_app:SETTINGS", "is a dict, and no Guard"),
        ("no_such_app:guard", "cannot be imported: ModuleNotFoundError"),
        ("\x1b[2J:guard", r"'\x1b[2J:guard' cannot be imported"),
    ],
)
def test_a_guard_that_is_none(app: Town, given: str, says: str) -> None:
    told = run("sessions", "list", "--guard", given, code=2).stderr
    assert says in flat(told)
    assert all(line.isprintable() for line in told.splitlines())


def test_a_file_beside_a_guard_is_refused(app: Town) -> None:
    Path("a.toml").write_text(TOML)
    told = run("describe", "--guard", "town_app:guard", "--config", "a.toml", code=2).stderr
    assert "--config and --guard given" in told


def test_an_app_whose_store_is_away(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("away_app.py").write_text(APP.format(settings=TREE | {"store": NOWHERE}))
    monkeypatch.setattr(sys, "path", list(sys.path))
    result = run("sessions", "list", "--guard", "away_app:guard", code=3)
    assert "127.0.0.1:1" in result.stderr
    assert PASSWORD not in result.stderr


# --- errors ---


@pytest.mark.parametrize("words", COMMANDS)
def test_a_store_that_does_not_answer(
    town: Town, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUND_STORE", NOWHERE)
    result = run(*words, code=3)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: the store does not answer: ")
    assert PASSWORD not in result.stderr


@pytest.mark.parametrize("words", COMMANDS)
def test_a_store_that_is_not_there_or_is_seen_by_its_process_alone(
    town: Town, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUND_STORE", "sqlite:///no/such.db")
    assert "the session file no/such.db is not there" in flat(run(*words, code=3).stderr)
    assert not Path("no").exists()
    monkeypatch.setenv("GATEHOUND_STORE", "memory://")
    assert "seen by the process of the app alone" in flat(run(*words, code=2).stderr)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_store_of_other_settings(
    town: Town, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    town.sign_in()
    monkeypatch.setenv("GATEHOUND_IDENTITY_KEY", "j" * 40)
    monkeypatch.setenv("COLUMNS", "100")
    told = run(*words, code=2).stderr.replace("\n", "").replace(" ", "")
    assert told.startswith(f"Error:store{town.environ['GATEHOUND_STORE']}:identity_keydiffers")


def test_a_file_that_is_no_store(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("text.db").write_text("This is no database. " * 100)
    monkeypatch.setenv("GATEHOUND_STORE", "sqlite:///text.db")
    assert run("sessions", "list").exit_code in (2, 3)
    with sqlite3.connect("foreign.db") as foreign:
        foreign.execute("CREATE TABLE x (y)")
    foreign.close()
    monkeypatch.setenv("GATEHOUND_STORE", "sqlite:///foreign.db")
    assert run("sessions", "list").exit_code in (2, 3)


def test_tables_name_what_is_not_installed(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.sign_in()
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    told = run("sessions", "list", code=2).stderr
    assert told == 'Error: tables need rich: pip install "gatehound[cli]"\n'
    run("sessions", "list", "--json", code=0)


def test_another_missing_module_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("no", name="else")

    with pytest.raises(ModuleNotFoundError):
        raised_in_a_command(missing)


def raised_in_a_command(body: Callable[[], None]) -> None:
    opening.GuardCommand("x", callback=body).main([], standalone_mode=False)


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (BrokenPipeError, 141)])
def test_what_ends_a_command_from_outside(error: type[BaseException], code: int) -> None:
    def stopped() -> None:
        raise error

    with pytest.raises(SystemExit) as left:
        raised_in_a_command(stopped)
    assert left.value.code == code


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:pw@host:6379/0?client_name=pw", "redis://host:6379/0"),
        ("redis+sentinel://:pw@a:1,b:2/main/0", "redis+sentinel://a:1,b:2/main/0"),
        ("redis://host", "redis://host"),
        ("unix:///run/redis.sock?password=pw", "unix:///run/redis.sock"),
        ("sqlite:////var/me@home/x?.db", "sqlite:////var/me@home/x?.db"),
        ("memory://", "memory://"),
    ],
)
def test_places_hold_no_password(url: str, place: str) -> None:
    assert opening.place_of(url) == place


def test_help_of_every_command_tells_its_exit_codes() -> None:
    from gatehound.cli.commands import gatehound as command

    groups = [command.commands[name] for name in ("sessions", "events")]
    all_of = [
        one for group in groups if isinstance(group, click.Group) for one in group.commands.values()
    ]
    for one in (*all_of, command.commands["check"], command.commands["describe"]):
        assert isinstance(one, opening.GuardCommand)
        assert "xits with 0" in flat(one.help or "")
