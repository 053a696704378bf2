"""The activity log: one page, newest first, and all that matches as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from gatehound import exporting
from gatehound.errors import StoreError
from gatehound.events import NAMES, RESERVED, SINKS_ONLY
from gatehound.guard import Guard
from gatehound.model import Event
from gatehound.stores.answer import EventPage
from gatehound.web.admin.acting import note, readable
from gatehound.web.admin.filters import SPANS, EventFilter
from gatehound.web.admin.naming import people_in
from gatehound.web.asking import Ask
from gatehound.web.demand import HEADERS, TITLES
from gatehound.web.reply import Reply
from gatehound.web.serving import Served, to

PAGE: Final = 50
EXPORT_PAGE: Final = 500  # events that are read at once
BROKE_OFF: Final = "the export broke off here: what is older is missing"

Writer = Callable[[Iterable[Event]], str]


async def listed(pages: Served, ask: Ask) -> Reply:
    """Show what happened, newest first."""
    guard, wanted = ask.visit._guard, EventFilter.read(ask.parameters)
    events: tuple[Event, ...] = ()
    cursor = ""
    if not wanted.problems:
        now = await guard.store.ping() / 1000
        page = await guard.events(
            **wanted.conditions(now), cursor=ask.parameters.get("cursor", ""), limit=PAGE
        )
        events, cursor = page.events, page.cursor
    return pages.page(
        ask,
        "admin/events.html",
        400 if wanted.problems else 200,
        events=events,
        wanted=wanted,
        people=people_in(guard, events),
        names=[name for name in NAMES if name not in SINKS_ONLY | RESERVED],
        is_sinks_only=wanted.name in SINKS_ONLY,
        spans=SPANS,
        is_first="cursor" not in ask.parameters,
        more=f"events?{urlencode({**wanted.given, 'cursor': cursor})}" if cursor else "",
        days=guard.settings.privacy.event_retention / 86400,
    )


async def as_lines(pages: Served, ask: Ask) -> Reply:
    """Send all that matches as JSON lines."""

    def written(events: Iterable[Event]) -> str:
        return "".join(f"{exporting.as_line(event)}\n" for event in events)

    return await _exported(pages, ask, "jsonl", "application/x-ndjson", "", written)


async def as_table(pages: Served, ask: Ask) -> Reply:
    """Send all that matches as CSV, with cells that no spreadsheet takes for a formula."""

    def written(events: Iterable[Event]) -> str:
        return "".join(exporting.csv_rows(events, header=False))

    head = "".join(exporting.csv_rows([]))
    return await _exported(pages, ask, "csv", "text/csv; charset=utf-8", head, written)


async def _exported(
    pages: Served, ask: Ask, suffix: str, kind: str, head: str, written: Writer
) -> Reply:
    wanted = EventFilter.read(ask.parameters)
    if wanted.problems:
        return to(f"events?{wanted.query}")  # which names them
    name = ("Content-Disposition", f'attachment; filename="events.{suffix}"')
    headers = (("Content-Type", kind), name, *HEADERS)
    if ask.request.method == "HEAD":
        return Reply(200, TITLES[200], headers, b"")
    guard = ask.visit._guard
    now = await guard.store.ping() / 1000
    conditions = wanted.conditions(now)
    # Before the status is sent, so that a store that is down is no file.
    first = await guard.events(**conditions, limit=EXPORT_PAGE)
    await note(ask, "exported events", {"filter": readable(wanted.given)})
    found = _pages(guard, conditions, first, now)
    return Reply(200, TITLES[200], headers, b"", _parts(head, found, written))


async def _parts(
    head: str, pages: AsyncIterator[tuple[Event, ...]], written: Writer
) -> AsyncIterator[bytes]:
    """Yield the file, a page of the log at a time."""
    if head:
        yield head.encode()
    async for events in pages:
        if events:
            yield written(events).encode("utf-8", "replace")


async def _pages(
    guard: Guard, conditions: Mapping[str, Any], page: EventPage, now: float
) -> AsyncIterator[tuple[Event, ...]]:
    """Yield what matches, newest first; where the store fails, the last event says so.

    An exception here would be a line in the log of the server, and a file that looks whole.
    """
    while True:
        yield page.events
        if not page.cursor:
            return
        try:
            page = await guard.events(**conditions, cursor=page.cursor, limit=EXPORT_PAGE)
        except StoreError as error:
            guard.note_outage(error)
            yield (Event("store_down", at=now, reason=BROKE_OFF),)
            return
