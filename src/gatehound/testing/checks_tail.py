"""Checks of a store: following the events from place to place."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from gatehound.model import Event
from gatehound.stores.answer import EventQuery, Tail
from gatehound.stores.rule import DAY
from gatehound.testing.bench import MADE_UP_CURSORS, Bench, equal

Call = Callable[[], Coroutine[Any, Any, None]]

WRITERS: Final = 15
EACH: Final = 8  # events of one writer

# Like what some store might say, and what none does: whole base64, half, of other lengths.
MADE_UP_PLACES: Final = (*MADE_UP_CURSORS, "lAEAAA", "AAAA", "_-_-", "A" * 5000, "=", "null")


def _reasons(tail: Tail) -> list[str]:
    return [event.reason for event in tail.events]


async def _write(bench: Bench, first: int, count: int, user_id: str | None = None) -> None:
    for number in range(first, first + count):
        await bench.store.append(Event("login_failed", user_id, reason=str(number)))


async def _follow(bench: Bench, place: str, limit: int = 500) -> tuple[list[Event], str]:
    """Go on until no more is there."""
    found: list[Event] = []
    for _ in range(300):
        tail = await bench.store.tail(place, limit=limit)
        found, place = [*found, *tail.events], tail.place
        if not tail.more:
            return found, place
    raise AssertionError("there is more, and more, and no end of it")


async def check_tail_begins_with_now(bench: Bench) -> None:
    empty = await bench.store.tail("")
    equal((empty.events, empty.more), ((), False), "the tail of an empty store")
    await _write(bench, 0, 3, "anna")
    begun = await bench.store.tail("")
    equal((begun.events, begun.more), ((), False), "the place of now")
    assert begun.place, "a place is never empty"
    equal(_reasons(await bench.store.tail(empty.place)), ["0", "1", "2"], "since it was empty")
    await _write(bench, 3, 1, "anna")  # of the same instant
    next_ = await bench.store.tail(begun.place)
    equal((_reasons(next_), next_.more), (["3"], False), "since the place of now")
    last = await bench.store.tail(next_.place)
    equal((last.events, last.more), ((), False), "after all")
    equal(_reasons(await bench.store.tail(begun.place)), ["3"], "the same place once more")


async def check_tail_begins_with_a_moment(bench: Bench) -> None:
    start = bench.clock()
    for number in range(4):
        await _write(bench, number, 1)
        bench.clock.advance(1)
    for since, expected in ((start + 2000, ["2", "3"]), (start + 2001, ["3"]), (0, list("0123"))):
        begun = await bench.store.tail("", since=since)
        equal((_reasons(begun), begun.more), (expected, False), f"since {since - start} ms")
        equal((await bench.store.tail(begun.place)).events, (), "and after it")
    later = await bench.store.tail("", since=bench.clock() + 1)
    equal(later.events, (), "since a moment to come")
    first = await bench.store.tail("", since=start + 1000, limit=1)
    equal((_reasons(first), first.more), (["1"], True), "the first since a moment")
    rest, _ = await _follow(bench, first.place, 1)
    equal([event.reason for event in rest], ["2", "3"], "the others, without the moment")


async def check_tail_tells_each_event_once(bench: Bench) -> None:
    """Those of one user in their order, and within one answer the oldest first."""
    begun = (await bench.store.tail("")).place
    for number in range(28):
        await _write(bench, number, 1, ("anna", None, "anna", "zoë")[number % 4])
        bench.clock.advance(ms=number % 3)
    ids = {event.id for event in await bench.events()}
    for limit in (3, 28, 500):
        found, _ = await _follow(bench, begun, limit)
        equal(len(found), 28, f"events in steps of {limit}")
        equal({event.id for event in found}, ids, f"ids in steps of {limit}")
        of_anna = [int(event.reason) for event in found if event.user_id == "anna"]
        equal(of_anna, sorted(of_anna), f"the order of one user in steps of {limit}")
    for place, limit in ((begun, 10), (begun, 500)):
        tail = await bench.store.tail(place, limit=limit)
        moments = [event.at for event in tail.events]
        equal(moments, sorted(moments), "times within one answer")
        assert len(moments) <= 2 * limit, f"{len(moments)} events for a limit of {limit}"


async def check_tail_tells_of_one_flood_in_steps(bench: Bench) -> None:
    begun = (await bench.store.tail("")).place
    await _write(bench, 0, 300, "anna")
    await _write(bench, 300, 1)
    found, place = await _follow(bench, begun, 100)
    equal(sorted(int(event.reason) for event in found), list(range(301)), "what was told")
    equal((await bench.store.tail(place)).events, (), "after it")


async def check_tail_tells_all_of_an_event(bench: Bench) -> None:
    begun = (await bench.store.tail("")).place
    detail: dict[str, Any] = {"text": "é", "int": -3, "none": None}
    address = "2001:db8::1"
    event = Event("session_flagged", "zoë \x00", "00ff", "why", address, detail, notify="both")
    await bench.store.append(event)
    told = [*(await bench.store.tail(begun)).events]
    equal(told, await bench.events(), "what the tail says, and what the list says")
    await bench.login(event=Event("session_created", "anna", "00"))
    names = [event.name for event in (await bench.store.tail(begun)).events]
    equal(sorted(names), ["session_created", "session_flagged"], "an event of a change too")


async def check_tail_skips_nothing_when_the_clock_steps_back(bench: Bench) -> None:
    await _write(bench, 0, 1, "anna")
    place = (await bench.store.tail("")).place
    for step in (-7, -7, 3, -3600, 1):
        bench.clock.advance(step)
        await _write(bench, step, 1, "anna")
        await _write(bench, step, 3)
        tail = await bench.store.tail(place)
        expected = sorted(str(step + n) for n in (0, 0, 1, 2))
        equal(sorted(_reasons(tail)), expected, f"after a step of {step} s")
        place = tail.place


async def check_tail_leaves_out_what_is_too_old(bench: Bench) -> None:
    place = (await bench.store.tail("")).place
    await _write(bench, 0, 1, "anna")
    bench.clock.advance(ms=89 * DAY)
    await _write(bench, 1, 1)
    both = await bench.store.tail(place)
    equal(_reasons(both), ["0", "1"], "after 89 days")
    bench.clock.advance(ms=2 * DAY)
    equal(_reasons(await bench.store.tail(place)), ["1"], "after 91 days, from a place")
    equal(_reasons(await bench.store.tail("", since=0)), ["1"], "after 91 days, from a moment")
    await _write(bench, 2, 1, "anna")
    equal(_reasons(await bench.store.tail(both.place)), ["2"], "from a place 2 days ago")


async def check_tail_forgets_whom_the_store_forgets(bench: Bench) -> None:
    alias, place = bench.alias(), (await bench.store.tail("")).place
    await _write(bench, 0, 2, "zoë")
    await _write(bench, 2, 3, "anna")
    seen = await bench.store.tail(place)
    await bench.store.forget(alias, "anna")
    equal(_reasons(await bench.store.tail(place)), ["0", "1"], "what is left")
    equal((await bench.store.tail(seen.place)).events, (), "behind what was erased")
    await _write(bench, 5, 1, "anna")
    equal(_reasons(await bench.store.tail(seen.place)), ["5"], "what came after it")


async def check_tail_survives_a_made_up_place(bench: Bench) -> None:
    """It may come through a URL: what no answer said begins anew."""
    await _write(bench, 0, 1, "anna")
    for number, made_up in enumerate(MADE_UP_PLACES, 1):
        begun = await bench.store.tail(made_up, since=0 if number % 4 == 0 else None)
        assert begun.place, f"no place to go on from after {made_up[:60]!r}"
        await _write(bench, number, 1, "anna")
        reasons = _reasons(await bench.store.tail(begun.place))
        equal(reasons, [str(number)], f"what came after the place {made_up[:60]!r}")


async def check_tail_begins_anew_where_a_backup_is_older(bench: Bench) -> None:
    await _write(bench, 0, 3, "anna")
    ahead = (await bench.store.tail("", since=0)).place
    older = await bench.another()
    equal((await older.tail(ahead)).events, (), "the tail of a store that is not so far")
    await older.append(Event("login_failed", "anna", reason="before"))
    begun = await older.tail(ahead)
    equal(begun.events, (), "one that is not so far, begun anew")
    whole = await older.tail(ahead, since=0)
    equal(_reasons(whole), ["before"], "begun anew with a moment")
    for place in (begun.place, whole.place):
        await older.append(Event("login_failed", "anna", reason="after"))
        assert "after" in _reasons(await older.tail(place)), "what came after it"
    pages = await older.events(EventQuery())
    equal(len(pages.events), 3, "events of the older one")


async def check_race_tail_with_writers(bench: Bench) -> None:
    """Who follows while others write sees everything once."""
    place = (await bench.store.tail("")).place
    written: list[int] = []
    found: list[Event] = []

    async def write(writer: int) -> None:
        for number in range(EACH):
            user_id = None if writer % 3 else f"user {writer % 2}"
            event = Event("login_failed", user_id, reason=str(writer * EACH + number))
            await bench.store.append(event)
        written.append(writer)

    async def follow() -> None:
        at = place
        while len(written) < WRITERS:
            tail = await bench.store.tail(at, limit=5)
            found.extend(tail.events)
            at = tail.place
        rest, _ = await _follow(bench, at)
        found.extend(rest)

    calls: list[Call] = [follow, *(partial(write, number) for number in range(WRITERS))]
    await bench.parallel(calls)
    told = sorted(int(event.reason) for event in found)
    equal(told, list(range(WRITERS * EACH)), "what was told, of all that was written")
