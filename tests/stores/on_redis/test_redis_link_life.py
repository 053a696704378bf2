"""The shared connection is opened and closed beside others, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import random
import warnings
from typing import Any

import pytest
import redis
import redis.asyncio
from hot_kit import (
    ECHO,
    breaker_of,
    clients,
    failing,
    link_of,
    opened,
    play,
    shared_of,
    until,
)
from puppet import MASTER, puppet

import zoo
from gatehound.errors import StoreUnavailable
from gatehound.stores.redis.link import Link
from gatehound.stores.redis.wire import Wire

# --- closing ---


@pytest.mark.parametrize("end", ["close", "mixed_up"])
@pytest.mark.parametrize("phase", ["opening", "waiting"])
def test_a_close_tells_those_who_open_and_those_who_wait(end: str, phase: str) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    arrived = asyncio.Event()

    def say(words: list[bytes]) -> bytes | None:
        if (words[0] == b"ROLE") == (phase == "opening"):
            with contextlib.suppress(RuntimeError):  # the loop is over
                loops[0].call_soon_threadsafe(arrived.set)
            return None
        return MASTER

    with puppet(say) as server:

        async def body() -> None:
            loops.append(asyncio.get_running_loop())
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                asked = [asyncio.create_task(wire.call("GET", f"{n}")) for n in range(3)]
                await arrived.wait()
                asked[0].cancel()
                await getattr(wire, end)()
                told = await asyncio.gather(*asked, return_exceptions=True)
                assert isinstance(told[0], asyncio.CancelledError)
                assert all(isinstance(error, StoreUnavailable) for error in told[1:])
                assert all("was closed" in str(error) for error in told[1:])
                assert breaker_of(wire).silences == 0

        play(body)


def test_a_close_tells_also_a_task_that_was_cancelled_before_and_went_on() -> None:
    """Such a task says that it is being cancelled for the rest of its life."""
    with puppet(lambda words: None) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                begun = asyncio.Event()

                async def stubborn() -> None:
                    with contextlib.suppress(asyncio.CancelledError):
                        begun.set()
                        await asyncio.Event().wait()
                    await failing(wire.call("GET", "k"), StoreUnavailable, "was closed")

                task = asyncio.create_task(stubborn())
                await begun.wait()
                task.cancel()
                await until(lambda: server.asked)
                await wire.close()
                await task

        play(body)


def test_a_loop_may_end_right_after_a_close() -> None:
    """Also where somebody began to open a connection, and left."""
    told: list[Any] = []
    with puppet(lambda words: None) as server:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda _, context: told.append(context))
        wire = Wire(f"redis://{server.place}", suspends=True, deadline=5.0)

        async def leave() -> None:
            task = asyncio.create_task(wire.call("GET", "k"))
            await until(lambda: server.asked)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        loop.run_until_complete(leave())
        loop.run_until_complete(wire.close())
        loop.close()
        gc.collect()
    assert told == []


def test_a_loop_may_end_right_after_a_close_with_an_open_connection(url: str, admin: Any) -> None:
    told: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    wire = Wire(url, suspends=True)
    loop.run_until_complete(wire.call("TIME"))
    loop.run_until_complete(wire.close())
    loop.close()
    gc.collect()
    assert told == []


@pytest.mark.slow
def test_whoever_leaves_at_any_point_of_an_opening_leaves_nothing_behind(
    url: str, admin: Any
) -> None:
    """Each step of the loop is a place to be cancelled at; the others are served all the same."""

    async def body() -> None:
        for steps in range(40):
            for close in (False, True):
                async with opened(url, deadline=5.0) as wire:
                    asked = [
                        asyncio.create_task(wire.call("EVAL", ECHO, 0, f"{n}")) for n in range(3)
                    ]
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    if close:
                        await wire.close()
                    else:
                        asked[0].cancel()
                        asked[2].cancel()
                    told = await asyncio.gather(*asked, return_exceptions=True)
                    if close:
                        for n, one in enumerate(told):
                            assert one == b"%d" % n or isinstance(one, StoreUnavailable), one
                    else:
                        assert told[1] == b"1"
                    assert breaker_of(wire).silences == 0

    play(body)
    assert clients(admin) == []


def test_a_close_waits_for_nobody_but_lets_go_of_what_is_owed(url: str, admin: Any) -> None:
    """`drop` closes what is idle; replies that are due still come."""

    async def body() -> None:
        async with opened(url, deadline=5.0) as wire:
            await wire.call("TIME")
            asked = [asyncio.create_task(wire.call("EVAL", ECHO, 0, n)) for n in range(5)]
            await asyncio.sleep(0)
            await wire.nodes.drop(wire.target.seeds[0])
            assert await asyncio.gather(*asked) == [b"%d" % n for n in range(5)]
            await until(lambda: not clients(admin))

    play(body)


def test_a_link_that_nobody_holds_lives_until_it_has_answered(url: str, admin: Any) -> None:
    async def body() -> None:
        wire = Wire(url, suspends=True, deadline=5.0)
        await wire.call("TIME")
        asked = link_of(wire).ask([("EVAL", ECHO, 0, "x")])
        shared_of(wire)._link = None
        gc.collect()
        assert await asked == [b"x"]
        await wire.close()

    play(body)
    assert clients(admin) == []


def test_a_connection_that_rested_for_too_long_is_replaced(url: str, admin: Any) -> None:
    seconds = [100.0]

    async def body() -> None:
        async with opened(f"{url}?health_check_interval=30", clock=lambda: seconds[0]) as wire:
            first = await wire.call("GET", "k"), link_of(wire)
            seconds[0] += 29
            assert (await wire.call("GET", "k"), link_of(wire)) == first
            seconds[0] += 31
            await wire.call("GET", "k")
            assert link_of(wire) is not first[1]
            await until(lambda: len(clients(admin)) == 1)

    play(body)


async def damage(wire: Wire, admin: Any, turn: int) -> None:
    """Do one of several things to a wire, or nothing."""
    if turn % 5 == 0:
        for client in clients(admin):
            with contextlib.suppress(redis.ResponseError):
                admin.client_kill_filter(_id=client["id"])
    elif turn % 5 == 1:
        await (wire.close if turn % 2 else wire.mixed_up)()
    elif turn % 5 == 2:
        await wire.nodes.drop(wire.target.seeds[0])


def broken(url: str, admin: Any, turns: int) -> None:
    """Callers that leave, closes, and a server that hangs up: all are told, and nothing is mixed.

    The oracle: an answer is the caller's own, and what is no answer is StoreUnavailable.
    """
    chance = random.Random(11)

    async def body() -> None:
        # The breaker would keep all from asking for a second each time.
        seconds = itertools.count()
        wire = Wire(url, suspends=True, deadline=600.0, clock=lambda: 10.0 * next(seconds))
        right = 0

        async def ask(n: int) -> None:
            nonlocal right
            size = chance.choice([1, 1, 3])
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            texts = [b"%d-%d" % (n, k) for k in range(size)]
            replies = await wire.batch([("EVAL", ECHO, 0, text) for text in texts])
            for reply, text in zip(replies, texts, strict=True):
                assert reply == text or isinstance(reply, StoreUnavailable), reply
                right += reply == text

        for turn in range(turns):
            tasks = [asyncio.create_task(ask(turn * 100 + k)) for k in range(20)]
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            await damage(wire, admin, turn)
            for task in chance.sample(tasks, 5):
                task.cancel()
            async with asyncio.timeout(20):
                results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                assert result is None or isinstance(result, asyncio.CancelledError), result
        assert right > turns * 10
        await wire.close()

    play(body)
    zoo.until(lambda: not clients(admin))


@pytest.mark.slow
def test_whatever_breaks_all_are_told(url: str, admin: Any) -> None:
    broken(url, admin, 30)


@pytest.mark.full
@pytest.mark.ci
def test_whatever_breaks_all_are_told_for_long(url: str, admin: Any) -> None:
    broken(url, admin, 2000)


# --- loops and processes ---


def test_two_loops_in_turn_have_a_connection_each(url: str, admin: Any) -> None:
    wire = Wire(url, suspends=True)
    links: list[Link] = []

    async def body() -> None:
        asked = (wire.call("EVAL", ECHO, 0, n) for n in range(5))
        assert await asyncio.gather(*asked) == [b"%d" % n for n in range(5)]
        links.append(link_of(wire))
        await wire.close()

    play(body)
    play(body)
    assert links[0] is not links[1]
    assert clients(admin) == []


def test_a_child_opens_its_own_and_leaves_the_parents_alone(url: str, admin: Any) -> None:
    wire = Wire(url, suspends=True, deadline=5.0)

    async def ask() -> list[Any]:
        asked = (wire.call("EVAL", ECHO, 0, n) for n in range(20))
        return await asyncio.gather(*asked)

    expected = [b"%d" % n for n in range(20)]
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(ask()) == expected
    shared = wire.nodes._of_loop[loop]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            fresh = not list(wire.nodes._of_loop)
            own = asyncio.new_event_loop()
            if fresh and own.run_until_complete(ask()) == expected:
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    theirs = [client for client in clients(admin) if client["cmd"] != "client|list"]
    assert len(theirs) == 1
    assert loop.run_until_complete(ask()) == expected
    assert wire.nodes._of_loop[loop] is shared
    loop.run_until_complete(wire.close())
    loop.close()
