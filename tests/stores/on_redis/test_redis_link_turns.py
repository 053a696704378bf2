"""Who waits for replies over the shared connection: all those of one read go on at once."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any

import pytest
from hot_kit import ECHO, greeted, link_of, opened, play
from puppet import pack, puppet

from gatehound.stores.redis import link as link_module
from gatehound.stores.redis.link import Link
from parts import missing

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
    """Let the link read these, all at once, and let those go on who wait for them."""
    link.data_received(b"".join(map(pack, replies)))
    await asyncio.sleep(0)


async def tasks(link: Link, *bodies: Any) -> list[asyncio.Task[Any]]:
    """Start these, each of which asks; return once they wait."""
    started = [asyncio.create_task(body) for body in bodies]
    await asyncio.sleep(0)
    assert len(link._waiting) == len(started)
    return started


def test_all_of_one_read_go_on_after_it_in_their_order_and_contexts() -> None:
    async def body() -> None:
        async with unanswered() as link:
            order: list[Any] = []

            async def ask(name: str) -> None:
                WHO.set(name)
                replies = await link.ask([("GET", name)])
                order.append((WHO.get(), replies, len(link._waiting)))

            started = await tasks(link, ask("a"), ask("b"), ask("c"))
            link.data_received(pack(b"1") + pack(b"2"))
            asyncio.get_running_loop().call_soon(order.append, "the next of the loop")
            assert order == []
            await asyncio.sleep(0)
            assert order == [("a", [b"1"], 1), ("b", [b"2"], 1), "the next of the loop"]
            await read(link, b"3")
            assert order[3:] == [("c", [b"3"], 0)]
            await asyncio.gather(*started)

    play(body)


def test_one_callback_of_the_loop_is_for_all_of_a_read() -> None:
    async def body() -> None:
        async with unanswered() as link:

            async def ask() -> Any:
                return await link.ask([("GET", "x")])

            started = await tasks(link, *[ask() for _ in range(5)])
            loop: Any = asyncio.get_running_loop()
            waiting = len(loop._ready)
            link.data_received(b"".join(pack(b"%d" % n) for n in range(5)))
            assert len(loop._ready) == waiting + 1
            assert await asyncio.gather(*started) == [[b"%d" % n] for n in range(5)]

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


@pytest.fixture(params=["asyncio", "uvloop"])
def make_loop(request: pytest.FixtureRequest) -> Callable[[], Any]:
    if request.param == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError:
        missing("uvloop")
    make: Callable[[], Any] = uvloop.new_event_loop
    return make


def test_frames_above_a_handler_show_nothing_of_what_others_were_told(
    url: str, admin: Any, make_loop: Callable[[], Any]
) -> None:
    """Reporters of errors show the local variables of all frames, cut by nobody."""
    seen: list[str] = []

    def look() -> None:
        frame: FrameType | None = sys._getframe()
        while (frame := frame and frame.f_back) is not None:
            seen.extend(map(repr, frame.f_locals.values()))

    async def body() -> None:
        async with opened(url, deadline=5.0) as wire:
            await wire.call("TIME")
            link = link_of(wire)

            async def ask(number: int) -> None:
                await link.ask([("EVAL", "return 'told-' .. ARGV[1]", 0, number)])
                look()

            await asyncio.gather(*[asyncio.create_task(ask(n)) for n in range(9)])

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(body())
    assert any("_Ready object" in text for text in seen)
    assert [text for text in seen if "told-" in text] == []


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit])
def test_a_task_that_ends_the_program_ends_it_and_the_others_too(
    url: str, admin: Any, make_loop: Callable[[], Any], ends: type[BaseException]
) -> None:
    others: list[asyncio.Task[Any]] = []
    ending: list[asyncio.Task[Any]] = []

    async def body() -> None:
        async with opened(url, deadline=5.0) as wire:
            await wire.call("TIME")

            async def ask_and_end() -> None:
                await wire.call("EVAL", ECHO, 0, "x")
                raise ends("over")

            others.append(asyncio.create_task(wire.call("EVAL", ECHO, 0, "y")))
            ending.append(asyncio.create_task(ask_and_end()))
            others.append(asyncio.create_task(wire.call("EVAL", ECHO, 0, "z")))
            await asyncio.wait(ending, timeout=5)
            raise AssertionError("the program went on")

    with (
        pytest.raises(ends, match="over"),
        asyncio.Runner(loop_factory=make_loop) as runner,
    ):
        runner.run(body())
    assert type(ending[0].exception()) is ends
    assert [task.done() for task in others] == [True, True]


@pytest.mark.parametrize("knows", [True, False])
def test_two_that_wait_for_one_and_what_nobody_waits_for_are_served_as_ever(
    knows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`False` stands for a Python whose futures do not say who waits, and for nest_asyncio."""
    if not knows:
        monkeypatch.setattr(link_module, "_FUTURE", None)

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
