"""Whose request it is while something is logged: tasks, threads, generators, close()."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import logging
import logging.config
import logging.handlers
import queue
from collections.abc import Generator, Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from adapter_kit import RESOLVER, Asgi, Wsgi

from gatehound.clientip.asgi import ClientIPMiddleware as ASGIMiddleware
from gatehound.clientip.current import KEY, current_client_ip
from gatehound.clientip.logs import ClientIPFilter
from gatehound.clientip.wsgi import ClientIPMiddleware as WSGIMiddleware

ONE, TWO = "203.0.113.7", "2001:db8::7"
LOGGER = logging.getLogger("tests.clientip.logs")
NOBODY = ("-", "-")


class Kept(logging.Handler):
    """Keep what the filter put on each record."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((vars(record)["client_ip"], vars(record)["client_ip_reason"]))


@pytest.fixture
def said() -> Iterator[list[tuple[str, str]]]:
    """(client_ip, client_ip_reason) of each record, as a handler with the filter sees them."""
    kept = Kept()
    kept.addFilter(ClientIPFilter())
    LOGGER.addHandler(kept)
    LOGGER.setLevel(logging.INFO)
    yield kept.said
    LOGGER.removeHandler(kept)


def note() -> None:
    LOGGER.info("here")


def seen(address: str) -> tuple[str, str]:
    return address, "client"


def environ_of(address: str) -> dict[str, Any]:
    return Wsgi().request("10.0.0.1", [("x-forwarded-for", address)])


def scope_of(address: str) -> dict[str, Any]:
    return Asgi().request("10.0.0.1", [("x-forwarded-for", address)])


def call(app: Any, environ: dict[str, Any]) -> Any:
    return WSGIMiddleware(app, RESOLVER)(environ, lambda *args: lambda data: None)


# --- ASGI ---


