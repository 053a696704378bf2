"""Reason, source and flags, case by case; unix peers; bounds; real header lines."""

# ruff: noqa: E501 - a case is one row of the table

from __future__ import annotations

import ipaddress
import threading
from typing import Any

import pytest
from answers_kit import (
    AZURE,
    CF,
    COUNT2,
    HEALTH,
    KEY,
    NO_FAR,
    NONE,
    OLD,
    OWN,
    SECRET,
    SOCKET,
    UNIX,
    WORKER,
    A,
    C,
    F,
    H,
    Lines,
    R,
    X,
    cf,
    cf6,
    edge,
    fwd,
    resolve,
    xff,
)

from gatehound.clientip import ClientIPResolver
from gatehound.clientip.grammar import MAX_ELEMENT
from gatehound.clientip.trace import _ADVICE, MEANING
from gatehound.clientip.walk import MAX_SCAN, MAX_TRUSTED_HOPS

# mode, options, peer, lines, address, reason, source, flags
CASES: list[tuple[str, dict[str, Any], str | None, Lines, str | None, str, str, str]] = [
    # the peer gate
    ("remote-addr", {}, "203.0.113.7", xff("1.1.1.1"), "203.0.113.7", "direct", "peer", ""),
    ("remote-addr", {}, "10.0.0.1", [], "10.0.0.1", "direct", "peer", "trusted-range"),
    ("remote-addr", {}, CF, [], CF, "direct", "peer", "known-provider-range"),
    ("remote-addr", {}, None, [], None, "unix-peer", "peer", ""),
    ("remote-addr", {}, "testclient", [], None, "malformed-peer", "peer", ""),
    (X, {}, "203.0.113.7", xff("1.1.1.1"), "203.0.113.7", "peer-not-trusted", "peer", ""),
    (X, {}, CF, xff("1.1.1.1"), CF, "peer-not-trusted", "peer", "known-provider-range"),
    (X, {}, "", xff("1.1.1.1"), None, "unix-peer-not-trusted", "peer", ""),
    (X, {}, "10.0.0.1:80", xff("1.1.1.1"), None, "malformed-peer", "peer", ""),
    (X, {}, "224.0.0.1", xff("1.1.1.1"), None, "malformed-peer", "peer", ""),
    (X, {"peer_port": True}, "[::ffff:10.0.0.1]:80", xff("1.1.1.1"), "1.1.1.1", "client", X + "[-1]", ""),
    (X, {"peer_port": True}, "10.0.0.1", xff("1.1.1.1"), "1.1.1.1", "client", X + "[-1]", ""),
    # the walk
    (X, {}, "10.0.0.1", xff("8.8.8.8, 203.0.113.7, 10.0.0.2"), "203.0.113.7", "client", X + "[-2]", ""),
    (X, {}, "10.0.0.1", xff("8.8.8.8, x, 10.0.0.2"), None, "malformed-hop", X + "[-2]", ""),
    (X, {}, "10.0.0.1", [], None, "header-missing", X, ""),
    (X, {}, "10.0.0.1", xff("", " , "), None, "header-missing", X, ""),
    (X, {}, "10.0.0.1", xff("1.1.1.1", ""), None, "malformed-hop", X + "[-1]", ""),
    (X, {}, "10.0.0.1", xff("10.0.0.3,10.0.0.2"), "10.0.0.3", "all-trusted", X + "[-2]", "all-trusted"),
    (X, NO_FAR, "10.0.0.1", xff("10.0.0.3"), None, "all-trusted", X + "[-1]", "all-trusted"),
    (X, {}, "10.0.0.1", xff("240.1.2.3"), "240.1.2.3", "client", X + "[-1]", "pseudo-ipv4"),
    (X, {}, "10.0.0.1", xff("255.255.255.255"), None, "malformed-hop", X + "[-1]", ""),
    (X, {}, "10.0.0.1", xff("ff02::1"), None, "malformed-hop", X + "[-1]", ""),
    (X, {}, "10.0.0.1", xff(CF), CF, "client", X + "[-1]", "known-provider-range"),
    (X, UNIX, "10.0.0.1", xff("unix:"), None, "all-trusted", X + "[-1]", "all-trusted"),
    (X, {}, "10.0.0.1", xff("1.1.1.1, unix:"), None, "malformed-hop", X + "[-1]", ""),
    # a Worker's author writes what stands left of its address: never trusted, never passed
    (X, {"trusted_proxies": "cloudflare"}, CF, xff(f"1.1.1.1, {WORKER}"), WORKER, "client", X + "[-1]", "worker"),
    (X, {"trusted_proxies": "2a06:98c0::/29"}, "2a06:98c0::1", xff(f"1.1.1.1, {WORKER}"), WORKER, "client", X + "[-1]", "worker"),
    # the count
    (X, COUNT2, "10.0.0.1", xff("1.1.1.1,203.0.113.7,8.8.8.8"), "203.0.113.7", "client", X + "[-2]", ""),
    (X, COUNT2, "10.0.0.1", xff("10.9.9.9,8.8.8.8"), "10.9.9.9", "client", X + "[-2]", "trusted-range"),
    (X, COUNT2, "10.0.0.1", xff("8.8.8.8"), None, "too-few-hops", X + "[-1]", ""),
    (X, COUNT2, "10.0.0.1", xff("1.1.1.1,,8.8.8.8"), None, "malformed-hop", X + "[-2]", ""),
    (X, COUNT2, "10.0.0.1", xff("1.1.1.1,unix:"), None, "malformed-hop", X + "[-1]", ""),
    (X, {**COUNT2, **UNIX}, "10.0.0.1", xff("1.1.1.1,unix:"), "1.1.1.1", "client", X + "[-2]", ""),
    (X, {**COUNT2, **UNIX}, "10.0.0.1", xff("unix:,8.8.8.8"), None, "malformed-hop", X + "[-2]", ""),
    (X, COUNT2, "10.0.0.1", [], None, "header-missing", X, ""),
    # Forwarded
    (F, {}, "10.0.0.1", fwd("for=1.1.1.1, for=203.0.113.7;proto=http"), "203.0.113.7", "client", F + "[-1].for", ""),
    (F, {}, "10.0.0.1", fwd("for=203.0.113.7", 'for="10.0.0.2:_p"'), "203.0.113.7", "client", F + "[-2].for", ""),
    (F, {}, "10.0.0.1", fwd("proto=https"), None, "malformed-hop", F + "[-1].for", ""),
    (F, {}, "10.0.0.1", fwd("for=10.0.0.9"), "10.0.0.9", "all-trusted", F + "[-1].for", "all-trusted"),
    (F, NO_FAR, "10.0.0.1", fwd("for=10.0.0.9"), None, "all-trusted", F + "[-1].for", "all-trusted"),
    # X-Real-IP
    (R, {}, "10.0.0.1", [(R, " 203.0.113.7 ")], "203.0.113.7", "client", R, ""),
    (R, {}, "10.0.0.1", [(R, "203.0.113.7:80")], "203.0.113.7", "client", R, ""),
    (R, {}, "10.0.0.1", [(R, "1.1.1.1, 203.0.113.7")], None, "header-repeated", R, ""),
    (R, {}, "10.0.0.1", [(R, ""), (R, "203.0.113.7")], None, "header-repeated", R, ""),
    (R, {}, "10.0.0.1", [(R, "")], None, "header-missing", R, ""),
    (R, {}, "10.0.0.1", [(R, "1" * 99)], None, "malformed-hop", R, ""),
    (R, {}, "10.0.0.1", [(R, "unix:")], None, "malformed-hop", R, ""),
    (R, UNIX, "10.0.0.1", [(R, "unix:")], None, "all-trusted", R, "all-trusted"),
    (R, {}, "10.0.0.1", [(R, "10.0.0.5")], "10.0.0.5", "all-trusted", R, "all-trusted"),
    (R, NO_FAR, "10.0.0.1", [(R, "10.0.0.5")], None, "all-trusted", R, "all-trusted"),
    # Cloudflare
    (C, {}, CF, cf("203.0.113.7"), "203.0.113.7", "client", "cf-connecting-ip", ""),
    (C, {}, CF, xff("1.1.1.1"), None, "header-missing", "cf-connecting-ip", ""),
    (C, {}, CF, cf("1.1.1.1,2.2.2.2"), None, "header-repeated", "cf-connecting-ip", ""),
    (C, {}, CF, cf("[2001:db8::7]"), None, "malformed-hop", "cf-connecting-ip", ""),
    (C, {}, CF, cf(WORKER), WORKER, "client", "cf-connecting-ip", "worker"),
    (C, {}, CF, cf("104.16.0.1"), "104.16.0.1", "client", "cf-connecting-ip", "trusted-range"),
    (C, {}, CF, cf("240.16.0.1"), "240.16.0.1", "client", "cf-connecting-ip", "pseudo-ipv4"),
    (C, {}, CF, cf("240.16.0.1") + cf6("2001:db8::7"), "2001:db8::7", "client", "cf-connecting-ipv6", "pseudo-ipv4"),
    (C, {}, CF, cf("203.0.113.7") + cf6("2001:db8::7"), "203.0.113.7", "client", "cf-connecting-ip", ""),
    (C, {}, CF, cf("240.16.0.1") + cf6("::1", "::2"), None, "header-repeated", "cf-connecting-ipv6", "pseudo-ipv4"),
    (C, {}, CF, cf("240.16.0.1") + cf6("1.1.1.1"), None, "malformed-hop", "cf-connecting-ipv6", "pseudo-ipv4"),
    (C, {}, WORKER, cf("1.1.1.1"), WORKER, "peer-not-trusted", "peer", "worker"),
    (C, {}, "10.0.0.1", xff(f"1.1.1.1, {CF}, 10.0.0.2") + cf("203.0.113.7"), "203.0.113.7", "client", "cf-connecting-ip", ""),
    (C, {"trusted_proxies": [*OWN, "cloudflare"]}, "10.0.0.1", xff(f"1.1.1.1, {CF}") + cf("203.0.113.7"), "203.0.113.7", "client", "cf-connecting-ip", ""),
    (C, {}, "10.0.0.1", xff("198.51.100.66") + cf("1.1.1.1"), "198.51.100.66", "bypassed-cloudflare", X + "[-1]", ""),
    (C, {}, "10.0.0.1", xff(f"198.51.100.66, {WORKER}") + cf("1.1.1.1"), WORKER, "bypassed-cloudflare", X + "[-1]", "worker"),
    (C, {}, "10.0.0.1", cf("1.1.1.1"), None, "header-missing", X, ""),
    (C, {}, "10.0.0.1", xff("10.0.0.7") + cf("1.1.1.1"), "10.0.0.7", "all-trusted", X + "[-1]", "all-trusted"),
    # auto
    (A, {}, CF, cf("203.0.113.7") + fwd("for=6.6.6.6"), "203.0.113.7", "client", "cf-connecting-ip", ""),
    (A, {}, "10.0.0.1", xff(CF) + cf("203.0.113.7"), "203.0.113.7", "client", "cf-connecting-ip", ""),
    (A, {}, "10.0.0.1", fwd(f"for={CF}") + cf("203.0.113.7"), "203.0.113.7", "client", "cf-connecting-ip", ""),
    (A, {}, "10.0.0.1", xff("203.0.113.7") + fwd("for=203.0.113.7"), "203.0.113.7", "client", X + "[-1]", ""),
    (A, {}, "10.0.0.1", xff("203.0.113.7") + fwd("for=6.6.6.6"), None, "headers-disagree", f"{X}[-1] {F}[-1].for", ""),
    (A, {}, "10.0.0.1", xff("203.0.113.7") + fwd("for=unknown"), None, "headers-disagree", f"{X}[-1] {F}[-1].for", ""),
    (A, {}, "10.0.0.1", xff("x") + fwd("for=unknown"), None, "malformed-hop", X + "[-1]", ""),
    (A, {}, "10.0.0.1", xff("") + fwd("for=203.0.113.7"), "203.0.113.7", "client", F + "[-1].for", ""),
    (A, NO_FAR, "10.0.0.1", xff("10.0.0.7"), None, "all-trusted", X + "[-1]", "all-trusted"),
    # the proxy writes Forwarded only: a client forges the edge in the header that it passes on
    (A, {}, "10.0.0.1", xff(CF) + cf("1.1.1.1") + fwd("for=203.0.113.7"), None, "headers-disagree", f"{X}[-1] {F}[-1].for", ""),
    (A, {}, "10.0.0.1", [(R, "1.1.1.1"), ("true-client-ip", "1.1.1.1")], None, "header-missing", f"{X} {F}", ""),
    # a header by name
    (H, AZURE, "10.0.0.1", [(SOCKET, "203.0.113.7")], "203.0.113.7", "client", SOCKET, ""),
    (H, AZURE, "203.0.113.9", [(SOCKET, "1.1.1.1")], "203.0.113.9", "peer-not-trusted", "peer", ""),
    (H, AZURE, "10.0.0.1", xff("1.1.1.1"), None, "header-missing", SOCKET, ""),
    (H, AZURE, "10.0.0.1", [(SOCKET, "1.1.1.1,203.0.113.7")], None, "header-repeated", SOCKET, ""),
    (H, AZURE, "10.0.0.1", [(SOCKET, "unknown")], None, "malformed-hop", SOCKET, ""),
    (H, AZURE, "10.0.0.1", [(SOCKET, "10.0.0.7")], "10.0.0.7", "all-trusted", SOCKET, "all-trusted"),
    (H, {"header": "CF-Connecting-IP"}, "10.0.0.1", cf("240.0.0.1") + cf6("2001:db8::7"), "2001:db8::7", "client", "cf-connecting-ipv6", "pseudo-ipv4"),
    (H, {"header": "CF-Connecting-IP"}, "10.0.0.1", cf("203.0.113.7:80"), None, "malformed-hop", "cf-connecting-ip", ""),
    ("cloudflare-tunnel", {}, "127.0.0.1", cf("203.0.113.7") + xff("1.1.1.1"), "203.0.113.7", "client", "cf-connecting-ip", ""),
    # peers that may come without the header
    (X, HEALTH, "10.0.0.5", [], "10.0.0.5", "headerless-peer", "peer", "trusted-range"),
    (X, HEALTH, "10.0.0.6", [], None, "header-missing", X, ""),
    (X, HEALTH, "10.0.0.5", xff(" ,"), None, "header-missing", X, ""),
    # a chain that proves the edge came, so the peer is no health checker
    (C, {"allow_headerless": OWN}, "10.0.0.1", xff(CF), None, "header-missing", "cf-connecting-ip", ""),
    (A, {"allow_headerless": OWN}, "10.0.0.1", [], "10.0.0.1", "headerless-peer", "peer", "trusted-range"),
    (X, HEALTH, "10.0.0.5", xff("203.0.113.7"), "203.0.113.7", "client", X + "[-1]", ""),
    (X, HEALTH, "10.0.0.5", xff("x"), None, "malformed-hop", X + "[-1]", ""),
    (C, {"allow_headerless": "cloudflare"}, CF, [], CF, "headerless-peer", "peer", "trusted-range"),
    # the second factor of a shared edge
    (X, SECRET, "10.0.0.1", xff("203.0.113.7") + edge(KEY), "203.0.113.7", "client", X + "[-1]", ""),
    (X, SECRET, "10.0.0.1", xff("203.0.113.7") + edge(f" {KEY} "), "203.0.113.7", "client", X + "[-1]", ""),
    (X, SECRET, "10.0.0.1", xff("203.0.113.7") + edge(OLD), "203.0.113.7", "client", X + "[-1]", ""),
    (X, SECRET, "10.0.0.1", xff("203.0.113.7"), None, "edge-secret-wrong", "x-edge", ""),
    (X, SECRET, "10.0.0.1", xff("203.0.113.7") + edge(KEY + "x"), None, "edge-secret-wrong", "x-edge", ""),
    (X, SECRET, "10.0.0.1", xff("203.0.113.7") + edge(KEY, KEY), None, "edge-secret-wrong", "x-edge", ""),
    (X, SECRET, "10.0.0.1", xff("203.0.113.7") + edge(f"{KEY},{KEY}"), None, "edge-secret-wrong", "x-edge", ""),
    (X, SECRET, "10.0.0.1", xff("203.0.113.7") + edge("\u20ac"), None, "edge-secret-wrong", "x-edge", ""),
    (X, SECRET, "203.0.113.9", xff("1.1.1.1") + edge(KEY), "203.0.113.9", "peer-not-trusted", "peer", ""),
    # presets
    ("gcp-lb", NONE, "35.191.0.1", xff("1.1.1.1, 203.0.113.7, 34.1.1.1"), "203.0.113.7", "client", X + "[-2]", ""),
    ("gcp-lb", NONE, "34.1.1.1", xff("1.1.1.1, 203.0.113.7, 34.1.1.1"), "34.1.1.1", "peer-not-trusted", "peer", ""),
    ("aws-alb", {}, "10.0.0.1", xff("1.1.1.1, 203.0.113.7:4711"), "203.0.113.7", "client", X + "[-1]", ""),
    ("heroku", {}, "10.0.0.1", xff("1.1.1.1, 203.0.113.7"), "203.0.113.7", "client", X + "[-1]", ""),
    ("heroku", {}, "10.0.0.1", xff("203.0.113.7", "1.1.1.1"), None, "header-repeated", X, ""),
    (X, {}, "10.0.0.1", xff("35.191.0.9"), "35.191.0.9", "client", X + "[-1]", "known-provider-range"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "options", "peer", "lines", "address", "reason", "source", "flags"), CASES
)
def test_answer(
    mode: str,
    options: dict[str, Any],
    peer: str | None,
    lines: Lines,
    address: str | None,
    reason: str,
    source: str,
    flags: str,
) -> None:
    answer = resolve(lines, peer=peer, mode=mode, **options)
    got = None if answer.address is None else str(answer.address)
    assert (got, answer.reason, answer.source) == (address, reason, source), answer.explain()
    assert answer.flags == frozenset(flags.split())
    shown = answer.explain()
    assert shown[0].split(" (")[0] == f"mode {mode}"
    assert KEY not in "\n".join([*shown, repr(answer)])
    assert f"answer {address or 'unresolved'}: {reason}, from {source}: " in "\n".join(shown)


