"""What an ASGI scope tells of a request."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Final

from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.clientip.again import from_fields
from gatehound.clientip.current import KEY, known_answer
from gatehound.model import Request
from gatehound.web import path_in

Scope = MutableMapping[str, Any]

_SEPARATORS: Final = {b"cookie": b"; ", b"user-agent": b","}


class ScopeRequest(Request):
    """What an ASGI scope tells."""

    __slots__ = ("_agent", "_fields", "_is_plain", "_scope", "line")

    gap, end = b"; ", b";"

    def __init__(self, scope: Scope) -> None:
        headers = scope["headers"]
        if type(headers) is not list:  # ASGI allows any iterable, and the app reads it after us
            headers = scope["headers"] = list(headers)
        # A copy: the scope will hold the Visit, which holds this, and what is a circle waits for
        # the garbage collector, with all its headers.
        self._scope = scope.copy() if type(scope) is dict else dict(scope)
        fields = dict(headers)
        self._is_plain = is_plain = len(fields) == len(headers)  # no name came twice
        self._fields = fields = fields if is_plain else _joined(headers)
        self.line = fields.get(b"cookie", b"")
        self._agent: str | None = None
        self.websocket = websocket = scope["type"] == "websocket"
        method = "GET" if websocket else scope["method"]
        self.method = method if method == "GET" else method.upper()
        self.path = scope["path"]

    @property
    def agent(self) -> str:  # type: ignore[override] # asked for by few: read when it is
        """The User-Agent."""
        agent = self._agent
        if agent is None:
            agent = self._agent = str(self._fields.get(b"user-agent", b""), "latin-1")
        return agent

    @property
    def cookie(self) -> str:  # type: ignore[override] # as the agent
        """All Cookie lines."""
        return str(self.line, "latin-1")

    @property
    def query(self) -> str:  # type: ignore[override] # as the agent
        """The raw query text."""
        return str(self._scope.get("query_string", b""), "latin-1")

    @property
    def root(self) -> str:
        """The root path, without a slash at its end."""
        return str(self._scope.get("root_path", "")).rstrip("/")

    @property
    def route(self) -> str:
        """The path below the root path, which servers put in front of it or not."""
        return path_in(self._scope)

    @property
    def scheme(self) -> str:  # type: ignore[override] # as the agent
        """What the server says of the connection."""
        return str(self._scope.get("scheme", ""))

    @property
    def host(self) -> str:  # type: ignore[override] # as the agent
        """The Host header as sent."""
        return self.header("host")

    def header(self, name: str) -> str:
        """Return the value of a header, lines joined by ", "; "" when absent."""
        value = self._fields.get(raw_name(name))
        return "" if value is None else str(value, "latin-1")

    def lacks(self, names: tuple[str, ...]) -> bool:
        """True where none of these headers was sent, names in lower case."""
        return self._fields.keys().isdisjoint(raw_names(names))

    def navigates(self) -> bool:
        """True where a browser follows a link, and says nothing of doing it ahead of time."""
        fields = self._fields
        if fields.get(b"sec-fetch-mode") != b"navigate" or self.websocket:
            return False
        # Those of PURPOSES by name: a set of them takes twice as long.
        is_ahead = b"sec-purpose" in fields or b"purpose" in fields
        return not (is_ahead or b"x-moz" in fields or b"x-sec-purpose" in fields)

    def place(self, names: tuple[bytes, ...]) -> tuple[Any, ...]:
        """Return the agent, the peer and the lines of these headers.

        The agent alone where a header came twice, or something before this knows the address.
        """
        get, scope = self._fields.get, self._scope
        if KEY in scope or not self._is_plain:
            return (get(b"user-agent"),)
        return (get(b"user-agent"), scope.get("client"), *map(get, names))

    def locate(self, resolver: ClientIPResolver) -> ClientIP:
        """Ask the resolver for the client's address, unless ClientIPMiddleware applied it."""
        scope = self._scope
        answer = known_answer(scope, resolver) if KEY in scope else None
        if answer is None:
            if self._is_plain:
                answer = from_fields(resolver, scope, self._fields)
            else:
                answer = resolver.from_scope(scope)
        return answer


@lru_cache(64)
def raw_names(names: tuple[str, ...]) -> frozenset[bytes]:
    """Return names of headers as a scope holds them."""
    return frozenset(map(raw_name, names))


@lru_cache(256)
def raw_name(name: str) -> bytes:
    """Return the name of a header as a scope holds it."""
    return name.lower().encode("latin-1")


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Read headers of which some came twice: Host is the last, User-Agent as WSGI joins it."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in fields and name != b"host":
            fields[name] += _SEPARATORS.get(name, b", ") + value
        else:
            fields[name] = value
    return fields
