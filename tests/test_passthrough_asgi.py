"""What the ASGI middleware lets pass as it is: every message, scope and exception not its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.wsgi import WsgiToAsgi  # Django brings it

import gatehound
from gatehound import Guard, UsageError, Visit
from gatehound.asgi import GatehoundMiddleware
from passthrough_kit import COOKIE, Boom, Exchange, Message, Outage, http_scope, make_guard, talk

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b""}


@pytest.fixture
def guard() -> Guard:
    return make_guard()


def run(app: Any, guard: Guard, scope: Message | None = None, *incoming: Message) -> Exchange:
    return asyncio.run(talk(GatehoundMiddleware(app, guard), scope or http_scope(), incoming))


def websocket(cookie: str = "") -> Message:
    scope = http_scope(headers=[("Cookie", f"{COOKIE}={cookie}")] if cookie else [])
    return {**scope, "type": "websocket", "scheme": "wss", "subprotocols": []}


def sender(*messages: Message) -> Any:
    """Make an app that sends these messages and returns."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def sign_in(guard: Guard) -> str:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await gatehound.current(scope).login("ann")
        await send(START)

    return run(app, guard).cookie


# --- messages ---


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.body", "body": b"x", "more_body": True},
        {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False},
        {"type": "http.response.pathsend", "path": "/a/file"},
        {"type": "http.response.zerocopysend", "file": 3, "offset": 0, "count": 9},
        {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]},
        {"type": "http.response.push", "path": "/a", "headers": []},
        {"type": "http.response.debug", "info": {}},
        {"type": "websocket.send", "text": "hi"},
        {"type": "websocket.close", "code": 1000},
        {"type": "websocket.http.response.start", "status": 403, "headers": []},
        {"type": "websocket.http.response.body", "body": b"no"},
        {"type": "something.from.2040", "anything": object()},
    ],
    ids=lambda message: message["type"],
)
def test_every_other_message_is_the_same_object(guard: Guard, message: Message) -> None:
    kept = {**message}
    answer = run(sender(message), guard)
    assert answer.sent[0] is message
    assert message == kept


def test_a_start_that_needs_nothing_is_the_same_object(guard: Guard) -> None:
    assert run(sender(START, END), guard).sent[0] is START


def test_a_start_that_needs_headers_is_copied_and_keeps_its_other_keys(guard: Guard) -> None:
    start: Message = {"type": "http.response.start", "status": 200, "trailers": True}

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await gatehound.current(scope).login("ann")
        await send(start)

    answer = run(app, guard)
    assert start == {"type": "http.response.start", "status": 200, "trailers": True}
    assert answer.sent[0]["trailers"] is True
    assert answer.cookie


def test_early_hints_before_the_start_carry_no_cookie_and_do_not_use_it_up(guard: Guard) -> None:
    hint: Message = {"type": "http.response.early_hint", "links": []}

    async def app(scope: Message, receive: Any, send: Any) -> None:
        visit = gatehound.current(scope)
        await send(hint)
        await visit.login("ann")
        await send(START)

    answer = run(app, guard)
    assert answer.sent[0] is hint
    assert answer.cookie


def test_chunks_arrive_one_by_one(guard: Guard) -> None:
    """Each send has reached the server before the app goes on."""
    arrived: list[str] = []
    seen_by_app: list[int] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        for number in range(3):
            await send(START if number == 0 else {**END, "more_body": True})
            seen_by_app.append(len(arrived))

    async def main() -> None:
        async def send(message: Any) -> None:
            arrived.append(message["type"])

        await GatehoundMiddleware(app, guard)(http_scope(), _nothing, send)

    asyncio.run(main())
    assert seen_by_app == [1, 2, 3]


async def _nothing() -> Message:
    raise AssertionError("nobody asked for a message")


def test_bridges_from_wsgi_take_our_send_for_a_coroutine_function(guard: Guard) -> None:
    """asgiref warns of any other, once for each app, and warnings are errors here."""

    def plain(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"plain"]

    nothing = {"type": "http.request", "body": b""}
    bridged: Any = WsgiToAsgi(plain)  # type: ignore[no-untyped-call] # theirs
    answer = run(bridged, guard, http_scope(), nothing)
    assert (answer.error, answer.body) == (None, b"plain")


def test_receive_is_the_servers_own(guard: Guard) -> None:
    seen: list[Any] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        seen.append(receive)

    async def send(message: Any) -> None:
        raise AssertionError("the app sent nothing")

    asyncio.run(GatehoundMiddleware(app, guard)(http_scope(), _nothing, send))
    assert seen == [_nothing]


