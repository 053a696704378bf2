"""Hear what is published: one connection a channel and loop, beside those for commands."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from gatehound.errors import StoreUnavailable
from gatehound.stores.redis.address import Address

# How often a silent channel is looked after: whether its server answers, and is a master still.
# One that was frozen or deposed for longer has not told all, and that must not stay unnoticed.
BEAT: Final = 1.0

_Open = Callable[[bytes, int], Awaitable[tuple[Address, Any]]]


class _Ear(msgspec.Struct):
    """One channel. `pinged`: the server owes an answer since the last beat."""

    address: Address | None = None
    connection: Any = None
    attempt: int = 0
    pinged: bool = False


class Ears:
    """The channels that are listened to; one caller a channel at a time.

    `open_` takes a channel and the number of the attempt, and returns who was asked and a
    connection that is subscribed. `is_right` says whether that server is still the one to ask.
    """

    def __init__(self, open_: _Open, is_right: Callable[[Address], Awaitable[bool]]) -> None:
        self._open = open_
        self._is_right = is_right
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bytes, _Ear]]
        self._of_loop = weakref.WeakKeyDictionary()

    async def messages(self, channel: bytes, timeout: float) -> list[bytes] | None:  # noqa: ASYNC109 - silence is an answer here, and no error
        """See Wire.messages."""
        ears = self._of_loop.setdefault(asyncio.get_running_loop(), {})
        ear = ears.setdefault(channel, _Ear())
        if ear.address is None:
            await self._begin(channel, ear)
            return None
        connection = ear.connection
        try:
            heard = await self._hear(ear.address, ear, timeout)
        except Exception as error:  # whatever a broken connection makes redis-py raise
            await _end(ear, connection)
            raise StoreUnavailable(
                f"the connection that listens for messages broke: {error or type(error).__name__}"
            ) from error
        if heard is None:
            await _end(ear, connection)
            await self._begin(channel, ear)
        return heard

    async def close(self) -> None:
        """Close what belongs to the running loop."""
        for ear in self._of_loop.pop(asyncio.get_running_loop(), {}).values():
            connection, ear.address, ear.connection = ear.connection, None, None
            if connection is not None:
                with suppress(Exception):  # as in _end
                    await connection.disconnect()

    def abandon(self) -> list[Any]:
        """Forget all in a forked child, and return them to be kept."""
        kept = list(self._of_loop.items())
        self._of_loop = weakref.WeakKeyDictionary()
        return kept

    async def _begin(self, channel: bytes, ear: _Ear) -> None:
        ear.attempt += 1
        address, connection = await self._open(channel, ear.attempt)
        ears = self._of_loop.get(asyncio.get_running_loop(), {})
        if ears.get(channel) is not ear:  # all were closed while this one was opened
            await connection.disconnect(nowait=True)
            raise StoreUnavailable("the connections that listen for messages were closed")
        ear.address, ear.connection, ear.pinged = address, connection, False

    async def _hear(self, address: Address, ear: _Ear, timeout: float) -> list[bytes] | None:  # noqa: ASYNC109 - as above
        """Return what arrived; [] for nothing in time, None where nobody speaks here any more."""
        end = time.monotonic() + timeout
        while await self._is_right(address):
            left = end - time.monotonic()
            if left <= 0:
                return []
            heard = await _listen(ear, min(left, BEAT))
            if heard:
                return heard
        return None


async def _end(ear: _Ear, connection: Any) -> None:
    if ear.connection is connection:
        ear.address = ear.connection = None
    if connection is not None:
        with suppress(Exception):  # it is given up on, so whatever goes wrong concerns nobody
            await connection.disconnect(nowait=True)


async def _listen(ear: _Ear, timeout: float) -> list[bytes]:  # noqa: ASYNC109 - as above
    end = time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        reply = await ear.connection.read_response(timeout=left, disconnect_on_error=False)
        if reply is None:
            break
        ear.pinged = False
        if reply[0] == b"message":
            return [reply[2]]
    if ear.pinged:
        raise ConnectionError("the server is silent")
    await ear.connection.send_command("PING")
    ear.pinged = True
    return []
