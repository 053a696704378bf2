"""Where Express comes from: the packages are installed with npm at the first run, and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from requests_participants import USER, Participant
from requests_settings import SECRET

PACKAGES: Final = ("express", "express-session", "connect-redis", "redis")
INSTALL_WITHIN: Final = 180.0
"""Seconds; it takes about five."""


def folder() -> Path:
    """Return the folder of the packages, in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "gatehound-benchmarks" / "express"


def install() -> str | None:
    """Install what is not there yet; return what went wrong, or None."""
    place = folder()
    if not all((place / "node_modules" / name / "package.json").is_file() for name in PACKAGES):
        place.mkdir(parents=True, exist_ok=True)
        command = [shutil.which("npm") or "npm", "install", "--no-audit", "--no-fund", *PACKAGES]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command
                command,
                cwd=place,
                capture_output=True,
                text=True,
                timeout=INSTALL_WITHIN,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"npm install: {error}"
        if done.returncode:
            return f"npm install: {done.stderr.strip().splitlines()[-1:]}"
    shutil.copy(Path(__file__).with_name("requests_express.mjs"), place / "requests_express.mjs")
    return None


def express_command(one: Participant, port: int, redis_url: str) -> list[str]:
    """Return how one of them is started, from the folder of its packages."""
    kind = "sessions" if one.has_sessions else "bare"
    script = str(folder() / "requests_express.mjs")
    return [shutil.which("node") or "node", script, kind, str(port), redis_url, USER, SECRET]
