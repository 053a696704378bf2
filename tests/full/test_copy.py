"""Copy between every pair of stores: who was signed in still is, and all is as it was.

300 made-up users, copied twice: the second pass after the source went on. The oracle is the
source itself, asked the same questions; that it is right is what the conformance suite checks.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

import zoo
from gatehound._sync import run_sync
from gatehound.model import EndReason
from gatehound.stores.answer import (
    Answer,
    Created,
    Holdings,
    Memory,
    Meta,
    NewSession,
    Refused,
    Standing,
)
from gatehound.stores.base import Store
from gatehound.stores.copying import copy_store
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import ANONYMOUS, FLAGGED, REMEMBERED, Record, Seen, Tombstone
from gatehound.stores.redis import RedisStore
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import FakeClock

pytestmark = [pytest.mark.full, pytest.mark.ci]

KINDS: Final = ("memory", "sqlite", "redis-7.0", "valkey-8.1", "cluster")
META: Final = Meta(b"f" * 16, "copied")
USERS: Final = 300
HOUR: Final = 3_600_000
_numbers: Final = itertools.count(1)


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("copy")
    with contextlib.ExitStack() as stack:
        found = {kind: stack.enter_context(zoo.server(kind, folder)).url for kind in KINDS[2:4]}
        yield {**found, "cluster": stack.enter_context(zoo.cluster(folder)).url}


def opened(kind: str, clock: FakeClock, folder: Path, urls: dict[str, str]) -> Store:
    if kind == "memory":
        return MemoryStore(clock=clock)
    number = next(_numbers)
    if kind == "sqlite":
        return SQLiteStore(folder / f"{number}.db", suspends=False, clock=clock)
    return RedisStore(
        urls[kind], namespace=f"copy{number}", suspends=False, clock=clock, deadline=5
    )


@dataclass
class Town:
    """Made-up users of a store, the secrets that were ever given to them, and their attempts."""

    store: Store
    clock: FakeClock
    chance: random.Random
    aliases: dict[str, bytes] = field(default_factory=dict)
    secrets: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    attempts: dict[bytes, int] = field(default_factory=dict)
    latest: list[NewSession] = field(default_factory=list)

    def mint(self, size: int) -> bytes:
        return self.chance.randbytes(size)

    async def settle(self) -> None:
        """Let everybody sign in, and some do more."""
        for number in range(USERS):
            name = f"user-{number}" + "-of-a-long-name" * (6 * (number % 7 == 0))
            self.aliases[name] = self.mint(12)
            await self.live(name, sessions=1 + number % 3)
            if number % 50 == 0:
                self.clock.advance(1)

    async def go_on(self) -> None:
        """What happens between two passes: every third user does something."""
        self.clock.advance(120)
        for name in list(self.aliases)[::3]:
            await self.live(name, sessions=self.chance.randrange(2))
        self.aliases["newcomer"] = self.mint(12)
        await self.live("newcomer", sessions=2)

    async def live(self, name: str, sessions: int) -> None:
        alias = self.aliases[name]
        self.attempts[alias] = await self.store.epoch(alias)
        mine = [await self.sign_in(name, alias) for _ in range(sessions)]
        for new in filter(None, mine):
            await self.use(new)
        deed = self.chance.randrange(12)
        if deed == 0:
            await self.store.disable(alias)
        elif deed == 1:
            await self.store.revoke(alias, reason=EndReason.PASSWORD_CHANGED)
        elif deed in (2, 3) and mine and mine[0]:
            await self.store.revoke(alias, only=mine[0].sid, reason=EndReason.LOGOUT)

    async def sign_in(self, name: str, alias: bytes) -> NewSession | None:
        address = self.mint(self.chance.choice((0, 4, 16)))
        pairs = (self.mint(6), self.chance.choice((b"", self.mint(6))))
        agent = bytes([self.chance.randrange(20)]) * 6
        new = NewSession(
            sid=self.mint(8),
            alias=alias,
            user_id=name,
            secret_hash=self.mint(16),
            idle=self.chance.choice((1, 2)) * HOUR,
            absolute=self.chance.choice((12, 24 * 14)) * HOUR,
            seen=Seen(0, address, "NO" if address else "", 7 if address else 0, agent, pairs),
            roles=tuple(f"a-role-of-many-{n}" for n in range(self.chance.choice((0, 1, 9)))),
            flags=self.chance.choice((0, REMEMBERED, FLAGGED, ANONYMOUS)),
            aal=self.chance.choice((1, 2)),
            methods=self.chance.choice((("password",), ("password", "totp"))),
            agent=f"Mozilla/5.0 (made up, {agent.hex()})",
            memory=self.chance.choice((b"", self.mint(300))),
        )
        done = await self.store.create(new)
        if not isinstance(done, Created):
            return None
        self.latest.append(new)
        self.secrets.append((alias, new.sid, new.secret_hash))
        return new

    async def use(self, new: NewSession) -> None:
        key = (new.alias, new.sid)
        if self.chance.randrange(3) == 0:
            await self.store.data_set(*key, {"cart": self.mint(50), "é": b""})
        if self.chance.randrange(3) == 0:
            _, known = await self.store.recall(*key)
            about = Memory(b"about " + new.alias, known.version)
            await self.store.remember(*key, new.secret_hash, user_memory=about)
        if self.chance.randrange(3) == 0:
            secret, grace = self.mint(16), self.chance.choice((None, 600_000))
            await self.store.rotate(*key, new.secret_hash, secret, grace=grace)
            self.secrets.append((*key, secret))
            if self.chance.randrange(2):
                await self.store.load(*key, secret)


async def told(store: Store, town: Town) -> dict[Any, Any]:
    """All that can be asked without changing anything, but for events."""
    found: dict[Any, Any] = {}
    for name, alias in list(town.aliases.items())[::30]:
        one = await store.export(alias, name)
        del one["events"]
        for kept in ("memory", "data"):  # some stores name a session that has none
            one[kept] = {public_id: value for public_id, value in one[kept].items() if value}
        found[name] = one
        found[alias] = await store.epoch(alias)
    return found | {("holds", user.alias): user for user in await everybody(store)}


async def everybody(store: Store) -> list[Holdings]:
    """What a store holds of each user; Redis keeps the life of a tombstone in whole seconds."""
    found: list[Holdings] = []
    cursor, is_done = "", False
    while not is_done:
        page = await store.dump(cursor, limit=1000)
        found += page.users
        cursor, is_done = page.cursor, not page.cursor
    return [replace(user, ended=dict(map(rounded, user.ended.items()))) for user in found]


def rounded(end: tuple[bytes, tuple[Tombstone, int]]) -> tuple[bytes, tuple[Tombstone, int]]:
    sid, (stone, until) = end
    return sid, (stone, -((stone.at - until) // 1000))


async def answers(store: Store, town: Town) -> list[Any]:
    """What every secret is worth that was ever given out, and some logins that are under way."""
    found: list[Any] = [await store.load(*secret) for secret in town.secrets]
    for alias, epoch in list(town.attempts.items())[::4]:
        late = replace(town.latest[0], sid=alias[:8], alias=alias, epoch=epoch, limit=None)
        done = await store.create(late)
        found.append(done.reason if isinstance(done, Refused) else done.record)
    return found


async def copied_everywhere(kind: str, folder: Path, urls: dict[str, str]) -> None:
    clock = FakeClock()
    source, *targets = [opened(one, clock, folder, urls) for one in (kind, *KINDS)]
    try:
        for store in (source, *targets):
            await store.prepare(META)
        town = Town(source, clock, random.Random(KINDS.index(kind)))
        await town.settle()
        for target in targets:
            done = await copy_store(source, target, limit=37)
            assert done.users >= USERS
        assert await told(targets[0], town) == await told(source, town)
        await town.go_on()
        steps: list[int] = []
        for target in targets:
            await copy_store(source, target, progress=steps.append)
        assert max(steps) >= USERS + 1
        expected = await told(source, town)
        for target, name in zip(targets, KINDS, strict=True):
            assert await told(target, town) == expected, f"{kind} to {name}"
        expected_answers = await answers(source, town)
        assert_worth_asking(expected_answers)
        for target, name in zip(targets, KINDS, strict=True):
            assert await answers(target, town) == expected_answers, f"{kind} to {name}"
    finally:
        for store in (source, *targets):
            await store.close()


def assert_worth_asking(found: list[Any]) -> None:
    """Every sort of answer is among them."""
    standings = {one.standing for one in found if isinstance(one, Answer)}
    assert standings == set(Standing) - {Standing.UNKNOWN}
    assert {one for one in found if isinstance(one, str)} == {"disabled", "epoch"}
    assert any(isinstance(one, Record) for one in found)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_signed_out(kind: str, tmp_path: Path, urls: dict[str, str]) -> None:
    run_sync(copied_everywhere(kind, tmp_path, urls))
