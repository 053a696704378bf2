"""redis-py's own client: a connection for each command under way, from a pool.

What takes long or must not be given up lightly goes this way, and everything where the ways of
link.py and direct.py cannot be had, or are switched off. One class stands over redis-py's
blocking and its asyncio client: where the client answers with an awaitable, it is awaited.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Sequence
from inspect import signature
from typing import Any

from gatehound.stores.redis.topology import Command


class Pooled:
    """One server through a client of redis-py, which has its own pool."""

    __slots__ = ("_client", "_suspends", "is_open", "pool")

    def __init__(self, client: Any, *, suspends: bool) -> None:
        self._client = client
        self._suspends = suspends
        self.pool = client.connection_pool
        self.is_open = True

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one trip. What redis-py raises comes through."""
        if len(commands) == 1:
            reply = self._client.execute_command(*commands[0])
            return [await reply if self._suspends else reply]
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        pending = pipeline.execute(raise_on_error=False)
        replies: list[Any] = await pending if self._suspends else pending
        return replies

    async def close(self, *, inuse: bool) -> None:
        """Close the connections, with `inuse` those that wait for a reply too (asyncio only)."""
        self.is_open = False
        # It is given up on, so whatever goes wrong here concerns nobody.
        with contextlib.suppress(Exception):
            await self._disconnect(inuse)

    async def _disconnect(self, inuse: bool) -> None:
        pool = self.pool
        if self._suspends:
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
