"""Copy one store to another, of any kinds, so that nobody has to sign in again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from gatehound.errors import UsageError
from gatehound.stores.base import Store
from gatehound.stores.rule import HOUR

PAGE: Final = 100  # users; with app data at its bounds a page is what memory has to hold


class Copied(msgspec.Struct, frozen=True):
    """How many users and sessions were copied; who changed place meanwhile may count twice.

    Users without a session count too: disabled ones, and those of whom a tombstone is left.
    """

    users: int
    sessions: int


async def copy_store(
    source: Store,
    target: Store,
    *,
    limit: int = PAGE,
    progress: Callable[[int], object] | None = None,
) -> Copied:
    """Put every user of `source` in the place of what `target` stores of them.

    Both have to be prepared with the same Meta, and nobody should be using `target`: what
    happened there is replaced. `limit` is about how many users are on the way at once;
    `progress` is told how many users were copied so far, after each page. StoreError leaves a
    part copied: call it again. UsageError where both are one store: a session that ends between
    its reading and its writing would come back.
    """
    await _tell_apart(source, target)
    users = sessions = 0
    cursor, is_done = "", False
    while not is_done:
        page = await source.dump(cursor, limit=limit)
        await target.restore(page)
        users += len(page.users)
        sessions += sum(len(user.sessions) for user in page.users)
        cursor, is_done = page.cursor, not page.cursor
        if progress is not None:
            progress(users)
    return Copied(users, sessions)


async def _tell_apart(source: Store, target: Store) -> None:
    """Raise UsageError for two ways to one place: a URL has many spellings, a link many names."""
    kind, mark = "copying", secrets.token_hex(8)
    await source.count(kind, mark, window=HOUR)
    if mark in await target.counts(kind, window=HOUR):
        raise UsageError(
            "this would copy a store into itself: name another file, server or database"
        )