def test_every_reason_and_flag_is_explained_and_reached() -> None:
    reached = {case[5] for case in CASES}
    assert set(MEANING) == reached | {"header-too-long", "too-many-hops"}
    assert {"known-provider-range", *_ADVICE} == {
        "peer-rewritten",
        *(f for case in CASES for f in case[7].split()),
    }


UNIX_PEERS: list[Any] = [None, "", "localhost", "<local>", "0.0.0.0", "unix:"]  # noqa: S104 - what uwsgi reports


@pytest.mark.parametrize("peer", UNIX_PEERS)
@pytest.mark.parametrize("trusts", [True, False])
def test_unix_peers_are_trusted_only_where_listed(peer: str | None, trusts: bool) -> None:
    # private and everyone are addresses: a unix socket is neither
    trust = ["private", "*", *(["unix"] if trusts else [])]
    resolver = ClientIPResolver(mode=X, trusted_proxies=trust, trust_everyone=True)
    headers = [(b"x-forwarded-for", b"203.0.113.7")]
    environ = {"HTTP_X_FORWARDED_FOR": "203.0.113.7"}
    given = {} if peer is None else {"REMOTE_ADDR": peer}
    for answer in (
        resolver.resolve(peer=peer, headers=headers),
        resolver.from_scope({"client": (peer, "0"), "headers": headers}),
        resolver.from_environ({**environ, **given}),
    ):
        assert answer.peer == "unix"
        expected = ("203.0.113.7", "all-trusted") if trusts else ("None", "unix-peer-not-trusted")
        assert (str(answer.address), answer.reason) == expected
    assert resolver.resolve(peer=peer).reason.startswith("header-missing" if trusts else "unix-")


