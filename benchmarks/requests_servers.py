"""The processes of requests.py: a Redis server, and one server for each participant.

Rules
  1. A process that was there before is not touched: everything here is a child of this process,
     is known by its pid, and is ended by it, also on Ctrl-C.
  2. Everything listens on 127.0.0.1 alone, on ports between 10000 and 22000.
  3. The server under load has the first core for itself; Redis and wrk share the last one. All
     servers stay up: those that are not under load wait, on the same core, and cost it little.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from requests_express import express_command
from requests_participants import Participant
from requests_settings import Stores

HERE: Final = Path(__file__).parent
START_WITHIN: Final = 30.0
"""Seconds; a Python with an app takes about one, and up to thirty start on one core."""
END_WITHIN: Final = 10.0
DATABASES: Final = 64
"""Of the Redis server: each participant has one for itself."""


class Cores(NamedTuple):
    """Where the loaded server runs, and where the rest does; None where there is one core."""

    server: set[int] | None
    other: set[int] | None

    @classmethod
    def choose(cls, workers: int = 1) -> Cores:
        """Give the servers the first core, or as many as they have workers, if so many are left."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return cls(None, None)
        count = workers if workers < len(cores) else 1
        return cls(set(cores[:count]), set(cores[-1:]))


@contextlib.contextmanager
def on(cores: set[int] | None) -> Iterator[None]:
    """Start what is started in here on these cores: a child begins where its parent is."""
    before = os.sched_getaffinity(0)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server(NamedTuple):
    """A participant that runs: its process, its port, and what it writes."""

    participant: Participant
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def pids(self) -> list[int]:
        """Return the processes that answer: the workers of a master, or the process itself."""
        found = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [int(pid) for path in found for pid in path.read_text().split()]
        return children or [self.process.pid]

    def spent(self) -> int:
        """Return the CPU time of these processes in nanoseconds, with all their threads."""
        return sum(spent(pid) for pid in self.pids())

    def wait(self) -> None:
        """Wait until it listens, or stop with what it wrote."""
        wait(self.participant.name, self.process, self.port, self.log)


def spent(pid: int) -> int:
    """Return the CPU time of all threads of a process in nanoseconds."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            total += int(path.read_text().split()[0])
    return total


class Servers:
    """Starts servers in a folder and ends them; use it in a `with`."""

    def __init__(self, folder: Path, cores: Cores) -> None:
        self.folder = folder
        self.cores = cores
        self.running: list[subprocess.Popen[bytes]] = []
        self.ports = iter(random.sample(range(10000, 22000), 2000))
        self.redis_port = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.running):  # all at once: a second Ctrl-C leaves none
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.running):
            await_end(process)

    def start_redis(self) -> None:
        """Start an empty Redis server that keeps nothing, and wait for it."""
        self.redis_port = port = self.free_port()
        command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--databases", str(DATABASES)]
        log = self.folder / "redis.log"
        with on(self.cores.other):
            process = self.launch([*command, "--dir", str(self.folder)], {}, log)
        wait("redis-server", process, port, log)

    def redis_url(self, database: int = 0) -> str:
        """Return the URL of a database of that server."""
        return f"redis://127.0.0.1:{self.redis_port}/{database}"

    def start_all(self, participants: Sequence[Participant]) -> list[Server]:
        """Start a server for each, all at once, and wait for all of them."""
        started = [self.start(one, number) for number, one in enumerate(participants, 1)]
        for server in started:
            server.wait()
        return started

    def start(self, one: Participant, database: int, workers: int = 1) -> Server:
        """Start the server of a participant on a database of its own, without waiting."""
        port = self.free_port()
        log = self.folder / f"{port}.log"
        sqlite = f"sqlite:///{self.folder / f'{database}.sqlite'}"
        command, environ = command_for(one, port, Stores(self.redis_url(database), sqlite), workers)
        with on(self.cores.server):
            return Server(one, self.launch(command, environ, log), port, log)

    def launch(
        self, command: Sequence[str], environ: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program in a group of its own, so that Ctrl-C reaches it through us alone."""
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - commands of this folder
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=clean_environ() | dict(environ),
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def free_port(self) -> int:
        """Find a port that nobody listens on; none is given twice."""
        for port in self.ports:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                return port
        raise SystemExit("no free port between 10000 and 22000")


def wait(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a process listens, or stop with what it wrote."""
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    text = log.read_text(errors="replace")[-4000:]
    raise SystemExit(f"{name} does not listen (exit {process.poll()}):\n{text}")


def await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was told to end; insist where it does not."""
    try:
        process.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END_WITHIN)


def program(name: str) -> str:
    """Return the path of a program, or stop."""
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is missing; the benchmark needs it")
    return found


def clean_environ() -> dict[str, str]:
    """Return this environment without settings of the apps or of Python."""
    names = ("GATEHOUND_", "DJANGO_", "FLASK_", "PYTHON", "UVICORN_", "GUNICORN_", "WEB_", "NODE_")
    return {key: value for key, value in os.environ.items() if not key.startswith(names)}


def command_for(
    one: Participant, port: int, stores: Stores, workers: int
) -> tuple[list[str], dict[str, str]]:
    """Return how the server of a participant is started."""
    if one.side == "node":
        return express_command(one, port, stores.redis), {"NODE_ENV": "production"}
    environ = {
        "BENCHMARK_NAME": one.name,
        "BENCHMARK_PORT": str(port),
        "BENCHMARK_REDIS": stores.redis,
        "BENCHMARK_SQLITE": stores.sqlite,
        "BENCHMARK_WORKERS": str(workers),
    }
    return [sys.executable, "-P", str(HERE / "requests_serve.py")], environ


class RedisCounts(NamedTuple):
    """What the Redis server counted so far: commands by name, reads from its sockets, CPU time."""

    commands: dict[str, int]
    reads: int
    cpu_us: float

    @classmethod
    def of(cls, client: Any) -> RedisCounts:
        """Ask the server; the questions themselves are three reads of the next count."""
        stats = client.info("commandstats")
        commands = {
            name.removeprefix("cmdstat_"): values["calls"]
            for name, values in stats.items()
            if name != "cmdstat_info"
        }
        cpu = client.info("cpu")
        used = 1_000_000 * (cpu["used_cpu_user"] + cpu["used_cpu_sys"])
        return cls(commands, client.info("stats")["total_reads_processed"], used)

    def since(self, before: RedisCounts) -> RedisCounts:
        """Return what was counted between two questions, without the questions."""
        commands = {
            name: calls - before.commands.get(name, 0)
            for name, calls in self.commands.items()
            if calls != before.commands.get(name, 0)
        }
        reads = max(0, self.reads - before.reads - 3)
        return RedisCounts(commands, reads, self.cpu_us - before.cpu_us)
