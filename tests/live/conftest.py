"""Lets these tests import what they share with those beside this folder; and the servers."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from live_site import Fronts, Rear, starters

from serving import servers


@pytest.fixture(scope="session")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    folder = tmp_path_factory.mktemp("fronts")
    with socket_folder() as sockets, servers(folder) as running, starters() as pool:
        yield Fronts(running, sockets, pool)


@pytest.fixture(scope="session")
def rear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rear]:
    folder = tmp_path_factory.mktemp("rear")
    with socket_folder() as sockets, servers(folder) as running, starters() as pool:
        yield Rear(running, sockets, pool)


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """Make a folder with a short name that other users can pass through.

    Apache serves as another user, and the path of a unix socket has at most 107 bytes.
    """
    with tempfile.TemporaryDirectory(prefix="live-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        yield path
