"""Go through a whole store, and say how far that came where it was stopped or broke off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gatehound.cli import STOPPED
from gatehound.cli.output import Silent, tell_aside
from gatehound.cli.progress import Stop, progress
from gatehound.errors import StoreError

if TYPE_CHECKING:
    from gatehound.admin import SyncAdmin
    from gatehound.model import Session

PAGE: Final = 1000  # the most that a store may be asked for at once
SLICE: Final = 100  # so many are ended between two looks at Ctrl-C: well below a second


@dataclass(slots=True)
class Run:
    """How far it came: `cursor` is where to go on, "" at the end of the store.

    `is_over` is False where Ctrl-C stopped it, or the store broke off, for `why`.
    """

    cursor: str
    count: int = 0
    looked_at: int = 0
    is_over: bool = False
    why: StoreError | None = None
    sessions: list[Session] = field(default_factory=list)

    @contextlib.contextmanager
    def until_stopped(self) -> Iterator[None]:
        """Keep what came so far, whatever stops it."""
        try:
            yield
        except KeyboardInterrupt:
            self.is_over = False
        except StoreError as error:
            self.why = error

    def note(self, cursor: str, count: int, looked_at: int) -> None:
        """Add one step."""
        self.cursor = cursor
        self.count += count
        self.looked_at += looked_at

    def finish(self) -> None:
        """Exit where it was stopped, and say how to go on; else exit by whether there was any."""
        if self.is_over:
            raise SystemExit(0 if self.count else 1)
        again = f"add --cursor {self.cursor}" if self.cursor else "repeat the command"
        told = f"{self.looked_at:,} sessions were looked at; to go on, {again}."
        if self.why is not None:
            raise Silent(f"the store does not answer: {self.why}; {told}")
        tell_aside(f"Stopped: {told}")
        raise SystemExit(STOPPED)


def look(admin: SyncAdmin, conditions: Mapping[str, Any], *, cursor: str, limit: int) -> Run:
    """Find sessions until there are `limit` of them, or no more."""
    run = Run(cursor)
    is_scan = conditions["user_id"] is None  # those of a user are found at once
    with run.until_stopped(), progress("Looking", admin.living, shown=is_scan) as advance:
        while not run.is_over:
            room = min(limit - len(run.sessions), PAGE)
            page = admin.search(**conditions, cursor=run.cursor, limit=room)
            run.sessions.extend(page.sessions)
            run.note(page.cursor, len(page.sessions), page.looked_at)
            run.is_over = not page.cursor or len(run.sessions) >= limit
            advance(page.looked_at)
    return run


def end_matching(
    admin: SyncAdmin, conditions: Mapping[str, Any], *, cursor: str, dry_run: bool, by: str
) -> Run:
    """End or count what matches, a slice at a time."""
    run, size = Run(cursor), PAGE if dry_run else SLICE
    what = "Counting" if dry_run else "Ending"
    with Stop() as stop, run.until_stopped(), progress(what, admin.living) as advance:
        while not (run.is_over or stop.wished):
            done = admin.terminate_where(
                **conditions, dry_run=dry_run, limit=size, cursor=run.cursor, by=by
            )
            run.note(done.cursor, done.count, done.looked_at)
            run.is_over = not done.cursor
            advance(done.looked_at)
    return run
