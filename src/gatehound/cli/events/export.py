"""`gatehound events export`: the log of the store for other programs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gatehound.cli import STOPPED
from gatehound.cli.filters import EventFilter, takes_events
from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import Unable, tell_aside
from gatehound.cli.progress import Advance, ignore, progress
from gatehound.cli.target import named, takes_target, writing

if TYPE_CHECKING:
    from gatehound.admin import SyncAdmin
    from gatehound.model import Event

PAGE: Final = 1000


@click.command(cls=GuardCommand)
@takes_events
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="One JSON object a line, or rows for spreadsheets.",
)
@takes_target
@click.option("--cursor", default="", metavar="C", help="Go on where a run was stopped.")
@takes_settings
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
def export(
    wanted: EventFilter,
    form: str,
    output: Path | None,
    cursor: str,
    source: Source,
    as_json: bool,
) -> None:
    """Write events, newest first, for other programs.

    In a CSV file what looks like a formula gets a ' before it, and controls are escaped; JSON
    lines hold exact values. Exits with 0, 1 where nothing matches, 2 where something given is
    wrong, 3 where the store does not answer, and 130 where it was stopped.
    """
    if as_json and form == "csv":
        raise Unable("--json and --format csv given; leave one of them out")
    output = named(output)
    with opened(source) as guard, writing(output) as file, _shown(output) as advance:
        pages = _Pages(guard.sync, wanted, cursor, advance)
        try:
            for line in _lines(pages, form, header=not cursor):
                file.write(line)
            file.flush()
        except KeyboardInterrupt:
            pages.tell_stop(output)
            raise SystemExit(STOPPED) from None
    raise SystemExit(0 if pages.count else 1)


class _Pages:
    """The events of a store, a page at a time, and where the last whole page ended."""

    def __init__(
        self, admin: SyncAdmin, wanted: EventFilter, cursor: str, advance: Advance
    ) -> None:
        self._admin = admin
        self._wanted = wanted
        self._advance = advance
        self.cursor = cursor
        self.count = 0

    def __iter__(self) -> Iterator[Event]:
        while True:
            page = self._admin.events(**self._wanted.conditions(), cursor=self.cursor, limit=PAGE)
            yield from page.events
            self.cursor = page.cursor
            self.count += len(page.events)
            self._advance(len(page.events))
            if not page.cursor:
                return

    def tell_stop(self, output: Path | None) -> None:
        """Say what there is of it, and how to go on."""
        if output is not None:
            tell_aside(f"Stopped: {str(output)!r} was not written.")
            return
        again = f"add --cursor {self.cursor}" if self.cursor else "repeat the command"
        tell_aside(f"Stopped after {self.count:,} events; to go on, {again}.")


def _lines(events: Iterable[Event], form: str, *, header: bool) -> Iterator[str]:
    from gatehound.exporting import as_line, csv_rows

    if form == "csv":
        yield from csv_rows(events, header=header)
        return
    for event in events:
        yield f"{as_line(event)}\n"


def _shown(output: Path | None) -> contextlib.AbstractContextManager[Advance]:
    """Show how far it is, unless the events themselves go to the same terminal."""
    if output is None and sys.stdout.isatty():
        return contextlib.nullcontext(ignore)
    return progress("Events")
