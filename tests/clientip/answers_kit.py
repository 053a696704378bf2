"""Short ways to write a request and to ask for its answer, for tables of cases."""

from __future__ import annotations

from typing import Any

from gatehound.clientip import ClientIP, ClientIPResolver

OWN = ["10.0.0.0/8"]
CF = "162.158.1.2"
WORKER = "2a06:98c0:3600::103"

Lines = list[tuple[str, str]]


def resolve(
    lines: Lines | str, *, peer: str | None = "10.0.0.1", mode: str = "x-forwarded-for", **kw: Any
) -> ClientIP:
    if isinstance(lines, str):
        lines = [(mode, lines)]
    options = {"trusted_proxies": OWN, **kw}
    return ClientIPResolver(mode=mode, **options).resolve(peer=peer, headers=lines)


def xff(*values: str) -> Lines:
    return [("x-forwarded-for", value) for value in values]


def fwd(*values: str) -> Lines:
    return [("forwarded", value) for value in values]


def cf(*values: str) -> Lines:
    return [("cf-connecting-ip", value) for value in values]


def cf6(*values: str) -> Lines:
    return [("cf-connecting-ipv6", value) for value in values]


UNIX: dict[str, Any] = {"trusted_proxies": [*OWN, "unix"]}
COUNT2: dict[str, Any] = {"hops": 2}
NO_FAR: dict[str, Any] = {"on_all_trusted": "unresolved"}
X, F, R, C, A = "x-forwarded-for", "forwarded", "x-real-ip", "cloudflare", "auto"
H, SOCKET, KEY = "header", "x-azure-socketip", "a-secret-of-16-or-more"
OLD = "the-one-before-it"
AZURE: dict[str, Any] = {"header": "X-Azure-SocketIP"}
HEALTH: dict[str, Any] = {"allow_headerless": "10.0.0.5"}
SECRET: dict[str, Any] = {"edge_secret": ("X-Edge", KEY, OLD)}
NONE: dict[str, Any] = {"trusted_proxies": ()}


P = "X-Forwarded-Proto"
SAYS: dict[str, Any] = {"scheme_header": P, "host_header": "X-Forwarded-Host"}


def proto(*values: str) -> Lines:
    return [(P, value) for value in values]


def host(*values: str) -> Lines:
    return [("x-forwarded-host", value) for value in values]


def edge(*values: str) -> Lines:
    return [("X-Edge", value) for value in values]
