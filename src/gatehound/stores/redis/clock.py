"""What this process knows of the store's time and of `not_before`.

The time of this machine decides nothing. It only carries the store's time on, from one reply to
the next, so that an ordinary read need not ask for it; whatever looks over by it is decided by
a script with the server's own time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# A revocation of everyone reaches every process within 2 s, so what is known must be younger,
# with a second left for the trip.
FRESH_FOR: Final = 1_000

# Boot time goes on while a virtual machine is suspended; the monotonic clock does not, and
# sessions that ran out meanwhile would look alive for the first second after it.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_ns: Final = time.clock_gettime_ns


class StoreClock:
    """The store's time, carried on; `given` replaces both it and this machine's (tests only)."""

    __slots__ = ("_given", "_looked", "_offset", "not_before")

    def __init__(self, given: Callable[[], int] | None = None) -> None:
        self._given = given
        self._offset: int | None = None
        self._looked: dict[bytes, int] = {}  # line -> when it was read
        self.not_before = 0

    @property
    def override(self) -> bytes:
        """The time as scripts take it: b"" lets the server use its own."""
        return b"" if self._given is None else b"%d" % self._given()

    @property
    def now(self) -> int | None:
        """The store's time as far as it is known; None before the first reply."""
        if self._given is not None:
            return self._given()
        # As `_local`, without a call: every request asks twice.
        return None if self._offset is None else _ns(_CLOCK) // 1_000_000 + self._offset

    def now_beside(self, line: bytes) -> int | None:
        """`now`, where this line is fresh; None where the store has to be asked for either."""
        looked, offset = self._looked.get(line), self._offset
        if looked is None:
            return None
        if self._given is not None:
            local, offset = self._given(), 0
        else:
            local = _ns(_CLOCK) // 1_000_000
        if offset is None or not 0 <= local - looked < FRESH_FOR:
            return None
        return local + offset

    def is_fresh(self, line: bytes) -> bool:
        """True where this line was read less than a second ago.

        Each bucket has one, so that a server that is down costs only those whose sessions it has.
        """
        looked = self._looked.get(line)
        if looked is None:
            return False
        return 0 <= self.local - looked < FRESH_FOR

    @property
    def local(self) -> int:
        """What this machine's own clock says; it tells spans, and no time."""
        return _local() if self._given is None else self._given()

    def learn(self, now: int) -> None:
        """Take the time of a reply over."""
        self._offset = now - _local()

    def learn_not_before(self, value: int, line: bytes | None = None, asked: int = 0) -> bool:
        """Take over what a line says, which never moves back; True if it moved.

        `asked` is when it was asked for, by `local`: the answer may be as old as that.
        """
        if line is not None:
            self._looked[line] = asked
        moved = value > self.not_before
        if moved:
            self.not_before = value
        return moved


def _local() -> int:
    return _ns(_CLOCK) // 1_000_000
