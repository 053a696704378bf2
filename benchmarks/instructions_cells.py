"""What instructions.py runs under callgrind: one process that forks for every run of a cell.

    python benchmarks/instructions_cells.py FOLDER REDIS_URL WARM_UP PARALLEL RUNS

RUNS is JSON, a list of [cell, count]. Everything is imported before the first fork, so that it
is paid once and is the same in every run. Each run builds its app, signs one user in, serves
WARM_UP requests and then `count` that are measured; its answers are checked. What it leaves in
FOLDER is `PID.json`, which says what the process PID was; callgrind writes the rest.
"""

from __future__ import annotations

import asyncio
import gc
import io
import itertools
import json
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

# Once a second a process asks its store something more, and under callgrind a second has some
# hundred requests only. The store's time stands still here; what the servers say does not. A
# dict's own method, because a function of ours would be counted.
_NOW: Final = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
time.clock_gettime_ns = dict.fromkeys(range(16), _NOW).__getitem__

from starlette.middleware.sessions import SessionMiddleware  # noqa: E402 - after the clock

from gatehound import Guard  # noqa: E402 - after the clock
from gatehound.asgi import GatehoundMiddleware as AsgiGate  # noqa: E402 - after the clock
from gatehound.stores.redis import RedisStore  # noqa: E402 - after the clock
from gatehound.stores.sqlite import link as sqlite_link  # noqa: E402 - after the clock
from gatehound.wsgi import GatehoundMiddleware as WsgiGate  # noqa: E402 - after the clock

# So is the look at which file has the name: it would fall on some requests and not on others.
sqlite_link.WATCH_EVERY = float("inf")  # type: ignore[misc] # a constant

USER: Final = "ada"
PROXY: Final = "10.0.0.7"
PATIENT: Final = 60.0  # seconds: a process under callgrind is slow, and its server is not down
KEYS: Final = {
    "secret_keys": ["benchmark-key-of-over-32-characters!"],
    "identity_key": "another-benchmark-key-of-32-characters",
    # Its cookie makes the Cookie line longer, and what parses that here is the benchmark.
    "session": {"known_devices": False},
}
HEADERS: Final = {  # what Chrome sends when a link is followed, and what a proxy adds
    "host": "shop.example.org",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "sec-ch-ua": '"Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "upgrade-insecure-requests": "1",
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "image/apng,*/*;q=0.8",
    "sec-fetch-site": "same-origin",
    "sec-fetch-mode": "navigate",
    "sec-fetch-user": "?1",
    "sec-fetch-dest": "document",
    "referer": "https://shop.example.org/orders",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "en-US,en;q=0.9",
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-proto": "https",
}
_LINES: Final = "\n".join(f"{name}: {value}" for name, value in HEADERS.items())
_ENVIRON: Final[dict[str, Any]] = {  # what gunicorn gives
    "wsgi.errors": sys.stderr,
    "wsgi.version": (1, 0),
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
    "SERVER_SOFTWARE": "gunicorn/23.0.0",
    "REQUEST_METHOD": "GET",
    "QUERY_STRING": "",
    "RAW_URI": "/orders/17",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.url_scheme": "https",
    "REMOTE_ADDR": PROXY,
    "REMOTE_PORT": "50000",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SCRIPT_NAME": "",
    **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()},
}

Serve = Callable[[int], Awaitable[None]]
"""Serves as many requests as it is told."""


def cookies_of(sent: list[str]) -> str:
    """What a browser sends back of these Set-Cookie lines."""
    return "; ".join(line.partition(";")[0] for line in sent)


def lines_of(cookie: str) -> bytes:
    """Return the header lines of a request, as they come off a socket."""
    other = "theme=dark; _ga=GA1.1.1234567890.1700000000"
    return f"{_LINES}\ncookie: {other}{'; ' if cookie else ''}{cookie}".encode()


def make_scope(lines: bytes, path: str) -> dict[str, Any]:
    """Make a scope as uvicorn does; names and values are new objects, as from a parser."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": (PROXY, 50000),
        "scheme": "https",
        "method": "GET",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (name, value) for name, _, value in (one.partition(b": ") for one in lines.split(b"\n"))
        ],
        "state": {},
    }


# --- the apps ---


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    """Say who is signed in, by whatever session there is; the bare app says as much."""
    visit, session = scope.get("gatehound"), scope.get("session")
    if scope["path"] == "/sign-in":
        if visit is not None:
            await visit.login(USER)
        elif session is not None:
            session["user"] = USER
    known = USER if session is None else session["user"]
    body = ((visit.user_id if visit is not None else known) or "nobody").encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    """Do the same."""
    visit = environ.get("gatehound")
    if visit is not None and environ["PATH_INFO"] == "/sign-in":
        visit.login(USER)
    body = ((visit.user_id if visit is not None else USER) or "nobody").encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


# --- one request ---


async def ask_asgi(app: Any, lines: bytes, path: str = "/orders/17") -> list[dict[str, Any]]:
    """Send one request; return the messages of the response."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(make_scope(lines, path), receive, send)
    return sent


def ask_wsgi(app: Any, cookie: str, path: str = "/orders/17") -> tuple[list[Any], bytes]:
    """Send one request; return headers and body of the response."""
    given: list[Any] = []

    def start_response(status: str, headers: list[Any], exc_info: Any = None) -> None:
        given.extend(headers)

    environ = _ENVIRON | {"PATH_INFO": path, "HTTP_COOKIE": cookie, "wsgi.input": io.BytesIO()}
    return given, b"".join(app(environ, start_response))


