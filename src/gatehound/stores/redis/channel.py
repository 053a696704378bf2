"""The channel on which the scripts tell which sessions end: 8 raw bytes of a sid, or b"*".

Nobody depends on it: a message may be lost, and then the answer says so. What decides is always
what a script says. Who asks holds a subscription of the running loop; what it hears is numbered
and kept for a while, so that several may ask. A number of an earlier subscription is no place
any more: what was told between the two is lost.
"""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections import deque
from typing import Final

from gatehound.errors import UsageError
from gatehound.stores.answer import Ends
from gatehound.stores.record import SID_BYTES
from gatehound.stores.redis.call import Calls

# Ends that are kept for whoever has not asked yet.
KEPT: Final = 10_000
# The server has this many seconds for the answer to a PING, as for that to any other command.
LEAST_WAIT: Final = 0.25
EVERYONE: Final = b"*"

_generations: Final = itertools.count(1)


class Channel:
    """The ends of one namespace, as the server tells them."""

    __slots__ = ("_calls", "_name", "_of_loop")

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._name = calls.keys.meta.removesuffix(b"meta") + b"ends"
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Heard]
        self._of_loop = weakref.WeakKeyDictionary()

    async def ends(self, place: str, wait: float) -> Ends:
        """See Store.ends; StoreUnavailable where the server cannot be asked to tell."""
        wire = self._calls.wire
        if not wire.suspends:
            raise UsageError("a blocking Redis store tells no ends: nothing stays open under WSGI")
        heard = self._of_loop.setdefault(asyncio.get_running_loop(), _Heard())
        try:
            async with heard.lock:  # one listens, and all know what it hears
                if place == heard.place or not heard.generation:
                    await self._listen(heard, wait)
        except BaseException:
            # Who is cancelled listens no more, and a subscription that nobody reads from would
            # fill the server's buffer.
            self._of_loop.pop(asyncio.get_running_loop(), None)
            await wire.stop_listening()
            raise
        return heard.since(place)

    async def _listen(self, heard: _Heard, wait: float) -> None:
        messages = await self._calls.wire.messages(self._name, max(wait, LEAST_WAIT))
        if messages is None:
            heard.begin()
            return
        for data in messages:
            if data == EVERYONE:  # else who is asked about next is judged by a line of before
                await self._calls.refresh()
            if data == EVERYONE or len(data) == SID_BYTES:
                heard.note(data)


class _Heard:
    """What one loop has heard; `generation` 0 means that nobody listened yet."""

    __slots__ = ("_data", "_number", "generation", "lock")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.generation = self._number = 0
        self._data: deque[bytes] = deque(maxlen=KEPT)

    def begin(self) -> None:
        """From now on everything is heard; of what was told before, nobody knows."""
        self.generation, self._number = next(_generations), 0
        self._data.clear()

    def note(self, data: bytes) -> None:
        self._data.append(data)
        self._number += 1

    @property
    def place(self) -> str:
        return f"{self.generation}-{self._number}"

    def since(self, place: str) -> Ends:
        here = self.place
        if place in ("", here):
            return Ends((), False, False, here)
        generation, _, number = place.partition("-")
        new = self._number - int(number) if number.isdecimal() else -1
        if generation != str(self.generation) or not 0 <= new <= len(self._data):
            return Ends((), False, True, here)
        told = list(itertools.islice(self._data, len(self._data) - new, None))
        sids = tuple(data for data in told if data != EVERYONE)
        return Ends(sids, len(sids) < len(told), False, here)
