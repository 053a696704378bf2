"""Which address is the client, from a socket peer and header lines; stands alone.

    resolver = ClientIPResolver(mode="x-forwarded-for", trusted_proxies=["10.0.0.0/8"])
    answer = resolver.from_scope(scope)  # or from_environ(environ), or resolve(peer=, headers=)
    answer.address, answer.reason, answer.explain()

Reading order: resolver, modes, walk, grammar, forwarded; then options, entries, trust.
"""

from __future__ import annotations

from gatehound.clientip.answer import ClientIP
from gatehound.clientip.resolver import ClientIPResolver

__all__ = ["ClientIP", "ClientIPResolver"]
