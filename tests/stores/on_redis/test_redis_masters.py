"""When Sentinels are asked, who waits for them, and how long their last word counts.

Time is told by hand, and the Sentinels are played: what they say is the test's.
"""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from puppet import MASTER, Puppet, pack, puppet

from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.stores.redis.master import BELIEF, FRESH
from gatehound.stores.redis.topology import PAUSE
from gatehound.stores.redis.wire import Wire


class Scene:
    """Three Sentinels and two masters, each of which says who it is to GET."""

    def __init__(self, stack: ExitStack) -> None:
        self.now = 100.0
        self.masters = [stack.enter_context(puppet(self._data(name))) for name in (b"old", b"new")]
        self.names: dict[int, Puppet | None] = {}
        self.sentinels = [stack.enter_context(puppet(self._sentinel(n))) for n in range(3)]
        self.name(self.masters[0])

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(one.place for one in self.sentinels)}/main"

    @property
    def asked(self) -> int:
        return sum(len(one.asked) for one in self.sentinels)

    def name(self, master: Puppet | None, *sentinels: int) -> None:
        """Let these Sentinels (none: all) name a master, or know none."""
        for number in sentinels or range(3):
            self.names[number] = master

    def clock(self) -> float:
        return self.now

    def _data(self, name: bytes) -> Callable[[list[bytes]], bytes]:
        return lambda words: MASTER if words[0] == b"ROLE" else pack(name)

    def _sentinel(self, number: int) -> Callable[[list[bytes]], bytes]:
        def say(words: list[bytes]) -> bytes:
            master = self.names[number]
            return pack(master and [b"127.0.0.1", b"%d" % master.port])

        return say


@pytest.fixture
def scene() -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(stack)


Play = Callable[[Callable[[Wire], Awaitable[None]]], None]


@pytest.fixture(params=[False, True], ids=["sync", "loop"])
def play(request: pytest.FixtureRequest, scene: Scene) -> Play:
    def played(body: Callable[[Wire], Awaitable[None]]) -> None:
        async def whole() -> None:
            wire = Wire(scene.url, suspends=request.param, deadline=5.0, clock=scene.clock)
            try:
                await body(wire)
            finally:
                await wire.close()

        asyncio.run(whole()) if request.param else run_sync(whole())

    return played


@pytest.mark.slow
def test_one_question_a_second(play: Play, scene: Scene) -> None:
    async def body(wire: Wire) -> None:
        for second in range(1, 3):
            for _ in range(5):
                assert await wire.call("GET", "k") == b"old"
                assert await wire.batch([("GET", "k"), ("GET", "k")]) == [b"old"] * 2
            assert scene.asked == second
            scene.now += FRESH

    play(body)


def test_nobody_is_asked_after_his_last_word_is_over(play: Play, scene: Scene) -> None:
    """A process that slept: the old master still answers, and says that it is one."""

    async def body(wire: Wire) -> None:
        assert await wire.call("GET", "k") == b"old"
        scene.name(scene.masters[1])
        assert await wire.call("GET", "k") == b"old"  # for less than a second
        scene.now += FRESH
        assert await wire.call("GET", "k") == b"new"
        scene.now += 3600
        scene.name(scene.masters[0])
        assert await wire.batch([("GET", "k")], wait=1) == [b"old", b"old"]

    play(body)


def test_their_silence_is_borne_for_so_long(play: Play, scene: Scene) -> None:
    async def body(wire: Wire) -> None:
        assert await wire.call("GET", "k") == b"old"
        scene.name(None)  # as if started anew, without their file
        for _ in range(9):
            scene.now += BELIEF / 10
            assert await wire.call("GET", "k") == b"old"
        scene.now += BELIEF / 10
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=r"no master was found .*knows no master"):
                await wire.call("GET", "k")
        scene.name(scene.masters[1], 2)
        scene.now += PAUSE
        assert await wire.call("GET", "k") == b"new"

    play(body)


def test_a_long_sleep_believes_nobody_at_once(play: Play, scene: Scene) -> None:
    async def body(wire: Wire) -> None:
        assert await wire.call("GET", "k") == b"old"
        scene.name(None)
        scene.now += BELIEF
        with pytest.raises(StoreUnavailable, match="no master was found"):
            await wire.call("GET", "k")

    play(body)


def test_while_they_are_silent_they_are_left_alone_for_a_moment(play: Play, scene: Scene) -> None:
    async def body(wire: Wire) -> None:
        assert await wire.call("GET", "k") == b"old"
        scene.name(None)
        scene.now += FRESH
        before = scene.asked
        for _ in range(5):
            assert await wire.call("GET", "k") == b"old"
        assert scene.asked == before + 3
        scene.now += PAUSE
        assert await wire.call("GET", "k") == b"old"
        assert scene.asked == before + 6

    play(body)


