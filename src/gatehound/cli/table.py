"""Tables for people. Rich draws them, and is loaded when one is drawn.

Every text goes through `printable` and into a `Text`: rich is given no markup to interpret, and
no control character. Times are spans ago in tables, and UTC where they are exact.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from gatehound._text import printable
from gatehound.cli.span import age

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from gatehound.model import Session

WIDE: Final = 118
"""From so many columns on a session takes one line; below that it takes two."""

NARROW: Final = 72
"""Below that a session takes four lines."""

NAME: Final = 20
"""What a user's name may take of 80 columns; a longer one goes on below."""

UNBOUND: Final = 4096
"""Of what is no terminal: one session a line, whole, for `grep` and its like."""


def tell_sessions(sessions: Collection[Session], now: float) -> None:
    """Print a table of sessions; what is no terminal gets one line for each."""
    out = _console()
    draw = _wide if out.width >= WIDE else _narrow if out.width >= NARROW else _slim
    _print(out, draw(sessions, now))


def tell_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, a line each; one without a name goes on with the one before."""
    table = _table()
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(_text(name, "bold"), _text(value))
    _print(_console(), table)


def exact(at: float) -> str:
    """Write a moment for people, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def named(session: Session) -> str:
    """Write whose a session is."""
    if not session.user_id:
        return "(a visitor)"
    return f"{session.user_id} ({session.user_name})" if session.user_name else session.user_id


def _console() -> Console:
    """Make what draws on standard output."""
    from rich.console import Console

    is_bound = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(markup=False, highlight=False, emoji=False, width=None if is_bound else UNBOUND)


def _print(out: Console, table: Table) -> None:
    """Print a table without the blanks that fill its lines up."""
    with out.capture() as drawn:
        out.print(table)
    click.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def _wide(sessions: Iterable[Session], now: float) -> Table:
    table = _table()
    for title in ("SESSION", "USER", "DEVICE", "ADDRESS", "PLACE", "CREATED", "SEEN", "FLAGGED"):
        is_free = title in ("USER", "DEVICE", "PLACE")
        table.add_column(title, overflow="fold", no_wrap=not is_free)
    for one in sessions:
        table.add_row(
            _text(one.public_id),
            _text(named(one)),
            _text(one.device),
            _text(_address(one)),
            _text(_place(one)),
            _text(age(now - one.created)),
            _text(age(now - one.last_seen)),
            _flag(one),
        )
    return table


def _narrow(sessions: Iterable[Session], now: float) -> Table:
    table = _table()
    table.add_column("SESSION", no_wrap=True)
    table.add_column("USER", overflow="fold", max_width=NAME)
    table.add_column("DEVICE AND PLACE", overflow="fold")
    table.add_column("CREATED", no_wrap=True)
    table.add_column("SEEN", no_wrap=True)
    for one in sessions:
        where = ", ".join(part for part in (_address(one), _place(one)) if part)
        table.add_row(
            _stacked(_text(one.public_id), _flag(one)),
            _text(named(one)),
            _stacked(_text(one.device), _text(where)),
            _text(age(now - one.created)),
            _text(age(now - one.last_seen)),
        )
    return table


def _slim(sessions: Iterable[Session], now: float) -> Table:
    table = _table()
    table.add_column("SESSION", no_wrap=True)
    table.add_column("USER, DEVICE AND PLACE", overflow="fold")
    for one in sessions:
        where = ", ".join(part for part in (_address(one), _place(one)) if part)
        times = f"created {age(now - one.created)} ago, seen {age(now - one.last_seen)} ago"
        about = (named(one), one.device, where, times)
        table.add_row(_stacked(_text(one.public_id), _flag(one)), _stacked(*map(_text, about)))
    return table


def _table() -> Table:
    from rich.table import Table

    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(printable(text), style=style)


def _stacked(*texts: Text) -> Text:
    from rich.text import Text

    return Text("\n").join(text for text in texts if text.plain)


def _flag(session: Session) -> Text:
    return _text("flagged", "bold red") if session.flagged else _text("")


def _address(session: Session) -> str:
    return "" if session.address is None else str(session.address)


def _place(session: Session) -> str:
    return session.place or session.country
