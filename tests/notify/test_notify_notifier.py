"""Steps: nothing lost, nothing twice, whatever fails, ends or restarts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from notify_kit import ENDED, FLAGGED, PROXY, Box, Desk, MakeDesk, Pipe, a_letter

import zoo
from gatehound import Event, SettingsError
from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.listing import Users
from gatehound.notify import Letter, Notifier, OutOfReach, Refused, Step, Undelivered, ledger
from gatehound.notify import sending as module
from gatehound.notify.ledger import Track
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.stores.redis import RedisStore
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import FakeClock, FaultyStore

SETTLED = 6.0


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with zoo.server(zoo.SYSTEM, tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(params=["memory", "sqlite", "redis"])
def any_store(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[Store]:
    """A store that a restart finds again, of each kind."""
    made: Store
    if request.param == "memory":
        made = MemoryStore(clock=clock)
    elif request.param == "sqlite":
        made = SQLiteStore(str(tmp_path / "sessions.db"), suspends=False, clock=clock)
    else:
        url = request.getfixturevalue("redis_url")
        made = RedisStore(
            url,
            namespace=tmp_path.name[:20].lower().replace("_", "-"),
            suspends=False,
            clock=clock,
            deadline=5.0,
        )
    yield made
    run_sync(made.close())


def flags(count: int) -> list[Event]:
    return [replace(FLAGGED, user_id=f"user{n}") for n in range(count)]


# --- every store ---


def test_told_once_over_each_store(make_desk: MakeDesk, any_store: Store) -> None:
    desk = make_desk(over=any_store)
    desk.tell(FLAGGED)
    desk.tell(Event("session_created", user_id="ada"))
    desk.tell(PROXY)
    assert desk.step(SETTLED) == Step(sent=4)
    assert desk.step(60) == Step()
    [letter] = desk.box.to("user")
    assert letter.to == ("ada@people.example",)
    [digest] = desk.box.to("admins")
    told = ["proxy_misconfigured", "session_flagged"]
    assert sorted(one.name for one in digest.events) == told
    assert sorted(one.event.name for one in desk.pipe.notices) == told


def test_a_restart_loses_nothing_and_repeats_nothing(make_desk: MakeDesk, any_store: Store) -> None:
    desk = make_desk(over=any_store)
    first, second, third = flags(3)
    desk.tell(first)
    desk.step(SETTLED)
    desk.tell(second)
    desk.step()  # sorted, and not yet sent
    desk.tell(third)  # not even read
    desk.clock.advance(SETTLED)
    restarted = desk.another()
    assert restarted.run_once().sent == 1 + 2 + 1
    desk.step(SETTLED)
    assert [one.user_id for one in desk.box.to("user")] == ["user0", "user1", "user2"]
    assert [one.event.user_id for one in desk.pipe.notices] == ["user0", "user1", "user2"]


def test_a_failed_letter_waits_in_the_store(make_desk: MakeDesk, any_store: Store) -> None:
    desk = make_desk(over=any_store)
    desk.tell(replace(FLAGGED, notify="user"))
    desk.box.failing = [Undelivered("busy")]
    done = desk.step(SETTLED)
    assert (done.sent, done.failed) == (1, 0)
    assert done.due_in == pytest.approx(30_000, abs=500)
    restarted = desk.another()
    desk.clock.advance(31)
    assert restarted.run_once().sent == 1
    [letter] = desk.box.letters
    assert letter.events[0].reason == FLAGGED.reason


def test_who_is_forgotten_is_told_of_to_nobody(make_desk: MakeDesk, any_store: Store) -> None:
    desk = make_desk(over=any_store)
    desk.tell(FLAGGED)
    desk.step()
    desk.guard.sync.forget_user("ada")
    restarted = desk.another()
    desk.clock.advance(SETTLED)
    done = restarted.run_once()
    assert (done.failed, done.due_in) == (0, None)
    assert desk.box.letters == []


@pytest.mark.full
@pytest.mark.ci
def test_events_of_one_moment_are_told_apart(make_desk: MakeDesk, any_store: Store) -> None:
    desk = make_desk(over=any_store)
    for event in flags(25):
        desk.tell(event)
    desk.step()
    restarted = desk.another()  # it reads each event again
    desk.clock.advance(SETTLED)
    restarted.run_once()
    assert {one.user_id for one in desk.box.to("user")} == {f"user{n}" for n in range(25)}
    assert len(desk.box.to("user")) == 25


# --- one at a time ---


class Meanwhile(Box):
    """While it sends, another notifier does a step."""

    def __init__(self, job: Callable[[], Any]) -> None:
        super().__init__("box")
        self.job = job
        self.saw: list[Any] = []

    def send(self, letter: Letter) -> None:
        super().send(letter)
        self.saw.append(self.job())


def test_of_two_one_sends(desk: Desk) -> None:
    other = desk.another()
    box = Meanwhile(other.run_once)
    first = desk.another(box, desk.pipe)
    desk.tell(FLAGGED)
    desk.clock.advance(SETTLED)
    assert first.run_once().sent == 3
    assert [one.is_mine for one in box.saw] == [False, False]
    assert box.saw[0].due_in == pytest.approx(120_000, abs=500)
    assert desk.box.letters == []
    assert len(desk.pipe.notices) == 1


def test_of_two_that_read_at_once_one_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    other, store = desk.another(), desk.guard.blocking().store
    real = store.put
    was: list[Step] = []

    async def put(name: str, memory: Any) -> bool:
        if not was:
            was.append(Step())
            was[0] = desk.another().run_once()  # quicker
        return await real(name, memory)

    monkeypatch.setattr(store, "put", put)
    desk.tell(FLAGGED)
    desk.clock.advance(SETTLED)
    assert other.run_once() == Step(is_mine=False)
    assert was[0].sent == 3
    assert len(desk.box.letters) == 2


class Killed(BaseException):
    """The process ends here."""


def test_a_process_that_dies_holds_it_up_for_two_minutes(desk: Desk) -> None:
    desk.tell(replace(FLAGGED, notify="user"))
    desk.clock.advance(SETTLED)

    def die() -> None:
        raise Killed

    dying = desk.another(Meanwhile(die), desk.pipe)
    with pytest.raises(Killed):
        dying.run_once()
    other = desk.another()
    assert not other.run_once().is_mine
    desk.clock.advance(110)
    assert not other.run_once().is_mine
    desk.clock.advance(15)
    assert other.run_once().is_mine
    desk.clock.advance(30)
    assert other.run_once().sent == 1  # at least once: it had been sent, and nobody knew
    [letter] = desk.box.letters
    assert letter.key == dying._channels["box"].letters[0].key  # type: ignore[union-attr]  # a Box
    desk.clock.advance(3600)
    assert other.run_once().sent == 0


def test_who_lost_the_lease_stops(desk: Desk) -> None:
    """It took so long that another went on: what that does not know is not told by two."""
    for event in flags(3):
        desk.tell(replace(event, notify="user"))
    desk.clock.advance(SETTLED)
    other = desk.another()

    def late() -> Step:
        desk.clock.advance(200)
        return other.run_once()

    slow = Meanwhile(late)
    assert not desk.another(slow, desk.pipe).run_once().is_mine
    told = [one.user_id for one in (*slow.letters, *desk.box.letters)]
    assert sorted(set(map(str, told))) == ["user0", "user1", "user2"]
    assert len(slow.letters) == 1


def test_a_lease_from_a_clock_that_was_ahead_counts_no_more(desk: Desk) -> None:
    box = Meanwhile(lambda: desk.clock.advance(-1000))
    desk.tell(replace(FLAGGED, notify="user"))
    desk.clock.advance(SETTLED)

    def die() -> None:
        raise Killed

    box.job = die
    with pytest.raises(Killed):
        desk.another(box, desk.pipe).run_once()
    desk.clock.advance(-3600)
    assert desk.step().is_mine


# --- failures ---


def test_it_is_tried_again_ever_more_seldom_and_given_up_after_a_day(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.tell(replace(FLAGGED, notify="user"))
    desk.box.failing = [Undelivered("busy") for _ in range(99)]
    waits = []
    desk.clock.advance(SETTLED)
    while (done := desk.step()).due_in is not None:
        waits.append(round(done.due_in / 1000))
        desk.clock.advance(done.due_in / 1000 + 1)
    assert waits[:9] == [30, 60, 120, 240, 480, 960, 1920, 3840, 7200]
    assert set(waits[9:]) == {7200}
    assert 86_400 <= sum(waits) < 86_400 + 7300
    assert done.failed == 1
    [event] = desk.events
    assert (event.name, event.reason) == ("notification_failed", "busy")
    assert event.detail["channel"] == "box"
    assert event.detail["tries"] == len(waits) + 1
    assert "tried again later: busy" in caplog.text
    assert desk.step(60) == Step()


def test_jitter_is_a_quarter_up_or_down(desk: Desk) -> None:
    for chance, wait in ((0.0, 22_500), (0.999, 37_485)):
        jitter = partial(float, chance)
        desk.tell(replace(FLAGGED, user_id=str(chance), notify="user"))
        desk.box.failing = [Undelivered("busy")]
        desk.clock.advance(SETTLED)
        notifier = Notifier(desk.guard, channels=[desk.box, desk.pipe], jitter=jitter)
        notifier.run_once()
        [item] = desk.ledger.tracks["box"].items
        assert item.due - item.since == pytest.approx(wait, abs=500)
        desk.step(60)


def test_what_is_refused_is_not_tried_again(desk: Desk) -> None:
    desk.tell(replace(FLAGGED, notify="user"))
    desk.box.failing = [Refused("550 nobody here")]
    assert desk.step(SETTLED) == Step(sent=1, failed=1)
    assert desk.names() == ["notification_failed"]
    assert desk.step(3600) == Step()


def test_a_channel_out_of_reach_is_asked_once_and_rests(desk: Desk) -> None:
    for event in flags(5):
        desk.tell(replace(event, notify="user"))
    desk.box.failing = [OutOfReach("down"), OutOfReach("down")]
    assert desk.step(SETTLED).sent == 5  # the other channel goes on
    assert len(desk.box.failing) == 1
    assert desk.step(10).sent == 0
    assert len(desk.box.failing) == 1
    assert desk.step(25).sent == 0
    assert desk.box.failing == []
    assert desk.step(65).sent == 5
    assert sorted(str(one.user_id) for one in desk.box.letters) == [f"user{n}" for n in range(5)]
    assert desk.ledger.tracks["box"].failures == 0


def test_a_full_track_leaves_the_rest_in_the_log(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MAX_REFS", 20)
    for event in flags(30):
        desk.tell(replace(event, notify="user"))
    desk.box.failing = [OutOfReach("down") for _ in range(3)]
    desk.step(SETTLED)
    assert desk.ledger.tracks["box"].refs <= 10
    assert len(desk.pipe.notices) <= 10
    for _ in range(40):
        desk.step(60)
    assert [one.event.user_id for one in desk.pipe.notices] == [f"user{n}" for n in range(30)]
    assert sorted(str(one.user_id) for one in desk.box.letters) == sorted(
        f"user{n}" for n in range(30)
    )


def test_a_channel_that_breaks_is_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.tell(replace(FLAGGED, notify="user"))
    desk.box.failing = [ZeroDivisionError()]
    desk.step(SETTLED)
    assert "the channel box failed" in caplog.text
    assert desk.step(40).sent == 1


@pytest.mark.parametrize("method", ["ping", "shelf", "put", "tail", "search"])
def test_an_outage_of_the_store_loses_nothing(
    make_desk: MakeDesk, store: Store, method: str
) -> None:
    faulty = FaultyStore(store)
    desk = make_desk(over=faulty)
    desk.tell(FLAGGED)
    desk.clock.advance(SETTLED)
    faulty.fail(method)
    with pytest.raises(StoreUnavailable):
        desk.notifier.run_once()
    faulty.heal()
    desk.step(130)
    assert len(desk.box.letters) == 2
    assert len(desk.pipe.notices) == 1


def test_sending_is_left_for_the_next_step_after_a_while(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_STEP", -1.0)
    desk.tell(FLAGGED)
    assert desk.step(SETTLED) == Step(due_in=0)
    monkeypatch.undo()
    assert desk.step().sent == 3


def test_much_is_read_in_several_steps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(module, "BATCHES", 2)
    for event in flags(5):
        desk.tell(event)
    assert desk.step().more
    assert not desk.step().more
    desk.step(SETTLED)
    assert len(desk.pipe.notices) == 5


def test_quiet_steps_write_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def put(*args: Any) -> bool:
        raise AssertionError("written")

    desk.step()
    monkeypatch.setattr(desk.guard.blocking().store, "put", put)
    assert desk.step(15) == Step()


def test_it_begins_with_what_came_just_before(make_desk: MakeDesk, store: Store) -> None:
    """The event that starts the thread of a new site is told too."""
    desk = make_desk(over=store)
    run_sync(store.append(ENDED))
    desk.another(Box("new")).run_once()
    box = Box("newer")
    desk.clock.advance(SETTLED)
    desk.another(box).run_once()
    assert len(box.letters) == 2
    late = Box("late")
    desk.clock.advance(3600)
    desk.another(late).run_once()
    assert late.letters == []


def test_time_may_be_given(desk: Desk) -> None:
    desk.tell(FLAGGED)
    now = desk.clock() / 1000
    assert desk.notifier.run_once(now).sent == 1
    assert desk.notifier.run_once(now + 4.5).sent == 0
    assert desk.notifier.run_once(now + 5.5).sent == 2


def test_a_letter_need_not_settle(desk: Desk) -> None:
    desk.tell(FLAGGED)
    assert desk.notifier.run_once(settle=0).sent == 3


@pytest.mark.parametrize(
    "channels", [[Box(), Box()], [Box(str(number)) for number in range(9)], [Box("a"), Pipe("a")]]
)
def test_channels_have_names_of_their_own(desk: Desk, channels: list[Any]) -> None:
    with pytest.raises(SettingsError, match="eight channels"):
        Notifier(desk.guard, channels=channels)


def test_a_repeat_says_the_same_key(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    keys = []

    class Forgetful(Box):
        def send(self, letter: Letter) -> None:
            keys.append(letter.key)
            raise Undelivered("the answer got lost")

    notifier = desk.another(Forgetful("box"))
    desk.tell(replace(FLAGGED, notify="user"))
    for _ in range(3):
        desk.clock.advance(200)
        notifier.run_once()
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert len(keys[0]) == len(a_letter().key)


def test_tracks_do_not_share_what_they_hold() -> None:
    one, two = Track(), Track()
    one.items.append(object())  # type: ignore[arg-type]  # anything
    one.told[b"x"] = 1
    assert (two.items, two.told) == ([], {})


# --- what the app gives ---


def test_addresses_that_cannot_be_found_are_asked_for_again(make_desk: MakeDesk) -> None:
    failing = [KeyError("the database is away")]

    def mail(ids: Any) -> dict[str, str]:
        if failing:
            raise failing.pop()
        return {"ada": "ada@people.example"}

    desk = make_desk(guard={"users": Users(mail=mail)})
    desk.tell(FLAGGED)
    done = desk.step(SETTLED)
    assert (done.sent, done.failed) == (2, 0)  # to the admins, and to the program
    assert desk.step(31).sent == 1
    [letter] = desk.box.to("user")
    assert letter.to == ("ada@people.example",)


def test_a_broken_template_is_given_up_in_the_end(make_desk: MakeDesk, tmp_path: Path) -> None:
    (tmp_path / "letter.html").write_text("{{ 1 // 0 }}")
    desk = make_desk(templates=str(tmp_path))
    desk.tell(replace(FLAGGED, notify="user"))
    desk.clock.advance(SETTLED)
    while (due := desk.step().due_in) is not None:
        desk.clock.advance(due / 1000 + 1)
    assert desk.names() == ["notification_failed"]
    assert "division" in desk.events[0].reason


def test_a_record_that_cannot_be_read_costs_the_device_alone(
    make_desk: MakeDesk, store: Store
) -> None:
    faulty = FaultyStore(store)
    desk = make_desk(over=faulty)
    desk.tell(FLAGGED)
    desk.step()
    faulty.fail("search", error=StoreCorrupt("damaged"), times=2)
    assert desk.step(SETTLED).sent == 2
    assert "search" in faulty.calls


@pytest.mark.parametrize(
    "address", ["", "unknown", "203.0.113.7:80", "fe80::1%eth0", "2001:db8::1"]
)
def test_whatever_the_address(desk: Desk, address: str) -> None:
    desk.tell(replace(FLAGGED, address=address))
    assert desk.step(SETTLED).sent == 3
