"""The blob: what it holds, how large it gets, and what becomes of a damaged one."""

from __future__ import annotations

import string

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notify_kit import FLAGGED, PUBLIC_ID, Desk, MakeDesk, Pipe, a_letter

from gatehound import Event
from gatehound._sync import run_sync
from gatehound.notify import ledger as book
from gatehound.notify.ledger import (
    DAY,
    MAX_DONE,
    MAX_REFS,
    MAX_SENT,
    MAX_TOLD,
    MAX_WHY,
    Item,
    Ledger,
    Ref,
    Track,
)
from gatehound.stores.answer import Memory
from gatehound.stores.base import Store

SHELF_TAKES = 256 * 1024  # bytes; see stores.base
NOW = 1_800_000_000_000
TEXT = st.text(max_size=300)


def full(channels: int) -> Ledger:
    """The most that each field is let hold."""
    refs = [Ref.of(Event("n" * 99, id="9" * 99, at=NOW / 1000), 7)]
    track = Track(
        place="p" * 3000,  # about the longest, of a large cluster
        delivered=NOW,
        failed=NOW,
        why="w" * MAX_WHY,
        items=[
            Item(b"k" * 12, "admins", b"w" * 8, refs, NOW, 10**6, NOW, 40)
            for _ in range(MAX_REFS // channels)
        ],
        told={index.to_bytes(8, "big"): NOW for index in range(2 * MAX_TOLD)},
        sent={index.to_bytes(8, "big"): [NOW] * 10 for index in range(2 * MAX_SENT)},
        failures=10**6,
        rests_until=NOW,
    )
    data = msgspec.msgpack.encode(track)
    tracks = {f"channel{n}": msgspec.msgpack.decode(data, type=Track) for n in range(channels)}
    return Ledger("h" * 16, NOW, tracks)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2, 4, 8])
def test_a_full_blob_fits_the_shelf(channels: int) -> None:
    ledger = full(channels)
    data = book.written(ledger, NOW)
    assert len(data) < SHELF_TAKES
    assert book.read(data) == ledger
    assert sum(len(track.told) for track in ledger.tracks.values()) > MAX_TOLD - 9
    assert sum(len(track.sent) for track in ledger.tracks.values()) > MAX_SENT - 9


@pytest.mark.slow
@pytest.mark.parametrize("channels", range(2, 9))
def test_what_one_channel_left_fits_beside_new_ones(channels: int) -> None:
    """One had the shelf for itself, and is down: nothing that waits is lost for the others."""
    ledger = full(channels)
    ledger.tracks["channel0"] = full(1).tracks["channel0"]
    for item in ledger.tracks["channel0"].items[:10]:
        item.done = [b"d" * 8] * MAX_DONE
    waiting = [track.refs for track in ledger.tracks.values()]
    data = book.written(ledger, NOW)
    assert len(data) <= SHELF_TAKES
    assert [track.refs for track in book.read(data).tracks.values()] == waiting
    assert waiting[0] == MAX_REFS


def test_of_what_was_told_the_newest_stays() -> None:
    ledger = full(8)
    ledger.tracks["channel0"] = full(1).tracks["channel0"]
    for track in ledger.tracks.values():
        track.told[b"newest"] = NOW + 1
    assert len(book.written(ledger, NOW)) <= SHELF_TAKES
    for track in ledger.tracks.values():
        assert b"newest" in track.told
        assert len(track.told) < MAX_TOLD // 8


def test_nothing_is_kept_where_there_is_no_room() -> None:
    track = Track(told={b"a": NOW}, sent={b"a": [NOW]})
    track.forget(NOW, 2 * MAX_TOLD)
    assert (track.told, track.sent) == ({}, {})


def test_channels_that_are_added_stop_nothing(make_desk: MakeDesk, store: Store) -> None:
    """The store takes what was written."""
    old = book.written(full(1), NOW)
    version = run_sync(store.shelf("notify")).version
    assert run_sync(store.put("notify", Memory(old, version)))
    pipes = [Pipe("channel0"), *(Pipe(str(number)) for number in range(7))]
    assert make_desk(channels=pipes).notifier.run_once().is_mine


