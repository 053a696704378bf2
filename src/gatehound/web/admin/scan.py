"""Look for sessions in slices: each request works for a moment, and says how far it came.

Redis has no index by address, country, flag or age, so that a search there reads all sessions, the
newest first. A slice stops where its page is full or its time is over; its cursor goes on. So a
scan of a million is many short requests, which whoever looks can stop at any of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gatehound.guard import Guard
from gatehound.model import Session
from gatehound.web.admin.filters import number

PAGE: Final = 50  # sessions of one page
BUDGET: Final = 1.5  # seconds; under the patience of a person, and of any proxy
# Sessions between two looks at the clock: to end one is a trip to the store, or a commit.
COUNTED_AT_ONCE: Final = 500
ENDED_AT_ONCE: Final = 50

Monotonic = Callable[[], float]


class Progress(msgspec.Struct, frozen=True):
    """How far a scan came: of `living` sessions `looked_at`, and `cursor` to go on, "" at the end.

    `count` is how many matched, or were ended, so far. `living` is 0 where all was found at once.
    """

    cursor: str = ""
    looked_at: int = 0
    count: int = 0
    living: int = 0


def so_far(given: Mapping[str, str]) -> Progress:
    """Read where a link or a form goes on; what cannot be read begins anew."""
    looked_at, count = number(given.get("looked", "")), number(given.get("count", ""))
    return Progress(given.get("cursor", ""), looked_at, count)


async def find(
    guard: Guard,
    conditions: Mapping[str, Any],
    before: Progress,
    *,
    monotonic: Monotonic = time.monotonic,
) -> tuple[list[Session], Progress]:
    """Return the next sessions that match, at most a page of them, newest first."""
    found: list[Session] = []
    looked_at, cursor, end = before.looked_at, before.cursor, monotonic() + BUDGET
    while True:
        page = await guard.search(**conditions, cursor=cursor, limit=PAGE - len(found))
        found += page.sessions
        looked_at, cursor = looked_at + page.looked_at, page.cursor
        if not cursor or len(found) >= PAGE or monotonic() >= end:
            break
    count = before.count + len(found)
    # Visitors are looked at and not shown, so that a list of all is none.
    is_scan = looked_at > count and any(value is not None for value in conditions.values())
    living = await guard.living() if is_scan else 0
    return found, Progress(cursor, looked_at, count, living)


async def end(
    guard: Guard,
    conditions: Mapping[str, Any],
    before: Progress,
    *,
    dry_run: bool,
    keep: str,
    by: str = "",
    monotonic: Monotonic = time.monotonic,
) -> Progress:
    """End sessions that match, or count them, until time is over or none is left."""
    progress, until = before, monotonic() + BUDGET
    while True:
        done = await guard.terminate_where(
            **conditions,
            dry_run=dry_run,
            limit=COUNTED_AT_ONCE if dry_run else ENDED_AT_ONCE,
            cursor=progress.cursor,
            keep=keep,
            by=by,
        )
        progress = Progress(
            done.cursor, progress.looked_at + done.looked_at, progress.count + done.count
        )
        if not done.cursor or monotonic() >= until:
            return msgspec.structs.replace(progress, living=await guard.living())
