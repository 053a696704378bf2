"""The grammar of one element: tables, and ipaddress as a second opinion."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.clientip.forwarded import parse_element, read_pairs, split_elements
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


# line, its last piece, the pairs in it
ELEMENTS: list[tuple[str, str, dict[str, str] | None]] = [
    ("for=a", "for=a", {"for": "a"}),
    ("for=a;", "for=a;", {"for": "a"}),
    (";for=a;;by=b", ";for=a;;by=b", {"for": "a", "by": "b"}),
    ("x, \tFOR=a;By=b \t", " \tFOR=a;By=b \t", {"for": "a", "by": "b"}),
    (',for="a,b;c=\\"d"', 'for="a,b;c=\\"d"', {"for": 'a,b;c="d'}),
    (',for="\\\\"', 'for="\\\\"', {"for": "\\"}),
    (',for=""', 'for=""', {"for": ""}),
    ('for="x, for=a', " for=a", {"for": "a"}),
    ('by=", for="a"', ' for="a"', {"for": "a"}),
    ("", "", {}),
    ("for=a, ", " ", {}),
    ("for=", "for=", None),
    ("for", "for", None),
    ("=a", "=a", None),
    ("for=a ;by=b", "for=a ;by=b", None),
    ("for=a; by=b", "for=a; by=b", None),
    ("for =a", "for =a", None),
    ("for=a;for=b", "for=a;for=b", None),
    ("for=a;FOR=b", "for=a;FOR=b", None),
    ('for="a"b', 'for="a"b', None),
    ('for=x"a"', 'for=x"a"', None),
    ('for"a"', 'for"a"', None),
    ('"a"', '"a"', None),
    ('"', '"', None),
    ('x,a"', 'a"', None),
    ('for="\x01"', 'for="\x01"', None),
    ('for="a\\"', 'for="a\\"', None),
    ('for="a\\\\"b"', 'for="a\\\\"b"', None),
    ("for=[::1]", "for=[::1]", None),
    (";".join(f"a{i}=1" for i in range(16)), "", {f"a{i}": "1" for i in range(16)}),
]


@pytest.mark.parametrize(("line", "piece", "pairs"), ELEMENTS)
def test_element(line: str, piece: str, pairs: dict[str, str] | None) -> None:
    last = next(iter(split_elements(line)))
    assert last == (piece or line if pairs else piece)
    assert read_pairs(last) == pairs


def test_long_elements_are_refused_and_cost_little() -> None:
    assert parse_element("for=1.1.1.1;by=" + "a" * 1000) is not None
    assert parse_element("for=1.1.1.1;by=" + "a" * 1010) is None
    for line in ('"' * 8192, 'a="' + "\\\\" * 4000 + '";for=1.1.1.1', ',"' * 4000 + '"'):
        pieces = list(split_elements(line))
        assert parse_element(pieces[0]) is None
        assert len(pieces) < 5000


def test_element_has_at_most_16_pairs() -> None:
    assert parse_element("for=1.1.1.1;" + ";".join(f"a{i}=1" for i in range(15))) is not None
    assert parse_element("for=1.1.1.1;" + ";".join(f"a{i}=1" for i in range(16))) is None


quoted = st.text(alphabet='ab,;= \t"\\é', max_size=8)


@given(st.lists(st.lists(quoted, min_size=1, max_size=3), min_size=1, max_size=4), st.text())
def test_what_a_proxy_wrote_splits_as_it_wrote_it(written: list[list[str]], before: str) -> None:
    """Whatever stands to the left; the reference is the list that was written."""
    elements = []
    for values in written:
        escaped = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
        elements.append(";".join(f'n{at}="{text}"' for at, text in enumerate(escaped)))
    pieces = split_elements(",".join([before, *elements]))
    for values in reversed(written):
        assert read_pairs(next(pieces)) == {f"n{at}": v for at, v in enumerate(values)}


@given(st.text(alphabet='a,"\\', max_size=60))
def test_pieces_cover_the_line_and_nothing_twice(line: str) -> None:
    assert len(line) <= 60  # far below the bound of one element
    assert ",".join(reversed(list(split_elements(line)))) == line


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
