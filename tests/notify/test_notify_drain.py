"""Until nothing is left: all that is due goes, to each once, in the steps of one sender."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from notify_kit import FLAGGED, Box, Desk, MakeDesk, Pipe

from gatehound import Event
from gatehound.errors import StoreUnavailable
from gatehound.notify import Letter, Notice, OutOfReach, Refused, Undelivered, ledger
from gatehound.notify import sending as module
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore

SETTLED = 6.0


def flags(count: int, notify: Any = "user") -> list[Event]:
    return [replace(FLAGGED, user_id=f"user{n}", notify=notify) for n in range(count)]


# --- all of it ---


@pytest.mark.full
@pytest.mark.ci
def test_600_events_are_all_told(make_desk: MakeDesk) -> None:
    pipe = Pipe()
    desk = make_desk(channels=[pipe])
    for event in flags(600):
        desk.tell(event)
    done = desk.notifier.drain()
    assert (done.sent, done.failed, done.more, done.due_in) == (600, 0, False, None)
    assert [one.event.user_id for one in pipe.notices] == [f"user{n}" for n in range(600)]


def test_what_a_full_track_left_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_REFS", 20)
    for event in flags(30):
        desk.tell(event)
    assert desk.notifier.drain().sent == 60
    assert len(desk.pipe.notices) == len(desk.box.letters) == 30
    assert desk.notifier.drain().sent == 0


def test_a_track_that_stays_full_ends_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_REFS", 20)
    for event in flags(30):
        desk.tell(event)
    desk.box.failing = [OutOfReach("down")]
    done = desk.notifier.drain()
    assert (done.sent, done.more) == (30, False)
    assert done.due_in == pytest.approx(30_000, abs=500)
    assert desk.box.letters == []


def test_a_step_that_took_too_long_is_followed_by_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for event in flags(3):
        desk.tell(event)
    store = desk.guard.blocking().store
    real, steps = store.ping, []

    class Slow(Pipe):
        def send(self, notice: Notice) -> None:
            super().send(notice)
            monkeypatch.setattr(module, "LONGEST_STEP", -1.0)

    async def ping() -> int:
        steps.append(1)
        monkeypatch.setattr(module, "LONGEST_STEP", 60.0)
        return await real()

    monkeypatch.setattr(store, "ping", ping)
    assert desk.another(Slow("pipe")).drain().sent == 3
    assert len(steps) == 3


def test_failures_are_summed_and_what_waits_is_left(desk: Desk) -> None:
    for event in flags(3):
        desk.tell(event)
    desk.box.failing = [Refused("no"), Undelivered("later")]
    done = desk.notifier.drain()
    assert (done.sent, done.failed) == (4, 1)
    assert done.due_in == pytest.approx(30_000, abs=500)


def test_while_another_sends_it_does_nothing(desk: Desk) -> None:
    desk.tell(FLAGGED)
    other, saw = desk.another(), []

    class Meanwhile(Pipe):
        def send(self, notice: Notice) -> None:
            super().send(notice)
            saw.append(other.drain())

    desk.another(Meanwhile("pipe")).drain()
    assert [(one.sent, one.is_mine) for one in saw] == [(0, False)]


# --- under way ---


def test_what_is_under_way_is_left_alone_when_the_lease_is_over(desk: Desk) -> None:
    """The one who sends it may only be slow: whoever takes over tells the rest first."""
    for event in flags(2):
        desk.tell(event)
    desk.clock.advance(SETTLED)
    other, theirs = Box(), []

    class Slow(Box):
        def send(self, letter: Letter) -> None:
            super().send(letter)
            desk.clock.advance(121)
            theirs.append(desk.another(other).run_once())

    slow = Slow()
    assert not desk.another(slow).run_once().is_mine
    assert theirs[0].is_mine
    assert [one.user_id for one in slow.letters] == ["user0"]
    assert [one.user_id for one in other.letters] == ["user1"]
    desk.clock.advance(30)  # nobody heard of the first: it comes again, with its key
    desk.another(other).run_once()
    assert other.letters[1].key == slow.letters[0].key


def test_an_outage_in_the_middle_locks_out_others_and_not_who_sent(
    make_desk: MakeDesk, store: Store
) -> None:
    faulty = FaultyStore(store)
    desk = make_desk(over=faulty)
    for event in flags(2):
        desk.tell(event)
    desk.clock.advance(SETTLED)

    class Breaking(Box):
        def send(self, letter: Letter) -> None:
            super().send(letter)
            if len(self.letters) == 1:
                faulty.fail("put")

    box = Breaking()
    notifier = desk.another(box)
    with pytest.raises(StoreUnavailable):
        notifier.run_for("one", lambda: False)
    assert not notifier.run_for("other", lambda: False).is_mine
    assert notifier.run_for("one", lambda: False).sent == 1
    assert [one.user_id for one in box.letters] == ["user0", "user1"]


# --- who is left ---


def test_the_next_try_is_for_who_is_left(make_desk: MakeDesk, store: Store) -> None:
    desk = make_desk(admins=["a@shop.example", "b@shop.example", "c@shop.example"])
    desk.tell(replace(FLAGGED, notify="admins"))
    desk.box.failing = [
        Undelivered("b and c later", done=["a@shop.example"]),
        Undelivered("c later", done=["b@shop.example"]),
    ]
    asked: list[tuple[str, ...]] = []
    real: Callable[[Letter], None] = desk.box.send

    def send(letter: Letter) -> None:
        asked.append(letter.to)
        real(letter)

    desk.box.send = send  # type: ignore[method-assign]  # to see each attempt
    desk.step(SETTLED)
    assert len(desk.ledger.tracks["box"].items[0].done) == 1
    for _ in range(4):
        desk.step(130)
    a, b, c = "a@shop.example", "b@shop.example", "c@shop.example"
    assert asked == [(a, b, c), (b, c), (c,)]
    assert desk.events == []
    assert desk.ledger.tracks["box"].items == []


def test_of_the_addresses_there_are_hashes_alone(desk: Desk, clock: FakeClock) -> None:
    desk.tell(replace(FLAGGED, notify="user"))
    many = [f"{n}@shop.example" for n in range(2 * ledger.MAX_DONE)]
    desk.box.failing = [Undelivered("later", done=many)]
    desk.step(SETTLED)
    [item] = desk.ledger.tracks["box"].items
    assert len(item.done) == ledger.MAX_DONE
    assert {len(one) for one in item.done} == {8}
