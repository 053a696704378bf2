"""What detection keeps of sessions and users after a month, in bytes, packed and in Redis.

    python benchmarks/detection_memory.py [--users 150] [--days 30] [--redis URL] [--json FILE]

The people of benchmarks/detection live for a month against the real guard; then the evidence of
every living session and of every user is measured. With `--redis` all of it is written, as it is,
into an empty server under keys of the store's own length, and the figure is what its used_memory
grew by. The database of the URL is emptied first, so it must hold nothing of value.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "detection"))

from run import Job, Run

M_KEY, H_KEY = len("gh:default:{000}:m:") + 12 + 1 + 8, len("gh:default:{000}:h:") + 12


def evidence(users: int, days: int) -> tuple[list[bytes], list[bytes]]:
    """Return the evidence of each living session, and of each user, after so many days."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Job("standard", 1, users, days), Path(folder))
        run.attacks.clear()
        return asyncio.run(_lived(run))


async def _lived(run: Run) -> tuple[list[bytes], list[bytes]]:
    await run.all()
    own, users, cursor = [], [], ""
    while True:
        dump = await run.site.guard.store.dump(cursor, limit=1000)
        for user in dump.users:
            own += [one.memory for one in user.sessions]
            users += [user.user_memory] if user.user_memory else []
        cursor = dump.cursor
        if not cursor:
            return own, users


def described(values: list[bytes]) -> dict[str, Any]:
    sizes = sorted(map(len, values))
    return {
        "count": len(sizes),
        "with_evidence": sum(bool(size) for size in sizes),
        "median": statistics.median(sizes),
        "mean": round(statistics.fmean(sizes), 1),
        "p95": sizes[int(len(sizes) * 0.95)],
        "most": sizes[-1],
    }


def in_redis(url: str, values: list[bytes], key_bytes: int) -> float:
    """Return the bytes that a server takes for one of them."""
    import redis

    client = redis.Redis.from_url(url)
    client.flushdb()
    before = int(client.info("memory")["used_memory"])
    copies = max(1, 100_000 // len(values))
    with client.pipeline(transaction=False) as pipe:
        for number, value in enumerate(values * copies):
            pipe.set(number.to_bytes(key_bytes, "big"), value, ex=86_400)
            if number % 5000 == 0:
                pipe.execute()
        pipe.execute()
    grown = int(client.info("memory")["used_memory"]) - before
    client.flushdb()
    return round(grown / (len(values) * copies), 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=150)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--redis", help="URL of a database that may be emptied")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    own, users = evidence(options.users, options.days)
    result: dict[str, Any] = {"sessions": described(own), "users": described(users)}
    if options.redis:
        result["sessions"]["redis"] = in_redis(options.redis, [one for one in own if one], M_KEY)
        result["users"]["redis"] = in_redis(options.redis, users, H_KEY)
    for name, figures in result.items():
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
