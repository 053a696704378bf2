"""What stays open ends with its session: websockets and streams, under ASGI alone.

The server here is a queue and a list, so that each moment can be chosen. Times are shortened, and
nothing waits for longer than it takes. Real servers and clients are in tests/e2e.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from flow_kit import CHROME
from msgspec.structs import replace
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect

from gatehound import Event, Guard, asgi, connection, watch
from gatehound.asgi import GatehoundMiddleware
from gatehound.errors import StoreUnavailable, UsageError
from gatehound.model import EndReason
from gatehound.stores.answer import Ends
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import Record
from gatehound.testing import FakeClock, FaultyStore

Message = dict[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
MakeGuard = Callable[..., Guard]
ACCEPT: Message = {"type": "websocket.accept"}
CLOSED: Message = {"type": "websocket.close", "code": 4001, "reason": "session ended"}
LEFT: Message = {"type": "websocket.disconnect", "code": 4001, "reason": "session ended"}
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
EVENTS: Message = {**START, "headers": [(b"Content-Type", b"text/event-stream; charset=utf-8")]}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


def chunk(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"POLL": 0.002, "WAIT": 0.01, "EVERY": 60.0, "RETRY": 0.002}.items():
        monkeypatch.setattr(watch, name, seconds)
    for name, seconds in {"STREAM": 0.0, "OWN": 0.01, "TOLD": 0.02}.items():
        monkeypatch.setattr(connection, name, seconds)


class Wire:
    """The server's side of one scope; `says` queues what the client does."""

    def __init__(self, guard: Guard, app: App, cookie: str, kind: str, **more: Any) -> None:
        headers = [(b"host", b"localhost"), (b"user-agent", CHROME.encode())]
        headers += [(b"cookie", cookie.encode())] if cookie else []
        self.scope: Message = {
            "type": kind,
            "asgi": {"version": "3.0"},
            "method": "GET",
            "scheme": "https",
            "path": "/",
            "query_string": b"",
            "client": ("203.0.113.7", 50000),
            "headers": headers,
            **more,
        }
        self.guard = guard
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        self.moved = asyncio.Event()
        self.hold = asyncio.Event()  # cleared: sends do not get through
        self.hold.set()
        self.is_gone = False  # the client: sends fail
        self.task = asyncio.create_task(self._serve(app))

    async def _serve(self, app: App) -> None:
        await GatehoundMiddleware(app, self.guard)(self.scope, self.incoming.get, self._send)

    async def _send(self, message: Any) -> None:
        if self.is_gone:
            raise OSError("the client is gone")
        self.sent.append(dict(message))
        self.moved.set()
        await self.hold.wait()

    def says(self, message: Message) -> None:
        self.incoming.put_nowait(message)

    async def until(self, count: int) -> list[Message]:
        """Wait until so many messages were sent."""
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                self.moved.clear()
                await self.moved.wait()
        return self.sent

    async def end(self) -> list[Message]:
        """Wait until the app has ended, and return all that was sent."""
        async with asyncio.timeout(5):
            await self.task
        return self.sent


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scene; afterwards nothing may be left of a watch."""

    async def whole() -> None:
        await scene()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task for task in others if not task.done()] == []

    asyncio.run(whole())


async def sign_in(guard: Guard, user: str = "alice") -> str:
    """Return a cookie."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await scope["gatehound"].login(user)
        await send(START)
        await send(END)

    sent = await Wire(guard, app, "", "http").end()
    line, _ = [value for name, value in sent[0]["headers"] if name == b"set-cookie"]
    return str(line.decode()).partition(";")[0]


async def open_now(wire: Wire) -> None:
    """Wait until the websocket is accepted and watched."""
    await wire.until(1)
    await settled(wire.guard)


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - no part of the code under test knows of this test
            await asyncio.sleep(0)


async def settled(guard: Guard) -> None:
    """Wait until something is watched, and the watch listens."""
    watches = watch._WATCHES.setdefault(guard, {})
    await until(lambda: any(one._listens and one._watched for one in watches.values()))


