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

from parts import require

START_WITHIN = 20.0  # seconds; a cold Python with an app takes about one
FOLDER = Path(__file__).parent
# Newer releases open a socket in the home folder, which parallel runs would share.
_NO_CONTROL = [
    flag for s in KNOWN_SETTINGS for flag in s.cli or () if flag == "--no-control-socket"
]
KEYS = {"GATEHOUND_SECRET_KEYS": "s" * 40, "GATEHOUND_IDENTITY_KEY": "i" * 40}


def free_port() -> int:
    """Find a port that nobody listens on; random, so that parallel runs seldom meet."""
    for port in random.sample(range(10000, 22000), 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("200 random ports between 10000 and 22000 are all taken")


@dataclass
class Servers:
    """The servers of one test; `logs` shows what they wrote."""

    folder: Path
    running: list[tuple[str, subprocess.Popen[bytes], Path]] = field(default_factory=list)

    def start(
        self, name: str, command: list[str], port: int, environ: Mapping[str, str] | None = None
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
        _wait(process, port, path)
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


def redis(started: Servers, port: int = 0) -> str:
    """Start a Redis server, on a port of its own unless one is given; return its URL."""
    port = port or free_port()
    options = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", str(port)]
    command = [require("redis-server"), *options, "--dir", str(started.folder)]
    started.start("redis", command, port)
    return f"redis://127.0.0.1:{port}/0"


def uvicorn(started: Servers, app: str, environ: Mapping[str, str]) -> int:
    """Start uvicorn; it leaves addresses alone, because finding them is our task."""
    port = free_port()
    options = ["--port", str(port), "--host", "127.0.0.1", "--no-proxy-headers"]
    command = [sys.executable, "-m", "uvicorn", app, *options, "--app-dir", str(FOLDER)]
    started.start("uvicorn", command, port, environ)
    return port


def gunicorn(
    started: Servers, app: str, environ: Mapping[str, str], *, workers: int = 1, threads: int = 2
) -> int:
    """Start gunicorn, with the app loaded before it forks."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", app, "--preload", *_NO_CONTROL),
        *("--bind", f"127.0.0.1:{port}", "--chdir", str(FOLDER)),
        *("--workers", str(workers), "--worker-class", "gthread", "--threads", str(threads)),
        *("--worker-tmp-dir", str(started.folder), "--graceful-timeout", "3"),
    ]
    started.start("gunicorn", command, port, environ)
    return port


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            listens = probe.connect_ex(("127.0.0.1", port)) == 0
        if listens and process.poll() is None:  # else somebody else took the port first
            return
        time.sleep(0.02)  # polling: a real process starts in real time
    raise AssertionError(
        f"nothing listens on port {port} (exit {process.poll()}):\n{log.read_text()[-4000:]}"
    )
