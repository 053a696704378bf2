"""The resolver: options checked when it is built, one walk for each request.

What belongs here: the public face. It takes no locks and keeps no state between requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, final

from gatehound.clientip.answer import ClientIP
from gatehound.clientip.grammar import parse_peer
from gatehound.clientip.lines import (
    CF_CONNECTING_IP,
    Header,
    Read,
    in_environ,
    in_fields,
    in_pairs,
    in_scope,
)
from gatehound.clientip.modes import CF_NAMES, MODES, find
from gatehound.clientip.options import Options, read_rules
from gatehound.clientip.said import said_beside

if TYPE_CHECKING:
    from gatehound.clientip.check import Finding


@final
class ClientIPResolver:
    """Answer which address is the client, from the socket peer and the header lines.

    Immutable and safe to share between threads and loops; it does no I/O after construction,
    and no bytes that a client sends make it raise. Wrong options raise SettingsError here,
    all in one.

    Your duty: each proxy that you list must itself write the header that the mode reads. A
    header that it only passes on is the client's own text.

    `mode`: `remote-addr` (the default: the socket peer, no header), `x-forwarded-for`,
    `forwarded` (RFC 7239), `x-real-ip`, `header`, `cloudflare`, `auto`, or the name of a
    preset, such as `nginx` or `aws-alb` (gatehound.clientip.presets).
    `trusted_proxies`: who may speak for others. Addresses, networks, ranges, wildcards,
    `cloudflare`, `private`, `unix` and presets that publish their networks, in a list or one
    text; empty trusts nobody. What a preset knows is trusted besides.
    `trust_everyone`: needed for `*`, 0.0.0.0/0 and ::/0; alone it stands for `*`.
    `hops`: with `x-forwarded-for`, take that entry from the right (1 is the last) instead of
    the first untrusted one; the peer must be trusted all the same.
    `header`: the name of the one header that mode `header` reads.
    `edge_overwrites`: say True for a header that its edge passes on unless told otherwise.
    `edge_secret`: `(header, value)`, or `(header, value, older value)` while you change it. A
    second factor for an edge that other customers share: no header is believed without it.
    `allow_headerless`: trusted peers that may come without the header, such as health
    checkers; they are then the client themselves.
    `scheme_header`, `host_header`: headers that your proxy overwrites with what the client
    asked for; read only for the hop that names the client.
    `peer_port`: the server writes the port into the peer's address, as some platforms do.
    `on_all_trusted`: `farthest` answers with the last trusted hop, flagged; `unresolved`
    with none.
    `cloudflare_ranges`: a file with a newer list than the bundled one, from
    `gatehound ip refresh`.
    """

    __slots__ = ("_rules",)

    def __init__(
        self,
        *,
        mode: str = "remote-addr",
        trusted_proxies: str | Iterable[Any] = (),
        trust_everyone: bool = False,
        hops: int | None = None,
        header: str | None = None,
        edge_overwrites: bool = False,
        edge_secret: tuple[str, ...] = (),
        allow_headerless: str | Iterable[Any] = (),
        scheme_header: str | None = None,
        host_header: str | None = None,
        peer_port: bool = False,
        on_all_trusted: Literal["farthest", "unresolved"] = "farthest",
        cloudflare_ranges: str | PathLike[str] | None = None,
    ) -> None:
        options = Options(
            mode=mode,
            trusted_proxies=trusted_proxies,
            trust_everyone=trust_everyone,
            hops=hops,
            header=header,
            edge_overwrites=edge_overwrites,
            edge_secret=edge_secret,
            allow_headerless=allow_headerless,
            scheme_header=scheme_header,
            host_header=host_header,
            peer_port=peer_port,
            on_all_trusted=on_all_trusted,
            cloudflare_ranges=cloudflare_ranges,
        )
        self._rules = read_rules(options)

    def __repr__(self) -> str:
        """Show what holds, the networks merged; no secret."""
        rules = self._rules
        shown: dict[str, Any] = {"mode": self.mode, "trusted_proxies": list(self.trusted_proxies)}
        if rules.hops:
            shown["hops"] = rules.hops
        if rules.mode == "header":
            shown["header"] = rules.header.text
        if rules.secret is not None:
            shown["edge_secret"] = f"{rules.secret.name.text}: ..."
        if rules.headerless is not None:
            shown["allow_headerless"] = list(rules.headerless.listed)
        if rules.scheme is not None:
            shown["scheme_header"] = rules.scheme.text
        if rules.host is not None:
            shown["host_header"] = rules.host.text
        if rules.peer_port:
            shown["peer_port"] = True
        if not rules.farthest:
            shown["on_all_trusted"] = "unresolved"
        return f"ClientIPResolver({', '.join(f'{k}={v!r}' for k, v in shown.items())})"

    @property
    def mode(self) -> str:
        """The mode or preset that was chosen."""
        return self._rules.preset or self._rules.mode

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers that it may read, in lower case; empty for mode remote-addr."""
        rules = self._rules
        names = list(MODES[rules.mode].names)
        more = (rules.secret and rules.secret.name, rules.scheme, rules.host)
        if rules.mode == "header":
            names += CF_NAMES if rules.header == CF_CONNECTING_IP else [rules.header.text]
        return tuple(dict.fromkeys([*names, *(name.text for name in more if name)]))

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """What is trusted, merged; with what the mode trusts by itself."""
        return self._rules.peers.listed

    def resolve(
        self, *, peer: str | None, headers: Iterable[Header] | Mapping[Any, Any] = ()
    ) -> ClientIP:
        """Answer for a socket peer and header lines, in the order in which they came.

        `peer` is what the server reports; None and "" are a unix socket. Names and values
        are bytes or Latin-1 text, names in any case, in pairs or in a mapping; a mapping can
        hold one line of each name only.
        """
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        lines = pairs if isinstance(pairs, list | tuple) else list(pairs)
        return self._answer(peer, peer, lines, in_pairs)

    def from_scope(
        self, scope: Mapping[str, Any], *, fields: Mapping[bytes, bytes] | None = None
    ) -> ClientIP:
        """Answer for an ASGI scope of type http or websocket; it is not changed.

        `fields` are its headers by name, for who has them anyway and knows that none came twice.
        """
        client = scope.get("client")
        if fields is not None:
            peer = client[0] if client else _peer_without_client(scope)
            return self._answer(client, peer, fields, in_fields)
        headers = scope.get("headers", ())
        if not isinstance(headers, list):
            headers = list(headers)  # ASGI allows any iterable, and a mode may read it twice
        peer = client[0] if client else _peer_without_client(scope)
        return self._answer(client, peer, headers, in_scope)

    def from_environ(self, environ: Mapping[str, Any]) -> ClientIP:
        """Answer for a WSGI environ; it is not changed.

        The server has joined repeated lines. Some also fold `X_Forwarded_For` into the real
        header, which nothing here can undo: make the proxy drop names with underscores.
        """
        peer = environ.get("REMOTE_ADDR")
        return self._answer(peer, peer, environ, in_environ)

    def check(self, request: Mapping[str, Any] | None = None) -> tuple[Finding, ...]:
        """Return what an operator should know of these options; empty: nothing.

        `request` is an ASGI scope or a WSGI environ that arrived: what it tells of the server
        and the proxies before it is looked at too.
        """
        from gatehound.clientip.applied import as_it_came
        from gatehound.clientip.check import findings_in, findings_of

        found = tuple(findings_of(self._rules))
        if request is None:
            return found
        as_came = as_it_came(request)
        answer = self.from_scope(as_came) if "headers" in as_came else self.from_environ(as_came)
        return (*found, *findings_in(self._rules, answer, as_came))

    def _answer(self, given: Any, peer: Any, headers: Any, read: Read) -> ClientIP:
        rules = self._rules
        packed = parse_peer(peer, rules.peer_port)
        found = find(rules, packed, headers, read)
        answer = ClientIP(found, rules, given, packed)
        if rules.declares:
            answer._said = said_beside(rules, found, headers, read)
        return answer


def _peer_without_client(scope: Mapping[str, Any]) -> object:
    """Return None, the spelling of a unix socket, where the server listens on one.

    A client that resets its connection at once leaves uvicorn with no peer to ask for, over
    TCP as well: `server` has a port then. MUST NOT be a unix socket, which can be trusted.
    """
    server = scope.get("server")
    is_tcp = isinstance(server, tuple | list) and len(server) > 1 and isinstance(server[1], int)
    return False if is_tcp else None
