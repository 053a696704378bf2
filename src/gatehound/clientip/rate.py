"""A key for rate limits: `rate_limit_key`, in the form that slowapi and flask-limiter call."""

from __future__ import annotations

from typing import Final

from gatehound.clientip.current import current_client_ip
from gatehound.errors import UsageError

UNRESOLVED: Final = "unresolved"
"""The one key of all requests without an address. A key for each would be no limit for whoever
can hide; the peer's address would be the proxy's, and so a key for everybody."""


def _is_length(given: object, most: int) -> bool:
    return isinstance(given, int) and 0 <= given <= most


def rate_limit_key(request: object = None, *, v4: int = 32, v6: int = 64) -> str:
    """Return the client's network as text: `203.0.113.7/32`, `2001:db8:1:2::/64`.

    `request` is anything that `current_client_ip` takes; None is the request being served.
    `v4` and `v6` are prefix lengths: whoever has one v6 address has a /64 of them.

    `unresolved` is one key for all whose address is not known. In a right set-up hardly anyone
    has it. If a proxy no longer sends its header, everyone has it, and all share one limit:
    watch for it, and let the answer's `reason` say why. Where the proxy is not in
    trusted_proxies, all share the proxy's own address in the same way.

    UsageError where ClientIPMiddleware is not around the app, or for a length that is none.
    """
    if not (_is_length(v4, 32) and _is_length(v6, 128)):
        raise UsageError(f"v4={v4!r}, v6={v6!r}: write prefix lengths, v4 of 0-32 and v6 of 0-128")
    answer = current_client_ip(request)
    if answer is None:
        place = "no request" if request is None else type(request).__name__
        raise UsageError(
            f"no client address in {place}: wrap the app in gatehound.clientip's "
            "ClientIPMiddleware, and call this inside of a request"
        )
    network = answer.network(v4, v6)
    return UNRESOLVED if network is None else str(network)
