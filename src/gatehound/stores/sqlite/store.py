"""The store: each method of the contract as one step of a `Link`. The rules are elsewhere.

Read `link` for who waits where, `again` for what most requests ask, `ending` and `life` for
what happens to a session, `evidence`, `log` and `directory` for the rest.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from msgspec.structs import replace

from gatehound.clientip.check import Finding
from gatehound.errors import StoreError, StoreMismatch
from gatehound.model import EndReason, Event
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
    Tail,
)
from gatehound.stores.base import Store
from gatehound.stores.record import Seen
from gatehound.stores.rule import (
    EVENT_RETENTION,
    MAX_DATA_FIELDS,
    TIDY_EVERY,
    check_data,
    check_data_name,
    check_memory,
    check_shelf,
)
from gatehound.stores.sqlite import copying, directory, ending, ends, evidence, life, log, shelf
from gatehound.stores.sqlite.again import Loader
from gatehound.stores.sqlite.link import Kind, Link
from gatehound.stores.sqlite.place import check_name
from gatehound.stores.sqlite.row import Tx

# A sweep lets others write between its steps.
SWEEP_STEP: Final = 100


class SQLiteStore(Store):
    """Keep sessions in one SQLite file, shared by the threads and processes of one machine.

    `path` is a local file; it is made (0600) with its missing directories (0700) when it is
    first used, and SettingsError is raised then where it cannot work: a network file system,
    a database of something else. `clock` returns milliseconds since 1970 (None: the
    system's). `event_retention` is in milliseconds.

    `suspends=False` (WSGI) waits in the calling thread for the lock of another process, 1 s
    at most (5 s for `prepare` and for what walks over many rows), then StoreUnavailable.
    `suspends=True` (ASGI) never waits on the event loop. `load` does not fail where only its
    touch cannot be written: the session slides at a later one.

    Usable from any thread, any loop and after a fork. What a crash of the machine may lose:
    touches, evidence, app data and events of the last moments. Logins, rotations and ends of
    sessions are on the disk before the call returns.
    """

    kind: ClassVar[str] = "sqlite"
    deadline: ClassVar[int] = 1000  # ms that a call waits for others before StoreUnavailable

    def __init__(
        self,
        path: str | Path,
        *,
        suspends: bool = False,
        clock: Callable[[], int] | None = None,
        event_retention: int = EVENT_RETENTION,
    ) -> None:
        self.suspends = suspends
        self.path = check_name(path)
        self._retention = event_retention
        self._logins = itertools.count(1)  # of this process: each does its share
        self._link = Link(
            self.path, suspends=suspends, clock=clock or _system_clock, deadline=self.deadline
        )
        self._run = self._link.run
        self._loader = Loader(self._link)
        self.quick = self._loader if type(self).load is SQLiteStore.load else None

    # --- life of the store ---

    async def prepare(self, meta: Meta) -> None:
        problems = await self._run(lambda tx: _prepare(tx, meta), Kind.DURABLE, aside=True)
        if problems:
            raise StoreMismatch(problems)

    async def ping(self) -> int:
        return await self._run(_ping, Kind.LOOK)

    async def close(self) -> None:
        await self._link.close()

    # --- one session ---

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        check_memory(Memory(new.memory))
        made = await self._run(lambda tx: life.create(tx, new, event), Kind.DURABLE)
        if isinstance(made, Created) and next(self._logins) % TIDY_EVERY == 0:
            return replace(made, finished=(*made.finished, *await self._tidy()))
        return made

    async def _tidy(self) -> tuple[Finished, ...]:
        """Do a part of a sweep in a step of its own: a login must not fail where this does."""
        try:
            return await self._run(lambda tx: directory.tidy(tx, self._retention), Kind.DURABLE)
        except StoreError:
            return ()

    async def load(
        self, alias: bytes, sid: bytes, secret_hash: bytes, *, touch: int | None = None
    ) -> Answer:
        return await self._loader.load(alias, sid, secret_hash, touch)

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
        upgrade = life.Upgrade(authenticated, methods, aal, absolute, clear_flags)
        return await self._run(
            lambda tx: life.rotate(
                tx, alias, sid, old_hash, new_hash, grace=grace, upgrade=upgrade, event=event
            ),
            Kind.DURABLE,
        )

    async def revoke(
        self,
        alias: bytes,
        *,
        only: bytes | None = None,
        keep: bytes | None = None,
        reason: EndReason,
        event: Event | None = None,
    ) -> Revoked:
        return await self._run(
            lambda tx: ending.revoke(tx, alias, only, keep, reason, event), Kind.ENDING
        )

    async def sessions(self, alias: bytes) -> Listed:
        listed = await self._run(lambda tx: life.look_at_all(tx, alias), Kind.LOOK)
        if listed is not None:
            return listed
        return await self._link.run_or(
            lambda tx: life.sessions(tx, alias), lambda tx: life.list_living(tx, alias)
        )

    async def epoch(self, alias: bytes) -> int:
        return await self._run(lambda tx: ending.epoch(tx, alias), Kind.LOOK)

    # --- evidence ---

    async def recall(self, alias: bytes, sid: bytes) -> tuple[Memory, Memory]:
        return await self._run(lambda tx: evidence.recall(tx, alias, sid), Kind.READ)

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
        check_memory(memory, user_memory)
        change = evidence.Change(seen, agent, flags, set_flags, clear_flags, events)
        given = (memory, user_memory)
        # A flag takes rights away (a step-up is due), and must outlast a power cut.
        kind = Kind.DURABLE if set_flags else Kind.WRITE
        return await self._run(
            lambda tx: evidence.remember(tx, alias, sid, secret_hash, given, change), kind
        )

    # --- app data, field by field ---

    async def data_get(
        self, alias: bytes, sid: bytes, names: Collection[str] | None = None
    ) -> dict[str, bytes]:
        return await self._run(lambda tx: evidence.data_get(tx, alias, sid, names), Kind.READ)

    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        check_data(values)
        if len(values) > MAX_DATA_FIELDS:
            raise ValueError(f"{len(values)} data fields: at most {MAX_DATA_FIELDS} are allowed")
        return await self._run(lambda tx: evidence.data_set(tx, alias, sid, values), Kind.WRITE)

    async def data_delete(self, alias: bytes, sid: bytes, names: Collection[str]) -> int:
        return await self._run(lambda tx: evidence.data_delete(tx, alias, sid, names), Kind.WRITE)

    async def data_incr(self, alias: bytes, sid: bytes, name: str, by: int = 1) -> int | None:
        check_data_name(name)
        return await self._run(lambda tx: evidence.data_incr(tx, alias, sid, name, by), Kind.WRITE)

    # --- users ---

    async def disable(self, alias: bytes, event: Event | None = None) -> Revoked:
        return await self._run(lambda tx: ending.disable(tx, alias, event), Kind.ENDING)

    async def enable(self, alias: bytes) -> bool:
        return await self._run(lambda tx: ending.enable(tx, alias), Kind.DURABLE)

    async def forget(self, alias: bytes, user_id: str) -> int:
        """Erase a user as the contract says, from the WAL too unless somebody reads just now.

        Deleted rows are overwritten with zeros in the file. What was copied is out of reach:
        backups, snapshots of the file system, the spare blocks of a flash disk.
        """
        count = await self._run(lambda tx: ends.forget(tx, alias, user_id), Kind.ENDING, aside=True)
        await self._link.checkpoint()
        return count

    async def export(self, alias: bytes, user_id: str) -> dict[str, Any]:
        return await self._run(
            lambda tx: directory.export(tx, alias, user_id), Kind.READ, aside=True
        )

    # --- everyone ---

    async def revoke_everyone(self, event: Event | None = None) -> int:
        """End every session as the contract says, in one transaction.

        About 20 us a session, while no other process can write: beyond 200,000 sessions some
        of their calls reach their deadline. Logins that began before are refused by epoch.
        """
        return await self._run(
            lambda tx: directory.revoke_everyone(tx, event), Kind.ENDING, aside=True
        )

    async def ends(self, place: str, *, wait: float) -> Ends:
        return await self._run(lambda tx: ends.since(tx, place), Kind.READ)

    async def search(self, query: Query) -> Page:
        return await self._run(lambda tx: directory.search(tx, query), Kind.LOOK, aside=True)

    async def sweep(self, limit: int = 1000) -> tuple[Finished, ...]:
        finished: list[Finished] = []
        ended: tuple[Finished, ...] = ()
        step = 0
        while len(ended) == step and len(finished) < limit:
            step = min(SWEEP_STEP, limit - len(finished))
            ended = await self._run(partial(directory.end_due, limit=step), Kind.WRITE, aside=True)
            finished += ended
        await self._run(
            lambda tx: directory.drop_stale(tx, self._retention), Kind.WRITE, aside=True
        )
        return tuple(finished)

    # --- agents, counters, events ---

    async def agents(self, digests: Collection[bytes]) -> dict[bytes, str]:
        return await self._run(lambda tx: log.agents(tx, digests), Kind.READ)

    async def count(self, kind: str, name: str, *, by: int = 1, window: int) -> int:
        return await self._run(lambda tx: log.count(tx, kind, name, by, window), Kind.WRITE)

    async def counts(self, kind: str, *, window: int) -> dict[str, int]:
        found, is_stale = await self._run(lambda tx: log.counts(tx, kind, window), Kind.LOOK)
        if is_stale:
            with contextlib.suppress(StoreError):  # the next one does it
                await self._run(log.drop_counters, Kind.WRITE)
        return found

    async def append(self, event: Event) -> None:
        await self._run(lambda tx: log.append(tx, event), Kind.WRITE)

    async def events(self, query: EventQuery) -> EventPage:
        return await self._run(
            lambda tx: log.events(tx, query, self._retention), Kind.LOOK, aside=True
        )

    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        return await self._run(
            lambda tx: log.tail(tx, place, since, limit, self._retention), Kind.READ, aside=True
        )

    async def shelf(self, name: str) -> Memory:
        check_shelf(name)
        return await self._run(lambda tx: shelf.shelf(tx, name), Kind.LOOK)

    async def put(self, name: str, memory: Memory) -> bool:
        check_shelf(name, memory.data)
        return await self._run(lambda tx: shelf.put(tx, name, memory), Kind.WRITE)

    async def living(self) -> int:
        return await self._run(directory.living, Kind.LOOK, aside=True)

    # --- for operators ---

    async def findings(self) -> list[Finding]:
        # Here, because what it finds is found through a store.
        from gatehound.stores.sqlite.findings import findings

        return await findings(self)

    async def dump(self, cursor: str = "", *, limit: int = 100) -> Dump:
        return await self._run(lambda tx: copying.dump(tx, cursor, limit), Kind.READ, aside=True)

    async def restore(self, dump: Dump) -> None:
        await self._run(lambda tx: copying.restore(tx, dump), Kind.ENDING, aside=True)


def _ping(tx: Tx) -> int:
    tx.db.execute("SELECT count(*) FROM meta").fetchone()
    return tx.now


def _prepare(tx: Tx, meta: Meta) -> list[str]:
    """Write what is not there yet; name what differs, without showing a fingerprint."""
    stored = dict(tx.db.execute("SELECT name, value FROM meta WHERE name NOT LIKE 'shelf:%'"))
    given = {"fingerprint": meta.fingerprint, "namespace": meta.namespace, "layout": meta.layout}
    problems = []
    for name, value in given.items():
        if name not in stored:
            tx.db.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (name, value))
        elif stored[name] != value and name == "fingerprint":
            problems.append(
                "identity_key differs from the one that this store was first used with: "
                "give the old one back, or use an empty store"
            )
        elif stored[name] != value:
            problems.append(
                f"{name} is {value!r}, but this store was first used with {stored[name]!r}: "
                "give the old one back, or use an empty store"
            )
    return problems


def _system_clock() -> int:
    return time.time_ns() // 1_000_000
