"""The watch over what stays open: tells each connection when its session is over.

Two ways, because either alone can fail. The store tells which sessions end, at once or a quarter
of a second later. And each session is asked about again and again, which also finds what nobody
tells: time that ran out, settings that became stricter, messages that were lost.

A watch belongs to one guard and one event loop. It runs while something is open there: nothing
depends on a server's lifespan, and an app without such connections never starts one.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import itertools
import logging
import weakref
from collections.abc import Callable
from typing import Final

from gatehound.errors import StoreError, StoreMismatch
from gatehound.guard import Guard
from gatehound.model import Event
from gatehound.stores.answer import Finished, Standing
from gatehound.stores.record import HASH_BYTES, Record, expiry

# Seconds. POLL is for stores that do not tell by themselves: what ends is found within 1 s with
# room for a slow loop. WAIT: a lost connection to the store is noticed after about so long.
POLL: Final = 0.25
WAIT: Final = 5.0
# How long a message that got lost may keep a connection open; see `_every`.
EVERY: Final = 30.0
# After an error of the store. People stay connected through an outage, as they stay signed in.
RETRY: Final = 2.0
# How long the last connection waits for the watch to end.
STOP: Final = 1.0
# How long a message may travel from the store, before a session that is younger than it is
# taken for an older one.
MARGIN: Final = 1.0
# Added to the time that a session has left: two clocks never agree to the millisecond.
ROUND: Final = 0.05
# At most SLICE questions at once and a pause after them, about 1,000 a second: a store that has
# just come back must not be asked by everybody about everything in the same moment.
SLICE: Final = 10
PAUSE: Final = 0.01
# No secret has this hash. Asking with it confirms no rotation and slides nothing.
NO_SECRET: Final = bytes(HASH_BYTES)

log: Final = logging.getLogger("gatehound")
_WATCHES: Final[weakref.WeakKeyDictionary[Guard, dict[asyncio.AbstractEventLoop, Watch]]] = (
    weakref.WeakKeyDictionary()
)


class _Watched:
    """One session and what is open under it."""

    __slots__ = ("closers", "due", "is_over", "record", "since", "was_asked")

    def __init__(self, record: Record, now: float) -> None:
        self.record = record
        self.closers: list[Callable[[], None]] = []
        self.since = now
        self.due = 0.0
        self.is_over = False
        self.was_asked = False


class Watch:
    """What is open on one event loop under the sessions of one guard.

    `join` and `leave` are for that loop alone.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._watched: dict[bytes, _Watched] = {}
        self._queue: list[tuple[float, int, _Watched]] = []
        self._numbers = itertools.count()
        self._woken = asyncio.Event()
        self._listens = False
        self._warned = False
        # A context of its own: the first request that stays open is no parent of the watch.
        self._task = self._loop.create_task(self._run(), context=contextvars.Context())

    @classmethod
    def of(cls, guard: Guard) -> Watch:
        """Return the watch of a guard on the running loop; the first call starts it."""
        loops = _WATCHES.setdefault(guard, {})
        for other in [other for other in loops if other.is_closed()]:
            del loops[other]
        loop = asyncio.get_running_loop()
        if loop not in loops:
            loops[loop] = cls(guard)
        return loops[loop]

    def join(self, record: Record, close: Callable[[], None]) -> None:
        """Have `close` called, once, when the session of this record is over."""
        watched = self._watched.get(record.sid)
        if watched is None:
            watched = self._watched[record.sid] = _Watched(record, self._loop.time())
        watched.closers.append(close)
        if watched.is_over:
            close()
        # The session was loaded a while ago: its end may have been told before anybody was here
        # to hear it. When the watch begins to listen, everything is asked about anyway.
        self._plan(watched, 0.0 if self._listens or self._warned else _every(record))

    async def leave(self, record: Record, close: Callable[[], None]) -> None:
        """Forget a connection; the last one ends the watch."""
        watched = self._watched.get(record.sid)
        if watched is not None and close in watched.closers:
            watched.closers.remove(close)
            if not watched.closers:
                del self._watched[record.sid]
        if not self._watched and not self._task.done():
            _WATCHES.get(self._guard, {}).pop(self._loop, None)
            self._task.cancel()
            # A loop that is closed next must find nothing pending.
            await asyncio.wait([self._task], timeout=STOP)

    async def confirm(self, record: Record) -> None:
        """Wait until this session was asked about once since it is watched.

        Where it is over, `close` was called by then. An outage confirms it.
        """
        watched = self._watched.get(record.sid)
        if watched is not None and not watched.was_asked:
            await self._check(watched)

    # --- what the store tells ---

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recheck())
            await self._listen()

    async def _listen(self) -> None:
        place, delay, before = "", RETRY, 0.0
        while True:
            asked = self._loop.time()
            try:
                ends = await self._guard.store.ends(place, wait=WAIT)
            except Exception as error:
                self._listens, place = False, ""
                self._warn(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, EVERY)
                continue
            if not place or ends.missed:
                self._plan_all()
            place, delay, self._listens = ends.place, RETRY, True
            self._end_told(ends.sids)
            if ends.everyone:
                self._end_all(before)
            before = asked
            if not self._guard.store.tells and not ends.sids:
                await asyncio.sleep(POLL)

    def _end_told(self, sids: tuple[bytes, ...]) -> None:
        for sid in sids:
            self._forget(sid)
            watched = self._watched.get(sid)
            if watched is not None:
                self._end(watched)

    def _end_all(self, before: float) -> None:
        """Everybody's sessions ended after the answer that was asked for at `before`.

        So what was open by then is over, and only what came since has to be asked about.
        """
        if self._guard.recent is not None:
            self._guard.recent.hear(Event("everyone_terminated"))
        for watched in list(self._watched.values()):
            if watched.since < before - MARGIN:
                self._end(watched)
            else:
                self._plan(watched, 0.0)

    def _end(self, watched: _Watched) -> None:
        if not watched.is_over:
            watched.is_over = True
            self._forget(watched.record.sid)
            for close in list(watched.closers):
                close()

    def _forget(self, sid: bytes) -> None:
        """Another process may have ended it: an outage must not bring it back."""
        if self._guard.recent is not None:
            self._guard.recent.forget(sid)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "the store does not tell which sessions end (%s); websockets and streams are "
                "looked at every %.0f s instead. On Redis the user needs +subscribe, +ping and "
                "the channel gh:<namespace>:ends",
                error,
                EVERY,
            )

    # --- what is asked again and again ---

    def _plan(self, watched: _Watched, delay: float) -> None:
        watched.due = self._loop.time() + delay
        heapq.heappush(self._queue, (watched.due, next(self._numbers), watched))
        self._woken.set()

    def _plan_all(self) -> None:
        for watched in self._watched.values():
            self._plan(watched, 0.0)

    async def _recheck(self) -> None:
        while True:
            self._woken.clear()
            due = self._take_due()
            if due:
                await asyncio.gather(*map(self._check, due))
                await asyncio.sleep(PAUSE)
                continue
            delay = self._queue[0][0] - self._loop.time() if self._queue else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._woken.wait()

    def _take_due(self) -> list[_Watched]:
        now = self._loop.time()
        found: list[_Watched] = []
        while self._queue and self._queue[0][0] <= now and len(found) < SLICE:
            due, _, watched = heapq.heappop(self._queue)
            is_open = self._watched.get(watched.record.sid) is watched
            if is_open and due == watched.due and not watched.is_over:
                found.append(watched)
        return found

    async def _check(self, watched: _Watched) -> None:
        """Ask whether a session lives, and when to ask again."""
        every = _every(watched.record)
        try:
            left = await time_left(self._guard, watched.record)
        except (StoreError, StoreMismatch):
            left = RETRY * every / EVERY  # an outage: requests say so, and tell of it
        except Exception:  # of a store of somebody's own: it must not end the watch
            log.exception("a session could not be asked about")
            left = every
        watched.was_asked = True
        if left is None:
            self._end(watched)
        else:
            self._plan(watched, min(every, left + ROUND))


