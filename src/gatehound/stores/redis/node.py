"""Servers, and redis-py's clients of them: the only file that builds and calls one.

One class stands over redis-py's blocking and its asyncio client: where the client answers with
an awaitable, it is awaited. Clients belong to one process and, under asyncio, to one loop.

A deadline is a property of a connection (`socket_timeout`), not of a call. So each server has
two pools: one for what every request waits for, which gives up after 250 ms, and one for what
must not be given up lightly (a login, a revocation) or takes longer (a search): 1 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import signature
from typing import Any, Final

from gatehound._sync import run_sync
from gatehound.stores.redis.address import Address
from gatehound.stores.redis.breaker import REST, SILENCES, Breaker
from gatehound.stores.redis.topology import Command
from gatehound.stores.redis.trouble import StoreSilent, is_silence, translate

CONNECT: Final = 1.0
PROMPT: Final = 0.25
# A write, a search and the wait for a free connection may take this many times as long.
PATIENCE: Final = 4
# No master of a cluster is replaced sooner after its last answer: cluster-node-timeout (15 s by
# default) and an election must pass.
AWAKE: Final = 1.0
# Connections of one process to one server and pool. Callers over it wait, up to the deadline,
# which is cheaper for the server than a thousand connections.
MAX_CONNECTIONS: Final = 50

_ROLES: Final = ([b"master"], [b"slave"], [b"sentinel"])

_Clients = dict[tuple[Address, bool], Any]


class Nodes:
    """Servers that are spoken to with the same options. Safe to share as Wire is.

    With `masters_only` each new connection asks for the server's role, and is refused by a
    replica: reads from one would let in whom the master has signed out.

    With `wakes` a server that was not heard of for AWAKE is sent a PING, and the commands only
    after its answer. A master of a cluster that was frozen, and replaced meanwhile, wakes up with
    questions in its buffers: it answers them by what it knew, and only then hears of the failover
    (measured: up to 8 ms later; Redis 7.0, Valkey 8.1). What is asked after it woke up is answered
    by MOVED.
    """

    def __init__(
        self,
        redis: Any,
        options: Mapping[str, Any],
        *,
        suspends: bool,
        deadline: float,
        masters_only: bool,
        wakes: bool = False,
        clock: Callable[[], float],
    ) -> None:
        self.suspends = suspends
        self._redis = redis
        self._options = options
        self._deadline = deadline
        self._masters_only = masters_only
        self._wakes = wakes
        self._clock = clock
        self._breakers: dict[Address, Breaker] = {}
        self._blocking: _Clients = {}
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients]
        self._of_loop = weakref.WeakKeyDictionary()

    async def ask(
        self, address: Address, commands: Sequence[Command], *, patient: bool = False
    ) -> list[Any]:
        """Send commands in one trip and return their replies.

        A refusal is redis-py's exception, in its place. StoreError where there is no reply to
        some of them: the outcome is then unknown, and nothing is sent again.
        """
        breaker = self._breakers.get(address) or self.breaker(address)
        began = breaker.begin()
        if began is None:
            raise StoreSilent(
                f"Redis at {address} has not answered {SILENCES} times in a row, and is left "
                f"alone for {REST:g} s: check that it runs, and that this host may reach it"
            )
        errors = self._redis.exceptions
        client = self.client(address, patient)
        try:
            if self._wakes and began - breaker.heard_at >= AWAKE:
                await self._send(client, [("PING",)])
            replies = await self._send(client, commands)
        except errors.ResponseError as refused:  # of the only command, or while connecting
            replies = [refused] * len(commands)
        except Exception as error:
            if not self._is_current(client, address, patient):
                # Somebody closed it meanwhile, and redis-py fails in many ways then. No silence.
                raise StoreSilent(f"the connection to Redis at {address} was closed") from error
            if is_silence(error):
                breaker.silent(began)
            raise translate(error, address) from error
        finally:
            if not self._is_current(client, address, patient):
                await self._disconnect(client, inuse=False)  # what was opened after that
        breaker.answered(began)
        return replies

    def breaker(self, address: Address) -> Breaker:
        """Return the breaker of a server, a new one for a new server."""
        found = self._breakers.get(address)
        return found or self._breakers.setdefault(address, Breaker(self._clock))

    async def subscribe(self, address: Address, channel: bytes) -> Any:
        """Open a connection that is in no pool and hears a channel; see `hang_up`."""
        connection = self.client(address, True).connection_pool.make_connection()
        try:
            await self._settled(connection.connect())
            await self._settled(connection.send_command("SUBSCRIBE", channel))
            self._check(await self._settled(connection.read_response()), [b"subscribe", channel])
        except Exception as error:
            await self.hang_up(connection)
            raise translate(error, address) from error
        except BaseException:  # given up on: nobody else knows of this connection
            await self.hang_up(connection)
            raise
        return connection

    async def hang_up(self, connection: Any) -> None:
        """Close a connection of `subscribe`, and wait for nothing."""
        await self._settled(connection.disconnect(**({"nowait": True} if self.suspends else {})))

    def client(self, address: Address, patient: bool) -> Any:
        """Return the client of this process and loop, building it at its first use."""
        clients = self._of_loop_now() if self.suspends else self._blocking
        found = clients.get((address, patient))
        if found is None:  # two threads may both build; the loser's has no connection
            deadline = self._deadline * (PATIENCE if patient else 1)
            found = clients.setdefault((address, patient), self._build(address, deadline))
        return found

    async def drop(self, address: Address) -> None:
        """Close the idle connections to a server, which is not what it was."""
        clients = self._of_loop_now() if self.suspends else self._blocking
        for patient in (False, True):
            client = clients.pop((address, patient), None)
            if client is not None:
                await self._disconnect(client, inuse=False)

    async def keep(self, addresses: Collection[Address]) -> None:
        """Forget all other servers: they have left the cluster."""
        clients = self._of_loop_now() if self.suspends else self._blocking
        for gone in {address for address, _ in list(clients)}.difference(addresses):
            await self.drop(gone)
        for gone in set(self._breakers).difference(addresses):
            self._breakers.pop(gone, None)

    async def close(self) -> None:
        """Close what belongs to this process and, under asyncio, to the running loop."""
        if self.suspends:
            clients = self._of_loop.pop(asyncio.get_running_loop(), {})
        else:
            clients, self._blocking = self._blocking, {}
        for client in list(clients.values()):  # others may still build some
            await self._disconnect(client, inuse=True)

    def abandon(self) -> list[Any]:
        """Forget all clients in a forked child, close nothing, and return them to be kept."""
        kept = [self._blocking, list(self._of_loop.items())]
        self._blocking = {}
        self._of_loop = weakref.WeakKeyDictionary()
        self._breakers = {}  # a lock may have been held at the fork
        return kept

    async def _send(self, client: Any, commands: Sequence[Command]) -> list[Any]:
        if len(commands) == 1:
            reply = client.execute_command(*commands[0])
            return [await reply if self.suspends else reply]
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        pending = pipeline.execute(raise_on_error=False)
        replies: list[Any] = await pending if self.suspends else pending
        return replies

    def _is_current(self, client: Any, address: Address, patient: bool) -> bool:
        clients = self._of_loop_now() if self.suspends else self._blocking
        return clients.get((address, patient)) is client

    async def _disconnect(self, client: Any, *, inuse: bool) -> None:
        # It is given up on, so whatever goes wrong here concerns nobody.
        with contextlib.suppress(Exception):
            await self._disconnect_pool(client.connection_pool, inuse)

    async def _disconnect_pool(self, pool: Any, inuse: bool) -> None:
        if self.suspends:
            await pool.disconnect(inuse_connections=inuse)
            return
        # Connections that another thread reads from at this moment stay: closing one frees a
        # descriptor that its read may then find reused. That thread checks its own reply, and
        # nobody gets the connection after it.
        if "inuse_connections" in signature(pool.disconnect).parameters:
            pool.disconnect(inuse_connections=False)
            return
        idle = []  # redis-py before 7 closes all or none
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(pool.pool.get_nowait())
        for connection in reversed(idle):
            if connection is not None:
                connection.disconnect()
            pool.pool.put_nowait(connection)

    def _of_loop_now(self) -> _Clients:
        loop = asyncio.get_running_loop()
        clients = self._of_loop.get(loop)
        if clients is None:
            # Connections refer to their loop, so those of a closed one are never collected.
            for reference in self._of_loop.keyrefs():  # a list: other threads have loops too
                other = reference()
                if other is not None and other.is_closed():
                    self._of_loop.pop(other, None)
            clients = self._of_loop.setdefault(loop, {})
        return clients

    def _build(self, address: Address, deadline: float) -> Any:
        flavour = self._redis.asyncio if self.suspends else self._redis
        retry = self._redis.asyncio.retry if self.suspends else self._redis.retry
        place = {"host": address.host, "port": address.port} if address.port else {}
        greeting = {"redis_connect_func": self._greeting()} if self._masters_only else {}
        pool = flavour.BlockingConnectionPool(
            **{**self._options, **place, **greeting},
            max_connections=MAX_CONNECTIONS,
            timeout=PATIENCE * self._deadline,  # for a free connection: a burst is not an outage
            socket_timeout=deadline,
            socket_connect_timeout=max(CONNECT, self._deadline),
            # Nothing that may have been carried out is ever sent again.
            retry=retry.Retry(self._redis.backoff.NoBackoff(), 0),
            protocol=2,
        )
        return flavour.Redis(connection_pool=pool)

    def _greeting(self) -> Callable[[Any], Any]:
        if self.suspends:
            return self._greet
        return lambda connection: run_sync(self._greet(connection))

    async def _greet(self, connection: Any) -> None:
        """Do what redis-py does with a new connection, and ask for the role."""
        await self._settled(connection.on_connect())
        await self._settled(connection.send_command("ROLE"))
        try:
            role = await self._settled(connection.read_response())
        except self._redis.exceptions.ResponseError:
            return  # not allowed, or a service that hides it: writes tell, by READONLY
        self._check(role, *_ROLES)
        if role[0] != b"master":
            raise self._redis.exceptions.ReadOnlyError("READONLY this server is a replica")

    def _check(self, reply: Any, *begin: list[bytes]) -> None:
        """Refuse what does not begin so: it is the reply to something else."""
        if not isinstance(reply, list) or reply[: len(begin[0])] not in begin:
            raise self._redis.exceptions.InvalidResponse(f"this is no {begin[0][0]!r}")

    async def _settled(self, pending: Any) -> Any:
        return await pending if self.suspends else pending
