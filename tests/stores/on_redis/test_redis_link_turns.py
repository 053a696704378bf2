"""Who waits for a reply over the shared connection goes on in the turn that reads it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hot_kit import greeted, link_of, opened, play
from puppet import pack, puppet

from gatehound.stores.redis import link as link_module
from gatehound.stores.redis.link import Link

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who")


@contextlib.asynccontextmanager
async def unanswered() -> AsyncIterator[Link]:
    """A link to a server that answers nothing more: the test says what is read, and when."""
    with puppet(greeted(lambda words: pack(b"1") if words[1] == b"k" else None)) as server:
        async with (
            asyncio.timeout(10),  # one that is never told would wait for ever
            opened(f"redis://{server.place}", deadline=5.0) as wire,
        ):
            await wire.call("GET", "k")
            yield link_of(wire)


async def read(link: Link, *replies: Any) -> None:
    """Let the loop read these, all at once and in no task, and nothing more of that turn."""
    done = asyncio.Event()

    def received() -> None:
        try:
            link.data_received(b"".join(map(pack, replies)))
        finally:
            done.set()

    asyncio.get_running_loop().call_soon(received)
    await done.wait()


async def tasks(link: Link, *bodies: Any) -> list[asyncio.Task[Any]]:
    """Start these, each of which asks; return once they wait."""
    started = [asyncio.create_task(body) for body in bodies]
    await asyncio.sleep(0)
    assert len(link._waiting) == len(started)
    return started


def test_each_goes_on_in_the_turn_that_reads_after_all_replies_are_given_out() -> None:
    async def body() -> None:
        async with unanswered() as link:
            order: list[Any] = []

            async def ask(name: str) -> None:
                WHO.set(name)
                replies = await link.ask([("GET", name)])
                order.append((WHO.get(), replies, len(link._waiting)))

            started = await tasks(link, ask("a"), ask("b"), ask("c"))
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: link.data_received(pack(b"1") + pack(b"2")))
            loop.call_soon(lambda: order.append("the turn goes on"))
            await asyncio.sleep(0)
            assert order == [("a", [b"1"], 1), ("b", [b"2"], 1), "the turn goes on"]
            assert [task.done() for task in started] == [True, True, False]
            await read(link, b"3")
            assert order[3:] == [("c", [b"3"], 0)]
            await asyncio.gather(*started)

    play(body)


def test_who_goes_on_may_ask_again_and_is_answered_by_the_next_read() -> None:
    async def body() -> None:
        async with unanswered() as link:

            async def ask() -> list[Any]:
                return [await link.ask([("GET", "x")]) for _ in range(3)]

            [first, second] = await tasks(link, ask(), ask())
            for n in (1, 3, 5):
                await read(link, n, n + 1)
            assert [await first, await second] == [[[1], [3], [5]], [[2], [4], [6]]]

    play(body)


def test_one_that_another_cancels_with_its_reply_there_is_cancelled() -> None:
    async def body() -> None:
        async with unanswered() as link:
            waiting: list[asyncio.Task[Any]] = []

            async def ask(other: int) -> Any:
                replies = await link.ask([("GET", "x")])
                waiting[other].cancel()
                return replies

            waiting += await tasks(link, ask(1), ask(0), ask(0))
            await read(link, b"1", b"2", b"3")
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert (found[0], found[2]) == ([b"1"], [b"3"])
            assert isinstance(found[1], asyncio.CancelledError)
            assert link.is_open

    play(body)


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit])
def test_one_that_ends_the_program_keeps_no_reply_from_the_others(
    ends: type[BaseException],
) -> None:
    async def body() -> None:
        async with unanswered() as link:

            async def ask() -> Any:
                return await link.ask([("GET", "x")])

            async def ask_and_end() -> None:
                await ask()
                raise ends

            [first, ending, last] = await tasks(link, ask(), ask_and_end(), ask())
            raised: list[BaseException] = []

            def received() -> None:
                try:
                    link.data_received(pack(b"1") + pack(b"2") + pack(b"3"))
                except BaseException as error:
                    raised.append(error)

            asyncio.get_running_loop().call_soon(received)
            assert [await first, await last] == [[b"1"], [b"3"]]
            assert [type(error) for error in raised] == [ends]
            assert type(ending.exception()) is ends

    play(body)


def test_within_a_task_or_in_its_own_context_it_is_left_to_the_loop() -> None:
    async def body() -> None:
        async with unanswered() as link:

            async def ask() -> Any:
                return await link.ask([("GET", "x")])

            [task] = await tasks(link, ask())
            link.data_received(pack(b"1"))  # by this very task: it is not over yet
            assert not task.done()
            assert await task == [b"1"]

            context = contextvars.copy_context()
            task = asyncio.create_task(ask(), context=context)
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(link.data_received, pack(b"2"), context=context)
            assert await task == [b"2"]

    play(body)


@pytest.mark.parametrize("knows", [True, False])
def test_two_that_wait_for_one_and_none_that_waits_are_served_as_ever(
    knows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`False` stands for a Python whose futures do not say who waits for them."""
    monkeypatch.setattr(link_module, "_KNOWS_WHO_WAITS", knows)

    async def body() -> None:
        async with unanswered() as link:
            asked = link.ask([("GET", "x")])

            async def wait() -> Any:
                return await asked

            both = [asyncio.create_task(wait()) for _ in range(2)]
            alone = link.ask([("GET", "y")])
            await asyncio.sleep(0)
            await read(link, b"1", b"2")
            assert await asyncio.gather(*both) == [[b"1"]] * 2
            assert await alone == [b"2"]
            assert await asyncio.wait_for(asked, 1) == [b"1"]

            timed = asyncio.create_task(asyncio.wait_for(link.ask([("GET", "z")]), 5))
            await asyncio.sleep(0)
            await read(link, b"3")
            assert await timed == [b"3"]

    play(body)
