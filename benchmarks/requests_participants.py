"""Who takes part in requests.py, on which server, and what each one is compared with.

What belongs here: names, what each needs to be installed, and the requests that everyone gets.
What must not: how an app is made (requests_asgi.py, requests_wsgi.py, requests_express.mjs) and
how it is measured. A new participant has a line here, and a maker of the same name there.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

Side = Literal["ASGI", "WSGI", "node"]

USER: Final = "user-17"
"""Whose session it is; every participant answers it, and the bare ones know it by heart."""

HEADERS: Final = {  # of a browser, and what a proxy on the same machine adds
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
    "X-Forwarded-For": "203.0.113.7",
}


class Participant(NamedTuple):
    """An app on a server; `bare` is the one without sessions that it is compared with."""

    name: str
    side: Side
    bare: str | None = None
    needs: tuple[str, ...] = ()
    """What Python imports beside the server."""

    @property
    def is_ours(self) -> bool:
        return "gatehound" in self.name

    @property
    def has_sessions(self) -> bool:
        return self.bare is not None


BASES: Final = {
    "ASGI": "ASGI + gatehound, Redis",
    "WSGI": "WSGI + gatehound, Redis",
    "node": "ASGI + gatehound, Redis",
}
"""Whose added cost the others of a side are divided by."""

PARTICIPANTS: Final = (
    Participant("ASGI", "ASGI"),
    Participant("ASGI + one trip by hand", "ASGI", "ASGI"),
    Participant("ASGI + gatehound, Redis", "ASGI", "ASGI"),
    Participant("ASGI + gatehound, SQLite", "ASGI", "ASGI"),
    Participant("ASGI + Starlette's cookie", "ASGI", "ASGI", ("starlette", "itsdangerous")),
    Participant("ASGI + starsessions", "ASGI", "ASGI", ("starsessions",)),
    Participant("Starlette", "ASGI", None, ("starlette",)),
    Participant("Starlette + starsessions", "ASGI", "Starlette", ("starlette", "starsessions")),
    Participant("FastAPI", "ASGI", None, ("fastapi",)),
    Participant("FastAPI + gatehound", "ASGI", "FastAPI", ("fastapi",)),
    Participant("FastAPI + starsessions", "ASGI", "FastAPI", ("fastapi", "starsessions")),
    Participant("Litestar", "ASGI", None, ("litestar",)),
    Participant("Litestar + its sessions", "ASGI", "Litestar", ("litestar",)),
    Participant("WSGI", "WSGI"),
    Participant("WSGI + one trip by hand", "WSGI", "WSGI"),
    Participant("WSGI + gatehound, Redis", "WSGI", "WSGI"),
    Participant("WSGI + gatehound, SQLite", "WSGI", "WSGI"),
    Participant("Flask", "WSGI", None, ("flask",)),
    Participant("Flask + gatehound", "WSGI", "Flask", ("flask",)),
    Participant("Flask + Flask-Session", "WSGI", "Flask", ("flask", "flask_session")),
    Participant("Django", "WSGI", None, ("django",)),
    Participant("Django + gatehound", "WSGI", "Django", ("django",)),
    Participant("Django + its sessions", "WSGI", "Django", ("django",)),
    Participant("Django + its sessions, saved", "WSGI", "Django", ("django",)),
    Participant("Express", "node"),
    Participant("Express + connect-redis", "node", "Express"),
)
BY_NAME: Final = {one.name: one for one in PARTICIPANTS}

_SERVERS: Final = {
    "ASGI": ("uvicorn", "uvloop", "httptools", "redis"),
    "WSGI": ("gunicorn", "redis"),
    "node": (),
}


def missing_parts(one: Participant) -> list[str]:
    """Name what has to be installed before this one can take part."""
    modules = (*_SERVERS[one.side], *one.needs)
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if one.side == "node":
        missing += [name for name in ("node", "npm") if shutil.which(name) is None]
    return missing


def choose(names: Sequence[str]) -> list[Participant]:
    """Return the participants of these names and the bare ones beside them; all for no name."""
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        known = "\n  ".join(BY_NAME)
        raise SystemExit(f"no such participant: {', '.join(unknown)}; there are\n  {known}")
    wanted = set(names) | {BY_NAME[name].bare for name in names}
    return [one for one in PARTICIPANTS if not names or one.name in wanted]


def groups(participants: Sequence[Participant]) -> list[list[Participant]]:
    """Put each bare app and those that are compared with it side by side."""
    bases = dict.fromkeys(one.bare or one.name for one in participants)
    return [[one for one in participants if base in (one.name, one.bare)] for base in bases]
