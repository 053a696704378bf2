"""The servers that these tests share: Redis, and one for each kind of app."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from parts import require
from serving import NO_CONTROL, Servers, free_port

FOLDER = Path(__file__).parent
KEYS = {"GATEHOUND_SECRET_KEYS": "s" * 40, "GATEHOUND_IDENTITY_KEY": "i" * 40}


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
        *(sys.executable, "-m", "gunicorn", app, "--preload", *NO_CONTROL),
        *("--bind", f"127.0.0.1:{port}", "--chdir", str(FOLDER)),
        *("--workers", str(workers), "--worker-class", "gthread", "--threads", str(threads)),
        *("--worker-tmp-dir", str(started.folder), "--graceful-timeout", "3"),
    ]
    started.start("gunicorn", command, port, environ)
    return port