@pytest.mark.parametrize("client", [None, [], ("", "0"), ["", 0]])
def test_scope_clients_of_unix_sockets(client: Any) -> None:
    assert ClientIPResolver().from_scope({"client": client}).peer == "unix"
    assert ClientIPResolver().from_scope({}).peer == "unix"


@pytest.mark.parametrize(
    "peer", ["x" * 9999, "::", "10.0.0", b"10.0.0.1", 7, "\ud800", "1.1.1.1\x00"]
)
def test_peers_that_are_no_address(peer: Any) -> None:
    answer = ClientIPResolver(mode=X, trusted_proxies=["10.0.0.0/8", "unix"]).resolve(peer=peer)
    assert (answer.reason, answer.peer, answer.address) == ("malformed-peer", None, None)
    assert len("".join(answer.explain())) < 400


# Header lines as proxies sent them to a loopback origin, for a client at 127.0.0.1 or ::1 that
# sent forged ones; nginx 1.22, haproxy 2.6, caddy 2.11, envoy 1.40, apache 2.4, varnish 7.1.
REAL: list[tuple[str, Lines, str]] = [
    ("nginx, empty header sent", xff(", 127.0.0.1"), "127.0.0.1"),
    ("nginx, two", xff("198.51.100.1, 198.51.100.2, 127.0.0.1"), "127.0.0.1"),
    ("nginx, trailing comma sent", xff("198.51.100.1,, 127.0.0.1"), "127.0.0.1"),
    ("nginx, blanks sent", xff("198.51.100.1\t ,\t198.51.100.2, 127.0.0.1"), "127.0.0.1"),
    (
        "nginx, rubbish sent",
        xff("unknown, ::1, [2001:db8::5]:443, 192.0.2.9:1234, \"'><script>, 127.0.0.1"),
        "127.0.0.1",
    ),
    ("nginx, no-break space sent", xff("198.51.100.1\xa0, 127.0.0.1"), "127.0.0.1"),
    ("nginx, v6", xff("198.51.100.1, ::1"), "::1"),
    ("haproxy, a line of its own, last", xff("198.51.100.1", "127.0.0.1"), "127.0.0.1"),
    ("envoy, no blank", xff("198.51.100.1,127.0.0.1"), "127.0.0.1"),
    ("apache, proxy protocol", xff("198.51.100.1, 2001:db8::77"), "2001:db8::77"),
]


