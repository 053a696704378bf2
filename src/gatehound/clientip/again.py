"""The answer to what was asked a moment ago: the same peer with the same header lines.

A browser asks for twenty things in a row over one connection, and the walk costs a tenth of what
the guard adds to each. What belongs here: the cache of the adapters. What must not: an answer
that depends on anything but its key. The resolver itself keeps no state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from gatehound.clientip.answer import ClientIP
from gatehound.clientip.resolver import ClientIPResolver

SIZE: Final = 4096  # answers of about 1 KB each
# Longer text is read each time: nobody fills the memory with his own. The peer is text too, where
# something before this has put a header's in its place.
MAX_TEXT: Final = 256


def from_fields(
    resolver: ClientIPResolver, scope: Mapping[str, Any], fields: Mapping[bytes, bytes]
) -> ClientIP:
    """As `resolver.from_scope`, for headers by name of which none came twice."""
    client, names = scope.get("client"), raw_names(resolver)
    # Without a client the server decides, which is no part of the key.
    if not client or type(client) is not tuple or names is None:
        return resolver.from_scope(scope, fields=fields)
    if type(client[0]) is not str or len(client[0]) > MAX_TEXT:
        return resolver.from_scope(scope, fields=fields)
    lines = tuple([fields.get(name) for name in names])
    for line in lines:
        if line is not None and len(line) > MAX_TEXT:
            return resolver.from_scope(scope, fields=fields)
    return _from_lines(resolver, client, lines)


def from_environ(resolver: ClientIPResolver, environ: Mapping[str, Any]) -> ClientIP:
    """As `resolver.from_environ`."""
    peer, names = environ.get("REMOTE_ADDR"), keys(resolver)
    if type(peer) is not str or len(peer) > MAX_TEXT or names is None:
        return resolver.from_environ(environ)
    lines = tuple([environ.get(name) for name in names])
    for line in lines:
        if line is not None and len(line) > MAX_TEXT:
            return resolver.from_environ(environ)
    return _from_texts(resolver, peer, lines)


@lru_cache(SIZE)
def _from_lines(
    resolver: ClientIPResolver, client: tuple[Any, ...], lines: tuple[bytes | None, ...]
) -> ClientIP:
    pairs = zip(raw_names(resolver) or (), lines, strict=True)
    fields = {name: line for name, line in pairs if line is not None}
    return resolver.from_scope({"client": client}, fields=fields)


@lru_cache(SIZE)
def _from_texts(resolver: ClientIPResolver, peer: str, lines: tuple[str | None, ...]) -> ClientIP:
    pairs = zip(keys(resolver) or (), lines, strict=True)
    environ = {name: line for name, line in pairs if line is not None}
    return resolver.from_environ({"REMOTE_ADDR": peer, **environ})


@lru_cache(64)
def raw_names(resolver: ClientIPResolver) -> tuple[bytes, ...] | None:
    """Return the headers that it may read as a scope names them; None where one is a secret."""
    return _names(resolver, lambda name: name.encode("ascii"))


@lru_cache(64)
def keys(resolver: ClientIPResolver) -> tuple[str, ...] | None:
    """Return the headers that it may read as an environ names them; None where one is a secret."""
    return _names(resolver, lambda name: f"HTTP_{name.upper().replace('-', '_')}")


def _names(resolver: ClientIPResolver, spell: Callable[[str], Any]) -> tuple[Any, ...] | None:
    """Spell the headers that it may read; None where one is a secret, which nothing keeps."""
    return None if resolver._rules.secret else tuple(map(spell, resolver.headers))
