"""Write events for other programs: one JSON object a line, or the rows of a CSV file.

Belongs here: the two forms, their fields, and what keeps them harmless where people open them.
Does not: files and streams. Users and strangers write into events (a user name that was tried,
a path), so that no text of theirs may end a line, move a cursor, or become a formula.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from gatehound._text import printable
from gatehound.model import Event

FIELDS: Final = (
    "id",
    "at",
    "name",
    "user_id",
    "public_id",
    "address",
    "reason",
    "notify",
    "detail",
)
COLUMNS: Final = ("id", "time", *FIELDS[2:])

# OWASP, "CSV Injection": a cell that begins with one of these is a formula to a spreadsheet.
# Some take their full-width forms for the same, so that the normal form (NFKC) is compared.
_FORMULA: Final = frozenset("=+-@")
_BLANK: Final = frozenset("\t\r\n")
# Where the list separator of a system is no comma (a German Excel takes ";"), what follows one
# inside of a cell begins another, past a quote and blanks. A tab inside is an escape already.
_BEGINNING: Final = re.compile(r'(^|(?<=[;,])[" ]*)(.)')


def as_line(event: Event) -> str:
    """Write an event as one JSON object on one line, all ASCII, with every field of FIELDS.

    `at` is in seconds since 1970; `user_id` and `public_id` are null where nobody is known, and
    other texts "".
    """
    return json.dumps(tree_of(event), separators=(",", ":"))


def tree_of(event: Event) -> dict[str, Any]:
    """Return an event as JSON holds it."""
    tree: dict[str, Any] = {name: getattr(event, name) for name in FIELDS}
    return tree | {"at": round(event.at, 3), "detail": dict(event.detail)}


def csv_rows(events: Iterable[Event], *, header: bool = True) -> Iterator[str]:
    """Write events as rows of a CSV file (RFC 4180), each with its line end; the head first.

    `time` is in UTC (RFC 3339) and `detail` a JSON object. Every cell is quoted and harmless:
    see `harmless`.
    """
    if header:
        yield _row(COLUMNS)
    for event in events:
        yield _row(map(harmless, _cells(event)))


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula, and that stays on its line.

    What begins like a formula gets a ' before it, also behind a separator inside of the cell.
    Controls, and marks that turn the direction of text, are written as escapes.
    """
    shown = _BEGINNING.sub(_disarmed, printable(cell))
    return f"'{shown}" if cell[:1] in _BLANK else shown


def moment(at: float) -> str:
    """Write seconds since 1970 as RFC 3339 does, in UTC."""
    exact = datetime.fromtimestamp(round(at, 3), UTC)
    return exact.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _disarmed(found: re.Match[str]) -> str:
    before, first = found.groups()
    is_formula = unicodedata.normalize("NFKC", first)[:1] in _FORMULA
    return f"{before}'{first}" if is_formula else found[0]


def _cells(event: Event) -> Iterator[str]:
    yield event.id
    yield moment(event.at)
    for name in COLUMNS[2:-1]:
        yield getattr(event, name) or ""
    yield json.dumps(dict(event.detail)) if event.detail else ""


def _row(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow(cells)
    return text.getvalue()
