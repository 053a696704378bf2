"""Two apps, one for each kind of server, that tell what they got and what it means.

The tests choose the trusted proxies with each request, so that one server answers for all
proxies. No app should do that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from gatehound.clientip import ClientIP, ClientIPResolver

MODES = ("remote-addr", "x-forwarded-for", "x-real-ip", "forwarded", "cloudflare", "auto")


@cache
def resolvers(query: str) -> dict[str, ClientIPResolver]:
    """One resolver for each mode, with the trust that the query names."""
    trust = parse_qs(query).get("trust", [""])[0]
    return {mode: ClientIPResolver(mode=mode, trusted_proxies=trust) for mode in MODES}


def told(answer: ClientIP) -> dict[str, Any]:
    return {
        "address": answer.address and str(answer.address),
        "peer": answer.peer and str(answer.peer),
        "reason": answer.reason,
        "source": answer.source,
        "flags": sorted(answer.flags),
        "explain": answer.explain(),
    }


def report(query: str, find: Callable[[ClientIPResolver], ClientIP], **got: Any) -> bytes:
    answers = {mode: told(find(resolver)) for mode, resolver in resolvers(query).items()}
    return json.dumps({"answers": answers, **got}).encode()


def is_forwarding(name: str) -> bool:
    return name.replace("_", "-").startswith(("x-forwarded-for", "x-real", "forwarded", "cf-"))


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    body = report(
        scope["query_string"].decode(),
        lambda resolver: resolver.from_scope(scope),
        peer=scope.get("client"),
        headers=[pair for pair in pairs if is_forwarding(pair[0])],
    )
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    pairs = [
        (key[5:].lower().replace("_", "-"), value)
        for key, value in environ.items()
        if key.startswith("HTTP_")
    ]
    body = report(
        environ["QUERY_STRING"],
        lambda resolver: resolver.from_environ(environ),
        peer=environ.get("REMOTE_ADDR"),
        headers=[pair for pair in pairs if is_forwarding(pair[0])],
    )
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
