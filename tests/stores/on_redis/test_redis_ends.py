"""What Redis tells of sessions that end, over a real connection that breaks or is refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis_kit import load, new

import zoo
from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable, UsageError
from gatehound.model import EndReason
from gatehound.stores.answer import Ends, NewSession, Standing
from gatehound.stores.redis import RedisStore

CHANNEL = b"gh:own:ends"


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, namespace="own", suspends=True, deadline=5.0)
    try:
        yield store
    finally:
        await store.close()


def play(url: str, scene: Callable[[RedisStore], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with opened(url) as store:
            await scene(store)

    asyncio.run(whole())


async def here(store: RedisStore) -> str:
    return (await store.ends("", wait=0)).place


async def ended(store: RedisStore, session: NewSession) -> None:
    await store.create(session)
    await store.revoke(session.alias, only=session.sid, reason=EndReason.USER)


def listeners(admin: Any) -> int:
    ((_, count),) = admin.pubsub_numsub(CHANNEL)
    return int(count)


def test_an_end_is_told_at_once_and_from_any_place_that_is_kept(url: str, admin: Any) -> None:
    async def scene(store: RedisStore) -> None:
        first = await here(store)
        made = [new() for _ in range(3)]
        place, places = first, []
        for session in made:
            waiting = asyncio.create_task(store.ends(place, wait=20))
            await asyncio.sleep(0)
            await ended(store, session)
            ends = await waiting
            assert ends == Ends((session.sid,), False, False, ends.place)
            places.append(place := ends.place)
        assert (await store.ends(first, wait=0)).sids == tuple(one.sid for one in made)
        assert (await store.ends(places[0], wait=0)).sids == tuple(one.sid for one in made[1:])

    play(url, scene)


def test_everybody_is_told_of_and_the_next_question_knows(url: str, admin: Any) -> None:
    async def scene(store: RedisStore) -> None:
        session = new()
        await store.create(session)
        assert (await load(store, session)).standing is Standing.LIVE
        place = await here(store)
        async with opened(url) as other:  # as another process: `store` knows of nothing yet
            await other.revoke_everyone()
        told = await store.ends(place, wait=20)
        assert told.everyone or told.sids == (session.sid,)
        assert (await load(store, session)).standing is Standing.ENDED

    play(url, scene)


def test_a_connection_that_broke_has_missed_some(url: str, admin: Any) -> None:
    async def scene(store: RedisStore) -> None:
        place = await here(store)
        admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        with pytest.raises(StoreUnavailable, match="broke"):
            await store.ends(place, wait=20)
        lost = new()
        await ended(store, lost)
        again = await store.ends(place, wait=20)
        assert (again.missed, again.sids) == (True, ())
        session = new()
        await ended(store, session)
        assert (await store.ends(again.place, wait=20)).sids == (session.sid,)

    play(url, scene)


def test_connections_that_were_dropped_have_missed_some_too(url: str, admin: Any) -> None:
    async def scene(store: RedisStore) -> None:
        place = await here(store)
        await store.close()  # as after a reply that was mixed up
        assert (await store.ends(place, wait=20)).missed

    play(url, scene)


def test_who_listens_no_more_leaves_no_subscription(url: str, admin: Any) -> None:
    async def scene(store: RedisStore) -> None:
        place = await here(store)
        assert listeners(admin) == 1
        waiting = asyncio.create_task(store.ends(place, wait=20))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        zoo.until(lambda: listeners(admin) == 0)

    play(url, scene)


def test_several_listen_on_one_connection(url: str, admin: Any) -> None:
    async def scene(store: RedisStore) -> None:
        place = await here(store)
        waiting = [asyncio.create_task(store.ends(place, wait=20)) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert listeners(admin) == 1
        session = new()
        await ended(store, session)
        assert [ends.sids for ends in await asyncio.gather(*waiting)] == [(session.sid,)] * 3

    play(url, scene)


def test_what_others_publish_there_is_nothing(url: str, admin: Any) -> None:
    async def scene(store: RedisStore) -> None:
        place = await here(store)
        for rubbish in (b"", b"x" * 7, b"**", b"\xff" * 9):
            admin.publish(CHANNEL, rubbish)
        session = new()
        await ended(store, session)
        told: tuple[bytes, ...] = ()
        while not told:
            ends = await store.ends(place, wait=20)
            told, place = ends.sids, ends.place
        assert told == (session.sid,)

    play(url, scene)


def test_silence_is_an_answer(url: str, admin: Any) -> None:
    async def scene(store: RedisStore) -> None:
        place = await here(store)
        for _ in range(2):
            assert await store.ends(place, wait=0.01) == Ends((), False, False, place)

    play(url, scene)


def test_a_blocking_store_tells_nothing(url: str, admin: Any) -> None:
    store = RedisStore(url, namespace="own", suspends=False)
    assert not store.tells
    with pytest.raises(UsageError, match="under WSGI"):
        run_sync(store.ends("", wait=0))
    run_sync(store.close())


@pytest.mark.slow
def test_a_user_without_the_channel_revokes_all_the_same(tmp_path: Path) -> None:
    rules: dict[str, Sequence[str]] = {"app": [">pw", "~gh:*", "resetchannels", "+@all"]}
    with zoo.acl(tmp_path, rules) as server:

        async def scene(store: RedisStore) -> None:
            with pytest.raises(StoreUnavailable):
                await store.ends("", wait=0)
            session = new()
            await ended(store, session)
            assert (await load(store, session)).standing is Standing.ENDED

        play(f"redis://app:pw@{server.place}/0", scene)


@pytest.mark.slow
def test_a_cluster_tells_it_from_every_bucket(server: Callable[[str], str]) -> None:
    async def scene(store: RedisStore) -> None:
        place = await here(store)
        made = {(session := new()).sid: session for _ in range(12)}
        for session in made.values():
            await ended(store, session)
        told: set[bytes] = set()
        while len(told) < 12:
            ends = await store.ends(place, wait=20)
            assert ends.sids, "an end was not told"
            told.update(ends.sids)
            place = ends.place
        assert told == made.keys()

    play(server("cluster"), scene)
