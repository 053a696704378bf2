"""The packed record: what goes in comes out, small enough, and nothing else is read."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound.errors import StoreCorrupt
from gatehound.model import END_REASONS, METHODS, EndReason
from gatehound.stores.record import (
    MAX_VALUE_BYTES,
    VERSION,
    Record,
    Security,
    Seen,
    Tombstone,
    expiry,
    methods_from_bits,
    methods_to_bits,
)

starts = st.integers(0, 2**47)
spans = st.integers(0, 2**40 - 1)
instants = st.integers(0, 2**48 - 1)
pair = st.binary(min_size=6, max_size=6)
countries = st.text(string.ascii_uppercase, min_size=2, max_size=2) | st.just("")


def _security(
    created: int, authenticated: int, expires: int, rotated: int, **rest: Any
) -> Security:
    return Security(
        created=created,
        authenticated=created + authenticated,
        expires=created + expires,
        rotated=created + rotated,
        **rest,
    )


securities = st.builds(
    _security,
    sid=st.binary(min_size=8, max_size=8),
    secret_hash=st.binary(min_size=16, max_size=16),
    created=starts,
    authenticated=spans | st.just(0),
    expires=spans,
    idle=st.integers(0, 2**32 - 1).map(lambda seconds: seconds * 1000),
    flags=st.integers(0, 255),
    aal=st.integers(0, 255),
    methods=st.sets(st.sampled_from(METHODS)).map(
        lambda chosen: tuple(method for method in METHODS if method in chosen)
    ),
    rotated=spans | st.just(0),
)
seens = st.builds(
    Seen,
    last_seen=instants,
    address=st.just(b"") | st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
    country=countries,
    place=st.integers(0, 2**32 - 1),
    agent=st.binary(min_size=6, max_size=6),
    pairs=st.sampled_from([(b"", b"")]) | st.tuples(pair, st.just(b"")) | st.tuples(pair, pair),
)
tombstones = st.builds(Tombstone, reason=st.sampled_from(EndReason), at=instants)

SECURITY = Security(b"sidsidsi", b"h" * 16, 1, 1, 3, 4000, rotated=1)
ROTATED = replace(SECURITY, authenticated=2, rotated=2)
SEEN = Seen(5)
FULL = Seen(5, bytes(16), "NO", 1, b"agent1", (b"pair01", b"pair02"))
TOMBSTONE = Tombstone(EndReason.USER, 6)


@given(securities)
def test_security_comes_out_as_it_went_in(security: Security) -> None:
    assert Security.unpack(security.sid, security.pack()) == security


@given(seens)
def test_seen_comes_out_as_it_went_in(seen: Seen) -> None:
    assert Seen.unpack(seen.pack()) == seen


@given(tombstones)
def test_tombstone_comes_out_as_it_went_in(tombstone: Tombstone) -> None:
    assert Tombstone.unpack(tombstone.pack()) == tombstone


@pytest.mark.slow
@given(securities, seens, tombstones)
def test_parts_stay_small(security: Security, seen: Seen, tombstone: Tombstone) -> None:
    """A larger value would turn Redis's compact hash into a table."""
    for part in (security.pack(), seen.pack(), tombstone.pack()):
        assert len(part) <= MAX_VALUE_BYTES
        assert part[0] == VERSION


def test_sizes_are_those_of_the_docstrings() -> None:
    ordinary = replace(FULL, address=bytes(4), pairs=(b"pair01", b""))
    packed = (SECURITY, ROTATED, SEEN, ordinary, FULL, TOMBSTONE)
    assert [len(part.pack()) for part in packed] == [40, 50, 14, 30, 48, 8]


def test_a_clock_that_stepped_back_is_no_error() -> None:
    odd = replace(ROTATED, created=1000, authenticated=2000, rotated=0)
    assert Security.unpack(odd.sid, odd.pack()) == replace(odd, rotated=1000, expires=1000)


def _unpack(kind: str, data: bytes) -> object:
    if kind == "security":
        return Security.unpack(SECURITY.sid, data)
    return Seen.unpack(data) if kind == "seen" else Tombstone.unpack(data)


PACKED = {"security": ROTATED.pack(), "seen": FULL.pack(), "tombstone": TOMBSTONE.pack()}
LEAST = {"security": 40, "seen": 48, "tombstone": 8}


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("version", [0, VERSION + 1, 255])
def test_another_version_is_refused(kind: str, version: int) -> None:
    with pytest.raises(StoreCorrupt, match=f"version {version}"):
        _unpack(kind, bytes([version]) + PACKED[kind][1:])


@pytest.mark.parametrize("kind", PACKED)
def test_a_part_that_was_cut_is_refused(kind: str) -> None:
    for size in range(LEAST[kind]):
        with pytest.raises(StoreCorrupt, match=f"{size} bytes"):
            _unpack(kind, PACKED[kind][:size])


@pytest.mark.parametrize("kind", PACKED)
def test_fields_appended_later_are_left_alone(kind: str) -> None:
    assert _unpack(kind, PACKED[kind] + b"later") == _unpack(kind, PACKED[kind])


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Does not check that what is read makes sense: any 40 bytes of version 1 are a record."""
    for kind in PACKED:
        try:
            _unpack(kind, data)
        except StoreCorrupt:
            continue
        assert data[0] == VERSION


@given(securities, st.binary(min_size=8, max_size=8))
def test_a_reply_for_another_session_is_refused(security: Security, sid: bytes) -> None:
    assume(sid[:4] != security.sid[:4])
    with pytest.raises(StoreCorrupt, match="another session"):
        Security.unpack(sid, security.pack())


def test_a_reason_of_a_later_release_reads_as_admin() -> None:
    data = bytes([VERSION, len(END_REASONS)]) + TOMBSTONE.pack()[2:]
    assert Tombstone.unpack(data) == Tombstone(EndReason.ADMIN, 6)


def test_methods_of_a_later_release_read_as_other() -> None:
    assert methods_from_bits(1 << len(METHODS)) == ("other",)
    assert methods_from_bits(1 << len(METHODS) | methods_to_bits(["other", "totp"])) == (
        "totp",
        "other",
    )


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match=r"'magic'.*password"):
        methods_to_bits(["password", "magic"])


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0, None),
        (109, None),
        (110, EndReason.IDLE),
        (199, EndReason.IDLE),
        (200, EndReason.ABSOLUTE),
    ],
)
def test_limits_count_as_reached_at_their_instant(now: int, expected: EndReason | None) -> None:
    assert expiry(now, expires=200, idle=10, last_seen=100) is expected
    security = replace(SECURITY, expires=200, idle=10)
    record = Record(bytes(12), "anna", (), security, Seen(100))
    assert record.expiry(now) is expected
    assert (record.sid, record.public_id) == (b"sidsidsi", b"sidsidsi".hex())
