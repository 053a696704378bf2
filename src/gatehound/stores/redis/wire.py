"""The way to the servers: commands go to the master of their key, and come back as replies.

How long a call takes: one that finds an open connection ends within its deadline, 250 ms or
(patient) 1 s. One that has to open a connection, wait for a free one, find the master or follow
a slot that moves may take CONNECT, 1 s, beyond it. Under asyncio that is a bound on the whole
call, and on what goes to each server, so that a silent one takes no answer from the others. The
blocking client has deadlines on waiting for a connection, on connecting and on each reply, and no
more: a server that trickles its bytes is not bounded by them, and of two that are silent for the
first time the second may add as much again. Measured on two busy
cores: master of a cluster frozen, 0.26 s blocking and 0.28 s asyncio at most until the failover
(2.4 s), answers 0.2 s after it; 200 callers of one frozen server over 50 connections, 0.98 s in
threads and 1.12 s on a loop at most.
"""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from gatehound.errors import StoreCorrupt, StoreError
from gatehound.stores.redis import trouble
from gatehound.stores.redis.address import Address, read_url
from gatehound.stores.redis.delivery import Delivery, late
from gatehound.stores.redis.listen import Ears
from gatehound.stores.redis.master import Masters
from gatehound.stores.redis.node import CONNECT, PATIENCE, PROMPT, Nodes, Trip
from gatehound.stores.redis.shape import fits
from gatehound.stores.redis.topology import Command
from gatehound.stores.redis.trouble import Misread, ScriptMissing, SlotMoving

__all__ = ["CONNECT", "PROMPT", "Command", "ScriptMissing", "SlotMoving", "Trip", "Wire"]

