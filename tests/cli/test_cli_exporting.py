"""Events for other programs: what they hold, and that nothing in them bites who opens them."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound import Event
from gatehound.exporting import COLUMNS, FIELDS, as_line, csv_rows, harmless

FULL = Event(
    "session_flagged",
    "ann",
    "0011223344556677",
    "It moved.",
    "203.0.113.7",
    {"device": "Chrome", "score": 4.5, "is_new": True, "place": None},
    "both",
    1_767_225_600.1239,
    "42",
)
WRITTEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # what stores can hold
FORMULA = st.builds(
    str.__add__,
    st.sampled_from(["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"]),
    WRITTEN,
)
EVENTS = st.builds(
    Event,
    name=st.just("login_failed"),
    user_id=st.none() | WRITTEN | FORMULA,
    public_id=st.none() | st.just("0011223344556677"),
    reason=WRITTEN | FORMULA,
    address=st.sampled_from(["", "203.0.113.7", "2001:db8::7"]),
    detail=st.dictionaries(WRITTEN | FORMULA, WRITTEN | FORMULA | st.integers(), max_size=2),
    at=st.floats(0, 4e9),
    id=st.just("7"),
)


SEPARATED = st.lists(
    st.tuples(
        st.sampled_from([*";,\tx\n", ""]),
        st.sampled_from(["", '"', " ", '""', ' "']),
        st.sampled_from([*"=+-@'x1\\", "\uff1d", "\ufe63"]),
    ).map("".join),
    max_size=4,
).map("".join)
HOSTILE = st.builds(
    Event,
    name=st.just("login_failed"),
    user_id=SEPARATED,
    reason=SEPARATED,
    address=SEPARATED,
    detail=st.dictionaries(SEPARATED, SEPARATED | st.integers(), max_size=2),
    at=st.floats(0, 4e9),
    id=st.just("7"),
)


def read(rows: list[str], delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO("".join(rows), newline=""), delimiter=delimiter))


def test_a_line_holds_every_field() -> None:
    assert as_line(FULL) == (
        '{"id":"42","at":1767225600.124,"name":"session_flagged","user_id":"ann",'
        '"public_id":"0011223344556677","address":"203.0.113.7","reason":"It moved.",'
        '"notify":"both","detail":{"device":"Chrome","score":4.5,"is_new":true,"place":null}}'
    )
    assert tuple(json.loads(as_line(Event("store_up")))) == FIELDS
    assert json.loads(as_line(Event("store_up")))["user_id"] is None


def test_rows_hold_every_field() -> None:
    head, row = read(list(csv_rows([FULL])))
    assert tuple(head) == COLUMNS
    assert row == [
        "42",
        "2026-01-01T00:00:00.124Z",
        "session_flagged",
        "ann",
        "0011223344556677",
        "203.0.113.7",
        "It moved.",
        "both",
        '{"device": "Chrome", "score": 4.5, "is_new": true, "place": null}',
    ]


def test_rows_without_their_head_and_without_events() -> None:
    assert read(list(csv_rows([], header=True))) == [list(COLUMNS)]
    assert list(csv_rows([], header=False)) == []
    (row,) = read(list(csv_rows([Event("store_up", at=1.0)], header=False)))
    assert row == ["", "1970-01-01T00:00:01.000Z", "store_up", *[""] * 6]


@pytest.mark.parametrize(
    ("given_", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\\tx"),
        ("\rx", "'\\rx"),
        ("\n=1", "'\\n=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
        (" =1", " =1"),
        ("", ""),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202etxt", "\\u202etxt"),
        ('say "x", y; z', 'say "x", y; z'),
        ("x;=1+cmd|' /C calc'!A0", "x;'=1+cmd|' /C calc'!A0"),
        ("x,=1", "x,'=1"),
        ('x;"=1"', 'x;"\'=1"'),
        ('x; " =1', "x; \" '=1"),
        (";;+1,-1", ";;'+1,'-1"),
        ("x;\uff20A1", "x;'\uff20A1"),
        ("x\t=1", "x\\t=1"),
        ("x;'=1; a=1;", "x;'=1; a=1;"),
        ("Zoë 京", "Zoë 京"),
    ],
)
def test_cells_that_would_be_formulas_are_disarmed(given_: str, cell: str) -> None:
    assert harmless(given_) == cell


@pytest.mark.slow
@given(st.lists(EVENTS, max_size=3))
def test_no_row_holds_a_formula_a_control_or_a_second_line(events: list[Event]) -> None:
    rows = list(csv_rows(events, header=False))
    assert len(rows) == len(events)
    for row, cells in zip(rows, read(rows), strict=True):
        assert len(cells) == len(COLUMNS)
        assert row.endswith("\r\n")
        assert row[:-2].isprintable()
        for cell in cells:
            assert unicodedata.normalize("NFKC", cell[:1]) not in {"=", "+", "-", "@"}


@pytest.mark.slow
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@given(st.lists(HOSTILE, max_size=3))
def test_no_separator_makes_a_formula_of_a_cell(delimiter: str, events: list[Event]) -> None:
    """Oracle: Python's csv, which as Excel takes quotes for such at the begin of a cell alone."""
    for cells in read(list(csv_rows(events)), delimiter):
        for cell in cells:
            begin = cell.lstrip("\r\n")[:1]  # a quote left open goes on into the next line
            assert unicodedata.normalize("NFKC", begin)[:1] not in {*"=+-@\t"}


@pytest.mark.slow
@given(WRITTEN | FORMULA | SEPARATED)
def test_what_is_harmless_already_stays_as_it_is(text: str) -> None:
    once = harmless(text)
    assert harmless(once) == once
    first = unicodedata.normalize("NFKC", text[:1])[:1]
    if text.isprintable() and not set(text) & {*";,"} and first not in tuple("=+-@"):
        assert once == text


@pytest.mark.slow
@given(EVENTS)
def test_a_line_is_one_line_of_ascii_and_says_what_was_there(event: Event) -> None:
    line = as_line(event)
    assert line.isascii()
    assert line.isprintable()
    tree = json.loads(line)
    assert (tree["user_id"], tree["reason"]) == (event.user_id, event.reason)
    assert tree["detail"] == event.detail
    assert tree["at"] == round(event.at, 3)
