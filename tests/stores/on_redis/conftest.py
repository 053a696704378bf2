"""An empty server for each test, and a store of each kind on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis_kit import Body

from gatehound._sync import run_sync
from gatehound.stores.redis import RedisStore

LONG = (pytest.mark.full, pytest.mark.ci)


@pytest.fixture(params=["redis", pytest.param("valkey", marks=LONG)])
def url(request: pytest.FixtureRequest, server: Callable[[str], str]) -> str:
    return server(request.param)


@pytest.fixture
def admin(url: str) -> Iterator[Any]:
    """A plain client, over an empty server."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client


@pytest.fixture
def store(url: str, admin: Any) -> Iterator[RedisStore]:
    opened = RedisStore(url, namespace="own", suspends=False)
    yield opened
    run_sync(opened.close())


@pytest.fixture(
    params=[
        "sync",
        "loop",
        pytest.param("sync-plain", marks=LONG),
        pytest.param("loop-plain", marks=LONG),
    ]
)
def play(request: pytest.FixtureRequest, url: str, admin: Any) -> Callable[[Body], None]:
    """Return a function that plays a scene on a store of each kind, and closes it.

    Those with "-plain" send all through redis-py's own client.
    """
    kind, _, plain = request.param.partition("-")
    suspends = kind == "loop"

    def played(body: Body) -> None:
        async def whole() -> None:
            opened = RedisStore(url, namespace="own", suspends=suspends, multiplex=not plain)
            try:
                await body(opened)
            finally:
                await opened.close()

        if suspends:
            asyncio.run(whole())
        else:
            run_sync(whole())

    return played
