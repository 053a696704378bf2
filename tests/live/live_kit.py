"""A client that chooses its own address and its headers, and what an app told it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

from serving import START_WITHIN

CLIENT = "127.0.0.77"  # every address of 127.0.0.0/8 is a loopback address
FORGED = "198.51.100.66"

Headers = Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True)
class Answer:
    """What one resolver said."""

    address: str | None
    peer: str | None
    reason: str
    source: str
    flags: list[str]
    explain: list[str]


@dataclass(frozen=True)
class Seen:
    """What an app got: the peer as its server tells it, the forwarding headers, the answers."""

    status: int
    peer: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    answers: dict[str, Answer] | None = None

    def by(self, mode: str) -> Answer:
        assert self.answers is not None, f"the app was not reached: status {self.status}"
        return self.answers[mode]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


def ask(
    port: int,
    path: str = "/",
    headers: Headers = (),
    *,
    host: str = "127.0.0.1",
    client: str = CLIENT,
    trust: str = "",
) -> Seen:
    """Ask with these header lines, as they stand, from a socket bound to `client`."""
    if ":" in host:
        client = "::1"  # the one loopback address that IPv6 has
    connection = HTTPConnection(host, port, timeout=10, source_address=(client, 0))
    try:
        connection.putrequest("GET", f"{path}?{urlencode({'trust': trust})}")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        return Seen(response.status)
    told = json.loads(body)
    answers = {mode: Answer(**answer) for mode, answer in told["answers"].items()}
    lines = tuple((name, value) for name, value in told["headers"])
    return Seen(200, told["peer"], lines, answers)


def wait_for(port: int, path: str) -> None:
    """Wait until an app answers through a proxy: some listen before they know their routes."""
    deadline = time.monotonic() + START_WITHIN
    while (seen := ask(port, path)).status != 200:
        assert time.monotonic() < deadline, f"{path} still answers {seen.status}"
        time.sleep(0.02)  # polling: a real process starts in real time
