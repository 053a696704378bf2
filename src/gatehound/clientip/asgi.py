"""Put the client's address into ASGI scopes: `ClientIPMiddleware(app, resolver)`.

Belongs outermost, and alone: where the server or another middleware has rewritten
`scope["client"]` before (uvicorn does by default; run it with `--no-proxy-headers`), this one
takes a client for its peer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from gatehound.clientip.answer import ClientIP
from gatehound.clientip.applied import (
    PEER_HOST,
    PEER_SCHEME,
    check_options,
    forwarding_names,
    sent_on,
)
from gatehound.clientip.current import CURRENT, KEY, PEER, known_answer, leave
from gatehound.clientip.resolver import ClientIPResolver

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Lines = list[tuple[bytes, bytes]]


class ClientIPMiddleware:
    """Put a ClientIP into `scope["gatehound.client_ip"]` of every HTTP request and websocket.

    Other scopes pass untouched. Wrapped twice, an answer that an outer one applied stays, and
    the inner one only applies and strips what it was told to.

    `apply`: the app finds the answer where it looks anyway. `scope["client"]` becomes
    `(address, 0)`; the original is at `scope["gatehound.peer"]`, and the port with it.
    Unresolved it becomes None, never the proxy's address, which is often on an allow-list.
    Where the answer has them, `scope["scheme"]` and the Host header follow, with the
    originals at `gatehound.peer_scheme` and `gatehound.peer_host` (text or None).

    `strip`: the app finds no forwarding header (applied.FORWARDING, and any other that the
    resolver reads) but the part that trusted proxies wrote: of the headers that decided, the
    text from the client's own address on. Behind an untrusted peer and where the answer is
    unresolved none is left. What did not decide goes too, X-Forwarded-Proto for one: an app
    that needs the scheme gets it from `apply`, and the resolver from `scheme_header`.

    With either the app gets a shallow copy of the scope, so that the server's log, which reads
    its own, still shows the peer. UsageError for a resolver that is none.
    """

    def __init__(
        self, app: App, resolver: ClientIPResolver, *, apply: bool = False, strip: bool = False
    ) -> None:
        check_options(resolver, apply=apply, strip=strip)
        self.app = app
        self.resolver = resolver
        self._apply = apply
        self._strip = strip
        self._names = frozenset(name.encode("ascii") for name in forwarding_names(resolver))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        answer = known_answer(scope, self.resolver) or self.resolver.from_scope(scope)
        if self._apply or self._strip:
            scope = dict(scope)
        if self._strip:
            scope["headers"] = _stripped(scope["headers"], self._names, answer)
        if self._apply:
            _apply(scope, answer)
        scope[KEY] = answer
        token = CURRENT.set(answer)
        try:
            await self.app(scope, receive, send)
        finally:
            leave(token)


def _stripped(
    headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes], answer: ClientIP
) -> Lines:
    # A name beyond ASCII goes too: a bridge to WSGI makes SSL of "\xdfL" with str.upper().
    kept = [
        line
        for line in headers
        if line[0].isascii() and line[0].lower().replace(b"_", b"-") not in names
    ]
    kept += ((name.encode("latin-1"), text.encode("latin-1")) for name, text in sent_on(answer))
    return kept


def _apply(scope: Scope, answer: ClientIP) -> None:
    """Write the answer; an original that is there was kept by an outer middleware."""
    scope.setdefault(PEER, scope.get("client"))
    scope["client"] = (answer.text, 0) if answer.text else None
    if answer.scheme is not None:
        scope.setdefault(PEER_SCHEME, scope.get("scheme"))
        scope["scheme"] = _SCHEMES[scope["type"], answer.scheme]
    if answer.host is not None:
        lines = scope["headers"]
        old = [value for name, value in lines if name.lower() == b"host"]
        scope.setdefault(PEER_HOST, str(old[0], "latin-1") if old else None)
        rest = [line for line in lines if line[0].lower() != b"host"]
        scope["headers"] = [(b"host", answer.host.encode("latin-1")), *rest]


_SCHEMES: Final = {
    ("http", "http"): "http",
    ("http", "https"): "https",
    ("websocket", "http"): "ws",
    ("websocket", "https"): "wss",
}