# Boot time goes on while a virtual machine is suspended; the monotonic clock does not, and what
# was known before that would look as if it had just been said.
_steady: Final = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Wire:
    """Ask one server, the master behind Sentinels, or a cluster.

    Safe to share between threads, loops and forked processes. `deadline` is in seconds, of an
    impatient call. With `multiplex` hot commands go by link.py and direct.py. `clock` gives
    seconds that never go back; it is for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        suspends: bool,
        deadline: float = PROMPT,
        multiplex: bool = True,
        clock: Callable[[], float] = _steady,
    ) -> None:
        self.suspends = suspends
        self._deadline = deadline
        self._clock = clock
        redis = trouble.import_redis()
        target = read_url(url, (redis.asyncio if suspends else redis).connection)
        self.target = target
        self.place = target.place
        is_cluster = target.kind == "cluster"
        shared: dict[str, Any] = {"suspends": suspends, "deadline": deadline, "clock": clock}
        # A replica of a cluster answers MOVED to all that is asked, so nobody asks its role.
        self.nodes = Nodes(
            redis,
            target.options,
            masters_only=not is_cluster,
            wakes=is_cluster,
            multiplex=multiplex,
            **shared,
        )
        self._informants = self.nodes
        if target.kind == "sentinel":
            self._informants = Nodes(redis, target.watch, masters_only=False, **shared)
        self._masters = Masters(target, self.nodes, self._informants, clock)
        self._slot_of: Callable[[bytes], int] = redis.crc.key_slot
        self._delivery = Delivery(
            self.nodes, self._masters, self._slot_of if is_cluster else None, deadline, clock
        )
        # Of one server nothing is ever in doubt.
        self._only = None if target.kind else target.seeds[0]
        self._ears = Ears(self._open_ear, self._is_master)
        _WIRES.add(self)

    # --- commands ---

    async def call(self, *command: bytes | str | int, patient: bool = False) -> Any:
        """Send one command and return its reply; StoreError where there is none."""
        [reply] = await self._bounded((command,), patient)
        if isinstance(reply, StoreError):
            raise reply
        return reply

    async def batch(
        self, commands: Sequence[Command], *, patient: bool = False, wait: int = 0
    ) -> list[Any]:
        """Send commands in one trip to each server that they concern, and return their replies.

        Those for one server are carried out in their order. A command that failed has a
        StoreError for its reply: StoreUnavailable where its server is silent, while others may
        well have done theirs.

        With `wait` there is one reply more: how many replicas had, within half the deadline,
        all that the first command wrote. It waits for so many, on the same connection. It
        narrows the window in which a failover loses a write, and guarantees nothing: a replica
        that has the write need not be the one that is promoted.
        """
        return await self._bounded(commands, patient, wait)

    def short(self, key: bytes) -> Trip | None:
        """Return what one packed command about a key can be sent over at once.

        None where that takes more: `call` does it then. What goes wrong on a trip is told by
        `failed`; a refusal is redis-py's exception in the place of its reply.
        """
        if self._only is not None:
            return self.nodes.short(self._only)
        return self._delivery.short(key)

    async def failed(self, trip: Trip, error: Exception) -> StoreError:
        """Say what it means that a trip raised, and act on it."""
        told = self.nodes.told(trip.address, error)
        self._masters.doubt()
        if isinstance(told, Misread):
            await self.close()
        return told

    async def ask_at(
        self, address: Address, commands: Sequence[Command], *, patient: bool = False
    ) -> list[Any]:
        """Send commands to one server by its address; a refusal is a StoreError in its place."""
        try:
            replies = await self.nodes.ask(address, commands, patient=patient)
        except Misread:
            await self.close()
            raise
        replies = [
            trouble.translate(r, address) if isinstance(r, Exception) else r for r in replies
        ]
        return await self._fitting(commands, replies)

    async def try_listening(self, address: Address, channel: bytes) -> StoreError | None:
        """Subscribe to a channel and hang up; the error where that is refused or fails."""
        try:
            connection = await self.nodes.subscribe(address, channel)
        except StoreError as error:
            return error
        await self.nodes.hang_up(connection)
        return None

    async def masters(self) -> Sequence[Address]:
        """Return every master; StoreUnavailable where none can be found."""
        return await self._masters.all()

    async def messages(self, channel: bytes, timeout: float) -> list[bytes] | None:  # noqa: ASYNC109 - silence is an answer here, and no error
        """Wait for what is published on a channel, for up to `timeout` seconds (asyncio only).

        Returns as soon as something arrived: the payloads, oldest first; [] where nothing did.
        None: the subscription was made just now, and whatever was published before may have
        been missed. StoreUnavailable where the connection broke, or nothing was heard for
        twice the timeout (or 2 s), not even the answer to a PING; the next call subscribes anew.

        Each channel has a connection of its own, of the running loop, until `close()`.
        """
        return await self._ears.messages(channel, timeout)

    async def stop_listening(self) -> None:
        """Close what `messages` opened on the running loop."""
        await self._ears.close()

    # --- life ---

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

    async def number(self, text: bytes | None) -> int:
        """Read a number as it is stored, None as 0; StoreCorrupt, see `mixed_up`, for no number."""
        try:
            return int(text or 0)
        except ValueError:
            raise await self.mixed_up() from None

    async def close(self) -> None:
        """Close what belongs to this process and, under asyncio, to the running loop."""
        if self.suspends:
            await self._ears.close()
        await self.nodes.close()
        if self._informants is not self.nodes:
            await self._informants.close()

    def abandon(self) -> None:
        """Forget all clients in a forked child, and close nothing.

        Their sockets are the parent's. They are kept alive on purpose: collecting an asyncio
        connection would take its socket out of the parent's epoll set, which a child shares.
        """
        _ABANDONED.extend((self.nodes.abandon(), self._informants.abandon(), self._ears.abandon()))
        self._masters.abandon()

    # --- from commands to servers ---

    async def _bounded(
        self, commands: Sequence[Command], patient: bool, wait: int = 0
    ) -> list[Any]:
        sent = None if patient or wait else await self._delivery.send_short(commands)
        if sent is not None and not any(isinstance(reply, Exception) for reply in sent.replies):
            return await self._fitting(commands, sent.replies)
        own = self._deadline * (PATIENCE if patient else 1)
        allowed = max(CONNECT, self._deadline) + own
        if not self.suspends:
            replies = await self._delivery.deliver(commands, patient, wait, allowed, sent)
            return await self._fitting(commands, replies)
        try:
            async with asyncio.timeout(allowed):
                replies = await self._delivery.deliver(commands, patient, wait, allowed, sent)
        except TimeoutError:
            self._masters.doubt()
            raise late(self.place) from None
        return await self._fitting(commands, replies)

    async def _fitting(self, commands: Sequence[Command], replies: list[Any]) -> list[Any]:
        """Let replies through that can be the answers; StoreCorrupt for all where one cannot."""
        for command, reply in zip(commands, replies, strict=False):  # WAIT's may stand behind
            if isinstance(reply, Misread):
                await self.close()
                raise reply
            if not fits(command, reply):
                raise await self.mixed_up()
        return replies

    # --- messages ---

    async def _open_ear(self, channel: bytes, attempt: int) -> tuple[Address, Any]:
        """Return who was asked, any server of a cluster, and a connection that is subscribed."""
        masters = await self._masters.all()
        address = masters[(self._slot_of(channel) + attempt) % len(masters)]
        try:
            async with asyncio.timeout(max(CONNECT, self._deadline) + self._deadline):
                return address, await self.nodes.subscribe(address, channel)
        except (StoreError, TimeoutError) as error:
            self._masters.doubt()
            if isinstance(error, StoreError):
                raise
            raise late(address) from None

    async def _is_master(self, address: Address) -> bool:
        return address in await self._masters.all()


_WIRES: Final[weakref.WeakSet[Wire]] = weakref.WeakSet()
_ABANDONED: Final[list[Any]] = []


def _after_fork() -> None:
    for wire in list(_WIRES):
        wire.abandon()


os.register_at_fork(after_in_child=_after_fork)
