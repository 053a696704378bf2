"""The way to the server: redis-py clients, deadlines, errors. The only file that knows redis-py.

One class stands over redis-py's blocking and its asyncio client: where the client answers with
an awaitable, it is awaited. Clients belong to one process and, under asyncio, to one loop.

A deadline is a property of a connection (`socket_timeout`), not of a call. So there are two
pools: one for what every request waits for, which gives up after 250 ms, and one for what must
not be given up lightly (a login, a revocation) or takes longer (a search), which waits 1 s.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final
from urllib.parse import urlsplit

from gatehound.errors import SettingsError, StoreCorrupt, StoreError, StoreUnavailable

CONNECT: Final = 1.0
PROMPT: Final = 0.25
# A write, a search and the wait for a free connection may take this many times as long.
PATIENCE: Final = 4
# Connections of one process to one server and pool. Callers over it wait, up to the deadline,
# which is cheaper for the server than a thousand connections.
MAX_CONNECTIONS: Final = 50

Command = Sequence[bytes | str | int]

_LATER: Final = ("redis+cluster", "redis+sentinel")
_SCHEMES: Final = ("redis", "rediss", "unix")
# What a URL may set beside host, port, user, password and database. All else that redis-py
# would take from it is ours to decide: deadlines, retries, the protocol, decoding.
_OPTIONS: Final = frozenset(
    {"db", "username", "password", "client_name", "health_check_interval", "socket_keepalive"}
)


class ScriptMissing(StoreUnavailable):
    """The server does not hold the script: it was restarted, or flushed."""


@dataclass(frozen=True, slots=True)
class _Clients:
    prompt: Any
    patient: Any


class Wire:
    """Ask one server. Safe to share between threads, loops and forked processes."""

    def __init__(self, url: str, *, suspends: bool, deadline: float = PROMPT) -> None:
        self.suspends = suspends
        self._deadline = deadline
        self._redis = _import_redis()
        self._options, self.place = _read_url(url, self._flavour.connection)
        self._blocking: _Clients | None = None
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients]
        self._of_loop = weakref.WeakKeyDictionary()
        _WIRES.add(self)

    async def call(self, *command: bytes | str | int, patient: bool = False) -> Any:
        """Send one command and return its reply; StoreError where there is none."""
        client = self._client(patient)
        try:
            reply = client.execute_command(*command)
            return await reply if self.suspends else reply
        except (self._redis.exceptions.RedisError, OSError) as error:
            raise self._translate(error) from error

    async def batch(self, commands: Sequence[Command], *, patient: bool = False) -> list[Any]:
        """Send commands in one trip; a command that failed has a StoreError for its reply."""
        pipeline = self._client(patient).pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            pending = pipeline.execute(raise_on_error=False)
            replies = await pending if self.suspends else pending
        except (self._redis.exceptions.RedisError, OSError) as error:
            raise self._translate(error) from error
        return [self._translate(r) if isinstance(r, Exception) else r for r in replies]

    async def mixed_up(self) -> StoreCorrupt:
        """Drop all connections and return the error: a reply belonged to another question.

        The next reply on that connection would belong to this one, so none may be used again.
        """
        await self.close()
        return StoreCorrupt(
            f"Redis at {self.place} sent an answer that belongs to another question. "
            "All connections were dropped. Look for a proxy between gatehound and Redis, "
            "or for connections that were opened before a fork."
        )

    async def close(self) -> None:
        """Close what belongs to this process and, under asyncio, to the running loop."""
        if self.suspends:
            clients = self._of_loop.pop(asyncio.get_running_loop(), None)
        else:
            clients, self._blocking = self._blocking, None
        if clients is None:
            return
        for client in (clients.prompt, clients.patient):
            pool = client.connection_pool
            if self.suspends:
                await pool.disconnect(inuse_connections=True)
            elif "inuse_connections" in signature(pool.disconnect).parameters:
                # Connections that another thread reads from at this moment stay: closing one
                # frees a descriptor that its read may then find reused. That thread checks its
                # own reply, and nobody gets the connection after it. The pool of redis-py 5
                # closes all or none; there, connections close when they are collected.
                pool.disconnect(inuse_connections=False)

    def abandon(self) -> None:
        """Forget all clients in a forked child, and close nothing.

        Their sockets are the parent's. They are kept alive on purpose: collecting an asyncio
        connection would take its socket out of the parent's epoll set, which a child shares.
        """
        _ABANDONED.append((self._blocking, list(self._of_loop.items())))
        self._blocking = None
        self._of_loop = weakref.WeakKeyDictionary()

    @property
    def _flavour(self) -> Any:
        return self._redis.asyncio if self.suspends else self._redis

    def _client(self, patient: bool) -> Any:
        clients = self._of_loop_now() if self.suspends else self._blocking
        if clients is None:  # two threads may both build here; the loser's has no connection
            clients = self._blocking = self._build()
        return clients.patient if patient else clients.prompt

    def _of_loop_now(self) -> _Clients:
        loop = asyncio.get_running_loop()
        clients = self._of_loop.get(loop)
        if clients is None:
            # Connections refer to their loop, so those of a closed one are never collected.
            for other in [other for other in self._of_loop if other.is_closed()]:
                del self._of_loop[other]
            clients = self._of_loop[loop] = self._build()
        return clients

    def _build(self) -> _Clients:
        return _Clients(
            prompt=self._connectable(self._deadline),
            patient=self._connectable(PATIENCE * self._deadline),
        )

    def _connectable(self, deadline: float) -> Any:
        retry = self._redis.asyncio.retry if self.suspends else self._redis.retry
        pool = self._flavour.BlockingConnectionPool(
            **self._options,
            max_connections=MAX_CONNECTIONS,
            timeout=PATIENCE * self._deadline,  # for a free connection: a burst is not an outage
            socket_timeout=deadline,
            socket_connect_timeout=max(CONNECT, self._deadline),
            retry=retry.Retry(self._redis.backoff.NoBackoff(), 0),
            protocol=2,
        )
        return self._flavour.Redis(connection_pool=pool)

    def _translate(self, error: Exception) -> StoreError:
        errors = self._redis.exceptions
        if isinstance(error, errors.NoScriptError):
            return ScriptMissing(f"Redis at {self.place} does not hold the script")
        if isinstance(error, errors.InvalidResponse):
            return StoreCorrupt(f"Redis at {self.place} sent what is not the Redis protocol")
        if isinstance(error, errors.ConnectionError | errors.TimeoutError | OSError) and not (
            isinstance(error, errors.BusyLoadingError | errors.AuthenticationError)
        ):
            # redis-py's words name the host and the cause, and never a password.
            return StoreUnavailable(
                f"Redis at {self.place} gave no answer in time ({error or type(error).__name__}): "
                "check that it runs, that this host may reach it, and how loaded it is"
            )
        words = f"Redis at {self.place} refused: {error}"
        if "GHVERSION" in words or "WRONGTYPE" in words:
            return StoreCorrupt(words)
        return StoreUnavailable(words)


_WIRES: Final[weakref.WeakSet[Wire]] = weakref.WeakSet()
_ABANDONED: Final[list[Any]] = []


def _after_fork() -> None:
    for wire in list(_WIRES):
        wire.abandon()


os.register_at_fork(after_in_child=_after_fork)


def _import_redis() -> Any:
    try:
        import redis.asyncio.retry
        import redis.backoff
        import redis.exceptions
        import redis.retry
    except ImportError as error:
        raise SettingsError(
            'the store is on Redis, but redis-py is not installed: pip install "gatehound[redis]"'
        ) from error
    return redis


def _read_url(url: str, connection: Any) -> tuple[dict[str, Any], str]:
    """Split a URL into what redis-py connects with, and a text without secrets for people.

    Errors never show the URL: it may hold a password.
    """
    scheme = url.partition("://")[0]
    if scheme in _LATER:
        raise SettingsError(
            f"store is a {scheme}:// URL: clusters and Sentinel are not there yet; "
            "use redis://, rediss:// or unix://"
        )
    if scheme not in _SCHEMES or "://" not in url:
        raise SettingsError("store is no Redis URL: use redis://, rediss:// or unix://")
    try:
        options: dict[str, Any] = connection.parse_url(url)
        path = urlsplit(url).path.strip("/")
    except ValueError:  # its words may quote the URL, so they are not passed on
        raise SettingsError(
            f"store is a {scheme}:// URL that cannot be read: "
            "use the form redis://user:password@host:6379/0, percent-encoded"
        ) from None
    problems = _problems(scheme, options, path)
    if problems:
        raise SettingsError(problems)
    if scheme == "unix":
        return options, f"unix://{options['path']}"
    host, port = options.setdefault("host", "localhost"), options.setdefault("port", 6379)
    return options, f"{host}:{port}"


def _problems(scheme: str, options: dict[str, Any], path: str) -> list[str]:
    found = [
        f"store URL sets {name}: it may set {', '.join(sorted(_OPTIONS))} and ssl_*, "
        "all else is decided by gatehound"
        for name in options
        if name not in _OPTIONS | {"host", "port", "path", "connection_class"}
        and not name.startswith("ssl_")
    ]
    if scheme == "unix":
        if "path" not in options:
            found.append("store URL names no socket: use unix:///path/to/redis.sock")
    elif path and not path.isdecimal():
        # redis-py would use database 0 and say nothing.
        found.append(f"store URL has the database {path!r}: use a number, like /0")
    return found
