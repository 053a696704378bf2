"""The pages say what the code does: headings, defaults, code blocks, links.

Not checked here: that a sentence is true. Defaults are, because they are read back.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import re
import runpy
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click
import msgspec
import pytest
from starlette.testclient import TestClient
from werkzeug.test import Client

import gatehound
from gatehound import Detector, Event, Guard, Settings, Visit
from gatehound._reading import nest_environment, read_struct
from gatehound.admin import SyncAdmin
from gatehound.cli.commands import gatehound as command_line
from gatehound.clientip import ClientIP
from gatehound.clientip.check import Finding
from gatehound.data import Data
from gatehound.detection import Slot
from gatehound.events import NAMES, LogSink
from gatehound.listing import FailedLogins, SessionPage
from gatehound.stores.answer import EventPage

ROOT = Path(__file__).parent.parent
SOURCE = Path(gatehound.__file__).parent
PAGES = sorted(
    path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"))
)
BLOCK = re.compile(
    r"(?:<!-- compile-only: (?P<why>.+?) -->\n)?```python\n(?P<code>.*?)```", re.DOTALL
)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sections(name: str, level: int) -> dict[str, str]:
    """The code words that head a section of this level, with the text below."""
    heads = re.split(rf"^{'#' * level} `([^`]+)`\n", page(name), flags=re.MULTILINE)[1:]
    texts = (re.split(r"^#", text, flags=re.MULTILINE)[0] for text in heads[1::2])
    return dict(zip(heads[::2], texts, strict=True))


# --- reference ---


def settings_of(cls: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting as (name, default), through groups and through `roles.<role>`."""
    hints = get_type_hints(cls)
    for item in msgspec.structs.fields(cls):
        hint = hints[item.name]
        name = f"{prefix}{item.name}"
        if get_origin(hint) is dict:
            yield from settings_of(get_args(hint)[1], f"{name}.<role>.")
        elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from settings_of(hint, f"{name}.")
        else:
            yield name, item.default


SETTINGS = dict(settings_of(Settings))


def test_every_setting_has_its_heading() -> None:
    assert set(sections("docs/reference/settings.md", 3)) == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_says_its_default_and_what_is_allowed(name: str) -> None:
    text = sections("docs/reference/settings.md", 3)[name]
    found = re.search(r"^Default: (?:`(?P<said>.*)`|empty)\.\nAllowed: .+\n.+", text, re.MULTILINE)
    assert found, f"{name}: Default, Allowed and a reason, a line each"
    assert read_back(name, found["said"] or "") == SETTINGS[name]


def read_back(name: str, said: str) -> Any:
    """Read a default as an operator would give it in the environment."""
    variable = "X_" + name.replace("<role>", "admin").replace(".", "__").upper()
    problems: list[str] = []
    tree = nest_environment({variable: said}, "X_")
    value: Any = read_struct(Settings, tree, problems, text=True, prefix="X_", separator="__")
    assert not problems
    for part in name.split("."):
        value = value.get("admin", object()) if part == "<role>" else getattr(value, part)
    return value


def test_every_event_has_its_heading() -> None:
    assert set(sections("docs/reference/events.md", 3)) == set(NAMES)


def test_reserved_events_are_those_that_nothing_emits() -> None:
    texts = sections("docs/reference/events.md", 3)
    reserved = {name for name, text in texts.items() if "Reserved." in text}
    code = "".join(p.read_text() for p in SOURCE.rglob("*.py") if p.name != "events.py")
    assert reserved == {name for name in NAMES if f'"{name}"' not in code}


def built_in_detectors() -> list[type[Detector]]:
    module = importlib.import_module("gatehound.detection")
    named = (getattr(module, name) for name in module.__all__)
    return [
        one
        for one in named
        if isinstance(one, type) and issubclass(one, Detector) and one is not Detector
    ]


def test_every_detector_has_its_heading_and_its_signals() -> None:
    texts = sections("docs/reference/detectors.md", 2)
    assert set(texts) == {one.name for one in built_in_detectors()}
    for one in built_in_detectors():
        file = importlib.import_module(one.__module__).__file__
        assert file is not None
        codes = set(re.findall(r'Signal\("(\w+)"', Path(file).read_text()))
        assert codes
        assert codes <= set(re.findall(r"`(\w+)`", texts[one.name]))


def test_every_command_has_its_heading_and_its_options() -> None:
    texts = sections("docs/reference/commands.md", 2)
    assert set(texts) == {f"gatehound {name}" for name in command_line.commands}
    for name, command in command_line.commands.items():
        options = {
            option
            for item in command.params
            if isinstance(item, click.Option)
            for option in item.opts
        }
        assert (
            set(re.findall(r"^- `(--[\w-]+)`", texts[f"gatehound {name}"], re.MULTILINE)) == options
        )