class Chat:
    """A websocket app that reads the session and then echoes; `got` is what it received."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.user: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        self.user = scope["gatehound"].user_id
        await send(ACCEPT)
        while True:
            message = await receive()
            self.got.append(message)
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": message["text"]})


def socket(guard: Guard, app: App, cookie: str, **more: Any) -> Wire:
    wire = Wire(guard, app, cookie, "websocket", **more)
    wire.says({"type": "websocket.connect"})
    return wire


# --- every way in which a session ends ---


async def by_request(guard: Guard, cookie: str, name: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await getattr(scope["gatehound"], name)()
        await send(START)
        await send(END)

    await Wire(guard, app, cookie, "http").end()


async def by_limit(guard: Guard, clock: FakeClock) -> None:
    clock.advance(1)
    for _ in range(5):
        await sign_in(guard)


WAYS: dict[str, Callable[[Guard, str, FakeClock], Coroutine[Any, Any, Any]]] = {
    "logout": lambda guard, cookie, clock: by_request(guard, cookie, "logout"),
    "terminate_all": lambda guard, cookie, clock: by_request(guard, cookie, "terminate_all"),
    "disable": lambda guard, cookie, clock: guard.disable_user("alice"),
    "limit": lambda guard, cookie, clock: by_limit(guard, clock),
    "admin": lambda guard, cookie, clock: guard.terminate_user("alice"),
    "everyone": lambda guard, cookie, clock: guard.terminate_everyone(),
    "forget": lambda guard, cookie, clock: guard.forget_user("alice"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_websocket_ends_with_its_session(
    make_guard: MakeGuard, clock: FakeClock, way: str
) -> None:
    async def scene() -> None:
        guard, chat = make_guard(), Chat()
        cookie = await sign_in(guard)
        wire = socket(guard, chat, cookie)
        await open_now(wire)
        wire.says({"type": "websocket.receive", "text": "hi"})
        await wire.until(2)
        await WAYS[way](guard, cookie, clock)
        sent = await wire.end()
        assert [message["type"] for message in sent] == [
            "websocket.accept",
            "websocket.send",
            "websocket.close",
        ]
        assert sent[-1] == CLOSED
        assert chat.got[-1] == LEFT

    play(scene)


@pytest.mark.parametrize("seconds", [3600, 12 * 3600])
def test_a_websocket_ends_when_time_is_up(
    make_guard: MakeGuard, clock: FakeClock, events: list[Event], seconds: int
) -> None:
    """Nobody notices but the watch, which asks when the session's time should be over."""

    async def scene() -> None:
        idle = "12h" if seconds > 3600 else "1h"
        guard = make_guard(session={"idle_timeout": idle})
        wire = socket(guard, Chat(), await sign_in(guard))
        await open_now(wire)
        clock.advance(seconds)
        for one in watch._WATCHES[guard].values():
            one._plan_all()  # real time stood still
        assert (await wire.end())[-1] == CLOSED
        reason = "absolute" if seconds > 3600 else "idle"
        assert (events[-1].name, events[-1].reason) == ("session_expired", reason)

    play(scene)


def test_a_websocket_ends_when_somebody_sweeps(make_guard: MakeGuard, clock: FakeClock) -> None:
    async def scene() -> None:
        guard, chat = make_guard(), Chat()
        wire = socket(guard, chat, await sign_in(guard))
        await open_now(wire)
        clock.advance(3600)
        assert await guard.sweep() == 1
        assert (await wire.end())[-1] == CLOSED

    play(scene)


def test_settings_that_became_stricter_end_it(
    make_guard: MakeGuard, clock: FakeClock, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.004)

    async def scene() -> None:
        cookie = await sign_in(make_guard(session={"idle_timeout": "2h"}))
        clock.advance(600)
        guard, chat = make_guard(session={"idle_timeout": "15m"}), Chat()
        wire = socket(guard, chat, cookie)
        await open_now(wire)
        clock.advance(301)
        assert (await wire.end())[-1] == CLOSED
        assert (events[-1].name, events[-1].reason) == ("session_expired", "idle")

    play(scene)


def test_a_rotation_ends_nothing(make_guard: MakeGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.004)

    async def scene() -> None:
        guard, chat = make_guard(), Chat()
        cookie = await sign_in(guard)
        wire = socket(guard, chat, cookie)
        await open_now(wire)
        await by_request(guard, cookie, "rotate")
        await asyncio.sleep(0.03)
        assert wire.sent == [wire.sent[0]]
        (session,) = await guard.sessions_of("alice")
        assert not session.flagged  # nor does asking look like the use of an old secret
        await guard.terminate_user("alice")
        await wire.end()

    play(scene)


# --- whose it is ---


