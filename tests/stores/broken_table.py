"""Stores with one planted defect each, in revoking, evidence and app data."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores import rule
from gatehound.stores.answer import Answer, Memory, Remembered, Revoked, Standing
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import Tombstone


class RevokesNothing(MemoryStore):
    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        return Revoked((), 0, self._steps.clock())


class RevokesWithoutTheEpoch(MemoryStore):
    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        revoked = await super().revoke(alias, **kwargs)
        self._table.user(alias).epoch = 0
        return replace(revoked, epoch=0)


class RevokesOneWithTheEpoch(MemoryStore):
    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        revoked = await super().revoke(alias, **kwargs)
        if kwargs.get("only"):
            self._table.user(alias).raise_epoch(self._steps.clock())
        return replace(revoked, epoch=self._table.user(alias).epoch)


class RevokesAllButNone(MemoryStore):
    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        return await super().revoke(alias, **(kwargs | {"keep": None}))


class RevokesWithOneEvent(MemoryStore):
    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        event = kwargs.pop("event", None) or Event("session_terminated")
        revoked = await super().revoke(alias, **kwargs)
        await self.append(event)
        return revoked


class RevokesForOneReason(MemoryStore):
    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        return await super().revoke(alias, **(kwargs | {"reason": EndReason.ADMIN}))


class KeepsOneTombstone(MemoryStore):
    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        revoked = await super().revoke(alias, **kwargs)
        ended = self._table.user(alias).ended
        for sid in list(ended)[:-1]:
            del ended[sid]
        return revoked


class KeepsAllTombstones(MemoryStore):
    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        buried = dict(self._table.user(alias).ended)
        revoked = await super().revoke(alias, **kwargs)
        self._table.user(alias).ended |= buried
        return revoked


class BringsBackWhatIsSaved(MemoryStore):
    """Saves app data of whatever session, there or not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.saved: dict[bytes, dict[str, bytes]] = {}

    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        self.saved.setdefault(sid, {}).update(values)
        return True

    async def data_get(
        self, alias: bytes, sid: bytes, names: Collection[str] | None = None
    ) -> dict[str, bytes]:
        data = self.saved.get(sid, {})
        return {name: data[name] for name in data if names is None or name in names}


class EndsEveryoneButTheFirst(MemoryStore):
    async def revoke_everyone(self, event: Event | None = None) -> int:
        first = next(iter(self._table.users))
        entry = self._table.users.pop(first)
        count = await super().revoke_everyone(event)
        self._table.users[first] = entry
        return count


class EndsEveryoneWithoutSayingHowMany(MemoryStore):
    async def revoke_everyone(self, event: Event | None = None) -> int:
        count = await super().revoke_everyone()
        if event is not None:
            await self.append(event)
        return count


class EndsEveryoneWhoIsThere(MemoryStore):
    """Moves the epoch of the users that it knows, and of nobody else."""

    async def revoke_everyone(self, event: Event | None = None) -> int:
        before = self._table.epoch
        count = await super().revoke_everyone(event)
        self._table.epoch = before
        for user in self._table.users.values():
            user.raise_epoch(self._steps.clock())
        return count


class EndsEveryoneOncePerInstant(MemoryStore):
    """Takes the time for the epoch of everybody: the second call does not move it."""

    async def revoke_everyone(self, event: Event | None = None) -> int:
        count = await super().revoke_everyone(event)
        self._table.epoch = self._steps.clock()
        return count


