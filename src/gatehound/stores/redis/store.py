"""Sessions in Redis or Valkey.

What one user has lies in one hash and a few keys beside it, all in one slot (see keys). Every
change is one Lua script over that slot, decided by the server's time. An ordinary request costs
one trip: a plain read while this process saw a touch of late, else the script that touches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from gatehound.model import EndReason, Event
from gatehound.stores import rule
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
from gatehound.stores.record import STANDING, VERSION, Seen, check_version, methods_to_bits
from gatehound.stores.redis import form
from gatehound.stores.redis.call import Calls
from gatehound.stores.redis.channel import Channel
from gatehound.stores.redis.clock import StoreClock
from gatehound.stores.redis.counters import Counters
from gatehound.stores.redis.directory import Directory
from gatehound.stores.redis.fields import Fields
from gatehound.stores.redis.journal import Journal
from gatehound.stores.redis.keys import Keys
from gatehound.stores.redis.load import Loader
from gatehound.stores.redis.meta import agree
from gatehound.stores.redis.script import NO_GRACE
from gatehound.stores.redis.trouble import SlotMoving
from gatehound.stores.redis.wire import PROMPT, Wire
from gatehound.stores.rule import event_for_all

if TYPE_CHECKING:  # what few processes ask for is loaded when they do
    from gatehound.clientip.check import Finding
    from gatehound.stores.redis.copying import Copying


class RedisStore(Store):
    """The store contract over redis-py, for one namespace of one server.

    `url` is redis://, rediss:// or unix://. `suspends` chooses between redis-py's asyncio client
    (True) and its blocking one. `clock` replaces the server's time, in milliseconds; it is for
    tests, and for nothing else: processes whose clocks differ would not agree on who is signed in.
    `event_retention` is in milliseconds. `deadline` is how many seconds a read may take, and a
    write four times as many; then StoreUnavailable. `write_version` is the version of new
    records: while an older release runs beside this one, set it to the one that both read.
    `wait` is how many replicas a login, a rotation and an end of sessions wait for, up to 500 ms;
    it narrows the window in which a failover loses them, and guarantees nothing. Without
    `multiplex` every command goes through redis-py's own client (see hot.py). SettingsError where
    redis-py is missing, or `url` or `namespace` cannot be used; nothing is opened. Set Redis's
    `maxmemory-policy` to `noeviction`: else people are signed out when memory is short.
    """

    kind: ClassVar[str] = "redis"

    def __init__(
        self,
        url: str,
        *,
        namespace: str,
        suspends: bool,
        clock: Callable[[], int] | None = None,
        event_retention: int = rule.EVENT_RETENTION,
        deadline: float = PROMPT,
        write_version: int = VERSION,
        wait: int = 0,
        multiplex: bool = True,
    ) -> None:
        check_version(write_version)
        self._version = write_version
        self.suspends = self.tells = suspends
        self._keys = Keys(namespace)
        self._wire = Wire(url, suspends=suspends, deadline=deadline, multiplex=multiplex)
        self._calls = Calls(self._wire, self._keys, StoreClock(clock), event_retention, wait)
        self._loader = Loader(self._calls)
        self.quick = self._loader if type(self).load is RedisStore.load else None
        self._directory = Directory(self._calls)
        self._journal = Journal(self._calls)
        self._counters = Counters(self._calls)
        self._channel = Channel(self._calls)
        self._fields = Fields(self._calls)
        self._namespace = namespace

    def __repr__(self) -> str:
        return f"RedisStore({self._wire.place}, namespace={self._namespace!r})"

    # --- life of the store ---

    async def prepare(self, meta: Meta) -> None:
        await agree(self._wire, self._keys.meta, meta)
        await self._calls.refresh(patient=True)  # meta knows the end of all where a bucket lost it

    async def ping(self) -> int:
        return await self._calls.refresh()

    async def close(self) -> None:
        await self._wire.close()

    # --- one session ---

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        security, seen, user_id = form.pack_new(new, self._version)
        if new.epoch is not None:
            # What a login began with is compared with the line of now: one that is a second old
            # would let in who began before everybody was ended, or refuse who began after.
            await self._calls.refresh(beside=self._keys.user(new.alias), patient=True)
        args: tuple[Any, ...] = (
            *(new.sid, security, seen, user_id, form.pack_roles(new.roles)),
            form.pack_memory(new.sid, Memory(new.memory, 1)) if new.memory else b"",
            b"" if new.limit is None else new.limit,
            new.on_limit,
            b"" if new.epoch is None else new.epoch,
            *(new.replaces or b"", new.alias),
            *form.pack_event(event),
        )
        keys = self._keys.of_user(new.alias)
        beside = self._counters.keep_agent(new.seen.agent, new.agent)
        try:
            reply = await self._calls.run(
                "create", keys, *args, patient=True, beside=beside, wait=True
            )
        except SlotMoving:
            if await self._wire.call("EXISTS", self._keys.disabled(new.alias), patient=True):
                return Refused("disabled", self._calls.clock.now or 0)
            reply = await self._calls.run_alone("create", keys[0], *args)
            if await self._wire.call("EXISTS", self._keys.disabled(new.alias), patient=True):
                undo = ("only", new.sid, EndReason.DISABLED.code, b"", new.alias, b"", b"", b"")
                await self._calls.run_alone("revoke", keys[0], *undo)
                return Refused("disabled", reply[0])
        now, word, *rest = reply
        if word != b"created":
            return Refused(word.decode(), now)
        *parts, finished = rest
        record = form.read_record(new.alias, new.sid, *parts)
        return Created(
            record, now, form.read_finished(new.alias, parts[2], parts[3], finished, now)
        )

    def load(
        self, alias: bytes, sid: bytes, secret_hash: bytes, *, touch: int | None = None
    ) -> Coroutine[Any, Any, Answer]:
        return self._loader.load(alias, sid, secret_hash, touch)

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
        reply = await self._calls.run(
            "rotate",
            self._keys.of_user(alias),
            *(sid, old_hash, new_hash),
            NO_GRACE if grace is None else grace,
            b"1" if authenticated else b"",
            b"" if methods is None else methods_to_bits(methods).to_bytes(2),
            b"" if aal is None else aal,
            b"" if absolute is None else absolute,
            *(clear_flags, alias),
            *form.pack_event(event),
            patient=True,
            again=True,
            wait=True,
        )
        return await self._loader.answer(alias, sid, reply)

    async def revoke(
        self,
        alias: bytes,
        *,
        only: bytes | None = None,
        keep: bytes | None = None,
        reason: EndReason,
        event: Event | None = None,
    ) -> Revoked:
        if only is not None and keep is not None:
            raise ValueError("revoke takes `only` or `keep`, not both")
        mode = "only" if only is not None else "keep" if keep is not None else "all"
        return await self._revoke(alias, mode, only or keep or b"", reason, event)

    async def sessions(self, alias: bytes) -> Listed:
        return await self._listed(alias, "all")

    async def _listed(self, alias: bytes, ends: str) -> Listed:
        now, user_id, roles, living, finished, _, _, disabled = await self._calls.run(
            "sessions", self._keys.of_user(alias), alias, ends
        )
        records = form.read_listed(alias, user_id, roles, living)
        cut = self._calls.clock.not_before
        valid = tuple(record for record in records if record.security.created >= cut)
        done = form.read_finished(alias, user_id, roles, finished, now)
        return Listed(valid, now, done, bool(disabled))

    async def epoch(self, alias: bytes) -> int:
        own = await self._calls.read("HGET", self._keys.user(alias), "@e", anew=True)
        own_epoch = await self._wire.number(own)
        return own_epoch + self._calls.clock.not_before  # as epoch_of in user.lua

    # --- evidence ---

    async def recall(self, alias: bytes, sid: bytes) -> tuple[Memory, Memory]:
        keys = (self._keys.memory(alias, sid), self._keys.user_memory(alias))
        memory, user_memory = await self._wire.call("MGET", *keys)
        return form.read_memory(sid, memory), form.read_memory(alias, user_memory)

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
        now, word, *stored = await self._calls.run(
            "remember",
            self._keys.of_user(alias),
            *(sid, secret_hash),
            *form.pack_next_memory(sid, memory),
            *form.pack_next_memory(alias, user_memory),
            seen.pack(self._version) if seen else b"",
            *(set_flags, clear_flags, b"" if flags is None else flags & STANDING, alias),
            *(part for event in events for part in form.pack_event(event)),
            patient=True,
            beside=self._counters.keep_agent(seen.agent, agent) if seen else (),
        )
        if word == b"conflict":
            ours, users = form.read_memory(sid, stored[0]), form.read_memory(alias, stored[1])
            return Remembered(False, now, memory=ours, user_memory=users, flags=stored[2])
        return Remembered(word == b"done", now, gone=word == b"gone")

    # --- app data, field by field ---

    async def data_get(
        self, alias: bytes, sid: bytes, names: Collection[str] | None = None
    ) -> dict[str, bytes]:
        return await self._fields.get(alias, sid, names)

    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        return await self._fields.set(alias, sid, values)

    async def data_delete(self, alias: bytes, sid: bytes, names: Collection[str]) -> int:
        return await self._fields.delete(alias, sid, names)

    async def data_incr(self, alias: bytes, sid: bytes, name: str, by: int = 1) -> int | None:
        return await self._fields.incr(alias, sid, name, by)

    # --- users ---

    async def disable(self, alias: bytes, event: Event | None = None) -> Revoked:
        return await self._revoke(alias, "all", b"", EndReason.DISABLED, event, disable=True)

    async def enable(self, alias: bytes) -> bool:
        return bool(await self._wire.call("DEL", self._keys.disabled(alias), patient=True))

    async def forget(self, alias: bytes, user_id: str) -> int:
        _, gone = await self._calls.run("forget", self._keys.of_user(alias), alias, patient=True)
        await self._journal.erase(alias, user_id)
        return int(gone)

    async def export(self, alias: bytes, user_id: str) -> dict[str, Any]:
        _, *reply = await self._calls.run("export", self._keys.of_user(alias), alias, patient=True)
        told = form.read_exported(alias, reply)
        told["agents"] = await self.agents({record.seen.agent for record in told["sessions"]})
        return told | {"events": await self._journal.all_of(user_id)}

    # --- everyone ---

    async def revoke_everyone(self, event: Event | None = None) -> int:
        count = await self._directory.end_all()
        if filled := event_for_all(event, count):
            await self._journal.append(filled)
        return count

    async def ends(self, place: str, *, wait: float) -> Ends:
        return await self._channel.ends(place, wait)

    async def search(self, query: Query) -> Page:
        if query.alias is None:
            return await self._directory.search(query)
        listed = await self._listed(query.alias, "none")
        return await self._directory.search(query, siblings=listed.records)

    async def sweep(self, limit: int = 1000) -> tuple[Finished, ...]:
        return await self._directory.sweep(limit)

    # --- agents, counters, events ---

    async def agents(self, digests: Collection[bytes]) -> dict[bytes, str]:
        return await self._counters.agents(digests)

    async def count(self, kind: str, name: str, *, by: int = 1, window: int) -> int:
        return await self._counters.count(kind, name, by, window)

    async def counts(self, kind: str, *, window: int) -> dict[str, int]:
        return await self._counters.counts(kind, window)

    async def append(self, event: Event) -> None:
        await self._journal.append(event)

    async def events(self, query: EventQuery) -> EventPage:
        return await self._journal.page(query)

    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        from gatehound.stores.redis.tail import tail

        return await tail(self._calls, place, since, limit)

    async def shelf(self, name: str) -> Memory:
        from gatehound.stores.redis.shelf import read

        rule.check_shelf(name)
        return await read(self._calls, name)

    async def put(self, name: str, memory: Memory) -> bool:
        from gatehound.stores.redis.shelf import put

        rule.check_shelf(name, memory.data)
        return await put(self._calls, name, memory)

    async def living(self) -> int:
        return await self._directory.living()

    # --- for operators ---

    async def findings(self) -> list[Finding]:
        from gatehound.stores.redis.finding import server_findings

        return await server_findings(self._wire, prefix=self._keys.meta.removesuffix(b"meta"))

    async def dump(self, cursor: str = "", *, limit: int = 100) -> Dump:
        return await self._copying().dump(cursor, limit)

    async def restore(self, dump: Dump) -> None:
        await self._copying().restore(dump)

    # --- what several of them do ---

    def _copying(self) -> Copying:
        from gatehound.stores.redis.copying import Copying

        return Copying(self._calls, self._counters, self._version)

    async def _revoke(
        self,
        alias: bytes,
        mode: str,
        sid: bytes,
        reason: EndReason,
        event: Event | None,
        *,
        disable: bool = False,
    ) -> Revoked:
        name, _, _, event_reason, rest = form.pack_event(event)
        keys = self._keys.of_user(alias)
        args = (mode, sid, reason.code, b"1" if disable else b"", alias, name, event_reason, rest)
        try:
            reply = await self._calls.run("revoke", keys, *args, patient=True, wait=True)
        except SlotMoving:
            if disable:
                await self._wire.call("SET", self._keys.disabled(alias), "1", patient=True)
            reply = await self._calls.run_alone("revoke", keys[0], *args)
        now, epoch, user_id, roles, finished = reply
        done = form.read_finished(alias, user_id, roles, finished, now)
        return Revoked(done, int(epoch), now)
