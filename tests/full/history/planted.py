"""Stores with a known defect each, which a run must find: else the checker proves nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from gatehound.stores.answer import Answer, Standing
from gatehound.stores.base import Store
from gatehound.stores.record import Record, Security, Seen
from gatehound.stores.redis.store import RedisStore


def plant(name: str, store: Store) -> Store:
    """Return the store with the defect of that name."""
    assert isinstance(store, RedisStore)
    return {"shared": _share, "cached": _cache}[name](store)


def _share(store: RedisStore) -> Store:
    """Load over one connection of the whole process, without asking whose reply it is."""
    address = urlsplit(f"redis://{store._wire.place}")
    connection = socket.create_connection((address.hostname or "", address.port or 6379))
    file, turn = connection.makefile("rb"), threading.Lock()

    async def load(
        alias: bytes, sid: bytes, secret_hash: bytes, *, touch: int | None = None
    ) -> Answer:
        fields = (sid, sid + b"t", b"@u", b"@r")
        with turn:
            _send(connection, b"HMGET", store._keys.user(alias), *fields)
        time.sleep(0.001)  # noqa: ASYNC251 - here another thread sends its own question
        with turn:
            security, *others = _reply(file)
        if not security:
            return Answer(Standing.UNKNOWN, 0)
        seen, user_id, roles = (part or b"" for part in others)
        record = Record(
            alias=alias,
            user_id=user_id.decode(),
            roles=tuple(json.loads(roles)),
            security=Security(sid, secret_hash, created=0, authenticated=0, expires=0, idle=0),
            seen=Seen.unpack(seen),
        )
        return Answer(Standing.LIVE, 0, record=record)

    honest_close = store.close

    async def close() -> None:
        file.close()
        connection.close()
        await honest_close()

    store.load = load  # type: ignore[method-assign]  # the planted defect
    store.close = close  # type: ignore[method-assign]  # and its end
    return store


def _cache(store: RedisStore) -> Store:
    """Answer from what was true a moment ago."""
    kept: dict[bytes, tuple[float, Answer]] = {}
    honest = store.load

    async def load(
        alias: bytes, sid: bytes, secret_hash: bytes, *, touch: int | None = None
    ) -> Answer:
        known = kept.get(sid + secret_hash)
        if known is not None and time.monotonic() - known[0] < 1.0:
            return known[1]
        answer = await honest(alias, sid, secret_hash, touch=touch)
        kept[sid + secret_hash] = time.monotonic(), answer
        return answer

    store.load = load  # type: ignore[method-assign]  # the planted defect
    return store


def _send(connection: socket.socket, *parts: bytes) -> None:
    lines = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    connection.sendall(b"*%d\r\n%s" % (len(parts), lines))


def _reply(file: Any) -> list[bytes | None]:
    parts: list[bytes | None] = []
    for _ in range(int(file.readline()[1:])):
        size = int(file.readline()[1:])
        parts.append(None if size < 0 else file.read(size + 2)[:-2])
    return parts
