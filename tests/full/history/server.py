"""Servers of our own: one that comes back on its own files, and a probe that asks past clients."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import zoo

DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
FORGETFUL: Final = ("--appendonly", "no", "--save", "")


def start(folder: Path, options: Sequence[str]) -> zoo.Server:
    """Start a standalone server of the system's kind."""
    return zoo.start(zoo.SYSTEM, folder, *options)


def restart(server: zoo.Server, folder: Path, options: Sequence[str]) -> zoo.Server:
    """Start it again on its port and its files."""
    return zoo.start(server.kind, folder, *options, ports=range(server.port, server.port + 1))


def say(port: int, *parts: bytes, timeout: float = 0.1) -> bytes:
    """Send one command on a connection of its own; return the first line, b"" for none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(b" ".join(parts) + b"\r\n")
            return connection.recv(4096).split(b"\r\n")[0]
    except OSError:
        return b""


class Probe:
    """Asks servers every 20 ms whether one of them takes a write, past all clients.

    `ports` are asked in turn: where a master is replaced, another one answers. `key` is one
    that the server in question answers for.
    """

    EVERY = 0.02

    def __init__(self, ports: Sequence[int], key: bytes = b"gh-probe") -> None:
        self._ports = ports
        self._key = key
        self._seen: list[tuple[float, bool]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def healed(self) -> float | None:
        """When writes were taken again after the last time they were not; None: always."""
        away = [n for n, (_, taken) in enumerate(self._seen) if not taken]
        if not away:
            return None
        after = self._seen[away[-1] + 1 :]
        return after[0][0] if after else float("inf")

    def wait(self, begun: float, timeout: float = 30.0) -> float | None:
        """Wait until writes are taken, as far as they ever were not since `begun`."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            known = self._seen[-5:]
            if len(known) == 5 and known[0][0] > begun and all(taken for _, taken in known):
                return self.healed()
            time.sleep(self.EVERY)
        raise AssertionError(f"no server took a write for {timeout} s after the fault")

    def _run(self) -> None:
        while not self._ended.wait(self.EVERY):
            # 50 ms: the answer of a server that runs takes less, one that is stopped gives none.
            said = (say(port, b"SET", self._key, b"1", timeout=0.05) for port in self._ports)
            taken = any(line == b"+OK" for line in said)
            self._seen.append((time.monotonic(), taken))
