"""Stores with one planted defect each: the conformance suite has to find every one.

Defects of single sessions. Others are in `broken_table` and `broken_directory`, those that
only show when called in parallel in `broken_race`.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Answer, Created, Listed, Meta, NewSession, Refused, Standing
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import Tombstone


class NeverMismatches(MemoryStore):
    async def prepare(self, meta: Meta) -> None:
        pass


class OverwritesMeta(MemoryStore):
    async def prepare(self, meta: Meta) -> None:
        try:
            await super().prepare(meta)
        finally:
            self._meta = meta


class ForgetsOnClose(MemoryStore):
    async def close(self) -> None:
        self._table.users.clear()


class ForgetsOnPrepare(MemoryStore):
    async def prepare(self, meta: Meta) -> None:
        await super().prepare(meta)
        self._table.users.clear()


class TellsSeconds(MemoryStore):
    async def ping(self) -> int:
        return await super().ping() // 1000


class TrustsLastSeenOfTheCaller(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        created = await super().create(new, event)
        self._table.users[new.alias].sessions[new.sid].seen = new.seen
        return created


class KeepsAsciiOnly(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        user_id = new.user_id.encode("ascii", "ignore").decode()
        return await super().create(replace(new, user_id=user_id), event)


class JoinsRolesByComma(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        return await super().create(
            replace(new, roles=tuple(",".join(new.roles).split(","))), event
        )


class KeepsTheFirstRoles(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        user = self._table.user(new.alias)
        return await super().create(replace(new, roles=user.roles or new.roles), event)


class CreatesAgain(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        self._table.user(new.alias).sessions.pop(new.sid, None)
        return await super().create(new, event)


class AdoptsATakenSid(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        there = self._table.user(new.alias).sessions.get(new.sid)
        if there is not None:
            there.security = replace(there.security, secret_hash=new.secret_hash)
        return await super().create(new, event)


class WritesEventsOfRefusedLogins(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        if event is not None:
            await self.append(event)
        return await super().create(new)


class HasNoLimit(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        return await super().create(replace(new, limit=None), event)


class LimitsEverybodyToFive(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        return await super().create(replace(new, limit=min(new.limit or 5, 5)), event)


class CountsAllUsersForTheLimit(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        for user in list(self._table.users.values()):
            if user.alias != new.alias and new.limit == 1:
                await self.revoke(user.alias, reason=EndReason.LIMIT)
        return await super().create(new, event)


class EndsTheWrongOne(MemoryStore):
    """At the limit, ends the newest of the same age."""

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        user = self._table.user(new.alias)
        oldest = user.oldest_first()
        if new.limit is not None and len(oldest) >= new.limit:
            same = [entry for entry in oldest if entry.age[0] == oldest[0].age[0]]
            return await super().create(replace(new, replaces=same[-1].sid), event)
        return await super().create(new, event)


class NeverDenies(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        return await super().create(replace(new, on_limit="oldest"), event)


class DeniesTooLate(MemoryStore):
    """Ends the session to replace, and then denies the login."""

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        if new.replaces is not None:
            await self.revoke(new.alias, only=new.replaces, reason=EndReason.REPLACED)
        return await super().create(new, event)


class IgnoresReplaces(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        return await super().create(replace(new, replaces=None), event)


class ReplacesAnybodys(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        for user in list(self._table.users.values()):
            if user.alias != new.alias and new.replaces in user.sessions:
                await self.revoke(user.alias, only=new.replaces, reason=EndReason.REPLACED)
        return await super().create(new, event)


class LetsTheDisabledIn(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        await self.enable(new.alias)
        return await super().create(new, event)


class IgnoresTheEpoch(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        return await super().create(replace(new, epoch=None), event)


class DemandsAnEpoch(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        return await super().create(replace(new, epoch=new.epoch or 0), event)


class DropsTheEpochOnSweep(MemoryStore):
    async def sweep(self, limit: int = 1000) -> Any:
        for user in self._table.users.values():
            user.epoch = 0
        return await super().sweep(limit)


class LosesFirstEvidence(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        return await super().create(replace(new, memory=b""), event)


class TellsEveryCallerThatItExpired(MemoryStore):
    async def load(self, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(*args, **kwargs)
        return replace(answer, expired=answer.standing is Standing.ENDED)


class ForgetsWhoseItWas(MemoryStore):
    async def load(self, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(*args, **kwargs)
        return replace(answer, record=None) if answer.expired else answer


class ForgetsWhoseItWasOnRotate(MemoryStore):
    async def rotate(self, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().rotate(*args, **kwargs)
        return replace(answer, record=None) if answer.expired else answer


class ExpiresOneMillisecondLate(MemoryStore):
    async def load(self, *args: Any, **kwargs: Any) -> Answer:
        clock, self._steps.clock = self._steps.clock, lambda: clock() - 1
        try:
            answer = await super().load(*args, **kwargs)
        finally:
            self._steps.clock = clock
        return replace(answer, now=clock())


class NeverExpires(MemoryStore):
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        return await super().create(replace(new, idle=10**12, absolute=10**12), event)


class ConfusesIdleAndAbsolute(MemoryStore):
    async def load(self, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(*args, **kwargs)
        swap = {EndReason.IDLE: EndReason.ABSOLUTE, EndReason.ABSOLUTE: EndReason.IDLE}
        ended = answer.ended
        return replace(
            answer, ended=ended and replace(ended, reason=swap.get(ended.reason, ended.reason))
        )


class WritesExpiryTwice(MemoryStore):
    async def load(self, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(*args, **kwargs)
        if answer.ended and answer.ended.reason is EndReason.IDLE:
            await self.append(Event("session_expired"))
        return answer


class NoticesExpiryWithTheRightSecretOnly(MemoryStore):
    async def load(self, alias: bytes, sid: bytes, secret_hash: bytes, **kwargs: Any) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        if session and session.security.secret_hash != secret_hash:
            return Answer(Standing.UNKNOWN, self._steps.clock())
        return await super().load(alias, sid, secret_hash, **kwargs)


class AnswersWithoutLookingAtTheUser(MemoryStore):
    async def load(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Answer:
        owners = [user.alias for user in self._table.users.values() if sid in user.sessions]
        return await super().load((owners or [alias])[0], sid, *args, **kwargs)


class ForgetsThatItSaw(MemoryStore):
    async def load(self, *args: Any, **kwargs: Any) -> Answer:
        return replace(await super().load(*args, **kwargs), was_seen=0)


class AlwaysTouches(MemoryStore):
    async def load(self, *args: Any, touch: int | None = None) -> Answer:
        return await super().load(*args, touch=0)


class NeverTouches(MemoryStore):
    async def load(self, *args: Any, touch: int | None = None) -> Answer:
        return await super().load(*args)


class TouchesBackwards(MemoryStore):
    async def load(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        if session and kwargs.get("touch") == 0:
            session.seen = replace(
                session.seen, last_seen=min(session.seen.last_seen, self._steps.clock())
            )
        return await super().load(alias, sid, *args, **kwargs)


class TouchesForRefusedSecrets(MemoryStore):
    async def load(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        if session and kwargs.get("touch") is not None:
            session.slide(self._steps.clock(), kwargs["touch"])
        return await super().load(alias, sid, *args, **kwargs)


class TouchesForTheCurrentSecretOnly(MemoryStore):
    async def load(self, alias: bytes, sid: bytes, secret_hash: bytes, **kwargs: Any) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        current = session is not None and session.security.secret_hash == secret_hash
        return await super().load(
            alias, sid, secret_hash, touch=kwargs.get("touch") if current else None
        )


class ListsInAnyOrder(MemoryStore):
    async def sessions(self, alias: bytes) -> Listed:
        listed = await super().sessions(alias)
        return replace(listed, records=tuple(sorted(listed.records, key=lambda r: r.sid[::-1])))


class ListsWithoutNoticing(MemoryStore):
    async def sessions(self, alias: bytes) -> Listed:
        entries = self._table.user(alias).oldest_first()
        return Listed(tuple(map(self._table.user(alias).record, entries)), self._steps.clock())


class RotatesAnySecret(MemoryStore):
    async def rotate(
        self, alias: bytes, sid: bytes, old_hash: bytes, new_hash: bytes, **kw: Any
    ) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        current = session.security.secret_hash if session else old_hash
        return await super().rotate(alias, sid, current, new_hash, **kw)


class RotatesWithGraceAlways(MemoryStore):
    async def rotate(self, *args: Any, **kwargs: Any) -> Answer:
        return await super().rotate(*args, **(kwargs | {"grace": kwargs.get("grace") or 60_000}))


class RotatesWithoutGrace(MemoryStore):
    async def rotate(self, *args: Any, **kwargs: Any) -> Answer:
        return await super().rotate(*args, **(kwargs | {"grace": None}))


class RotatesTwice(MemoryStore):
    """Takes a repeated rotation for another one that lost."""

    async def rotate(
        self, alias: bytes, sid: bytes, old_hash: bytes, new_hash: bytes, **kw: Any
    ) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        if session and session.security.secret_hash == new_hash:
            return await self.load(alias, sid, old_hash)
        return await super().rotate(alias, sid, old_hash, new_hash, **kw)


class RotatesOnlyTheSecret(MemoryStore):
    async def rotate(self, *args: Any, **kwargs: Any) -> Answer:
        return await super().rotate(*args, grace=kwargs.get("grace"))


class RotatesIntoAnEmptySession(MemoryStore):
    async def rotate(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().rotate(alias, sid, *args, **kwargs)
        if answer.standing is Standing.LIVE:
            self._table.user(alias).sessions[sid].data.clear()
        return answer


class ConfirmsNothing(MemoryStore):
    async def load(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(alias, sid, *args, **kwargs)
        session = self._table.user(alias).sessions.get(sid)
        if session and session.previous:
            session.previous = replace(session.previous, confirmed=0)
        return answer


class ConfirmsAgainAndAgain(MemoryStore):
    async def load(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(alias, sid, *args, **kwargs)
        session = self._table.user(alias).sessions.get(sid)
        if session and session.previous and answer.standing is Standing.LIVE:
            session.previous = replace(session.previous, confirmed=self._steps.clock())
        return answer


class RemembersAllSecrets(MemoryStore):
    """Takes every secret but the current one for the one before."""

    async def load(self, alias: bytes, sid: bytes, secret_hash: bytes, **kwargs: Any) -> Answer:
        session = self._table.user(alias).sessions.get(sid)
        if session and session.previous and session.security.secret_hash != secret_hash:
            secret_hash = session.previous.secret_hash
        return await super().load(alias, sid, secret_hash, **kwargs)


class LeavesNoTombstones(MemoryStore):
    async def load(self, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(*args, **kwargs)
        if answer.standing is Standing.ENDED:
            return Answer(Standing.UNKNOWN, answer.now, expired=answer.expired)
        return answer


class LeavesTombstonesForEver(MemoryStore):
    seen: dict[bytes, Tombstone]

    async def load(self, alias: bytes, sid: bytes, *args: Any, **kwargs: Any) -> Answer:
        answer = await super().load(alias, sid, *args, **kwargs)
        self.__dict__.setdefault("seen", {})
        if answer.ended:
            self.seen[sid] = answer.ended
        if answer.standing is Standing.UNKNOWN and sid in self.seen:
            return replace(answer, standing=Standing.ENDED, ended=self.seen[sid])
        return answer
