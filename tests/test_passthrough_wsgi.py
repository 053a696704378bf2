"""What the WSGI middleware lets pass as it is: iterables, write(), exc_info, exceptions."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest

import gatehound
from gatehound import Guard, SettingsError, SyncVisit, UsageError
from gatehound.wsgi import GatehoundMiddleware
from passthrough_kit import COOKIE, Boom, Exchange, Outage, checked_inside, make_environ, make_guard
from passthrough_kit import serve as serve_app

TEXT = [("Content-Type", "text/plain")]


@pytest.fixture
def guard() -> Guard:
    return make_guard()


def serve(app: Any, guard: Guard, environ: dict[str, Any] | None = None) -> Exchange:
    wrapped = GatehoundMiddleware(checked_inside(app), guard)
    return serve_app(wrapped, environ or make_environ())


def cookie_environ(guard: Guard) -> dict[str, Any]:
    """The environ of somebody who is signed in."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gatehound.current(environ).login("ann")
        start_response("200 OK", TEXT)
        return [b""]

    return make_environ(headers=[("Cookie", f"{COOKIE}={serve(app, guard).cookie}")])


def _fail() -> None:
    raise Boom


class Body:
    """An iterable that counts how often it is closed."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def close(self) -> None:
        self.closed += 1


# --- the body ---


@pytest.mark.parametrize("verb", ["", "read", "login"])
@pytest.mark.parametrize(
    "body", [[b"a"], (b"a",), Body(b"a"), FileWrapper(io.BytesIO(b"a")), iter([b"a"])]
)
def test_the_iterable_is_the_very_same_object(guard: Guard, verb: str, body: Any) -> None:
    """A server recognises its file wrapper by its type, and sends the file by sendfile()."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        visit = gatehound.current(environ)
        _ = visit.user_id if verb == "read" else visit.login("ann") if verb == "login" else None
        start_response("200 OK", TEXT)
        return body

    returned = GatehoundMiddleware(app, guard)(make_environ(), lambda *args: lambda data: None)
    assert returned is body


def test_the_file_wrapper_of_the_server_is_handed_through(guard: Guard) -> None:
    made: list[Any] = []

    def wrapper(file: Any, size: int = 8192) -> Any:
        made.append(FileWrapper(file, size))
        return made[0]

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](io.BytesIO(b"abc"))

    environ = make_environ() | {"wsgi.file_wrapper": wrapper}
    returned = GatehoundMiddleware(app, guard)(environ, lambda *args: lambda data: None)
    assert returned is made[0]


def test_chunks_arrive_one_by_one(guard: Guard) -> None:
    done: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        for number in range(3):
            yield b"%d" % number
            done.append(number)

    body = iter(GatehoundMiddleware(app, guard)(make_environ(), lambda *args: lambda data: None))
    for number in range(3):
        assert next(body) == b"%d" % number
        assert done == list(range(number))


def test_the_body_is_closed_once_by_the_server(guard: Guard) -> None:
    body = Body(b"a", b"b")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return body

    assert serve(app, guard).body == b"ab"
    assert body.closed == 1


def test_the_body_of_a_replaced_error_page_is_closed_once() -> None:
    store = Outage()
    guard = make_guard(store)
    environ, body = cookie_environ(guard), Body(b"oops")
    store.down = True

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        with pytest.raises(gatehound.StoreUnavailable):
            _ = gatehound.current(environ).user_id
        write = start_response("500 Oops", TEXT)
        write(b"not this either")
        return body

    answer = serve(app, guard, environ)
    assert (answer.status, answer.one("retry-after"), body.closed) == (503, "5", 1)
    assert b"oops" not in answer.body
    assert b"either" not in answer.body


def test_write_works(guard: Guard) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gatehound.current(environ).login("ann")
        write = start_response("200 OK", TEXT)
        write(b"a")
        write(b"b")
        return [b"c"]

    answer = serve(app, guard)
    assert (answer.body, bool(answer.cookie)) == (b"abc", True)


def test_a_generator_may_sign_in_before_its_first_chunk(guard: Guard) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        gatehound.current(environ).login("ann")
        start_response("200 OK", TEXT)
        yield b"a"
        with pytest.raises(UsageError, match="after the response had begun"):
            gatehound.current(environ).login("ann")
        yield b"b"

    answer = serve(app, guard)
    assert (answer.body, bool(answer.cookie)) == (b"ab", True)
    assert len(guard.sync.sessions_of("ann")) == 1


