"""Commands to the masters of their keys, and what is done about a refusal.

What a server refused without doing it is sent where it belongs: MOVED and ASK are followed,
READONLY and MASTERDOWN make it look for the master anew, TRYAGAIN is repeated for up to a
second. What may have been carried out is never sent twice.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gatehound.errors import StoreError, StoreUnavailable
from gatehound.stores.redis import trouble
from gatehound.stores.redis.address import Address
from gatehound.stores.redis.hot import are_hot, in_form
from gatehound.stores.redis.master import Masters
from gatehound.stores.redis.node import PATIENCE, Nodes, Trip
from gatehound.stores.redis.topology import Command
from gatehound.stores.redis.trouble import StoreSilent

# How long what a server refused without doing it is tried again: a slot that moves takes about
# a second for some thousand keys.
_PERSIST: Final = 1.0
_REST: Final = 0.02
# How much before the whole call each server is given up on.
_MARGIN: Final = 0.02
# Redirections in a row that one command follows: a cluster that agrees needs one, or two with an
# ASK. TRYAGAIN between them is none: while a slot moves, ASK and TRYAGAIN take turns for long.
_HOPS: Final = 5
# These name no key; beside others they go along to where those go.
_KEYLESS: Final = frozenset({"TIME", "PING", "INFO", "CONFIG", "ROLE", "ACL", "CLUSTER"})


class _Part(msgspec.Struct):
    """One command of a batch, on its way.

    `asking` is where ASK sent it, `hops` how often in a row it was sent elsewhere, `rests` whether
    it is too early for it, and `wait` goes behind it.
    """

    place: int
    command: Command
    slot: int
    asking: Address | None = None
    hops: int = 0
    rests: bool = False
    wait: _Part | None = None


class Sent(NamedTuple):
    """What was sent to one server: a reply for each command, an error in its place."""

    address: Address
    replies: list[Any]


class Delivery:
    """Sends the commands of one wire. `slot_of` tells the slot of a key; None for no cluster."""

    def __init__(
        self,
        nodes: Nodes,
        masters: Masters,
        slot_of: Callable[[bytes], int] | None,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self.suspends = nodes.suspends
        self._nodes = nodes
        self._masters = masters
        self._slot_of = slot_of
        self._deadline = deadline
        self._clock = clock

    def short(self, key: bytes) -> Trip | None:
        """See Wire.short."""
        if not self._masters.is_sure:
            return None
        address = self._masters.find(0 if self._slot_of is None else self._slot_of(key))
        return None if address is None else self._nodes.short(address)

    async def send_short(self, commands: Sequence[Command]) -> Sent | None:
        """Send commands where nearly all go: over an open connection, to one known server."""
        if not are_hot(commands):
            return None
        keys = [key for key in map(_key, commands) if key is not None]
        if self._slot_of is not None and len(set(map(self._slot_of, keys))) > 1:
            return None
        trip = self.short(keys[0] if keys else b"")
        if trip is None:
            return None
        try:
            replies = await trip.ask(commands)
        except Exception as error:
            replies = [self._nodes.told(trip.address, error)] * len(commands)
        return Sent(trip.address, in_form(commands, replies))

    async def deliver(
        self,
        commands: Sequence[Command],
        patient: bool,
        wait: int,
        allowed: float,
        sent: Sent | None = None,
    ) -> list[Any]:
        """Send commands and return their replies; go on from what `sent` has brought."""
        start = self._clock()
        due = self._parts(commands, patient, wait)
        answers: list[_Answer] = []
        if sent is not None:
            answers = [(p, sent.address, r) for p, r in zip(due, sent.replies, strict=True)]
        replies: list[Any] = [None] * (len(commands) + bool(wait))
        while True:
            if not answers:
                await self._masters.renew()
                answers = await self._send_all(due, patient, start + allowed)
            due = await self._sort(answers, replies)
            if not due or self._clock() - start >= _PERSIST:
                return replies
            if any(part.rests for part in due):
                await self._rest()
            answers = []

    async def _sort(self, answers: list[_Answer], replies: list[Any]) -> list[_Part]:
        """Put answers in their places; return what is to be sent again."""
        due: list[_Part] = []
        for part, address, reply in answers:
            if isinstance(reply, Exception):
                if await self._may_repeat(part, address, reply):
                    due.append(part)
                reply = trouble.translate(reply, address)
            replies[part.place] = reply
        return due

    def _slot(self, commands: Sequence[Command]) -> int:
        """The slot of the first key; those without a key go where it goes."""
        if self._slot_of is None:
            return 0
        return self._slot_of(next(filter(None, map(_key, commands)), b""))

    def _parts(self, commands: Sequence[Command], patient: bool, wait: int) -> list[_Part]:
        first = self._slot(commands)
        parts = [_Part(place, command, first) for place, command in enumerate(commands)]
        if self._slot_of is not None:
            for part in parts:
                key = _key(part.command)
                part.slot = first if key is None else self._slot_of(key)
        if wait:
            half = round(self._deadline * (PATIENCE if patient else 1) * 500)
            parts[0].wait = _Part(len(commands), ("WAIT", wait, half), first)
        return parts

    async def _send_all(self, parts: list[_Part], patient: bool, until: float) -> list[_Answer]:
        groups: dict[Address | None, list[_Part]] = {}
        for part in parts:
            groups.setdefault(part.asking or self._masters.find(part.slot), []).append(part)
        if self.suspends and len(groups) > 1:
            sent = [self._send_in_time(*item, patient, until) for item in groups.items()]
            return [answer for answers in await asyncio.gather(*sent) for answer in answers]
        answers: list[_Answer] = []
        silent = 0
        # One after another: who was silent last time comes last, and takes no time from others.
        for address, group in sorted(groups.items(), key=self._silences):
            if silent > 1 and self._clock() >= until:
                late = StoreUnavailable(f"Redis at {address} was not asked: no time was left")
                answers += _all_with(group, _NOWHERE, late)
                continue
            told = await self._send(address, group, patient)
            silent += any(isinstance(reply, StoreSilent) for _, _, reply in told)
            answers += told
        return answers

    def _silences(self, item: tuple[Address | None, list[_Part]]) -> int:
        return self._nodes.breaker(item[0]).silences if item[0] else 0

    async def _send_in_time(
        self, address: Address | None, group: list[_Part], patient: bool, until: float
    ) -> list[_Answer]:
        """Give one server up in time for the answers of the others."""
        try:
            async with asyncio.timeout(max(0.0, until - _MARGIN - self._clock())):
                return await self._send(address, group, patient)
        except TimeoutError:
            return _all_with(group, address or _NOWHERE, late(address))

    async def _send(
        self, address: Address | None, group: list[_Part], patient: bool
    ) -> list[_Answer]:
        """Send what belongs to one server on one connection, in order."""
        if address is None:
            return _all_with(group, _NOWHERE, self._masters.unknown())
        sent: list[_Part] = []
        for part in group:
            if part.asking:
                sent.append(_ASKING)
            sent += [part] if part.wait is None else [part, part.wait]
        try:
            commands = [part.command for part in sent]
            replies = await self._nodes.ask(address, commands, patient=patient)
        except StoreError as error:
            replies = [error] * len(sent)
        answers = zip(sent, itertools.repeat(address), replies, strict=False)
        return [answer for answer in answers if answer[0] is not _ASKING]

    async def _may_repeat(self, part: _Part, address: Address, reply: Exception) -> bool:
        """Say whether a command was refused undone and may get through elsewhere, or later."""
        if isinstance(reply, StoreError):
            self._masters.doubt()
            return False
        part.asking, part.rests = None, False
        code, words = trouble.refusal(reply)
        if code == trouble.TRYAGAIN:
            part.hops, part.rests = 0, True
            return True
        part.hops += 1
        if part.hops > _HOPS:
            return False
        found = code in (trouble.MOVED, trouble.ASK) and trouble.redirect(words, address)
        if found and self._slot_of is not None:
            slot, target = found
            if code == trouble.ASK:
                part.asking = target
            else:
                self._masters.move(slot, target)
                self._masters.doubt()
            return True
        if code in (trouble.READONLY, trouble.MASTERDOWN):
            await self._nodes.drop(address)
            self._masters.doubt()
            await self._masters.renew()
            return self._masters.find(part.slot) not in (None, address)
        if code == trouble.CLUSTERDOWN:
            self._masters.doubt()
        return False

    async def _rest(self) -> None:
        if self.suspends:
            await asyncio.sleep(_REST)
        else:
            time.sleep(_REST)  # noqa: ASYNC251 - the blocking client has no loop to hold up


def _all_with(group: list[_Part], address: Address, error: StoreError) -> list[_Answer]:
    behind = [part.wait for part in group if part.wait]
    return [(part, address, error) for part in (*group, *behind)]


_Answer = tuple[_Part, Address, Any]
_NOWHERE: Final = Address("", 0)
_ASKING: Final = _Part(-1, ("ASKING",), 0)


def _key(command: Command) -> bytes | None:
    """Return the first key that a command names; None for none. PUBLISH goes by its channel."""
    place = 3 if command[0] in ("EVALSHA", "EVAL") else 1
    if command[0] in _KEYLESS or len(command) <= place or (place == 3 and command[2] == 0):
        return None
    key = command[place]
    return key if isinstance(key, bytes) else str(key).encode()


def late(place: object) -> StoreSilent:
    """Return the error for a place that was given up on."""
    return StoreSilent(
        f"Redis at {place} gave no answer in time: check that it runs, that this host may reach "
        "it, and how loaded it is"
    )
