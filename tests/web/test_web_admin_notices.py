"""The page Health says how notices fare: what waits, and what does not get through."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from admin_kit import MakeDesk, admin_of, see
from web_kit import Place

from gatehound import Event
from gatehound._sync import run_sync
from gatehound.notify import Letter, OutOfReach
from gatehound.testing import FakeClock

DOWN = "the mail server mail.example: refused"


def shown(place: Place) -> str:
    """The part of the page on notices, as a person reads it."""
    text = see(admin_of(place), "health").text
    [part] = re.findall(r"<h2>Notices</h2>(.*?)<h2>", text, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", part)).split())


def flag(place: Place, clock: FakeClock, number: int) -> None:
    """Have something to tell admins of, and a step of the notifier."""
    event = Event("session_flagged", user_id="ada", address=f"10.{number}.0.1", notify="admins")
    run_sync(place.guard.blocking().store.append(event))
    clock.advance(6)
    assert place.guard.notifier is not None
    place.guard.notifier.run_once()


def desk_of(make_desk: MakeDesk, call: Any) -> Place:
    made = make_desk(guard={"notify": call}, notify={"thread": False})
    assert made.guard.notifier is not None
    made.guard.notifier.run_once()
    return made


def test_nobody_is_told(desk: Place) -> None:
    assert shown(desk) == "Nobody is told: no channel is set."


def test_nothing_was_sent_yet(make_desk: MakeDesk) -> None:
    assert shown(desk_of(make_desk, lambda letter: None)) == "call Last delivery: never"


@pytest.mark.parametrize(
    ("count", "hourly", "said"),
    [
        (4, 3, "1 for admins waits until 2027-01-15 09:00 UTC: no more than 3 an hour."),
        (6, 3, "3 for admins wait until 2027-01-15 09:00 UTC: no more than 3 an hour."),
        (2, 1, "1 for admins waits until 2027-01-17 08:00 UTC: no more than 1 in two days."),
    ],
)
def test_what_is_held_back(
    make_desk: MakeDesk, clock: FakeClock, count: int, hourly: int, said: str
) -> None:
    caps = {"per_hour": hourly, **({"per_two_days": 1} if hourly == 1 else {})}
    letters: list[Letter] = []
    given = {"notify": {"thread": False, **caps}}
    place = make_desk(guard={"notify": letters.append}, **given)
    assert place.guard.notifier is not None
    place.guard.notifier.run_once()
    for number in range(count):
        flag(place, clock, number)
    text = shown(place)
    assert text.endswith(said)
    assert "Failing" not in text


def test_a_channel_that_is_down_is_seen(make_desk: MakeDesk, clock: FakeClock) -> None:
    def fail(letter: Letter) -> None:
        raise OutOfReach(DOWN)

    place = desk_of(make_desk, fail)
    flag(place, clock, 1)
    text = shown(place)
    assert text.startswith("call Failing. Last delivery: never Last failure: ")
    assert f": {DOWN} 1 is tried again at 2027-01-15 08:00 UTC." in text