def test_every_public_method_is_in_the_pages() -> None:
    text = page("docs/sessions.md") + page("docs/wrap.md")
    for one in (Visit, Data, SyncAdmin):
        for name in (name for name in dir(one) if not name.startswith("_")):
            assert re.search(rf"\b{name}\b", text), f"{one.__name__}.{name}"


def test_log_levels_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gatehound.events"):
        for name in NAMES:
            LogSink()(Event(name))
    told = dict(
        re.findall(r"^(INFO|WARNING): (.+)\.$", page("docs/reference/events.md"), re.MULTILINE)
    )
    for level, line in told.items():
        logged = {one.message.split()[0] for one in caplog.records if one.levelname == level}
        assert set(re.findall(r"`(\w+)`", line)) == logged
    assert set(told) == {"INFO", "WARNING"}


# --- the API ---


API = {name: getattr(gatehound, name) for name in gatehound.__all__} | {
    one.__name__: one
    for one in (ClientIP, Data, EventPage, FailedLogins, Finding, SessionPage, Slot)
}
# What the guard is made of inside is public to the library, and not to apps.
WHOLE = set(API) - {"EndReason", "Guard", "Request", "Settings", "Slot", "SyncVisit"}


def members_of(tree: ast.ClassDef) -> dict[str, str]:
    """Fields and methods of a class by name, written alike whatever their layout."""
    found: dict[str, str] = {}
    for one in tree.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            found[one.target.id] = ast.unparse(one)
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            one.body = []
            marks = [d for d in one.decorator_list if ast.unparse(d) in ("property", "classmethod")]
            one.decorator_list = marks
            found[one.name] = ast.unparse(one)
    return found


def members_in_code(cls: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("gatehound"):
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            assert isinstance(tree, ast.ClassDef)
            found |= members_of(tree)
    return found


def members_told(name: str) -> dict[str, str]:
    """What the page prints of a class; {} where it prints no signatures."""
    text = sections("docs/reference/api.md", 2)[name]
    block = re.search(r"```pyi\n(class .*?)```", text, re.DOTALL)
    if block is None:
        return {}
    (tree,) = ast.parse(block[1]).body
    assert isinstance(tree, ast.ClassDef)
    return members_of(tree)


def test_every_public_name_has_its_heading() -> None:
    assert set(sections("docs/reference/api.md", 2)) == set(API)


@pytest.mark.parametrize("name", sorted(set(API) - {"current"}))
def test_signatures_are_those_of_the_code(name: str) -> None:
    told, real = members_told(name), members_in_code(API[name])
    assert told.items() <= real.items()
    public = {one for one in real if not one.startswith("_")}
    if name in WHOLE and told:
        assert public == set(told)


def test_admin_methods_are_told() -> None:
    names = {name for name in dir(SyncAdmin) if not name.startswith("_")}
    assert set(members_told("Guard")) == names | {"__init__", "sync", "refresh", "notice_path"}
    assert "sync" in vars(Guard)


@pytest.mark.parametrize("name", ["Event", "Observation", "Session", "Visit"])
def test_signatures_are_printed(name: str) -> None:
    assert members_told(name)


# --- code blocks ---


def blocks() -> Iterator[Any]:
    for path in PAGES:
        for found in BLOCK.finditer(path.read_text(encoding="utf-8")):
            line = path.read_text(encoding="utf-8")[: found.start("code")].count("\n") + 1
            where = f"{path.relative_to(ROOT)}:{line}"
            yield pytest.param(found["code"], found["why"], where, id=where)


@pytest.mark.parametrize(("code", "why", "where"), list(blocks()))
def test_code_block_runs(
    code: str, why: str | None, where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEHOUND_DEVELOPMENT", "true")
    monkeypatch.setenv("GATEHOUND_STORE", "memory://")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("EDGE_KEY", "FRONT_DOOR_ID"):
        monkeypatch.setenv(name, "a-value-of-these-tests")
    compiled = compile(code, where, "exec")
    if why is not None:
        return
    names: dict[str, Any] = {"__name__": "block"}
    exec(compiled, names)  # noqa: S102 - the code is ours
    app = names.get("app")
    if app is None:
        return
    if "gatehound.asgi" in code:
        assert TestClient(app, base_url="http://localhost").get("/").status_code in (200, 404)
    else:
        assert Client(app).get("/", buffered=True).status_code in (200, 404)


def test_blocks_are_found() -> None:
    assert len(list(blocks())) > 20


# --- the transcript ---


CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)


def test_transcript_in_the_readme_is_what_is_sent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("SECRET_KEYS", "s" * 40), ("IDENTITY_KEY", "i" * 40)):
        monkeypatch.setenv(f"GATEHOUND_{name}", value)
    monkeypatch.setenv("GATEHOUND_STORE", "memory://")
    app = runpy.run_path(str(ROOT / "examples/starlette_app.py"))["app"]
    client = TestClient(app, base_url="https://example.org", headers={"user-agent": CHROME})
    answers = [client.post("/sign-in", json={"name": "ada", "password": "analytical"})]
    answers.append(client.get("/sessions"))
    cookie, csrf = client.cookies["__Host-gatehound"], answers[0].json()["csrf"]
    forged = {"Cookie": f"__Host-gatehound={cookie[:-5]}AAAAE"}
    caplog.clear()
    stranger = TestClient(app, base_url="https://example.org", client=("127.0.0.1", 50000))
    answers.append(stranger.get("/sessions", headers=forged))
    logged = [one.getMessage() for one in caplog.records if one.name == "gatehound.events"]
    assert [masked(line) for line in logged] == [
        masked(line) for line in re.findall(r"^token_.+", page("README.md"), re.MULTILINE)
    ]
    answers.append(client.post("/sign-out", headers={"X-CSRF": csrf}))
    told = re.findall(r"```http\n(.*?)```", page("README.md"), re.DOTALL)
    assert len(told) == len(answers)
    for text, answer in zip(told, answers, strict=True):
        head, _, body = text.rpartition("HTTP/1.1 200 OK\n")[2].partition("\n\n")
        assert answer.status_code == 200
        assert set(answer.headers) == {line.partition(":")[0] for line in head.splitlines()}
        for name in answer.headers:
            values = re.findall(rf"^{name}: (.*)", head, re.MULTILINE)
            for value, sent in zip(values, answer.headers.get_list(name), strict=True):
                pattern = re.sub(r"=[^=]*…", "=[^=;]+", re.escape(value))  # a secret, cut short
                assert re.fullmatch(pattern, sent)
        assert masked(answer.text) == masked(body.strip())


