"""Alternations of one session between contexts: what counts, when it is worth a look, the bounds.

The oracle of the property is a count from scratch over everything that was sent. Not checked: what
processes that do not know each other each miss. At the end: threads that count at once, here and
in gatehound.detection.population.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from itertools import count
from types import FrameType
from typing import Any

import detection_kit as kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.detection import population, prefix_of
from gatehound.detection import turns as turns_module
from gatehound.detection.population import Population
from gatehound.detection.turns import (
    AGAIN,
    DUE,
    MAX_PLACES,
    MAX_SESSIONS,
    REORDER,
    WINDOW,
    Turns,
)

SID, OLD, NEW = b"session1", b"old...", b"new..."
NOW = int(kit.NOW * 1000)
SECOND = 1000


class Told:
    """One session; its record has `newest` in front."""

    def __init__(self, newest: bytes = OLD) -> None:
        self.turns = Turns()
        self.newest = newest

    def at(self, seconds: float, context: bytes) -> bool:
        return self.turns.note(SID, context, self.newest, NOW + round(seconds * SECOND))

    def count(self, seconds: float) -> int:
        return self.turns.count(SID, NOW + round(seconds * SECOND))


def test_the_numbers() -> None:
    assert (REORDER, WINDOW, AGAIN, DUE) == (30 * SECOND, 900 * SECOND, 300 * SECOND, 3)


def test_a_session_that_stays_on_its_newest_context_costs_no_entry() -> None:
    told = Told()
    assert not any(told.at(seconds, OLD) for seconds in range(0, 3600, 10))
    assert SID not in told.turns
    assert told.count(3600) == 0
    told.at(3601, NEW)
    assert SID in told.turns


def test_places_are_kept_of_sessions_that_go_back_and_forth() -> None:
    told = Told()
    told.turns.stay(SID, OLD, b"home", NOW)
    assert told.turns.places(SID) == ()  # one that stays needs none
    told.at(1, NEW)
    told.turns.stay(SID, OLD, b"home", NOW)
    told.turns.stay(SID, NEW, b"cell", NOW + 1)
    assert told.turns.places(SID) == ((b"home", NOW), (b"cell", NOW + 1))
    told.turns.stay(SID, OLD, b"", NOW + 2)  # an address that is not known is no place
    told.turns.stay(SID, OLD, b"home", NOW + 3)
    assert told.turns.places(SID) == ((b"cell", NOW + 1), (b"home", NOW + 3))
    assert told.turns.places(b"other...") == ()


def test_who_is_dropped_was_not_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """In which of its contexts it was heard of last is not known without its turn."""
    monkeypatch.setattr(turns_module, "MAX_SESSIONS", 2)
    turns = Turns()
    for sid in (b"one", b"two", b"three"):
        turns.hear(sid, NOW)
        turns.note(sid, NEW, OLD, NOW)
        turns.hear(sid, NOW + 1)
    assert b"one" not in turns
    assert [turns.heard(sid) for sid in (b"one", b"two", b"three")] == [0, NOW + 1, NOW + 1]


def test_the_bound_of_places() -> None:
    told = Told()
    told.at(1, NEW)
    for number in range(10):
        told.turns.stay(SID, b"%d" % number, b"a%d" % number, NOW + number)
    kept = told.turns.places(SID)
    assert kept == tuple((b"a%d" % number, NOW + number) for number in range(10 - MAX_PLACES, 10))


@pytest.mark.parametrize("pattern", [[OLD, NEW], [NEW, OLD]], ids=["old first", "new first"])
def test_n39_n2_a_burst_counts_once(pattern: list[bytes]) -> None:
    """old, new, old, new within milliseconds: requests that overtake each other."""
    told = Told()
    due = [told.at(n / 1000, context) for n, context in enumerate(pattern * 200)]
    assert not any(due)
    assert told.count(1) == 1


def test_late_requests_of_the_old_network_are_no_way_back() -> None:
    told = Told()
    told.at(0, NEW)
    for seconds in (0.01, 5, 29.999):
        told.at(seconds, OLD)
    assert told.count(29.999) == 1
    told.at(30, OLD)
    assert told.count(30) == 2


def test_the_window_of_a_burst_begins_with_the_change_and_not_with_each_request() -> None:
    told = Told()
    for seconds in range(30):
        told.at(seconds, NEW)
    told.at(30, OLD)
    assert told.count(30) == 2


def test_staying_in_the_other_context_counts_once() -> None:
    told = Told()
    assert not any(told.at(seconds, NEW) for seconds in range(0, 3000, 60))
    assert told.count(0) == 1
    assert told.count(3000) == 0


def test_due_at_three_and_again_only_after_five_minutes() -> None:
    told = Told()
    due = {
        seconds: told.at(seconds, (NEW, OLD)[n % 2]) for n, seconds in enumerate(range(0, 901, 30))
    }
    assert [seconds for seconds, is_due in due.items() if is_due] == [60, 360, 660]


def test_old_alternations_are_forgotten_after_fifteen_minutes() -> None:
    told = Told()
    told.at(0, NEW)
    told.at(450, OLD)
    assert not told.at(900, NEW), "the first is exactly 15 minutes old: it is out"
    assert told.count(900) == 2
    told = Told()
    told.at(0, NEW)
    told.at(450, OLD)
    assert told.at(899.999, NEW)
    assert told.count(899.999) == 3


def test_slow_turns_are_never_due() -> None:
    """Home in the morning and the office at noon, all day long."""
    told = Told()
    assert not any(told.at(451 * n, (NEW, OLD)[n % 2]) for n in range(100))


def test_a_third_context_is_a_change_too() -> None:
    told = Told()
    assert [told.at(30 * n, context) for n, context in enumerate((NEW, OLD, b"third."))] == [
        False,
        False,
        True,
    ]


def test_a_first_sign_of_life_says_nothing_of_when_the_context_began() -> None:
    """A record without a context: a session of an older release, or one that was just made."""
    told = Told(newest=b"")
    told.at(0, OLD)
    assert SID in told.turns
    assert told.count(0) == 0


def test_a_clock_that_goes_back_makes_no_change() -> None:
    told = Told()
    told.at(0, NEW)
    assert not any(told.at(-seconds, (OLD, NEW)[seconds % 2]) for seconds in range(1, 3600, 30))
    assert told.count(0) == 1


def test_sessions_do_not_mix() -> None:
    turns = Turns()
    for n in range(4):
        for sid in (b"one", b"two", b"three"):
            context = (NEW, OLD)[n % 2] if sid != b"three" else NEW
            turns.note(sid, context, OLD, NOW + n * REORDER)
    after = NOW + 4 * REORDER
    assert [turns.count(sid, after) for sid in (b"one", b"two", b"three", b"four")] == [4, 4, 1, 0]


def test_the_bound_of_sessions() -> None:
    turns = Turns()
    for n in range(MAX_SESSIONS + 5):
        turns.note(n.to_bytes(8), NEW, OLD, NOW)
    assert len(turns._sessions) == MAX_SESSIONS
    assert (4).to_bytes(8) not in turns
    assert (5).to_bytes(8) in turns
    for n in range(3):  # who fell out is counted again, from the start
        turns.note((4).to_bytes(8), (NEW, OLD)[n % 2], OLD, NOW + n * REORDER)
    assert turns.count((4).to_bytes(8), NOW + 2 * REORDER) == 3


def test_one_session_keeps_no_more_times_than_fit_into_the_window() -> None:
    told = Told()
    for n in range(1000):
        told.at(30 * n, (NEW, OLD)[n % 2])
    assert len(told.turns._sessions[SID].changes) <= WINDOW // REORDER


requests = st.lists(
    st.tuples(
        # Apart by what matters: bursts, the reordering window, the window, and just beside them.
        st.sampled_from([0, 1, 999, 29_999, 30_000, 30_001, 120_000, 299_999, 300_000, 899_999])
        | st.integers(0, 1_000_000),
        st.sampled_from([OLD, NEW, b"third."]),
    ),
    max_size=60,
)


def changes_of(sent: list[tuple[int, bytes]]) -> list[int]:
    """The alternations in everything that was sent, by the words of the catalogue.

    The session was in its newest context before. Another one is a change, unless the last change
    is less than 30 s ago.
    """
    found: list[int] = []
    context = OLD
    for at, sent_in in sent:
        if sent_in != context and (not found or at - found[-1] >= 30_000):
            context = sent_in
            found.append(at)
    return found


@pytest.mark.slow
@kit.FIXED
@given(requests)
def test_it_counts_what_a_count_from_scratch_does(steps: list[tuple[int, bytes]]) -> None:
    turns, now = Turns(), NOW
    sent: list[tuple[int, bytes]] = []
    looked: list[int] = []
    for apart, context in steps:
        now += apart
        sent.append((now, context))
        is_due = turns.note(SID, context, OLD, now)
        changes = changes_of(sent)
        recent = [at for at in changes if now - at < 900_000]
        assert turns.count(SID, now) == len(recent)
        expected = (
            bool(changes)
            and changes[-1] == now
            and len(changes) > len(changes_of(sent[:-1]))
            and len(recent) >= 3
            and not (looked and now - looked[-1] < 300_000)
        )
        assert is_due is expected
        looked += [now] if is_due else []
    assert (SID in turns) is any(context != OLD for _, context in steps)


# --- threads ---


def interrupted(work: Callable[[], object], rival: Callable[[], object], at: int) -> bool:
    """Do the work, and before its instruction number `at` what another thread does meanwhile.

    False where the work has fewer instructions in the two modules that count in memory.
    """
    passed = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal passed
        if frame.f_globals is not vars(turns_module) and frame.f_globals is not vars(population):
            return None
        frame.f_trace_opcodes = True
        passed += event == "opcode"
        if event == "opcode" and passed == at:
            sys.settrace(None)
            rival()
            sys.settrace(trace)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return passed >= at


def note_turn(counter: Turns, number: int, seconds: float) -> None:
    now = NOW + round(seconds * SECOND)
    counter.note(number.to_bytes(8), (NEW, OLD)[round(seconds) % 2], OLD, now)
    counter.count(number.to_bytes(8), now)


def note_user(counter: Population, number: int, seconds: float) -> None:
    address = ip_address("10.0.0.7") if number % 2 else None
    packed = address.packed if address else None
    counter.note(number.to_bytes(12), packed, prefix_of(address), kit.NOW + seconds)
    counter.tell()


def note_move(counter: Population, number: int, seconds: float) -> None:
    counter.note_move(str(number), kit.ISP, kit.NOW + seconds)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("counter", "note"), [(Turns, note_turn), (Population, note_user), (Population, note_move)]
)
@pytest.mark.parametrize("rivals", [1, 3])
@pytest.mark.parametrize("later", [4.0, 3609.0], ids=["at once", "when others have to go"])
def test_what_threads_count_at_once_never_raises(
    monkeypatch: pytest.MonkeyPatch, counter: Any, note: Any, rivals: int, later: float
) -> None:
    """Full to the bound, with another thread at each single instruction."""
    monkeypatch.setattr(turns_module, "MAX_SESSIONS", 3)
    for bound, value in (("MAX_USERS", 3), ("MAX_MOVES", 3), ("ENOUGH", 2)):
        monkeypatch.setattr(population, bound, value)
    # Python 3.12 traces the instructions of a process from the second time on.
    interrupted(partial(note, counter(), 7, later), lambda: None, 1)
    for at in count(1):
        counted = counter()
        for number in range(3):
            note(counted, number, number)

        def others(counted: Any = counted) -> None:
            for number in range(1, 1 + rivals):
                note(counted, number, later)

        if not interrupted(partial(note, counted, 7, later + 2), others, at):
            break
    assert at > 15  # how many instructions there are differs from Python to Python: here 23 or more
