"""Servers, and the ways to them: which one a command takes, and what a failure means.

A deadline is a property of a connection (`socket_timeout`), not of a call. So each server has
several ways: one for what every request waits for, which gives up after 250 ms, and one for what
must not be given up lightly (a login, a revocation) or takes longer (a search): 1 s. What is hot
has a third (hot.py). Ways belong to one process and, under asyncio, to one loop.
"""

from __future__ import annotations

import asyncio
import weakref
from asyncio import get_running_loop
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gatehound._sync import run_sync
from gatehound.errors import StoreError
from gatehound.stores.redis.address import Address
from gatehound.stores.redis.breaker import REST, SILENCES, Breaker
from gatehound.stores.redis.direct import Direct
from gatehound.stores.redis.hot import Closed, Server, are_hot, connection_of, is_available
from gatehound.stores.redis.link import Link, Shared
from gatehound.stores.redis.pooled import Pooled
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


class Way:
    """How a command goes to a server. Plain texts: an enum takes long to look up."""

    HOT: Final = "hot"
    PROMPT: Final = "prompt"
    PATIENT: Final = "patient"


Client: TypeAlias = Pooled | Shared | Direct
Trip: TypeAlias = Link | Direct


class _Clients(dict[tuple[Address, str], Client]):
    """The clients of a process or a loop; `hot` are those that answer for `Nodes.short`."""

    def __init__(self) -> None:
        super().__init__()
        self.hot: dict[Address, Shared | Direct] = {}


_NO_LOOP: Final[tuple[Callable[[], asyncio.AbstractEventLoop | None], _Clients]] = (
    lambda: None,
    _Clients(),
)


