"""Load a server with wrk for a short while, and read what wrk and the kernel counted.

The CPU time is that of the server's own processes, by the kernel's scheduler, in nanoseconds. It
is divided by the answers that wrk counted; those still under way when wrk stops, at most one for
each client, are paid for and not counted.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from requests_participants import HEADERS
from requests_servers import Cores, RedisCounts, Server, on, program

SCRIPT: Final = Path(__file__).with_name("requests_load.lua")
PATIENCE: Final = 5
"""Seconds that wrk waits for an answer."""
SETTLE: Final = 0.05
"""Seconds after each block: what one participant left behind is not done in the next one's time."""


REPEATS: Final = 2
"""A block with refused requests is loaded again, at most so often: on a machine that is busy a
store may be late. Who does not know the user refuses them each time."""
PAUSE: Final = 1.0
"""Seconds before that."""


class Block(NamedTuple):
    """What one block of load came to; times in microseconds."""

    requests: int
    refused: int
    """Answers with a status of 400 or more."""
    lost: int
    """Connections that failed."""
    late: int
    """Answers that took longer than PATIENCE; they are in no percentile."""
    cpu_us: float
    rate: float
    p50_us: float
    p99_us: float
    redis: RedisCounts
    repeats: int = 0


def load(
    server: Server,
    clients: int,
    seconds: int,
    cores: Cores,
    redis: Any,
    cookie: str = "",
    script: Sequence[str] = (),
) -> Block:
    """Load a server; `script` is what the Lua script is told beside the headers."""
    command = wrk(server.port, clients, seconds, cookie, script)
    for repeats in range(REPEATS + 1):
        block = run(command, seconds, server, cores, redis)._replace(repeats=repeats)
        if not block.refused:
            break
        time.sleep(PAUSE)
    return block


def run(command: Sequence[str], seconds: int, server: Server, cores: Cores, redis: Any) -> Block:
    """Run wrk once, between two looks at what was spent and counted."""
    counted, spent = RedisCounts.of(redis), server.spent()
    with on(cores.other):
        done = subprocess.run(  # noqa: S603 - a fixed command
            command, capture_output=True, text=True, timeout=seconds + 30, check=False
        )
    spent = server.spent() - spent
    found = RedisCounts.of(redis).since(counted)
    time.sleep(SETTLE)
    return read(done, spent, found)


def wrk(port: int, clients: int, seconds: int, cookie: str, script: Sequence[str]) -> list[str]:
    """Return the command; wrk counts whole seconds."""
    headers = HEADERS | ({"Cookie": cookie} if cookie else {})
    options = [part for name, text in headers.items() for part in ("-H", f"{name}: {text}")]
    command = [program("wrk"), "-t1", f"-c{clients}", f"-d{seconds}s", f"--timeout={PATIENCE}s"]
    return [*command, *options, "-s", str(SCRIPT), f"http://127.0.0.1:{port}/", *script]


def read(done: subprocess.CompletedProcess[str], spent: int, found: RedisCounts) -> Block:
    """Read the line of JSON that the script writes at the end."""
    if done.returncode or "{" not in done.stdout:
        raise SystemExit(f"wrk failed:\n{done.stdout}{done.stderr}")
    said = json.loads(done.stdout[done.stdout.rindex("{") :])
    requests = said["requests"]
    return Block(
        requests=requests,
        refused=said["refused"],
        lost=said["lost"],
        late=said["late"],
        cpu_us=spent / max(1, requests) / 1000,
        rate=requests / said["us"] * 1_000_000,
        p50_us=said["p50"],
        p99_us=said["p99"],
        redis=found,
    )