EVENTS = st.lists(
    st.builds(
        Event,
        name=st.sampled_from(["session_flagged", "session_terminated", "made_up"]) | TEXT,
        user_id=st.none() | TEXT,
        reason=TEXT,
        notify=st.sampled_from(["user", "admins", "both", ""]),
        at=st.floats(0, 2e9),
        id=TEXT,
    ),
    max_size=40,
)


@pytest.mark.slow
@given(EVENTS, st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_whatever_comes_the_blob_is_small_and_can_be_read(
    events: list[Event], channels: int
) -> None:
    from gatehound.notify.sorting import add_letter, add_notice, is_news, recipients

    ledger = Ledger()
    ledger.keep([str(number) for number in range(channels)])
    for track in ledger.tracks.values():
        for event in events:
            if is_news(track, event, (event.name, event.user_id or ""), b"secret"):
                add_notice(track, event, b"secret")
                for whom in recipients(event):
                    add_letter(track, event, whom, b"secret", settle=0)
    data = book.written(ledger, NOW)
    assert book.read(data) == ledger
    refs = sum(track.refs for track in ledger.tracks.values())
    assert len(data) < 200 + 700 * refs + 20 * len(events) * channels


def test_what_is_over_is_forgotten() -> None:
    track = Track(
        told={b"old": NOW - DAY, b"new": NOW - DAY + 1},
        sent={b"old": [NOW - 2 * DAY], b"new": [NOW - 2 * DAY, NOW - 1]},
    )
    track.forget(NOW, 1)
    assert track.told == {b"new": NOW - DAY + 1}
    assert track.sent == {b"new": [NOW - 1]}


def test_of_one_recipient_as_many_are_kept_as_count() -> None:
    track = Track(sent={b"who": [NOW - 30 + number for number in range(30)]})
    track.forget(NOW, 1)
    assert track.sent == {b"who": [NOW - 10 + number for number in range(10)]}


def test_the_newest_are_kept() -> None:
    track = Track(told={number.to_bytes(8, "big"): NOW - number for number in range(MAX_TOLD + 5)})
    track.forget(NOW, 1)
    assert min(track.told.values()) == NOW - MAX_TOLD + 1


@pytest.mark.parametrize(
    "data", [b"\xc1", b"\x00", b"\x91", b'{"a": 1}', msgspec.msgpack.encode([1, 2, 3])]
)
def test_a_damaged_blob_begins_anew(desk: Desk, store: Store, data: bytes) -> None:
    version = run_sync(store.shelf("notify")).version
    assert run_sync(store.put("notify", Memory(data, version)))
    desk.tell(FLAGGED)
    desk.step(6)
    assert len(desk.box.to("user")) == 1


def test_a_newer_release_may_have_added_fields() -> None:
    newer = ["holder", 1, {"box": ["place", [], {}, {}, 0, 0, 0, 0, "", "new"]}, "new"]
    assert book.read(msgspec.msgpack.encode(newer)).tracks["box"].place == "place"


def test_nobody_is_named_in_it(desk: Desk, store: Store) -> None:
    desk.tell(FLAGGED)
    desk.box.failing = [ValueError("no")]
    desk.pipe.failing = [ValueError("no")]
    desk.step(6)
    data = run_sync(store.shelf("notify")).data
    for secret in (b"ada", b"203.0.113", PUBLIC_ID.encode(), bytes.fromhex(PUBLIC_ID)):
        assert secret not in data
    assert b"session_flagged" in data


@pytest.mark.slow
@given(st.lists(TEXT, max_size=4), st.lists(TEXT, max_size=4))
def test_different_parts_have_different_digests(one: list[str], two: list[str]) -> None:
    same = book.digest(b"key", *one) == book.digest(b"key", *two)
    assert same == (one == two)


def test_a_channel_that_is_gone_takes_its_track_along(desk: Desk) -> None:
    desk.tell(FLAGGED)
    desk.step()
    assert set(desk.ledger.tracks) == {"box", "pipe"}
    desk.another(desk.pipe).run_once()
    assert set(desk.ledger.tracks) == {"pipe"}


def test_letters_keys_are_hex() -> None:
    assert set(a_letter().key) <= set(string.hexdigits)
