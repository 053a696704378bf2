"""How much happens, hour by hour: sign-ins, ends, flags and failures, counted out of the event log.

Nobody counts at a request. Who looks at the figures reads what the log has since the last look, and
leaves the sums in the store for the next one, by compare-and-swap: two who look at once count
nothing twice. The log is the truth; what it does not hold any more is no longer counted anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from gatehound.model import Event
from gatehound.stores.answer import Memory

if TYPE_CHECKING:
    from gatehound.stores.base import Store

HOUR: Final = 3600
HOURS: Final = 31 * 24  # kept: a month and the day that is under way
SHELF: Final = "tally"
BATCH: Final = 1_000  # events that are read at once
ATTEMPTS: Final = 5

# What is counted, and which events are.
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "logins": ("session_created",),
    "ends": (
        *("session_terminated", "session_terminated_limit", "session_expired"),
        "everyone_terminated",
    ),
    "flags": ("session_flagged",),
    "failed": ("login_failed", "login_refused"),
    "step_ups": ("step_up_required",),
}
_KIND_OF: Final = {name: kind for kind, names in KINDS.items() for name in names}


class Tally(msgspec.Struct, frozen=True):
    """Counts by hour: {kind: {hour: count}}, an hour as seconds since 1970 over 3600.

    `since` is the first moment that is counted, `until` the last event that was (seconds since
    1970). `complete` is False where the log goes on: ask again.
    """

    counts: Mapping[str, Mapping[int, int]]
    since: float
    until: float
    complete: bool

    def series(self, kind: str, hours: Iterable[int]) -> list[int]:
        """Return the counts of some hours, 0 where nothing was counted."""
        counted = self.counts.get(kind, {})
        return [counted.get(hour, 0) for hour in hours]


class _Kept(msgspec.Struct, array_like=True):
    """What the shelf holds."""

    place: str
    since: float
    until: float
    counts: dict[str, dict[int, int]]


async def tally(store: Store, *, retention: float, batches: int = 20) -> Tally:
    """Count what happened since the last call, at most so many batches of events.

    `retention` is how long the store keeps events, in seconds. What has no time of its own in the
    log is counted when it is read.
    """
    for _ in range(ATTEMPTS):
        memory = await store.shelf(SHELF)
        now = await store.ping() / 1000
        kept = _read(memory.data) or _Kept("", now - min(retention, HOURS * HOUR), 0.0, {})
        complete = await _count(store, kept, batches)
        _forget(kept, int(now // HOUR))
        data = msgspec.msgpack.encode(kept)
        if data == memory.data or await store.put(SHELF, Memory(data, memory.version)):
            return Tally(kept.counts, kept.since, kept.until, complete)
    # Others count all the time: what they left is as good, and maybe not all.
    kept = _read((await store.shelf(SHELF)).data) or _Kept("", 0.0, 0.0, {})
    return Tally(kept.counts, kept.since, kept.until, complete=False)


def _read(data: bytes) -> _Kept | None:
    """Read what an earlier call left; what cannot be read is counted anew."""
    if not data:
        return None
    try:
        kept = msgspec.msgpack.decode(data, type=_Kept)
    except msgspec.DecodeError:  # a ValidationError is one
        return None
    return kept if math.isfinite(kept.since) and math.isfinite(kept.until) else None


async def _count(store: Store, kept: _Kept, batches: int) -> bool:
    """Add what the log has after the place; True where that was all."""
    for _ in range(batches):
        since = None if kept.place else int(kept.since * 1000)
        page = await store.tail(kept.place, since=since, limit=BATCH)
        kept.place = page.place
        for event in page.events:
            _add(kept, event)
        if not page.more:
            return True
    return False


def _add(kept: _Kept, event: Event) -> None:
    kept.until = max(kept.until, event.at)
    kind = _KIND_OF.get(event.name)
    if kind is None:
        return
    # Of a flood, and of the end of all, one event says how many there were.
    many = event.detail.get("count")
    if not isinstance(many, int):
        many = 0 if event.name == "everyone_terminated" else 1
    hour, counts = int(event.at // HOUR), kept.counts.setdefault(kind, {})
    counts[hour] = counts.get(hour, 0) + many


def _forget(kept: _Kept, now: int) -> None:
    for counts in kept.counts.values():
        for hour in [hour for hour in counts if hour <= now - HOURS]:
            del counts[hour]


def levels(living: int, tally: Tally, hours: Iterable[int]) -> list[int]:
    """Return how many sessions there were at the end of each hour, from how many are there now.

    `hours` are in order, and the last is the present one. A session that nobody has found over yet
    counts as there.
    """
    found: list[int] = []
    for hour in reversed(list(hours)):
        found.append(max(living, 0))
        living += tally.series("ends", [hour])[0] - tally.series("logins", [hour])[0]
    return found[::-1]