@pytest.mark.parametrize(("name", "lines", "client"), REAL, ids=[row[0] for row in REAL])
def test_lines_of_real_proxies(name: str, lines: Lines, client: str) -> None:
    assert str(resolve(lines, mode=X).address) == client


# bounds are on what is scanned from the right


def chain(count: int) -> str:
    return ", ".join(f"10.1.0.{i}" for i in range(count))


def test_as_many_trusted_hops_as_allowed() -> None:
    good = resolve(xff(f"203.0.113.7, {chain(MAX_TRUSTED_HOPS)}"))
    assert (str(good.address), good.source) == ("203.0.113.7", f"{X}[-{MAX_TRUSTED_HOPS + 1}]")
    assert resolve(xff(chain(MAX_TRUSTED_HOPS))).reason == "all-trusted"
    for text in (chain(MAX_TRUSTED_HOPS + 1), f"203.0.113.7, {chain(MAX_TRUSTED_HOPS + 1)}"):
        bad = resolve(xff(text))
        assert (bad.address, bad.reason) == (None, "too-many-hops")
        assert any("too-many-hops" in line for line in bad.explain())


def test_length_is_counted_from_the_right_only() -> None:
    client = "203.0.113.7"
    for forged in ("9" * 100_000, "9.9.9.9," * 50_000, "," * 100_000, " " * 100_000 + "x"):
        assert str(resolve(xff(f"{forged},{client},10.0.0.2")).address) == client
        assert str(resolve(fwd(f"{forged},for={client}"), mode=F).address) == client
    gap = MAX_SCAN - len(client) - 1
    assert str(resolve(xff(f"x,{' ' * gap}{client}")).address) == client
    late = resolve(xff(f"x,{' ' * (gap + 1)}{client}"))
    assert (late.address, late.reason, late.source) == (None, "header-too-long", f"{X}[-1]")
    assert "header-too-long" in late.explain()[-1]
    spread = resolve(xff(client, *[" " * 300 + "10.0.0.2"] * 31))
    assert spread.reason == "header-too-long"


