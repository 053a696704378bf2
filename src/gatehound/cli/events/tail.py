"""`gatehound events tail`: the latest events, and those that come."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import click

from gatehound._text import printable
from gatehound.cli.events.line import in_words
from gatehound.cli.filters import EventFilter, takes_events
from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import Unable, fold, tell_aside
from gatehound.errors import StoreError

if TYPE_CHECKING:
    from gatehound.admin import SyncAdmin
    from gatehound.model import Event

PAGE = 1000


@click.command(cls=GuardCommand)
@takes_events
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, 100_000),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the past to show.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="With --follow: how long to wait before the store is asked again.",
)
@takes_settings
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def tail(
    wanted: EventFilter, follow: bool, lines: int, interval: float, source: Source, as_json: bool
) -> None:
    """Show the latest events, the newest last.

    Exits with 0, 1 where nothing matches, 2 where something given is wrong, and 3 where the store
    does not answer. With --follow it goes on through an outage, and Ctrl-C ends it with 130.
    """
    if follow and wanted.until is not None:
        raise Unable("--until given beside --follow; leave one of them out")
    with opened(source) as guard:
        admin = guard.sync
        # Where to go on is asked for first: what comes in between is shown once, by its id.
        place = admin.tail().place if follow else ""
        past = _latest(admin, wanted, lines)
        _tell(past, as_json=as_json)
        if not past and not follow:
            tell_aside("No event matches.")
        if follow:
            _follow(admin, wanted, place, {event.id for event in past}, interval, as_json)
    raise SystemExit(0 if past else 1)


def _latest(admin: SyncAdmin, wanted: EventFilter, count: int) -> list[Event]:
    """Return the newest events that match, the oldest of them first."""
    found: list[Event] = []
    cursor = ""
    while len(found) < count:
        room = min(count - len(found), PAGE)
        page = admin.events(**wanted.conditions(), cursor=cursor, limit=room)
        found.extend(page.events)
        cursor = page.cursor
        if not cursor:
            break
    return found[::-1]


def _follow(
    admin: SyncAdmin,
    wanted: EventFilter,
    place: str,
    shown: Collection[str],
    interval: float,
    as_json: bool,
) -> None:
    is_down = False
    while True:
        try:
            came = admin.tail(place)
        except StoreError as error:
            if not is_down:
                tell_aside(f"The store does not answer: {error}; it is asked again.")
            is_down = True
            time.sleep(interval)
            continue
        if is_down:
            tell_aside("The store answers again.")
        is_down, place = False, came.place
        fresh = [one for one in came.events if one.id not in shown and wanted.admits(one)]
        _tell(fresh, as_json=as_json)
        if not came.more:
            time.sleep(interval)


def _tell(events: Iterable[Event], *, as_json: bool) -> None:
    """Print events, each on a line of its own; a terminal gets longer ones folded."""
    from gatehound.exporting import as_line

    for event in events:
        if as_json:
            click.echo(as_line(event))
        elif sys.stdout.isatty():
            click.echo(fold(in_words(event)))
        else:
            click.echo(printable(in_words(event)))
