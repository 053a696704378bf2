"""Store URLs: which servers, how to speak to them, and who knows where the master is.

    redis://[user:password@]host[:port][/db]            one server; rediss:// with TLS
    unix://[user:password@]/path/to/socket[?db=n]       one server on this machine
    redis+cluster://[...@]host:port[,host:port...]      a cluster; rediss+cluster:// with TLS
    redis+sentinel://[...@]host:port[,host:port...]/service[/db]
                                                        a master that Sentinels name;
                                                        rediss+sentinel:// with TLS to both

User and password are those of the data servers, and percent-encoded. Behind "?" may stand
client_name, health_check_interval, socket_keepalive; with TLS ssl_ca_certs, ssl_certfile,
ssl_keyfile and the other ssl_* of redis-py; for Sentinels that ask for a password of their own
sentinel_username and sentinel_password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec

from gatehound.errors import SettingsError

SCHEMES: Final = (
    *("redis", "rediss", "unix"),
    *("redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"),
)
_FORMS: Final = {
    "": "redis://user:password@host:6379/0",
    "cluster": "redis+cluster://user:password@host:6379,host:6379",
    "sentinel": "redis+sentinel://user:password@host:26379,host:26379/service/0",
}
# What a URL may set beside host, port, user, password and database. All else that redis-py
# would take from it is ours to decide: deadlines, retries, the protocol, decoding.
_OPTIONS: Final = frozenset(
    {"db", "username", "password", "client_name", "health_check_interval", "socket_keepalive"}
)
_SENTINEL_OPTIONS: Final = {"sentinel_username": "username", "sentinel_password": "password"}
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_PORTS: Final = {"": 6379, "cluster": 6379, "sentinel": 26379}


class Address(NamedTuple):
    """Where a server listens: a host and a port, or the path of a socket and port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return f"unix://{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Target(msgspec.Struct, frozen=True):
    """What a URL says. `kind` is "" (one server), "cluster" or "sentinel".

    `options` are for connections to data servers, `watch` for those to Sentinels; both hold
    secrets and neither holds a host. `service` is the name that Sentinels know the master by.
    """

    kind: str
    seeds: tuple[Address, ...]
    options: Mapping[str, Any]
    watch: Mapping[str, Any]
    service: str = ""

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Target({self.kind!r}, {self.place})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show none to rich either, whose tracebacks show local variables."""
        return [("kind", self.kind), ("place", self.place)]

    @property
    def place(self) -> str:
        """A text for people, without secrets."""
        places = ",".join(map(str, self.seeds))
        return f"{places}/{self.service}" if self.service else places


def read_url(url: str, connection: Any) -> Target:
    """Read a store URL; `connection` is redis-py's module of connections, blocking or asyncio.

    SettingsError says what is wrong, and never shows the URL: it may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in SCHEMES or not separator:
        names = ", ".join(f"{name}://" for name in SCHEMES)
        raise SettingsError(f"store is no Redis URL: use redis:// or another of {names}")
    base, _, kind = scheme.partition("+")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    # An @ behind the host, or a #, means that a password was cut where it is not encoded: what
    # is left of it would be taken for a host or a database, and shown.
    if "#" in rest or "@" in rest[len(authority) :]:
        raise SettingsError(
            f"store is a {scheme}:// URL with # / ? or @ in its user name or password: write them "
            "percent-encoded, %23 %2F %3F %40"
        )
    try:
        parts = urlsplit(f"//{rest}")
        path = [unquote(part) for part in parts.path.strip("/").split("/") if part]
        plain = [connection.parse_url(one) for one in _plain_urls(base, kind, url, parts, path)]
    except ValueError:  # its words may quote the URL, so they are not passed on
        raise SettingsError(
            f"store is a {scheme}:// URL that cannot be read: "
            f"use the form {_FORMS[kind]}, percent-encoded"
        ) from None
    options: dict[str, Any] = plain[0]
    watch = _watch_options(kind, options)
    problems = [*_option_problems(options, connection), *_path_problems(scheme, kind, path)]
    if base == "unix" and "path" not in options:
        problems.append("store URL names no socket: use unix:///path/to/redis.sock")
    if problems:
        raise SettingsError(problems)
    seeds = tuple(dict.fromkeys(_take_address(one, _PORTS[kind]) for one in plain))
    _check_names(options)
    for name in _FILES:
        _check_file(name, options.get(name))
    shared = {name: value for name, value in options.items() if name not in _OPTIONS}
    service = path[0] if kind == "sentinel" else ""
    return Target(kind, seeds, options, {**shared, **watch}, service)


def _plain_urls(base: str, kind: str, url: str, parts: Any, path: list[str]) -> list[str]:
    """One URL that redis-py reads for each host."""
    if not kind:
        return [url]
    credentials, at, hosts = parts.netloc.rpartition("@")
    database = "/".join(path[1:]) if kind == "sentinel" else ""
    query = f"?{parts.query}" if parts.query else ""
    tail = f"/{quote(database)}{query}"
    return [f"{base}://{credentials}{at}{host.strip()}{tail}" for host in hosts.split(",")]


def _take_address(options: dict[str, Any], port: int) -> Address:
    if "path" in options:
        return Address(options["path"], 0)
    return Address(options.pop("host", None) or "localhost", options.pop("port", None) or port)


def _watch_options(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    if kind != "sentinel":
        return {}
    return {own: options.pop(name) for name, own in _SENTINEL_OPTIONS.items() if name in options}


def _option_problems(options: Mapping[str, Any], connection: Any) -> list[str]:
    tls = {n for n in signature(connection.SSLConnection).parameters if n.startswith("ssl_")}
    is_tls = options.get("connection_class") is connection.SSLConnection
    allowed = _OPTIONS | {"host", "port", "path", "connection_class"} | (tls if is_tls else set())
    sentinels = ", with +sentinel " + " and ".join(sorted(_SENTINEL_OPTIONS))
    return [
        f"store URL sets {name}: it may set {', '.join(sorted(_OPTIONS))}{sentinels} and, with "
        "rediss, ssl_*; all else is decided by gatehound"
        for name in options
        if name not in allowed
    ]


def _path_problems(scheme: str, kind: str, path: list[str]) -> list[str]:
    """redis-py would use database 0 where it cannot read one, and say nothing."""
    if scheme == "unix":
        return []
    if kind == "cluster":
        return [] if path in ([], ["0"]) else ["store URL has a database: a cluster has only 0"]
    if kind == "sentinel":
        if not path:
            return [f"store URL names no service of the Sentinels: use the form {_FORMS[kind]}"]
        path = path[1:]
    if not path or (len(path) == 1 and path[0].isdecimal()):
        return []
    return [f"store URL has the database {'/'.join(path)!r}: use a number, like /0"]


def _check_names(options: dict[str, Any]) -> None:
    """Let TLS check whom it speaks to: redis-py 5 leaves that out where nobody asks for it."""
    if "connection_class" in options and "path" not in options:
        checks = str(options.get("ssl_cert_reqs", "required")).lower() != "none"
        options.setdefault("ssl_check_hostname", checks)


def _check_file(name: str, path: Any) -> None:
    if path is not None and not Path(path).is_file():
        raise SettingsError(f"store URL has {name}={path}: there is no such file")
