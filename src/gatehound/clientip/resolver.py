"""The resolver: options checked when it is built, one walk for each request.

What belongs here: the public face, and how a list of headers, an ASGI scope and a WSGI
environ become the same pairs. It takes no locks and keeps no state between requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, final

from gatehound.clientip.answer import ClientIP
from gatehound.clientip.grammar import parse_peer
from gatehound.clientip.modes import MODES, Rules, find, gate
from gatehound.clientip.options import read_rules

Header = tuple[bytes, bytes] | tuple[str, str]


@final
class ClientIPResolver:
    """Answer which address is the client, from the socket peer and the header lines.

    Immutable and safe to share between threads and loops; it does no I/O, and no bytes
    that a client sends make it raise. Wrong options raise SettingsError here, all in one.

    Your duty: each proxy that you list must itself write the header that the mode reads. A
    header that it only passes on is the client's own text.

    `mode`: `remote-addr` (the default: the socket peer, no header), `x-forwarded-for`,
    `forwarded` (RFC 7239), `x-real-ip`, `cloudflare` or `auto`.
    `trusted_proxies`: who may speak for others. Addresses, networks, ranges, wildcards,
    `cloudflare`, `private` and `unix`, in a list or one text; empty trusts nobody.
    `hops`: with `x-forwarded-for`, take that entry from the right (1 is the last) instead of
    the first untrusted one; the peer must be trusted all the same.
    `peer_port`: the server writes the port into the peer's address (Azure does).
    `on_all_trusted`: `farthest` answers with the last trusted hop, flagged; `unresolved`
    with none.
    `trust_everyone`: needed for `*`, 0.0.0.0/0 and ::/0; alone it stands for `*`.
    """

    __slots__ = ("_keys", "_names", "_rules", "_sizes")

    _rules: Rules
    _names: Mapping[bytes, str]
    _sizes: frozenset[int]
    _keys: tuple[tuple[str, str], ...]

    def __init__(
        self,
        *,
        mode: str = "remote-addr",
        trusted_proxies: str | Iterable[Any] = (),
        trust_everyone: bool = False,
        hops: int | None = None,
        peer_port: bool = False,
        on_all_trusted: Literal["farthest", "unresolved"] = "farthest",
    ) -> None:
        rules = read_rules(
            mode=mode,
            trusted_proxies=trusted_proxies,
            trust_everyone=trust_everyone,
            hops=hops,
            peer_port=peer_port,
            on_all_trusted=on_all_trusted,
        )
        names = MODES[rules.mode].names
        put = object.__setattr__
        put(self, "_rules", rules)
        put(self, "_names", {name.encode(): name for name in names})
        put(self, "_sizes", frozenset(map(len, names)))
        put(self, "_keys", tuple((n, f"HTTP_{n.upper().replace('-', '_')}") for n in names))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"ClientIPResolver is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"ClientIPResolver is immutable: {name} cannot be deleted")

    def __repr__(self) -> str:
        rules = self._rules
        hops = f", hops={rules.hops}" if rules.hops else ""
        return (
            f"ClientIPResolver(mode={rules.mode!r}, "
            f"trusted_proxies={list(self.trusted_proxies)!r}{hops})"
        )

    @property
    def mode(self) -> str:
        """The mode that was chosen."""
        return self._rules.mode

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """What is trusted, merged; with what the mode trusts by itself."""
        return self._rules.peers.listed

    def resolve(self, *, peer: str | None, headers: Iterable[Header] = ()) -> ClientIP:
        """Answer for a socket peer and header lines, in the order in which they came.

        `peer` is what the server reports; None and "" are a unix socket. Names and values
        are bytes or Latin-1 text, names in any case.
        """
        rules = self._rules
        packed = parse_peer(peer, with_port=rules.peer_port)
        found = gate(rules, packed)
        if found is None:
            names, sizes = self._names, self._sizes
            pairs = [
                (names[low], _text(value))
                for name, value in headers
                if len(name) in sizes and (low := _bytes(name).lower()) in names
            ]
            found = find(rules, packed, pairs)
        return ClientIP(found, (rules, peer, packed))

    def from_scope(self, scope: Mapping[str, Any]) -> ClientIP:
        """Answer for an ASGI scope of type http or websocket; it is not changed."""
        rules = self._rules
        client = scope.get("client")
        peer = client[0] if client else None
        packed = parse_peer(peer, with_port=rules.peer_port)
        found = gate(rules, packed)
        if found is None:
            names = self._names  # ASGI: names are bytes in lower case, so one look-up tells
            pairs = [
                (names[name], str(value, "latin-1"))
                for name, value in scope.get("headers", ())
                if name in names
            ]
            found = find(rules, packed, pairs)
        return ClientIP(found, (rules, peer, packed))

    def from_environ(self, environ: Mapping[str, Any]) -> ClientIP:
        """Answer for a WSGI environ; it is not changed.

        The server has joined repeated lines. Some also fold `X_Forwarded_For` into the real
        header, which nothing here can undo: make the proxy drop names with underscores.
        """
        peer = environ.get("REMOTE_ADDR")
        rules = self._rules
        packed = parse_peer(peer, with_port=rules.peer_port)
        found = gate(rules, packed)
        if found is None:
            pairs = [(name, environ[key]) for name, key in self._keys if key in environ]
            found = find(rules, packed, pairs)
        return ClientIP(found, (rules, peer, packed))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else str(value, "latin-1")


def _bytes(name: bytes | str) -> bytes:
    """Encode a name; what is not Latin-1 cannot be one of ours, and becomes `?`."""
    return name if isinstance(name, bytes) else name.encode("latin-1", "replace")
