"""Apps that note who asked, for clients that do not wait for the answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gatehound.clientip import ClientIP, ClientIPResolver

NOTES = Path(os.environ["GONE_NOTES"])
RESOLVER = ClientIPResolver(mode="x-forwarded-for", trusted_proxies=["192.0.2.1", "unix"])


def note(answer: ClientIP, peer: Any) -> None:
    with NOTES.open("a") as notes:
        notes.write(json.dumps([answer.text, answer.reason, peer]) + "\n")


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    note(RESOLVER.from_scope(scope), scope["client"])
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def wsgi(environ: Any, start: Any) -> list[bytes]:
    note(RESOLVER.from_environ(environ), environ.get("REMOTE_ADDR"))
    start("204 No Content", [])
    return []