def test_one_element_is_at_most_so_long() -> None:
    zone = "z" * (MAX_ELEMENT - len("fe80::1%"))
    assert resolve(xff(f"fe80::1%{zone[:32]}")).reason == "client"
    assert resolve(xff("0" * (MAX_ELEMENT + 1))).reason == "malformed-hop"
    assert resolve(fwd(f'for="{"0" * 65}"'), mode=F).reason == "malformed-hop"


def test_text_left_of_the_client_is_not_kept() -> None:
    secret = "left-of-the-client"
    for mode, lines in (
        (X, xff(secret, f"{secret}, 203.0.113.7, 10.0.0.2")),
        (F, fwd(f'for={secret};by="x, for=203.0.113.7')),
        (A, xff(f"{secret},203.0.113.7") + fwd(f"for={secret}, for=203.0.113.7")),
    ):
        answer = resolve(lines, mode=mode)
        assert str(answer.address) == "203.0.113.7"
        assert secret not in repr(answer._found)
        assert secret not in "".join(answer.explain())


# the answer itself


def test_answer_is_frozen_and_comparable() -> None:
    one, two = resolve(xff("9.9.9.9, 203.0.113.7")), resolve(xff("203.0.113.7"))
    assert one == two
    assert hash(one) == hash(two)
    assert one != resolve(xff("203.0.113.8"))
    assert one != "203.0.113.7"
    for name in ("reason", "address", "anything"):
        with pytest.raises(AttributeError):
            setattr(one, name, "x")
    assert repr(one) == f"<ClientIP 203.0.113.7 reason=client source={X}[-1]>"
    assert repr(resolve(xff("10.0.0.9"))).endswith("flags=all-trusted>")


