"""Where three other libraries answer otherwise, a row for each class, and the reason for ours.

What belongs here: data that a page of the docs can show; test_clientip_peers.py asks both
sides about every row, and shows that no other class exists. The options: `x-forwarded-for`
with 10.0.0.0/8, 2001:db8:ff::/48 and `unix` trusted; uvicorn trusts the same networks;
ProxyFix has `x_for=hops`, python-ipware `proxy_count=hops - 1`.
"""

# ruff: noqa: E501 - a row of the table is one line

from __future__ import annotations

from typing import Final, NamedTuple


class Row(NamedTuple):
    """One class of disagreement. `hops` is 0 where both sides select by trusted networks."""

    library: str
    seen: str  # the release that was observed
    hops: int
    name: str
    peer: str | None
    lines: tuple[str, ...]
    ours: str | None
    reason: str
    theirs: str | None
    why: str


U, W, I = ("uvicorn", "0.54.0", 0), ("werkzeug", "3.1.9", 1), ("python-ipware", "4.1.1", 1)  # noqa: E741 - a column of the table
W2, I2 = (*W[:2], 2), (*I[:2], 2)
V6 = "2001:db8::7"

ROWS: Final[tuple[Row, ...]] = (
    Row(*U, "header-missing", "10.0.0.1", (), None, "header-missing", "10.0.0.1", "A client can have some proxies strip the header, and the proxy's own address is often on an allow-list."),
    Row(*U, "empty-hop", "10.0.0.1", ("203.0.113.7,",), None, "malformed-hop", "10.0.0.1", "A trusted proxy wrote no address, so nobody vouches for one."),
    Row(*U, "no-address", "10.0.0.1", ("203.0.113.7, unknown",), None, "malformed-hop", "unknown", "Text that is no address must not reach code that takes it for one."),
    Row(*U, "unusable", "10.0.0.1", ("224.0.0.1",), None, "malformed-hop", "224.0.0.1", "No single client has an unspecified, multicast or broadcast address."),
    Row(*U, "loose-form", "10.0.0.1", ("203.0.113.7:70000",), None, "malformed-hop", "203.0.113.7", "A port over 65535, or v4 in brackets, is a form that no proxy writes, so another parser may read it differently."),
    Row(*U, "wide-blank", "10.0.0.1", ("\xa0203.0.113.7",), None, "malformed-hop", "203.0.113.7", "Only space and tab are blanks in HTTP (RFC 9110, 5.6.3)."),
    Row(*U, "mapped-hop", "10.0.0.1", ("203.0.113.7, ::ffff:10.0.0.2",), "203.0.113.7", "client", "::ffff:10.0.0.2", "The mapped form of a v4 address is the same host, so it is trusted, compared and written as v4."),
    Row(*U, "mapped-peer", "::ffff:10.0.0.1", ("203.0.113.7",), "203.0.113.7", "client", "::ffff:10.0.0.1", "A dual-stack socket reports a v4 proxy in the mapped form, and it is the proxy that was listed."),
    Row(*U, "zone", "10.0.0.1", (f"{V6}%eth0",), V6, "client", f"{V6}%eth0", "A zone has a meaning on the machine that wrote it only, so it is dropped."),
    Row(*U, "unix-hop", "10.0.0.1", ("203.0.113.7, unix:",), "203.0.113.7", "client", "unix:", "nginx writes `unix:` for a hop over a unix socket, which can be listed as trusted."),
    Row(*U, "unix-peer", None, ("203.0.113.7",), "203.0.113.7", "client", None, "A unix socket that only the proxy can open can be listed as trusted."),
    Row(*U, "peer-kept", "testclient", (), None, "malformed-peer", "testclient", "A peer that is no address is no evidence of where the client is."),
    Row(*U, "too-many-hops", "10.0.0.1", ("203.0.113.7" + ",10.0.0.2" * 33,), None, "too-many-hops", "203.0.113.7", "The work for one request is bounded: 32 trusted hops are walked."),
    Row(*W, "peer-not-checked", "198.51.100.9", ("203.0.113.7",), "198.51.100.9", "peer-not-trusted", "203.0.113.7", "Whoever reaches the server past the proxy writes the header himself."),
    Row(*W, "peer-kept", "testclient", (), None, "malformed-peer", "testclient", "A peer that is no address is no evidence of where the client is."),
    Row(*W, "mapped-peer", "::ffff:198.51.100.9", (), "198.51.100.9", "peer-not-trusted", "::ffff:198.51.100.9", "The mapped form of a v4 address is the same host, so it is written as v4."),
    Row(*W2, "too-short", "10.0.0.1", ("203.0.113.7",), None, "too-few-hops", "10.0.0.1", "Somebody came past a proxy, and the proxy's own address is not the client's."),
    Row(*W2, "empty-hop", "10.0.0.1", ("1.1.1.1, 203.0.113.7,",), None, "malformed-hop", "1.1.1.1", "Dropping an empty entry shifts the count into text that the client wrote."),
    Row(*W, "quotes", "10.0.0.1", ('"1.1.1.1', "203.0.113.7"), "203.0.113.7", "client", "10.0.0.1", "X-Forwarded-For has no quotes, and an open quote of the client's would swallow what the proxy appended."),
    Row(*W, "no-address", "10.0.0.1", ("unknown",), None, "malformed-hop", "unknown", "Text that is no address must not reach code that takes it for one."),
    Row(*W2, "skipped-unchecked", "10.0.0.1", ("203.0.113.7, unknown",), None, "malformed-hop", "203.0.113.7", "A skipped entry that is no address was not written by the proxy that was counted."),
    Row(*W, "unusable", "10.0.0.1", ("224.0.0.1",), None, "malformed-hop", "224.0.0.1", "No single client has an unspecified, multicast or broadcast address."),
    Row(*W, "port-kept", "10.0.0.1", ("203.0.113.7:4711",), "203.0.113.7", "client", "203.0.113.7:4711", "The answer is an address, so a port and brackets are dropped."),
    Row(*W, "mapped-hop", "10.0.0.1", ("::ffff:203.0.113.7",), "203.0.113.7", "client", "::ffff:203.0.113.7", "The mapped form of a v4 address is the same host, so it is written as v4."),
    Row(*W, "zone", "10.0.0.1", (f"{V6}%eth0",), V6, "client", f"{V6}%eth0", "A zone has a meaning on the machine that wrote it only, so it is dropped."),
    Row(*I, "peer-not-checked", "198.51.100.9", ("203.0.113.7",), "198.51.100.9", "peer-not-trusted", "203.0.113.7", "Whoever reaches the server past the proxy writes the header himself."),
    Row(*I, "peer-unread", "198.51.100.9", (), "198.51.100.9", "peer-not-trusted", None, "The peer of a direct request is the client; python-ipware is given no other header here."),
    Row(*I, "empty-hop", "10.0.0.1", ("1.1.1.1,",), None, "malformed-hop", "1.1.1.1", "Dropping an empty entry shifts the count into text that the client wrote."),
    Row(*I, "no-address", "10.0.0.1", ("1.1.1.1, unknown",), None, "malformed-hop", "1.1.1.1", "Dropping an entry that is no address shifts the count into text that the client wrote."),
    Row(*I2, "unix-hop", "10.0.0.1", ("1.1.1.1, 203.0.113.7, unix:",), "203.0.113.7", "client", "1.1.1.1", "nginx writes `unix:` for a hop over a unix socket, which can be listed as trusted and is counted."),
    Row(*I2, "unusable", "10.0.0.1", ("203.0.113.7, 224.0.0.1",), None, "malformed-hop", "203.0.113.7", "No proxy has an unspecified, multicast or broadcast address, so the order is doubtful."),
    Row(*I, "reserved", "10.0.0.1", ("240.0.0.1",), "240.0.0.1", "client", None, "Cloudflare's Pseudo IPv4 puts v6 clients in class E, so such an address is answered and flagged."),
    Row(*I, "nat64", "10.0.0.1", ("64:ff9b::cb00:7107",), "64:ff9b::cb00:7107", "client", "203.0.113.7", "A NAT64 address is not folded, or a client behind it could claim to be any v4 host."),
    Row(*I, "quotes", "10.0.0.1", ('"1.1.1.1', "203.0.113.7"), "203.0.113.7", "client", None, "X-Forwarded-For has no quotes, and an open quote of the client's would swallow what the proxy appended."),
    Row(*I, "pairs", "10.0.0.1", ("for=203.0.113.7",), None, "malformed-hop", "203.0.113.7", "The pairs of Forwarded in another header are not what a proxy writes."),
    Row(*I, "loose-form", "10.0.0.1", ("[203.0.113.7]",), None, "malformed-hop", "203.0.113.7", "v4 in brackets is a form that no proxy writes, so another parser may read it differently."),
    Row(*I, "wide-blank", "10.0.0.1", ("\xa0203.0.113.7",), None, "malformed-hop", "203.0.113.7", "Only space and tab are blanks in HTTP (RFC 9110, 5.6.3)."),
    Row(*I, "zone", "10.0.0.1", (f"{V6}%eth0",), V6, "client", f"{V6}%eth0", "A zone has a meaning on the machine that wrote it only, so it is dropped."),
)  # fmt: skip
