"""What ends the shared connection: silence, what cannot be trusted, a server that hangs up."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hot_kit import (
    ECHO,
    after_connecting,
    breaker_of,
    failing,
    greeted,
    hang_up_on_all,
    link_of,
    opened,
    play,
    shared_of,
    until,
)
from puppet import MASTER, Say, pack, puppet

from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.stores.redis.hot import Closed

DEADLINE = 0.1
SLACK = 1.0  # of a machine that is busy elsewhere


def silent_about(*keys: bytes) -> Say:
    return greeted(lambda words: None if words[1] in keys else pack(words[1]))


# --- silence ---


@pytest.mark.slow
def test_a_silent_server_fails_each_at_its_own_deadline() -> None:
    with puppet(silent_about(b"lost", b"late")) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=DEADLINE) as wire:
                await wire.call("GET", "k")
                link = link_of(wire)
                older = asyncio.create_task(failing(wire.call("GET", "lost"), StoreUnavailable))
                await asyncio.sleep(DEADLINE / 2)
                younger = asyncio.create_task(failing(wire.call("GET", "late"), StoreUnavailable))
                assert DEADLINE <= await older < DEADLINE + SLACK
                assert not link.is_open
                assert await wire.call("GET", "new") == b"new"  # over another connection
                assert server.connections == 2
                assert DEADLINE <= await younger < DEADLINE + SLACK
                await until(link._transport.is_closing)

        play(body)


@pytest.mark.slow
def test_a_late_reply_goes_to_nobody_and_the_next_to_whom_it_belongs() -> None:
    with puppet(silent_about(b"lost", b"late")) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=DEADLINE) as wire:
                await wire.call("GET", "k")
                link = link_of(wire)
                older = asyncio.create_task(wire.call("GET", "lost"))
                await asyncio.sleep(DEADLINE / 2)
                younger = link.ask([("GET", "late")])
                await failing(older, StoreUnavailable, "no answer in time")
                link.data_received(pack(b"lost"))  # before its deadline comes
                assert not younger.done()
                link.data_received(pack(b"late"))
                assert await younger == [b"late"]
                assert link._transport.is_closing()  # it owes nothing any more

        play(body)


@pytest.mark.slow
def test_a_server_that_owes_only_those_who_left_is_not_asked_again() -> None:
    with puppet(silent_about(b"lost")) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=DEADLINE) as wire:
                await wire.call("GET", "k")
                link = link_of(wire)
                asking = asyncio.create_task(wire.call("GET", "lost"))
                await asyncio.sleep(0)
                asking.cancel()
                await until(lambda: not link.is_open)
                await until(link._transport.is_closing)
                assert await wire.call("GET", "k") == b"k"
                assert server.connections == 2

        play(body)


@pytest.mark.slow
def test_a_loop_that_was_busy_fails_no_answers_that_are_there(url: str, admin: Any) -> None:
    """Also where the next questions follow so soon that the second look at the first is due."""

    async def body() -> None:
        async with opened(url, deadline=0.1) as wire:
            await wire.call("TIME")
            link = link_of(wire)
            for _ in range(5):
                calls = (wire.call("EVAL", ECHO, 0, n) for n in range(5))
                asked = [asyncio.create_task(call) for call in calls]
                await asyncio.sleep(0)  # all have asked; the first has left
                time.sleep(0.12)  # noqa: ASYNC251 - the loop is busy
                assert await asyncio.gather(*asked) == [b"%d" % n for n in range(5)]
            assert link_of(wire) is link

    play(body)


@pytest.mark.slow
def test_a_loop_that_looks_at_timers_first_fails_no_answers_that_are_there(
    url: str, admin: Any
) -> None:
    async def body() -> None:
        async with opened(url, deadline=0.1) as wire:
            await wire.call("TIME")
            link = link_of(wire)
            for n in range(3):
                asked = link.ask([("EVAL", ECHO, 0, n)])
                time.sleep(0.12)  # noqa: ASYNC251 - the loop is busy
                assert link._timer is not None
                link._timer.cancel()  # the loop takes it up, and that is all of it
                link._sweep()
                assert await asked == [b"%d" % n]

    play(body)


# --- what cannot be trusted ---


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x00",
        b"$-7\r\n",
        b"*99999999999999999999\r\n",
    ],
)
def test_garbage_fails_all_that_wait(garbage: bytes) -> None:
    def say(words: list[bytes]) -> bytes | None:
        return {b"k": pack(b"k"), b"bad": garbage}.get(words[1])

    with puppet(greeted(say)) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                await wire.call("GET", "k")
                link = link_of(wire)
                asked = [wire.call("GET", key) for key in ("bad", "b", "c")]
                batch = wire.batch([("GET", "d"), ("GET", "e")])
                errors = await asyncio.gather(*asked, batch, return_exceptions=True)
                assert [type(error).__base__ for error in errors] == [StoreCorrupt] * 4
                assert not link.is_open
                assert breaker_of(wire).silences == 0
                assert await wire.call("GET", "k") == b"k"
                assert server.connections == 2

        play(body)


def test_what_breaks_the_making_of_a_reply_leaves_nobody_waiting() -> None:
    """An error whose class cannot be called with a text alone."""

    class Broken:
        def feed(self, data: bytes) -> None:
            bytes.decode(data, "ascii")

        def gets(self) -> None:
            raise AssertionError

    with puppet(silent_about(b"a", b"b")) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                await wire.call("GET", "k")
                link = link_of(wire)
                asked = [asyncio.create_task(wire.call("GET", key)) for key in ("a", "b")]
                await asyncio.sleep(0)
                link._reader = Broken()
                link.data_received(b"\xff")
                async with asyncio.timeout(1):
                    for task in asked:
                        await failing(task, StoreCorrupt, "cannot be read")

        play(body)


@pytest.mark.parametrize("idle", [False, True])
def test_a_stray_reply_ends_the_connection(idle: bool) -> None:
    def say(words: list[bytes]) -> bytes | None:
        if words[1] == b"twice":
            return pack(b"twice") * 2
        return None if words[1] == b"never" else pack(words[1])

    with puppet(greeted(say)) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                await wire.call("GET", "k")
                link = link_of(wire)
                if idle:
                    server.tell(pack(b"stray"))
                else:
                    await wire.call("GET", "twice")
                await until(lambda: not link.is_open)
                replies = await asyncio.gather(*(wire.call("GET", f"{n}") for n in range(5)))
                assert replies == [b"%d" % n for n in range(5)]
                assert server.connections == 2
                assert breaker_of(wire).silences == 0

        play(body)


def test_an_interruption_ends_the_connection() -> None:
    """A KeyboardInterrupt may come anywhere; the queue and the replies no longer agree then."""

    class Interrupted:
        def __init__(self, inner: Any, name: str) -> None:
            self._inner, self._name = inner, name

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._inner, name)
            if name != self._name:
                return method

            def interrupted(*args: Any) -> None:
                method(*args)
                raise KeyboardInterrupt

            return interrupted

    with puppet(silent_about(b"a", b"b")) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                await wire.call("GET", "k")
                link = link_of(wire)
                asked = link.ask([("GET", "a")]), link.ask([("GET", "b")])
                link._reader = Interrupted(link._reader, "gets")
                with pytest.raises(KeyboardInterrupt):
                    link.data_received(pack(b"a"))
                assert not link.is_open
                for future in asked:
                    await failing(future, Closed)

                await wire.call("GET", "k")
                link = link_of(wire)
                link._transport = Interrupted(link._transport, "write")
                with pytest.raises(KeyboardInterrupt):
                    link.ask([("GET", "a")])
                assert not link.is_open
                assert await wire.call("GET", "k") == b"k"

        play(body)


# --- the server hangs up ---


def test_a_server_that_hangs_up_on_an_idle_connection_is_asked_over_another(
    url: str, admin: Any
) -> None:
    async def body() -> None:
        async with opened(url) as wire:
            for n in range(3):
                assert await wire.call("EVAL", ECHO, 0, n) == b"%d" % n
                hang_up_on_all(admin)
                await until(lambda: shared_of(wire).trip() is None)
            assert breaker_of(wire).silences == 0

    play(body)


def test_nobody_asks_once_the_server_has_hung_up() -> None:
    """The transport says that it is lost a turn of the loop later, or more with TLS."""
    with puppet(silent_about()) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}") as wire:
                await wire.call("GET", "k")
                link = link_of(wire)
                link._transport.pause_reading()
                link.eof_received()
                assert shared_of(wire).trip() is None
                assert await wire.call("GET", "other") == b"other"
                assert breaker_of(wire).silences == 0

        play(body)


def test_all_in_flight_fail_once_and_nothing_is_sent_again() -> None:
    carried_out: list[bytes] = []

    def say(words: list[bytes]) -> bytes | None:
        if words[0] != b"EVAL":
            return pack(words[1])
        carried_out.append(words[3])
        if len(carried_out) == 20:
            raise OSError  # hangs up
        return None

    with puppet(greeted(say)) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                await wire.call("GET", "k")
                text = "redis.call('INCR', KEYS[1])"
                asked = [wire.call("EVAL", text, 1, f"{n}") for n in range(18)]
                asked.append(wire.batch([("EVAL", text, 1, "18"), ("EVAL", text, 1, "19")]))
                *errors, batch = await asyncio.gather(*asked, return_exceptions=True)
                assert isinstance(batch, list)
                errors += batch
                assert all(isinstance(error, StoreUnavailable) for error in errors)
                assert breaker_of(wire).silences == 1
                assert await wire.call("GET", "k") == b"k"
                assert breaker_of(wire).silences == 0
                assert sorted(map(int, carried_out)) == list(range(20))

        play(body)


def test_a_server_that_is_killed_in_the_middle_of_a_script(url: str, admin: Any) -> None:
    """A real one: what was in flight is done once or not at all."""
    admin.set("n", 0)

    async def body() -> None:
        async with opened(url, deadline=5.0) as wire:
            await wire.call("TIME")
            for _ in range(5):
                script = "return redis.call('INCR', KEYS[1])"
                tasks = [asyncio.create_task(wire.call("EVAL", script, 1, "n")) for _ in range(10)]
                await asyncio.sleep(0)
                hang_up_on_all(admin)
                await asyncio.gather(*tasks, return_exceptions=True)

    play(body)
    assert int(admin.get("n")) <= 50


def test_a_server_that_hangs_up_on_all_newcomers_is_not_stormed() -> None:
    def say(words: list[bytes]) -> bytes:
        server.tell(MASTER)
        raise OSError  # hangs up

    with puppet(say) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=DEADLINE) as wire:
                asked = (wire.call("GET", f"{n}") for n in range(20))
                errors = await asyncio.gather(*asked, return_exceptions=True)
                assert all(isinstance(error, StoreUnavailable) for error in errors)
                assert server.connections < 5
                assert breaker_of(wire).silences > 0

        play(body)


@pytest.mark.parametrize("lost", [False, True])
def test_a_server_that_hung_up_while_it_was_greeted_is_noticed(lost: bool) -> None:
    """Its end was read before the connection was taken over, and would never be read again."""
    with puppet(silent_about()) as server:

        async def end(connection: Any) -> None:
            if server.connections > 1:
                return
            if lost:
                connection._writer.transport.abort()
            else:
                server.hang_up()
                await until(connection._reader.at_eof)

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                after_connecting(shared_of(wire), end)
                async with asyncio.timeout(1):
                    await failing(wire.call("GET", "k"), StoreUnavailable, "closed by server")
                assert await wire.call("GET", "k") == b"k"

        play(body)