class Nodes:
    """Servers that are spoken to with the same options. Safe to share as Wire is.

    With `masters_only` each new connection asks for the server's role, and is refused by a
    replica: reads from one would let in whom the master has signed out.

    With `multiplex` hot commands go by the ways of link.py and direct.py.

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
        multiplex: bool = False,
        clock: Callable[[], float],
    ) -> None:
        self.suspends = suspends
        self._redis = redis
        self._options = options
        self._deadline = deadline
        self._masters_only = masters_only
        self._wakes = wakes
        self._multiplex = multiplex and is_available()
        # As redis-py has it: what rested for longer is not believed to be open. 0 is never.
        self._idle_limit = float(options.get("health_check_interval") or "inf")
        self._clock = clock
        self._breakers: dict[Address, Breaker] = {}
        self._blocking = _Clients()
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients]
        self._of_loop = weakref.WeakKeyDictionary()
        self._latest = _NO_LOOP

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
        client = self.client(address, self.way(commands, patient))
        try:
            if self._wakes and began - breaker.heard_at >= AWAKE:
                await client.ask([("PING",)])
            replies = await client.ask(commands)
        except Exception as error:
            if not isinstance(error, self._redis.exceptions.ResponseError):
                counts = isinstance(client, Pooled)
                is_closed = not client.is_open
                raise self._failed(
                    error, address, began, is_closed=is_closed, counts=counts
                ) from error
            replies = [error] * len(commands)  # of the only command, or while connecting
        finally:
            if not client.is_open:
                await client.close(inuse=False)  # what was opened after that
        breaker.answered(began)
        return replies

    def short(self, address: Address) -> Trip | None:
        """Return an open connection for what is hot; None: `ask` finds a way, or says why not."""
        clients = self._blocking
        if self.suspends:  # nearly always it is the loop of the last time: no call for that
            latest, clients = self._latest
            if latest() is not get_running_loop():
                clients = self._clients()
        client = clients.hot.get(address)
        if client is None:
            return None
        breaker = client.breaker
        if breaker.silences or (self._wakes and self._clock() - breaker.heard_at >= AWAKE):
            return None
        return client.trip()

    def told(self, address: Address, error: Exception) -> StoreError:
        """Say what it means that no reply came over such a connection."""
        if isinstance(error, Closed):
            return StoreSilent(f"the connection to Redis at {address} was closed")
        return translate(error, address)

    def breaker(self, address: Address) -> Breaker:
        """Return the breaker of a server, a new one for a new server."""
        found = self._breakers.get(address)
        return found or self._breakers.setdefault(address, Breaker(self._clock))

    async def subscribe(self, address: Address, channel: bytes) -> Any:
        """Open a connection that is in no pool and hears a channel; see `hang_up`."""
        connection = connection_of(self._pool(address, self._deadline * PATIENCE))
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

    def way(self, commands: Sequence[Command], patient: bool) -> str:
        """Return the way that commands take."""
        if patient:
            return Way.PATIENT
        return Way.HOT if self._multiplex and are_hot(commands) else Way.PROMPT

    def client(self, address: Address, way: str) -> Client:
        """Return the client of this process and loop, building it at its first use."""
        clients = self._clients()
        found = clients.get((address, way))
        if found is None:  # two threads may both build; the loser's has no connection
            found = clients.setdefault((address, way), self._build(address, way))
            if not isinstance(found, Pooled):
                clients.hot[address] = found
        return found

    async def drop(self, address: Address) -> None:
        """Close the idle connections to a server, which is not what it was."""
        clients = self._clients()
        for way in (Way.HOT, Way.PROMPT, Way.PATIENT):
            client = clients.pop((address, way), None)
            clients.hot.pop(address, None)
            if client is not None:
                await client.close(inuse=False)

    async def keep(self, addresses: Collection[Address]) -> None:
        """Forget all other servers: they have left the cluster."""
        for gone in {address for address, _ in list(self._clients())}.difference(addresses):
            await self.drop(gone)
        for gone in set(self._breakers).difference(addresses):
            self._breakers.pop(gone, None)

    async def close(self) -> None:
        """Close what belongs to this process and, under asyncio, to the running loop."""
        if self.suspends:
            clients = self._of_loop.pop(get_running_loop(), _Clients())
            self._latest = _NO_LOOP
        else:
            clients, self._blocking = self._blocking, _Clients()
        for client in list(clients.values()):  # others may still build some
            await client.close(inuse=True)

    def abandon(self) -> list[Any]:
        """Forget all clients in a forked child, close nothing, and return them to be kept."""
        kept = [self._blocking, list(self._of_loop.items())]
        self._blocking = _Clients()
        self._of_loop = weakref.WeakKeyDictionary()
        self._latest = _NO_LOOP
        self._breakers = {}  # a lock may have been held at the fork
        return kept

    def _failed(
        self, error: Exception, address: Address, began: float, *, is_closed: bool, counts: bool
    ) -> StoreError:
        """Say what it means that no reply came, and count a silence where the client does not."""
        if is_closed:  # by somebody else, and redis-py fails in many ways then. No silence.
            error = Closed()
        elif counts and is_silence(error):
            self.breaker(address).silent(began)
        return self.told(address, error)

    def _clients(self) -> _Clients:
        if not self.suspends:
            return self._blocking
        loop = get_running_loop()
        latest, clients = self._latest
        if latest() is loop:  # nearly always: a look-up by a weak key takes as long as the rest
            return clients
        found = self._of_loop.get(loop)
        if found is None:
            # Connections refer to their loop, so those of a closed one are never collected.
            for reference in self._of_loop.keyrefs():  # a list: other threads have loops too
                other = reference()
                if other is not None and other.is_closed():
                    self._of_loop.pop(other, None)
            found = self._of_loop.setdefault(loop, _Clients())
        self._latest = weakref.ref(loop), found
        return found

    def _build(self, address: Address, way: str) -> Client:
        pool = self._pool(address, self._deadline * (PATIENCE if way is Way.PATIENT else 1))
        if way is not Way.HOT:
            flavour = self._redis.asyncio if self.suspends else self._redis
            return Pooled(flavour.Redis(connection_pool=pool), suspends=self.suspends)
        server = Server(
            address,
            pool,
            self._redis.exceptions,
            self.breaker(address),
            self._clock,
            deadline=self._deadline,
            idle_limit=self._idle_limit,
        )
        if self.suspends:
            return Shared(server)
        return Direct(server, limit=MAX_CONNECTIONS, patience=PATIENCE * self._deadline)

    def _pool(self, address: Address, deadline: float) -> Any:
        flavour = self._redis.asyncio if self.suspends else self._redis
        retry = self._redis.asyncio.retry if self.suspends else self._redis.retry
        place = {"host": address.host, "port": address.port} if address.port else {}
        greeting = {"redis_connect_func": self._greeting()} if self._masters_only else {}
        return flavour.BlockingConnectionPool(
            **{**self._options, **place, **greeting},
            max_connections=MAX_CONNECTIONS,
            timeout=PATIENCE * self._deadline,  # for a free connection: a burst is not an outage
            socket_timeout=deadline,
            socket_connect_timeout=max(CONNECT, self._deadline),
            # Nothing that may have been carried out is ever sent again.
            retry=retry.Retry(self._redis.backoff.NoBackoff(), 0),
            protocol=2,
        )

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
