"""Stores with one planted defect each, in users, search, events and counters."""

from __future__ import annotations

import contextlib
from typing import Any

from msgspec.structs import replace

from gatehound.errors import StoreUnavailable
from gatehound.model import Event
from gatehound.stores import rule
from gatehound.stores.answer import EventPage, EventQuery, Memory, Page, Query, Remembered, Revoked
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import FLAGGED


class DisablesWithoutTheEpoch(MemoryStore):
    async def disable(self, alias: bytes, event: Event | None = None) -> Revoked:
        revoked = await super().disable(alias, event)
        self._table.user(alias).epoch = 0
        return replace(revoked, epoch=0)


class DisablesKnownUsersOnly(MemoryStore):
    async def disable(self, alias: bytes, event: Event | None = None) -> Revoked:
        if alias not in self._table.users:
            return Revoked((), 0, self._steps.clock())
        return await super().disable(alias, event)


class DisablesTheFutureOnly(MemoryStore):
    async def disable(self, alias: bytes, event: Event | None = None) -> Revoked:
        sessions = dict(self._table.user(alias).sessions)
        revoked = await super().disable(alias, event)
        self._table.user(alias).sessions |= sessions
        return revoked


class EnablesAlways(MemoryStore):
    async def enable(self, alias: bytes) -> bool:
        await super().enable(alias)
        return True


class ForgetsTheMark(MemoryStore):
    async def forget(self, alias: bytes, user_id: str) -> int:
        count = await super().forget(alias, user_id)
        self._table.users.pop(alias, None)
        return count


class ForgetsByHalves(MemoryStore):
    async def forget(self, alias: bytes, user_id: str) -> int:
        user = self._table.user(alias)
        ended, memory_until = dict(user.ended), user.memory_until
        count = await super().forget(alias, user_id)
        user.ended, user.memory_until = ended, memory_until
        return count


class ExportsWithoutAgents(MemoryStore):
    async def export(self, alias: bytes, user_id: str) -> dict[str, Any]:
        told = await super().export(alias, user_id)
        return told | {
            "agents": {},
            "events": list(self._table.log.newest_first(self._steps.clock())),
        }


class SweepsWithoutLimit(MemoryStore):
    async def sweep(self, limit: int = 1000) -> Any:
        return await super().sweep(10**6)


class SweepsWithoutEvents(MemoryStore):
    async def sweep(self, limit: int = 1000) -> Any:
        append, self._table.log.write = self._table.log.write, lambda event, now: None  # type: ignore[method-assign] # the defect
        try:
            return await super().sweep(limit)
        finally:
            self._table.log.write = append  # type: ignore[method-assign] # the defect ends


class SweepFailsWithNothingToDo(MemoryStore):
    async def sweep(self, limit: int = 1000) -> Any:
        swept = await super().sweep(limit)
        if not swept:
            raise StoreUnavailable("nothing there")
        return swept


class SearchesOneFilterOnly(MemoryStore):
    async def search(self, query: Query) -> Page:
        if query.alias is not None:
            query = Query(alias=query.alias, limit=query.limit, cursor=query.cursor)
        return await super().search(query)


