"""One of several processes that load a session file, and its journal of what it was told.

Run as a script: file, journal, number, "loop" or "plain". It works until it is killed. A line is
written before each call (what is tried) and after it (what was acknowledged), by one write each,
so a SIGKILL loses none: a "try" without its "done" has an unknown outcome.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.model import EndReason, Event
from gatehound.stores.answer import Meta, NewSession, Standing
from gatehound.stores.record import Seen
from gatehound.stores.sqlite import SQLiteStore

USERS = [f"user-{number}" for number in range(12)]
META = Meta(b"f" * 16, "default")
HOUR = 3_600_000
TASKS = 3  # of a loop


def alias_of(user_id: str) -> bytes:
    return hashlib.blake2b(user_id.encode(), digest_size=12).digest()


def new_session(user_id: str) -> NewSession:
    return NewSession(
        sid=os.urandom(8),
        alias=alias_of(user_id),
        user_id=user_id,
        secret_hash=os.urandom(16),
        idle=HOUR,
        absolute=12 * HOUR,
        seen=Seen(0, b"\xc0\x00\x02\x07", "NO", 1, b"agent1", (b"pair-1", b"")),
        limit=None,
    )


class Journal:
    """Append-only lines of one process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._count = 0

    def write(self, **line: object) -> None:
        os.write(self._file, json.dumps({"at": time.monotonic_ns(), **line}).encode() + b"\n")

    async def keep(self, call: Coroutine[Any, Any, Any], op: str, **what: str) -> Any:
        """Make a call between two lines; None where its outcome is unknown."""
        self._count += 1
        number = f"{os.getpid()}.{self._count}"
        self.write(number=number, phase="try", op=op, **what)
        try:
            answer = await call
        except StoreUnavailable as error:
            self.write(number=number, phase="unknown", op=op, error=str(error))
            return None
        self.write(number=number, phase="done", op=op, **what)
        return answer


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read a journal; its writer may be adding to the last line just now."""
    if path.exists():
        for line in path.read_bytes().split(b"\n")[:-1]:
            yield json.loads(line)


class Worker:
    """Creates, loads, rotates, counts and ends sessions of its own, and looks at those of peers."""

    def __init__(self, store: SQLiteStore, journal: Journal, peers: list[Path]) -> None:
        self.store, self.journal, self.peers = store, journal, peers
        self.dice = random.Random(os.getpid())

    async def live(self) -> None:
        mine: list[NewSession] = []
        while True:
            if len(mine) < 4:
                await self._create(mine)
                continue
            session = self.dice.choice(mine)
            step = self.dice.choice(
                (self._create, self._touch, self._touch, self._count, self._rotate, self._revoke)
            )
            await step(mine, session)
            if self.dice.random() < 0.02:
                await self._revoke_user(mine, session)
            if self.dice.random() < 0.05:
                await self._look_at_a_peer()

    async def _create(self, mine: list[NewSession], _: NewSession | None = None) -> None:
        new = new_session(self.dice.choice(USERS))
        event = Event("session_created", new.user_id, new.sid.hex())
        what = {"sid": new.sid.hex(), "user": new.user_id, "secret": new.secret_hash.hex()}
        if await self.journal.keep(self.store.create(new, event), "create", **what):
            mine.append(new)

    async def _touch(self, mine: list[NewSession], it: NewSession) -> None:
        answer = await self.store.load(it.alias, it.sid, it.secret_hash, touch=0)
        if answer.standing is not Standing.LIVE:  # a revocation of all sessions of its user
            mine.remove(it) if it in mine else None
        elif answer.record is None or answer.record.user_id != it.user_id:
            self.journal.write(bad=f"{it.sid.hex()} of {it.user_id}: {answer.record}")

    async def _count(self, _: list[NewSession], it: NewSession) -> None:
        call = self.store.data_incr(it.alias, it.sid, "count")
        await self.journal.keep(call, "count", sid=it.sid.hex())

    async def _rotate(self, mine: list[NewSession], it: NewSession) -> None:
        if it not in mine:
            return
        mine.remove(it)
        secret = os.urandom(16)
        event = Event("session_rotated", it.user_id, it.sid.hex())
        call = self.store.rotate(it.alias, it.sid, it.secret_hash, secret, event=event)
        answer = await self.journal.keep(call, "rotate", sid=it.sid.hex(), secret=secret.hex())
        if answer is not None and answer.standing is Standing.LIVE:
            fields = {name: getattr(it, name) for name in it.__struct_fields__}
            mine.append(NewSession(**{**fields, "secret_hash": secret}))

    async def _revoke(self, mine: list[NewSession], it: NewSession) -> None:
        mine.remove(it) if it in mine else None
        event = Event("session_terminated", it.user_id)
        call = self.store.revoke(it.alias, only=it.sid, reason=EndReason.USER, event=event)
        await self.journal.keep(call, "revoke", sid=it.sid.hex())

    async def _revoke_user(self, mine: list[NewSession], it: NewSession) -> None:
        mine[:] = [session for session in mine if session.user_id != it.user_id]
        event = Event("session_terminated", it.user_id)
        call = self.store.revoke(it.alias, reason=EndReason.USER, event=event)
        await self.journal.keep(call, "revoke_user", user=it.user_id)

    async def _look_at_a_peer(self) -> None:
        """Ask for what a peer was told: whose it is, and that what was ended stays ended."""
        told = list(lines(self.dice.choice(self.peers)))
        made = [line for line in told if line.get("op") == "create" and line["phase"] == "done"]
        if not made:
            return
        ended = {line["sid"] for line in told if line.get("op") == "revoke" and _done(line)}
        for one in self.dice.sample(made, min(4, len(made))):
            alias, sid = alias_of(one["user"]), bytes.fromhex(one["sid"])
            answer = await self.store.load(alias, sid, bytes.fromhex(one["secret"]))
            if answer.record is not None and answer.record.user_id != one["user"]:
                self.journal.write(bad=f"{one['sid']} of {one['user']}: {answer.record}")
            if answer.standing is Standing.LIVE and one["sid"] in ended:
                self.journal.write(bad=f"{one['sid']} was ended and lives")


def _done(line: dict[str, Any]) -> bool:
    return bool(line["phase"] == "done")


def main(path: str, journal: str, number: str, kind: str) -> None:
    folder = Path(journal)
    store = SQLiteStore(path, suspends=kind == "loop")
    own, peers = Path(folder, f"{number}.journal"), sorted(folder.glob("*.journal"))
    worker = Worker(store, Journal(own), peers or [own])

    async def loop() -> None:
        await store.prepare(META)
        await asyncio.gather(*(worker.live() for _ in range(TASKS)))

    async def plain() -> None:
        await store.prepare(META)
        await worker.live()

    asyncio.run(loop()) if kind == "loop" else run_sync(plain())


if __name__ == "__main__":
    main(*sys.argv[1:])
