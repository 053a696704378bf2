"""Stores with one planted defect each: the tail of events, shelves, and what is counted."""

from __future__ import annotations

import threading
from typing import Any

from broken_race import Meeting
from msgspec.structs import replace

from gatehound.model import Event
from gatehound.stores.answer import (
    EventPage,
    EventQuery,
    Finished,
    Listed,
    Memory,
    Page,
    Query,
    Tail,
)
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import ANONYMOUS


class TailsFromTheFirst(MemoryStore):
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        return await super().tail(place, since=since or 0, limit=limit)


class TailsAfterTheMoment(MemoryStore):
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        return await super().tail(place, since=since and since + 1, limit=limit)


class TailsSinceAlways(MemoryStore):
    """A moment filters what comes after a place too, and the place forgets where it began."""

    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        tail = await super().tail(place, since=since, limit=limit)
        return tail if since is None or not tail.more else Tail(tail.events, "0", True)


class TailsAndSkips(MemoryStore):
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        tail = await super().tail(place, since=since, limit=limit)
        return Tail(tail.events, str(self._table.log._number), tail.more)


class TailsTheLastAgain(MemoryStore):
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        tail = await super().tail(place, since=since, limit=limit)
        back = tail.events and len(tail.events) > 1
        return Tail(tail.events, str(int(tail.place) - bool(back)), tail.more)


class TailsOneAnswer(MemoryStore):
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        tail = await super().tail(place, since=since, limit=limit)
        return Tail(tail.events, tail.place)


class TailsNewestFirst(MemoryStore):
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        tail = await super().tail(place, since=since, limit=limit)
        return Tail(tail.events[::-1], tail.place, tail.more)


class TailsWithoutDetail(MemoryStore):
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        tail = await super().tail(place, since=since, limit=limit)
        events = tuple(replace(event, detail={}) for event in tail.events)
        return Tail(events, tail.place, tail.more)


class TailsByTime(MemoryStore):
    """The place is a moment, as if clocks never stepped back and no two events shared one."""

    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        now = self._steps.clock()
        if not place and since is None:
            return Tail((), str(now))
        begin = int(place) if place else since or 0
        found = [e for _, e in self._table.log._events if round(e.at * 1000) > begin]
        return Tail(tuple(found), str(max(now, begin)))


class TailsTheForgotten(MemoryStore):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.written: list[Event] = []

    async def append(self, event: Event) -> None:
        await super().append(event)
        self.written.append(self._table.log._events[-1][1])

    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        tail = await super().tail(place, since=since, limit=limit)
        known = [event for event in self.written if int(event.id) > int(place or "999")]
        return Tail(tuple(known), tail.place, tail.more)


class TrustsItsPlaces(MemoryStore):
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        try:
            return await super().tail(str(int(place)) if place else "", since=since, limit=limit)
        except ValueError:
            return Tail((), place)


class TakesAPlaceAhead(MemoryStore):
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        if place.isdecimal() and int(place) > self._table.log._number:
            return Tail((), place)
        return await super().tail(place, since=since, limit=limit)


class RacesWithFollowers(MemoryStore):
    """The place is that of after the reading, and what came between is lost."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.was_read = threading.Event()
        self.was_written = threading.Event()

    async def append(self, event: Event) -> None:
        self.was_read.wait(2)
        await super().append(event)
        self.was_written.set()

    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        tail = await super().tail(place, since=since, limit=limit)
        if place and not self.was_read.is_set():
            self.was_read.set()
            self.was_written.wait(2)
            return Tail(tail.events, str(self._table.log._number), tail.more)
        return tail


class LosesShelves(MemoryStore):
    async def shelf(self, name: str) -> Memory:
        return replace(await super().shelf(name), data=b"")


class SharesShelves(MemoryStore):
    async def shelf(self, name: str) -> Memory:
        return await super().shelf("all")

    async def put(self, name: str, memory: Memory) -> bool:
        return await super().put("all", memory)


class PutsOverAnyVersion(MemoryStore):
    async def put(self, name: str, memory: Memory) -> bool:
        stored = await self.shelf(name)
        return await super().put(name, replace(memory, version=stored.version))


class PutsTooMuch(MemoryStore):
    async def put(self, name: str, memory: Memory) -> bool:
        try:
            return await super().put(name, memory)
        except ValueError:
            self._shelves[name] = memory
            return True


class SweepsShelves(MemoryStore):
    async def sweep(self, limit: int = 1000) -> tuple[Finished, ...]:
        self._shelves.clear()
        return await super().sweep(limit)


class RacesToPut(MemoryStore):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.meeting = Meeting()

    async def put(self, name: str, memory: Memory) -> bool:
        if memory.version != (await self.shelf(name)).version:
            return False
        self.meeting.wait()
        self._shelves[name] = Memory(memory.data, memory.version + 1)
        return True


class CountsUsers(MemoryStore):
    async def living(self) -> int:
        return sum(bool(user.sessions) for user in self._table.users.values())


class CountsNoVisitors(MemoryStore):
    async def living(self) -> int:
        users = self._table.users.values()
        entries = [entry for user in users for entry in user.sessions.values()]
        return sum(not entry.security.flags & ANONYMOUS for entry in entries)


class TellsNobodyDisabled(MemoryStore):
    async def sessions(self, alias: bytes) -> Listed:
        return replace(await super().sessions(alias), disabled=False)


class TellsWhoHasNoneDisabled(MemoryStore):
    async def sessions(self, alias: bytes) -> Listed:
        listed = await super().sessions(alias)
        return replace(listed, disabled=not listed.records)


class LooksAtNothing(MemoryStore):
    async def search(self, query: Query) -> Page:
        return replace(await super().search(query), looked_at=0)


class LooksAtAllAgain(MemoryStore):
    async def search(self, query: Query) -> Page:
        return replace(await super().search(query), looked_at=await self.living())


class EventsOfAnyTime(MemoryStore):
    async def events(self, query: EventQuery) -> EventPage:
        return await super().events(replace(query, until=None))


class EventsUntilAndAt(MemoryStore):
    async def events(self, query: EventQuery) -> EventPage:
        until = None if query.until is None else query.until + 1
        return await super().events(replace(query, until=until))


class EventsOfAnyNetwork(MemoryStore):
    async def events(self, query: EventQuery) -> EventPage:
        return await super().events(replace(query, network=None))


class NetworksOfMappedAddresses(MemoryStore):
    """What is IPv4 in the dress of IPv6 is found by ::/0, and not by its own network."""

    async def append(self, event: Event) -> None:
        await super().append(replace(event, address=event.address.replace("ffff", "fffe")))
