"""A slot that is moved while people sign in and out: what names several keys is told to try again.

Half of the keys of the bucket lie on each side for the whole test, so everything that needs two of
them goes the last way: over the user's hash alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis.crc
from redis_kit import CHANCE, load, new

import zoo
from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.model import EndReason, Event
from gatehound.stores.answer import Created, EventQuery, NewSession, Query, Refused, Standing
from gatehound.stores.redis import RedisStore

pytestmark = [pytest.mark.full, pytest.mark.ci]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zoo.Cluster]:
    folder = tmp_path_factory.mktemp("moving")
    with zoo.cluster(folder, "--cluster-require-full-coverage", "no") as started:
        yield started


@pytest.fixture(params=[False, True], ids=["sync", "loop"])
def play(request: pytest.FixtureRequest, cluster: zoo.Cluster) -> Callable[..., None]:
    def played(body: Any) -> None:
        async def whole() -> None:
            cluster.flush()
            store = RedisStore(cluster.url, namespace="own", suspends=request.param)
            try:
                await body(store)
            finally:
                await store.close()

        if request.param:
            asyncio.run(whole())
        else:
            run_sync(whole())

    return played


async def answers(store: RedisStore, session: NewSession) -> bool:
    try:
        return (await load(store, session)).standing is Standing.LIVE
    except StoreUnavailable:
        return False


def half_move(cluster: zoo.Cluster, store: RedisStore, alias: bytes) -> Callable[[], None]:
    """Leave the keys of this user's bucket on both sides."""
    slot = redis.crc.key_slot(store._keys.user(alias))
    source = cluster.owner(slot)
    target = next(server for server in cluster.each_master() if server is not source)
    return zoo.move_slot(cluster, slot, target, keys=2)


def test_nobody_is_kept_in_or_out_by_a_slot_on_its_way(
    cluster: zoo.Cluster, play: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def body(store: RedisStore) -> None:
        alias = CHANCE.randbytes(12)
        first, second = new(alias), new(alias)
        event = Event("session_created", "anna")
        for session in (first, second):
            await store.create(session, event)
            await store.data_set(alias, session.sid, {"a": b"1"})
        end = half_move(cluster, store, alias)
        try:
            assert (await load(store, first, 0)).standing is Standing.LIVE
            done = await store.revoke(alias, only=first.sid, reason=EndReason.USER, event=event)
            assert [ended.record.sid for ended in done.finished] == [first.sid]
            assert (await load(store, first)).standing is Standing.ENDED
            third = new(alias)
            assert isinstance(await store.create(third, event), Created)
            assert (await load(store, third)).standing is Standing.LIVE
            with pytest.raises(StoreUnavailable):  # its texts would lie in a second key
                await store.create(new(alias, user_id="u" * 100), event)
            done = await store.disable(alias)
            assert {ended.record.sid for ended in done.finished} == {second.sid, third.sid}
            refused = await store.create(new(alias), event)
            assert isinstance(refused, Refused)
            assert refused.reason == "disabled"
        finally:
            end()
        assert "moving keys between servers" in caplog.text
        assert (await load(store, third)).standing is Standing.ENDED
        assert isinstance(await store.create(new(alias), event), Refused)
        await store.enable(alias)
        assert isinstance(await store.create(new(alias), event), Created)
        assert len((await store.search(Query())).records) == 1
        names = [event.name for event in (await store.events(EventQuery())).events]
        assert names.count("session_created") == 3

    with caplog.at_level(logging.WARNING, "gatehound"):
        play(body)


def test_a_new_user_of_a_slot_on_its_way(cluster: zoo.Cluster, play: Callable[..., None]) -> None:
    async def body(store: RedisStore) -> None:
        there = new()
        await store.create(there, Event("session_created", "anna"))
        bucket = store._keys.bucket(there.alias)
        alias = next(
            alias
            for alias in iter(lambda: CHANCE.randbytes(12), b"")
            if store._keys.bucket(alias) == bucket
        )
        end = half_move(cluster, store, alias)
        try:
            session = new(alias)
            assert isinstance(await store.create(session), Created)
            assert (await load(store, session)).standing is Standing.LIVE
        finally:
            end()
        assert (await load(store, session)).standing is Standing.LIVE
        assert len((await store.sessions(alias)).records) == 1

    play(body)


def test_one_server_that_is_frozen_costs_its_own_users_alone(
    cluster: zoo.Cluster, play: Callable[..., None]
) -> None:
    async def body(store: RedisStore) -> None:
        people = [new() for _ in range(30)]
        for session in people:
            await store.create(session)
        for victim in cluster.each_master():
            theirs = [s for s in people if cluster.master_of(store._keys.user(s.alias)) is victim]
            others = [s for s in people if s not in theirs]
            assert theirs
            assert others
            store._calls.clock._looked.clear()  # as a process that has asked for nothing yet
            with victim.frozen():
                with pytest.raises(StoreUnavailable):
                    await load(store, theirs[0])
                for session in others[:10]:
                    for touch in (None, 0):
                        assert (await load(store, session, touch)).standing is Standing.LIVE
                    assert isinstance(await store.create(new(session.alias)), Created)
            cluster.heal()
            back = time.monotonic()
            while not await answers(store, theirs[0]):  # its breaker rests for a second
                assert time.monotonic() < back + 3
                time.sleep(0.05)  # noqa: ASYNC251 - nothing else runs on this loop

    play(body)
