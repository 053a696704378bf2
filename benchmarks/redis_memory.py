"""What a session takes in Redis: bytes of the server's memory, by kind of key.

    python benchmarks/redis_memory.py --redis redis://127.0.0.1:6379/15 [--sessions 100000]

The server is emptied first, so point it at one that holds nothing of value. Sessions are made by
the store's own `create`, with everything that a login through the guard writes. Populations:

fresh       users who have just signed in, at 1 and at 3 sessions a user
month-old   the same a month later: of every ten sessions three moved between networks or browsers,
            so that detectors remember something of them (200 bytes) and of their users (300 bytes),
            each user left two tombstones behind, and all logged events are still kept

The figure is INFO's used_memory, less what the empty server used, by the number of sessions; what
belongs to a kind of key is what deleting all keys of that kind gave back.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Memory, NewSession
from gatehound.stores.record import Seen
from gatehound.stores.redis import RedisStore

HOUR = 3_600_000
DAY = 24 * HOUR
BATCH = 40  # logins under way at once: one connection each
KINDS = {
    "events": "ev",
    "directory": "i*",
    "evidence of sessions": "m*",
    "evidence of users": "h*",
    "users": "u*",
}


@dataclass(frozen=True)
class Population:
    """How many sessions, on how many users, and how old."""

    sessions: int
    per_user: int
    is_old: bool


def digest(*parts: object, size: int) -> bytes:
    """Bytes that look random and are the same in every run."""
    text = ":".join(str(part) for part in parts).encode()
    return hashlib.blake2b(text, digest_size=size).digest()


def login(user: int, number: int) -> NewSession:
    """Return what the guard asks for when this user signs in for the n-th time."""
    agent = user % 500
    seen = Seen(
        0,
        address=digest("address", user, size=4),
        country="NO",
        place=3_143_244 + user % 5000,
        agent=digest("agent", agent, size=6),
        pairs=(digest("pair", user, size=6), b""),
    )
    return NewSession(
        sid=digest("sid", user, number, size=8),
        alias=digest("alias", user, size=12),
        user_id=str(1_000_000 + user),
        secret_hash=digest("secret", user, number, size=16),
        idle=HOUR,
        absolute=14 * DAY,
        seen=seen,
        agent=f"Mozilla/5.0 (X11; Linux x86_64; rv:{agent}.0) Gecko/20100101 Firefox/{agent}.0",
    )


async def settle_in(store: RedisStore, new: NewSession, *, is_old: bool, user: int) -> None:
    """Make one session, and let it age."""
    await store.create(
        new, Event("session_created", new.user_id, new.sid.hex(), address="198.51.100.7")
    )
    if is_old and user % 10 < 3:
        await store.remember(
            new.alias,
            new.sid,
            new.secret_hash,
            memory=Memory(digest("m", user, size=50) * 4),
        )


async def age_user(store: RedisStore, user: int, per_user: int) -> None:
    """Leave the traces of a month behind: ended sessions, and what is known of the user."""
    for number in range(per_user, per_user + 2):
        new = login(user, number)
        await store.create(new)
        await store.revoke(new.alias, only=new.sid, reason=EndReason.LOGOUT)
    if user % 10 < 3:
        new = login(user, 0)
        _, known = await store.recall(new.alias, new.sid)
        data = digest("h", user, size=60) * 5
        await store.remember(
            new.alias, new.sid, new.secret_hash, user_memory=Memory(data, known.version)
        )


async def populate(url: str, population: Population) -> None:
    """Fill the empty server."""
    store = RedisStore(url, namespace="default", suspends=True, deadline=30)
    places = (
        (i // population.per_user, i % population.per_user) for i in range(population.sessions)
    )

    async def work(share: Iterator[tuple[int, int]]) -> None:
        for user, number in share:
            await settle_in(store, login(user, number), is_old=population.is_old, user=user)
            if population.is_old and number == population.per_user - 1:
                await age_user(store, user, population.per_user)

    await asyncio.gather(*(work(places) for _ in range(BATCH)))
    await store.close()


def used(client: Any) -> int:
    """The server's memory for data, without what connections and scripts take."""
    return int(client.memory_stats()["dataset.bytes"]) + _overhead(client)


def _overhead(client: Any) -> int:
    stats = client.memory_stats()
    return sum(
        int(stats[name][part])
        for name in stats
        if name.startswith("db.") and isinstance(stats[name], dict)
        for part in stats[name]
        if part.startswith("overhead.")
    )


def delete(client: Any, pattern: str) -> int:
    """Delete all keys of a kind; return how many there were."""
    count = 0
    batch: list[bytes] = []
    for key in client.scan_iter(match="gh:default:{*}" + pattern, count=5000):
        batch.append(key)
        if len(batch) == 500:
            count += int(client.delete(*batch))
            batch.clear()
    return count + (int(client.delete(*batch)) if batch else 0)


def measure(url: str, population: Population) -> dict[str, Any]:
    """Fill, weigh, take away kind by kind, weigh again."""
    client: Any = redis.Redis.from_url(url)
    client.flushdb()
    before = used(client)
    asyncio.run(populate(url, population))
    after = used(client)
    parts: dict[str, Any] = {}
    left = after
    for name, pattern in KINDS.items():
        keys = delete(client, pattern)
        now = used(client)
        parts[name] = {
            "keys": keys,
            "bytes a session": round((left - now) / population.sessions, 1),
        }
        left = now
    parts["texts of agents, tables of keys"] = {
        "bytes a session": round((left - before) / population.sessions, 1)
    }
    whole = (after - before) / population.sessions
    return {
        "population": "month-old" if population.is_old else "fresh",
        "sessions a user": population.per_user,
        "sessions": population.sessions,
        "bytes a session": round(whole, 1),
        "without events": round(whole - parts["events"]["bytes a session"], 1),
        "by kind": parts,
    }


def main() -> None:
    """Measure every population and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--redis", required=True, metavar="URL", help="a server to empty and fill")
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--per-user", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--only", choices=["fresh", "month-old"])
    asked = parser.parse_args()
    client: Any = redis.Redis.from_url(asked.redis)
    results = []
    for age in ("fresh", "month-old"):
        for per_user in asked.per_user:
            if asked.only in (None, age):
                population = Population(asked.sessions, per_user, age == "month-old")
                results.append(measure(asked.redis, population))
                print(json.dumps(results[-1]), file=sys.stderr)
    server = client.info("server")
    version = server.get("valkey_version") or server["redis_version"]
    print(
        json.dumps(
            {
                "server": version,
                "allocator": client.info("memory")["mem_allocator"],
                "results": results,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
