"""What the guard adds to a request of a signed-in user, in one process and without a network.

    python benchmarks/run.py            # memory and SQLite
    python benchmarks/run.py --redis redis://127.0.0.1:6379/15

Every round measures the bare app and then each guarded one, so that a slow moment of the machine
meets all of them. The figure is the median over the rounds of the CPU time for one request; the
ratio is against the bare app of the same round. JSON goes to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatehound import Guard, __version__
from gatehound.asgi import GatehoundMiddleware

AGENT = b"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
KEYS = {
    "secret_keys": ["benchmark-key-of-over-32-characters!"],
    "identity_key": "another-benchmark-key-of-32-characters",
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with who is signed in; sign in on /sign-in; the bare app answers as much."""
    visit = scope.get("gatehound")
    if scope["path"] == "/sign-in":
        await visit.login("ada")
    body = (visit.user_id if visit else "ada").encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def request(path: str, cookie: bytes = b"") -> dict[str, Any]:
    """Make the scope of a navigation, as a browser sends it."""
    headers = [
        (b"host", b"example.org"),
        (b"user-agent", AGENT),
        (b"accept", b"text/html,application/xhtml+xml"),
        (b"sec-fetch-mode", b"navigate"),
        *([(b"cookie", cookie)] if cookie else []),
    ]
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "scheme": "https",
        "query_string": b"",
        "client": ("192.0.2.1", 50000),
        "headers": headers,
    }


async def ask(target: Any, path: str, cookie: bytes = b"") -> list[dict[str, Any]]:
    """Send one request and return the messages of its response."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    await target(request(path, cookie), receive, send)
    return sent


async def sign_in(target: Any) -> bytes:
    """Return the cookie of a new session that has been used once."""
    headers = dict((await ask(target, "/sign-in"))[0]["headers"])
    cookie: bytes = headers[b"set-cookie"].partition(b";")[0]
    (_, last) = await ask(target, "/", cookie)
    if last["body"] != b"ada":
        raise SystemExit(f"the session does not work: {last['body']!r}")
    return cookie


async def cost(target: Any, cookie: bytes, count: int) -> float:
    """Return the CPU time of this process for one request, in microseconds."""
    before = time.process_time_ns()
    for _ in range(count):
        await ask(target, "/", cookie)
    return (time.process_time_ns() - before) / count / 1000


async def measure(stores: dict[str, str], rounds: int, count: int) -> dict[str, Any]:
    """Measure the bare app and one guarded app for each store, in turn."""
    guards = {
        name: Guard({**KEYS, "namespace": "benchmark", "store": url})
        for name, url in stores.items()
    }
    targets: dict[str, Any] = {"bare": app}
    targets |= {name: GatehoundMiddleware(app, guard) for name, guard in guards.items()}
    cookies = {name: await sign_in(target) for name, target in targets.items() if name != "bare"}
    costs: dict[str, list[float]] = {name: [] for name in targets}
    for number in range(rounds + 1):
        for name, target in targets.items():
            value = await cost(target, cookies.get(name, b""), count)
            if number:  # the first round warms up
                costs[name].append(value)
    for guard in guards.values():
        await guard.forget_user("ada")
        await guard.store.close()
    return {name: summary(values, costs["bare"]) for name, values in costs.items()}


def summary(values: list[float], bare: list[float]) -> dict[str, float]:
    """Put the rounds of one app in four figures."""
    return {
        "median_us": round(statistics.median(values), 2),
        "least_us": round(min(values), 2),
        "added_us": round(statistics.median(a - b for a, b in zip(values, bare, strict=True)), 2),
        "ratio": round(statistics.median(a / b for a, b in zip(values, bare, strict=True)), 2),
    }


@contextlib.contextmanager
def stores(redis: str | None) -> Iterator[dict[str, str]]:
    """Name the stores to measure, SQLite in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        found = {"memory": "memory://", "sqlite": f"sqlite:///{Path(folder) / 'sessions.db'}"}
        yield found | ({"redis": redis} if redis else {})


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--redis", metavar="URL", help="also measure over this server")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=500, help="requests in one round")
    given = parser.parse_args()
    with stores(given.redis) as urls:
        figures = asyncio.run(measure(urls, given.rounds, given.count))
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    result = {
        "gatehound": __version__,
        **machine,
        "rounds": given.rounds,
        "count": given.count,
        "apps": figures,
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
