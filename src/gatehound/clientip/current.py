"""The answer of the request that is being served, for code that is far from its scope.

What belongs here: where both adapters put the answer, and how it is found again. MUST NOT
fall back to a socket peer: what asks here limits or blames somebody by the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Final

from gatehound.clientip.answer import ClientIP
from gatehound.clientip.resolver import ClientIPResolver

KEY: Final = "gatehound.client_ip"
"""Where the answer stands in a scope and in an environ. No client can write there: header
lines arrive in a list, or under names that begin with `HTTP_`."""

PEER: Final = "gatehound.peer"
"""In a scope: the `client` that the server reported, an (address, port) or None."""

REMOTE_ADDR: Final = "gatehound.remote_addr"
"""In an environ: the REMOTE_ADDR that the server reported, or None where it gave none."""

CURRENT: Final[ContextVar[ClientIP | None]] = ContextVar(KEY, default=None)


def current_client_ip(request: object = None) -> ClientIP | None:
    """Return the answer that ClientIPMiddleware found; None where it is not around the app.

    `request` is an ASGI scope, a WSGI environ, a request of Starlette, FastAPI, Flask, Django,
    Quart, Litestar, Falcon, Bottle or Pyramid, or a ClientIP, which is returned as it is.
    None means the request that is being served: in its own task or thread, and in tasks and
    threads that were started from it with a copy of its context (asyncio tasks, anyio's
    threads), even after it ended. Outside of a request that is None too.
    """
    if request is None:
        return CURRENT.get()
    if isinstance(request, ClientIP):
        return request
    for candidate in _mappings(request):
        answer = candidate.get(KEY)
        if isinstance(answer, ClientIP):
            return answer
    return None


def known_answer(request: Mapping[str, Any], resolver: ClientIPResolver) -> ClientIP | None:
    """Return the answer that an outer middleware left, where this resolver has to take it.

    It has to where the answer is its own, or was applied: the peer is gone then. Of another
    resolver's answer nothing is known, and the request is as it came.
    """
    answer = request.get(KEY)
    if not isinstance(answer, ClientIP):
        return None
    is_applied = PEER in request or REMOTE_ADDR in request
    return answer if is_applied or answer._rules is resolver._rules else None


def leave(token: Token[ClientIP | None]) -> None:
    """Take back what `CURRENT.set` did, where that is still possible.

    A coroutine that is thrown away is closed by whoever drops it, in a context where this
    request was never current; there is nothing to take back then.
    """
    try:
        CURRENT.reset(token)
    except ValueError:
        return


def _mappings(request: object) -> list[Mapping[str, Any]]:
    """Where frameworks keep the scope or the environ of a request."""
    names = ("scope", "environ", "META", "env")
    found = [request, *(getattr(request, name, None) for name in names)]
    return [item for item in found if isinstance(item, Mapping)]
