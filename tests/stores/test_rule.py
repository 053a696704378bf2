"""The small rules that stores share: which events match, which names and sizes shelves take."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.model import Event
from gatehound.stores.answer import EventQuery
from gatehound.stores.rule import MAX_SHELF_BYTES, check_shelf, clip_moment, matches_event

addresses = st.ip_addresses()


def found(address: str, network: str) -> bool:
    wanted = ip_network(network, strict=False)
    asked = EventQuery(network=(wanted.network_address.packed, wanted.prefixlen))
    return matches_event(Event("login_failed", address=address), asked)


@pytest.mark.slow
@given(addresses, addresses, st.integers(0, 128))
def test_networks_hold_what_ipaddress_says(
    one: IPv4Address | IPv6Address, other: IPv4Address | IPv6Address, length: int
) -> None:
    network = ip_network((other, min(length, other.max_prefixlen)), strict=False)
    if isinstance(one, IPv6Address) and one.ipv4_mapped:
        return  # the table below
    if isinstance(other, IPv6Address) and other.ipv4_mapped:
        return
    assert found(str(one), str(network)) == (one in network)
    assert found(str(one), f"{one}/{one.max_prefixlen}")


@pytest.mark.parametrize(
    ("address", "network", "expected"),
    [
        ("::ffff:192.0.2.7", "192.0.2.0/24", True),
        ("::FFFF:c000:0207", "192.0.2.7/32", True),
        ("192.0.2.7", "::ffff:192.0.2.0/120", True),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.0/120", True),
        ("192.0.3.7", "::ffff:192.0.2.0/120", False),
        ("192.0.2.7", "::ffff:0:0/96", True),
        ("192.0.2.7", "::ffff:0:0/95", False),
        ("192.0.2.7", "::/0", False),
        ("::ffff:192.0.2.7", "::/0", False),
        ("2001:db8::1", "0.0.0.0/0", False),
        ("fe80::1%eth0", "fe80::/10", True),
        ("", "0.0.0.0/0", False),
        ("", "::/0", False),
        ("unknown", "0.0.0.0/0", False),
        ("192.0.2.7, 192.0.2.8", "0.0.0.0/0", False),
        ("192.0.2.7:443", "0.0.0.0/0", False),
        ("192.0.2.07", "0.0.0.0/0", False),
        ("3221225991", "0.0.0.0/0", False),
    ],
)
def test_what_is_in_a_network(address: str, network: str, expected: bool) -> None:
    assert found(address, network) is expected


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (1000, None, True),
        (1001, None, False),
        (None, 1000, False),
        (None, 1001, True),
        (1000, 1001, True),
        (1001, 1000, False),
    ],
)
def test_from_a_moment_on_and_before_another(
    since: int | None, until: int | None, expected: bool
) -> None:
    event = Event("login_failed", at=1.0)
    assert matches_event(event, EventQuery(since=since, until=until)) is expected


def test_a_millisecond_is_not_lost_to_a_float() -> None:
    for at in range(1_800_000_000_000, 1_800_000_001_000):
        event = Event("login_failed", at=at / 1000)
        assert matches_event(event, EventQuery(since=at, until=at + 1))


def test_a_shelf_says_what_is_allowed() -> None:
    check_shelf("a-0", bytes(MAX_SHELF_BYTES))
    with pytest.raises(ValueError, match=r"'A' given: 1 to 32 of a-z, 0-9 and '-' are allowed"):
        check_shelf("A")
    with pytest.raises(ValueError, match=r"'a': 262145 bytes given, 262144 are allowed"):
        check_shelf("a", bytes(MAX_SHELF_BYTES + 1))


def test_moments_are_clipped_to_what_stores_compare_with() -> None:
    assert [clip_moment(m) for m in (-1, 0, 7, 10**30)] == [0, 0, 7, 2**48 - 1]
