"""Lists of networks: what is read, what is refused, and which addresses are on them."""

from __future__ import annotations

import contextlib
import random
from ipaddress import (
    IPv4Address,
    IPv6Address,
    collapse_addresses,
    ip_address,
    ip_network,
    summarize_address_range,
)
from pathlib import Path
from typing import Any

import pytest
from detection_kit import FIXED
from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPSet  # type: ignore[import-untyped]  # netaddr ships no types

from gatehound.detection.lists import AddressList, read_list
from gatehound.detection.reload import Unusable


def read(tmp_path: Path, text: str | bytes) -> AddressList:
    file = tmp_path / "list.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_list(str(file))


FORMS = """\ufeff# a list\r
192.0.2.0/25\r
192.0.2.128/25   # the other half
   198.51.100.7

198.51.100.20-198.51.100.22
203.0.113.0 - 203.0.113.255
2001:db8:1::/48,DE,DE-BE,"Berlin, Mitte",
2001:db8:2::1,US,,,
2001:db8:3::1-2001:db8:3::f
::ffff:100.64.0.0/112
"""


@pytest.mark.parametrize(
    ("address", "listed"),
    [
        ("192.0.1.255", False),
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("198.51.100.19", False),
        ("198.51.100.22", True),
        ("198.51.100.23", False),
        ("203.0.113.77", True),
        ("2001:db8:1:ffff::", True),
        ("2001:db8:2::", False),
        ("2001:db8:2::1", True),
        ("2001:db8:2::1%eth0", True),
        ("2001:db8:3::f", True),
        ("2001:db8:3::10", False),
        ("::ffff:192.0.2.1", True),
        ("100.64.255.255", True),
        ("100.65.0.0", False),
        ("0.0.0.0", False),  # noqa: S104 - an address that is looked up
        ("::", False),
        ("255.255.255.255", False),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ],
)
def test_forms(tmp_path: Path, address: str, listed: bool) -> None:
    assert read(tmp_path, FORMS).covers(ip_address(address).packed) is listed


def test_what_touches_is_merged(tmp_path: Path) -> None:
    found = read(tmp_path, FORMS)
    assert (len(found), found.name) == (8, "list.txt")
    assert len(read(tmp_path, "# nobody\n")) == 0
    assert not read(tmp_path, "# nobody\n").covers(ip_address("192.0.2.1").packed)
    assert len(read(tmp_path, "192.0.2.0/24\n192.0.2.7\n192.0.0.0/16\n192.0.2.0/24\n")) == 1


@pytest.mark.parametrize(
    ("line", "asn"),
    [
        ("AS64496", 64496),
        ("as64496", 64496),
        ("  AS64496  # a provider", 64496),
        ("AS64496,DE,Home ISP", 64496),
        ("AS064496", 64496),
        ("AS1", 1),
        ("AS4294967295", 4294967295),
    ],
)
def test_as_numbers(tmp_path: Path, line: str, asn: int) -> None:
    found = read(tmp_path, f"192.0.2.0/24\n{line}\nAS64500\n")
    assert found.asns == {asn, 64500}
    assert len(found) == 1
    assert found.covers(ip_address("192.0.2.9").packed)


def test_a_file_of_as_numbers_alone_covers_no_address(tmp_path: Path) -> None:
    found = read(tmp_path, "AS64496\nAS64496\n")
    assert (len(found), found.name) == (0, "list.txt")
    assert found.asns == {64496}
    assert not found.covers(ip_address("0.0.251.240").packed), "64496 as an address"
    assert read(tmp_path, "192.0.2.0/24\n").asns == frozenset()


