"""A part of a page of the docs that is made from data: where it stands, and how it is written.

What belongs here: what the generators (captures_page.py, peers_page.py, providers_page.py)
share. Each of them has one `Page`; run as a script, it writes its part, and a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

REFERENCE: Final = Path(__file__).parents[2] / "docs/reference"


class Page(NamedTuple):
    """A page, the mark before its made part, and what makes that part.

    What the data do not decide stands in the page, outside of the marks.
    """

    path: Path
    mark: str
    make: Callable[[], str]

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def halves(self) -> tuple[str, str, str]:
        """Return what stands before the made part, the part, and what stands behind it."""
        found = re.fullmatch(
            rf"(.*<!-- {re.escape(self.mark)} -->\n)(.*?)(\n<!-- end -->.*)", self.text(), re.DOTALL
        )
        if found is None:
            raise ValueError(f"{self.path.name} needs the marks: {self.mark}, and end")
        return found[1], found[2], found[3]

    def committed(self) -> str:
        """Return the made part as it stands in the page."""
        return self.halves()[1]

    def write(self) -> None:
        """Put the made part into the page."""
        before, _, behind = self.halves()
        self.path.write_text(before + self.make() + behind, encoding="utf-8")


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def grid(heads: Sequence[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Write a table, a line each."""
    return [row(heads), f"|{'---|' * len(heads)}", *map(row, rows)]
