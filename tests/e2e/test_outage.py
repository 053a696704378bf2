"""Redis goes away under real servers, and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from servers import KEYS, gunicorn, redis, uvicorn

from serving import Servers, servers

pytestmark = pytest.mark.slow


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Servers]:
    with servers(tmp_path) as running:
        yield running


def ask(port: int, path: str, cookie: str = "") -> httpx.Response:
    headers = {"Cookie": cookie} if cookie else {}
    return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=20)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_lost_store_is_a_503_for_the_signed_in_alone(kind: str, started: Servers) -> None:
    url = redis(started)
    environ = {**KEYS, "GATEHOUND_STORE": url}
    serve = uvicorn if kind == "asgi" else gunicorn
    port = serve(started, f"shop:{kind}", environ)
    signed_in = httpx.post(f"http://127.0.0.1:{port}/login", data={"user": "ann"}, timeout=20)
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    assert ask(port, "/me", cookie).json()["user"] == "ann"

    started.end("redis")
    for _ in range(3):
        answer = ask(port, "/me", cookie)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.elapsed.total_seconds() < 4  # connecting is given up after a second
        assert "set-cookie" not in answer.headers
    assert ask(port, "/me").json()["user"] is None
    assert ask(port, "/missing", cookie).status_code == 404

    redis(started, int(url.rpartition(":")[2].partition("/")[0]))
    back = time.monotonic()
    answer = ask(port, "/me", cookie)
    while answer.status_code == 503 and time.monotonic() < back + 3:  # a breaker rests a second
        time.sleep(0.1)
        answer = ask(port, "/me", cookie)
    assert answer.status_code == 200
    assert answer.json()["user"] is None  # that Redis kept nothing: it was started anew
    signed_in = httpx.post(f"http://127.0.0.1:{port}/login", data={"user": "ann"}, timeout=20)
    assert signed_in.status_code == 303