def test_who_did_not_read_the_session_is_left_alone_until_then(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            while (message := await receive())["type"] != "websocket.disconnect":
                if message["text"] == "read":
                    assert scope["gatehound"].user_id
                await send({"type": "websocket.send", "text": "ok"})

        wire = socket(guard, app, await sign_in(guard))
        wire.says({"type": "websocket.receive", "text": "x"})
        await wire.until(2)
        assert not watch._WATCHES.get(guard)
        wire.says({"type": "websocket.receive", "text": "read"})
        await wire.until(3)
        await settled(guard)
        await guard.terminate_user("alice")
        assert (await wire.end())[-1] == CLOSED

    play(scene)


def test_a_session_that_ended_before_it_was_read_ends_it_too(make_guard: MakeGuard) -> None:
    """Between the handshake and the read nobody listened."""

    async def scene() -> None:
        guard = make_guard()
        go = asyncio.Event()
        other = socket(guard, Chat(), await sign_in(guard, "bob"))
        await open_now(other)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await go.wait()
            assert scope["gatehound"].user_id == "alice"
            await send(ACCEPT)
            assert await receive() == LEFT

        wire = socket(guard, app, await sign_in(guard))
        await asyncio.sleep(0.01)
        await guard.terminate_user("alice")
        await asyncio.sleep(0.01)
        go.set()
        assert (await wire.end())[-1] == CLOSED
        other.says({"type": "websocket.disconnect", "code": 1000})
        await other.end()

    play(scene)


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("kind", ["websocket", "stream"])
def test_a_late_read_counts_though_nothing_is_sent_or_received_after_it(
    make_guard: MakeGuard, kind: str, in_thread: bool
) -> None:
    """The app waits for a message of another program: there is no call to look at."""

    async def scene() -> None:
        guard = make_guard()
        first = [ACCEPT] if kind == "websocket" else [START, chunk(b"x")]
        published: asyncio.Queue[bytes] = asyncio.Queue()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for message in first:
                await send(message)
            await asyncio.sleep(0.005)
            visit = scope["gatehound"]
            user = await asyncio.to_thread(lambda: visit.user_id) if in_thread else visit.user_id
            assert user == "alice"
            while text := await published.get():
                more: Message = {"type": "websocket.send", "bytes": text}
                await send(more if kind == "websocket" else chunk(text))

        cookie = await sign_in(guard)
        wire = Wire(guard, app, cookie, "websocket" if kind == "websocket" else "http")
        await settled(guard)
        await guard.terminate_user("alice")
        await asyncio.sleep(0.02)
        for _ in range(3):
            published.put_nowait(b"secret")
        published.put_nowait(b"")
        assert await wire.end() == [*first, *([CLOSED] if kind == "websocket" else [])]

    play(scene)


@pytest.mark.parametrize("does", ["send", "receive"])
def test_after_a_late_read_nothing_passes_before_the_store_was_asked(
    make_guard: MakeGuard, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    """The session ended after the handshake, when nobody listened for this connection."""
    monkeypatch.setattr(connection, "LATE", -1.0)

    async def scene() -> None:
        guard = make_guard()
        go = asyncio.Event()
        got: list[Message] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            await go.wait()
            assert scope["gatehound"].user_id == "alice"
            if does == "send":
                await send({"type": "websocket.send", "text": "secret"})
            got.append(await receive())

        wire = socket(guard, app, await sign_in(guard))
        wire.says({"type": "websocket.receive", "text": "transfer all"})
        await wire.until(1)
        await guard.terminate_user("alice")
        go.set()
        assert await wire.end() == [ACCEPT, CLOSED]
        assert got == ([] if does == "send" else [LEFT])

    play(scene)


def test_a_late_read_in_an_outage_ends_nothing(
    make_guard: MakeGuard, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LATE", -1.0)

    async def scene() -> None:
        faulty = FaultyStore(store)
        guard, go = make_guard(over=faulty), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            await go.wait()
            assert scope["gatehound"].user_id == "alice"
            await send({"type": "websocket.send", "text": "1"})
            before = faulty.calls.count("load")
            await send({"type": "websocket.send", "text": "2"})
            assert faulty.calls.count("load") == before  # asked once, not for each message
            await receive()

        wire = socket(guard, app, await sign_in(guard))
        await wire.until(1)
        faulty.go_down()
        go.set()
        await wire.until(3)
        faulty.heal()
        await guard.terminate_user("alice")
        assert (await wire.end())[-1] == CLOSED

    play(scene)


def test_what_an_app_leaves_behind_joins_nothing(make_guard: MakeGuard) -> None:
    """A task, or a thread, that reads the session when its websocket is long closed."""
    told: list[Callable[[], None]] = []

    async def scene() -> None:
        guard = make_guard()
        left: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            left.extend([scope["gatehound"], send])
            told.append(scope["gatehound"]._passage.on_read)

        await socket(guard, app, await sign_in(guard)).end()
        visit, send = left
        assert visit.user_id == "alice"
        await asyncio.to_thread(told[0])  # it was under way when the app ended
        await send(ACCEPT)
        assert not watch._WATCHES.get(guard)

    play(scene)
    told[0]()  # its loop is closed, too


def test_who_reads_a_session_that_the_watch_knows_to_be_over(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()
        go, done = asyncio.Event(), asyncio.Event()
        cookie = await sign_in(guard)

        async def stays(scope: Any, receive: Any, send: Any) -> None:
            await Chat()(scope, receive, send)
            await done.wait()

        async def reads(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await go.wait()
            assert scope["gatehound"].user_id == "alice"
            assert await receive() == LEFT

        first, second = socket(guard, stays, cookie), socket(guard, reads, cookie)
        await open_now(first)
        await guard.terminate_user("alice")
        await first.until(2)
        go.set()
        assert await second.end() == [CLOSED]
        done.set()
        await first.end()

    play(scene)


def test_a_login_in_the_handshake_belongs_to_the_new_session(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            visit = scope["gatehound"]
            assert visit.user_id == "alice"
            await receive()  # joined as alice
            await visit.login("bob")
            await asyncio.sleep(0.02)  # the end of alice's session is told meanwhile
            await send(ACCEPT)
            while (await receive())["type"] != "websocket.disconnect":
                pass

        cookie = await sign_in(guard)
        wire = socket(guard, app, cookie)
        wire.says({"type": "websocket.receive", "text": "x"})
        await open_now(wire)
        assert await guard.sessions_of("alice") == []
        await asyncio.sleep(0.01)
        assert [message["type"] for message in wire.sent] == ["websocket.accept"]
        await guard.terminate_user("bob")
        assert (await wire.end())[-1] == CLOSED

    play(scene)


def test_many_websockets_of_one_session_and_of_others(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()
        alice, bob = await sign_in(guard), await sign_in(guard, "bob")
        wires = [socket(guard, Chat(), cookie) for cookie in (alice, alice, bob)]
        for wire in wires:
            await open_now(wire)
        await guard.terminate_user("alice")
        assert [(await wire.end())[-1] for wire in wires[:2]] == [CLOSED, CLOSED]
        assert len(wires[2].sent) == 1
        wires[2].says({"type": "websocket.disconnect", "code": 1001})
        assert len(await wires[2].end()) == 1

    play(scene)


# --- how a websocket ends ---


def test_what_is_being_sent_goes_out_whole_and_nothing_after_it(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()
        errors: list[BaseException] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            assert scope["gatehound"].user_id
            await send(ACCEPT)
            await receive()
            texts = [send({"type": "websocket.send", "text": str(n)}) for n in range(3)]
            errors.extend(filter(None, await asyncio.gather(*texts, return_exceptions=True)))
            await send({"type": "websocket.close", "code": 1000})  # dropped: it is closed

        wire = socket(guard, app, await sign_in(guard))
        await open_now(wire)
        wire.hold.clear()
        wire.says({"type": "websocket.receive", "text": "x"})
        await wire.until(2)
        await guard.terminate_user("alice")
        await asyncio.sleep(0.01)
        assert [message["type"] for message in wire.sent][1:] == ["websocket.send"]
        wire.hold.set()
        sent = await wire.end()
        assert [message["type"] for message in sent][2:] == ["websocket.close"]
        assert [isinstance(error, OSError) for error in errors] == [True, True]

    play(scene)


def test_the_app_hears_of_the_end_also_where_the_client_takes_nothing(
    make_guard: MakeGuard,
) -> None:
    async def scene() -> None:
        guard, got = make_guard(), []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            assert scope["gatehound"].user_id
            await send(ACCEPT)
            stuck = asyncio.create_task(send({"type": "websocket.send", "text": "x"}))
            got.append(await receive())
            stuck.cancel()
            await asyncio.wait([stuck])

        wire = socket(guard, app, await sign_in(guard))
        await open_now(wire)
        wire.hold.clear()
        await wire.until(2)
        await guard.terminate_user("alice")
        await until(lambda: got)
        assert got == [LEFT]
        await wire.end()

    play(scene)


def test_after_the_end_the_app_gets_no_word_of_the_client(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard, chat = make_guard(), Chat()
        wire = socket(guard, chat, await sign_in(guard))
        await open_now(wire)
        wire.hold.clear()  # the close frame does not get out yet
        await guard.terminate_user("alice")
        await wire.until(2)
        wire.says({"type": "websocket.receive", "text": "transfer all"})
        wire.hold.set()
        await wire.end()
        assert chat.got == [LEFT]

    play(scene)


def test_a_word_that_comes_with_the_end_is_too_late(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard, chat = make_guard(), Chat()
        wire = socket(guard, chat, await sign_in(guard))
        await open_now(wire)
        wire.says({"type": "websocket.receive", "text": "transfer all"})
        for one in watch._WATCHES[guard].values():
            one._end_told(tuple(one._watched))  # in this very step of the loop
        await wire.end()
        assert chat.got == [LEFT]

    play(scene)


@pytest.mark.parametrize("denies", [True, False])
def test_before_it_is_accepted_the_handshake_is_refused(
    make_guard: MakeGuard, denies: bool
) -> None:
    async def scene() -> None:
        guard = make_guard()
        more: Message = {"extensions": {"websocket.http.response": {}}} if denies else {}
        ended = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            assert scope["gatehound"].user_id
            assert await receive() == LEFT
            ended.set()
            await send(ACCEPT)  # raises, and that is excused

        wire = socket(guard, app, await sign_in(guard), **more)
        await settled(guard)
        await guard.terminate_user("alice")
        assert await wire.end() == [CLOSED]
        assert ended.is_set()

    play(scene)


def test_who_ends_its_own_session_has_the_last_word(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            visit = scope["gatehound"]
            assert visit.user_id
            await send(ACCEPT)
            await receive()
            assert await visit.terminate_all() == 1
            await asyncio.sleep(0.005)  # the watch has heard of it
            await send({"type": "websocket.send", "text": "signed out everywhere"})
            assert await receive() == LEFT

        wire = socket(guard, app, await sign_in(guard))
        await open_now(wire)
        wire.says({"type": "websocket.receive", "text": "x"})
        sent = await wire.end()
        assert [message["type"] for message in sent][1:] == ["websocket.send", "websocket.close"]

    play(scene)


def test_an_app_that_closed_it_itself_is_left_alone(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()
        go = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            assert scope["gatehound"].user_id
            await send(ACCEPT)
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            await go.wait()

        wire = socket(guard, app, await sign_in(guard))
        await open_now(wire)
        wire.says({"type": "websocket.receive", "text": "x"})
        await wire.until(2)
        await guard.terminate_user("alice")
        await asyncio.sleep(0.01)
        go.set()
        assert (await wire.end())[-1] == {"type": "websocket.close", "code": 1000}

    play(scene)


def test_a_client_that_left_first_is_no_error(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard, chat = make_guard(), Chat()
        wire = socket(guard, chat, await sign_in(guard))
        await open_now(wire)
        wire.is_gone = True
        await guard.terminate_user("alice")
        await wire.end()
        assert chat.got == [LEFT]

    play(scene)


def test_a_cancelled_app_stays_cancelled_and_leaves_nothing(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()
        wire = socket(guard, Chat(), await sign_in(guard))
        await open_now(wire)
        wire.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wire.end()
        assert not watch._WATCHES.get(guard)

    play(scene)


def test_a_timeout_of_the_server_or_of_the_app_is_not_ours(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard, seen = make_guard(), []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            assert scope["gatehound"].user_id
            await send(ACCEPT)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await receive()
            seen.append(await receive())
            raise TimeoutError("the app's own")

        wire = socket(guard, app, await sign_in(guard))
        await open_now(wire)
        await asyncio.sleep(0.01)
        await guard.terminate_user("alice")
        with pytest.raises(TimeoutError, match="own"):
            await wire.end()
        assert seen == [LEFT]

        async def receiving() -> Message:
            raise TimeoutError("the server's")

        async def reader(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        scope = {name: value for name, value in wire.scope.items() if name != "gatehound"}
        with pytest.raises(TimeoutError, match="server's"):
            await GatehoundMiddleware(reader, guard)(scope, receiving, wire._send)

    play(scene)


# --- errors before the handshake is answered ---


@pytest.mark.parametrize("denies", [True, False])
def test_our_errors_are_denials_of_the_handshake(
    make_guard: MakeGuard, store: Store, denies: bool
) -> None:
    async def scene() -> None:
        faulty = FaultyStore(store)
        guard = make_guard(over=faulty)
        more: Message = {"extensions": {"websocket.http.response": {}}} if denies else {}

        async def reads(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            assert scope["gatehound"].user_id

        async def asks(scope: Any, receive: Any, send: Any) -> None:
            await scope["gatehound"].require_fresh()

        cookie = await sign_in(guard)
        faulty.go_down()
        down = await socket(guard, reads, cookie, **more).end()
        faulty.heal()
        fresh = await socket(guard, asks, "", **more).end()
        if not denies:
            assert [m["type"] for m in (*down, *fresh)] == ["websocket.close", "websocket.close"]
            return
        for (start, body), status, word in ((down, 503, b"store-down"), (fresh, 401, b"fresh")):
            assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
            assert body["type"] == "websocket.http.response.body"
            assert word in body["body"]
        assert (b"retry-after", b"5") in down[0]["headers"]

    play(scene)


def test_our_errors_after_the_answer_come_out_as_they_are(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()
        for answer in (ACCEPT, {"type": "websocket.close", "code": 1000}):

            async def app(scope: Any, receive: Any, send: Any, answer: Message = answer) -> None:
                await send(answer)
                await scope["gatehound"].require_fresh()

            wire = socket(guard, app, "")
            with pytest.raises(Exception, match="fresh sign-in"):
                await wire.end()
            assert wire.sent == [answer]

    play(scene)


# --- streams ---


def stream(start: Message, chunks: int = 10_000) -> App:
    """Make an app that reads the session and streams for ever."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["gatehound"].user_id
        await send(start)
        for number in range(chunks):
            await send(chunk(str(number).encode()))
            await asyncio.sleep(0.001)
        await send(END)

    return app


async def begun(wire: Wire) -> None:
    await wire.until(3)
    await settled(wire.guard)


def test_a_stream_of_events_ends_cleanly_though_the_app_says_nothing(
    make_guard: MakeGuard,
) -> None:
    async def scene() -> None:
        guard = make_guard()
        went_on = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["gatehound"].user_id
            await send(EVENTS)
            await send(chunk(b"data: 1\n\n"))
            await went_on.wait()
            with pytest.raises(OSError, match="session"):
                await send(chunk(b"data: 2\n\n"))

        wire = Wire(guard, app, await sign_in(guard), "http")
        await wire.until(2)
        await settled(guard)
        await guard.terminate_user("alice")
        sent = await wire.until(3)
        went_on.set()
        assert (await wire.end())[2:] == [END]
        assert len(sent) == 3

    play(scene)


def test_a_stream_of_events_ends_before_its_first_event(make_guard: MakeGuard) -> None:
    """The first event may be hours away: it MUST NOT be told to who signed out meanwhile."""

    async def scene() -> None:
        guard, published = make_guard(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["gatehound"].user_id
            await send(EVENTS)
            await published.wait()
            for _ in range(3):
                await send(chunk(b"data: secret\n\n"))

        wire = Wire(guard, app, await sign_in(guard), "http")
        await settled(guard)
        await guard.terminate_user("alice")
        assert await wire.until(2) == [wire.sent[0], END]  # at once, though the app is silent
        published.set()
        assert len(await wire.end()) == 2

    play(scene)


def test_a_download_breaks_off_and_never_looks_whole(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()
        wire = Wire(guard, stream(START), await sign_in(guard), "http")
        await begun(wire)
        await guard.terminate_user("alice")
        sent = await wire.end()  # the app's error is excused
        assert len(sent) < 10_000
        assert all(message["more_body"] for message in sent[1:])

    play(scene)


def test_an_app_that_listens_for_the_disconnect_ends_at_once(make_guard: MakeGuard) -> None:
    """As Starlette does: a task waits in receive while another one streams."""

    async def scene() -> None:
        guard = make_guard()
        got: list[Message] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["gatehound"].user_id
            listener = asyncio.create_task(receive())
            await send(START)
            await send(chunk(b"x"))
            got.append(await listener)

        wire = Wire(guard, app, await sign_in(guard), "http")
        await wire.until(2)
        await settled(guard)
        await guard.terminate_user("alice")
        assert len(await wire.end()) == 2
        assert got == [{"type": "http.disconnect"}]

    play(scene)


def test_an_app_that_asks_whether_the_client_left(make_guard: MakeGuard) -> None:
    """As Starlette's `is_disconnected` does: it gives up waiting before it waits."""

    async def scene() -> None:
        guard = make_guard()
        rounds = 0

        async def left(receive: Any) -> bool:
            message: Message = {}
            with anyio.CancelScope() as scope:
                scope.cancel()
                message = await receive()
            return message.get("type") == "http.disconnect"

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal rounds
            assert scope["gatehound"].user_id
            await send(START)
            await send(chunk(b"x"))
            while not await left(receive):
                rounds += 1
                await asyncio.sleep(0.001)

        wire = Wire(guard, app, await sign_in(guard), "http")
        await settled(guard)
        await until(lambda: rounds)
        await guard.terminate_user("alice")
        await wire.end()

    play(scene)


def test_a_framework_may_wrap_what_the_end_raises(make_guard: MakeGuard) -> None:
    class ClientDisconnect(Exception):
        """As Starlette names it."""

    async def wrapping(scope: Any, receive: Any, send: Any) -> None:
        async def inner() -> None:
            try:
                await stream(START)(scope, receive, send)
            except OSError:
                raise ClientDisconnect from None

        async with asyncio.TaskGroup() as group:
            group.create_task(inner())

    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        try:
            await stream(START)(scope, receive, send)
        except OSError:
            scope = {}
        raise LookupError("the app's own")

    async def forgetting(scope: Any, receive: Any, send: Any) -> None:
        try:
            await stream(START)(scope, receive, send)
        finally:
            raise KeyError("the app's own")

    async def scene() -> None:
        guard = make_guard()
        for app, error in ((wrapping, None), (breaking, LookupError), (forgetting, KeyError)):
            wire = Wire(guard, app, await sign_in(guard), "http")
            await begun(wire)
            await guard.terminate_user("alice")
            if error is None:
                await wire.end()
            else:
                with pytest.raises(error):
                    await wire.end()

    play(scene)


def raised_by(make: Callable[[], Any]) -> BaseException:
    """Return what a piece of an app raises, with its causes and contexts."""
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def lose() -> None:
    raise connection._Over


def wrapped(error: BaseException) -> None:
    try:
        lose()
    except OSError as loss:
        raise error from loss


def meanwhile(error: BaseException) -> None:
    try:
        lose()
    except OSError:
        raise error  # noqa: B904 - without a cause, as Starlette raises


def mistaken() -> None:
    try:
        lose()
    finally:
        raise KeyError


def grouped(*errors: BaseException) -> None:
    raise BaseExceptionGroup("of tasks", errors)


def going_round() -> None:
    one, two = OSError(1), OSError(2)
    one.__context__, two.__context__ = two, one
    raise one


RAISED: dict[str, tuple[bool, Callable[[], Any]]] = {
    "ours": (True, lose),
    "starlette, a response": (True, lambda: meanwhile(ClientDisconnect())),
    "starlette, a websocket": (True, lambda: meanwhile(WebSocketDisconnect(1006))),
    "a server or falcon": (True, lambda: meanwhile(ConnectionResetError())),
    "an app that says why": (True, lambda: wrapped(LookupError())),
    "a task group": (True, lambda: grouped(connection._Over(), connection._Over())),
    "in a finally": (False, mistaken),
    "while it was handled": (False, lambda: meanwhile(LookupError())),
    "cancelled meanwhile": (False, lambda: meanwhile(asyncio.CancelledError())),
    "cancelled because of it": (False, lambda: wrapped(asyncio.CancelledError())),
    "the program ends": (False, lambda: meanwhile(KeyboardInterrupt())),
    "a task group with a mistake": (False, lambda: grouped(connection._Over(), KeyError())),
    "a group with a cancellation": (
        False,
        lambda: grouped(connection._Over(), asyncio.CancelledError()),
    ),
    "errors of its own": (False, lambda: grouped(OSError(), KeyError())),
    "a circle": (False, going_round),
}


@pytest.mark.parametrize("name", RAISED)
def test_only_what_comes_of_the_end_is_excused(name: str) -> None:
    is_excused, make = RAISED[name]
    unused: Any = None
    one = connection.StreamConnection(unused, unused, unused, unused, began=0.0)
    error = raised_by(make)
    assert not one.excuses(error)
    one.is_over = True
    assert one.excuses(error) is is_excused


def test_an_app_that_is_cancelled_while_it_cleans_up_is_cancelled(make_guard: MakeGuard) -> None:
    """A server that shuts down waits for its tasks to say so."""

    async def scene() -> None:
        guard = make_guard()
        cleaning = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                await stream(START)(scope, receive, send)
            except OSError:
                cleaning.set()
                await asyncio.sleep(3600)

        wire = Wire(guard, app, await sign_in(guard), "http")
        await begun(wire)
        await guard.terminate_user("alice")
        await cleaning.wait()
        wire.task.cancel()
        await asyncio.wait([wire.task])
        assert wire.task.cancelled()

    play(scene)


def test_a_stream_that_does_not_read_the_session_goes_on(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send(chunk(b"1"))
            await asyncio.sleep(0.01)
            await send(chunk(b"2"))
            await send(END)

        wire = Wire(guard, app, await sign_in(guard), "http")
        await wire.until(2)
        await guard.terminate_user("alice")
        assert (await wire.end())[-1] == END
        assert not watch._WATCHES.get(guard)

    play(scene)


def test_an_answer_that_ends_its_own_session_goes_out_whole(make_guard: MakeGuard) -> None:
    """Also where a framework sends it in pieces."""

    async def scene() -> None:
        guard = make_guard()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await scope["gatehound"].logout()
            await send(START)
            for _ in range(3):
                await send(chunk(b"x"))
                await asyncio.sleep(0.005)
            await send(END)

        assert (await Wire(guard, app, await sign_in(guard), "http").end())[-1] == END

        async def late(scope: Any, receive: Any, send: Any) -> None:
            visit = scope["gatehound"]
            assert visit.user_id
            await send(START)
            await send(chunk(b"x"))
            await settled(guard)
            await visit.terminate_all()
            await asyncio.sleep(0.01)
            await send(chunk(b"x"))
            await send(END)

        assert (await Wire(guard, late, await sign_in(guard), "http").end())[-1] == END

    play(scene)


def test_a_session_that_is_read_in_the_middle_of_a_stream_counts(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            for number in range(10_000):
                await send(chunk(b"x"))
                await asyncio.sleep(0.001)
                assert number < 5 or scope["gatehound"].user_id
            await send(END)

        wire = Wire(guard, app, await sign_in(guard), "http")
        await wire.until(4)
        await settled(guard)
        await guard.terminate_user("alice")
        assert (await wire.end())[-1] != END

    play(scene)


def test_a_plain_response_starts_no_watch(
    make_guard: MakeGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that a framework sends in two pieces, which is done before it is a stream."""
    monkeypatch.setattr(connection, "STREAM", 0.5)
    made: list[Any] = []

    class Noted(connection.StreamConnection):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            made.append(self)

    async def scene() -> None:
        guard = make_guard()
        monkeypatch.setattr(watch.Watch, "of", None)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["gatehound"].user_id
            assert (await receive())["type"] == "http.request"
            await send(START)
            await send(chunk(b"all"))
            await send(END)

        async def file(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send({"type": "http.response.body", "body": b"all"})

        cookie = await sign_in(guard)
        wire = Wire(guard, app, cookie, "http")
        wire.says({"type": "http.request", "body": b"", "more_body": False})
        assert (await wire.end())[-1] == END
        monkeypatch.setattr(asgi, "StreamConnection", Noted)
        await Wire(guard, file, cookie, "http").end()
        assert made == []

    play(scene)


# --- the watch ---


@pytest.mark.parametrize("everyone", [False, True])
@pytest.mark.parametrize("is_open", [False, True])
def test_what_another_process_ended_is_not_shown_in_an_outage(
    make_guard: MakeGuard, store: Store, is_open: bool, everyone: bool
) -> None:
    """Also of who has nothing open here, as long as anybody has."""

    async def scene() -> None:
        guard = make_guard(outage={"policy": "stale_ok"})
        assert guard.recent is not None
        cookies = {user: await sign_in(guard, user) for user in ("alice", "bob")}
        wires = {user: socket(guard, Chat(), cookies[user]) for user in ("alice", "bob")}
        await wires["alice"].until(1)
        await open_now(wires["bob"])
        if not is_open:
            wires["alice"].says({"type": "websocket.disconnect", "code": 1000})
            await wires["alice"].end()
        (record,) = (await store.sessions(guard.alias("alice"))).records
        assert record.sid in guard.recent._kept
        if everyone:
            await store.revoke_everyone()  # without a word to this guard
        else:
            await store.revoke(guard.alias("alice"), reason=EndReason.ADMIN)
        await until(lambda: record.sid not in guard.recent._kept)  # type: ignore[union-attr]  # asserted above
        await guard.terminate_user("bob")
        for wire in wires.values():
            await wire.end()

    play(scene)


def test_the_watch_ends_with_the_last_connection_and_starts_again(make_guard: MakeGuard) -> None:
    async def scene() -> None:
        guard = make_guard()
        cookie = await sign_in(guard)
        for _ in range(2):
            wire = socket(guard, Chat(), cookie)
            await open_now(wire)
            (one,) = watch._WATCHES[guard].values()
            wire.says({"type": "websocket.disconnect", "code": 1000})
            await wire.end()
            assert one._task.done()
            assert not watch._WATCHES[guard]

    play(scene)


def test_loops_one_after_another_have_watches_of_their_own(make_guard: MakeGuard) -> None:
    guard = make_guard()

    async def left_open() -> None:
        await open_now(socket(guard, Chat(), await sign_in(guard)))

    asyncio.run(left_open())
    play(left_then_ended(guard))
    assert not watch._WATCHES[guard]


def test_a_loop_that_was_closed_is_forgotten(make_guard: MakeGuard) -> None:
    guard = make_guard()
    closed = asyncio.new_event_loop()
    closed.close()
    watch._WATCHES[guard] = {closed: object()}  # type: ignore[dict-item]  # nobody uses it
    play(left_then_ended(guard))
    assert not watch._WATCHES[guard]


def left_then_ended(guard: Guard) -> Callable[[], Coroutine[Any, Any, None]]:
    async def scene() -> None:
        wire = socket(guard, Chat(), await sign_in(guard, "bob"))
        await open_now(wire)
        await guard.terminate_user("bob")
        assert (await wire.end())[-1] == CLOSED

    return scene


class Deaf(MemoryStore):
    """A store that cannot tell; `error` None says each time that some may be missed."""

    error: Exception | None = None

    async def ends(self, place: str, *, wait: float) -> Ends:
        if self.error is not None:
            raise self.error
        return Ends((), False, bool(place), "here")


@pytest.mark.parametrize("error", [StoreUnavailable("NOPERM"), UsageError("blocking"), OSError()])
def test_where_the_store_does_not_tell_each_is_asked_about(
    make_guard: MakeGuard,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.01)

    async def scene() -> None:
        deaf = Deaf(clock=clock)
        deaf.error = error
        guard = make_guard(over=deaf)
        wire = socket(guard, Chat(), await sign_in(guard))
        await wire.until(1)
        await asyncio.sleep(0.02)
        assert len(wire.sent) == 1
        await guard.terminate_user("alice")
        assert (await wire.end())[-1] == CLOSED

    with caplog.at_level(logging.WARNING, "gatehound"):
        play(scene)
    (said,) = [text for text in caplog.messages if "database" not in text]  # said at the start
    assert said.startswith(f"the store does not tell which sessions end ({error})")


def test_what_was_missed_is_asked_about(make_guard: MakeGuard, clock: FakeClock) -> None:
    async def scene() -> None:
        guard = make_guard(over=Deaf(clock=clock))
        wire = socket(guard, Chat(), await sign_in(guard))
        await open_now(wire)
        await guard.terminate_user("alice")
        assert (await wire.end())[-1] == CLOSED

    play(scene)


def test_an_outage_ends_nobody_and_hides_no_end(
    make_guard: MakeGuard, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.01)

    async def scene() -> None:
        faulty = FaultyStore(store)
        guard = make_guard(over=faulty)
        wire = socket(guard, Chat(), await sign_in(guard))
        await open_now(wire)
        faulty.go_down()
        await asyncio.sleep(0.03)
        assert len(wire.sent) == 1
        record_alias = guard.alias("alice")
        await store.revoke(record_alias, reason=EndReason.ADMIN)  # by another process
        faulty.heal()
        assert (await wire.end())[-1] == CLOSED

    play(scene)


def test_an_error_of_a_store_of_somebodys_own_does_not_end_the_watch(
    make_guard: MakeGuard,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.004)

    class Bad(MemoryStore):
        bad = False

        async def load(self, *args: Any, **options: Any) -> Any:
            if self.bad:
                raise KeyError("their own")
            return await super().load(*args, **options)

    async def scene() -> None:
        own = Bad(clock=clock)
        guard = make_guard(over=own)
        wire = socket(guard, Chat(), await sign_in(guard))
        await open_now(wire)
        own.bad = True
        await asyncio.sleep(0.02)
        own.bad = False
        await guard.terminate_user("alice")
        assert (await wire.end())[-1] == CLOSED

    play(scene)
    assert "a session could not be asked about" in caplog.text


def test_everyone_ends_who_was_there_and_asks_about_who_came_since(
    make_guard: MakeGuard, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MARGIN", 0.0)

    class Telling(MemoryStore):
        """Tells of everyone when the test says so, whatever is stored."""

        tells = True
        answers: asyncio.Queue[Ends]

        async def ends(self, place: str, *, wait: float) -> Ends:
            return await self.answers.get() if place else Ends((), False, False, "1")

    async def scene() -> None:
        telling = Telling(clock=clock)
        telling.answers = asyncio.Queue()
        guard = make_guard(over=telling)
        old = socket(guard, Chat(), await sign_in(guard, "old"))
        await open_now(old)
        await asyncio.sleep(0.005)
        telling.answers.put_nowait(Ends((), False, False, "2"))
        await asyncio.sleep(0.005)
        young = socket(guard, Chat(), await sign_in(guard, "young"))
        await open_now(young)
        telling.answers.put_nowait(Ends((), True, False, "3"))
        assert (await old.end())[-1] == CLOSED
        await asyncio.sleep(0.02)
        assert len(young.sent) == 1  # it was asked about, and lives
        await guard.terminate_user("young")
        telling.answers.put_nowait(Ends((), True, False, "4"))
        assert (await young.end())[-1] == CLOSED

    play(scene)


def test_many_are_asked_about_a_few_at_a_time(
    make_guard: MakeGuard, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking: list[Record] = []
    most: list[int] = []

    async def ask(guard: Guard, record: Record) -> float:
        asking.append(record)
        most.append(len(asking))
        await asyncio.sleep(0)
        asking.remove(record)
        return 100.0

    def close() -> None:
        raise AssertionError("nothing ended")

    async def scene() -> None:
        guard = make_guard()
        await sign_in(guard)
        (found,) = (await store.sessions(guard.alias("alice"))).records
        records = [
            replace(found, security=replace(found.security, sid=bytes([n] * 8))) for n in range(25)
        ]
        monkeypatch.setattr(watch, "time_left", ask)
        one = watch.Watch.of(guard)
        for record in records:
            one.join(record, close)
        await until(lambda: len(most) == 25)
        assert max(most) == watch.SLICE
        for record in records:
            await one.leave(record, close)

    play(scene)


def test_sessions_are_asked_about_at_different_times() -> None:
    delays = [watch._every(_Named(bytes([n] * 8))) for n in (0, 128, 255)]  # type: ignore[arg-type]  # all that it reads
    assert delays == sorted(set(delays))
    assert (delays[0], delays[-1] < watch.EVERY) == (watch.EVERY / 2, True)


@dataclass(frozen=True)
class _Named:
    sid: bytes
