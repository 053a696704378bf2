"""What holds for any bytes. The oracles are relations between two answers, or ipaddress."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.clientip.modes import MODES
from gatehound.clientip.trust import TrustSet
from gatehound.clientip.walk import BY_LIST, walk, walk_plain

pytestmark = pytest.mark.slow  # hundreds of examples each

TRUST = ["10.0.0.0/8", "2001:db8:ff::/48", "unix", "cloudflare"]


def resolver_of(mode: str, trust: Any) -> ClientIPResolver:
    header = "X-Azure-SocketIP" if mode == "header" else None
    return ClientIPResolver(mode=mode, header=header, trusted_proxies=trust)


RESOLVERS = [
    *(resolver_of(mode, TRUST) for mode in MODES),
    *(resolver_of(mode, TRUST[:2]) for mode in MODES),
    ClientIPResolver(mode="cloudflare-tunnel"),
    ClientIPResolver(
        mode="x-real-ip",
        trusted_proxies=TRUST,
        allow_headerless=TRUST[:1],
        scheme_header="X-Forwarded-Proto",
        host_header="X-Forwarded-Host",
    ),
    ClientIPResolver(mode="x-forwarded-for", trusted_proxies=TRUST, hops=2),
    ClientIPResolver(mode="x-forwarded-for", trust_everyone=True, peer_port=True),
    ClientIPResolver(mode="auto", trusted_proxies=TRUST, on_all_trusted="unresolved"),
]
BY_MODE = dict(zip(MODES, RESOLVERS, strict=False))
NARROW = [resolver_of(mode, "192.0.2.0/24") for mode in MODES]
NAMES = [
    b"x-forwarded-for",
    b"forwarded",
    b"x-real-ip",
    b"cf-connecting-ip",
    b"cf-connecting-ipv6",
    b"x-azure-socketip",
    b"x-forwarded-proto",
    b"x-forwarded-host",
]
PIECES = [
    b"10.0.0.2", b"203.0.113.7", b"162.158.1.2", b"2001:db8::7", b"[2001:db8:ff::1]:80", b"unix:",
    b"240.0.0.1", b"2a06:98c0:3600::103", b"::ffff:10.0.0.1", b",", b", ", b";", b"for=", b"FOR=",
    b'for="', b'"', b"\\", b"by=_hidden", b"proto=https", b"=", b" ", b"\t", b"\x00", b"\xff",
    b"1.1.1.1:4711", b"%eth0", b"unknown",
]  # fmt: skip

values = st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(PIECES)).map(b"".join))
names = st.one_of(st.sampled_from(NAMES), st.binary(max_size=20))
headers = st.lists(st.tuples(names, values), max_size=6)
peers = st.one_of(
    st.sampled_from([None, "", "10.0.0.1", "162.158.1.2", "203.0.113.7", "::ffff:10.0.0.1"]),
    st.text(max_size=50),
)
resolvers = st.sampled_from(RESOLVERS)

Headers = list[tuple[bytes, bytes]]


def environ_of(peer: str | None, lines: Headers) -> dict[str, Any]:
    environ: dict[str, Any] = {} if peer is None else {"REMOTE_ADDR": peer}
    for name, value in lines:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


def answers(resolver: ClientIPResolver, peer: str | None, lines: Headers) -> list[ClientIP]:
    return [
        resolver.resolve(peer=peer, headers=lines),
        resolver.from_scope({"client": (peer, 1), "headers": lines}),
        resolver.from_environ(environ_of(peer, lines)),
    ]


@given(resolvers, peers, headers)
@settings(max_examples=3 * settings().max_examples)
@example(RESOLVERS[1], "10.0.0.1", [(b"forwarded", b'for="a\\\\"b"')])
def test_never_raises_and_explains_what_it_answered(
    resolver: ClientIPResolver, peer: str | None, lines: Headers
) -> None:
    for answer in answers(resolver, peer, lines):
        shown = answer.explain()
        assert all(line.isascii() and line.isprintable() for line in shown)
        assert max(map(len, shown)) < 500
        assert answer.scheme in {None, "http", "https"}
        assert answer.host is None or len(answer.host) <= 300
        if answer.reason == "client":  # what decided is enough to decide so again
            assert resolver.resolve(peer=peer, headers=list(answer.read)) == answer


@given(resolvers, peers, st.lists(st.tuples(st.text(max_size=20), st.text(max_size=80))))
def test_never_raises_for_any_text(
    resolver: ClientIPResolver, peer: str | None, lines: list[tuple[str, str]]
) -> None:
    assert resolver.resolve(peer=peer, headers=lines).explain()


trusted_hop = st.sampled_from(
    [b"10.0.0.2", b"10.1.2.3", b"2001:db8:ff::1", b"162.158.1.2", b"unix:"]
)
foreign = st.sampled_from([b"203.0.113.7", b"2001:db8::7", b"192.168.1.1", b"240.0.0.1"])


def element(hop: bytes) -> bytes:
    """Write a hop as an RFC 7239 element."""
    return b'for="[' + hop + b']"' if b":" in hop else b"for=" + hop


@given(foreign, st.lists(trusted_hop, max_size=5), st.lists(values, min_size=1, max_size=4))
@example(b"203.0.113.7", [], [b'for=1.1.1.1;by="'])
@example(b"2001:db8::7", [], [b'for=1.1.1.1;by="', b'x="'])
def test_text_left_of_the_client_never_changes_the_answer(
    client: bytes, hops: list[bytes], forged: list[bytes]
) -> None:
    plain = [client, *hops]
    written = [element(hop) for hop in plain if hop != b"unix:"]
    for name, chain in ((b"x-forwarded-for", plain), (b"forwarded", written)):
        resolver = BY_MODE[name.decode()]
        honest = resolver.resolve(peer="10.0.0.1", headers=[(name, b", ".join(chain))])
        assert str(honest.address) == client.decode()
        for lines in (
            [(name, b", ".join([*forged, *chain]))],
            [*((name, text) for text in forged), (name, b", ".join(chain))],
            [*((name, text) for text in forged), *((name, hop) for hop in chain)],
        ):
            for answer in answers(resolver, "10.0.0.1", lines):
                assert answer == honest


plain_hop = st.one_of(
    st.sampled_from(["10.0.0.2", "192.0.2.9", "198.51.100.255", "203.0.113.7", "0.0.0.0", ""]),  # noqa: S104 - a hop, no bind
    st.sampled_from(["224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "unix:", "x", "1.2.3"]),
    st.sampled_from(["2001:db8:ff::1", "2001:db8::7", "::ffff:10.0.0.1", "fd00::1", "ff02::1"]),
    st.sampled_from(
        ["[2001:db8::7]", "2001:db8::7%eth0", "10.0.0.2:80", "::", "2a06:98c0:3600::103"]
    ),
    st.ip_addresses().map(str),
)
lines_of_hops = st.lists(
    st.lists(plain_hop, max_size=40).map(lambda hops: ", ".join(hops)), max_size=3
)


@given(lines_of_hops)
@example(["10.0.0.2" + ",10.0.0.2" * 31])
@example(["203.0.113.7" + ",10.0.0.2" * 32])
@example(["203.0.113.7" + ",10.0.0.2" * 33])
@example([f"{' ' * 9000}203.0.113.7, 10.0.0.2"])
def test_the_short_way_answers_as_the_walk_does(lines: list[str]) -> None:
    networks = ["10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/25", "198.51.100.255", "200.0.0.0/7"]
    networks += ["2001:db8:ff::/48", "fd00::/16", "2a06:98c0::/29"]
    trust = TrustSet(networks)
    short, whole = walk_plain(lines, trust), walk(BY_LIST, lines, trust)
    assert short._replace(text="") == whole
    assert not short.text or short.text == str(ipaddress.ip_address(short.packed or b""))


@given(resolvers, peers, headers, headers)
def test_unrelated_headers_never_change_the_answer(
    resolver: ClientIPResolver, peer: str | None, lines: Headers, others: Headers
) -> None:
    read = set(NAMES)
    extra = [(name, value) for name, value in others if name.lower() not in read]
    before = resolver.resolve(peer=peer, headers=lines)
    assert resolver.resolve(peer=peer, headers=[*extra, *lines]) == before
    mixed = [pair for two in zip(extra, lines, strict=False) for pair in two]
    kept = [*mixed, *lines[len(mixed) // 2 :]]
    assert resolver.resolve(peer=peer, headers=kept) == before


@given(resolvers, peers, headers)
def test_answer_parses_to_itself_and_is_not_trusted_unless_flagged(
    resolver: ClientIPResolver, peer: str | None, lines: Headers
) -> None:
    for answer in answers(resolver, peer, lines):
        address = answer.address
        if address is None:
            continue
        assert ipaddress.ip_address(str(address)) == address
        again = ClientIPResolver().resolve(peer=str(address))
        assert again.address == address
        trusted = any(
            address in ipaddress.ip_network(text)
            for text in resolver.trusted_proxies
            if text != "unix"
        )
        if trusted:
            assert answer.flags & {"all-trusted", "trusted-range", "worker"}


@given(peers.filter(lambda peer: peer not in (None, "")), headers)
def test_untrusted_peer_reads_no_header(peer: str, lines: Headers) -> None:
    for resolver in NARROW:
        answer = resolver.resolve(peer=peer, headers=lines)
        if answer.source == "peer":
            assert answer == resolver.resolve(peer=peer)
        else:
            assert str(answer.peer) == "162.158.1.2"
