"""How long to wait before the next try for a lock that another process or thread holds.

A write holds it for 0.05 to 0.5 ms, one that waits for the disk until the disk is done. Whoever
sleeps meanwhile is woken when a processor is free, on a busy machine 4 to 12 ms later, and then
finds the lock in the hands of the next one: with sleeps of 1 ms and more the p99 of a renewal
beside another writer was 7.5 ms where the disk took no time at all, and with these 0.4 ms.
So the first tries follow at once, though each costs 25 us of a processor, for no longer than most
locks are held. Then they grow rare. Of the threads of one process one tries and the others queue
behind it: they would take the processor, and the GIL, from the one that holds the lock.
"""

from __future__ import annotations

from collections.abc import Generator
from threading import Lock
from time import monotonic
from typing import Final

SPIN: Final = 0.0005  # seconds of tries at once
SHORT: Final = 0.0001  # seconds before the first one after those
LONG: Final = 0.001
GROWTH: Final = 1.2  # from one pause to the next: 1 ms after 5 ms


def pauses() -> Generator[float, None, None]:
    """Yield seconds to sleep before each next try; 0 lets others run, threads and tasks too."""
    spun = monotonic() + SPIN
    while monotonic() < spun:
        yield 0.0
    pause = SHORT
    while True:
        yield pause
        pause = min(pause * GROWTH, LONG)


def in_turn(turn: Lock, until: float) -> Generator[float, None, None]:
    """Yield the same once the turn of this thread has come, or its time is over; close it then."""
    has_turn = turn.acquire(timeout=max(until - monotonic(), 0.0))
    try:
        yield from pauses()
    finally:
        if has_turn:
            turn.release()
