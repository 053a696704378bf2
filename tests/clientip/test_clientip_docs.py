"""The pages of the client's address say what the code does.

Not checked here: that a sentence is true, nor what other projects do. Links, and that each
code block runs, are in tests/test_docs.py.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args

import pytest
from click.testing import CliRunner
from providers_page import PAGE, SECRET, options, resolver
from starlette.testclient import TestClient
from werkzeug.test import Client

from gatehound.cli.ip import ip
from gatehound.clientip import ClientIPResolver, check, flags
from gatehound.clientip.applied import FORWARDING
from gatehound.clientip.cloudflare import MAX_AGE_DAYS
from gatehound.clientip.entries import NAMES, PRIVATE
from gatehound.clientip.forwarded import MAX_LENGTH, MAX_PAIRS
from gatehound.clientip.grammar import MAX_ELEMENT
from gatehound.clientip.modes import MODES
from gatehound.clientip.options import MIN_SECRET, OWN_MODE, PASSED_ON
from gatehound.clientip.presets import PRESETS
from gatehound.clientip.trace import MAX_TEXT, MEANING
from gatehound.clientip.trust import EVERYONE
from gatehound.clientip.walk import MAX_SCAN, MAX_TRUSTED_HOPS
from gatehound.errors import SettingsError

DOCS: Final = Path(__file__).parents[2] / "docs"
REFERENCE: Final = (DOCS / "reference/client-ip.md").read_text(encoding="utf-8")
TUTORIAL: Final = (DOCS / "client-ip.md").read_text(encoding="utf-8")
PROVIDERS: Final = PAGE.text()
FORGED: Final = "198.51.100.66"


def section(title: str, page: str = REFERENCE) -> str:
    """The text below a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n", page, re.MULTILINE)
    assert found, title
    return re.split(rf"^#{{1,{len(found[1])}}} ", page[found.end() :], flags=re.MULTILINE)[0]


def rows(title: str, page: str = REFERENCE) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    lines = re.findall(r"^\| (.+) \|$", section(title, page), re.MULTILINE)
    return [line.split(" | ") for line in lines[1:]]


def coded(title: str) -> list[str]:
    """The code words in the first column of a table."""
    return [row[0].strip("`") for row in rows(title)]


def code_words(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


# --- the reference ---

OPTIONS: Final = inspect.signature(ClientIPResolver).parameters


def test_every_option_has_its_heading() -> None:
    told = re.findall(r"^### `(\w+)`$", section("`ClientIPResolver`"), re.MULTILINE)
    assert sorted(told) == sorted(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_option_says_its_default(name: str) -> None:
    found = re.match(r"Default: (?:`([^`]+)`|(\w+))", section(f"`{name}`"))
    assert found
    said = "()" if found[2] == "empty" else found[1] or found[2]
    assert ast.literal_eval(said) == OPTIONS[name].default


@pytest.mark.parametrize("name", [*NAMES, *EVERYONE, *PRIVATE, "cloudflare", "unix"])
def test_every_name_for_networks_is_told(name: str) -> None:
    text = section("`trusted_proxies`")
    told = code_words(text) | set(re.findall(r"[\w:./]+", text))
    assert name.removesuffix("/128") in told


@pytest.mark.parametrize(("title", "names"), [("header", OWN_MODE), ("edge_overwrites", PASSED_ON)])
def test_refused_headers_are_told(title: str, names: set[str]) -> None:
    told = {word.lower() for word in code_words(section(f"`{title}`"))}
    assert names <= told


def test_every_mode_has_its_heading() -> None:
    told = re.findall(r"^### Mode `([\w-]+)`$", section("Modes"), re.MULTILINE)
    assert sorted(told) == sorted(MODES)


def test_every_reason_has_its_row_in_the_words_of_the_trace() -> None:
    told = {row[0].strip("`"): row[2] for row in rows("Reasons")}
    assert told == MEANING


def strings(module: ModuleType, node_type: type[ast.AST]) -> list[list[str]]:
    """The texts that stand as arguments of a call, or are yielded, in a module."""
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, node_type):
            parts = node.args if isinstance(node, ast.Call) else [getattr(node, "value", None)]
            values = [part.value for part in parts if isinstance(part, ast.Constant)]
            found.append([value for value in values if isinstance(value, str)])
    return found


def test_every_flag_has_its_row() -> None:
    yielded = {text for texts in strings(flags, ast.Yield) for text in texts}
    assert "peer-rewritten" in yielded
    assert set(coded("Flags")) == yielded
    assert len(coded("Flags")) == len(yielded)


def test_every_finding_has_its_row_with_its_level() -> None:
    levels = get_args(check.Finding.__annotations__["level"]) or ("note", "warning", "danger")
    calls = [texts for texts in strings(check, ast.Call) if texts and texts[0] in levels]
    assert len(calls) == 20
    assert {(row[0].strip("`"), row[1]) for row in rows("Findings")} == {
        (code, level) for level, code, *_ in calls
    }


def test_every_method_is_told() -> None:
    text = section("Methods")
    for name in (name for name in vars(ClientIPResolver) if not name.startswith("_")):
        assert f"`{name}" in text, name


def test_the_bounds_are_those_of_the_code() -> None:
    assert [row[1] for row in rows("Bounds")] == [
        str(bound)
        for bound in (MAX_SCAN, MAX_TRUSTED_HOPS, MAX_ELEMENT, MAX_PAIRS, MAX_LENGTH, MAX_TEXT)
    ]
    assert f"1 to {MAX_TRUSTED_HOPS}" in section("`hops`")
    assert f"at least {MIN_SECRET} characters" in section("`edge_secret`")
    assert f"{MAX_AGE_DAYS} days" in section("`cloudflare_ranges`")
    assert f"/{check.WIDE[4]}, or /{check.WIDE[6]} for IPv6" in section("Findings")
    assert all(network in section("Findings") for network in check.SHARED)


def test_what_strip_removes_is_told() -> None:
    found = re.search(r"<!-- removed by strip -->\n(.+)\.\n<!-- end -->", REFERENCE)
    assert found is not None
    assert found[1].split(", ") == [f"`{name}`" for name in sorted(FORWARDING)]


# --- the tutorial ---


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)