def test_who_answered_last_is_asked_first(play: Play, scene: Scene) -> None:
    async def body(wire: Wire) -> None:
        scene.name(None, 0, 1)
        assert await wire.call("GET", "k") == b"old"
        assert scene.asked == 3
        scene.now += FRESH
        assert await wire.call("GET", "k") == b"old"
        assert len(scene.sentinels[2].asked) == 2
        assert scene.asked == 4

    play(body)


@pytest.mark.parametrize("first", [True, False], ids=["at the start", "later"])
def test_all_tasks_wait_for_one_question(scene: Scene, first: bool) -> None:
    async def whole() -> None:
        wire = Wire(scene.url, suspends=True, deadline=5.0, clock=scene.clock)
        if not first:
            assert await wire.call("GET", "k") == b"old"
        before = scene.asked
        scene.now += FRESH
        scene.name(scene.masters[1])
        calls = [wire.call("GET", "k") for _ in range(20)]
        assert await asyncio.gather(*calls) == [b"new"] * 20
        assert scene.asked == before + 1
        await wire.close()

    asyncio.run(whole())


def test_all_threads_wait_for_one_question(scene: Scene) -> None:
    wire = Wire(scene.url, suspends=False, deadline=5.0, clock=scene.clock)
    assert run_sync(wire.call("GET", "k")) == b"old"
    scene.now += FRESH
    scene.name(scene.masters[1])
    told: list[Any] = []
    threads = [
        threading.Thread(target=lambda: told.append(run_sync(wire.call("GET", "k"))))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [b"new"] * 10
    assert scene.asked == 2
    run_sync(wire.close())


def test_who_gives_up_leaves_the_question_to_the_next(scene: Scene) -> None:
    reached = threading.Event()

    async def whole() -> None:
        wire = Wire(scene.url, suspends=True, deadline=5.0, clock=scene.clock)
        assert await wire.call("GET", "k") == b"old"
        scene.now += FRESH
        answer, scene.sentinels[0].say = scene.sentinels[0].say, silent
        first, second = (asyncio.create_task(wire.call("GET", "k")) for _ in range(2))
        await asyncio.to_thread(reached.wait)
        for _ in range(10):  # until it waits for the reply: Python 3.11's wait_for, which sends,
            await asyncio.sleep(0)  # loses a cancellation that comes when it is done
        scene.sentinels[0].say = answer
        scene.name(scene.masters[1])
        first.cancel()
        assert await second == b"new"
        with pytest.raises(asyncio.CancelledError):
            await first
        await wire.close()

    def silent(words: list[bytes]) -> None:
        reached.set()

    asyncio.run(whole())


def test_a_child_of_a_process_that_asks_can_ask(scene: Scene) -> None:
    wire = Wire(scene.url, suspends=False, deadline=5.0, clock=scene.clock)
    assert run_sync(wire.call("GET", "k")) == b"old"
    scene.now += FRESH
    with wire._masters._turn_of_threads:  # another thread asks at this moment
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork beside threads
            child = os.fork()
        if child == 0:
            os._exit(0 if run_sync(wire.call("GET", "k")) == b"old" else 1)
    assert os.waitpid(child, 0)[1] == 0
    run_sync(wire.close())


def test_a_listener_leaves_a_master_that_was_replaced(scene: Scene) -> None:
    def say(words: list[bytes]) -> bytes:
        if words[0] == b"SUBSCRIBE":
            return pack([b"subscribe", words[1], 1])
        return MASTER if words[0] == b"ROLE" else pack([b"pong", b""])

    for master in scene.masters:
        master.say = say

    async def whole() -> None:
        wire = Wire(scene.url, suspends=True, clock=scene.clock)
        assert await wire.messages(b"channel", 0.01) is None
        assert await wire.messages(b"channel", 0.01) == []
        scene.name(scene.masters[1])
        scene.now += FRESH
        assert await wire.messages(b"channel", 0.01) is None  # some may have been missed
        assert [b"SUBSCRIBE", b"channel"] in scene.masters[1].asked
        assert await wire.messages(b"channel", 0.01) == []
        scene.name(None)
        scene.now += BELIEF
        with pytest.raises(StoreUnavailable, match="no master was found"):
            await wire.messages(b"channel", 0.01)
        await wire.close()

    asyncio.run(whole())
