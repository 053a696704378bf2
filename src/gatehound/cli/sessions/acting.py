"""Who ends sessions by a command, and the event that says so."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from gatehound._text import printable

if TYPE_CHECKING:
    from gatehound import Guard
    from gatehound.cli.sessions.scan import Run


class Act:
    """What one command does; `is_done` is False where it only counts, and then nothing is told.

    `by` goes into the events of the sessions themselves.
    """

    def __init__(self, guard: Guard, *, is_done: bool) -> None:
        self._guard = guard
        self._operator = operator()
        self.is_done = is_done
        self.by = f"{self._operator} (command line)"  # no user of the app has to be called so

    def done(self, what: str, how: Callable[[], Run], **detail: str) -> Run:
        """Do it, and leave `admin_acted` where something ended, or may have."""
        with self._watched(what, detail):
            run = how()
        if run.count or not run.is_over:
            stopped = "" if run.is_over else "; it was stopped, and is incomplete"
            self._note(f"{what}{stopped}", {**detail, "count": run.count})
        return run

    @contextlib.contextmanager
    def noted(self, what: str, **detail: str) -> Iterator[None]:
        """Leave `admin_acted` when it is done, and where it breaks off."""
        with self._watched(what, detail):
            yield
        self._note(what, detail)

    @contextlib.contextmanager
    def _watched(self, what: str, detail: Mapping[str, str]) -> Iterator[None]:
        try:
            yield
        except BaseException:  # Ctrl-C, too
            self._note(f"{what}; it broke off, and may be incomplete", detail)
            raise

    def _note(self, what: str, detail: Mapping[str, str | int]) -> None:
        if not self.is_done:
            return
        from gatehound import Event
        from gatehound._sync import run_sync

        event = Event("admin_acted", reason=what, detail={"by": self._operator, **detail})
        run_sync(self._guard.blocking().tell(event))


def operator() -> str:
    """Return the name of whoever runs the command, "unknown" where the system has none."""
    try:
        return printable(getpass.getuser())
    except (OSError, KeyError, ImportError):  # a container may run as a number without a name
        return "unknown"
