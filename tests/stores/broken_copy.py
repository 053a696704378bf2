"""Stores with one planted defect each, in what they copy."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores import rule
from gatehound.stores.answer import (
    Before,
    Created,
    Dump,
    Holding,
    Holdings,
    NewSession,
    Refused,
)
from gatehound.stores.memory import MemoryStore


class _Dumps(MemoryStore):
    """Changes each user of a dump."""

    def user(self, held: Holdings) -> Holdings:
        return held

    def session(self, held: Holding) -> Holding:
        return held

    async def dump(self, cursor: str = "", *, limit: int = 100) -> Dump:
        dump = await super().dump(cursor, limit=limit)
        return replace(dump, users=tuple(map(self._user, dump.users)))

    def _user(self, held: Holdings) -> Holdings:
        held = self.user(held)
        return replace(held, sessions=tuple(map(self.session, held.sessions)))


class DumpsNoRoles(_Dumps):
    def session(self, held: Holding) -> Holding:
        return replace(held, record=replace(held.record, roles=()))


class DumpsNoFlags(_Dumps):
    def session(self, held: Holding) -> Holding:
        record = held.record
        return replace(held, record=replace(record, security=replace(record.security, flags=0)))


class DumpsNoOldSecrets(_Dumps):
    def session(self, held: Holding) -> Holding:
        return replace(held, before=None)


class DumpsOldSecretsAsConfirmed(_Dumps):
    def session(self, held: Holding) -> Holding:
        before: Before | None = held.before
        return replace(held, before=before and replace(before, confirmed=before.rotated))


class DumpsNoTombstones(_Dumps):
    def user(self, held: Holdings) -> Holdings:
        return replace(held, ended={})


class DumpsShortTombstones(_Dumps):
    def user(self, held: Holdings) -> Holdings:
        ended = {sid: (stone, stone.at + rule.HOUR) for sid, (stone, _) in held.ended.items()}
        return replace(held, ended=ended)


class DumpsTombstonesBackwards(_Dumps):
    async def restore(self, dump: Dump) -> None:
        await super().restore(dump)
        for held in dump.users:
            user = self._table.user(held.alias)
            user.ended = dict(reversed(user.ended.items()))


class DumpsNoMarks(_Dumps):
    def user(self, held: Holdings) -> Holdings:
        return replace(held, disabled=False)


class DumpsNoEpoch(_Dumps):
    def user(self, held: Holdings) -> Holdings:
        return replace(held, epoch=0)


class DumpsNoEvidence(_Dumps):
    def session(self, held: Holding) -> Holding:
        return replace(held, memory=b"")


class DumpsNoData(_Dumps):
    def session(self, held: Holding) -> Holding:
        return replace(held, data={})


class DumpsNoAgents(_Dumps):
    def user(self, held: Holdings) -> Holdings:
        return replace(held, agents={})


class DumpsSessionsAlone(_Dumps):
    async def dump(self, cursor: str = "", *, limit: int = 100) -> Dump:
        dump = await super().dump(cursor, limit=limit)
        return replace(dump, users=tuple(held for held in dump.users if held.sessions))


class DumpsTheFirstPage(_Dumps):
    async def dump(self, cursor: str = "", *, limit: int = 100) -> Dump:
        return replace(await super().dump(cursor, limit=limit), cursor="")


class DumpsAndSweeps(_Dumps):
    async def dump(self, cursor: str = "", *, limit: int = 100) -> Dump:
        await self.sweep()
        return await super().dump(cursor, limit=limit)


class RestoresWhatIsMissing(_Dumps):
    async def restore(self, dump: Dump) -> None:
        known = self._table.users
        await super().restore(
            replace(dump, users=tuple(held for held in dump.users if held.alias not in known))
        )


class RestoresWithEvents(_Dumps):
    async def restore(self, dump: Dump) -> None:
        await super().restore(dump)
        await self.append(Event("session_created"))


class RestoresInSilence(_Dumps):
    async def restore(self, dump: Dump) -> None:
        log = self._table.ended
        before, log.write = log.write, _ignored  # type: ignore[method-assign]  # a planted defect
        try:
            await super().restore(dump)
        finally:
            log.write = before  # type: ignore[method-assign]  # what was there


def _ignored(sid: bytes) -> None:
    return None


class RestoresTheEpoch(_Dumps):
    async def restore(self, dump: Dump) -> None:
        await super().restore(dump)
        for held in dump.users:
            self._table.user(held.alias).epoch = held.epoch


class RestoresTheLine(_Dumps):
    async def restore(self, dump: Dump) -> None:
        self._table.epoch = min(self._table.epoch, dump.not_before)
        await super().restore(dump)


class DumpsALineAhead(_Dumps):
    async def dump(self, cursor: str = "", *, limit: int = 100) -> Dump:
        dump = await super().dump(cursor, limit=limit)
        return replace(dump, not_before=dump.not_before + rule.HOUR)


class BeginsByTheClock(_Dumps):
    """Makes sessions that a copy takes for those from before the end of all."""

    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        line, self._table.not_before = self._table.not_before, 0
        try:
            return await super().create(new, event)
        finally:
            self._table.not_before = line


class RestoresWithoutTheLine(_Dumps):
    async def restore(self, dump: Dump) -> None:
        await super().restore(replace(dump, not_before=0))


class RestoresAndEndsOthers(_Dumps):
    async def restore(self, dump: Dump) -> None:
        named = {held.alias for held in dump.users}
        for alias in self._table.users.keys() - named:
            del self._table.users[alias]
        await super().restore(dump)


class RestoresAsSeenNow(_Dumps):
    async def restore(self, dump: Dump) -> None:
        await super().restore(dump)
        for held in dump.users:
            for entry in self._table.user(held.alias).sessions.values():
                entry.seen = replace(entry.seen, last_seen=self._steps.clock())


class TellsOfVisitors(MemoryStore):
    async def sweep(self, limit: int = 1000) -> Any:
        finished = await super().sweep(limit)
        for done in finished:
            if done.reason in (EndReason.IDLE, EndReason.ABSOLUTE):
                await self.append(rule.expired_event(done.record, done.reason, done.at))
        return finished