def test_work_after_the_response_may_use_the_session_but_not_the_cookie(guard: Guard) -> None:
    said: list[str] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        visit = gatehound.current(scope)
        await visit.login("ann")
        await send(START)
        await send(END)
        await visit.data.set("done", value=True)
        said.append(str(await visit.data.get("done")))
        with pytest.raises(UsageError, match="after the response had begun"):
            await visit.login("bob")

    answer = run(app, guard)
    assert answer.error is None
    assert said == ["True"]
    assert len(guard.sync.sessions_of("ann")) == 1
    assert guard.sync.sessions_of("bob") == []


# --- scopes ---


@pytest.mark.parametrize("kind", ["lifespan", "something.from.2040"])
@pytest.mark.parametrize("error", [None, Boom("as Django does on lifespan")])
def test_other_scopes_are_the_apps_alone(guard: Guard, kind: str, error: Boom | None) -> None:
    seen: list[Any] = []
    message: Message = {"type": f"{kind}.startup.complete"}

    async def app(scope: Message, receive: Any, send: Any) -> None:
        seen.append(scope)
        if error is not None:
            raise error
        await send(message)

    scope: Message = {"type": kind}
    answer = run(app, guard, scope)
    assert seen[0] is scope
    assert scope == {"type": kind}
    assert answer.error is error
    assert answer.sent == ([] if error else [message])


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_visit_is_in_the_scope(guard: Guard, kind: str) -> None:
    seen: list[Any] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        seen.append(scope["gatehound"])

    run(app, guard, websocket() if kind == "websocket" else http_scope())
    assert isinstance(seen[0], Visit)


def test_the_visit_goes_into_the_servers_own_scope(guard: Guard) -> None:
    """A copy would lose what servers and frameworks share through the scope."""
    scope, seen = http_scope(), []

    async def app(inner: Message, receive: Any, send: Any) -> None:
        seen.append(inner)

    run(app, guard, scope)
    assert seen[0] is scope


def test_a_login_in_an_app_that_never_answers_leaves_no_session(guard: Guard) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await gatehound.current(scope).login("ann")

    answer = run(app, guard)
    assert (answer.sent, answer.error) == ([], None)
    assert guard.sync.sessions_of("ann") == []


# --- exceptions ---


@pytest.mark.parametrize("before", [(), (START,), (START, {**END, "more_body": True})])
def test_an_exception_of_the_app_comes_out_as_it_is(
    guard: Guard, before: tuple[Message, ...]
) -> None:
    boom = Boom("the app's own")

    async def app(scope: Message, receive: Any, send: Any) -> None:
        for message in before:
            await send(message)
        raise boom

    answer = run(app, guard)
    assert answer.error is boom
    assert answer.sent == list(before)


def test_a_login_whose_cookie_went_out_survives_an_exception(guard: Guard) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await gatehound.current(scope).login("ann")
        await send(START)
        raise Boom

    assert run(app, guard).cookie
    assert len(guard.sync.sessions_of("ann")) == 1


def test_a_login_in_a_request_that_is_cancelled_leaves_no_session(guard: Guard) -> None:
    """Servers and timeouts cancel; CancelledError is no Exception."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await gatehound.current(scope).login("ann")
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(app, guard)
    assert guard.sync.sessions_of("ann") == []


def test_an_error_page_with_our_error_under_it_becomes_our_answer_once() -> None:
    """Starlette sends its 500 first, and raises the exception again afterwards."""
    store = Outage()
    guard = make_guard(store)
    cookie = sign_in(guard)
    store.down = True

    async def app(scope: Message, receive: Any, send: Any) -> None:
        try:
            gatehound.current(scope).user_id  # noqa: B018 - reading it is the point
        except Exception:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"oops"})
            raise

    answer = run(app, guard, http_scope(headers=[("Cookie", f"{COOKIE}={cookie}")]))
    assert answer.error is None
    assert answer.status == 503
    assert b"oops" not in answer.body
    assert [m["type"] for m in answer.sent] == [START["type"], END["type"]]


@pytest.mark.parametrize("kind", ["body", "trailers", "pathsend", "zerocopysend", "early_hint"])
def test_nothing_of_an_error_page_follows_our_answer(guard: Guard, kind: str) -> None:
    """A server takes what comes after the end of a response for a mistake, or sends it."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        with pytest.raises(gatehound.FreshLoginRequired):
            await gatehound.current(scope).require_fresh()
        await send({"type": "http.response.start", "status": 500, "headers": [], "trailers": True})
        await send({"type": f"http.response.{kind}"})
        await send(START)

    answer = run(app, guard)
    assert answer.status == 401
    assert [m["type"] for m in answer.sent] == [START["type"], END["type"]]


def test_headers_may_be_any_iterable_and_the_app_reads_them_too(guard: Guard) -> None:
    """ASGI asks for an iterable; one that is read once would be empty afterwards."""
    found: list[Any] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        found.append((gatehound.current(scope).user_id, list(scope["headers"])))
        await send(START)

    lines = http_scope(headers=[("Cookie", f"{COOKIE}={sign_in(guard)}")])["headers"]
    answer = run(app, guard, {**http_scope(), "headers": iter(lines)})
    assert answer.error is None
    assert found == [("ann", list(lines))]


