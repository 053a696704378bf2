"""What all tests share: on how many processes they run, and which the plain run leaves for later.

Belongs here: what holds in every folder. Does not: fixtures; each folder has its own.
"""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
PROCESSES = 4  # more gain little: each collects all tests, and starts the servers that it needs
LATER = (pytest.mark.full, pytest.mark.ci)
# In these folders both worlds lead to the same code behind the adapters, which have their own
# tests: test_passthrough*, clientip, frameworks, e2e.
SHARED = (HERE / "catalogue", HERE / "flow", HERE / "web")
WORLDS = ("asgi", "wsgi")
# They start the most servers, which wait: in the middle two processes would share them out.
FIRST = (HERE / "e2e", HERE / "live")

MEMORY = Path("/dev/shm")
ROOM = 1 << 30  # bytes; a run takes a tenth

# Thorough is what hypothesis does by itself; .ci/run and `tox -e full` ask for it.
settings.register_profile("thorough", settings())
settings.register_profile("plain", settings(), max_examples=40)
settings.load_profile("plain")


def is_whole(config: pytest.Config) -> bool:
    """Say whether all tests were asked for, and not some by their places."""
    return all(Path(config.invocation_params.dir, place) == HERE for place in config.args)


def pytest_configure(config: pytest.Config) -> None:
    """Keep the files of a whole run in memory: SQLite waits for a disk at each change.

    On a disk shared with others that was most of the time. Tests that are named use the disk,
    and so do those of tests/full in .ci/run.
    """
    if is_whole(config) and _has_room():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def _has_room() -> bool:
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return False
    usable = os.access(MEMORY, os.W_OK) and not room.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    return usable and room.f_bavail * room.f_frsize >= ROOM


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Spread a whole run over the processors; a part of it is done sooner without."""
    count = min((yield), PROCESSES)
    return count if count > 1 and is_whole(config) else 0


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the collector of garbage some 300,000 objects that stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a whole run: put first what starts servers, and share its cases between the worlds."""
    if is_whole(config):
        items.sort(key=lambda item: not _lies_in(item, FIRST))
        _take_turns(items)


def _take_turns(items: list[pytest.Item]) -> None:
    """Give the cases of a test to the two worlds in turns, and the other halves to `full`.

    A test that has one case goes through both.
    """
    tests: dict[str, dict[str, list[pytest.Function]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if isinstance(item, pytest.Function) and _goes_through_worlds(item):
            name, case = item.nodeid.split("[")[0], _case(item)
            tests[name][case].append(item)
    for cases in tests.values():
        for number, case in enumerate(cases):
            for item in cases[case]:
                if len(cases) > 1 and item.callspec.params["world"] != WORLDS[number % 2]:
                    _later(item)


def _goes_through_worlds(item: pytest.Function) -> bool:
    spec = getattr(item, "callspec", None)
    return _lies_in(item, SHARED) and spec is not None and spec.params.get("world") in WORLDS


def _lies_in(item: pytest.Item, folders: tuple[Path, ...]) -> bool:
    return not set(folders).isdisjoint(item.path.parents)


def _case(item: pytest.Function) -> str:
    """What tells the cases of a test apart, but for the world."""
    return str(sorted(pair for pair in item.callspec.indices.items() if pair[0] != "world"))


def _later(item: pytest.Function) -> None:
    if item.get_closest_marker("full") is None:
        for mark in LATER:
            item.add_marker(mark)
