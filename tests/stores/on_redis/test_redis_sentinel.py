"""Sentinels name the master; a replica is not taken for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from redis_kit import load, new

import zoo
from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.model import EndReason
from gatehound.stores.answer import Standing
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.address import Address
from gatehound.stores.redis.wire import Wire

pytestmark = pytest.mark.slow
SECRET = "s3cret"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zoo.Watched]:
    with zoo.sentinels(tmp_path_factory.mktemp("sentinels"), secret=SECRET) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["sync", "loop"])
def whole(request: pytest.FixtureRequest) -> Callable[[Callable[[bool], Awaitable[None]]], None]:
    """Return a function that runs a scene, telling it whether to suspend."""

    def run(body: Callable[[bool], Awaitable[Any]]) -> None:
        async def scene() -> None:
            await body(request.param)

        asyncio.run(scene()) if request.param else run_sync(scene())

    return run


Whole = Callable[[Callable[[bool], Awaitable[None]]], None]


def test_a_store_behind_sentinels(watched: zoo.Watched, whole: Whole) -> None:
    async def body(suspends: bool) -> None:
        store = RedisStore(watched.url, namespace="own", suspends=suspends)
        session = new()
        await store.create(session)
        assert (await load(store, session, 0)).standing is Standing.LIVE
        assert (await store.revoke(session.alias, reason=EndReason.USER)).finished
        [master] = await store._wire.masters()
        assert master == Address("127.0.0.1", watched.master().port)
        assert await store._wire.batch([("SET", "k", 1)], wait=1, patient=True) == [True, 1]
        assert SECRET not in repr(store)
        await store.close()

    whole(body)


def test_a_message_behind_sentinels(watched: zoo.Watched) -> None:
    async def body() -> None:
        wire = Wire(watched.url, suspends=True)
        assert await wire.messages(b"channel", 0.05) is None
        watched.master().ask("PUBLISH", b"channel", b"hello")
        assert await wire.messages(b"channel", 5) == [b"hello"]
        await wire.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("/main/", "/other/"), "knows no master"),
        (("sentinel_password=terc3s", "sentinel_password=wr0ng"), "refused"),
        (("?sentinel_password=terc3s", ""), "refused"),
    ],
)
def test_sentinels_that_do_not_help_are_named(
    watched: zoo.Watched, whole: Whole, change: tuple[str, str], words: str
) -> None:
    async def body(suspends: bool) -> None:
        wire = Wire(watched.url.replace(*change), suspends=suspends)
        with pytest.raises(StoreUnavailable, match=f"no master was found by .*{words}") as caught:
            await wire.call("GET", "k")
        for secret in (SECRET, SECRET[::-1], "wr0ng"):
            assert secret not in str(caught.value)
        await wire.close()

    whole(body)


def test_one_sentinel_that_answers_is_enough(watched: zoo.Watched, whole: Whole) -> None:
    dead = f"127.0.0.1:{zoo.free_port(range(12000, 20000))}"
    places = f"{dead},{watched.sentinels[2].place}"

    async def body(suspends: bool) -> None:
        url = f"redis+sentinel://:{SECRET}@{places}/main{watched.query}"
        wire = Wire(url, suspends=suspends)
        assert await wire.call("PING")
        assert str(wire._masters._topology.informants()[0]) == watched.sentinels[2].place
        await wire.close()

    whole(body)


def test_a_replica_is_refused_by_its_role(watched: zoo.Watched, whole: Whole) -> None:
    replica = next(server for server in watched.data if server is not watched.master())

    async def body(suspends: bool) -> None:
        wire = Wire(f"redis://:{SECRET}@{replica.place}", suspends=suspends)
        for command in (("GET", "k"), ("SET", "k", 1)):
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match=r"replica.*redis\+sentinel://"):
                    await wire.call(*command)
        await wire.close()

    whole(body)


@pytest.mark.parametrize("kind", ["redis-6.2", zoo.SYSTEM])
def test_a_master_that_was_demoted_is_left(kind: str, whole: Whole, tmp_path: Any) -> None:
    with zoo.server(kind, tmp_path) as first, zoo.server(kind, tmp_path) as second:

        async def body(suspends: bool) -> None:
            store = RedisStore(first.url, namespace="own", suspends=suspends)
            session = new()
            await store.create(session)
            first.ask("REPLICAOF", "127.0.0.1", second.port)
            try:
                for _ in range(2):
                    with pytest.raises(StoreUnavailable, match=r"(?s)replica.*redis\+sentinel://"):
                        await store.create(new())
                # The refusal closed the connections, and a new one is asked for its role.
                with pytest.raises(StoreUnavailable, match="replica"):
                    await load(store, session)
            finally:
                first.ask("REPLICAOF", "NO", "ONE")
            await store.create(new())
            await store.close()

        whole(body)


def test_a_server_that_hides_its_role_is_believed(whole: Whole, tmp_path: Any) -> None:
    with zoo.acl(tmp_path, {"app": [">pw", "~*", "+@all", "-role"]}) as server:

        async def body(suspends: bool) -> None:
            wire = Wire(f"redis://app:pw@{server.place}", suspends=suspends)
            assert await wire.call("SET", "k", 1)
            await wire.close()

        whole(body)