def test_peer_is_an_address() -> None:
    answer = resolve(xff("203.0.113.7"), peer="::ffff:10.0.0.1")
    assert answer.peer == ipaddress.ip_address("10.0.0.1")


def test_addresses_are_written_as_ipaddress_does() -> None:
    assert str(resolve(xff("::10.0.0.2")).address) == "::a00:2"


def test_network() -> None:
    v4, v6, none = resolve(xff("203.0.113.7")), resolve(xff("2001:db8::7")), resolve(xff("x"))
    assert str(v4.network()) == "203.0.113.0/24"
    assert str(v4.network(v4=32, v6=1)) == "203.0.113.7/32"
    assert str(v6.network()) == "2001:db8::/64"
    assert str(v6.network(v6=56)) == "2001:db8::/56"
    assert none.network() is None
    with pytest.raises(ValueError, match="netmask"):
        v4.network(v4=33)


def test_read_is_what_trusted_proxies_wrote() -> None:
    assert resolve(xff("1.1.1.1, 203.0.113.7", "10.0.0.2")).read == ((X, "203.0.113.7, 10.0.0.2"),)
    assert resolve(xff("1.1.1.1"), peer="203.0.113.7").read == ()
    asked = resolve(fwd('for=1.1.1.1,for="10.0.0.2"'), mode=F)
    assert asked.read == ((F, 'for=1.1.1.1, for="10.0.0.2"'),)
    edge = resolve(xff(f"1.1.1.1, {CF}") + cf(" 203.0.113.7 "), mode=C)
    assert edge.read == ((X, CF), ("cf-connecting-ip", "203.0.113.7"))