REFUSED = [
    ("nonsense", "is no network; write a CIDR, a range, an address or an AS number a line"),
    ("192.0.2.256", "is no network"),
    ("192.0.2", "is no network"),
    ("192.0.02.1", "is no network"),
    ("3221225985", "is no network"),
    ("fe80::1%eth0", "is no network"),
    ("192.0.2.1:80", "is no network"),
    ("192.0.2.0/33", "has no prefix length; write a number from 0 to 32"),
    ("192.0.2.0/", "has no prefix length"),
    ("192.0.2.0/255.255.255.0", "has no prefix length"),
    ("192.0.2.0/+4", "has no prefix length"),
    ("192.0.2.0/\u0662\u0664", "has no prefix length"),
    ("2001:db8::/129", "has no prefix length; write a number from 0 to 128"),
    ("192.0.2.1/24", "write '192.0.2.0/24' for the network, or '192.0.2.1' for the one address"),
    ("2001:db8::1/64", "write '2001:db8::/64' for the network"),
    ("192.0.2.0/2", "write '192.0.0.0/2' for the network"),  # a /24 that was cut off
    ("192.0.2.9-192.0.2.1", "is no range; write two addresses of one IP version, the lower first"),
    ("192.0.2.1-2001:db8::1", "is no range"),
    ("192.0.2.1-", "is no network"),
    ("192.0.2.1-192.0.2.2-192.0.2.3", "is no network"),
    ("192.0.2.0,192.0.2.255,DE", "is followed by another address; write 'first-last'"),
    ("2001:db8::,2001:db8::ff", "is followed by another address"),
    ("0.0.0.0/0", "covers every IPv4 address; list the networks that are meant"),
    ("::/0", "covers every IPv4 address"),
    ("::/8", "covers every IPv4 address"),
    ("::ffff:0:0/96", "covers every IPv4 address"),
    ("2000::/3", "covers every public IPv6 address"),
    ("network,country", "is no network"),
    ("\x00", "is no network"),
    ("192.0.2.1 192.0.2.2", "is no network"),
    ("AS0", "is no AS number; write AS and a number from 1 to 4294967295, as AS64496"),
    ("AS4294967296", "is no AS number"),
    ("ASx", "is no AS number"),
    ("AS", "is no AS number"),
    ("AS 64496", "is no AS number"),
    ("AS-1", "is no AS number"),
    ("AS1_0", "is no AS number"),
    ("AS1.10", "is no AS number"),  # asdot (RFC 5396)
    ("AS\u0661", "is no AS number"),
    ("AS64496-AS64500", "is no AS number"),
    ("AS64496/24", "is no AS number"),
    ("64496", "is no network"),
]


@pytest.mark.parametrize(("line", "expected"), REFUSED)
def test_refused_lines_are_named(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(Unusable) as caught:
        read(tmp_path, f"# one\n192.0.2.1\n{line}\n192.0.2.2\n")
    (told,) = caught.value.lines
    assert told.startswith("line 3: ")
    assert expected in told


def test_text_is_clipped_and_lines_are_counted(tmp_path: Path) -> None:
    with pytest.raises(Unusable) as caught:
        read(tmp_path, "x" * 1000 + "\n" + "bad\n" * 8)
    lines = caught.value.lines
    assert len(lines) == 6
    assert f"'{'x' * 40}...'" in lines[0]
    assert len(lines[0]) < 250
    assert lines[4].startswith("line 5: 'bad'")
    assert lines[5] == "4 more lines are wrong"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, expected in (
        (tmp_path / "none.txt", "there is no such file; correct the path"),
        (tmp_path, "it cannot be read: Is a directory; let the process read it"),
        ("a\0b", "it cannot be read: "),
    ):
        with pytest.raises(Unusable, match=expected):
            read_list(str(path))
    with pytest.raises(Unusable, match="it is no text in UTF-8"):
        read(tmp_path, b"192.0.2.1\n\xff\n")
    with pytest.raises(Unusable, match="it is empty; fetch the list again"):
        read(tmp_path, "")


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, list[Any]]:
    """A line, and its first and last address; few addresses, so that lines touch and overlap."""
    kind = IPv4Address if draw(st.booleans()) else IPv6Address
    bits = 32 if kind is IPv4Address else 128
    # Around the middle of IPv6 addresses a carry has to pass from one half to the other.
    base = draw(st.sampled_from([0xC0000200, 0xFFFFFF00] if bits == 32 else [2**64 - 40, 2**125]))
    first = base + draw(st.integers(0, 80))
    form = draw(st.sampled_from(["cidr", "range", "address"]))
    if form == "cidr":
        network = ip_network((first, draw(st.integers(bits - 6, bits))), strict=False)
        return str(network), [network[0], network[-1]]
    last = first + draw(st.integers(0, 40)) if form == "range" else first
    ends = [kind(first), kind(min(last, 2**bits - 1))]
    return f"{ends[0]}-{ends[1]}" if form == "range" else str(kind(first)), ends


