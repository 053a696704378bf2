"""What admin code does to very many at once: end all that match, copy a store into another.

Loaded when it is asked for. Both go on for long, and so say how far they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from gatehound.errors import SettingsError, StoreMismatch, UsageError
from gatehound.listing import Bulk, found_by
from gatehound.stores import open_store, store_url_problem
from gatehound.stores.answer import Query

if TYPE_CHECKING:
    from gatehound.admin import Admin
    from gatehound.stores.copying import Copied

BATCH: Final = 500  # sessions that are read at once


def check(conditions: Collection[object], limit: int | None) -> None:
    """Refuse conditions that would end every session, and limits that are none."""
    # "" is what an empty form field sends: no condition, and never "every session".
    if all(condition is None or condition == "" for condition in conditions):
        raise UsageError(
            "terminate_where() without a condition would end every session: "
            "give one, or call terminate_everyone()"
        )
    if "" in conditions:
        raise UsageError("terminate_where() was given an empty condition: leave it out")
    if limit is not None and (isinstance(limit, bool) or limit < 1):
        raise UsageError(f"limit {limit!r} given; allowed is a whole number from 1, or None")


async def end_where(
    admin: Admin, query: Query, *, dry_run: bool, limit: int | None, keep: str, by: str = ""
) -> Bulk:
    """End or count what matches; see Admin.terminate_where."""
    count = looked_at = 0
    room = BATCH if limit is None else min(BATCH, limit)
    while True:
        page = await found_by(admin.store, replace(query, limit=room))
        for record in page.records:
            if record.public_id == keep:
                continue
            count += dry_run or await admin.terminate(record.user_id, record.public_id, by=by)
        looked_at += page.looked_at
        if not page.cursor or limit is not None:  # few may match in a page that read very many
            return Bulk(count, page.cursor, looked_at)
        query = replace(query, cursor=page.cursor)


async def copy_to(admin: Admin, store_url: str, progress: Callable[[int], object] | None) -> Copied:
    """Copy all users and sessions into another store; see Admin.copy_to."""
    from gatehound.stores.copying import copy_store

    problem = store_url_problem(store_url)
    if problem is None and store_url.startswith("memory:"):
        problem = "memory:// would be gone when the copy is done"
    if problem is not None:
        raise SettingsError(f"the store to copy to: {problem}")
    await admin.store.prepare(admin.meta)
    target = open_store(
        store_url,
        namespace=admin.settings.namespace,
        suspends=admin.store.suspends,
        event_retention=int(admin.settings.privacy.event_retention * 1000),
        write_version=admin.settings.store_options.write_version,
    )
    try:
        await target.prepare(admin.meta)
        return await copy_store(admin.store, target, progress=progress)
    except StoreMismatch as error:
        problems = [f"the store to copy to: {line}" for line in error.problems]
        raise StoreMismatch(problems) from error
    finally:
        await target.close()
