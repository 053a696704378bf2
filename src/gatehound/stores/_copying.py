"""What the memory store gives out whole: a copy of some users, and all of one user.

Belongs here: pure steps over the table. Does not: the lock and the clock, as in `_table`.
"""

from __future__ import annotations

import re
from heapq import nsmallest
from typing import Any, Final

from gatehound.model import EndReason, Event
from gatehound.stores import rule
from gatehound.stores._entry import SessionEntry, UserEntry
from gatehound.stores._table import Table
from gatehound.stores.answer import Dump, Holding, Holdings, Memory
from gatehound.stores.record import Record

_CURSOR: Final = re.compile(r"[0-9a-f]{24}")


def dump(table: Table, cursor: str, limit: int, now: int) -> Dump:
    """Return users by their alias; see `Store.dump`."""
    limit = max(limit, 1)
    after = bytes.fromhex(cursor) if _CURSOR.fullmatch(cursor) else b""
    found = nsmallest(limit + 1, (alias for alias in table.users if alias > after))
    users = tuple(_held(table, table.users[alias], now) for alias in found[:limit])
    return Dump(users, table.not_before, found[limit - 1].hex() if len(found) > limit else "")


def _held(table: Table, user: UserEntry, now: int) -> Holdings:
    return Holdings(
        alias=user.alias,
        sessions=tuple(
            Holding(user.record(entry), entry.previous, entry.memory.data, dict(entry.data))
            for entry in user.oldest_first()
        ),
        ended={sid: end for sid, end in user.ended.items() if now < end[1]},
        epoch=user.epoch,
        disabled=user.disabled,
        user_memory=user.memory_at(now).data,
        agents=table.agents_of({entry.seen.agent for entry in user.sessions.values()}),
    )


def restore(table: Table, given: Dump, now: int) -> None:
    """Put users in the place of those in the table; see `Store.restore`."""
    if given.not_before > table.not_before:
        table.draw_line(given.not_before)
        for user in table.users.values():
            old = [s for s in user.oldest_first() if s.security.created < table.not_before]
            table.end(user, old, EndReason.EVERYONE, now, _untold)
    for held in given.users:
        _restore_user(table, rule.ended_before(held, table.not_before), now)


def _restore_user(table: Table, held: Holdings, now: int) -> None:
    old = table.user(held.alias)
    user = UserEntry(held.alias, disabled=held.disabled)
    for one in held.sessions:
        user.user_id, user.roles = one.record.user_id, one.record.roles
        user.sessions[one.record.sid] = _entry(one)
    ends = sorted(held.ended.items(), key=lambda end: end[1][0].at)
    user.ended = dict(ends[-rule.TOMBSTONES_PER_USER :])
    if held.user_memory:
        user.set_memory(Memory(held.user_memory, 1), now)
    user.epoch, user.epoch_until = max(old.epoch, held.epoch), now + rule.HOUR
    table.keep_user(user, now)  # a full table refuses a new one
    table.users[held.alias] = user
    for sid in old.sessions.keys() - user.sessions.keys():
        table.ended.write(sid)
    for digest, text in held.agents.items():
        table.note_agent(digest, text)


def _entry(one: Holding) -> SessionEntry:
    memory = Memory(one.memory, 1) if one.memory else Memory()
    return SessionEntry(one.record.security, one.record.seen, memory, dict(one.data), one.before)


def _untold(record: Record, at: int) -> Event | None:
    return None


def export(table: Table, alias: bytes, user_id: str, now: int) -> dict[str, Any]:
    """Return all that is kept of one user; see `Store.export`."""
    user = table.user(alias)
    living = {entry.sid.hex(): entry for entry in user.living(now)}
    records = [user.record(entry) for entry in living.values()]
    newest = table.log.newest_first(now)
    return {
        "sessions": records,
        "agents": table.agents_of({record.seen.agent for record in records}),
        "ended": {sid.hex(): stone for sid, stone in user.tombstones(now).items()},
        "memory": {name: entry.memory.data for name, entry in living.items()},
        "user_memory": user.memory_at(now).data,
        "data": {name: dict(entry.data) for name, entry in living.items()},
        "events": [event for event in newest if event.user_id == user_id],
        "disabled": user.disabled,
    }
