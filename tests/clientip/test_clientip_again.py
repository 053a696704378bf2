"""What the adapters remember is what the resolver says: the same question, the same answer.

Oracle: the resolver itself, asked without any cache, with all that an answer tells. Not checked:
that anything is remembered at all, which only speed needs.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehound.clientip import ClientIP, ClientIPResolver, again

PROXY, CLIENT = "10.0.0.1", "203.0.113.7"
SECRET = "abcdefghijklmnopqrstuvwxyz012345"
LISTED: dict[str, Any] = {"trusted_proxies": [PROXY, "unix"]}


def resolvers() -> list[ClientIPResolver]:
    """One for each way to read a header, and what may be asked for beside it."""
    modes: list[dict[str, Any]] = [
        {"mode": "remote-addr"},
        {"mode": "remote-addr", "peer_port": True},
        *({"mode": mode, **LISTED} for mode in ("auto", "cloudflare", "forwarded", "x-real-ip")),
        {"mode": "x-forwarded-for", **LISTED},
        {
            "mode": "x-forwarded-for",
            **LISTED,
            "scheme_header": "x-forwarded-proto",
            "host_header": "x-forwarded-host",
        },
        {"mode": "x-forwarded-for", **LISTED, "edge_secret": ("x-edge", SECRET)},
        {"mode": "fastly", "edge_overwrites": True, "edge_secret": ("x-edge", SECRET)},
    ]
    return [ClientIPResolver(**options) for options in modes]


RESOLVERS = resolvers()
NAMES = sorted({name for resolver in RESOLVERS for name in resolver.headers} | {"X-Real-IP"})
ADDRESSES = st.sampled_from(
    [CLIENT, PROXY, "2001:db8::1", "173.245.48.1", "unknown", "", "1.2.3.4:80", "x" * 300]
)
VALUES = st.one_of(
    st.lists(ADDRESSES, min_size=1, max_size=3).map(", ".join),
    ADDRESSES.map(lambda text: f"for={text};proto=https"),
    st.sampled_from([SECRET, "https", "example.org", "\xe9"]),
)
HEADERS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)
CLIENTS = st.one_of(
    st.tuples(st.sampled_from([PROXY, CLIENT, "", "10.0.0.1:5", "x" * 300]), st.integers(0, 2)),
    st.sampled_from([None, (), [PROXY, 4711], (None, 0), (b"10.0.0.1", 1)]),
)
SERVERS = st.sampled_from([None, ("192.0.2.1", 80), ("/run/app.sock", None)])


def told(answer: ClientIP) -> tuple[Any, ...]:
    said = (answer.scheme, answer.host, answer.read, answer.flags)
    return (answer, answer.source, answer.text, said, answer.explain())


@settings(derandomize=True, deadline=None, max_examples=4 * settings().max_examples)
@given(st.sampled_from(RESOLVERS), CLIENTS, SERVERS, HEADERS)
def test_a_scope_has_the_answer_of_the_resolver(
    resolver: ClientIPResolver, client: Any, server: Any, headers: dict[str, str]
) -> None:
    fields = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    scope = {"client": client, "server": server, "headers": list(fields.items())}
    wanted = told(resolver.from_scope(scope))
    for _ in range(2):
        assert told(again.from_fields(resolver, scope, fields)) == wanted


@settings(derandomize=True, deadline=None, max_examples=4 * settings().max_examples)
@given(st.sampled_from(RESOLVERS), CLIENTS, HEADERS)
def test_an_environ_has_the_answer_of_the_resolver(
    resolver: ClientIPResolver, client: Any, headers: dict[str, str]
) -> None:
    environ = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
    environ |= {"REMOTE_ADDR": client[0]} if client else {}
    wanted = told(resolver.from_environ(environ))
    for _ in range(2):
        assert told(again.from_environ(resolver, environ)) == wanted


def test_a_client_that_has_gone_is_no_unix_socket() -> None:
    """Who is taken for one may be trusted, and names any address then."""
    resolver = ClientIPResolver(mode="x-forwarded-for", trusted_proxies=["unix"])
    scope = {"client": (), "server": ("192.0.2.1", 80)}
    fields = {b"x-forwarded-for": CLIENT.encode()}
    assert again.from_fields(resolver, scope, fields).reason == "malformed-peer"


@pytest.mark.parametrize("is_peer", [True, False])
def test_long_text_is_not_kept(is_peer: bool) -> None:
    """A middleware before this may have put a client's own text in the peer's place."""
    resolver = ClientIPResolver(mode="x-forwarded-for", trusted_proxies=[PROXY])
    long = "x" * (again.MAX_TEXT + 1)
    peer, line = (long, CLIENT) if is_peer else (PROXY, long)
    before = (again._from_lines.cache_info(), again._from_texts.cache_info())
    again.from_fields(resolver, {"client": (peer, 1)}, {b"x-forwarded-for": line.encode()})
    again.from_environ(resolver, {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": line})
    assert (again._from_lines.cache_info(), again._from_texts.cache_info()) == before


def test_nothing_is_kept_where_a_secret_is_read() -> None:
    resolver = ClientIPResolver(
        mode="x-forwarded-for", trusted_proxies=[PROXY], edge_secret=("x-edge", SECRET)
    )
    before = (again._from_lines.cache_info(), again._from_texts.cache_info())
    again.from_fields(resolver, {"client": (PROXY, 1)}, {b"x-edge": SECRET.encode()})
    again.from_environ(resolver, {"REMOTE_ADDR": PROXY, "HTTP_X_EDGE": SECRET})
    assert (again._from_lines.cache_info(), again._from_texts.cache_info()) == before
