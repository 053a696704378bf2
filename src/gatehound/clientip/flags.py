"""What a reader should know of an answer beyond its address; worked out when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from gatehound.clientip.cloudflare import WORKER
from gatehound.clientip.modes import Rules
from gatehound.clientip.presets import PRESETS
from gatehound.clientip.trust import TrustSet
from gatehound.clientip.walk import Found


def flags_of(rules: Rules, found: Found, given: Any) -> frozenset[str]:
    """Name what holds; `given` is the peer as the server reported it."""
    return frozenset(_flags(rules, found, given))


def _flags(rules: Rules, found: Found, given: Any) -> Iterator[str]:
    packed = found.packed
    if found.reason == "all-trusted":
        yield "all-trusted"
    if is_rewritten(given):
        yield "peer-rewritten"
    if found.source == "cf-connecting-ipv6":
        yield "pseudo-ipv4"
    if packed is None:
        return
    if len(packed) == 4 and packed[0] >= 240:
        yield "pseudo-ipv4"
    if packed == WORKER:
        yield "worker"
    if rules.peers.covers(packed):
        if found.reason != "all-trusted":
            yield "trusted-range"
    elif provider_of(rules, packed):
        yield "known-provider-range"


def is_rewritten(client: Any) -> bool:
    """Tell whether the server put another address into `scope["client"]` than the socket's.

    uvicorn and those that follow it write port 0 there, which no TCP peer has; where the
    header brings a port they write that one, and nothing tells.
    """
    return isinstance(client, tuple | list) and len(client) > 1 and client[1] == 0


def provider_of(rules: Rules, packed: bytes) -> str:
    """Name the mode of the provider that publishes the address as its edge, "" for none."""
    if rules.edge.covers(packed):
        return "cloudflare"
    return next((name for name, trust in edges() if trust.covers(packed)), "")


@cache
def edges() -> tuple[tuple[str, TrustSet], ...]:
    """Compile what the presets publish."""
    return tuple((n, TrustSet(p.networks)) for n, p in PRESETS.items() if p.publishes)
