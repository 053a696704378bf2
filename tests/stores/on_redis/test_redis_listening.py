"""What is published, and what becomes of a connection that listens; the server is played."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from puppet import MASTER, Puppet, pack, puppet

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.stores.redis import listen as listen_module
from gatehound.stores.redis import wire as wire_module
from gatehound.stores.redis.wire import Wire

HEARD = pack([b"subscribe", b"channel", 1])


def play(
    scene: Callable[[Wire, Puppet], Coroutine[Any, Any, None]],
    subscribe: Callable[[], bytes | None] = lambda: HEARD,
    ping: bytes | None = None,
) -> None:
    def say(words: list[bytes]) -> bytes | None:
        if words[0] == b"SUBSCRIBE":
            return subscribe()
        return MASTER if words[0] == b"ROLE" else ping

    async def whole(server: Puppet) -> None:
        wire = Wire(f"redis://{server.place}", suspends=True, deadline=5.0)
        try:
            await scene(wire, server)
        finally:
            await wire.close()

    with puppet(say) as server:
        asyncio.run(whole(server))


def test_a_server_that_falls_silent_is_noticed_within_two_beats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen_module, "BEAT", 0.01)

    async def scene(wire: Wire, server: Puppet) -> None:
        assert await wire.messages(b"channel", 3600) is None
        with pytest.raises(StoreUnavailable, match="silent"):
            await wire.messages(b"channel", 3600)
        assert await wire.messages(b"channel", 3600) is None

    play(scene)


@pytest.mark.slow
def test_a_server_that_answers_is_listened_to_for_as_long_as_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen_module, "BEAT", 0.05)

    async def scene(wire: Wire, server: Puppet) -> None:
        assert await wire.messages(b"channel", 1) is None
        assert await wire.messages(b"channel", 0.5) == []
        assert [words[0] for words in server.asked].count(b"PING") > 2

    play(scene, ping=pack([b"pong", b""]))


@pytest.mark.parametrize("strange", [None, 7, b"OK", [], [b"message", b"channel", b"x"]])
def test_a_subscription_that_is_not_confirmed_is_none(strange: Any) -> None:
    async def scene(wire: Wire, server: Puppet) -> None:
        with pytest.raises(StoreCorrupt):
            await wire.messages(b"channel", 1)

    play(scene, lambda: pack(strange))


def test_a_message_that_cannot_be_read_breaks_the_connection() -> None:
    async def scene(wire: Wire, server: Puppet) -> None:
        assert await wire.messages(b"channel", 1) is None
        with pytest.raises(StoreUnavailable, match="broke"):
            await wire.messages(b"channel", 1)

    play(scene, lambda: HEARD + pack(7))


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_a_subscription_that_is_given_up_on_leaves_no_connection(end: str) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def subscribe() -> bytes:
        reached.set()
        go_on.wait()
        return HEARD

    async def scene(wire: Wire, server: Puppet) -> None:
        waiting = asyncio.create_task(wire.messages(b"channel", 1))
        await asyncio.to_thread(reached.wait)
        for _ in range(10):  # until it waits for the reply
            await asyncio.sleep(0)
        if end == "cancel":
            waiting.cancel()
        else:
            await wire.stop_listening()
        go_on.set()
        with pytest.raises((StoreUnavailable, asyncio.CancelledError)):
            await waiting
        assert await wire.messages(b"channel", 1) is None

    play(scene, subscribe)


def test_what_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "CONNECT", 0.0)

    async def never(*_: Any, **options: Any) -> None:
        await asyncio.Event().wait()

    async def whole() -> None:
        wire = Wire("redis://localhost:1", suspends=True, deadline=0.01)
        vars(wire.nodes)["subscribe"] = vars(wire._delivery)["deliver"] = never
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await wire.messages(b"channel", 1)
        for patient in (False, True):
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await wire.call("PING", patient=patient)
        await wire.close()

    asyncio.run(whole())


def test_a_subscription_is_tried_and_ended(url: str, admin: Any) -> None:
    async def whole(suspends: bool) -> None:
        wire = Wire(url, suspends=suspends)
        [address] = await wire.masters()
        assert await wire.try_listening(address, b"gh:probe") is None
        await wire.close()

    asyncio.run(whole(True))
    run_sync(whole(False))