def test_a_header_that_agrees_is_not_handed_on() -> None:
    """The proxy writes one of the two; the other can be the client's, with more text in it."""
    lines = xff("203.0.113.7") + fwd('for=203.0.113.7;host="evil.test";by="<script>"')
    answer = resolve(lines, mode=A)
    assert (answer.text, answer.read) == ("203.0.113.7", ((X, "203.0.113.7"),))
    assert resolve(xff("x"), mode=A).read == ()


@pytest.mark.parametrize("server", [("127.0.0.1", 8000), ["::1", 80]])
def test_a_peer_that_has_gone_is_no_unix_socket(server: Any) -> None:
    """uvicorn has no client to name where the connection was reset at once."""
    resolver = ClientIPResolver(mode=X, trusted_proxies=["unix"])
    scope = {"client": None, "server": server, "headers": [(b"x-forwarded-for", b"6.6.6.6")]}
    answer = resolver.from_scope(scope)
    assert (answer.text, answer.reason, answer.peer) == ("", "malformed-peer", None)
    assert ClientIPResolver().from_scope(scope).reason == "malformed-peer"
    for path in (None, ("/run/app.sock", None), ("/", "t")):
        answer = resolver.from_scope({**scope, "server": path})
        assert answer.text == "6.6.6.6"


