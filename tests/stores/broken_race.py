"""Stores that are right alone, and wrong when they are called in parallel.

Each reads first and writes later. A barrier makes all callers read before any of them
writes, so that the defect shows in every run and nothing depends on luck.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gatehound.model import Event
from gatehound.stores.answer import Answer, Created, NewSession, Refused, Remembered, Revoked
from gatehound.stores.memory import MemoryStore
from gatehound.testing.bench import THREADS


class Meeting:
    """Let `count` threads wait for each other, each at its first call."""

    def __init__(self, count: int = THREADS) -> None:
        self._barrier = threading.Barrier(count, timeout=2)
        self._met = threading.local()

    def wait(self) -> None:
        if not getattr(self._met, "already", False):
            self._met.already = True
            self._barrier.wait()


class RacesAtTheLimit(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meeting = Meeting()

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        living = (await self.sessions(new.alias)).records
        self.meeting.wait()
        if len(living) < (new.limit or 0):
            return await super().create(replace(new, limit=None), event)
        if new.on_limit == "oldest":
            new = replace(new, limit=None, replaces=living[0].sid)
        return await super().create(new, event)


class RacesWithItself(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meeting = Meeting()

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        there = bool((await self.sessions(new.alias)).records)
        self.meeting.wait()
        if event is not None and not there:
            await self.append(event)
        return await super().create(new)


class RacesWithRevoke(MemoryStore):
    """Saves the session that it loaded, although it was revoked since."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loaded, self.revoked = threading.Event(), threading.Event()

    async def load(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(alias, sid, *args, **kwargs)
        session = self._table.user(alias).sessions.get(sid)
        if kwargs.get("touch") is not None and session is not None:
            self.loaded.set()
            self.revoked.wait(2)
            self._table.user(alias).sessions[sid] = session
        return answer

    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        self.loaded.wait(2)
        revoked = await super().revoke(alias, **kwargs)
        self.revoked.set()
        return revoked


class RacesWithEndAll(MemoryStore):
    """Compares the epoch, and creates the session later."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.compared, self.revoked = threading.Event(), threading.Event()

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        if new.epoch is not None and new.epoch == await self.epoch(new.alias):
            self.compared.set()
            self.revoked.wait(2)
            new = replace(new, epoch=None)
        return await super().create(new, event)

    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        self.compared.wait(2)
        revoked = await super().revoke(alias, **kwargs)
        self.revoked.set()
        return revoked


class RacesWithOtherRevokes(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meeting = Meeting(4)

    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        living = (await self.sessions(alias)).records
        self.meeting.wait()
        revoked = await super().revoke(alias, **kwargs)
        ended = [record for record in living if record.sid != kwargs.get("keep")]
        told = [replace(done, record=record) for done in revoked.finished[:1] for record in ended]
        return replace(revoked, finished=(*told, *revoked.finished))


class RacesWithRotations(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meeting = Meeting(8)

    async def rotate(
        self, alias: bytes, sid: bytes, old_hash: bytes, new_hash: bytes, **kw: Any
    ) -> Answer:
        is_current = self._table.user(alias).sessions[sid].security.secret_hash == old_hash
        self.meeting.wait()
        if is_current:
            old_hash = self._table.user(alias).sessions[sid].security.secret_hash
        return await super().rotate(alias, sid, old_hash, new_hash, **kw)


class RacesToNoticeExpiry(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meeting = Meeting()

    async def load(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        over = session is not None and session.has_expired(self._steps.clock())
        self.meeting.wait()
        return replace(await super().load(alias, sid, *args, **kwargs), expired=over)


class TellsOfExpiryInEveryPlace(MemoryStore):
    """Load, list and sweep each write the event of what they find over, whoever was first."""

    async def sweep(self, limit: int = 1000) -> Any:
        users = list(self._table.users.values())
        for stone in [stone for user in users for stone, _ in user.ended.values()]:
            await self.append(Event("session_expired", reason=stone.reason.value))
        return await super().sweep(limit)


class LosesUpdates(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meeting = Meeting()

    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        before = await self.data_get(alias, sid)
        self.meeting.wait()
        session = self._table.user(alias).sessions[sid]
        session.data = before | dict(values)
        return True


class LosesCounts(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meeting = Meeting()

    async def data_incr(self, alias: bytes, sid: bytes, name: str, by: int = 1) -> int | None:
        stored = (await self.data_get(alias, sid)).get(name, b"0")
        self.meeting.wait()
        await self.data_set(alias, sid, {name: b"%d" % (int(stored) + by)})
        return int(stored) + by

    async def count(self, kind: str, name: str, *, by: int = 1, window: int) -> int:
        stored = (await self.counts(kind, window=window)).get(name, 0)
        self.meeting.wait()
        await super().count(kind, name, by=by, window=window)
        return stored + by


class RemembersTwice(MemoryStore):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meeting = Meeting()

    async def remember(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Remembered:
        stored, _ = await self.recall(alias, sid)
        fits = kwargs["memory"].version == stored.version
        self.meeting.wait()
        if fits:
            stored, _ = await self.recall(alias, sid)
            kwargs["memory"] = replace(kwargs["memory"], version=stored.version)
        return await super().remember(alias, sid, *args, **kwargs)


class MixesAnswersUp(MemoryStore):
    """Gives a caller the answer to the question before."""

    before: Answer | None = None

    async def load(self, *args: Any, **kwargs: Any) -> Answer:
        before, self.before = self.before, await super().load(*args, **kwargs)
        return before or self.before