class SearchesWholeBytesOfNetworks(MemoryStore):
    async def search(self, query: Query) -> Page:
        if query.network:
            query = replace(query, network=(query.network[0], query.network[1] // 8 * 8))
        return await super().search(query)


class SearchesTheDead(MemoryStore):
    async def search(self, query: Query) -> Page:
        clock, self._steps.clock = self._steps.clock, lambda: 0
        try:
            return await super().search(query)
        finally:
            self._steps.clock = clock


class SearchesBehindTheTimes(MemoryStore):
    """Finds sessions by what they were when they were created."""

    async def remember(self, *args: Any, **kwargs: Any) -> Remembered:
        return await super().remember(*args, **(kwargs | {"seen": None, "set_flags": 0}))


class PagesByOffset(MemoryStore):
    async def search(self, query: Query) -> Page:
        if not query.cursor.isascii():
            raise ValueError("no cursor")
        start = int(query.cursor) if query.cursor.isdigit() and len(query.cursor) < 9 else 0
        page = await super().search(replace(query, cursor="", limit=1000))
        records = page.records[start : start + query.limit]
        more = start + len(records) < len(page.records)
        return replace(page, records=records, cursor=str(start + len(records)) if more else "")


class PagesByTimeOnly(MemoryStore):
    async def search(self, query: Query) -> Page:
        page = await super().search(query)
        cursor = page.cursor and page.cursor[:17] + "0" * 16
        return replace(page, cursor=cursor)


class PagesWithoutTheFilter(MemoryStore):
    async def search(self, query: Query) -> Page:
        if query.cursor:
            query = Query(cursor=query.cursor, limit=query.limit)
        return await super().search(query)

    async def events(self, query: EventQuery) -> EventPage:
        if query.cursor:
            query = EventQuery(cursor=query.cursor, limit=query.limit)
        return await super().events(query)


class TrustsItsCursors(MemoryStore):
    async def search(self, query: Query) -> Page:
        if query.cursor:
            bytes.fromhex(query.cursor.split("-")[1])
        return await super().search(query)

    async def events(self, query: EventQuery) -> EventPage:
        if query.cursor and not query.cursor.isdigit():
            raise KeyError(query.cursor)
        return await super().events(query)


class TrustsTheSizeOfItsCursors(MemoryStore):
    def _parse(self, cursor: str) -> None:
        number, dash, _ = cursor.partition("-")
        if dash and number.isdecimal() and int(number) >= 2**64:
            raise StoreUnavailable("Invalid stream ID")

    async def search(self, query: Query) -> Page:
        self._parse(query.cursor)
        return await super().search(query)

    async def events(self, query: EventQuery) -> EventPage:
        self._parse(query.cursor)
        return await super().events(query)


class TellsEventsOldestFirst(MemoryStore):
    async def events(self, query: EventQuery) -> EventPage:
        page = await super().events(query)
        return replace(page, events=tuple(reversed(page.events)))


class PagesEventsByTime(MemoryStore):
    """Goes on after the last event's time, and so loses its contemporaries."""

    async def events(self, query: EventQuery) -> EventPage:
        everything = (await super().events(replace(query, cursor="", limit=1000))).events
        if query.cursor:
            with contextlib.suppress(ValueError):
                everything = tuple(e for e in everything if e.at < float(query.cursor))
        page = everything[: query.limit]
        return EventPage(page, str(page[-1].at) if len(page) < len(everything) else "")


class PagesEventsByOffset(MemoryStore):
    async def events(self, query: EventQuery) -> EventPage:
        start = int(query.cursor) if query.cursor.isdecimal() and len(query.cursor) < 9 else 0
        everything = (await super().events(replace(query, cursor="", limit=1000))).events
        page = everything[start : start + query.limit]
        more = start + len(page) < len(everything)
        return EventPage(page, str(start + len(page)) if more else "")


class KeepsEventsForEver(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(clock=kwargs["clock"], event_retention=10**13)


class KeepsEventsForAWeek(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(clock=kwargs["clock"], event_retention=7 * rule.DAY)


class FlattensDetails(MemoryStore):
    async def append(self, event: Event) -> None:
        detail = {name: str(value) for name, value in event.detail.items()}
        await super().append(replace(event, detail=detail))


class TellsItsOwnTime(MemoryStore):
    async def append(self, event: Event) -> None:
        clock, self._steps.clock = self._steps.clock, lambda: clock() // 1000 * 1000
        await super().append(event)
        self._steps.clock = clock


class LosesEventsOfCreate(MemoryStore):
    async def create(self, new: Any, event: Event | None = None) -> Any:
        return await super().create(new)


class SearchesEventsByNameOnly(MemoryStore):
    async def events(self, query: EventQuery) -> EventPage:
        return await super().events(EventQuery(names=query.names, limit=query.limit))


class FlagsForEver(MemoryStore):
    async def rotate(self, *args: Any, **kwargs: Any) -> Any:
        return await super().rotate(*args, **(kwargs | {"clear_flags": 0}))


class CountsForEver(MemoryStore):
    async def count(self, kind: str, name: str, *, by: int = 1, window: int) -> int:
        return await super().count(kind, name, by=by, window=10**15)

    async def counts(self, kind: str, *, window: int) -> dict[str, int]:
        return await super().counts(kind, window=10**15)


class CountsByOne(MemoryStore):
    async def count(self, kind: str, name: str, *, by: int = 1, window: int) -> int:
        return await super().count("all", name, window=window)


class CountsByTheMinute(MemoryStore):
    async def count(self, kind: str, name: str, *, by: int = 1, window: int) -> int:
        return await super().count(kind, name, by=by, window=60_000)

    async def counts(self, kind: str, *, window: int) -> dict[str, int]:
        return await super().counts(kind, window=60_000)


class CountsAnyName(MemoryStore):
    async def count(self, kind: str, name: str, *, by: int = 1, window: int) -> int:
        value = await super().count(kind, name, by=by, window=window)
        return value or by


class FlagsEverybody(MemoryStore):
    async def remember(self, *args: Any, **kwargs: Any) -> Remembered:
        return await super().remember(*args, **(kwargs | {"set_flags": FLAGGED}))


class TellsAVersionOfNothing(MemoryStore):
    async def recall(self, alias: bytes, sid: bytes) -> tuple[Memory, Memory]:
        stored, user_memory = await super().recall(alias, sid)
        return (stored if stored.version else Memory(b"", 1)), user_memory


class SweepsTheEpochForward(MemoryStore):
    async def sweep(self, limit: int = 1000) -> Any:
        for user in self._table.users.values():
            user.raise_epoch(self._steps.clock())
        return await super().sweep(limit)
