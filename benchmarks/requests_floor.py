"""The floor of requests.py: one command to Redis by hand, and nothing else of what sessions need.

A cookie of random bytes names a key that holds the user id. Nothing is signed, ages, is listed or
can be ended; a reply that does not come is waited for, and a server that goes away is not asked
again. What this costs is the price of a trip on this machine: an app over Redis pays no less.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from requests_participants import USER

NAME: Final = "floor"
Answer = Callable[[Any, str | None], Any]


def place_of(url: str) -> tuple[str, int, bytes]:
    """Return host, port and the command that chooses the database."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0, pack(b"SELECT", parts.path.strip("/").encode())


def pack(*words: bytes) -> bytes:
    """Write a command as the Redis protocol wants it."""
    lines = [b"*%d" % len(words)]
    for word in words:
        lines += [b"$%d" % len(word), word]
    return b"\r\n".join([*lines, b""])


def value_of(reply: bytes) -> str | None:
    """Read the bulk string that GET answers with; None for none."""
    return None if reply.startswith(b"$-1") else reply.split(b"\r\n")[1].decode()


def key_of(cookie: str) -> bytes:
    """Return the value of our cookie in a Cookie header; b"-" where it is not there."""
    _, found, value = cookie.partition(f"{NAME}=")
    return value.partition(";")[0].encode("latin-1") if found else b"-"


class Link(asyncio.Protocol):
    """One connection for all requests in flight; replies come in the order of the questions."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[bytes]] = deque()
        self.transport: Any = None
        self.rest = b""

    def connection_made(self, transport: Any) -> None:
        """Keep what to write to."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Give each reply to the question whose turn it is."""
        data = self.rest + data
        while data:
            lines = 1 if data[:1] in b"+-" or data.startswith(b"$-1") else 2
            end = data.find(b"\r\n")
            end = data.find(b"\r\n", end + 2) if lines == 2 and end >= 0 else end
            if end < 0:
                break
            self.waiting.popleft().set_result(data[: end + 2])
            data = data[end + 2 :]
        self.rest = data

    def ask(self, command: bytes) -> asyncio.Future[bytes]:
        """Send a command and return what its reply will be in."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        self.transport.write(command)
        return future


def asgi(url: str, answer: Answer) -> Any:
    """Make an ASGI app over one link."""
    host, port, select = place_of(url)
    links: list[Link] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if not links:
            _, link = await asyncio.get_running_loop().create_connection(Link, host, port)
            links.append(link)
            await link.ask(select)
        if scope["path"] == "/sign-in":
            key = secrets.token_hex(16)
            await links[0].ask(pack(b"SET", key.encode(), USER.encode()))
            headers = [(b"set-cookie", f"{NAME}={key}".encode()), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        cookie = next((value for name, value in scope["headers"] if name == b"cookie"), b"")
        key = key_of(cookie.decode("latin-1"))
        await answer(send, value_of(await links[0].ask(pack(b"GET", key))))

    return app


def wsgi(url: str, answer: Answer) -> Any:
    """Make a WSGI app over one socket."""
    host, port, select = place_of(url)
    socks: list[socket.socket] = []

    def ask(command: bytes) -> bytes:
        socks[0].sendall(command)
        return socks[0].recv(4096)

    def app(environ: dict[str, Any], start: Any) -> Any:
        if not socks:
            socks.append(socket.create_connection((host, port)))
            ask(select)
        if environ["PATH_INFO"] == "/sign-in":
            key = secrets.token_hex(16)
            ask(pack(b"SET", key.encode(), USER.encode()))
            start("200 OK", [("Set-Cookie", f"{NAME}={key}"), ("Content-Length", "0")])
            return [b""]
        return answer(start, value_of(ask(pack(b"GET", key_of(environ.get("HTTP_COOKIE", ""))))))

    return app
