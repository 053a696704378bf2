"""Reasons are joined by "; " in events, and can be split there again: none holds it itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.detection import detectors
from gatehound.judging import _reasons
from gatehound.model import Event, Signal
from gatehound.notify.fact import reasons_of

FILES = sorted(Path(detectors.__file__).parent.glob("[a-z]*.py"))


def texts_of(source: str) -> Iterator[str]:
    """Yield each text that code makes, but for docstrings and what is raised."""
    tree = ast.parse(source)
    left_out: set[ast.AST] = set()
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or isinstance(node, ast.Raise):
            left_out |= set(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in left_out:
            yield node.value


@pytest.mark.parametrize("file", [one for one in FILES if one.stem != "base"], ids=lambda f: f.stem)
def test_no_detector_says_two_things_in_one_reason(file: Path) -> None:
    found = list(texts_of(file.read_text()))
    assert found
    assert [text for text in found if ";" in text] == []


def test_a_text_with_a_semicolon_is_found() -> None:
    source = '"""A; docstring."""\nraise ValueError("a; b")\nx = f"{1}; {2}"'
    assert list(texts_of(source)) == ["; "]


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        (["New network, browser not seen before"], ["New network, browser not seen before"]),
        (["One; and more", "Two"], ["One, and more", "Two"]),  # of a detector of the app
        (["One", "Two", "One"], ["One", "Two"]),
        (["One", ""], ["One"]),
        ([], []),
    ],
)
def test_what_is_joined_is_split_again(reasons: list[str], told: list[str]) -> None:
    reason = _reasons(tuple(Signal("code", 1.0, one) for one in reasons))
    assert list(reasons_of(Event("session_flagged", reason=reason))) == told


WORDS = st.lists(st.sampled_from(["a", "b", ";", ", ", "; ", " "]), max_size=6).map("".join)


@given(st.lists(WORDS, max_size=4))
def test_never_more_reasons_than_signals(reasons: list[str]) -> None:
    joined = _reasons(tuple(Signal("code", 1.0, one) for one in reasons))
    told = reasons_of(Event("session_flagged", reason=joined))
    assert len(told) <= len({one for one in reasons if one})
    assert len(set(told)) == len(told)
