"""Real servers for tests: started on free ports, waited for, shown on failure, ended by pid.

No server that was running before is touched: each one here is a child of the test process
with its own folder, and only that child is signalled.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gunicorn.config import KNOWN_SETTINGS  # type: ignore[import-untyped]  # it has no types

START_WITHIN = 20.0  # seconds; a cold Python with an app takes about one
# Newer releases open a socket in the home folder, which parallel runs would share.
NO_CONTROL = [flag for s in KNOWN_SETTINGS for flag in s.cli or () if flag == "--no-control-socket"]
Where = int | tuple[str, int] | Path
"""Where a server listens: a port of 127.0.0.1, a host and a port, or a unix socket."""

_given: set[int] = set()


def free_port() -> int:
    """Find a port that nobody listens on; random, so that parallel runs seldom meet.

    No port is given out twice, because some are found long before their server listens.
    """
    for port in random.sample(range(10000, 22000), 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port
    raise AssertionError("200 random ports between 10000 and 22000 are all taken")


@dataclass
class Servers:
    """The servers of one test; `logs` shows what they wrote."""

    folder: Path
    running: list[tuple[str, subprocess.Popen[bytes], Path]] = field(default_factory=list)

    def start(
        self, name: str, command: list[str], where: Where, environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program and wait until it listens."""
        path = self.folder / f"{name}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env={**os.environ, **(environ or {})},
            )
        self.running.append((name, process, path))
        _wait(process, where, path)
        return process

    def end(self, name: str) -> None:
        """End the servers of a name and wait for them."""
        for known, process, _ in self.running:
            if known == name:
                process.terminate()
                process.wait(10)

    def stop(self) -> None:
        """End every server, the last one first, and wait for it."""
        for _, process, _ in reversed(self.running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for _, process, _ in reversed(self.running):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def logs(self) -> str:
        return "\n".join(
            f"--- {name} (exit {process.poll()}) ---\n{path.read_text(errors='replace')[-4000:]}"
            for name, process, path in self.running
        )


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Give out servers and end them; pytest shows what is printed where a test fails."""
    started = Servers(folder)
    try:
        yield started
    finally:
        started.stop()
        sys.stdout.write(started.logs())


def _wait(process: subprocess.Popen[bytes], where: Where, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        listens = _listens(where)
        if listens and process.poll() is None:  # else somebody else took the port first
            return
        time.sleep(0.02)  # polling: a real process starts in real time
    raise AssertionError(
        f"nothing listens on {where} (exit {process.poll()}):\n{log.read_text()[-4000:]}"
    )


def _listens(where: Where) -> bool:
    address: str | tuple[str, int]
    if isinstance(where, Path):
        family, address = socket.AF_UNIX, str(where)
    else:
        address = ("127.0.0.1", where) if isinstance(where, int) else where
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0
