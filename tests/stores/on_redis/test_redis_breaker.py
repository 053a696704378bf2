"""A server that is silent is left alone for a moment; time is told by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import zoo
from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.stores.redis.address import Address
from gatehound.stores.redis.breaker import REST, SILENCES, Breaker
from gatehound.stores.redis.wire import Wire


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def fail(breaker: Breaker, clock: Seconds) -> None:
    began = breaker.begin()
    assert began is not None
    clock.advance(0.25)
    breaker.silent(began)


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def breaker(clock: Seconds) -> Breaker:
    return Breaker(clock)


def test_silences_in_a_row_open_it(breaker: Breaker, clock: Seconds) -> None:
    for count in range(SILENCES):
        assert breaker.silences == count
        fail(breaker, clock)
    assert breaker.begin() is None
    clock.advance(REST - 0.01)
    assert breaker.begin() is None


def test_an_answer_between_them_begins_anew(breaker: Breaker, clock: Seconds) -> None:
    for _ in range(5):
        for _ in range(SILENCES - 1):
            fail(breaker, clock)
        breaker.answered(clock.now)
    assert breaker.begin() is not None


def test_one_pause_that_many_calls_meet_is_one_silence(breaker: Breaker, clock: Seconds) -> None:
    began = [breaker.begin() for _ in range(50)]
    clock.advance(0.25)
    for start in began:
        assert start is not None
        breaker.silent(start)
    assert breaker.silences == 1
    assert breaker.begin() is not None


def test_one_call_tries_and_decides(breaker: Breaker, clock: Seconds) -> None:
    for _ in range(SILENCES):
        fail(breaker, clock)
    clock.advance(REST)
    began = breaker.begin()
    assert began is not None
    assert breaker.begin() is None
    clock.advance(0.25)
    breaker.silent(began)
    assert breaker.begin() is None
    clock.advance(REST)
    assert breaker.begin() is not None
    breaker.answered(clock.now)
    assert [breaker.begin(), breaker.begin()] == [clock.now] * 2


def test_a_try_that_is_never_heard_of_is_made_again(breaker: Breaker, clock: Seconds) -> None:
    for _ in range(SILENCES):
        fail(breaker, clock)
    for _ in range(3):
        clock.advance(REST)
        assert breaker.begin() is not None
        assert breaker.begin() is None


def played(suspends: bool, body: Callable[[Wire, Seconds], object], url: str) -> None:
    async def whole() -> None:
        clock = Seconds()
        wire = Wire(url, suspends=suspends, clock=clock)
        try:
            await body(wire, clock)  # type: ignore[misc]  # a body is an async function
        finally:
            await wire.close()

    asyncio.run(whole()) if suspends else run_sync(whole())


@pytest.mark.parametrize("suspends", [False, True])
def test_a_server_that_is_down_is_asked_again_after_the_rest(
    suspends: bool, tmp_path: Path
) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def body(wire: Wire, clock: Seconds) -> None:
        for _ in range(SILENCES):
            with pytest.raises(StoreUnavailable, match="refused the connection"):
                await wire.call("GET", b"k")
            clock.advance(0.01)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="left alone for 1 s"):
                await wire.call("GET", b"k")
        clock.advance(REST)
        with pytest.raises(StoreUnavailable, match="refused the connection"):
            await wire.call("GET", b"k")
        with pytest.raises(StoreUnavailable, match="left alone"):
            await wire.call("GET", b"k")
        started = zoo.start(zoo.SYSTEM, tmp_path, "--save", "", ports=range(port, port + 1))
        try:
            clock.advance(REST)
            assert await wire.call("GET", b"k") is None
            assert await wire.call("GET", b"k") is None
        finally:
            started.kill()

    played(suspends, body, f"redis://127.0.0.1:{port}")


@pytest.mark.parametrize("suspends", [False, True])
def test_a_refusal_is_no_silence(suspends: bool, url: str) -> None:
    async def body(wire: Wire, clock: Seconds) -> None:
        for _ in range(2 * SILENCES):
            with pytest.raises(StoreUnavailable, match="unknown command"):
                await wire.call("NOSUCH", b"k")
            clock.advance(1)
        assert await wire.call("PING")

    played(suspends, body, url)


@pytest.mark.parametrize("suspends", [False, True])
def test_a_refused_password_is_no_silence(suspends: bool, url: str) -> None:
    async def body(wire: Wire, clock: Seconds) -> None:
        for _ in range(2 * SILENCES):
            with pytest.raises(StoreUnavailable, match="refused"):
                await wire.call("PING")
            clock.advance(1)
        [address] = await wire.masters()
        assert wire.nodes.breaker(address).silences == 0

    played(suspends, body, url.replace("//", "//nobody:wrong@"))


def test_breakers_of_servers_that_left_are_forgotten(url: str) -> None:
    async def body(wire: Wire, clock: Seconds) -> None:
        for number in range(5):
            wire.nodes.breaker(Address("gone", number + 1))
        [address] = await wire.masters()
        await wire.call("PING")
        await wire.nodes.keep({address})
        assert list(wire.nodes._breakers) == [address]

    played(False, body, url)