def test_the_error_page_of_a_generator_stays(guard: Guard) -> None:
    """Its status line comes when its body is already under way: ours would not fit it."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        with pytest.raises(gatehound.FreshLoginRequired):
            gatehound.current(environ).require_fresh()
        start_response("500 Oops", TEXT)
        yield b"oops"

    answer = serve(app, guard)
    assert (answer.status, answer.body) == (500, b"oops")


def test_a_login_in_a_generator_that_answers_500_leaves_no_session(guard: Guard) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        gatehound.current(environ).login("ann")
        start_response("500 Oops", TEXT)
        yield b"oops"

    assert serve(app, guard).all("set-cookie") == []
    assert guard.sync.sessions_of("ann") == []


# --- exceptions ---


@pytest.mark.parametrize("starts", [False, True])
def test_an_exception_of_the_app_comes_out_as_it_is(guard: Guard, starts: bool) -> None:
    boom = Boom("the app's own")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if starts:
            start_response("200 OK", TEXT)
        raise boom

    assert serve(app, guard).error is boom


@pytest.mark.parametrize("starts", [False, True])
def test_a_login_before_an_exception_leaves_no_session(guard: Guard, starts: bool) -> None:
    """PEP 3333: headers wait for the first body byte, so the server's 500 has no cookie."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gatehound.current(environ).login("ann")
        if starts:
            start_response("200 OK", TEXT)
        raise Boom

    assert serve(app, guard).all("set-cookie") == []
    assert guard.sync.sessions_of("ann") == []


def test_a_login_whose_cookie_went_out_survives_an_exception(guard: Guard) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gatehound.current(environ).login("ann")
        start_response("200 OK", TEXT)(b"first byte")
        raise Boom

    assert serve(app, guard).cookie
    assert len(guard.sync.sessions_of("ann")) == 1


def test_start_response_again_with_exc_info_replaces_the_headers(guard: Guard) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        _ = gatehound.current(environ).user_id
        start_response("200 OK", [*TEXT, ("X-First", "1")])
        try:
            _fail()
        except Boom:
            start_response("404 Gone", TEXT, sys.exc_info())
        return [b"page"]

    answer = serve(app, guard)
    assert (answer.status, answer.body, answer.all("x-first")) == (404, b"page", [])
    assert answer.all("vary") == ["Cookie"]


def test_exc_info_after_the_headers_were_sent_raises_from_the_server(guard: Guard) -> None:
    boom = Boom()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)(b"first byte")
        try:
            raise boom
        except Boom:
            start_response("500 Oops", TEXT, sys.exc_info())
        raise AssertionError("start_response had to raise")

    assert serve(app, guard).error is boom


def test_a_login_before_a_500_with_exc_info_leaves_no_session(guard: Guard) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gatehound.current(environ).login("ann")
        start_response("200 OK", TEXT)
        try:
            _fail()
        except Boom:
            start_response("500 Oops", TEXT, sys.exc_info())
        return [b"page"]

    answer = serve(app, guard)
    assert (answer.status, answer.all("set-cookie")) == (500, [])
    assert guard.sync.sessions_of("ann") == []


def test_a_demand_for_a_fresh_login_after_start_response_is_still_a_401(guard: Guard) -> None:
    """Nothing was sent yet: start_response may be called again, with exc_info."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)
        gatehound.current(environ).require_fresh()
        return [b"secret"]

    answer = serve(app, guard)
    assert (answer.status, answer.error) == (401, None)
    assert b"secret" not in answer.body


def test_an_app_that_never_starts_a_response_is_left_to_the_server(guard: Guard) -> None:
    started: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return []

    def start(*arguments: Any) -> Any:
        started.append(arguments)

    assert GatehoundMiddleware(app, guard)(make_environ(), start) == []
    assert started == []


# --- the environ ---


def test_the_visit_goes_into_the_servers_own_environ(guard: Guard) -> None:
    environ, seen = make_environ(), []

    def app(inner: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(inner)
        return []

    GatehoundMiddleware(app, guard)(environ, lambda *args: lambda data: None)
    assert seen[0] is environ
    assert isinstance(environ["gatehound"], SyncVisit)


def test_a_store_that_suspends_is_refused_when_the_middleware_is_built() -> None:
    class Suspending(Outage):
        def __init__(self) -> None:
            super().__init__()
            self.suspends = True

    guard = make_guard(Suspending())
    with pytest.raises(SettingsError, match="event loop"):
        GatehoundMiddleware(lambda environ, start_response: [], guard)
