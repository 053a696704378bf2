"""Sessions in the memory of one process: for tests, and for an app with one process.

This file is also the readable reference of the contract: where another store and this one
differ, read here first. One lock makes every method atomic, so that it may be used from
several threads and event loops; nothing waits while the lock is held.

What happens at the bounds. `max_users`: a user without a session who would be one more is
answered with StoreUnavailable, after everything without use was dropped. Making room by
ending somebody's session would let a flood of new users sign all others out, silently.
Sessions of one user: where `limit` is None the limit is 1000. Events: the oldest are dropped.
User-Agent texts: the ones that signed in longest ago are dropped, and their label is lost.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from gatehound.errors import StoreMismatch
from gatehound.model import EndReason, Event
from gatehound.stores import _copying, rule
from gatehound.stores._entry import differing, fits, paged, place, scanned
from gatehound.stores._step import Step
from gatehound.stores._table import CounterTable, EventLog, Table
from gatehound.stores.answer import (
    Answer,
    Created,
    Dump,
    Ends,
    EventPage,
    EventQuery,
    Finished,
    Listed,
    Memory,
    Meta,
    NewSession,
    Page,
    Query,
    Refused,
    Remembered,
    Revoked,
    Standing,
    Tail,
)
from gatehound.stores.base import Store
from gatehound.stores.record import STANDING, Seen
from gatehound.stores.rule import EVENT_RETENTION


class MemoryStore(Store):
    """Keep sessions in this process; they are gone when it ends.

    `clock` returns milliseconds since 1970; None is the system's clock. Usable from any
    thread and any loop. Several processes do not see each other's sessions: the first use in
    a forked child is logged as a warning.
    """

    kind: ClassVar[str] = "memory"

    def __init__(
        self,
        *,
        clock: Callable[[], int] | None = None,
        event_retention: int = EVENT_RETENTION,
        max_events: int = 10_000,
        max_users: int = 100_000,
    ) -> None:
        self.suspends = False
        self._steps = Step(clock or _system_clock)
        self._meta: Meta | None = None
        self._counters = CounterTable()
        self._shelves: dict[str, Memory] = {}
        self._table = Table(EventLog(max_events, event_retention), max_users)

    # --- life of the store ---

    async def prepare(self, meta: Meta) -> None:
        with self._step():
            if self._meta is None:
                self._meta = meta
            elif problems := differing(self._meta, meta):
                raise StoreMismatch(problems)

    async def ping(self) -> int:
        with self._step() as now:
            return now

    async def close(self) -> None:
        """Do nothing: there are no handles, and the sessions stay for the next call."""

    # --- one session ---

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        rule.check_memory(Memory(new.memory))
        with self._step() as now:
            user = self._table.user(new.alias)
            if user.disabled:
                return Refused("disabled", now)
            finished = self._table.end_expired(user, now)
            if (there := user.sessions.get(new.sid)) is not None:
                same = hmac.compare_digest(there.security.secret_hash, new.secret_hash)
                return Created(user.record(there), now) if same else Refused("sid", now)
            if new.sid in user.ended:  # a repeated call must not undo that it was ended since
                return Refused("sid", now)
            if new.epoch is not None and new.epoch != self._table.epoch_of(user):
                return Refused("epoch", now)
            made_room = self._table.make_room(user, new, now)
            if made_room is None:
                return Refused("limit", now)
            record = self._table.add_session(user, new, now)
            self._table.log.write(event, now)
            return Created(record, now, (*finished, *made_room, *self._table.tidy(now)))

    async def load(
        self, alias: bytes, sid: bytes, secret_hash: bytes, *, touch: int | None = None
    ) -> Answer:
        with self._step() as now:
            return self._table.answer(alias, sid, secret_hash, now, touch)

    async def rotate(
        self,
        alias: bytes,
        sid: bytes,
        old_hash: bytes,
        new_hash: bytes,
        *,
        grace: int | None = None,
        authenticated: bool = False,
        methods: tuple[str, ...] | None = None,
        aal: int | None = None,
        absolute: int | None = None,
        clear_flags: int = 0,
        event: Event | None = None,
    ) -> Answer:
        with self._step() as now:
            user, session = self._table.living(alias, sid, now)
            if session is None:
                return self._table.answer(alias, sid, old_hash, now)
            if hmac.compare_digest(session.security.secret_hash, new_hash):
                return Answer(Standing.LIVE, now, user.record(session))
            if not session.may_rotate(old_hash, now, proven=authenticated and grace is None):
                return self._table.answer(alias, sid, old_hash, now)
            session.replace_secret(old_hash, new_hash, now, grace)
            session.upgrade(
                authenticated=now if authenticated else None,
                methods=methods,
                aal=aal,
                expires=None if absolute is None else now + absolute,
            )
            session.change_flags(0, clear_flags)
            self._table.log.write(event, now)
            return Answer(Standing.LIVE, now, user.record(session))

    async def revoke(
        self,
        alias: bytes,
        *,
        only: bytes | None = None,
        keep: bytes | None = None,
        reason: EndReason,
        event: Event | None = None,
    ) -> Revoked:
        with self._step() as now:
            user = self._table.user(alias)
            if only is None:
                return self._table.end_all(user, keep, reason, event, now)
            entries = user.named(only)
            finished = self._table.end(user, entries, reason, now, partial(rule.event_for, event))
            return Revoked(finished, self._table.epoch_of(user), now)

    async def sessions(self, alias: bytes) -> Listed:
        with self._steps as now:
            finished: tuple[Finished, ...] = ()
            user = self._table.user(alias)
            entries = user.living(now)
            if len(entries) < len(user.sessions):
                finished = self._table.end_expired(user, now)
                entries = user.oldest_first()
            return Listed(tuple(map(user.record, entries)), now, finished, user.disabled)

    async def epoch(self, alias: bytes) -> int:
        with self._step():
            return self._table.epoch_of(self._table.user(alias))

    # --- evidence ---

    async def recall(self, alias: bytes, sid: bytes) -> tuple[Memory, Memory]:
        with self._steps as now:
            user, session = self._table.living(alias, sid, now)
            return session.memory if session else Memory(), user.memory_at(now)

    async def remember(
        self,
        alias: bytes,
        sid: bytes,
        secret_hash: bytes,
        *,
        memory: Memory | None = None,
        user_memory: Memory | None = None,
        seen: Seen | None = None,
        agent: str = "",
        flags: int | None = None,
        set_flags: int = 0,
        clear_flags: int = 0,
        events: Sequence[Event] = (),
    ) -> Remembered:
        rule.check_memory(memory, user_memory)
        with self._steps as now:
            user, session = self._table.living(alias, sid, now)
            if session is None or not session.accepts(secret_hash, now):
                return Remembered(done=False, now=now, gone=True)
            own, users, present = session.memory, user.memory_at(now), session.security.flags
            is_same = flags is None or not (flags ^ present) & STANDING
            if not (is_same and fits(memory, own) and fits(user_memory, users)):
                return Remembered(done=False, now=now, memory=own, user_memory=users, flags=present)
            if memory is not None:
                session.memory = own = Memory(memory.data, memory.version + 1)
            if user_memory is not None:
                users = Memory(user_memory.data, user_memory.version + 1)
                user.set_memory(users, now)
            if seen is not None:
                session.look(seen)
                self._table.note_agent(seen.agent, agent)
            if set_flags or clear_flags:
                session.change_flags(set_flags, clear_flags)
            for event in events:
                self._table.log.write(event, now)
            return Remembered(done=True, now=now, memory=own, user_memory=users)

    # --- app data, field by field ---

    async def data_get(
        self, alias: bytes, sid: bytes, names: Collection[str] | None = None
    ) -> dict[str, bytes]:
        with self._step() as now:
            _, session = self._table.living(alias, sid, now)
            data = session.data if session else {}
            return {name: data[name] for name in data if names is None or name in names}

    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        rule.check_data(values)
        with self._step() as now:
            _, session = self._table.living(alias, sid, now)
            if session is None:
                return False
            session.set_data(values)
            return True

    async def data_delete(self, alias: bytes, sid: bytes, names: Collection[str]) -> int:
        with self._step() as now:
            _, session = self._table.living(alias, sid, now)
            if session is None:
                return 0
            return sum(session.data.pop(name, None) is not None for name in set(names))

    async def data_incr(self, alias: bytes, sid: bytes, name: str, by: int = 1) -> int | None:
        rule.check_data_name(name)
        with self._step() as now:
            _, session = self._table.living(alias, sid, now)
            if session is None:
                return None
            total = rule.incremented(name, session.data.get(name, b"0"), by)
            session.set_data({name: b"%d" % total})
            return total

    # --- users ---

    async def disable(self, alias: bytes, event: Event | None = None) -> Revoked:
        with self._step() as now:
            user = self._table.user(alias)
            revoked = self._table.end_all(user, None, EndReason.DISABLED, event, now)
            user.disabled = True
            return revoked

    async def enable(self, alias: bytes) -> bool:
        with self._step():
            user = self._table.user(alias)
            was, user.disabled = user.disabled, False
            return was

    async def forget(self, alias: bytes, user_id: str) -> int:
        with self._step() as now:
            return self._table.forget(self._table.user(alias), user_id, now)

    async def export(self, alias: bytes, user_id: str) -> dict[str, Any]:
        with self._step() as now:
            return _copying.export(self._table, alias, user_id, now)

    # --- everyone ---

    async def revoke_everyone(self, event: Event | None = None) -> int:
        with self._step() as now:
            count = self._table.end_everyone(now)
            self._table.log.write(rule.event_for_all(event, count), now)
            return count

    async def ends(self, place: str, *, wait: float) -> Ends:
        with self._step():
            return self._table.ended.since(place)

    async def search(self, query: Query) -> Page:
        with self._step() as now:
            alias, table = query.alias, self._table
            users = table.users.values() if alias is None else [table.user(alias)]
            there = [record for user in users for record in map(user.record, user.living(now))]
        there.sort(key=place, reverse=True)
        found = [record for record in there if rule.matches(record, query)]
        page, cursor = paged(found, place, query.cursor, query.limit)
        return Page(page, now, cursor, scanned(there, place, query.cursor, cursor))

    async def sweep(self, limit: int = 1000) -> tuple[Finished, ...]:
        with self._step() as now:
            finished: list[Finished] = []
            for user in self._table.users.values():
                finished += self._table.end_expired(user, now, most=limit - len(finished))
                if len(finished) >= limit:
                    break
            self._table.drop_users(lambda user: user.has_use(now))
            self._counters.clean(now)
            return (*self._table.take_untold(), *finished)

    # --- agents, counters, events ---

    async def agents(self, digests: Collection[bytes]) -> dict[bytes, str]:
        with self._step():
            return self._table.agents_of(digests)

    async def count(self, kind: str, name: str, *, by: int = 1, window: int) -> int:
        with self._step() as now:
            names = self._counters.at(kind, window, now)
            if name not in names and len(names) >= rule.MAX_COUNTER_NAMES:
                return 0
            names[name] = names.get(name, 0) + by
            return names[name]

    async def counts(self, kind: str, *, window: int) -> dict[str, int]:
        with self._step() as now:
            self._counters.clean(now)
            return dict(self._counters.at(kind, window, now))

    async def append(self, event: Event) -> None:
        with self._step() as now:
            self._table.log.write(event, now)
            self._counters.clean(now)

    async def events(self, query: EventQuery) -> EventPage:
        with self._step() as now:
            newest = self._table.log.newest_first(now)
            found = [event for event in newest if rule.matches_event(event, query)]
        page, cursor = paged(found, lambda event: event.id, query.cursor, query.limit)
        return EventPage(page, cursor)

    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        with self._step() as now:
            return self._table.log.after(place, since, min(max(limit, 1), rule.MAX_TAIL), now)

    async def shelf(self, name: str) -> Memory:
        rule.check_shelf(name)
        with self._step():
            return self._shelves.get(name, Memory())

    async def put(self, name: str, memory: Memory) -> bool:
        rule.check_shelf(name, memory.data)
        with self._step():
            if memory.version != self._shelves.get(name, Memory()).version:
                return False
            self._shelves[name] = Memory(memory.data, memory.version + 1)
            return True

    async def living(self) -> int:
        with self._step():
            return sum(len(user.sessions) for user in self._table.users.values())

    # --- for operators ---

    async def dump(self, cursor: str = "", *, limit: int = 100) -> Dump:
        with self._step() as now:
            return _copying.dump(self._table, cursor, limit, now)

    async def restore(self, dump: Dump) -> None:
        with self._step() as now:
            _copying.restore(self._table, dump, now)

    def _step(self) -> Step:
        return self._steps


def _system_clock() -> int:
    return time.time_ns() // 1_000_000
