"""One step of telling people: read what happened, sort it, send what is due, remember.

The event log is read from where the last step stopped, and what was read is written down with its
place in one compare-and-swap: an event is sorted once, whatever ends or restarts in between.

Of several processes one sends at a time: it holds a lease in the blob, which each write renews.
Before each attempt the blob says when the next one would be. So a process that dies in the middle
costs one letter that may come twice, with the same Message-ID, and never a storm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from gatehound.errors import StoreError
from gatehound.model import Detail, Event
from gatehound.notify import ledger as book
from gatehound.notify.channel import (
    Channel,
    Letter,
    LetterChannel,
    Notice,
    NoticeChannel,
    OutOfReach,
    Refused,
    Undelivered,
)
from gatehound.notify.fact import Fact, fact_of, found, plain, token_of
from gatehound.notify.ledger import DAY, SHELF, Item, Ledger, Track
from gatehound.notify.letter import letter_of
from gatehound.notify.sorting import (
    TWO_DAYS,
    add_letter,
    add_notice,
    held,
    is_news,
    note_sent,
    recipients,
)
from gatehound.stores.answer import Memory, Tail

if TYPE_CHECKING:
    from gatehound.guard import Guard

log: Final = logging.getLogger("gatehound.notify")

# Milliseconds. What belongs to one incident happens within seconds: a flag, an end, a report.
SETTLE: Final = 5_000
# Each write renews it, and nothing but one sending lies between two. That is cut off after half of
# it (channel.DEADLINE), which leaves a minute for names, templates and functions of the app.
LEASE: Final = 120_000
# Where nothing was read yet: an event that came just before the first step is told too.
BEFORE: Final = 60_000
FIRST_WAIT: Final = 30_000
LONGEST_WAIT: Final = 2 * 3_600_000  # between two attempts of one letter
LONGEST_REST: Final = 15 * 60_000  # of a channel that lets nothing through
GIVE_UP: Final = DAY  # after the first attempt
LONGEST_STEP: Final = 60.0  # seconds of sending
BATCHES: Final = 50  # of a step; the next one goes on
BATCH: Final = 500  # events


class Step(msgspec.Struct, frozen=True):
    """What one step did. `due_in` is in how many ms the next thing is due, None: nothing waits.

    `more`: there is more to read now. `is_mine` is False where another process sends.
    """

    sent: int = 0
    failed: int = 0
    more: bool = False
    due_in: int | None = None
    is_mine: bool = True


class Sending:
    """One step, over the blocking twin of the guard."""

    def __init__(
        self,
        guard: Guard,
        channels: Mapping[str, Channel],
        secret: bytes,
        *,
        jitter: Callable[[], float],
        holder: str,
        settle: int,
        ends: Callable[[], bool] = lambda: False,
    ) -> None:
        self._guard = guard.blocking()
        self._settings = guard.settings.notify
        self._channels = channels
        self._secret = secret
        self._jitter = jitter
        self._holder = holder
        self._settle = settle
        self._ends = ends
        self._ledger = Ledger()
        self._version = 0
        self._fresh: dict[str, Event] = {}
        self._sent = self._failed = 0
        self._began = time.monotonic()
        self._start = 0
        self._full: list[Track] = []

    @property
    def _now(self) -> int:
        return self._start + round((time.monotonic() - self._began) * 1000)

    async def step(self, now: int | None) -> Step:
        """Read, sort, send; see the module."""
        await self._guard.ready()
        clock = await self._guard.store.ping()
        self._start = clock if now is None else now
        memory = await self._guard.store.shelf(SHELF)
        self._ledger, self._version = book.read(memory.data), memory.version
        if self._is_held():
            return Step(is_mine=False, due_in=max(0, self._ledger.until - self._start))
        known = set(self._ledger.tracks)
        self._ledger.keep(self._channels)
        has_read, more = await self._read()
        due = self._due()
        if (has_read or due or known != set(self._channels)) and not await self._keep(bool(due)):
            return Step(is_mine=False)
        if due and (not await self._send_due() or not await self._keep(False)):
            return Step(self._sent, self._failed, is_mine=False)
        more = more or any(self._room(track) for track in self._full)
        return Step(self._sent, self._failed, more, self._due_in())

    def _is_held(self) -> bool:
        ledger = self._ledger
        # A lease much further off than any is of a clock that was set back since.
        left = ledger.until - self._start
        return ledger.holder not in ("", self._holder) and 0 < left <= 2 * LEASE

    async def _keep(self, lease: bool) -> bool:
        """Write the blob; False where another process was quicker, which then has the say."""
        self._ledger.holder = self._holder if lease else ""
        self._ledger.until = self._now + LEASE if lease else 0
        data = book.written(self._ledger, self._now)
        if not await self._guard.store.put(SHELF, Memory(data, self._version)):
            return False
        self._version += 1
        return True

    # --- read ---

    async def _read(self) -> tuple[bool, bool]:
        """Sort what is new into the tracks; say whether a place moved, and if there is more."""
        moved = more = False
        tails: dict[tuple[str, int], Tail] = {}
        for name, track in self._ledger.tracks.items():
            for _batch in range(BATCHES):
                limit = self._room(track)
                if not limit:
                    self._full.append(track)  # the rest stays in the log until there is room
                    break
                asked = (track.place, limit)
                if asked not in tails:
                    tails[asked] = await self._guard.store.tail(
                        track.place, since=self._start - BEFORE, limit=limit
                    )
                tail = tails[asked]
                await self._sort(self._channels[name], track, tail)
                moved = moved or track.place != tail.place
                track.place = tail.place
                if not tail.more:
                    break
            else:
                more = True
        return moved, more

    def _room(self, track: Track) -> int:
        """Return how many events may be read for a track; each makes two letters at the most."""
        free = (book.MAX_REFS // len(self._channels) - track.refs) // 2
        return max(0, min(BATCH, free))

    async def _sort(self, channel: Channel, track: Track, tail: Tail) -> None:
        for event in tail.events:
            if not event.notify or self._start - event.at * 1000 > TWO_DAYS:
                continue  # nobody read the log for days: that is no news any more
            if not is_news(track, event, token_of(self._guard, event), self._secret):
                continue
            self._fresh[event.id] = event
            if isinstance(channel, NoticeChannel):
                add_notice(track, event, self._secret)
                continue
            for whom in recipients(event):
                wants = self._settings.users if whom == "user" else self._has_admins(channel)
                if wants:
                    add_letter(track, event, whom, self._secret, settle=self._settle)

    def _has_admins(self, channel: LetterChannel) -> bool:
        return bool(self._settings.admins) or not channel.needs_address

    # --- send ---

    def _due(self) -> list[tuple[str, Item]]:
        """Return what may go now, the longest due first."""
        found = [
            (name, item)
            for name, track in self._ledger.tracks.items()
            if track.rests_until <= self._now
            for item in track.items
            if item.due <= self._now and not self._waits(track, item)
        ]
        return sorted(found, key=lambda pair: pair[1].due)

    def _waits(self, track: Track, item: Item) -> bool:
        """Put a letter off that would be one too many for its recipient."""
        if not item.whom or item.since:
            return False
        hourly, daily = self._settings.per_hour, self._settings.per_two_days
        item.due = max(item.due, held(track, item, per_hour=hourly, per_two_days=daily).until)
        return item.due > self._now

    def _due_in(self) -> int | None:
        times = [
            max(item.due, track.rests_until)
            for track in self._ledger.tracks.values()
            for item in track.items
        ]
        return max(0, min(times) - self._now) if times else None

    async def _send_due(self) -> bool:
        """Send what is due; False where the lease was lost on the way."""
        for name, item in self._due():
            track = self._ledger.tracks[name]
            if track.rests_until > self._now:
                continue
            if time.monotonic() - self._began > LONGEST_STEP:
                break  # what else happened has to be read too
            if self._ends():
                break
            message = await self._written_or_error(self._channels[name], item)
            if message is None:
                track.items.remove(item)
                continue
            item.tries += 1
            if not item.since:
                item.since = self._now
                if item.whom:
                    note_sent(track, item, self._now)
            # Whoever takes over when the lease is lost leaves it alone for a while: the attempt may
            # be under way still.
            item.due = self._now + LEASE + FIRST_WAIT
            if not await self._keep(True):
                return False  # another process goes on from what it finds
            if isinstance(message, Exception):
                self._put_off(name, track, item, message)
            else:
                self._attempt(name, track, item, message)
        return True

    def _attempt(self, name: str, track: Track, item: Item, message: Letter | Notice) -> None:
        """Send one thing, and put it away, or off."""
        try:
            self._channels[name].send(message)  # type: ignore[arg-type]  # each makes its own kind
        except Exception as error:
            if not isinstance(error, Undelivered):
                log.exception("the channel %s failed", name)
            self._put_off(name, track, item, error)
            return
        track.items.remove(item)
        track.failures = track.rests_until = 0
        track.delivered = self._now
        self._sent += 1

    def _put_off(self, name: str, track: Track, item: Item, error: Exception) -> None:
        why = str(error) or type(error).__name__
        track.failed, track.why = self._now, type(error).__name__
        if isinstance(error, OutOfReach):
            # Alone it is of the channel: what else a server says may name whom it is about.
            track.why = plain(why, book.MAX_WHY)
            track.failures += 1
            track.rests_until = self._now + self._wait(track.failures, LONGEST_REST)
        if isinstance(error, Undelivered):
            done = (book.digest(self._secret, one) for one in error.done)
            item.done = [*item.done, *done][: book.MAX_DONE]
        if not isinstance(error, Refused) and self._now - item.since < GIVE_UP:
            item.due = self._now + self._wait(item.tries, LONGEST_WAIT)
            log.warning("%s: not delivered, tried again later: %s", name, why)
            return
        track.items.remove(item)
        self._failed += 1
        detail: Detail = {
            "channel": name,
            "key": item.key.hex(),
            "events": item.events,
            "tries": item.tries,
        }
        self._guard.announce(Event("notification_failed", reason=why, detail=detail))

    def _wait(self, times: int, longest: int) -> int:
        """Return how long to wait after so many failures: doubling, and never all at once."""
        wait = min(longest, FIRST_WAIT << min(times - 1, 20))
        return round(wait * (0.75 + self._jitter() / 2))

    # --- write ---

    async def _written_or_error(
        self, channel: Channel, item: Item
    ) -> Letter | Notice | Exception | None:
        """Make what is sent; what functions and templates of the app raise is a failed attempt."""
        try:
            return await self._written(channel, item)
        except StoreError:
            raise
        except Exception as error:
            return error

    async def _written(self, channel: Channel, item: Item) -> Letter | Notice | None:
        """Make what is sent; None where nothing is left to say, or nobody to say it to."""
        events = [event for ref in item.refs if (event := await self._event(ref)) is not None]
        if not events:
            return None  # erased since
        key, at = item.key.hex(), self._now / 1000
        if isinstance(channel, NoticeChannel):
            return Notice(key, events[0], at)
        to = tuple(
            one
            for one in self._addresses(item, events[0])
            if book.digest(self._secret, one) not in item.done
        )
        if not to and channel.needs_address:
            return None
        facts: list[Fact] = [await fact_of(self._guard, event) for event in events]
        settings = self._guard.settings
        return letter_of(settings, facts, key=key, whom=item.whom, to=to, more=item.more, at=at)

    async def _event(self, ref: book.Ref) -> Event | None:
        fresh = self._fresh.get(ref.id)
        return fresh if fresh is not None else await found(self._guard, ref)

    def _addresses(self, item: Item, event: Event) -> tuple[str, ...]:
        if item.whom == "admins":
            return self._settings.admins
        mail, user = self._guard.users.mail, event.user_id
        if mail is None or user is None:
            return ()
        address = mail([user]).get(user)
        return (address,) if address else ()
