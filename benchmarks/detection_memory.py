"""What detection keeps of sessions and users after a month, in bytes, packed and in Redis.

    python benchmarks/detection_memory.py [--users 150] [--days 30] [--redis URL] [--json FILE]

The people of benchmarks/detection live for a month against the real guard; then the evidence of
every living session and of every user is measured. All figures but the counts are of those that
have evidence.

With `--redis` the evidence is written into an empty database as the store writes it, under the
store's names and with its header, again under made-up users until there are about 100,000 values.
The figure is what used_memory grew by for one of them: the value, its name, its end and its place
in the server's tables. What was written is deleted afterwards, and nothing else is touched; nobody
else may use the server meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

sys.path.insert(0, str(Path(__file__).parent / "detection"))

from run import Job, Run

from gatehound.stores.answer import Holdings, Memory

VALUES: Final = 100_000  # about so many: with fewer the server's tables weigh by chance
BATCH: Final = 5000
LIFE: Final = 86_400  # seconds: what a run that was killed leaves behind goes by itself

Pairs: TypeAlias = Iterator[tuple[bytes, bytes]]


def lived(users: int, days: int) -> list[Holdings]:
    """Return all that is stored of each user after so many days."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Job("standard", 1, users, days), Path(folder))
        run.attacks.clear()
        return asyncio.run(_dumped(run))


async def _dumped(run: Run) -> list[Holdings]:
    await run.all()
    found, cursor = [], ""
    while True:
        dump = await run.site.guard.store.dump(cursor, limit=1000)
        found += dump.users
        cursor = dump.cursor
        if not cursor:
            return found


def described(values: Sequence[bytes]) -> dict[str, Any]:
    """Count all, and describe those that are not empty."""
    sizes = sorted(len(value) for value in values if value)
    if not sizes:
        return {"count": len(values), "with_evidence": 0}
    return {
        "count": len(values),
        "with_evidence": len(sizes),
        "median": statistics.median(sizes),
        "mean": round(statistics.fmean(sizes), 1),
        "p95": sizes[int(len(sizes) * 0.95)],
        "most": sizes[-1],
    }


def opened(url: str) -> Any:
    """Return a client of an empty database; exit where it holds anything."""
    import redis  # without --redis nobody needs it

    client = redis.Redis.from_url(url)
    try:
        there = client.dbsize()
    except redis.RedisError as error:
        sys.exit(f"--redis: {error}")
    if there:
        sys.exit(f"--redis: the database holds {there} keys; name one that is empty")
    return client


def in_redis(client: Any, stored: Sequence[Holdings]) -> dict[str, float]:
    """Return the bytes that a server takes for one session's evidence, and for one user's."""
    from gatehound.stores.redis import form  # this needs redis-py too
    from gatehound.stores.redis.keys import Keys

    keys = Keys("default")

    def sessions(number: int) -> Pairs:
        for user in stored:
            alias = _copied(user.alias, number)
            for held in user.sessions:
                if held.memory:
                    sid = _copied(held.record.sid, number)
                    yield keys.memory(alias, sid), form.pack_memory(sid, Memory(held.memory, 1))

    def users(number: int) -> Pairs:
        for user in stored:
            if user.user_memory:
                alias = _copied(user.alias, number)
                memory = form.pack_memory(alias, Memory(user.user_memory, 1))
                yield keys.user_memory(alias), memory

    empty = _used(client)  # before both: the server keeps its tables when keys are deleted
    made = {"sessions": sessions, "users": users}
    return {name: _measured(client, empty, copy) for name, copy in made.items()}


def _copied(name: bytes, number: int) -> bytes:
    """Return a name of the same length for the copy with this number."""
    return hashlib.blake2b(name, digest_size=len(name), salt=number.to_bytes(4, "big")).digest()


def _measured(client: Any, empty: int, copy: Callable[[int], Pairs]) -> float:
    """Write copies, return what one value takes, and delete them."""
    once = sum(1 for _ in copy(0))
    if not once:
        return 0.0
    written: list[bytes] = []
    try:
        for number in range(max(1, VALUES // once)):
            _write(client, list(copy(number)), written)
        return round((_used(client) - empty) / len(written), 1)
    finally:
        for start in range(0, len(written), BATCH):
            client.delete(*written[start : start + BATCH])


def _write(client: Any, pairs: Sequence[tuple[bytes, bytes]], written: list[bytes]) -> None:
    for start in range(0, len(pairs), BATCH):
        with client.pipeline(transaction=False) as pipe:
            for key, value in pairs[start : start + BATCH]:
                written.append(key)
                pipe.set(key, value, ex=LIFE)
            pipe.execute()


def _used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


def told(name: str, figures: dict[str, Any]) -> str:
    """Return one line of the output."""
    rest = dict(figures)
    count, with_evidence = rest.pop("count"), rest.pop("with_evidence")
    sizes = ", ".join(f"{key} {value}" for key, value in rest.items())
    line = f"{name}: {count}, of which {with_evidence} have evidence"
    return f"{line}; bytes of those that have evidence: {sizes}" if sizes else line


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=150, help="never fewer than 40")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--redis", metavar="URL", help="a database that is empty")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    client = opened(options.redis) if options.redis else None
    stored = lived(options.users, options.days)
    result: dict[str, Any] = {
        "sessions": described([one.memory for user in stored for one in user.sessions]),
        "users": described([user.user_memory for user in stored]),
    }
    if client is not None:
        for name, size in in_redis(client, stored).items():
            result[name]["redis"] = size
    for name, figures in result.items():
        print(told(name, figures))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