def run(code: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(code, "docs/client-ip.md", "exec"), names)  # noqa: S102 - the code is ours
    return names, capsys.readouterr().out


@pytest.mark.parametrize("at", [0, 1])
def test_what_a_block_prints_is_told(at: int, capsys: pytest.CaptureFixture[str]) -> None:
    printing = [code for code in blocks("python") if "print(" in code]
    assert len(printing) == 2
    _, printed = run(printing[at], capsys)
    assert printed in blocks("text")


def test_the_command_prints_what_is_told() -> None:
    (line,) = (text for text in blocks("sh") if text.startswith("gatehound ip explain"))
    header = "X-Forwarded-For: 203.0.113.7"
    words = line.replace(f'"{header}"', "HEADER").split()[2:]
    done = CliRunner().invoke(ip, [header if word == "HEADER" else word for word in words])
    assert done.exit_code == 0
    told = next(text for text in blocks("text") if text.startswith("The client is"))
    assert done.output.split() == told.split()


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_the_apps_answer_with_the_client(
    framework: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = (
        code
        for code in blocks("python")
        if f"from {framework} import" in code and "current_client_ip" in code
    )
    names, _ = run(code, capsys)
    headers = {"X-Forwarded-For": f"{FORGED}, 203.0.113.7"}
    if framework == "fastapi":
        client = TestClient(names["application"], client=("10.0.0.1", 50000))
        told = client.get("/", headers=headers).json()
    else:
        response = Client(names["app"]).get(
            "/", headers=headers, environ_base={"REMOTE_ADDR": "10.0.0.1"}
        )
        told = response.json
    assert told == {"client": "203.0.113.7"}


def test_the_servers_that_fold_are_named_on_the_page() -> None:
    text = section("Names with underscores", TUTORIAL)
    known = {"wsgiserver": "wsgiref"}
    missing = [name for name in check.FOLDING if known.get(name, name) not in text]
    assert missing == []


# --- the providers ---


def test_page_says_what_the_presets_say() -> None:
    assert PAGE.committed() == PAGE.make(), "run tests/clientip/providers_page.py"


def test_page_shows_no_raw_markup() -> None:
    """A `<` outside of code marks is markup to a reader of the page, and disappears."""
    prose = re.sub(r"```.*?```|`[^`]*`|<https://[^>]+>|<!--.*?-->", "", PROVIDERS, flags=re.DOTALL)
    assert not re.findall(r"[<>]|'\w+'", prose)


@pytest.mark.parametrize("name", PRESETS)
def test_what_the_page_asks_for_is_what_is_needed(name: str) -> None:
    """Each option of the table is needed, and with all of them nothing is left to say."""
    given = options(name)
    codes = {one.code for one in resolver(name).check()}
    assert codes <= ({"hops-counted"} if PRESETS[name].hops else set())
    for option in given:
        fewer = {one: value for one, value in given.items() if one != option}
        if option == "edge_secret":
            found = ClientIPResolver(mode=name, **fewer).check()
            assert "edge-shared" in {one.code for one in found}
        else:
            with pytest.raises(SettingsError, match=f"{option}:"):
                ClientIPResolver(mode=name, **fewer)


def test_secrets_of_the_page_belong_to_presets_that_share() -> None:
    assert all(PRESETS[name].shared for name in SECRET)


def test_seventeen_presets() -> None:
    """The tutorial says the number in a word."""
    assert len(PRESETS) == 17
    assert "what seventeen document" in TUTORIAL
