"""Every store that the conformance suite runs against, and the servers that some of them need.

The servers are those of the zoo, started once a test session at their first use.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import zoo
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.stores.redis import RedisStore
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import FakeClock, OpenStore

# With "-loop" the store of ASGI, without it that of WSGI. The plain run keeps to these; the
# others of the zoo, and a cluster, are in test_stores_everywhere.py.
STORES = ("memory", "sqlite", "sqlite-loop", "redis", "redis-loop")
KINDS = {"redis": zoo.SYSTEM, "valkey": "valkey-8.1"}
PLAIN = tuple(KINDS.values())
# Races are about order, also on a machine that is busy elsewhere.
LENIENT = 5.0


class Unhurried(SQLiteStore):
    """Two hundred sign-ins at once take their turns at the lock, and an fsync each."""

    deadline = int(LENIENT * 1000)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Return the URL of a server of a kind, or of a cluster, started at the first use."""
    running: dict[str, str] = {}
    with contextlib.ExitStack() as stack:

        def url(kind: str) -> str:
            if kind not in running:
                folder = tmp_path_factory.mktemp(kind)
                if kind == "cluster":
                    running[kind] = stack.enter_context(zoo.cluster(folder)).url
                else:
                    wanted = KINDS.get(kind, kind)
                    running[kind] = stack.enter_context(zoo.server(wanted, folder)).url
            return running[kind]

        yield url


def opener(param: str, folder: Path, server: Callable[[str], str]) -> OpenStore:
    """Return a function that opens a fresh, empty store on a given clock.

    `param` is a kind of store or server, with "-loop" behind it for one that suspends.
    """
    kind = param.removesuffix("-loop")
    suspends = kind != param

    def open_(clock: FakeClock) -> Store:
        name = f"t{secrets.token_hex(6)}"  # no other store of this server has it
        if kind == "memory":
            return MemoryStore(clock=clock)
        if kind == "sqlite":
            return Unhurried(str(folder / f"{name}.db"), suspends=suspends, clock=clock)
        return RedisStore(
            server(kind),
            namespace=name,
            suspends=suspends,
            clock=clock,
            deadline=LENIENT,
        )

    return open_


@pytest.fixture(params=STORES)
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, server: Callable[[str], str]
) -> OpenStore:
    """Return a function that opens a fresh, empty store on a given clock."""
    return opener(request.param, tmp_path, server)
