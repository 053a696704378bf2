"""This release beside the next one, on one Redis under load: nobody notices while it is rolled out.

The next release is this one, patched here as a later one will be: it knows a record of version 2,
which has one more field, and can still write version 1. Not checked: SQLite, whose file carries one
version for all of it and is brought up by the first process that opens it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

import gatehound

pytestmark = [pytest.mark.full, pytest.mark.ci]

PATCH = (
    ("VERSION: Final = 1 ", "VERSION: Final = 2 "),
    ("READS: Final = frozenset({1})", "READS: Final = frozenset({1, 2})"),
    (
        "        if self.authenticated <= self.created and self.rotated <= self.created:\n",
        "        if version == 1 and max(self.authenticated, self.rotated) <= self.created:\n",
    ),
    (
        "_since(self.created, self.rotated)\n        )\n",
        '_since(self.created, self.rotated)\n        ) + (b"+" if version == 2 else b"")\n',
    ),
)


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the next release's package."""
    folder = tmp_path_factory.mktemp("next")
    source = Path(gatehound.__file__).parent
    shutil.copytree(source, folder / "gatehound", ignore=shutil.ignore_patterns("__pycache__"))
    record = folder / "gatehound" / "stores" / "record.py"
    text = record.read_text()
    for old, new in PATCH:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    record.write_text(text)
    return folder


@pytest.fixture(params=["redis", "valkey"])
def url(request: pytest.FixtureRequest, server: Callable[[str], str]) -> str:
    found = server(request.param)
    client: Any
    with redis.Redis.from_url(found) as client:
        client.flushall()
    return found


def start(url: str, version: int, seed: int, release: Path | None) -> subprocess.Popen[bytes]:
    worker = Path(__file__).parent / "release_worker.py"
    command = [sys.executable, str(worker), url, "rolling", str(version), "3", str(seed)]
    path = {} if release is None else {"PYTHONPATH": str(release)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **path})


def finish(*running: subprocess.Popen[bytes]) -> tuple[Counter[str], list[str]]:
    done: Counter[str] = Counter()
    wrong: list[str] = []
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        report = json.loads(out)
        done.update(report["done"])
        wrong += report["wrong"]
    return done, wrong


def versions(url: str) -> Counter[int]:
    """Count the versions of all security parts that are stored."""
    client: Any
    with redis.Redis.from_url(url) as client:
        hashes = list(client.scan_iter(match="gh:rolling:{*}ualias*"))
        parts = [
            part for key in hashes for field, part in client.hgetall(key).items() if len(field) == 8
        ]
    assert all(len(part) == 51 and part[50:] == b"+" for part in parts if part[0] == 2)
    return Counter(part[0] for part in parts)


def test_two_releases_side_by_side(url: str, next_release: Path) -> None:
    done, wrong = finish(
        start(url, 1, 1, None),
        start(url, 1, 2, None),
        start(url, 1, 3, next_release),
        start(url, 1, 4, next_release),
    )
    assert wrong[:5] == []
    assert min(done.values()) > 50, done
    assert versions(url).keys() == {1}

    # All processes are of the next release: now write_version is raised.
    done, wrong = finish(start(url, 2, 5, next_release), start(url, 2, 6, next_release))
    assert wrong == []
    assert 2 in versions(url)  # those of before, if any are left, are of version 1

    # It was raised too early: what this release cannot read it refuses, and says so; it neither
    # guesses nor ends anything, and everybody can still sign in and out.
    _, wrong = finish(start(url, 1, 7, None))
    assert wrong
    assert all("cannot be read" in line or "GHVERSION" in line for line in wrong), wrong
    _, wrong = finish(start(url, 2, 8, next_release))
    assert wrong == []
