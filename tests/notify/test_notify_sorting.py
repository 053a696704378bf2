"""Whom it is told, how often, and what comes in one letter. All by a fake clock."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from notify_kit import ENDED, FLAGGED, PROXY, Desk, MakeDesk

from gatehound import Event
from gatehound.events import FLOODABLE
from gatehound.notify import sorting
from gatehound.notify.ledger import DAY, HOUR, Item, Ref, Track

SETTLED = 6.0  # seconds
LATER = replace(FLAGGED, address="198.51.100.4")


def other(number: int) -> Event:
    """A flag from a network of its own, so that it is news."""
    return replace(FLAGGED, address=f"10.{number}.0.1")


@pytest.mark.parametrize(
    ("event", "users", "admins", "programs"),
    [
        (FLAGGED, 1, 1, 1),
        (replace(FLAGGED, notify="user"), 1, 0, 1),
        (replace(FLAGGED, notify="admins"), 0, 1, 1),
        (replace(FLAGGED, notify=""), 0, 0, 0),
        (replace(FLAGGED, user_id=None), 0, 1, 1),  # nobody is known
        (PROXY, 0, 1, 1),
        (ENDED, 1, 1, 1),
        (Event("login_new_device", user_id="ada", notify="user"), 1, 0, 1),
        (Event("login_failed", user_id="ada", notify="both"), 0, 1, 1),  # a stranger decides
    ],
)
def test_who_hears(desk: Desk, event: Event, users: int, admins: int, programs: int) -> None:
    desk.tell(event)
    desk.step(SETTLED)
    assert (len(desk.box.to("user")), len(desk.box.to("admins"))) == (users, admins)
    assert len(desk.pipe.notices) == programs


@pytest.mark.parametrize("name", sorted(FLOODABLE))
def test_users_hear_of_nothing_that_a_stranger_can_repeat(name: str) -> None:
    event = Event(name, user_id="ada", notify="both")
    assert list(sorting.recipients(event)) == ["admins"]


def test_users_hear_nothing_unless_that_is_on(make_desk: MakeDesk) -> None:
    desk = make_desk(users=False)
    desk.tell(FLAGGED)
    desk.step(SETTLED)
    assert (len(desk.box.to("user")), len(desk.box.to("admins"))) == (0, 1)


@pytest.mark.parametrize(
    ("again", "is_told"),
    [
        (FLAGGED, False),
        (replace(FLAGGED, reason="Other words", address="203.0.113.99"), False),  # the same /24
        (replace(FLAGGED, address="198.51.100.4"), True),
        (replace(FLAGGED, user_id="bob"), True),
        (replace(FLAGGED, name="session_geo_anomaly"), True),
        (replace(FLAGGED, detail={"device": "Firefox on Linux"}), True),
    ],
)
def test_the_same_news_is_told_once_a_day(desk: Desk, again: Event, is_told: bool) -> None:
    desk.tell(FLAGGED)
    desk.step(SETTLED)
    desk.clock.advance(3 * 3600)
    desk.tell(again)
    desk.step(SETTLED)
    assert len(desk.box.to("user")) == 1 + is_told
    assert len(desk.pipe.notices) == 1 + is_told


def test_the_next_day_it_is_news_again(desk: Desk) -> None:
    for _day in range(3):
        desk.tell(FLAGGED)
        desk.step(SETTLED)
        desk.clock.advance(24 * 3600)
    assert len(desk.box.to("user")) == 3


def test_ends_are_told_each_time(desk: Desk) -> None:
    for _ in range(3):
        desk.tell(ENDED)
        desk.step(SETTLED)
    assert len(desk.box.to("user")) == 3


def test_one_incident_is_one_letter(desk: Desk) -> None:
    desk.tell(FLAGGED)
    desk.step(1)
    for _session in range(3):  # all sessions of the user end
        desk.tell(ENDED)
    desk.step(1)
    assert desk.box.letters == []
    desk.step(SETTLED)
    [letter] = desk.box.to("user")
    assert [one.name for one in letter.events] == ["session_flagged", *["session_terminated"] * 3]
    assert "signed a device out" in letter.subject  # the worst of it
    assert len(desk.box.to("admins")) == 1
    assert len(desk.pipe.notices) == 4


def test_incidents_of_two_users_are_two_letters_and_one_to_the_admins(desk: Desk) -> None:
    desk.tell(FLAGGED)
    desk.tell(replace(FLAGGED, user_id="bob"))
    desk.step(SETTLED)
    assert sorted(str(one.user_id) for one in desk.box.to("user")) == ["ada", "bob"]
    [digest] = desk.box.to("admins")
    assert digest.user_id is None
    assert len(digest.events) == 2


def test_three_an_hour_and_the_next_says_what_was_held_back(desk: Desk) -> None:
    for number in range(9):
        desk.tell(other(number))
        desk.step(SETTLED)
    assert len(desk.box.to("user")) == 3
    done = desk.step()
    assert done.due_in is not None
    assert 3500_000 < done.due_in < 3600_000
    assert desk.step(3600 - 9 * SETTLED - 10).sent == 0
    desk.step(60)
    letters = desk.box.to("user")
    assert len(letters) == 4
    assert len(letters[3].events) == 6
    assert "2 more since." in letters[3].text
    assert "2 more since." in letters[3].html


def test_what_finds_no_room_in_a_letter_is_counted(desk: Desk) -> None:
    for number in range(30):
        desk.tell(other(number))
    desk.step(SETTLED)
    [letter] = desk.box.to("user")
    assert len(letter.events) == 8
    assert "26 more since." in letter.text


def test_ten_in_two_days(desk: Desk) -> None:
    for number in range(40):
        desk.tell(other(number))
        desk.step(3600)
    assert len(desk.box.to("user")) == 10
    desk.step(9 * 3600 + 60)
    assert len(desk.box.to("user")) == 11
    desk.step(60)
    assert len(desk.box.to("user")) == 11


@pytest.mark.parametrize(("hourly", "daily", "told"), [(1, 10, 1), (2, 2, 2), (3, 10, 3)])
def test_caps_are_settings(make_desk: MakeDesk, hourly: int, daily: int, told: int) -> None:
    desk = make_desk(per_hour=hourly, per_two_days=daily)
    for number in range(5):
        desk.tell(other(number))
        desk.step(SETTLED)
    assert len(desk.box.to("user")) == told
    assert len(desk.pipe.notices) == 5  # a program has no cap


def test_a_cap_is_of_one_person(desk: Desk) -> None:
    for number in range(4):
        desk.tell(replace(other(number), notify="user"))
        desk.step(SETTLED)
    desk.tell(replace(FLAGGED, user_id="bob"))
    desk.step(SETTLED)
    assert [one.user_id for one in desk.box.to("user")] == ["ada", "ada", "ada", "bob"]


@pytest.mark.parametrize(
    ("times", "free"),
    [
        ([], 0),
        ([5, 6], 0),
        ([5, 6, 7], 5 + HOUR),
        ([1, 5, 6, 7], 5 + HOUR),
        (list(range(10)), 2 * DAY),
        (list(range(11)), 1 + 2 * DAY),
    ],
)
def test_when_the_next_may_go(times: list[int], free: int) -> None:
    track = Track(sent={b"who": times})
    item = Item(b"key", "user", b"who", [Ref.of(FLAGGED)], 0)
    assert sorting.held(track, item, per_hour=3, per_two_days=10).until == free


def test_old_news_is_no_news(desk: Desk) -> None:
    """A worker that ran last week does not write of last week."""
    desk.tell(FLAGGED)
    desk.clock.advance(2 * 86_400 + 60)
    desk.tell(LATER)
    desk.step(SETTLED)
    [letter] = desk.box.to("user")
    assert [one.address for one in letter.events] == ["198.51.100.4"]


def test_who_has_no_address_gets_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.box.needs_address = True
    desk.tell(replace(FLAGGED, user_id="nobody", notify="user"))
    done = desk.step(SETTLED)
    assert (done.sent, done.failed, done.due_in) == (1, 0, None)  # the notice
    assert desk.names() == []


def keys(desk: Desk) -> list[Any]:
    return [one.key for one in desk.box.letters] + [one.key for one in desk.pipe.notices]


def test_each_has_a_key_of_its_own(desk: Desk) -> None:
    desk.tell(FLAGGED)
    desk.tell(LATER)
    desk.tell(ENDED)
    desk.step(SETTLED)
    assert len(set(keys(desk))) == len(keys(desk)) == 5