def check(body: bytes, headers: list[Any]) -> None:
    """End the run where a request was not one of a signed-in user that sets no cookie."""
    if body != USER.encode() or any(
        name.lower() in ("set-cookie", b"set-cookie") for name, _ in headers
    ):
        raise RuntimeError(f"not what is to be measured: {body!r} with {headers}")


def moved(lines: bytes, number: int) -> bytes:
    """Return the header lines of a request from a network of its own: a /24 for each number."""
    address = b"198.%d.%d.7" % (18 + number // 256, number % 256)  # RFC 2544
    return lines.replace(HEADERS["x-forwarded-for"].encode(), address)


async def serving_asgi(app: Any, at_once: int, *, moves: bool = False) -> Serve:
    """Sign in, and return what serves requests, `at_once` of them at the same time.

    With `moves` each comes from a network that its session has not used.
    """
    sent = [
        value.decode()
        for name, value in (await ask_asgi(app, lines_of(""), "/sign-in"))[0]["headers"]
        if name == b"set-cookie"
    ]
    lines = lines_of(cookies_of(sent))

    numbers = itertools.count()

    async def one() -> None:
        start, last = await ask_asgi(app, moved(lines, next(numbers)) if moves else lines)
        check(last["body"], start["headers"])

    async def serve(count: int) -> None:
        for _ in range(count // at_once):
            if at_once == 1:
                await one()
            else:
                await asyncio.gather(*(one() for _ in range(at_once)))

    return serve


async def serving_wsgi(app: Any) -> Serve:
    """Sign in, and return what serves requests one after another."""
    headers, _ = ask_wsgi(app, "", "/sign-in")
    sent = [value for name, value in headers if name == "Set-Cookie"]
    cookie = f"theme=dark; _ga=GA1.1.1234567890.1700000000; {cookies_of(sent)}"

    async def serve(count: int) -> None:
        for _ in range(count):
            headers, body = ask_wsgi(app, cookie)
            check(body, headers)

    return serve


# --- one run ---


def guard_over(kind: str, folder: Path, redis_url: str, *, suspends: bool) -> Guard:
    """Build a guard with its defaults, but for the proxy in front and a patient store."""
    name = f"run-{os.getpid()}"
    memory = dict.fromkeys(("memory", "moving"), "memory://")
    urls = {**memory, "sqlite": f"sqlite:///{folder / name}.db", "redis": redis_url}
    settings = {
        **KEYS,
        "namespace": name,
        "store": urls[kind],
        "check_store_at_start": False,
        "client_ip": {"mode": "x-forwarded-for", "trusted_proxies": [PROXY]},
    }
    store = None
    if kind == "redis":
        store = RedisStore(redis_url, namespace=name, suspends=suspends, deadline=PATIENT)
    return Guard(settings, store=store)


async def run(cell: str, count: int, warm_up: int, folder: Path, redis_url: str) -> None:
    """Serve a cell's requests; `count` of them once all is warm."""
    world, kind, at_once = cell.split("/")
    guard = None
    app: Any = asgi_app if world == "asgi" else wsgi_app
    if kind == "starlette":
        app = SessionMiddleware(app, KEYS["secret_keys"][0], https_only=True)
    elif kind != "bare":
        guard = guard_over(kind, folder, redis_url, suspends=world == "asgi")
        app = (AsgiGate if world == "asgi" else WsgiGate)(app, guard)
    if world == "asgi":
        serve = await serving_asgi(app, int(at_once), moves=kind == "moving")
    else:
        serve = await serving_wsgi(app)
    await serve(warm_up)
    gc.collect()
    gc.freeze()  # collections come every so many requests, and see the same in every run
    await serve(count)
    if guard is not None:
        await (guard.store if world == "asgi" else guard.blocking().store).close()


def in_child(cell: str, count: int, warm_up: int, folder: Path, redis_url: str) -> None:
    """Run a cell in a process that was forked for it, and end the process."""
    code = 1
    try:
        asyncio.run(run(cell, count, warm_up, folder, redis_url))
        name = folder / f"{os.getpid()}.json"
        name.write_text(json.dumps([cell, count]), encoding="utf-8")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Fork for each run, some at a time; exit with 1 where one failed."""
    folder, redis_url = Path(sys.argv[1]), sys.argv[2]
    warm_up, parallel = int(sys.argv[3]), int(sys.argv[4])
    # What is loaded at first use is loaded now, and so are the rules for browsers' names.
    guard = Guard({**KEYS, "store": "memory://", "check_store_at_start": False})
    asyncio.run(serving_asgi(AsgiGate(asgi_app, guard), 1))
    for suspends in (False, True):
        RedisStore(redis_url, namespace="none", suspends=suspends)
    failed = running = 0
    for cell, count in json.loads(sys.argv[5]):
        if running == parallel:
            failed += os.wait()[1] != 0
            running -= 1
        if os.fork() == 0:
            in_child(cell, count, warm_up, folder, redis_url)
        running += 1
    for _ in range(running):
        failed += os.wait()[1] != 0
    sys.stderr.flush()
    os._exit(failed != 0)


if __name__ == "__main__":
    main()
