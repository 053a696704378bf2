"""What the tests of the Redis store share."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gatehound.model import EndReason, Event
from gatehound.stores.answer import (
    Memory,
    Meta,
    NewSession,
)
from gatehound.stores.record import Seen
from gatehound.stores.redis import RedisStore

HOUR = 3_600_000
MINUTE = 60_000
Body = Callable[[RedisStore], Awaitable[None]]
CHANCE = random.Random(7)


def new(alias: bytes | None = None, **changes: Any) -> NewSession:
    values: dict[str, Any] = {
        "sid": CHANCE.randbytes(8),
        "alias": alias or CHANCE.randbytes(12),
        "user_id": "anna",
        "secret_hash": CHANCE.randbytes(16),
        "idle": HOUR,
        "absolute": 12 * HOUR,
        "seen": Seen(0, bytes([192, 0, 2, 7]), "NO", 3143244, b"agent1", (b"pair01", b"")),
        "roles": ("editor",),
        "agent": "Mozilla/5.0 (Made up)",
    }
    return NewSession(**values | changes)


async def load(store: RedisStore, session: NewSession, touch: int | None = None) -> Any:
    return await store.load(session.alias, session.sid, session.secret_hash, touch=touch)


@contextmanager
def commands(admin: Any) -> Iterator[dict[str, int]]:
    """Count the commands that the server ran meanwhile, without what a connection begins with."""
    greetings = ("client", "select", "info", "config", "auth", "hello", "role")
    counted: dict[str, int] = {}
    admin.config_resetstat()
    yield counted
    for name, stats in admin.info("commandstats").items():
        command = name.removeprefix("cmdstat_")
        if command.split("|")[0] not in greetings:
            counted[command] = stats["calls"]


class _Counted:
    """A trip that notes what is sent over it."""

    def __init__(self, trip: Any, sent: list[str]) -> None:
        self.address = trip.address
        self._trip = trip
        self._sent = sent

    def ask_packed(self, data: bytes, count: int = 1) -> Any:
        self._sent.append(data.split(b"\r\n", 3)[2].decode())
        return self._trip.ask_packed(data, count)


@contextmanager
def trips(store: RedisStore) -> Iterator[list[str]]:
    """List what is sent, an entry a trip."""
    sent: list[str] = []
    wire = store._wire
    call, batch, short = wire.call, wire.batch, wire.short

    async def counted_call(*command: Any, **options: Any) -> Any:
        sent.append(str(command[0]))
        return await call(*command, **options)

    async def counted_batch(batched: Any, **options: Any) -> Any:
        sent.append("+".join(str(command[0]) for command in batched))
        return await batch(batched, **options)

    def counted_short(key: bytes) -> Any:
        trip = short(key)
        return trip and _Counted(trip, sent)

    vars(wire).update(call=counted_call, batch=counted_batch, short=counted_short)
    try:
        yield sent
    finally:
        del wire.call, wire.batch, wire.short


async def everything(store: RedisStore) -> None:
    """Call every method once, in an order where each finds something to do."""
    one, two = new(user_id="u" * 500, roles=("r" * 80,), memory=b"first"), new()
    event = Event("session_created", user_id="anna")
    await store.prepare(Meta(b"f" * 16, "own"))
    for session in (one, two, new(two.alias)):
        await store.create(session, event)
        await load(store, session, 0)
    await store.data_set(one.alias, one.sid, {"a": b"1"})
    await store.data_incr(one.alias, one.sid, "a")
    await store.data_get(one.alias, one.sid)
    await store.data_delete(one.alias, one.sid, ["b"])
    await store.remember(
        one.alias,
        one.sid,
        one.secret_hash,
        memory=Memory(b"more", 1),
        user_memory=Memory(b"all", 0),
        seen=one.seen,
        agent="b",
        set_flags=4,
        events=[event],
    )
    await store.recall(one.alias, one.sid)
    await store.rotate(one.alias, one.sid, one.secret_hash, b"n" * 16, absolute=HOUR, event=event)
    await store.revoke(two.alias, only=two.sid, reason=EndReason.USER, event=event)
    await store.count("logins", "anna", window=MINUTE)
    await store.append(Event("login_failed", user_id="anna"))
    await store.append(Event("token_forged"))
    await store.disable(two.alias, event)
    await store.sessions(one.alias)
    await store.sweep()
    assert await store.put("work", Memory(b"note"))
    assert (await store.shelf("work")).version == 1
    assert await store.living() >= 1
    told = await store.tail("", since=0)
    await store.tail(told.place)
    await store.export(one.alias, one.user_id)
    assert (await store.data_get(one.alias, one.sid)) == {"a": b"2"}