def test_text_is_that_of_ipaddress() -> None:
    for text in ("203.0.113.7", "2001:db8::7", "::a00:2", "240.0.0.1"):
        answer = resolve(xff(text))
        assert (answer.text, str(answer.address)) == (text, text)
    assert resolve(xff("x")).text == ""


def test_a_server_that_rewrites_the_peer_is_flagged() -> None:
    resolver = ClientIPResolver(mode=X, trusted_proxies=OWN)
    headers = [(b"x-forwarded-for", b"203.0.113.7")]
    for port, flags in ((0, ["peer-rewritten"]), (4711, [])):
        answer = resolver.from_scope({"client": ("203.0.113.7", port), "headers": headers})
        assert (answer.text, sorted(answer.flags)) == ("203.0.113.7", flags)
    assert "--no-proxy-headers" in "\n".join(
        resolver.from_scope({"client": ("203.0.113.7", 0)}).explain()
    )


def test_threads_share_a_resolver() -> None:
    resolver = ClientIPResolver(mode=X, trusted_proxies=OWN)
    wrong: list[object] = []

    def ask(number: int) -> None:
        for _ in range(200):
            answer = resolver.resolve(
                peer="10.0.0.1", headers=xff(f"1.1.1.1, 203.0.113.{number}, 10.0.0.{number}")
            )
            if str(answer.address) != f"203.0.113.{number}":
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_scope_and_environ_are_not_changed() -> None:
    resolver = ClientIPResolver(mode=A, trusted_proxies=OWN)
    scope = {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", b"203.0.113.7")]}
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.7"}
    copies = ({**scope, "headers": list(scope["headers"])}, dict(environ))
    assert resolver.from_scope(scope) == resolver.from_environ(environ)
    assert (scope, environ) == copies
