"""Which address is the client, from a socket peer and header lines; stands alone.

    resolver = ClientIPResolver(mode="x-forwarded-for", trusted_proxies=["10.0.0.0/8"])
    answer = resolver.from_scope(scope)  # or from_environ(environ), or resolve(peer=, headers=)
    answer.address, answer.reason, answer.explain()

The middlewares are in `gatehound.clientip.asgi` and `gatehound.clientip.wsgi`.

Reading order: resolver, modes, walk, grammar, forwarded; then options, entries, trust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatehound.clientip.answer import ClientIP
from gatehound.clientip.resolver import ClientIPResolver

if TYPE_CHECKING:
    from gatehound.clientip.check import Finding
    from gatehound.clientip.current import current_client_ip
    from gatehound.clientip.logs import ClientIPFilter
    from gatehound.clientip.rate import rate_limit_key

__all__ = [
    "ClientIP",
    "ClientIPFilter",
    "ClientIPResolver",
    "Finding",
    "current_client_ip",
    "rate_limit_key",
]

# Loaded when asked for: who wants a resolver alone pays for no more.
_HOMES = {
    "ClientIPFilter": "gatehound.clientip.logs",
    "Finding": "gatehound.clientip.check",
    "current_client_ip": "gatehound.clientip.current",
    "rate_limit_key": "gatehound.clientip.rate",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # only who asks pays for it

    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
