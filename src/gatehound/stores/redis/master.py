"""Who the masters are: a topology, whom to ask about it, and when.

Of one server and of a cluster nothing is asked while all is well. A silence, MOVED, READONLY and
their like put the topology in doubt, and the next call asks before it goes on.

Behind Sentinels that is not enough: a master that was frozen or cut off, and replaced meanwhile,
says "master" when it comes back, for 10 s, until the Sentinels tell it. A process that sent
nothing in between would notice nothing, and believe that sessions live which the new master has
ended. So what a Sentinel said is good for FRESH seconds; the call after that asks again, and all
who come meanwhile wait for the answer: one question a second and loop (or blocking process).
Where no Sentinel answers, the last word of one is good for BELIEF seconds, and then nobody is let
in. Not covered: a Sentinel that was frozen along with the master, and is the first to be asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from gatehound.errors import StoreCorrupt, StoreError, StoreUnavailable
from gatehound.stores.redis.address import Address, Target
from gatehound.stores.redis.node import CONNECT, Nodes
from gatehound.stores.redis.topology import PAUSE, topology_of
from gatehound.stores.redis.trouble import translate

FRESH: Final = 1.0
# Safety against availability. Sentinels wait `down-after-milliseconds`, 30 s by default, before
# they replace a master, so for 10 s after their last word there is no other one; and it is long
# enough to restart them one by one. A process that slept for longer believes nobody.
BELIEF: Final = 10.0


class Masters:
    """The masters of one target. `informants` are the servers that know them.

    `nodes` are the masters themselves: where those change, it forgets the others. Safe to share
    as Wire is.
    """

    def __init__(
        self, target: Target, nodes: Nodes, informants: Nodes, clock: Callable[[], float]
    ) -> None:
        self._place = target.place
        self._nodes = nodes
        self._informants = informants
        self._clock = clock
        self._topology = topology_of(target)
        self._known = not self._topology.question
        self._asked_at = self._failed_at = self._told_at = float("-inf")
        self._why: StoreError | None = None
        self._in_doubt = False
        self.find = self._topology.find
        self.move = self._topology.move
        self.abandon()

    @property
    def is_sure(self) -> bool:
        """True where a call may go out at once, by what is known."""
        is_known = self._known and not self._in_doubt
        return is_known and not (self._topology.fades and self._is_old())

    def doubt(self) -> None:
        """Have the next call ask anew."""
        self._in_doubt = bool(self._topology.question)

    def abandon(self) -> None:
        """Begin with open locks, in a forked child: one may have been held at the fork."""
        self._turn_of_threads = threading.Lock()
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._turns = weakref.WeakKeyDictionary()

    async def all(self) -> Sequence[Address]:
        """Return every master; StoreUnavailable where none can be found."""
        await self.renew()
        found = self._topology.masters()
        if not found:
            raise self.unknown()
        return found

    async def renew(self) -> None:
        """Ask who the masters are, where that is due and nobody has just asked."""
        if self.is_sure:
            return
        if self._known and not self._is_old():
            # Taken before anything is awaited: one call asks, the others go on.
            if self._clock() - self._asked_at >= PAUSE:
                await self._ask_all()
            return
        async with self._turn():  # one asks, and nobody goes on with what may be over
            is_due = not self._known or self._is_old()
            if is_due and self._clock() - self._failed_at >= PAUSE and not await self._ask_all():
                self._failed_at = self._clock()
            if self._is_old(BELIEF):
                self._forget()

    def unknown(self) -> StoreUnavailable:
        """Return the error for a slot without a master, with the last reason for it."""
        why = f": {self._why}" if self._why else ""
        return StoreUnavailable(f"no master was found by {self._place}{why}")

    def _is_old(self, limit: float = FRESH) -> bool:
        return self._topology.fades and self._clock() - self._told_at >= limit

    def _forget(self) -> None:
        self._known = False
        self._topology.forget()

    async def _ask_all(self) -> bool:
        now = self._asked_at = self._clock()
        self._in_doubt = False  # unless somebody doubts while it is asked
        try:
            for address in sorted(self._topology.informants(), key=self._silences):
                if await self._ask(address):
                    self._known, self._told_at = True, now
                    return True
                if self._clock() >= now + CONNECT:
                    break
        except BaseException:  # given up on
            self.doubt()
            raise
        self.doubt()
        return False

    async def _ask(self, address: Address) -> bool:
        try:
            [reply] = await self._informants.ask(address, [self._topology.question])
        except StoreError as error:
            self._why = error
            return False
        if isinstance(reply, Exception):
            self._why = translate(reply, address)
            return False
        try:
            learned = self._topology.learn(reply, address)
        except (TypeError, ValueError, LookupError, AttributeError):
            await self._informants.close()  # the next reply would not be ours either
            self._why = StoreCorrupt(f"Redis at {address} answered what it was not asked")
            return False
        if not learned:
            self._why = StoreUnavailable(f"Redis at {address} knows no master")
            return False
        await self._nodes.keep({*self._topology.masters(), *self._topology.informants()})
        return True

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._nodes.suspends:
            async with self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
                yield
        else:
            with self._turn_of_threads:
                yield

    def _silences(self, address: Address) -> int:
        """Servers that answered last time are asked first."""
        return self._informants.breaker(address).silences