def test_a_request_is_current_while_it_is_served_and_not_after(said: list[Any]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        note()
        await asyncio.to_thread(note)
        await asyncio.create_task(noting())
        assert current_client_ip() is scope[KEY]

    async def noting() -> None:
        note()

    async def main() -> None:
        note()
        ask: Any = ASGIMiddleware(app, RESOLVER)
        await ask(scope_of(ONE), None, None)
        note()

    asyncio.run(main())
    assert said == [NOBODY, seen(ONE), seen(ONE), seen(ONE), NOBODY]


def test_an_unresolved_client_and_no_client_can_be_told_apart(said: list[Any]) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        note()
        return []

    call(app, Wsgi().request("10.0.0.1", []))
    call(app, Wsgi().request("192.0.2.1", []))
    note()
    assert said == [("-", "header-missing"), ("192.0.2.1", "peer-not-trusted"), NOBODY]


def test_requests_that_run_at_the_same_time_are_told_apart(said: list[Any]) -> None:
    async def main() -> None:
        turn = [asyncio.Event(), asyncio.Event()]

        async def first(*given: Any) -> None:
            note()
            turn[0].set()
            await turn[1].wait()
            note()

        async def second(*given: Any) -> None:
            await turn[0].wait()
            note()
            turn[1].set()

        ask: Any = ASGIMiddleware
        await asyncio.gather(
            ask(first, RESOLVER)(scope_of(ONE), None, None),
            ask(second, RESOLVER)(scope_of(TWO), None, None),
        )

    asyncio.run(main())
    assert said == [seen(ONE), seen(TWO), seen(ONE)]


def test_after_an_exception_no_request_is_current() -> None:
    async def fail(*given: Any) -> None:
        raise KeyError

    def plain(*given: Any) -> Any:
        raise KeyError

    async def main() -> None:
        ask: Any = ASGIMiddleware(fail, RESOLVER)
        with pytest.raises(KeyError):
            await ask(scope_of(ONE), None, None)
        assert current_client_ip() is None

    asyncio.run(main())
    with pytest.raises(KeyError):
        call(plain, environ_of(ONE))
    assert current_client_ip() is None


def test_a_request_that_is_dropped_elsewhere_disturbs_nobody() -> None:
    """What runs in its own context may be closed by the garbage collector, in any other."""

    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def app(*given: Any) -> None:
        await Pause()

    ask: Any = ASGIMiddleware(app, RESOLVER)
    running = ask(scope_of(ONE), None, None)
    contextvars.copy_context().run(running.send, None)

    def other(environ: Any, start_response: Any) -> list[bytes]:
        nonlocal running
        del running
        gc.collect()  # a ValueError in its `finally` would be a warning, and so an error
        assert str(current_client_ip(environ)) == str(current_client_ip())
        return []

    call(other, environ_of(TWO))


# --- WSGI: the server reads the body after the app has returned ---


class Body:
    """An iterable that logs at every step."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        note()
        yield b"a"
        note()

    def close(self) -> None:
        note()
        self.closed += 1


def test_a_body_logs_in_the_name_of_its_request_and_nobody_does_between(said: list[Any]) -> None:
    body = Body()
    answer = call(lambda environ, start: body, environ_of(ONE))
    note()
    chunks = iter(answer)
    assert next(chunks) == b"a"
    note()
    assert list(chunks) == []
    answer.close()
    assert body.closed == 1
    note()
    assert said == [NOBODY, seen(ONE), NOBODY, seen(ONE), seen(ONE), NOBODY]


def test_bodies_that_one_thread_reads_in_turn_are_told_apart(said: list[Any]) -> None:
    bodies = [
        iter(call(lambda environ, start: Body(), environ_of(address))) for address in (ONE, TWO)
    ]
    assert [next(body) for body in bodies] == [b"a", b"a"]
    assert [list(body) for body in reversed(bodies)] == [[], []]
    assert said == [seen(ONE), seen(TWO), seen(TWO), seen(ONE)]


def test_an_exception_of_a_body_comes_out_and_no_request_stays_current() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield b"a"
        raise KeyError

    chunks = iter(call(app, environ_of(ONE)))
    assert next(chunks) == b"a"
    with pytest.raises(KeyError):
        next(chunks)
    assert current_client_ip() is None


def test_a_generator_is_closed_with_its_request_current(said: list[Any]) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            note()

    answer = call(app, environ_of(ONE))
    assert next(iter(answer)) == b"a"
    answer.close()
    assert said == [seen(ONE)]


def test_a_body_without_close_may_be_closed() -> None:
    answer = call(lambda environ, start: {b"a": 1}, environ_of(ONE))
    assert list(answer) == [b"a"]
    answer.close()


class FromAType:
    """A server's wrapper that only its type tells."""

    def __init__(self, file: Any) -> None:
        self.file = file


@pytest.mark.parametrize(
    "body",
    [
        [b"a"],
        (b"a",),
        io.BytesIO(b"a"),
        FileWrapper(io.BytesIO(b"a")),
        FromAType(io.BytesIO(b"a")),
    ],
)
def test_a_body_that_runs_no_code_of_the_app_is_returned_as_it_is(body: Any) -> None:
    environ = environ_of(ONE) | {"wsgi.file_wrapper": FromAType}
    assert call(lambda environ, start: body, environ) is body


@pytest.mark.parametrize("wrapper", [None, lambda file, size: file])
def test_a_file_wrapper_that_is_no_type_changes_nothing(wrapper: Any) -> None:
    body = iter([b"a"])
    environ = environ_of(ONE) | {"wsgi.file_wrapper": wrapper}
    answer = call(lambda environ, start: body, environ)
    assert answer is not body
    assert list(answer) == [b"a"]


# --- the filter ---


def test_the_filter_works_from_a_dict_and_in_a_format() -> None:
    stream = io.StringIO()
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"client": {"()": "gatehound.clientip.logs.ClientIPFilter"}},
        "formatters": {"line": {"format": "%(client_ip)s %(client_ip_reason)s %(message)s"}},
        "handlers": {
            "kept": {
                "class": "logging.StreamHandler",
                "filters": ["client"],
                "formatter": "line",
                "stream": stream,
            }
        },
        "loggers": {"tests.clientip": {"handlers": ["kept"], "level": "INFO", "propagate": False}},
    }
    logging.config.dictConfig(config)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        logging.getLogger("tests.clientip.child").info("paid")
        return []

    try:
        call(app, environ_of(TWO))
        logging.getLogger("tests.clientip").info("started")
    finally:
        logging.getLogger("tests.clientip").handlers.clear()
        logging.getLogger("tests.clientip").propagate = True
    assert stream.getvalue() == f"{TWO} client paid\n- - started\n"


def test_a_record_keeps_its_client_through_a_queue() -> None:
    """The listener's thread serves no request; a second filter there changes nothing."""
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    before, after = logging.handlers.QueueHandler(waiting), Kept()
    for one in (before, after):
        one.addFilter(ClientIPFilter())

    def app(environ: Any, start_response: Any) -> list[bytes]:
        before.handle(logging.makeLogRecord({}))
        return []

    call(app, environ_of(ONE))
    after.handle(waiting.get_nowait())
    assert after.said == [seen(ONE)]


def test_what_an_app_calls_client_ip_is_not_believed() -> None:
    record = logging.makeLogRecord({"client_ip": "198.51.100.66"})
    assert ClientIPFilter().filter(record) is True
    assert (vars(record)["client_ip"], vars(record)["client_ip_reason"]) == NOBODY


def test_a_name_chooses_loggers_as_in_every_filter() -> None:
    chosen = ClientIPFilter("shop")
    assert chosen.filter(logging.makeLogRecord({"name": "shop.cart"}))
    assert not chosen.filter(logging.makeLogRecord({"name": "other"}))