async def time_left(guard: Guard, record: Record) -> float | None:
    """Say for how many seconds a session lives if nobody uses it; None where it is over.

    Whoever asks does not use it: it neither slides nor rotates. A session whose time is over is
    ended by this, as by a request.
    """
    answer = await guard.store.load(record.alias, record.sid, NO_SECRET)
    found, ended = answer.record, answer.ended
    if found is None or answer.standing in (Standing.ENDED, Standing.UNKNOWN):
        if found is not None and ended is not None:
            guard.announce_ends((Finished(found, ended.reason, ended.at),))
        return None
    limits = guard.limits(found.roles, remembered=found.remembered)
    security, last_seen = found.security, found.seen.last_seen
    idle = int(min(security.idle, limits.idle * 1000))
    expires = int(min(security.expires, security.authenticated + limits.absolute * 1000))
    reason = expiry(answer.now, expires=expires, idle=idle, last_seen=last_seen)
    if reason is None:
        return (min(expires, last_seen + idle) - answer.now) / 1000
    event = Event("session_expired", found.user_id, found.public_id, reason.value)
    done = await guard.store.revoke(found.alias, only=found.sid, reason=reason, event=event)
    guard.announce_ends(done.finished, event)
    return None


def _every(record: Record) -> float:
    """How long until a session is asked about: 15 to 30 s by its sid, so that they spread out."""
    return EVERY * (0.5 + record.sid[0] / 512)
