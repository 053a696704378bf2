"""The house rules that a linter does not know."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import gatehound

ROOT = Path(__file__).parent.parent
SOURCE = Path(gatehound.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

HEAVY = {"asyncio", "geoip2", "jinja2", "msgspec", "redis", "sqlite3", "starlette", "user_agents"}
# Words that say nothing of what a thing is; the glossary has better ones.
VAGUE = (
    "Backend",
    "Context",
    "Engine",
    "Handler",
    "Helper",
    "Manager",
    "Provider",
    "Service",
    "Util",
)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def trees() -> dict[Path, ast.Module]:
    return {path: tree_of(path) for path in FILES}


def loaded_by(statement: str) -> set[str]:
    """What a fresh interpreter loads for a statement, beyond what it starts with."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import gatehound", {"gatehound"}),
        ("import gatehound.clientip", {"gatehound", "gatehound.clientip", "gatehound.errors"}),
    ],
)
def test_import_is_light(statement: str, allowed: set[str]) -> None:
    loaded = loaded_by(statement)
    assert not loaded & HEAVY
    ours = {name for name in loaded if name.startswith("gatehound")}
    assert {".".join(name.split(".")[:2]) for name in ours} == allowed


def test_import_of_the_core_leaves_stores_and_web_alone() -> None:
    loaded = loaded_by("from gatehound import Guard, Settings, Visit")
    assert not loaded & (HEAVY - {"msgspec"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(tree_of(path))


def test_no_assert_outside_the_test_kit() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path, tree in trees().items()
        if "testing" not in path.parts
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_nothing_is_pickled() -> None:
    for path, tree in trees().items():
        for node in ast.walk(tree):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {"pickle", "marshal", "shelve"} & set(names), path


def test_no_vague_nouns() -> None:
    classes = [
        node.name
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    modules = [path.stem.title() for path in FILES]
    assert [name for name in (*classes, *modules) if name.rstrip("s").endswith(VAGUE)] == []


def glossary() -> set[str]:
    """The words that have a line, written as a class would be."""
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| ([A-Z][\w -]+) \|", text, re.MULTILINE)
    return {re.sub(r"\W", "", word.title()).lower().rstrip("s") for word in words}


def test_every_noun_of_the_core_is_in_the_glossary() -> None:
    nouns = [
        node.name
        for path in SOURCE.glob("[!_]*.py")
        if path.name != "errors.py"  # they are named by what happened, in a tree of their own
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    words = tuple(glossary())
    assert len(words) > 40
    assert len(nouns) > 30
    # SyncVisit is a visit, EventPage a page: what stands before a word narrows it.
    assert [noun for noun in nouns if not noun.lower().rstrip("s").endswith(words)] == []


def test_glossary_is_sorted_and_says_each_word_once() -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    words = [word.lower() for word in re.findall(r"^\| ([A-Z][\w -]+) \|", text, re.MULTILINE)]
    assert words == sorted(set(words))


def test_every_ignored_rule_has_its_reason() -> None:
    bare = re.compile(r"#\s*(?:noqa|type: ignore|pyright: ignore)\b(?!.*( - |  ?# ).+)")
    folders = ("src", "tests", "examples", "benchmarks")
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []
