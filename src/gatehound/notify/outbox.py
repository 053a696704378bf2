"""What waits in each channel and until when, and how the channel fares, for operators.

Belongs here: reading the ledger. Does not: changing it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from gatehound.notify.ledger import HOUR, Item, Ledger, Track
from gatehound.notify.sorting import held

if TYPE_CHECKING:
    from gatehound.settings import NotifySettings

_WHOM: Final = {"admins": "admins", "user": "users"}


class Queued(msgspec.Struct, frozen=True):
    """Events that wait for a letter, because enough letters went: no more than `most` in `per`.

    All of them have gone at `until`, seconds since 1970, where nothing else happens.
    """

    whom: Literal["admins", "user"]
    events: int
    until: float
    most: int
    per: Literal["hour", "two days"]


class Outbox(msgspec.Struct, frozen=True):
    """How one channel fares. Times are seconds since 1970, None for never.

    `undelivered` events are tried again at `retry_at`, the first of them. `why` is what was wrong
    at `failed_at`; it names nobody. `is_down`: nothing gets through at the moment.
    """

    channel: str
    queued: tuple[Queued, ...] = ()
    undelivered: int = 0
    retry_at: float | None = None
    delivered_at: float | None = None
    failed_at: float | None = None
    why: str = ""
    is_down: bool = False

    @property
    def is_failing(self) -> bool:
        """True where nothing was delivered since it last failed."""
        return (self.failed_at or 0.0) > (self.delivered_at or 0.0)


def outboxes(ledger: Ledger, settings: NotifySettings, now: int) -> tuple[Outbox, ...]:
    """Say it of each channel; `now` is of the store's clock, in ms."""
    return tuple(_outbox(name, one, settings, now) for name, one in ledger.tracks.items())


def lines_of(box: Outbox) -> Iterator[str]:
    """Say what waits, a line each, for a terminal."""
    for one in box.queued:
        yield (
            f"{box.channel}: {one.events} for {_WHOM[one.whom]} {_wait(one.events)} until "
            f"{_stamp(one.until)}: no more than {one.most} {_per(one)}"
        )
    if box.undelivered and box.retry_at is not None:
        yield (
            f"{box.channel}: {box.undelivered} {_wait(box.undelivered)} until "
            f"{_stamp(box.retry_at)}: not delivered{f', {box.why}' if box.is_down else ''}"
        )


def _outbox(name: str, track: Track, settings: NotifySettings, now: int) -> Outbox:
    failed = [one for one in track.items if one.since or track.rests_until > now]
    retry = min((max(one.due, track.rests_until) for one in failed), default=None)
    letters = [one for one in track.items if one not in failed]
    return Outbox(
        channel=name,
        queued=tuple(_queued(track, letters, settings, now)),
        undelivered=sum(one.events for one in failed),
        retry_at=None if retry is None else retry / 1000,
        delivered_at=track.delivered / 1000 or None,
        failed_at=track.failed / 1000 or None,
        why=track.why,
        is_down=track.failures > 0,
    )


def _queued(
    track: Track, items: list[Item], settings: NotifySettings, now: int
) -> Iterator[Queued]:
    hourly, daily = settings.per_hour, settings.per_two_days
    for whom in ("admins", "user"):
        waits = [
            (found, item.events)
            for item in items
            if item.whom == whom
            and (found := held(track, item, per_hour=hourly, per_two_days=daily)).until > now
        ]
        if waits:
            last = max((found for found, _ in waits), key=lambda one: one.until)
            count = sum(events for _, events in waits)
            per: Literal["hour", "two days"] = "hour" if last.span == HOUR else "two days"
            yield Queued(whom, count, last.until / 1000, last.most, per)


def _per(one: Queued) -> str:
    return "an hour" if one.per == "hour" else "in two days"


def _wait(count: int) -> str:
    return "waits" if count == 1 else "wait"


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
