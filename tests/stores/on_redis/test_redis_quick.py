"""A load that is asked again: one trip, and what comes is compared with what came before.

Oracle: `load` of the same store, asked the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis_kit import HOUR, MINUTE, Body, load, new, trips

from gatehound.errors import StoreUnavailable
from gatehound.model import EndReason
from gatehound.stores.answer import Lost, NewSession, Standing
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.load import Loader, PlainRead


async def asked(
    quick: Loader, question: PlainRead, touch: int | None = None
) -> tuple[Any, list[Any]]:
    """Ask, and wait for the replies as an adapter does."""
    found = quick.ask(question, touch)
    assert found is not None
    trip, replies = found
    try:
        return trip, await replies if quick._wire.suspends else replies
    except Exception as error:
        return trip, Lost(error)


async def known(store: RedisStore, session: NewSession) -> tuple[Loader, PlainRead]:
    """Return the question of a session with what it was answered with, over an open connection."""
    quick: Any = store.quick
    await store.create(session)
    await load(store, session, 0)
    await load(store, session)
    about = session.alias, session.sid, session.secret_hash
    _, replies = await asked(quick, quick.question(*about))
    return quick, quick.question(*about, replies)


@pytest.fixture
def run(play: Callable[[Body], None], request: pytest.FixtureRequest) -> Callable[[Body], None]:
    """Play where there is a short way; redis-py's own client has none."""
    if "plain" in request.node.callspec.id:
        pytest.skip("nothing is quick without the multiplexed connection")
    return play


def test_an_unchanged_session_is_told_by_its_bytes(run: Callable[[Body], None]) -> None:
    async def body(store: RedisStore) -> None:
        session = new()
        quick, question = await known(store, session)
        assert question.record == (await load(store, session)).record
        with trips(store) as sent:
            trip, replies = await asked(quick, question, HOUR)
            now = quick.told(question, replies)
        assert sent == ["HMGET"]
        answer = await load(store, session)
        assert 0 <= answer.now - now < MINUTE
        again = await quick.go_on(question, (trip, replies), HOUR)
        assert (again.standing, again.record) == (answer.standing, answer.record)

    run(body)


def test_what_has_changed_is_not_told(run: Callable[[Body], None]) -> None:
    async def body(store: RedisStore) -> None:
        session = new()
        quick, question = await known(store, session)
        await store.revoke(session.alias, only=session.sid, reason=EndReason.ADMIN)
        found = await asked(quick, question)
        assert quick.told(question, found[1]) == 0
        answer = await quick.go_on(question, found, None)
        assert answer.standing is Standing.ENDED

    run(body)


def test_everybody_is_over_at_once(run: Callable[[Body], None]) -> None:
    async def body(store: RedisStore) -> None:
        session = new()
        quick, question = await known(store, session)
        _, replies = await asked(quick, question)
        assert quick.told(question, replies)
        store._calls.clock.learn_not_before(question.created + 1)
        assert quick.told(question, replies) == 0

    run(body)


@pytest.mark.parametrize("change", ["rotated", "another secret", "long", "no list", "nothing"])
def test_some_replies_stand_for_no_record(run: Callable[[Body], None], change: str) -> None:
    async def body(store: RedisStore) -> None:
        session = new(user_id="u" * 500) if change == "long" else new()
        quick, question = await known(store, session)
        if change == "rotated":  # until the new secret is presented, a write is due
            about = session.alias, session.sid, session.secret_hash
            await store.rotate(*about, b"n" * 16, grace=10_000)
            question = quick.question(session.alias, session.sid, b"n" * 16)
        found = await asked(quick, question)
        others: dict[str, list[Any]] = {"no list": [b"PONG"], "nothing": [[None] * 5]}
        replies = others.get(change, found[1])
        proof = b"?" * 16 if change == "another secret" else question.secret_hash
        made = quick.question(session.alias, session.sid, proof, replies)
        assert (made.record, made.parts) == (None, ())
        assert quick.told(made, replies) == 0
        if change in ("rotated", "long"):
            answer = await quick.go_on(question, found, None)
            assert (answer.standing, answer.record) == (Standing.LIVE, answer.record)
            assert answer.record.user_id == session.user_id  # type: ignore[union-attr] # it is live

    run(body)


def test_what_takes_more_is_left_to_load(run: Callable[[Body], None]) -> None:
    async def body(store: RedisStore) -> None:
        session = new()
        quick, question = await known(store, session)
        assert quick.ask(question, 0) is None  # a touch is due
        unseen = new()
        assert quick.ask(quick.question(unseen.alias, unseen.sid, b"s" * 16), MINUTE) is None
        store._calls.clock._looked.clear()
        assert quick.ask(question, None) is None  # the line of the bucket is asked for beside
        await load(store, session)
        await store.close()
        assert quick.ask(question, None) is None  # a connection has to be opened

    run(body)


@pytest.mark.parametrize("is_late", [True, False])
def test_a_reply_that_did_not_come_is_the_error_of_load(
    run: Callable[[Body], None], is_late: bool
) -> None:
    async def body(store: RedisStore) -> None:
        quick, question = await known(store, new())
        wire = store._wire
        client: Any = wire.nodes.client(wire.target.seeds[0], "hot")
        trip = client.trip() if store.suspends else client

        async def later() -> Any:
            raise OSError("gone")

        def wrong(data: bytes, count: int = 1) -> Any:
            if is_late and store.suspends:
                return later()
            raise OSError("gone")

        trip.ask_packed = wrong
        found = await asked(quick, question)
        del trip.ask_packed
        assert quick.told(question, found[1]) == 0
        with pytest.raises(StoreUnavailable):
            await quick.go_on(question, found, None)

    run(body)


def test_a_refusal_is_asked_again_where_it_belongs(run: Callable[[Body], None]) -> None:
    async def body(store: RedisStore) -> None:
        session = new()
        quick, question = await known(store, session)
        trip, _ = await asked(quick, question)
        answer = await quick.go_on(question, (trip, [ValueError("refused")]), None)
        assert answer.standing is Standing.LIVE

    run(body)


def test_a_store_with_another_load_is_asked_by_that(url: str) -> None:
    class Own(RedisStore):
        def load(self, *args: Any, **options: Any) -> Any:
            return super().load(*args, **options)

    assert Own(url, namespace="own", suspends=False).quick is None
    assert RedisStore(url, namespace="own", suspends=False).quick is not None


def test_a_connection_that_rested_is_replaced(url: str, admin: Any) -> None:
    """With `health_check_interval` nobody believes that it is open."""
    import asyncio

    async def body() -> None:
        opened = RedisStore(f"{url}?health_check_interval=1", namespace="own", suspends=True)
        await known(opened, new())
        wire = opened._wire
        shared: Any = wire.nodes.client(wire.target.seeds[0], "hot")
        link = shared.trip()
        assert link is not None
        link.used_at -= 2
        assert shared.trip() is None
        await opened.close()

    asyncio.run(body())
