"""A cluster: which server is asked, what is followed, and what is never sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis.exceptions
from redis_kit import HOUR, commands, load, new

import zoo
from gatehound._sync import run_sync
from gatehound.errors import StoreError, StoreUnavailable
from gatehound.stores.answer import Standing
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis import delivery as delivery_module
from gatehound.stores.redis import wire as wire_module
from gatehound.stores.redis.keys import Keys
from gatehound.stores.redis.wire import SlotMoving, Wire

pytestmark = pytest.mark.slow
Body = Callable[[Wire], Awaitable[None]]

# Two keys of each third of the slots, so of each master.
KEYS = (b"{1bz}a", b"{1bz}b", b"{kin}a", b"{kin}b", b"{45c}a", b"{45c}b")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zoo.Cluster]:
    with zoo.cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def cluster(shared: zoo.Cluster) -> Iterator[zoo.Cluster]:
    shared.flush()
    yield shared
    shared.heal()


@pytest.fixture(params=[False, True], ids=["sync", "loop"])
def play(request: pytest.FixtureRequest, cluster: zoo.Cluster) -> Callable[[Body], None]:
    """Return a function that plays a scene on a wire of each kind, and closes it."""

    def played(body: Body) -> None:
        async def whole() -> None:
            wire = Wire(cluster.url, suspends=request.param)
            try:
                await body(wire)
            finally:
                await wire.close()

        asyncio.run(whole()) if request.param else run_sync(whole())

    return played


def test_the_keys_lie_on_three_masters(cluster: zoo.Cluster) -> None:
    assert len({cluster.master_of(key).port for key in KEYS}) == 3


def test_a_batch_answers_in_order_from_all_servers(play: Callable[[Body], None]) -> None:
    async def body(wire: Wire) -> None:
        sets = [("SET", key, n) for n, key in enumerate(KEYS)]
        assert await wire.batch(sets) == [True] * 6
        mixed: list[Any] = [("GET", key) for key in KEYS]
        mixed[2:2] = [("LPUSH", KEYS[0], 1), ("TIME",), ("NOSUCH", KEYS[4])]
        replies = await wire.batch(mixed)
        assert [r for r in replies if isinstance(r, bytes)] == [b"%d" % n for n in range(6)]
        assert isinstance(replies[2], StoreError)
        assert len(replies[3]) == 2
        assert "unknown command" in str(replies[4])
        assert await wire.batch([("INCR", KEYS[3]), ("INCR", KEYS[3]), ("GET", KEYS[3])]) == [
            *(4, 5, b"5")
        ]
        assert await wire.call("EVAL", "return redis.call('GET', KEYS[1])", 1, KEYS[5]) == b"5"
        assert await wire.call("EVAL", "return 7", 0) == 7
        assert await wire.call("PING")
        with pytest.raises(StoreUnavailable, match="same slot"):
            await wire.call("MGET", KEYS[0], KEYS[2])

    play(body)


def test_keys_without_a_bucket_lie_where_they_hash(
    play: Callable[[Body], None], cluster: zoo.Cluster
) -> None:
    keys = Keys("own")
    names = [keys.meta, *(keys.agent(b"agent%d" % n) for n in range(20))]
    assert len({cluster.master_of(name).port for name in names}) == 3

    async def body(wire: Wire) -> None:
        assert await wire.batch([("SET", name, 1) for name in names]) == [True] * 21
        assert await wire.batch([("GET", name) for name in names]) == [b"1"] * 21

    play(body)


@pytest.mark.parametrize("suspends", [False, True])
def test_a_script_that_a_server_has_not_goes_by_its_text(
    suspends: bool, cluster: zoo.Cluster
) -> None:
    async def whole() -> None:
        store = RedisStore(cluster.url, namespace="own", suspends=suspends)
        for _ in range(2):
            for server in cluster.each_master():
                server.ask("SCRIPT", "FLUSH")
            sessions = [new() for _ in range(12)]
            for session in sessions:
                await store.create(session)
            for session in sessions:
                assert (await load(store, session, 0)).standing is Standing.LIVE
        await store.close()

    asyncio.run(whole()) if suspends else run_sync(whole())


@pytest.mark.parametrize("suspends", [False, True])
def test_a_load_costs_one_command_there_too(suspends: bool, cluster: zoo.Cluster) -> None:
    async def whole() -> None:
        store = RedisStore(cluster.url, namespace="own", suspends=suspends)
        session = new()
        await store.create(session)
        await load(store, session)
        owner = cluster.master_of(store._keys.user(session.alias))
        with owner.client() as admin, commands(admin) as counted:
            for _ in range(10):
                await load(store, session, HOUR)
        counted.pop("replconf", None)
        assert counted == {"hmget": 10}
        await store.close()

    asyncio.run(whole()) if suspends else run_sync(whole())


# --- slots that move ---


def other_master(cluster: zoo.Cluster, server: zoo.Server) -> zoo.Server:
    return next(one for one in cluster.each_master() if one is not server)


def test_a_slot_that_has_moved_is_followed(
    play: Callable[[Body], None], cluster: zoo.Cluster
) -> None:
    slot = redis.crc.key_slot(KEYS[0])

    async def body(wire: Wire) -> None:
        await wire.batch([("SET", key, n) for n, key in enumerate(KEYS)])
        target = other_master(cluster, cluster.owner(slot))
        zoo.move_slot(cluster, slot, target)()
        assert await wire.call("GET", KEYS[0]) == b"0"
        replies = await wire.batch([("GET", key) for key in KEYS])
        assert replies == [b"%d" % n for n in range(6)]
        await wire.call("GET", KEYS[0])  # the map was read anew, and says the same
        found = wire._masters.find(slot)
        assert found is not None
        assert found.port == target.port

    play(body)


def test_a_half_moved_slot_answers_from_both_ends(
    play: Callable[[Body], None], cluster: zoo.Cluster
) -> None:
    slot = redis.crc.key_slot(KEYS[0])

    async def body(wire: Wire) -> None:
        await wire.batch([("SET", KEYS[0], 0), ("SET", KEYS[1], 1)])
        end = zoo.move_slot(cluster, slot, other_master(cluster, cluster.owner(slot)), keys=1)
        try:
            assert await wire.batch([("GET", KEYS[0]), ("GET", KEYS[1])]) == [b"0", b"1"]
            assert await wire.call("INCR", b"{1bz}new") == 1  # ASK: it is not here any more
            assert await wire.batch([("INCR", b"{1bz}new"), ("INCR", KEYS[0])], wait=1) == [
                *(2, 1, 1)
            ]
        finally:
            end()
        assert await wire.batch([("GET", KEYS[0]), ("GET", b"{1bz}new")]) == [b"1", b"2"]

    play(body)


def test_two_keys_of_a_half_moved_slot_wait_for_its_end(
    play: Callable[[Body], None], cluster: zoo.Cluster
) -> None:
    slot = redis.crc.key_slot(KEYS[0])

    async def body(wire: Wire) -> None:
        await wire.batch([("SET", KEYS[0], 0), ("SET", KEYS[1], 1)])
        end = zoo.move_slot(cluster, slot, other_master(cluster, cluster.owner(slot)), keys=1)
        rests: list[int] = []

        async def rest() -> None:
            rests.append(1)
            if len(rests) == 3:
                end()

        vars(wire._delivery)["_rest"] = rest
        replies = await wire.batch([("MGET", KEYS[0], KEYS[1]), ("GET", KEYS[2])])
        assert replies == [[b"0", b"1"], None]
        assert len(rests) == 3

    play(body)


def test_what_never_gets_through_is_named(
    play: Callable[[Body], None], cluster: zoo.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_PERSIST", 0.1)
    slot = redis.crc.key_slot(KEYS[0])

    async def body(wire: Wire) -> None:
        await wire.batch([("SET", KEYS[0], 0), ("SET", KEYS[1], 1)])
        end = zoo.move_slot(cluster, slot, other_master(cluster, cluster.owner(slot)), keys=1)
        try:
            with pytest.raises(SlotMoving, match="moving the keys"):
                await wire.call("MGET", KEYS[0], KEYS[1])
            assert await wire.call("GET", KEYS[1]) == b"1"
        finally:
            end()

    play(body)


# --- servers that are silent ---


def test_a_frozen_master_holds_nobody_and_gets_nothing_twice(
    play: Callable[[Body], None], cluster: zoo.Cluster
) -> None:
    async def body(wire: Wire) -> None:
        await wire.batch([("SET", key, 0) for key in KEYS])
        await wire.call("GET", KEYS[0], patient=True)
        frozen = cluster.master_of(KEYS[0])
        with frozen.frozen():
            start = time.monotonic()
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await wire.call("INCR", KEYS[0])
            first = time.monotonic() - start
            others = await wire.batch([("GET", KEYS[2]), ("GET", KEYS[1]), ("GET", KEYS[4])])
            second = time.monotonic() - start - first
        assert 0.2 < first < 0.45
        assert second < 0.6
        assert (others[0], others[2]) == (b"0", b"0")
        assert isinstance(others[1], StoreUnavailable)
        assert zoo.until(lambda: frozen.ask("GET", KEYS[0])) == b"1"

    play(body)


def test_any_one_address_leads_to_the_cluster(cluster: zoo.Cluster) -> None:
    places = [f"127.0.0.1:{zoo.free_port(range(12000, 20000))}", cluster.servers[4].place]
    wire = Wire("redis+cluster://" + ",".join(places), suspends=False)
    assert run_sync(wire.batch([("GET", key) for key in KEYS])) == [None] * 6
    assert len(run_sync(wire.masters())) == 3
    run_sync(wire.close())


@pytest.mark.parametrize("suspends", [False, True])
def test_no_cluster_at_all_is_named(suspends: bool, server: Callable[[str], str]) -> None:
    async def whole() -> None:
        single = server("redis").split("/")[2]
        nobody = f"127.0.0.1:{zoo.free_port(range(12000, 20000))}"
        for place, words in (
            (single, "cluster support disabled"),
            (nobody, "refused the connection"),
        ):
            wire = Wire(f"redis+cluster://:s3cret@{place}", suspends=suspends)
            if place == single:
                wire = Wire(f"redis+cluster://{place}", suspends=suspends)
            with pytest.raises(StoreUnavailable, match=words) as caught:
                await wire.call("GET", b"k")
            assert "s3cret" not in str(caught.value)
            [reply] = await wire.batch([("GET", b"k")])
            assert isinstance(reply, StoreUnavailable)
            with pytest.raises(StoreUnavailable, match="no master was found"):
                await wire.masters()
            await wire.close()

    asyncio.run(whole()) if suspends else run_sync(whole())


def test_one_server_of_a_cluster_says_what_it_is(cluster: zoo.Cluster) -> None:
    wire = Wire(cluster.servers[0].url, suspends=False)
    replies = run_sync(wire.batch([("GET", key) for key in KEYS]))
    errors = [str(reply) for reply in replies if reply is not None]
    assert len(errors) == 4
    assert all("use redis+cluster://" in words for words in errors)
    run_sync(wire.close())


# --- replicas, messages ---


def test_a_write_waits_for_its_replica(play: Callable[[Body], None], cluster: zoo.Cluster) -> None:
    async def body(wire: Wire) -> None:
        commands = [("SET", KEYS[0], 1), ("GET", KEYS[2])]
        assert await wire.batch(commands, wait=1, patient=True) == [True, None, 1]
        assert await wire.batch([("NOSUCH", KEYS[0])], wait=1) != []
        master = cluster.master_of(KEYS[0])
        port = master.ask("ROLE")[2][0][1]
        replica = next(s for s in cluster.servers if s.port == int(port))
        with replica.frozen():
            start = time.monotonic()
            assert await wire.batch([("SET", KEYS[0], 2)], wait=1) == [True, 0]
            assert time.monotonic() - start < 0.25

    play(body)


def test_a_message_is_heard_wherever_it_was_said(cluster: zoo.Cluster) -> None:
    channel = b"gh:own:ends"

    async def body() -> None:
        wire = Wire(cluster.url, suspends=True)
        assert await wire.messages(channel, 0.05) is None
        for server in cluster.servers:
            server.ask("PUBLISH", channel, server.place)
            assert await wire.messages(channel, 5) == [server.place.encode()]
        await wire.call("PUBLISH", channel, b"\x00\xff")
        assert await wire.messages(channel, 5) == [b"\x00\xff"]
        assert await wire.messages(channel, 0.01) == []
        assert await wire.messages(channel, 0.05) == []
        await wire.close()
        assert await wire.messages(channel, 0.01) is None
        await wire.stop_listening()
        await wire.close()

    asyncio.run(body())


def test_a_listener_notices_that_it_hears_nothing(cluster: zoo.Cluster) -> None:
    channel = b"gh:own:ends"

    async def body() -> None:
        wire = Wire(cluster.url, suspends=True)
        assert await wire.messages(channel, 0.05) is None
        for server in cluster.servers:
            server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        with pytest.raises(StoreUnavailable, match="listens for messages broke"):
            await wire.messages(channel, 5)
        assert await wire.messages(channel, 0.05) is None
        listening = [s for s in cluster.servers if s.ask("PUBSUB", "NUMSUB", channel)[1]]
        assert len(listening) == 1
        with listening[0].frozen():
            assert await wire.messages(channel, 0.05) == []
            with pytest.raises(StoreUnavailable, match="silent"):
                await wire.messages(channel, 0.05)
            assert await wire.messages(channel, 0.05) is None
        await wire.close()

    asyncio.run(body())


@pytest.mark.parametrize("suspends", [False, True])
def test_a_script_tells_how_many_replicas_have_it(suspends: bool, cluster: zoo.Cluster) -> None:
    async def whole() -> None:
        store = RedisStore(cluster.url, namespace="own", suspends=suspends)
        calls = store._calls
        calls.wait = 1
        key = calls.keys.counters("logins", HOUR, 1)
        now = await calls.refresh()
        args: tuple[Any, ...] = (now // HOUR, HOUR, b"anna", 1)
        for server in cluster.each_master():
            server.ask("SCRIPT", "FLUSH")
        for total in (1, 2):  # by its text, and by its digest
            reply = await calls.run("count", [key], *args, patient=True, wait=True)
            assert reply[1:] == [total]
            assert reply.acknowledged == 1
        assert (await calls.run("count", [key], *args)).acknowledged is None
        await store.close()

    asyncio.run(whole()) if suspends else run_sync(whole())


@pytest.mark.parametrize("suspends", [False, True])
def test_a_session_of_one_server_needs_no_other(suspends: bool, cluster: zoo.Cluster) -> None:
    async def whole() -> None:
        store = RedisStore(cluster.url, namespace="own", suspends=suspends)
        keeper = cluster.master_of(store._keys.meta)
        session = new()
        while cluster.master_of(store._keys.user(session.alias)) is keeper:
            session = new()
        await store.create(session)
        with keeper.frozen():
            store._calls.clock._looked.clear()  # as after a second
            assert await store.data_incr(session.alias, session.sid, "a") == 1
            for touch in (None, 0):
                store._calls.clock._looked.clear()
                assert (await load(store, session, touch)).standing is Standing.LIVE
        assert await store.data_get(session.alias, session.sid) == {"a": b"1"}
        await store.close()

    asyncio.run(whole()) if suspends else run_sync(whole())


def test_a_batch_to_silent_servers_ends_in_time(
    cluster: zoo.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_module, "CONNECT", 0.0)
    wire = Wire(cluster.url, suspends=False)
    run_sync(wire.batch([("GET", key) for key in KEYS]))
    with contextlib.ExitStack() as stack:
        for server in cluster.each_master():
            stack.enter_context(server.frozen())
        start = time.monotonic()
        replies = run_sync(wire.batch([("GET", key) for key in KEYS]))
        assert time.monotonic() - start < 0.7
    assert all(isinstance(reply, StoreUnavailable) for reply in replies)
    assert len([reply for reply in replies if "was not asked" in str(reply)]) == 2
    run_sync(wire.close())


@pytest.mark.parametrize(
    ("error", "asked", "words"),
    [
        (redis.exceptions.ClusterDownError("The cluster is down"), 1, "no server answers for"),
        (redis.exceptions.ResponseError("CLUSTERDOWN of an old client"), 1, "no server answers"),
        (redis.exceptions.MovedError("7 :1"), 6, r"redis\+cluster"),
        (redis.exceptions.ResponseError("MOVED 7 127.0.0.1:1"), 6, r"redis\+cluster"),
        (redis.exceptions.AskError("7 127.0.0.1:1"), 6, "moving the keys"),
        (redis.exceptions.MasterDownError("link is down"), 1, "lost its master"),
        (redis.exceptions.BusyLoadingError("loading"), 1, "reading its data set"),
    ],
)
def test_refusals_are_followed_so_far_and_no_further(
    cluster: zoo.Cluster, error: Exception, asked: int, words: str
) -> None:
    wire = Wire(cluster.url, suspends=False)
    run_sync(wire.masters())
    ask, places = wire.nodes.ask, []

    async def refuse(address: Any, batch: Any, *, patient: bool = False) -> list[Any]:
        if batch[0][0] == "CLUSTER":
            return await ask(address, batch, patient=patient)
        places.append(address)
        return [error] * len(batch)

    vars(wire.nodes)["ask"] = refuse
    with pytest.raises(StoreUnavailable, match=words):
        run_sync(wire.call("GET", KEYS[0]))
    assert len(places) == asked
    run_sync(wire.close())


# --- processes and loops ---


def test_a_child_opens_its_own_connections_to_all(cluster: zoo.Cluster) -> None:
    wire = Wire(cluster.url, suspends=False)
    run_sync(wire.batch([("SET", key, n) for n, key in enumerate(KEYS)]))
    mine = dict(wire.nodes._blocking)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork beside threads
        child = os.fork()
    if child == 0:
        verdict = b"no"
        try:
            fresh = not wire.nodes._blocking
            for _ in range(50):
                replies = run_sync(wire.batch([("GET", key) for key in KEYS]))
                fresh = fresh and replies == [b"%d" % n for n in range(6)]
            if fresh and not set(mine.values()) & set(wire.nodes._blocking.values()):
                verdict = b"ok"
        finally:
            os.write(write, verdict)
            os._exit(0)
    for _ in range(50):
        assert run_sync(wire.call("GET", KEYS[3])) == b"3"
    os.waitpid(child, 0)
    assert os.read(read, 2) == b"ok"
    os.close(read)
    os.close(write)
    assert wire.nodes._blocking.items() >= mine.items()
    run_sync(wire.close())


def test_two_loops_in_turn_share_a_wire(cluster: zoo.Cluster) -> None:
    wire = Wire(cluster.url, suspends=True)

    async def body() -> None:
        assert await wire.messages(b"channel", 0.01) is None
        assert len(await wire.batch([("GET", key) for key in KEYS])) == 6
        assert len(wire.nodes._of_loop) == 1
        await wire.close()
        assert len(wire.nodes._of_loop) == 0

    asyncio.run(body())
    asyncio.run(body())