class EndsEveryoneForAnHour(MemoryStore):
    """Refuses by the clock alone, as a store does that compares moments."""

    async def load(self, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(*args, **kwargs)
        if self._steps.clock() < self._table.not_before and answer.record is not None:
            return Answer(Standing.ENDED, answer.now, ended=Tombstone(EndReason.EVERYONE, 0))
        return answer


class EndsEveryoneUntilNow(MemoryStore):
    """Lets those stay whom a clock that was ahead signed in."""

    async def revoke_everyone(self, event: Event | None = None) -> int:
        ahead = {
            (alias, sid): session
            for alias, user in self._table.users.items()
            for sid, session in user.sessions.items()
            if session.security.created > self._steps.clock()
        }
        count = await super().revoke_everyone(event)
        for (alias, sid), session in ahead.items():
            self._table.users[alias].sessions[sid] = session
        return count


class RemembersOverAnyVersion(MemoryStore):
    async def remember(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Remembered:
        for name, stored in zip(
            ("memory", "user_memory"), await self.recall(alias, sid), strict=True
        ):
            if kwargs.get(name):
                kwargs[name] = Memory(kwargs[name].data, stored.version)
        return await super().remember(alias, sid, *args, **kwargs)


class RemembersHalf(MemoryStore):
    """Writes flags and events although a version differs."""

    async def remember(self, *args: Any, **kwargs: Any) -> Remembered:
        wrote = await super().remember(*args, **kwargs)
        if not wrote.done and not wrote.gone:
            half = {name: kwargs.get(name, ()) for name in ("events",)}
            await super().remember(*args, **half)
        return wrote


class RemembersForAnySecret(MemoryStore):
    async def remember(
        self, alias: bytes, sid: bytes, secret_hash: bytes, **kwargs: Any
    ) -> Remembered:
        session = self._table.user(alias).sessions.get(sid)
        current = session.security.secret_hash if session else secret_hash
        return await super().remember(alias, sid, current, **kwargs)


class RemembersAnyLastSeen(MemoryStore):
    async def remember(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Remembered:
        wrote = await super().remember(alias, sid, *args, **kwargs)
        if kwargs.get("seen") and wrote.done:
            self._table.user(alias).sessions[sid].seen = kwargs["seen"]
        return wrote


class ReplacesAllFlags(MemoryStore):
    async def remember(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Remembered:
        return await super().remember(alias, sid, *args, **(kwargs | {"clear_flags": 0xFF}))


class RemembersTooMuch(MemoryStore):
    async def remember(self, *args: Any, **kwargs: Any) -> Remembered:
        memory = kwargs.get("memory")
        if memory and len(memory.data) > rule.MAX_MEMORY_BYTES:
            kwargs["memory"] = replace(memory, data=memory.data[: rule.MAX_MEMORY_BYTES])
        return await super().remember(*args, **kwargs)


class SharesEvidence(MemoryStore):
    """Takes what is remembered of a session for what is remembered of its user."""

    async def recall(self, alias: bytes, sid: bytes) -> tuple[Memory, Memory]:
        _, user_memory = await super().recall(alias, sid)
        return user_memory, user_memory


class ForgetsUserEvidenceWithTheSession(MemoryStore):
    async def revoke(self, alias: bytes, **kwargs: Any) -> Revoked:
        self._table.user(alias).memory_until = 0
        return await super().revoke(alias, **kwargs)


class KeepsLongAgents(MemoryStore):
    async def agents(self, digests: Collection[bytes]) -> dict[bytes, str]:
        found = await super().agents(digests)
        return {digest: found.get(digest, "") * 2 for digest in digests}


class ReplacesAllData(MemoryStore):
    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        session = self._table.user(alias).sessions.get(sid)
        if session:
            session.data.clear()
        return await super().data_set(alias, sid, values)


class KeepsDataAsText(MemoryStore):
    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        text = {name: value.decode("utf-8", "replace") for name, value in values.items()}
        return await super().data_set(alias, sid, {k: v.encode() for k, v in text.items()})


class SetsDataByHalves(MemoryStore):
    """Sets the good fields before it finds the bad one."""

    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        done = True
        for name, value in values.items():
            done = await super().data_set(alias, sid, {name: value}) and done
        return done


class KeepsDataByUser(MemoryStore):
    async def data_get(
        self, alias: bytes, sid: bytes, names: Collection[str] | None = None
    ) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for other in self._table.user(alias).sessions:
            found |= await super().data_get(alias, other, names)
        return found


class LosesDataOnTouch(MemoryStore):
    async def load(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Any:
        answer = await super().load(alias, sid, *args, **kwargs)
        if answer.record and kwargs.get("touch") is not None:
            self._table.user(alias).sessions[sid].data.clear()
        return answer


class DeletesAnyNumber(MemoryStore):
    async def data_delete(self, alias: bytes, sid: bytes, names: Collection[str]) -> int:
        await super().data_delete(alias, sid, names)
        return len(names)


class CountsInFloats(MemoryStore):
    async def data_incr(self, alias: bytes, sid: bytes, name: str, by: int = 1) -> int | None:
        stored = (await self.data_get(alias, sid)).get(name, b"0")
        if await super().data_incr(alias, sid, name, by) is None:
            return None
        total = int(float(stored) + by)
        await self.data_set(alias, sid, {name: b"%d" % total})
        return total


class CountsFromRubbish(MemoryStore):
    async def data_incr(self, alias: bytes, sid: bytes, name: str, by: int = 1) -> int | None:
        stored = (await self.data_get(alias, sid)).get(name, b"0")
        if not re.fullmatch(rb"-?[0-9]+", stored):
            await self.data_set(alias, sid, {name: b"0"})
        return await super().data_incr(alias, sid, name, by)
