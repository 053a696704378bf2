"""What the history checker found, each reduced to the least that shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from history.door_store import alias_of
from history.faults_many import KEYS, slot_of

import zoo
from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.model import EndReason
from gatehound.stores.answer import Created, NewSession, Revoked, Standing
from gatehound.stores.record import Seen
from gatehound.stores.redis import RedisStore

pytestmark = [pytest.mark.full, pytest.mark.ci]
ALIAS = alias_of("user0")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zoo.Cluster]:
    with zoo.cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def store(cluster: zoo.Cluster) -> Iterator[RedisStore]:
    opened = RedisStore(cluster.url, namespace="history", suspends=False)
    yield opened
    run_sync(opened.close())


def session(number: int) -> NewSession:
    sid = bytes([number]) * 8
    return NewSession(sid, ALIAS, "user0", sid * 2, 3_600_000, 36_000_000, Seen(0))


async def revoke(store: RedisStore) -> None:
    done = await store.revoke(ALIAS, only=session(1).sid, reason=EndReason.USER)
    assert isinstance(done, Revoked)
    assert [one.record.sid for one in done.finished] == [session(1).sid]


async def create(store: RedisStore) -> None:
    assert isinstance(await store.create(session(2)), Created)


async def look(store: RedisStore) -> None:
    old = session(1)
    for touch in (None, 0):
        answer = await store.load(ALIAS, old.sid, old.secret_hash, touch=touch)
        assert answer.standing is Standing.LIVE


async def count(store: RedisStore) -> None:
    assert await store.data_incr(ALIAS, session(1).sid, "n") == 1


@pytest.mark.parametrize("act", [look, count, create, revoke])
def test_a_slot_that_is_moved_within_a_second_delays_and_fails_nothing(
    cluster: zoo.Cluster, store: RedisStore, act: Callable[[RedisStore], Any]
) -> None:
    end = half_moved(cluster, store)
    timer = threading.Timer(0.4, end)
    timer.start()
    try:
        run_sync(act(store))
    finally:
        timer.join()


@pytest.mark.parametrize("act", [look, create, revoke])
def test_a_slot_that_moves_for_long_stops_no_request_login_or_end(
    cluster: zoo.Cluster, store: RedisStore, act: Callable[[RedisStore], Any]
) -> None:
    end = half_moved(cluster, store)
    try:
        run_sync(act(store))
    finally:
        end()


def test_an_epoch_that_is_no_number_is_corrupt(cluster: zoo.Cluster, store: RedisStore) -> None:
    """Nothing else in that reply says that it belongs to another question."""
    cluster.flush()
    key = KEYS.user(ALIAS)
    cluster.master_of(key).ask("HSET", key, "@e", "master")
    with pytest.raises(StoreCorrupt):
        run_sync(store.epoch(ALIAS))


@pytest.mark.parametrize(("kind", "within"), [("cluster", 0.1), ("sentinel", 2.0)])
def test_a_process_that_slept_through_a_failover_believes_no_deposed_master(
    kind: str, within: float, tmp_path: Path
) -> None:
    """The old master wakes up, and says "master" until it is told: by Sentinels after 10 s."""
    many = zoo.cluster(tmp_path) if kind == "cluster" else zoo.sentinels(tmp_path)
    with many as servers:
        busy, idle = (
            RedisStore(servers.url, namespace="history", suspends=False) for _ in range(2)
        )
        run_sync(busy.create(session(1)))
        run_sync(look(idle))
        with master_of(servers).frozen():
            zoo.until(lambda: replaced(busy))
        woke = time.monotonic()
        zoo.until(lambda: not run_sync(lives(idle)), 15)
        believed = time.monotonic() - woke
        for store in (busy, idle):
            run_sync(store.close())
    assert believed < within


def master_of(servers: zoo.Cluster | zoo.Watched) -> zoo.Server:
    if isinstance(servers, zoo.Cluster):
        return servers.owner(slot_of(ALIAS))
    return servers.master()


def replaced(busy: RedisStore) -> bool:
    """End the session; True where a new master did."""
    try:
        run_sync(busy.revoke(ALIAS, reason=EndReason.USER))
    except StoreUnavailable:
        return False
    return True


async def lives(store: RedisStore) -> bool:
    one = session(1)
    answer = await store.load(ALIAS, one.sid, one.secret_hash)
    return answer.standing is Standing.LIVE


def half_moved(cluster: zoo.Cluster, store: RedisStore) -> Callable[[], None]:
    """Sign in, and move all keys of the slot, but not yet the slot; return what does that.

    Now the source says ASK, and the target TRYAGAIN: some keys of a user never exist.
    """
    cluster.flush()
    run_sync(store.create(session(1)))
    slot = slot_of(ALIAS)
    source = cluster.owner(slot)
    target = next(one for one in cluster.each_master() if one is not source)
    return zoo.move_slot(cluster, slot, target)