def test_an_error_page_that_the_app_chose_itself_is_kept(guard: Guard) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        with pytest.raises(gatehound.FreshLoginRequired):
            await gatehound.current(scope).require_fresh()
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b"mine"})

    answer = run(app, guard)
    assert (answer.status, answer.body) == (403, b"mine")


# --- websockets ---

ACCEPT: Message = {"type": "websocket.accept", "subprotocol": "chat"}


def test_an_accept_that_needs_nothing_is_the_same_object(guard: Guard) -> None:
    assert run(sender(ACCEPT), guard, websocket()).sent == [ACCEPT]
    assert run(sender(ACCEPT), guard, websocket()).sent[0] is ACCEPT


def test_a_login_before_accept_sends_its_cookie_with_the_handshake(guard: Guard) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await gatehound.current(scope).login("ann")
        await send(ACCEPT)
        with pytest.raises(UsageError, match="after the response had begun"):
            await gatehound.current(scope).login("ann")
        await send({"type": "websocket.close", "code": 1000})

    answer = run(app, guard, websocket(), {"type": "websocket.connect"})
    assert answer.error is None
    assert answer.sent[0]["subprotocol"] == "chat"
    assert ACCEPT == {"type": "websocket.accept", "subprotocol": "chat"}
    assert answer.sent[1] == {"type": "websocket.close", "code": 1000}

    async def reader(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "websocket.send", "text": str(gatehound.current(scope).user_id)})

    assert run(reader, guard, websocket(answer.cookie)).sent[0]["text"] == "ann"


def test_a_login_before_a_closed_handshake_leaves_no_session(guard: Guard) -> None:
    """The server's bare 403 carries no cookie, so nobody would ever hold that session."""
    close: Message = {"type": "websocket.close", "code": 1008}

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await gatehound.current(scope).login("ann")
        await send(close)

    assert run(app, guard, websocket()).sent == [close]
    assert guard.sync.sessions_of("ann") == []


def test_a_denial_of_a_handshake_is_a_response_like_another(guard: Guard) -> None:
    cookie = sign_in(guard)
    denial: Message = {"type": "websocket.http.response.start", "status": 403, "headers": []}

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await gatehound.current(scope).logout()
        await send(denial)

    (sent,) = run(app, guard, websocket(cookie)).sent
    assert denial["headers"] == []
    names = [name for name, _ in sent["headers"]]
    assert sorted(names) == [b"cache-control", b"set-cookie", b"vary"]


def test_a_login_before_an_exception_in_a_websocket_leaves_no_session(guard: Guard) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await gatehound.current(scope).login("ann")
        raise Boom

    answer = run(app, guard, websocket())
    assert isinstance(answer.error, Boom)
    assert guard.sync.sessions_of("ann") == []


def test_our_errors_refuse_the_handshake_of_a_websocket(guard: Guard) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await gatehound.current(scope).require_fresh()

    answer = run(app, guard, websocket())
    assert answer.error is None
    assert answer.sent == [{"type": "websocket.close", "code": 1008}]


def test_development_mode_closes_a_websocket_for_another_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    guard = make_guard(development=True)
    scope = websocket()
    scope["headers"] = [(b"host", b"example.com")]
    assert run(sender(ACCEPT), guard, scope).sent == [{"type": "websocket.close", "code": 1008}]


# --- headers that are no list ---


@pytest.mark.parametrize("kind", [list, tuple, iter])
@pytest.mark.parametrize("reads", [True, False])
def test_headers_of_a_response_may_be_any_iterable(guard: Guard, kind: Any, reads: bool) -> None:
    own = [(b"content-type", b"text/plain"), (b"x-own", b"1")]

    async def app(scope: Message, receive: Any, send: Any) -> None:
        assert not (reads and gatehound.current(scope).user_id)
        await send({**START, "headers": kind(own)})
        await send(END)

    answer = run(app, guard)
    added = [(b"cache-control", b"private"), (b"vary", b"Cookie")] if reads else []
    assert list(answer.sent[0]["headers"]) == [*own, *added]


# --- the plain face under ASGI ---


def test_sync_works_from_a_thread_and_is_refused_on_the_loop(guard: Guard) -> None:
    seen: list[str | None] = []

    def handler(visit: Visit) -> None:
        seen.append(visit.sync.user_id)
        visit.sync.login("ann")
        seen.append(visit.sync.user_id)

    async def app(scope: Message, receive: Any, send: Any) -> None:
        visit = gatehound.current(scope)
        with pytest.raises(UsageError, match="own thread"):
            visit.sync.login("ann")
        await asyncio.to_thread(handler, visit)
        await send(START)

    assert run(app, guard).cookie
    assert seen == [None, "ann"]
