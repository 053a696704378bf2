"""The grammar of one element: tables, and ipaddress as a second opinion."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.clientip.forwarded import take_forwarded, take_pairs
from gatehound.clientip.grammar import UNIX, parse_address, parse_hop, parse_node

V4 = bytes([203, 0, 113, 7])
V6 = ipaddress.ip_address("2001:db8::7").packed

HOPS: list[tuple[str, bytes | None]] = [
    ("203.0.113.7", V4),
    ("203.0.113.7:0", V4),
    ("203.0.113.7:65535", V4),
    ("203.0.113.7:65536", None),
    ("203.0.113.7:123456", None),
    ("203.0.113.7:", None),
    ("203.0.113.7:x", None),
    ("203.0.113.7:²", None),
    ("203.0.113.7:+1", None),
    (":80", None),
    (":", None),
    ("", None),
    ("2001:db8::7", V6),
    ("[2001:db8::7]", V6),
    ("[2001:db8::7]:443", V6),
    ("[2001:db8::7]443", None),
    ("[2001:db8::7]:", None),
    ("[2001:db8::7", None),
    ("2001:db8::7]", None),
    ("[]", None),
    ("[203.0.113.7]", None),
    ("[[::1]]", None),
    ("[::ffff:203.0.113.7]:80", V4),
    ("2001:db8::7%eth0", V6),
    ("[2001:db8::7%25eth0]:1", V6),
    ("2001:db8::7%", None),
    ("2001:db8::7%é", None),
    ("2001:db8::7%" + "a" * 33, None),
    ("::ffff:0:1%:", None),
    ("203.0.113.7%eth0", None),
    ("::ffff:0.0.0.0", None),
    ("::ffff:224.0.0.1", None),
    ("::ffff:255.255.255.255", None),
    ("::", None),
    ("0.0.0.0", None),  # noqa: S104 - the unspecified address as a hop, no bind
    ("0.0.0.1", bytes([0, 0, 0, 1])),
    ("239.255.255.255", None),
    ("255.255.255.255", None),
    ("ff02::1", None),
    ("64:ff9b::a00:2", ipaddress.ip_address("64:ff9b::a00:2").packed),
    ("unix:", UNIX),
    ("unix:/run/x", None),
    ("unix", None),
    ("UNIX:", None),
    ("0xa.0.0.1", None),
    ("1.1.1.1\x00", None),
    ("\ud800", None),
    ("\ud800::", None),
    ("1.1.1.1\n", None),
    ('"1.1.1.1"', None),
]


@pytest.mark.parametrize(("text", "packed"), HOPS, ids=ascii)
def test_hop(text: str, packed: bytes | None) -> None:
    assert parse_hop(text) == packed


NODES: list[tuple[str, bytes | None]] = [
    ("203.0.113.7", V4),
    ("203.0.113.7:_port.1", V4),
    ("203.0.113.7:80", V4),
    ("203.0.113.7:", None),
    ("[2001:db8::7]", V6),
    ("[2001:db8::7]:_p", V6),
    ("2001:db8::7", None),
    ("[192.0.2.9:1234]", None),
    ("unknown", None),
    ("_hidden", None),
    ("unix:", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "packed"), NODES)
def test_node(text: str, packed: bytes | None) -> None:
    assert parse_node(text) == packed


# line, where the last element begins, its pairs
ELEMENTS: list[tuple[str, int, dict[str, str] | None]] = [
    ("for=a", -1, {"for": "a"}),
    ("for=a;", -1, {"for": "a"}),
    (";for=a;;by=b", -1, {"for": "a", "by": "b"}),
    ("x, \tFOR=a;By=b \t", 1, {"for": "a", "by": "b"}),
    (',for="a,b;c=\\"d"', 0, {"for": 'a,b;c="d'}),
    (',for="\\\\"', 0, {"for": "\\"}),
    (',for=""', 0, {"for": ""}),
    ('for="x, for=a', 6, {"for": "a"}),
    ('by=", for="a"', 4, {"for": "a"}),
    ("", -1, {}),
    ("for=a, ", 5, {}),
    ("for=", -1, None),
    ("for", -1, None),
    ("=a", -1, None),
    ("for=a ;by=b", 6, None),
    ("for=a; by=b", 5, None),
    ("for =a", -1, None),
    ("for=a;for=b", -1, None),
    ("for=a;FOR=b", -1, None),
    ('for="a"b', -1, None),
    ('for=x"a"', 5, None),
    ('for"a"', 2, None),
    ('"a"', -1, None),
    ('"', -1, None),
    ('x,a"', 1, None),
    ('for="\x01"', -1, None),
    ('for="a\\"', -1, None),
    ('for="a\\\\"b"', -1, None),
    ("for=[::1]", -1, None),
    (";".join(f"a{i}=1" for i in range(16)), -1, {f"a{i}": "1" for i in range(16)}),
]


@pytest.mark.parametrize(("line", "start", "pairs"), ELEMENTS)
def test_element(line: str, start: int, pairs: dict[str, str] | None) -> None:
    low, got = take_pairs(line, 0, len(line))
    assert got == pairs
    if pairs is not None:
        assert low == start
    # What explain() keeps must be refused, or read, as the whole was.
    assert take_pairs(line[max(low, 0) :], 0, len(line) - max(low, 0))[1] == pairs


def test_element_has_at_most_16_pairs() -> None:
    line = "for=1.1.1.1;" + ";".join(f"a{i}=1" for i in range(16))
    assert take_forwarded(line, 0, len(line))[1] is None


@given(st.text(alphabet="0123456789abcdef:.", max_size=40))
def test_never_accepts_what_ipaddress_refuses(text: str) -> None:
    packed = parse_address(text)
    if packed is not None:
        assert ipaddress.ip_address(text) is not None


@given(st.ip_addresses())
def test_accepts_every_address_that_a_client_can_have(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    real = getattr(address, "ipv4_mapped", None) or address
    nobody = real.is_unspecified or real.is_multicast or str(real) == "255.255.255.255"
    assert parse_hop(str(address)) == (None if nobody else real.packed)
    assert parse_hop(address.exploded) == parse_hop(str(address))
