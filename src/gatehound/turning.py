"""The part of the guard that turns away: a cookie that opens nothing, and why.

Nothing here clears a cookie, and nothing signs anybody out without a reason that the app and the
person can read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from gatehound.cookies import Reading, Ticket
from gatehound.judging import Judging
from gatehound.model import Ended, EndReason
from gatehound.passage import Passage
from gatehound.recent import SAFE, RecentSessions
from gatehound.settings import Limits
from gatehound.standing import is_suspicious
from gatehound.stores.answer import Answer, Finished, Standing
from gatehound.stores.record import ANONYMOUS, REMEMBERED, Record, secret_hash


class Turning(Judging):
    """Judging, and what becomes of a request whose session is over, unknown or not readable."""

    limits: Callable[..., Limits]

    def __init__(self) -> None:
        self._spans = lru_cache(1024)(self._spans_of)

    async def turn_away(self, passage: Passage, ticket: Ticket, answer: Answer) -> None:
        """Remember why this cookie opens nothing, and tell those who watch."""
        record, standing = answer.record, answer.standing
        if standing is not Standing.LIVE:  # now: what follows may fail at the store
            is_over = standing in (Standing.ENDED, Standing.UNKNOWN)
            self.doubt(ticket.sid, None if is_over else secret_hash(ticket.secret))
        if record is not None and record.security.flags & ANONYMOUS:
            return
        if record is not None and standing in (Standing.LIVE, Standing.GRACE):
            seen = answer.was_seen or record.seen.last_seen
            reason = self.over_limits(record, answer.now, seen)
            if reason is not None:
                await self._expire(passage, answer.now, record, reason)
            return
        if answer.ended is not None:
            passage.ended = Ended(answer.ended.reason, answer.ended.at / 1000)
        if answer.expired and answer.ended is not None and record is not None:
            end = Finished(record, answer.ended.reason, answer.ended.at)
            self.announce_ends((end,))
        elif standing is Standing.ENDED:
            self.flood(passage, "token_replayed", "its session is over")
        elif standing is Standing.UNKNOWN:
            self.flood(passage, "token_unknown", "its session is not known")
        elif standing is Standing.SUPERSEDED:
            passage.superseded = record
        elif standing is Standing.REUSED and record is not None:
            await self.note_reuse(passage, record, answer.reuse)

    def flood(self, passage: Passage, name: str, reason: str) -> None:
        """Tell of what strangers can cause; it costs them no write in the store."""
        if self._events.admits(name):
            self.announce(self.event(name, passage, reason=reason))

    async def _expire(self, passage: Passage, now: int, record: Record, reason: EndReason) -> None:
        """End what today's settings no longer allow."""
        self.doubt(record.sid)
        event = self.event("session_expired", passage, record, reason=reason.value)
        done = await self.store.revoke(record.alias, only=record.sid, reason=reason, event=event)
        passage.ended = Ended(reason, now / 1000)
        self.announce_ends(done.finished, event)

    def over_limits(self, record: Record, now: int, seen: int) -> EndReason | None:
        """Say why a session is over by today's settings; `seen` is its last activity."""
        security = record.security
        idle, absolute = self._spans(record.roles, security.flags & REMEMBERED)
        if now >= security.authenticated + absolute:
            return EndReason.ABSOLUTE
        return EndReason.IDLE if now >= seen + idle else None

    def _spans_of(self, roles: tuple[str, ...], remembered: int) -> tuple[float, float]:
        """Idle and absolute timeout of a user with these roles, in milliseconds."""
        limits = self.limits(roles, remembered=bool(remembered))
        return limits.idle * 1000, limits.absolute * 1000

    def note_forged(self, passage: Passage, reading: Reading, which: str = "") -> None:
        if reading.forged or reading.too_many:
            reason = "too many cookies of our name" if reading.too_many else "did not verify"
            self.flood(passage, "token_forged", which + reason)

    def show_recent(self, passage: Passage, ticket: Ticket, recent: RecentSessions) -> None:
        """Show a session that was valid a moment ago, to a request that only reads.

        Nothing can be judged or written now, so it has to come from where it was known, and
        nothing may stand against it. A websocket would outlive the outage.
        """
        request = passage.request
        if request.websocket or request.method not in SAFE:
            return
        found = recent.recall(ticket.sid, secret_hash(ticket.secret))
        if found is None:
            return
        record, now = found
        if record.expiry(now) or self.over_limits(record, now, record.seen.last_seen):
            return
        if self.detection.enabled and not self.is_known_context(passage, record):
            return
        if not is_suspicious(record):
            passage.record, passage.now, passage.stale = record, now, True
