"""The compiled set, against netaddr and ipaddress as second opinions."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.clientip import cloudflare
from gatehound.clientip.trust import TrustSet, trust_of

lengths = st.integers(8, 32)


@pytest.mark.slow  # a hundred lists, each compiled
@given(st.lists(st.tuples(st.ip_addresses(v=4), lengths), max_size=6), st.ip_addresses(v=4))
def test_membership_is_that_of_ipaddress(
    entries: list[tuple[ipaddress.IPv4Address, int]], address: ipaddress.IPv4Address
) -> None:
    listed = [ipaddress.IPv4Network((int(a), length), strict=False) for a, length in entries]
    trust = TrustSet(map(str, listed))
    edges = [e for n in listed for e in (n.network_address, n.broadcast_address)]
    beside = [ipaddress.IPv4Address((int(e) + by) % 2**32) for e in edges for by in (-1, 1)]
    for probe in (address, *edges, *beside):
        assert trust.covers(probe.packed) == any(probe in network for network in listed)
        assert bool(trust.entry_of(probe.packed)) == trust.covers(probe.packed)


def test_unix_is_no_address() -> None:
    assert TrustSet(unix=True).covers(b"")
    assert not TrustSet(["0.0.0.0/0", "::/0"]).covers(b"")
    assert repr(TrustSet(["10.0.0.0/8"], unix=True)) == "TrustSet(['10.0.0.0/8', 'unix'])"


def test_worker_is_never_in_a_set() -> None:
    beside = (int.from_bytes(cloudflare.WORKER, "big") + 1).to_bytes(16, "big")
    for trust in (TrustSet(["2a06:98c0::/29"]), TrustSet(["::/0"]), trust_of(cloudflare.RANGES)):
        assert not trust.covers(cloudflare.WORKER)
        assert trust.covers(beside)


def test_minus_and_plus() -> None:
    own = TrustSet(["10.0.0.0/8", "162.158.0.0/15"], unix=True)
    assert own.minus(trust_of(cloudflare.RANGES)).listed == ("10.0.0.0/8", "unix")
    both = TrustSet(["10.0.0.0/9"]).plus(TrustSet(["10.128.0.0/9"], unix=True))
    assert both.listed == ("10.0.0.0/8", "unix")
