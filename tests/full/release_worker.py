"""One process of some release, beside others: signs people in, and uses what all others made.

    python release_worker.py URL NAMESPACE WRITE_VERSION SECONDS SEED

It says on standard output, as JSON, what it did and what it found wrong. What all know of each
other's sessions lies in the same Redis, beside the namespace of the store.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any

import redis.asyncio

from gatehound.errors import StoreCorrupt
from gatehound.model import EndReason, Event
from gatehound.stores.answer import Created, NewSession, Standing
from gatehound.stores.record import FLAGGED, Seen
from gatehound.stores.redis import RedisStore

USERS = 12
CLIENTS = 6
HOUR = 3_600_000
TAKE = """
return redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] and redis.call('HDEL', KEYS[1], ARGV[1])
"""


class Worker:
    """What one process does, by chance, and checks."""

    def __init__(self, store: RedisStore, board: Any, seed: int) -> None:
        self.store = store
        self.board = board  # sid -> owner, alias, secret hash; taken off before it ends
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def work(self, until: float) -> None:
        deeds = (
            self.sign_in,
            self.look,
            self.look,
            self.move,
            self.renew,
            self.sign_out,
            self.list,
        )
        while time.monotonic() < until:
            deed = self.chance.choice(deeds)
            try:
                await deed()
            except StoreCorrupt as error:
                self.wrong.append(f"{deed.__name__}: {error}")
            self.done[deed.__name__] += 1

    async def sign_in(self) -> None:
        user = self.chance.randrange(USERS)
        new = NewSession(
            sid=self.chance.randbytes(8),
            alias=b"alias%07d" % user,
            user_id=f"user {user}",
            secret_hash=self.chance.randbytes(16),
            idle=HOUR,
            absolute=12 * HOUR,
            seen=Seen(0, bytes([192, 0, 2, 7]), "NO", 1, b"agent1", (b"pair01", b"")),
            limit=None,
            memory=b"remembered",
        )
        created = await self.store.create(new, Event("session_created", new.user_id))
        if not isinstance(created, Created):
            self.wrong.append(f"sign_in: {created}")
        note = [new.user_id, new.alias.hex(), new.secret_hash.hex()]
        await self.board.hset("board", new.sid.hex(), json.dumps(note))

    async def _any(self, *, take: bool = False) -> tuple[str, bytes, bytes, bytes] | None:
        field = await self.board.hrandfield("board")
        note = await self.board.hget("board", field) if field else None
        if note is None or (take and not await self.board.eval(TAKE, 1, "board", field, note)):
            return None
        user_id, alias, secret = json.loads(note)
        return user_id, bytes.fromhex(alias), bytes.fromhex(field), bytes.fromhex(secret)

    async def look(self) -> None:
        found = await self._any()
        if found is None:
            return
        user_id, alias, sid, secret = found
        answer = await self.store.load(alias, sid, secret, touch=self.chance.choice((None, 0)))
        note = await self.board.hget("board", sid.hex())
        is_same = note is not None and json.loads(note)[2] == secret.hex()
        if is_same and (answer.standing is not Standing.LIVE or answer.record is None):
            self.wrong.append(f"look: {answer.standing} for a session that nobody ended")
        elif answer.record is not None and answer.record.user_id != user_id:
            self.wrong.append(f"look: {answer.record.user_id} instead of {user_id}")

    async def move(self) -> None:
        found = await self._any()
        if found is None:
            return
        _, alias, sid, secret = found
        seen = Seen(0, bytes(16), "SE", 2, b"agent2", (b"pair02", b"pair01"))
        memory, _ = await self.store.recall(alias, sid)
        await self.store.remember(
            alias, sid, secret, memory=memory, seen=seen, set_flags=FLAGGED, agent="Moved/1.0"
        )

    async def renew(self) -> None:
        found = await self._any(take=True)
        if found is None:
            return
        user_id, alias, sid, secret = found
        fresh = self.chance.randbytes(16)
        answer = await self.store.rotate(alias, sid, secret, fresh, authenticated=True, aal=2)
        if answer.standing is not Standing.LIVE:
            self.wrong.append(f"renew: {answer.standing}")
        await self.board.hset("board", sid.hex(), json.dumps([user_id, alias.hex(), fresh.hex()]))

    async def sign_out(self) -> None:
        found = await self._any(take=True)
        if found is None:
            return
        _, alias, sid, secret = found
        await self.store.revoke(alias, only=sid, reason=EndReason.LOGOUT)
        answer = await self.store.load(alias, sid, secret)
        if answer.standing not in (Standing.ENDED, Standing.UNKNOWN):
            self.wrong.append(f"sign_out: {answer.standing} afterwards")

    async def list(self) -> None:
        user = self.chance.randrange(USERS)
        listed = await self.store.sessions(b"alias%07d" % user)
        if any(record.user_id != f"user {user}" for record in listed.records):
            self.wrong.append("list: somebody else's")


async def main(url: str, namespace: str, version: str, seconds: str, seed: str) -> None:
    """Work for a while and report."""
    store = RedisStore(
        url, namespace=namespace, suspends=True, deadline=5.0, write_version=int(version)
    )
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as board:
        worker = Worker(store, board, int(seed))
        until = time.monotonic() + float(seconds)
        await asyncio.gather(*(worker.work(until) for _ in range(CLIENTS)))
    await store.close()
    sys.stdout.write(json.dumps({"done": worker.done, "wrong": worker.wrong}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
