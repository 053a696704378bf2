"""Copy: read users as they are stored, and put users of another store in.

Users are found by SCAN on every master, because some have no session that a directory could
name: disabled ones, and those of whom a tombstone, an epoch or evidence is left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

from msgspec.structs import replace

from gatehound.errors import StoreCorrupt, StoreError, StoreUnavailable
from gatehound.stores.answer import Dump, Holding, Holdings, Memory
from gatehound.stores.record import ALIAS_BYTES, SID_BYTES, Tombstone
from gatehound.stores.redis import form
from gatehound.stores.redis.address import Address
from gatehound.stores.redis.call import Calls
from gatehound.stores.redis.counters import Counters
from gatehound.stores.redis.script import POINTER
from gatehound.stores.rule import ended_before

# Which master, where in it, and a mark of all masters.
# Keys that one SCAN looks at, at least: those of a user who is wanted lie among many others.
_LOOK_AT: Final = 200
_CURSOR: Final = re.compile(r"([0-9]{1,6})-([0-9]{1,20})-([0-9a-f]{8})")


class Copying:
    """Dump and restore of one namespace."""

    __slots__ = ("_calls", "_counters", "_key", "_version")

    def __init__(self, calls: Calls, counters: Counters, version: int) -> None:
        self._calls = calls
        self._counters = counters
        self._version = version
        prefix = re.escape(calls.keys.meta.removesuffix(b"meta"))
        kind = rb"\{[0-9a-z]+\}[uhx](?s:(.{%d}))" % ALIAS_BYTES
        self._key = re.compile(prefix + kind)

    async def dump(self, cursor: str, limit: int) -> Dump:
        """Read about `limit` users; see Store.dump.

        StoreUnavailable where another server is master than when the run began: a place in one
        means nothing in another, and users would be left out in silence.
        """
        masters = sorted(await self._calls.wire.masters(), key=str)
        mark = f"{crc32(repr(masters).encode()):08x}"
        number, place = 0, 0
        if found := _CURSOR.fullmatch(cursor):
            number, place = int(found[1]), int(found[2])
            if found[3] != mark:
                raise StoreUnavailable("Redis has other masters than before: begin the copy anew")
        if number >= len(masters) or place >= 1 << 64:
            return Dump(())
        place, aliases = await self._scan(masters[number], place, limit)
        users = await self._with_agents([await self._user(alias) for alias in aliases])
        await self._calls.refresh(patient=True)  # last: whoever was ended meanwhile is too
        if not place:
            number += 1
        cursor = "" if number == len(masters) else f"{number}-{place}-{mark}"
        return Dump(users, self._calls.clock.not_before, cursor)

    async def _scan(self, master: Address, place: int, count: int) -> tuple[int, list[bytes]]:
        """Look at about `count` keys of a server; return where to go on, 0 for nowhere, and who."""
        pattern = self._calls.keys.meta.removesuffix(b"meta") + b"{*"
        command = ("SCAN", place, "MATCH", pattern, "COUNT", max(count, _LOOK_AT))
        [reply] = await self._calls.wire.ask_at(master, [command], patient=True)
        if isinstance(reply, StoreError):
            raise reply
        matches = map(self._key.fullmatch, reply[1])
        return int(reply[0]), sorted({match[1] for match in matches if match})

    async def _user(self, alias: bytes) -> Holdings:
        now, flat, texts, disabled, user_memory, parts = await self._calls.run(
            "dump", self._calls.keys.of_user(alias), alias, patient=True
        )
        fields = form.pairs(flat)
        user_id, roles = _texts(fields, form.pairs(texts))
        sessions = [self._session(alias, user_id, roles, fields, part) for part in parts]
        return Holdings(
            alias=alias,
            sessions=tuple(sorted(sessions, key=_age)),
            ended={
                name[:SID_BYTES]: (Tombstone.unpack(stone), form.stone_until(stone))
                for name, stone in fields.items()
                if len(name) == SID_BYTES + 1
                and name.endswith(b"x")
                and now < form.stone_until(stone)
            },
            epoch=int(fields.get(b"@e", 0)),
            disabled=bool(disabled),
            user_memory=form.read_memory(alias, user_memory).data,
        )

    async def _with_agents(self, users: Sequence[Holdings]) -> tuple[Holdings, ...]:
        """Put the texts in, all in one trip; those that are not known any more are left out."""
        wanted = [{held.record.seen.agent for held in user.sessions} for user in users]
        known = await self._counters.agents(set().union(*wanted))
        return tuple(
            replace(user, agents={digest: known[digest] for digest in digests & known.keys()})
            for user, digests in zip(users, wanted, strict=True)
        )

    def _session(
        self,
        alias: bytes,
        user_id: bytes,
        roles: bytes,
        fields: dict[bytes, bytes],
        part: Sequence[Any],
    ) -> Holding:
        sid, memory, data = part
        seen = fields.get(sid + b"t", b"")
        return Holding(
            record=form.read_record(alias, sid, fields[sid], seen, user_id, roles),
            before=form.read_before(fields.get(sid + b"p")),
            memory=form.read_memory(sid, memory).data,
            data={form.to_text(name): value for name, value in form.pairs(data).items()},
        )

    async def restore(self, dump: Dump) -> None:
        """Put users in; see Store.restore."""
        await self._calls.refresh(patient=True)
        if dump.not_before > self._calls.clock.not_before:
            await self._calls.draw_line(
                dump.not_before, past=False
            )  # it ends who is not in the copy too
        for user in dump.users:
            await self._restore_user(ended_before(user, self._calls.clock.not_before))

    async def _restore_user(self, user: Holdings) -> None:
        fields: list[bytes] = []
        parts: list[bytes | int] = []
        for held in user.sessions:
            sid, record = held.record.sid, held.record
            fields += (sid, record.security.pack(self._version))
            fields += (sid + b"t", record.seen.pack(self._version))
            if held.before is not None:
                fields += (sid + b"p", form.pack_before(held.before, self._version))
            memory = form.pack_memory(sid, Memory(held.memory, 1)) if held.memory else b""
            parts += (sid, memory, len(held.data))
            parts += (p for n, value in held.data.items() for p in (form.to_bytes(n), value))
        for sid, (stone, until) in user.ended.items():
            fields += (sid + b"x", form.pack_stone(stone, until, self._version))
        first = user.sessions[0].record if user.sessions else None
        known = user.user_memory
        await self._calls.run(
            "restore",
            self._calls.keys.of_user(user.alias),
            user.alias,
            b"1" if user.disabled else b"",
            form.pack_memory(user.alias, Memory(known, 1)) if known else b"",
            user.epoch,
            form.to_bytes(first.user_id) if first else b"",
            form.pack_roles(first.roles) if first else b"",
            len(fields) // 2,
            *fields,
            *parts,
            patient=True,
            beside=[
                c for d, text in user.agents.items() for c in self._counters.keep_agent(d, text)
            ],
        )


def _age(held: Holding) -> tuple[int, bytes]:
    return held.record.security.created, held.record.sid


def _texts(fields: dict[bytes, bytes], texts: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """User id and roles, wherever they lie."""
    found = []
    for name in (b"u", b"r"):
        value = fields.get(b"@" + name, b"")
        if value == POINTER:
            if name not in texts:
                raise StoreCorrupt("a text of a user is missing")
            value = texts[name][4:]
        found.append(value)
    return found[0], found[1]
