"""Lets these tests import what they share with those beside this folder; and the servers."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from live_site import Fronts, Rear

from serving import servers


@pytest.fixture(scope="session")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    with socket_folder() as sockets, servers(tmp_path_factory.mktemp("fronts")) as running:
        yield Fronts(running, sockets)


@pytest.fixture(scope="session")
def rear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rear]:
    with socket_folder() as sockets, servers(tmp_path_factory.mktemp("rear")) as running:
        yield Rear(running, sockets)


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """Make a folder with a short name that other users can pass through.

    Apache serves as another user, and the path of a unix socket has at most 107 bytes.
    """
    with tempfile.TemporaryDirectory(prefix="live-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        yield path
