"""One process of clients: `python -m history.worker CONFIG`.

It says "ready", starts at the line "go", stops at the end of its input, and then writes what it
did. The clock that it may be told to move is that of the app, never the one of the history.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from gatehound import Guard
from gatehound._sync import run_sync
from gatehound.stores import open_store
from history import planted
from history.door_guard import GuardDoor, asgi_serve, guard_settings, wsgi_serve
from history.door_store import StoreDoor
from history.record import Lag, write
from history.workload import Board, Client, Door, users_of

TICK = 0.01
EARLIER = 0.5  # seconds that a nap begins before the fault
DAY = 86_400_000


class Config:
    """What a worker is told, as JSON."""

    def __init__(self, text: str) -> None:
        told: dict[str, Any] = json.loads(text)
        self.name: str = told["name"]
        self.url: str = told["url"]
        self.flavour: str = told["flavour"]  # loop, threads, asgi, wsgi
        self.folder = Path(told["folder"])
        self.clients: int = told["clients"]
        self.limit: int = told["limit"]
        self.pace: float = told["pace"]
        self.planted: str = told["planted"]
        self.clock_jump: float = told["clock_jump"]  # seconds, in the middle of the run
        self.middle: float = told["middle"]
        self.nap: float = told["nap"]  # seconds without a request, in the middle of the run
        self.suspends = self.flavour in ("loop", "asgi")


class Worker:
    """Builds the door, runs the clients, writes the history."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._stop = threading.Event()
        self._lag = 0.0
        self._close: Callable[[], Coroutine[Any, Any, None]]

    def door(self) -> Door:
        """Open the way into what is tested."""
        config = self.config
        if config.flavour in ("asgi", "wsgi"):
            guard = Guard(guard_settings(config.url, "history", config.limit), sinks=())
            self._close = guard.store.close if config.suspends else guard.blocking().store.close
            return GuardDoor(asgi_serve(guard) if config.suspends else wsgi_serve(guard))
        store = open_store(
            config.url, namespace="history", suspends=config.suspends, event_retention=DAY
        )
        if config.planted:
            store = planted.plant(config.planted, store)
        self._close = store.close
        return StoreDoor(store, limit=config.limit)

    def run(self) -> None:
        """Work from "go" to the end of the input."""
        clients = self._clients()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        threading.Thread(target=self._read_stop, daemon=True).start()
        if self.config.clock_jump:
            jump_clocks(self.config.clock_jump, self.config.middle)
        if self.config.suspends:
            asyncio.run(self._in_loop(clients))
        else:
            self._in_threads(clients)
        ops = [op for client in clients for op in client.ops]
        lag = Lag(process=self.config.name, longest=self._lag)
        write(self.config.folder / f"{self.config.name}.history", ops, lag)

    def _clients(self) -> list[Client]:
        door = self.door()
        return [
            Client(
                f"{self.config.name}.{number}",
                door,
                {user: Board(self.config.folder, user) for user in users_of(number)},
                pause=asyncio.sleep if self.config.suspends else blocking_pause,
                pace=self.config.pace,
                # Before the fault: one call that meets it would tell the whole process.
                nap=(self.config.middle - EARLIER, self.config.nap),
                stopped=self._stop.is_set,
                searches=number == 0 and self.config.flavour in ("loop", "threads"),
            )
            for number in range(self.config.clients)
        ]

    async def _in_loop(self, clients: list[Client]) -> None:
        meter = asyncio.create_task(self._measure(asyncio.sleep))
        await asyncio.gather(*(client.run() for client in clients))
        meter.cancel()
        await self._close()

    def _in_threads(self, clients: list[Client]) -> None:
        threading.Thread(
            target=lambda: run_sync(self._measure(blocking_pause)), daemon=True
        ).start()
        threads = [threading.Thread(target=_run, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run_sync(self._close())

    async def _measure(self, pause: Callable[[float], Awaitable[None]]) -> None:
        """Measure by how much a short sleep is late: the processor is shared with others."""
        while True:
            before = time.monotonic()
            await pause(TICK)
            self._lag = max(self._lag, time.monotonic() - before - TICK)

    def _read_stop(self) -> None:
        sys.stdin.read()
        self._stop.set()


def _run(client: Client) -> None:
    run_sync(client.run())


async def blocking_pause(seconds: float) -> None:
    """Pause a client that is a thread of its own."""
    time.sleep(seconds)  # noqa: ASYNC251 - no loop exists in its thread


def jump_clocks(by: float, after: float) -> None:
    """Move every clock that an app may look at, but the monotonic one, in this process."""
    begun = time.monotonic()

    def jumped() -> float:
        return by if time.monotonic() - begun >= after else 0.0

    def moved(read: Callable[..., float], unit: float) -> Callable[..., Any]:
        def moved_read(*which: int) -> Any:
            if which == (time.CLOCK_MONOTONIC,):
                return read(*which)
            return type(read(*which))(read(*which) + jumped() * unit)

        return moved_read

    for name, unit in (("time", 1), ("time_ns", 10**9)):
        setattr(time, name, moved(getattr(time, name), unit))
    for name, unit in (("clock_gettime", 1), ("clock_gettime_ns", 10**9)):
        setattr(time, name, moved(getattr(time, name), unit))


if __name__ == "__main__":
    Worker(Config(Path(sys.argv[1]).read_text(encoding="utf-8"))).run()
