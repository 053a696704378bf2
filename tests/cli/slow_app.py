"""A guard whose store gives one session a page and then waits, so that a person can press Ctrl-C.

It is imported by commands that run on a terminal, with the settings of the environment.
"""

from __future__ import annotations

import sys
import time

from msgspec.structs import replace

from gatehound import Guard, Settings
from gatehound.stores.answer import Page, Query
from gatehound.stores.sqlite import SQLiteStore

SETTINGS = Settings.from_env()
WAITS_AFTER = 2  # pages
LONG = 60.0  # seconds; nobody waits so long, because Ctrl-C comes


class Slow(SQLiteStore):
    """Answers two pages at once, and the third after a minute."""

    pages = 0

    async def search(self, query: Query) -> Page:
        """Return one session; the third time, wait first."""
        if self.pages == WAITS_AFTER:
            print("(it waits)", file=sys.stderr, flush=True)  # noqa: T201 - for the test
            time.sleep(LONG)  # noqa: ASYNC251 - there is no loop, as under WSGI
        self.pages += 1
        return await super().search(replace(query, limit=1))


guard = Guard(
    SETTINGS, sinks=(), store=Slow(SETTINGS.store_url.removeprefix("sqlite:///"), suspends=False)
)
