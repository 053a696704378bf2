"""What the live tests share: apps and proxies, each started when a test first asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from live_kit import wait_for
from live_proxies import PROXIES, Routes, nginx
from live_servers import ENVIRON, SERVERS, SERVERS_BY_DEFAULT

from parts import require_ipv6
from serving import Servers, Where, free_port

CHAINS = (("haproxy", "nginx"), ("envoy", "apache2"), ("haproxy", "caddy"))  # outer, inner
WRITE_FORWARDED = ("nginx", "haproxy")
OVER_UNIX = ("nginx", "haproxy", "envoy", "apache2", "caddy")  # Traefik has no such upstreams
LET_UNDERSCORES_THROUGH = ("haproxy", "envoy", "apache2")
FOLD_UNDERSCORES = ("granian-wsgi", "cheroot")
UPSTREAMS = {"asgi": "uvicorn", "wsgi": "gunicorn"}
SOCKETS = {"v4": "127.0.0.3", "v6": "::1", "unix": "unix"}
"""Kind of socket between nginx and an app, and whom the app trusts there."""


@dataclass
class Started:
    """Starts apps once each; a missing program skips the tests that need it, and no others.

    `sockets` is the folder for unix sockets; `starters` start apps while others are waited for.
    """

    servers: Servers
    sockets: Path
    starters: Executor
    apps: dict[tuple[str, str], Where] = field(default_factory=dict)
    started: dict[tuple[str, str], Future[None]] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    up: set[str] = field(default_factory=set)

    def start(
        self, name: str, command: list[str], where: Where, environ: Mapping[str, str]
    ) -> None:
        """Start a program, and try that only once: many tests would wait for it in vain."""
        assert name not in self.tried, f"{name} did not start; its first failure tells why"
        self.tried.add(name)
        self.servers.start(name, command, where, environ)
        self.up.add(name)

    def place(self, server: str, kind: str = "v4") -> Where:
        """Choose where a server will listen."""
        if (server, kind) not in self.apps:
            self.apps[server, kind] = self._choose(server, kind)
        return self.apps[server, kind]

    def _choose(self, server: str, kind: str) -> Where:
        if kind == "unix":
            return self.sockets / server
        return free_port() if kind == "v4" else ("::1", free_port())

    def app(self, server: str, kind: str = "v4") -> Where:
        """Start a server, unless it is up, and return where it listens."""
        where = self.place(server, kind)
        self.begin(server, kind)
        self.started[server, kind].result()  # raises in each test what the start has raised
        return where

    def begin(self, server: str, kind: str) -> None:
        """Start a server, unless that has begun, and do not wait for it."""
        if (server, kind) not in self.started:
            where = self.place(server, kind)
            self.started[server, kind] = self.starters.submit(self._launch, server, kind, where)

    def _launch(self, server: str, kind: str, where: Where) -> None:
        if kind == "v6":
            require_ipv6()
        product = {**SERVERS, **SERVERS_BY_DEFAULT}[server]
        command = product.command(f"live_apps:{product.kind}", where)
        self.servers.start(f"{server}-{kind}", command, where, ENVIRON)

    def port(self, server: str) -> int:
        """Start a server on a TCP port, unless it is up, and return the port."""
        where = self.app(server)
        assert isinstance(where, int)
        return where


@dataclass
class Fronts(Started):
    """Six proxies, each in front of one ASGI and one WSGI app, and some behind another."""

    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in PROXIES})

    def proxy(self, name: str) -> int:
        """Start a proxy with its apps, unless it is up, and return its port."""
        port = self.ports[name]
        if name not in self.up:
            for server in UPSTREAMS.values():
                self.app(server)
            folder = self.servers.folder / name
            folder.mkdir(exist_ok=True)  # a skipped test may have made it
            command = PROXIES[name].command(folder, port, self.routes(name))
            # Some keep state in the home folder, which is none of ours.
            home = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder))
            self.start(name, command, port, home)
            for path in ("/asgi", "/wsgi"):
                wait_for(port, path)
        return port

    def routes(self, name: str) -> Routes:
        found: dict[str, Where] = {}
        for kind, server in UPSTREAMS.items():
            found[f"/{kind}"] = self.place(server)
            if name in WRITE_FORWARDED:
                found[f"/forwarded/{kind}"] = self.place(server)
            if name in OVER_UNIX:
                found[f"/unix/{kind}"] = self.place(server, "unix")
            if any(inner == name for _, inner in CHAINS):
                found[f"/{name}/{kind}"] = self.place(server)
        if name in LET_UNDERSCORES_THROUGH:
            for server in FOLD_UNDERSCORES:
                found[f"/folded/{server}"] = found[f"/cleaned/{server}"] = self.place(server)
        for outer, inner in CHAINS:
            if outer == name:
                found[f"/{inner}/"] = self.ports[inner]
        return found


@dataclass
class Rear(Started):
    """Each server behind nginx, over each kind of socket that it can listen on.

    All of a kind begin with its first, because a start is mostly waiting for one Python.
    """

    port_of_nginx: int = field(default_factory=free_port)

    def app(self, server: str, kind: str = "v4") -> Where:
        self.begin(server, kind)
        for name in SERVERS:
            self.begin(name, kind)
        return super().app(server, kind)

    def nginx(self) -> int:
        """Start nginx, unless it is up, and return its port."""
        port = self.port_of_nginx
        if "nginx" not in self.up:
            routes = {
                f"/{server}/{kind}": self.place(server, kind)
                for server in SERVERS
                for kind in SOCKETS
            }
            for server in SERVERS_BY_DEFAULT:
                routes[f"/{server}-local"] = routes[f"/{server}/v4"] = self.place(server)
            self.start("nginx", nginx(self.servers.folder, port, routes), port, {})
        return port


@contextlib.contextmanager
def starters() -> Iterator[Executor]:
    """Start two apps at a time; what has not begun when the tests end never does."""
    pool = ThreadPoolExecutor(2)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
