"""The sessions that this process saw valid a moment ago, for `outage.policy` at `stale_ok`.

Kept in memory, bounded, and filled under that policy alone. A session is forgotten when this
process tells that it ended or changed, or hears of it from the store; what another process ends
without that is shown here until its time is up. That is what the policy risks, and why the time
is short.
"""

from __future__ import annotations

import contextlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from gatehound.model import Event
from gatehound.stores.record import Record

SIZE: Final = 10_000  # sessions of about 1 KB each
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1, without TRACE
# What changes or ends one session; after the others nothing is kept of anybody.
OF_ONE: Final = frozenset(
    {
        "session_terminated",
        "session_terminated_limit",
        "session_expired",
        "session_rotated",
        "session_flagged",
        "step_up_required",
        "step_up_passed",
    }
)
OF_ALL: Final = frozenset({"everyone_terminated", "user_forgotten"})


class _Sight(msgspec.Struct, frozen=True):
    """One session as it was loaded; `at` are readings of the two clocks, in seconds."""

    secret_hash: bytes
    record: Record
    now: int
    at: tuple[float, float]


class RecentSessions:
    """What `stale_ok` may show. `life` is in seconds; usable from any thread and loop.

    There is no lock: each step is one operation of the dict, and `keep` looks twice.
    """

    def __init__(
        self,
        life: float,
        *,
        size: int = SIZE,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._life = life
        self._size = size
        self._clocks = (monotonic, wall)
        self._kept: OrderedDict[bytes, _Sight] = OrderedDict()
        self._changes = 0

    def mark(self) -> int:
        """Return what `keep` wants to know: call it before the store is asked."""
        return self._changes

    def keep(self, record: Record, secret_hash: bytes, now: int, mark: int) -> None:
        """Keep what the store has just said, unless something was ended since `mark`.

        `now` is the store's, in milliseconds. An answer that was under way while its session
        ended must not bring it back, so the mark is compared after the write.
        """
        sight = _Sight(secret_hash, record, now, self._read_clocks())
        self._kept.pop(record.sid, None)  # so that it stands last, among the newest
        self._kept[record.sid] = sight
        if self._changes != mark:
            self._kept.pop(record.sid, None)
        while len(self._kept) > self._size:
            with contextlib.suppress(KeyError):  # another thread was quicker
                self._kept.popitem(last=False)

    def recall(self, sid: bytes, secret_hash: bytes) -> tuple[Record, int] | None:
        """Return the session and the store's time carried on to now; None where not recent.

        Of two clocks the one that went further counts: one stands still while a machine
        sleeps, the other can be set back.
        """
        sight = self._kept.get(sid)
        if sight is None or not hmac.compare_digest(sight.secret_hash, secret_hash):
            return None
        gone = max(b - a for a, b in zip(sight.at, self._read_clocks(), strict=True))
        if gone >= self._life:
            return None
        return sight.record, sight.now + int(gone * 1000)

    def forget(self, sid: bytes, secret_hash: bytes | None = None) -> None:
        """Show this session no more until the store says again that it is valid.

        With `secret_hash` only where that is the secret it was seen with: who holds an old one
        must not take it from the owner. More is forgotten than has to be, and never less.
        """
        self._changes += 1
        sight = self._kept.get(sid)
        if sight is None or secret_hash in (None, sight.secret_hash):
            self._kept.pop(sid, None)

    def hear(self, event: Event) -> None:
        """Forget what an event of this process says is over, or is not as it was."""
        if event.name in OF_ALL:
            self._changes += 1
            self._kept.clear()
        elif event.name in OF_ONE and event.public_id is not None:
            self.forget(bytes.fromhex(event.public_id))

    def _read_clocks(self) -> tuple[float, float]:
        monotonic, wall = self._clocks
        return monotonic(), wall()