@pytest.mark.slow
@FIXED
@given(lines=st.lists(spans(), max_size=12), places=st.lists(st.integers(-2, 130), max_size=8))
def test_against_a_naive_look_at_every_line(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, list[Any]]],
    places: list[int],
) -> None:
    """Oracle: first <= address <= last for any line. Asked: all ends, their neighbours, others."""
    text = "\n".join(["# lines", *(line for line, _ in lines)])
    found = read(tmp_path_factory.mktemp("lists"), text)
    asked: set[IPv4Address | IPv6Address] = set()
    for _, ends in lines:
        for end in ends:
            asked |= {_moved(end, step) for step in (-1, 0, 1)}
            asked |= {_moved(ends[0], place) for place in places}
    for address in asked:
        expected = any(
            ends[0].version == address.version and int(ends[0]) <= int(address) <= int(ends[1])
            for _, ends in lines
        )
        assert found.covers(address.packed) is expected, address


def _moved(address: IPv4Address | IPv6Address, by: int) -> IPv4Address | IPv6Address:
    return type(address)(max(0, min(int(address) + by, 2**address.max_prefixlen - 1)))


@pytest.mark.slow
@FIXED
@given(lines=st.lists(spans(), min_size=1, max_size=12))
def test_against_netaddr_and_ipaddress(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, list[Any]]],
) -> None:
    """Oracle: the number of spans after merging, as netaddr and as ipaddress merge them."""
    found = read(tmp_path_factory.mktemp("lists"), "\n".join(line for line, _ in lines))
    networks = [
        network for _, (first, last) in lines for network in summarize_address_range(first, last)
    ]
    assert len(found) == len(list(IPSet([str(one) for one in networks]).iter_ipranges()))
    for version in (4, 6):
        mine = [one for one in networks if one.version == version]
        for one in collapse_addresses(mine):
            assert found.covers(one[0].packed)
            assert found.covers(one[-1].packed)


@FIXED
@given(text=st.text(max_size=60))
def test_no_text_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Oracle: a list of at most as many spans as lines, or Unusable. Not checked: which."""
    folder = tmp_path_factory.mktemp("lists")
    data = text.encode("utf-8", "surrogatepass")
    with contextlib.suppress(Unusable):
        assert len(read(folder, data)) <= text.count("\n") + 1


@pytest.mark.slow
@FIXED
@given(
    lines=st.lists(spans(), max_size=8),
    numbers=st.lists(st.integers(1, 2**32 - 1), max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_as_numbers_among_networks_change_no_network(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, list[Any]]],
    numbers: list[int],
    order: random.Random,
) -> None:
    """Oracle: the file without them. Asked: the ends of all lines and their neighbours."""
    texts = ["# lines", *(line for line, _ in lines)]
    mixed = [*texts, *(f"AS{number}" for number in numbers)]
    order.shuffle(mixed)
    folder = tmp_path_factory.mktemp("mixed")
    found, plain = read(folder, "\n".join(mixed)), read(folder, "\n".join(texts))
    assert found.asns == set(numbers)
    assert len(found) == len(plain)
    for _, ends in lines:
        for address in {_moved(end, step) for end in ends for step in (-1, 0, 1)}:
            assert found.covers(address.packed) is plain.covers(address.packed), address


@FIXED
@given(text=st.text(alphabet="0123456789.-_x+AS \u0661", max_size=12))
def test_what_is_read_as_an_as_number(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Oracle: ASCII digits alone, from 1 to 2**32 - 1. All else is named."""
    is_one = text.rstrip().isdecimal() and text.isascii() and 1 <= int(text) < 2**32
    folder = tmp_path_factory.mktemp("numbers")
    if is_one:
        assert read(folder, f"AS{text}\n").asns == {int(text)}
        return
    with pytest.raises(Unusable, match="is no AS number"):
        read(folder, f"AS{text}\n")


@pytest.mark.slow
def test_a_long_list_is_right_at_its_edges(tmp_path: Path) -> None:
    """20,000 networks of /64 that do not touch; each is known by its first and last address."""
    numbers = random.Random(7).sample(range(0, 1 << 24, 2), 20_000)
    networks = [ip_network(((0x2001 << 112) | (number << 64), 64)) for number in numbers]
    found = read(tmp_path, "".join(f"{one},US,,,\n" for one in networks))
    assert len(found) == len(networks)
    for one in networks[:2000]:
        assert found.covers(one[0].packed)
        assert found.covers(one[-1].packed)
        assert not found.covers((one[-1] + 1).packed)
