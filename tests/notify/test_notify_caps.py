"""What may wait behind what: kinds of news to admins, ends to users, and how that is shown."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from notify_kit import ENDED, FLAGGED, PROXY, Desk, MakeDesk

from gatehound import Event
from gatehound._sync import run_sync
from gatehound.notify import Notifier, OutOfReach, Queued
from gatehound.notify.ledger import HOUR, REFS_EACH
from gatehound.notify.outbox import lines_of
from gatehound.notify.sorting import ALL_ADMINS, urgency

SETTLED = 6.0  # seconds
SPRAY = Event("login_spray", notify="admins")
GUESSING = Event("login_guessing", user_id="ada", notify="admins")
MOVED = Event("sessions_moved", user_id="ada", notify="admins")
REPORTED = replace(ENDED, reason="reported")
URGENT = [SPRAY, GUESSING, MOVED, PROXY, ENDED, REPORTED]


def other(event: Event, number: int) -> Event:
    """The same from a network of its own, so that it is news."""
    return replace(event, address=f"10.{number}.0.1")


def tell(desk: Desk, *events: Event) -> None:
    """Tell each for itself."""
    for event in events:
        desk.tell(event)
        desk.step(SETTLED)


def flood(desk: Desk, event: Event = FLAGGED, times: int = 6) -> None:
    tell(desk, *(other(event, number) for number in range(times)))


def heard(desk: Desk, name: str, whom: str = "admins") -> int:
    """In how many letters it is."""
    return sum(name in [one.name for one in letter.events] for letter in desk.box.to(whom))


@pytest.mark.parametrize("event", URGENT, ids=lambda one: f"{one.name}-{one.reason[:10]}")
def test_nothing_urgent_waits_behind_flags(desk: Desk, event: Event) -> None:
    flood(desk)
    assert len(desk.box.to("admins")) == 3
    tell(desk, event)
    assert len(desk.box.to("admins")) == 4
    last = desk.box.to("admins")[-1]
    assert event.name in [one.name for one in last.events]
    assert len(last.events) == 4  # it takes along what waited
    assert not last.subject.startswith("A session became suspicious")


def test_each_kind_has_the_cap_by_itself(desk: Desk) -> None:
    for number in range(5):
        tell(desk, *(other(event, number) for event in URGENT))
    for name in ("login_spray", "login_guessing", "sessions_moved", "proxy_misconfigured"):
        assert heard(desk, name) == 3
    ends = [one.reason for letter in desk.box.to("admins") for one in letter.events]
    assert (ends.count("reported"), ends.count("suspicious")) == (3, 3)


def test_ten_of_a_kind_in_two_days(desk: Desk) -> None:
    for number in range(20):
        desk.tell(other(SPRAY, number))
        desk.step(3600)
    assert heard(desk, "login_spray") == 10


def test_all_that_is_routine_has_a_cap_over_it(desk: Desk) -> None:
    kinds = [replace(FLAGGED, name=f"made_up_{number}", notify="admins") for number in range(20)]
    tell(desk, *kinds)
    assert len(desk.box.to("admins")) == ALL_ADMINS
    [waits] = desk.notifier.waiting_now()[0].queued
    assert (waits.whom, waits.events, waits.most, waits.per) == ("admins", 10, 10, "hour")
    tell(desk, SPRAY)
    assert len(desk.box.to("admins")) == ALL_ADMINS + 1


def test_an_urgent_one_finds_room_in_a_full_letter(desk: Desk) -> None:
    flood(desk, times=3 + REFS_EACH + 2)
    tell(desk, SPRAY)
    last = desk.box.to("admins")[-1]
    assert last.subject.startswith("Somebody tries passwords of many users")
    assert len(last.events) == REFS_EACH
    assert "7 more since." in last.text  # of eleven, four are told in full


def test_where_all_in_a_full_letter_is_urgent_the_rest_is_counted(desk: Desk) -> None:
    for number in range(REFS_EACH + 2):
        desk.tell(other(SPRAY, number))
    desk.step(SETTLED)
    [letter] = desk.box.to("admins")
    assert len(letter.events) == REFS_EACH
    assert "6 more since." in letter.text


@pytest.mark.parametrize("end", [ENDED, REPORTED, replace(ENDED, reason="made up")])
def test_what_ends_the_session_of_a_user_is_told_at_once(desk: Desk, end: Event) -> None:
    flood(desk, replace(FLAGGED, notify="user"))
    assert len(desk.box.to("user")) == 3
    tell(desk, replace(end, notify="user"))
    assert len(desk.box.to("user")) == 4
    tell(desk, *(replace(end, notify="user", at=0) for _ in range(5)))
    assert heard(desk, "session_terminated", "user") == 3


def test_ends_count_for_what_is_routine(desk: Desk) -> None:
    tell(desk, *[replace(ENDED, notify="user")] * 3)
    tell(desk, replace(FLAGGED, notify="user"))
    assert heard(desk, "session_flagged", "user") == 0


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (FLAGGED, 0),
        (ENDED, 3),
        (REPORTED, 2),
        (replace(ENDED, reason="admin"), 1),
        (SPRAY, 5),
    ],
)
def test_what_is_urgent(event: Event, kind: int) -> None:
    assert urgency(event) == kind


# --- what waits ---


def test_nothing_waits(desk: Desk) -> None:
    tell(desk, FLAGGED)
    box, pipe = desk.notifier.waiting_now()
    assert (box.channel, pipe.channel) == ("box", "pipe")
    assert (box.queued, box.undelivered, box.retry_at, box.failed_at) == ((), 0, None, None)
    assert box.delivered_at == pytest.approx(desk.clock() / 1000, abs=1)
    assert list(lines_of(box)) == []
    assert not box.is_failing


def test_before_the_first_step_there_is_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk()
    fresh: Notifier = desk.another(desk.pipe)
    [pipe] = fresh.waiting_now()
    assert (pipe.delivered_at, pipe.failed_at, pipe.queued) == (None, None, ())


def test_what_is_held_is_counted_by_whom_it_is_for(desk: Desk) -> None:
    flood(desk)
    flood(desk, replace(FLAGGED, user_id="bob", notify="user"), times=4)
    box = run_sync(desk.notifier.waiting())[0]
    admins, users = box.queued
    begun = round(desk.clock() / 1000 - 10 * SETTLED)
    assert admins == Queued("admins", 3, admins.until, 3, "hour")
    assert admins.until == pytest.approx(begun + 3606, abs=1)
    assert (users.whom, users.events, users.most) == ("user", 4, 3)
    assert next(lines_of(box)).startswith("box: 3 for admins wait until 2027-01-15 09:00 UTC")
    assert next(lines_of(box)).endswith(": no more than 3 an hour")


def test_one_that_waits_for_two_days(make_desk: MakeDesk) -> None:
    desk = make_desk(per_hour=1, per_two_days=1)
    flood(desk, replace(FLAGGED, notify="user"), times=2)
    [line] = lines_of(desk.notifier.waiting_now()[0])
    assert line == "box: 1 for users waits until 2027-01-17 08:00 UTC: no more than 1 in two days"


def test_a_channel_that_is_down_says_why_and_when_it_is_tried_again(desk: Desk) -> None:
    desk.box.failing = [OutOfReach("the mail server mail.example: refused\r\nhttp://x")]
    tell(desk, FLAGGED)
    box = desk.notifier.waiting_now()[0]
    assert box.is_down
    assert box.is_failing
    assert box.undelivered == 2  # to a user, and to the admins
    [line] = lines_of(box)
    assert line == (
        "box: 2 wait until 2027-01-15 08:00 UTC: not delivered, the mail server mail.example: "
        "refused http: x"
    )
    assert box.retry_at == pytest.approx(desk.clock() / 1000 + 30, abs=1)
    desk.step(HOUR / 1000)
    box = desk.notifier.waiting_now()[0]
    assert (box.is_down, box.is_failing, box.undelivered) == (False, False, 0)
    assert box.failed_at is not None


def test_what_failed_by_itself_names_nobody(desk: Desk) -> None:
    desk.box.failing = [ValueError("ada@people.example is unknown")]
    tell(desk, replace(FLAGGED, notify="user"))
    box = desk.notifier.waiting_now()[0]
    assert (box.is_down, box.is_failing, box.why) == (False, True, "ValueError")
    assert [line.rpartition(": ")[2] for line in lines_of(box)] == ["not delivered"]
