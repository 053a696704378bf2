"""gunicorn --preload: the guard is built, and here even used, before the workers are forked.

Two processes that share one connection get each other's answers. The oracle: every answer
names the user whose cookie was sent. Not checked: how fast it is.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from servers import KEYS, gunicorn, redis

from serving import Servers, servers

pytestmark = pytest.mark.slow
USERS = ("ann", "bob")
CLIENTS = 6
# How often each client asks, alternating with its neighbours.
ROUNDS = [100, pytest.param(300, marks=(pytest.mark.full, pytest.mark.ci))]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Servers]:
    with servers(tmp_path) as running:
        yield running


def store_url(kind: str, started: Servers) -> str:
    return redis(started) if kind == "redis" else f"sqlite:///{started.folder}/sessions.db"


def sign_in(port: int, user: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", f"user={user}", form)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 303
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


class Client(threading.Thread):
    """Ask again and again who one is; `answers` counts what was said."""

    def __init__(self, port: int, cookie: str, rounds: int) -> None:
        super().__init__()
        self.port = port
        self.rounds = rounds
        self.cookie = cookie
        self.answers: dict[str, int] = {}
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for _ in range(self.rounds // 50):
                self._ask(50)
        except BaseException as error:
            self.error = error

    def _ask(self, times: int) -> None:
        """Several requests on one connection: a new one may reach another worker."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        for _ in range(times):
            connection.request("GET", "/me", headers={"Cookie": self.cookie})
            answer = connection.getresponse()
            body = answer.read()
            said = str(json.loads(body)["user"]) if answer.status == 200 else str(answer.status)
            self.answers[said] = self.answers.get(said, 0) + 1
        connection.close()


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
@pytest.mark.parametrize("rounds", ROUNDS)
def test_no_answer_belongs_to_another_user(kind: str, rounds: int, started: Servers) -> None:
    environ = {**KEYS, "GATEHOUND_STORE": store_url(kind, started), "SHOP_TOUCHES_STORE": "1"}
    port = gunicorn(started, "shop:wsgi", environ, workers=4)
    cookies = {user: sign_in(port, user) for user in USERS}
    clients = [Client(port, cookies[USERS[n % 2]], rounds) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert [client.error for client in clients] == [None] * CLIENTS
    assert [client.answers for client in clients] == [
        {USERS[n % 2]: rounds} for n in range(CLIENTS)
    ]
