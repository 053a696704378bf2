"""docs/catalogue.md says of each row what its story measured, and names what is not seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from catalogue_run import NOT_SEEN, ROWS, Outcome, Row
from test_catalogue_rows import number

PAGE = (Path(__file__).parents[2] / "docs/catalogue.md").read_text(encoding="utf-8")
TABLE = re.findall(r"^\| ([NA]\d+) \| (.+) \|$", PAGE, re.MULTILINE)
CELLS = {name: rest.split(" | ") for name, rest in TABLE}


def test_the_page_has_every_row_once_and_in_order() -> None:
    wanted = [f"N{n}" for n in range(1, 56)] + [f"A{n}" for n in range(1, 33)]
    assert [name for name, _ in TABLE] == wanted
    assert {len(cells) for name, cells in CELLS.items() if name[0] == "N"} == {3}
    assert {len(cells) for name, cells in CELLS.items() if name[0] == "A"} == {4}


@pytest.mark.parametrize("row", ROWS, ids=number)
def test_the_page_says_what_was_measured(measure: Callable[..., Outcome], row: Row) -> None:
    said = CELLS[row.number][1 : 1 + len(row.modes)]
    assert said == [measure(row, mode=mode).text for mode in row.modes]


def test_what_is_not_seen_has_its_limit_on_the_page() -> None:
    text = PAGE.partition("\n## Not seen\n")[2]
    named = set(re.findall(r"\b[NA]\d+\b", text))
    assert {row.number for row in ROWS if row.word == NOT_SEEN} <= named
    linked = {name for name, cells in CELLS.items() if "(#not-seen)" in cells[-1]}
    assert linked <= named
