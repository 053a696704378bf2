"""Stores with one planted defect each: what they tell of sessions that end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gatehound.model import Event
from gatehound.stores.answer import Answer, Created, Ends, Finished, NewSession, Refused, Revoked
from gatehound.stores.memory import MemoryStore


@contextmanager
def muted(store: MemoryStore) -> Iterator[None]:
    """Keep what ends within a `with` to itself."""
    log = store._table.ended
    before = (deque(log._sids, log._sids.maxlen), log._count)
    yield
    log._sids, log._count = before


class TellsNoEnds(MemoryStore):
    async def ends(self, place: str, *, wait: float) -> Ends:
        return Ends((), False, False, "0")


class TellsTheFirstEndAlone(MemoryStore):
    async def revoke(self, alias: bytes, **options: Any) -> Revoked:
        log = self._table.ended
        count = log._count
        revoked = await super().revoke(alias, **options)
        while log._count > count + 1:
            log._sids.pop()
            log._count -= 1
        return revoked


class TellsNoDisabled(MemoryStore):
    async def disable(self, alias: bytes, event: Event | None = None) -> Revoked:
        with muted(self):
            return await super().disable(alias, event)


class TellsNoRoomMade(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        with muted(self):
            return await super().create(new, event)


class TellsNoSweep(MemoryStore):
    async def sweep(self, limit: int = 1000) -> tuple[Finished, ...]:
        with muted(self):
            return await super().sweep(limit)


class TellsNoForgotten(MemoryStore):
    async def forget(self, alias: bytes, user_id: str) -> int:
        with muted(self):
            return await super().forget(alias, user_id)


class TellsNoEveryone(MemoryStore):
    async def revoke_everyone(self, event: Event | None = None) -> int:
        with muted(self):
            return await super().revoke_everyone(event)


class TellsRotations(MemoryStore):
    async def rotate(self, alias: bytes, sid: bytes, *args: Any, **options: Any) -> Answer:
        self._table.ended.write(sid)
        return await super().rotate(alias, sid, *args, **options)


class TellsEndsForEver(MemoryStore):
    async def ends(self, place: str, *, wait: float) -> Ends:
        return await super().ends(place and "0", wait=wait)


class TakesAnyPlace(MemoryStore):
    async def ends(self, place: str, *, wait: float) -> Ends:
        ends = await super().ends(place, wait=wait)
        return Ends(ends.sids, ends.everyone, False, ends.place)


class TellsOneThread(MemoryStore):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._thread = threading.get_ident()

    async def revoke(self, alias: bytes, **options: Any) -> Revoked:
        if threading.get_ident() == self._thread:
            return await super().revoke(alias, **options)
        with muted(self):
            return await super().revoke(alias, **options)
