"""What the tests of the hot ways share: a loop that complains of nothing, and a look inside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from puppet import MASTER, Say

import zoo
from gatehound.stores.redis.breaker import Breaker
from gatehound.stores.redis.direct import Direct
from gatehound.stores.redis.link import Link, Shared
from gatehound.stores.redis.node import Way
from gatehound.stores.redis.wire import Wire

ECHO = "return ARGV[1]"


def play(body: Callable[[], Awaitable[Any]]) -> None:
    """Run a scene on a loop of its own; nothing may be left that its handler would be told of."""
    told: list[Any] = []

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        await body()
        await asyncio.sleep(0)

    gc.freeze()  # what was there before need not be looked through
    try:
        asyncio.run(whole())
        gc.collect()  # what was never awaited or closed says so when it is collected
    finally:
        gc.unfreeze()
    assert told == []


@contextlib.asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Wire]:
    wire = Wire(url, suspends=True, **options)
    try:
        yield wire
    finally:
        await wire.close()


def shared_of(wire: Wire) -> Shared:
    client = wire.nodes.client(wire.target.seeds[0], Way.HOT)
    assert isinstance(client, Shared)
    return client


def link_of(wire: Wire) -> Link:
    link = shared_of(wire).trip()
    assert link is not None
    return link


def direct_of(wire: Wire) -> Direct:
    client = wire.nodes.client(wire.target.seeds[0], Way.HOT)
    assert isinstance(client, Direct)
    return client


def breaker_of(wire: Wire) -> Breaker:
    return wire.nodes.breaker(wire.target.seeds[0])


async def until(true: Callable[[], Any], seconds: float = 5) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


def after_connecting(client: Direct | Shared, then: Callable[[Any], Any]) -> None:
    """Let something happen to each connection that redis-py has just opened.

    `then` may return an awaitable, under asyncio.
    """
    pool = client._server.pool
    kind = pool.connection_class

    def made(**options: Any) -> Any:
        connection = kind(**options)
        connect = connection.connect

        async def connect_and_then() -> None:
            await connect()
            await then(connection)

        def connect_then() -> None:
            connect()
            then(connection)

        connection.connect = connect_and_then if isinstance(client, Shared) else connect_then
        return connection

    pool.connection_class = made


def clients(admin: Any) -> list[Any]:
    """The connections to a server, but for the one that asks."""
    own = admin.client_id()
    return [client for client in admin.client_list() if int(client["id"]) != own]


def hang_up_on_all(admin: Any) -> None:
    for client in clients(admin):
        admin.client_kill_filter(_id=client["id"])
    zoo.until(lambda: not clients(admin))


def greeted(reply: Say) -> Say:
    """What a puppet says that is a master and goes on with `reply`."""
    return lambda words: MASTER if words[0] == b"ROLE" else reply(words)


async def failing(asked: Awaitable[Any], kind: type[Exception], match: str = ".*") -> float:
    """Expect an error; return how many seconds that took."""
    began = time.monotonic()
    with pytest.raises(kind, match=match):
        await asked
    return time.monotonic() - began
