"""App servers as their own command lines start them, on each kind of socket.

Those behind a proxy keep idle connections longer than the proxy does, as each manual says: else
a proxy may write to one that is just being closed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from parts import require
from serving import NO_CONTROL, Where

FOLDER = Path(__file__).parent
# The servers find the apps in this folder whatever folder they run in.
ENVIRON = {
    "PYTHONPATH": os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH", "")]))
}


@dataclass(frozen=True)
class Server:
    """A product in one of its roles: the kind of app that it serves, and how it is started."""

    kind: str
    command: Callable[[str, Where], list[str]]


def bind(where: Where) -> str:
    """Write a place as most servers read it."""
    if isinstance(where, Path):
        return f"unix:{where}"
    host, port = split(where)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split(where: int | tuple[str, int]) -> tuple[str, int]:
    return ("127.0.0.1", where) if isinstance(where, int) else where


def options(where: Where) -> list[str]:
    """Write a place in the three options that uvicorn and granian share."""
    if isinstance(where, Path):
        return ["--uds", str(where)]
    host, port = split(where)
    return ["--host", host, "--port", str(port)]


def uvicorn(app: str, where: Where) -> list[str]:
    return [*uvicorn_by_default(app, where), "--no-proxy-headers"]


def uvicorn_by_default(app: str, where: Where) -> list[str]:
    return [require("uvicorn"), app, *options(where), *("--timeout-keep-alive", "75")]


def hypercorn(app: str, where: Where) -> list[str]:
    return [require("hypercorn"), app, "--bind", bind(where), "--keep-alive", "75"]


def granian_asgi(app: str, where: Where) -> list[str]:
    return [require("granian"), app, *options(where), "--interface", "asgi"]


def granian_wsgi(app: str, where: Where) -> list[str]:
    return [require("granian"), app, *options(where), "--interface", "wsgi"]


def gunicorn(app: str, where: Where) -> list[str]:
    return [
        *(require("gunicorn"), app, "--bind", bind(where), *NO_CONTROL),
        *("--worker-class", "gthread", "--threads", "4", "--keep-alive", "75"),
        *("--graceful-timeout", "3"),
    ]


def waitress(app: str, where: Where) -> list[str]:
    [program, *rest, name] = waitress_by_default(app, where)
    return [program, *rest, "--no-clear-untrusted-proxy-headers", name]


def waitress_by_default(app: str, where: Where) -> list[str]:
    place = f"--unix-socket={where}" if isinstance(where, Path) else f"--listen={bind(where)}"
    return [require("waitress-serve"), place, app]


def cheroot(app: str, where: Where) -> list[str]:
    place = str(where) if isinstance(where, Path) else bind(where)
    return [require("cheroot"), app, "--bind", place]


SERVERS: Mapping[str, Server] = {
    "uvicorn": Server("asgi", uvicorn),
    "hypercorn": Server("asgi", hypercorn),
    "granian-asgi": Server("asgi", granian_asgi),
    "gunicorn": Server("wsgi", gunicorn),
    "granian-wsgi": Server("wsgi", granian_wsgi),
    "waitress": Server("wsgi", waitress),
    "cheroot": Server("wsgi", cheroot),
}
SERVERS_BY_DEFAULT: Mapping[str, Server] = {
    "uvicorn-default": Server("asgi", uvicorn_by_default),
    "waitress-default": Server("wsgi", waitress_by_default),
}
"""The two whose own defaults meddle with what we read; `SERVERS` turns that off."""