def masked(text: str) -> str:
    """Leave out what differs from run to run."""
    return re.sub(r'"(id|csrf|at)":("[^"]+"|[\d.]+)', r'"\1":…', text)


# --- links and README ---


def anchors(path: Path) -> set[str]:
    """The anchors of a page, made from headings as repository hosts do."""
    headings = (found[2] for found in HEADING.finditer(path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        aim = (path.parent / file).resolve() if file else path
        assert aim.exists(), f"{path.name}: {target}"
        assert not anchor or anchor in anchors(aim), f"{path.name}: {target}"


def test_every_page_is_reached_from_the_index() -> None:
    linked = re.findall(r"\]\(([^)#]+)", page("docs/index.md"))
    pages = {p.relative_to(ROOT / "docs").as_posix() for p in ROOT.glob("docs/**/*.md")}
    assert pages - {"index.md"} == set(linked)


def command_after(marker: str) -> str:
    """The one command below a marker in the README, as .ci/run finds it."""
    (found,) = re.findall(rf"<!-- {marker} -->\n```sh\n(.+)\n```", page("README.md"))
    return str(found)


def test_readme_has_its_two_commands_in_the_first_40_lines() -> None:
    main, test = command_after("main-command"), command_after("test-command")
    assert main == "python -m pip install '.[demo]' && gatehound demo --check"
    assert test == "python -m pip install '.[test]' && python -m pytest"
    first = page("README.md").splitlines()[:40]
    assert main in first
    assert test in first
    assert first[2].startswith("**")
    assert first[2].endswith("**")


# --- names and version ---


def test_public_names_are_pinned() -> None:
    assert gatehound.__all__ == [
        "Action",
        "Activity",
        "Detector",
        "EndReason",
        "Ended",
        "Event",
        "FreshLoginRequired",
        "GatehoundError",
        "Guard",
        "LoginRefused",
        "Observation",
        "Request",
        "Session",
        "SessionSuperseded",
        "Settings",
        "SettingsError",
        "Signal",
        "StoreError",
        "StoreUnavailable",
        "SyncVisit",
        "UsageError",
        "Users",
        "Verdict",
        "Visit",
        "current",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("gatehound", "gatehound.clientip", "gatehound.detection", "gatehound.telemetry"),
        "gatehound.testing",
    ],
)
def test_public_names_are_sorted_and_there(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    assert all(getattr(module, one) is not None for one in module.__all__)
    assert set(module.__all__) <= set(dir(module))


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Manager'"):
        gatehound.Manager  # noqa: B018 - the look-up is what is tested


def test_version_is_that_of_the_project() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    assert project["version"] == gatehound.__version__
    assert f"Version {gatehound.__version__}." in page("CHANGELOG.md")
