"""Stores with one planted defect each: whom the limit ends, proofs of identity, who is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broken_race import Meeting
from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Answer, Created, NewSession, Page, Query, Refused, Standing
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import Record, Seen


class EndsTheOldestOfAll(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        pairs = (b"", new.seen.pairs[1])
        return await super().create(replace(new, seen=replace(new.seen, pairs=pairs)), event)


class MatchesEmptyPairs(MemoryStore):
    """Ends a session that nothing is known of before the oldest one."""

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        user = self._table.user(new.alias)
        same = [one for one in user.oldest_first() if one.seen.pairs[0] == new.seen.pairs[0]]
        if same and new.limit is not None and len(user.sessions) >= new.limit:
            new = replace(new, replaces=same[0].sid)
        return await super().create(new, event)


class RefusesProofWithAGracedSecret(MemoryStore):
    async def rotate(
        self, alias: bytes, sid: bytes, old_hash: bytes, new_hash: bytes, **kw: Any
    ) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        if session is not None and session.security.secret_hash not in (old_hash, new_hash):
            return await self.load(alias, sid, old_hash)
        return await super().rotate(alias, sid, old_hash, new_hash, **kw)


class TakesProofForEver(MemoryStore):
    async def rotate(
        self, alias: bytes, sid: bytes, old_hash: bytes, new_hash: bytes, **kw: Any
    ) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        if session is not None and kw.get("authenticated") and session.previous is not None:
            old_hash = session.security.secret_hash
        return await super().rotate(alias, sid, old_hash, new_hash, **kw)


class NoticesInSilence(MemoryStore):
    """Ends all of a user's sessions that are over when one is loaded, and tells of that one."""

    async def load(
        self, alias: bytes, sid: bytes, secret_hash: bytes, *, touch: int | None = None
    ) -> Answer:
        answer = await super().load(alias, sid, secret_hash, touch=touch)
        if answer.expired:
            await self.sessions(alias)
        return answer


class SearchesAndEnds(MemoryStore):
    async def search(self, query: Query) -> Page:
        if query.alias is not None:
            await self.sessions(query.alias)
        return await super().search(query)


class RacesWithProofs(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meeting = Meeting(8)

    async def rotate(
        self, alias: bytes, sid: bytes, old_hash: bytes, new_hash: bytes, **kw: Any
    ) -> Answer:
        if kw.get("authenticated"):
            worth = (await self.load(alias, sid, old_hash)).standing
            self.meeting.wait()
            if worth is Standing.GRACE:
                old_hash = self._table.user(alias).sessions[sid].security.secret_hash
        return await super().rotate(alias, sid, old_hash, new_hash, **kw)


class AdoptsUnknownIds(MemoryStore):
    """Fixation: whoever names a session that is not there is given one of that name."""

    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        if sid not in self._table.user(alias).sessions:
            new = NewSession(sid, alias, "", bytes(16), 3_600_000, 3_600_000, Seen(0))
            await self.create(new)
        return await super().data_set(alias, sid, values)


class TidiesInSilence(MemoryStore):
    """Ends what is over of others with a login, and tells nobody."""

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        answer = await super().create(new, event)
        await self.sweep(2)
        return answer


class TidiesTheLiving(MemoryStore):
    """Takes a session that was last seen half an hour ago for one that is over."""

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        answer = await super().create(new, event)
        for user in self._table.users.values():
            for entry in user.oldest_first():
                if entry.security.created < self._steps.clock():
                    self._table.end(user, [entry], EndReason.IDLE, self._steps.clock(), _untold)
        return answer


def _untold(record: Record, at: int) -> None:
    return None
