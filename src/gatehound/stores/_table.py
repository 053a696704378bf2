"""The tables of the memory store, and the steps that its methods are made of.

Belongs here: what ends a session, makes room or writes an event. Does not: the lock and the
clock; every caller holds the first and passes the time.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import islice, takewhile
from typing import Final

from msgspec.structs import replace

from gatehound.errors import StoreUnavailable
from gatehound.model import EndReason, Event
from gatehound.stores import rule
from gatehound.stores._entry import SessionEntry, UserEntry
from gatehound.stores.answer import Answer, Ends, Finished, NewSession, Revoked, Standing, Tail
from gatehound.stores.record import Record, Tombstone

MAX_SESSIONS: Final = 1000  # of one user where the caller sets no limit
MAX_AGENTS: Final = 10_000  # texts of up to 512 bytes: 5 MB
MAX_ENDS: Final = 10_000  # ends between two polls of a watch, which are 0.25 s apart
# A user is looked at twice, for the session and for its tombstone, and others come meanwhile:
# with two looks for each who came the table would go on growing.
_TIDY_USERS: Final = 8 * rule.TIDY_EVERY
_LIVE: Final = Standing.LIVE  # in Python 3.11 a member of an enum takes long to look up
_PLACE: Final = re.compile(r"[0-9]{1,16}")
_FULL: Final = "the memory store is full: it holds max_users=%d users"
_log = logging.getLogger(__name__)


class EventLog:
    """The newest events, numbered in the order in which they were written."""

    def __init__(self, size: int, retention: int) -> None:
        self._events: deque[tuple[int, Event]] = deque(maxlen=size)
        self._retention = retention
        self._number = 0

    def write(self, event: Event | None, now: int) -> None:
        if event is None:
            return
        self._number += 1
        event = replace(event, at=now / 1000, id=f"{self._number:016}")
        self._events.append((now, event))
        self._drop_old(now)

    def newest_first(self, now: int) -> Iterator[Event]:
        self._drop_old(now)
        return (event for _, event in reversed(self._events))

    def after(self, place: str, since: int | None, limit: int, now: int) -> Tail:
        """Return those after a place, the number of an event, the oldest first."""
        self._drop_old(now)
        number = int(place) if _PLACE.fullmatch(place) else self._number + 1
        if number > self._number:  # a place of none of ours
            number = self._number if since is None else self._before(since)
        newest_first = (event for _, event in reversed(self._events))
        found = list(takewhile(lambda event: int(event.id) > number, newest_first))
        told = tuple(reversed(found[-limit:]))
        is_cut = len(found) > limit
        return Tail(told, str(int(told[-1].id) if is_cut else self._number), is_cut)

    def _before(self, moment: int) -> int:
        """Return the number before that of the first event since a moment."""
        numbers = (int(event.id) for at, event in self._events if at >= moment)
        return next(numbers, self._number + 1) - 1

    def forget(self, user_id: str) -> None:
        kept = [item for item in self._events if item[1].user_id != user_id]
        self._events = deque(kept, self._events.maxlen)

    def _drop_old(self, now: int) -> None:
        while self._events and self._events[0][0] < now - self._retention:
            self._events.popleft()


class EndLog:
    """The sids of the sessions that ended last, in order; a place is how many had ended then."""

    def __init__(self, size: int) -> None:
        self._sids: deque[bytes] = deque(maxlen=size)
        self._count = 0

    def write(self, sid: bytes) -> None:
        self._sids.append(sid)
        self._count += 1

    def since(self, place: str) -> Ends:
        here = str(self._count)
        if not place:
            return Ends((), False, False, here)
        new = self._count - int(place) if place.isdecimal() else -1
        if not 0 <= new <= len(self._sids):
            return Ends((), False, True, here)
        return Ends(tuple(islice(self._sids, len(self._sids) - new, None)), False, False, here)


class CounterTable:
    """Counters of the present window of each kind; earlier windows are dropped."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, int], tuple[int, dict[str, int]]] = {}

    def at(self, kind: str, window: int, now: int) -> dict[str, int]:
        number, names = self._windows.get((kind, window), (-1, {}))
        if number == now // window:
            return names
        fresh: dict[str, int] = {}
        self._windows[kind, window] = (now // window, fresh)
        return fresh

    def clean(self, now: int) -> None:
        for (kind, window), (number, _) in list(self._windows.items()):
            if number != now // window:
                del self._windows[kind, window]


class Table:
    """Users and their sessions, the event log and the agent texts."""

    def __init__(self, log: EventLog, max_users: int) -> None:
        self.log = log
        self.ended = EndLog(MAX_ENDS)
        self.users: dict[bytes, UserEntry] = {}
        self.agents: dict[bytes, str] = {}
        self.epoch = 0  # of everybody, also of those who are not in the table
        # Sessions created before this moment are over. The epoch moves with each end of all, and
        # may run ahead of the clock; a copy takes this for a time, and it never does.
        self.not_before = 0
        self._logins = 0
        self._to_tidy: list[bytes] = []
        self._untold: list[Finished] = []
        self._max_users = max_users
        self._made_room_at = 0

    def user(self, alias: bytes) -> UserEntry:
        """Return a user; one who is not there is empty, and not kept."""
        return self.users.get(alias) or UserEntry(alias)

    def living(self, alias: bytes, sid: bytes, now: int) -> tuple[UserEntry, SessionEntry | None]:
        user = self.user(alias)
        session = user.sessions.get(sid)
        return user, None if session is None or session.has_expired(now) else session

    def answer(
        self, alias: bytes, sid: bytes, secret_hash: bytes, now: int, touch: int | None = None
    ) -> Answer:
        user = self.user(alias)
        expired = self.end_expired(user, now, only=sid)
        session = user.sessions.get(sid)
        if session is None:
            ended = user.tombstones(now).get(sid)
            standing = Standing.ENDED if ended else Standing.UNKNOWN
            record = expired[0].record if expired else None
            return Answer(standing, now, record, ended, expired=bool(expired))
        standing, reuse = session.standing(secret_hash, now)
        if is_live := standing is _LIVE:
            session.confirm(now)
        valid = is_live or standing is Standing.GRACE
        was_seen = session.slide(now, touch) if valid else 0
        return Answer(standing, now, user.record(session), reuse=reuse, was_seen=was_seen)

    def add_session(self, user: UserEntry, new: NewSession, now: int) -> Record:
        self.keep_user(user, now)
        user.user_id, user.roles = new.user_id, new.roles
        # A clock that stepped back must not make what is over in a copy already.
        session = SessionEntry.of(new, max(now, self.not_before))
        user.sessions[new.sid] = session
        self.note_agent(new.seen.agent, new.agent)
        return user.record(session)

    def make_room(self, user: UserEntry, new: NewSession, now: int) -> tuple[Finished, ...] | None:
        """End what stands in the way of a new session; None, and nobody ended, if denied."""
        staying = [entry for entry in user.oldest_first() if entry.sid != new.replaces]
        staying.sort(key=lambda entry: not entry.is_seen_as(new.seen))  # of those, oldest first
        limit = MAX_SESSIONS if new.limit is None else new.limit
        surplus = staying[: max(len(staying) + 1 - limit, 0)]
        if surplus and new.on_limit == "deny":
            return None
        replaced = user.named(new.replaces)
        return (
            *self.end(user, replaced, EndReason.REPLACED, now, rule.replaced_event),
            *self.end(user, surplus, EndReason.LIMIT, now, rule.limit_event),
        )

    def end(
        self,
        user: UserEntry,
        entries: Iterable[SessionEntry],
        reason: EndReason,
        now: int,
        tell: Callable[[Record, int], Event | None],
    ) -> tuple[Finished, ...]:
        finished = []
        for entry in entries:
            record = user.record(entry)
            until = now + rule.tombstone_life(now, entry.security.expires)
            user.bury(entry.sid, Tombstone(reason, now), until)
            self.ended.write(entry.sid)
            self.log.write(tell(record, now), now)
            finished.append(Finished(record, reason, now))
        return tuple(finished)

    def end_all(
        self, user: UserEntry, keep: bytes | None, reason: EndReason, event: Event | None, now: int
    ) -> Revoked:
        self.keep_user(user, now)  # one without a session too: the epoch refuses a first login
        entries = [entry for entry in user.oldest_first() if entry.sid != keep]
        finished = self.end(user, entries, reason, now, partial(rule.event_for, event))
        user.raise_epoch(now, above=self.epoch)
        return Revoked(finished, user.epoch, now)

    def forget(self, user: UserEntry, user_id: str, now: int) -> int:
        """Erase a user; return how many living sessions went."""
        living = len(user.living(now))
        for sid in user.sessions:
            self.ended.write(sid)
        self.log.forget(user_id)
        user.forget()
        return living

    def epoch_of(self, user: UserEntry) -> int:
        return max(user.epoch, self.epoch)

    def end_everyone(self, now: int) -> int:
        """End every session, and refuse the logins that are under way."""
        untold = partial(rule.event_for, None)
        count = 0
        for user in self.users.values():
            count += len(self.end(user, user.oldest_first(), EndReason.EVERYONE, now, untold))
        self.draw_line(now)
        return count

    def draw_line(self, moment: int) -> None:
        """Say what is over for all, and move the epoch of everybody past that of anybody."""
        latest = max((user.epoch for user in self.users.values()), default=0)
        self.not_before = max(moment, self.not_before)
        self.epoch = max(moment, latest + 1, self.epoch + 1)

    def end_expired(
        self, user: UserEntry, now: int, *, only: bytes | None = None, most: int | None = None
    ) -> tuple[Finished, ...]:
        """End what has run out of time, and say so: each once, because it is gone then."""
        finished: list[Finished] = []
        for entry in user.oldest_first() if only is None else user.named(only):
            reason = user.record(entry).expiry(now)
            if reason is not None and (most is None or len(finished) < most):
                tell = partial(_expired_event, reason)
                finished += self.end(user, [entry], reason, now, tell)
        return tuple(finished)

    def tidy(self, now: int) -> tuple[Finished, ...]:
        """With each 20th login look at some users in turn, and end what is over of theirs."""
        self._logins += 1
        if self._logins % rule.TIDY_EVERY == 0:
            self._to_tidy = self._to_tidy or list(reversed(self.users))
            for alias in self._to_tidy[-_TIDY_USERS:]:
                user = self.user(alias)
                self._untold += self.end_expired(user, now)
                if not user.has_use(now):
                    self.users.pop(alias, None)
            del self._to_tidy[-_TIDY_USERS:]
        return self.take_untold()

    def take_untold(self) -> tuple[Finished, ...]:
        """Return what ended while no caller could be told, and whoever asks is told of now."""
        untold, self._untold = self._untold, []
        return tuple(untold)

    def keep_user(self, user: UserEntry, now: int) -> None:
        """Put a new user into the table, or raise where it is full; see the module docstring."""
        if user.alias in self.users:
            return
        if len(self.users) >= self._max_users and now >= self._made_room_at + 1000:
            self._made_room_at = now  # a flood must not make every call walk through all users
            for other in self.users.values():
                self._untold += self.end_expired(other, now)
            self.drop_users(lambda other: other.keeps_out(now))
            if len(self.users) >= self._max_users:
                _log.warning("%s: new users cannot sign in", _FULL % self._max_users)
        if len(self.users) >= self._max_users:
            raise StoreUnavailable(_FULL % self._max_users)
        self.users[user.alias] = user

    def drop_users(self, stays: Callable[[UserEntry], bool]) -> None:
        for user in [user for user in self.users.values() if not stays(user)]:
            del self.users[user.alias]

    def agents_of(self, digests: Collection[bytes]) -> dict[bytes, str]:
        return {digest: self.agents[digest] for digest in digests if digest in self.agents}

    def note_agent(self, digest: bytes, agent: str) -> None:
        if not agent:
            return
        self.agents.pop(digest, None)  # the newest last, so that the first is the oldest
        self.agents[digest] = rule.clip_text(agent)
        if len(self.agents) > MAX_AGENTS:
            del self.agents[next(iter(self.agents))]


def _expired_event(reason: EndReason, record: Record, at: int) -> Event | None:
    return rule.told_expiry(record, reason, at)
