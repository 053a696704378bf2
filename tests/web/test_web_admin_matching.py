"""Ending all that match: the count before, slices that can be stopped, and who stays."""

from __future__ import annotations

import re

import pytest
from admin_kit import (
    MakeDesk,
    act,
    acts_in,
    admin_of,
    forms_of,
    link_of,
    said_in,
    see,
    sign_in,
    token_of,
)
from web_kit import Person, Place

from gatehound import bulk
from gatehound.listing import found_by
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore
from gatehound.web.admin import scan

HERE = "network=203.0.113.0%2F24"


@pytest.fixture
def crowd(desk: Place, clock: FakeClock) -> list[Person]:
    """Seven people in one network, of whom two are elsewhere; the newest last."""
    people = []
    for number in range(7):
        address = "198.51.100.4" if number in (2, 5) else "203.0.113.7"
        people += sign_in(desk, f"u{number}", address=address)
        clock.advance(1)
    return people


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request does one slice of two sessions."""
    monkeypatch.setattr(scan, "BUDGET", 0)
    monkeypatch.setattr(scan, "COUNTED_AT_ONCE", 2)
    monkeypatch.setattr(scan, "ENDED_AT_ONCE", 2)


def living(people: list[Person]) -> list[int]:
    return [n for n, one in enumerate(people) if one.get("/sessions/").status_code == 200]


def test_count_ends_nobody(desk: Place, crowd: list[Person]) -> None:
    admin = admin_of(desk)
    answer = see(admin, f"matching?{HERE}")
    assert said_in(answer) == ["5 sessions match."]  # the admin's own is not among them
    assert "Nothing has ended yet. Your own session stays" in answer.text
    assert "203.0.113.0/24" in answer.text
    assert living(crowd) == list(range(7))
    assert acts_in(desk) == []


def test_all_that_match_end_at_once(desk: Place, crowd: list[Person]) -> None:
    admin = admin_of(desk)
    (form,) = forms_of(see(admin, f"matching?{HERE}"), "matching")
    answer = act(admin, "matching", **form)
    assert said_in(answer) == ["5 sessions ended. That is all."]
    assert living(crowd) == [2, 5]
    assert see(admin, "sessions").status_code == 200
    (event,) = acts_in(desk)
    assert (event.user_id, event.reason) == ("root", "ended sessions that match")
    assert event.detail == {"count": 5, "filter": "network=203.0.113.0/24"}
    again = act(admin, "matching", **form)
    assert said_in(again) == ["0 sessions ended. That is all."]
    assert len(acts_in(desk)) == 1


@pytest.mark.usefixtures("small")
def test_slices_count_on_and_go_on(desk: Place, crowd: list[Person]) -> None:
    admin = admin_of(desk)
    answer = see(admin, f"matching?{HERE}")
    told = said_in(answer)
    while more := link_of(answer, "Count on"):
        assert "of the newest" in answer.text
        answer = see(admin, more)
        told += said_in(answer)
    assert [re.findall(r"^\d+", text)[0] for text in told] == ["1", "3", "5"]
    (form,) = forms_of(answer, "matching")
    assert "cursor" not in form  # it begins with the newest again
    answer = act(admin, "matching", **form)
    assert said_in(answer) == [
        "1 session ended. There are more to look at. What ended stays ended, wherever you stop."
    ]
    assert living(crowd) == [0, 1, 2, 3, 4, 5]
    assert re.findall(r'<progress max="(\d+)" value="(\d+)"', answer.text) == [("7", "2")]
    steps = 1
    while forms := forms_of(answer, "matching"):
        answer, steps = act(admin, "matching", **forms[0]), steps + 1
    assert said_in(answer) == ["5 sessions ended. That is all."]
    assert (steps, living(crowd)) == (3, [2, 5])
    assert [event.detail["count"] for event in acts_in(desk)] == [1, 2, 2]


@pytest.mark.usefixtures("small")
def test_who_stops_has_ended_the_newest_alone(desk: Place, crowd: list[Person]) -> None:
    admin = admin_of(desk)
    (form,) = forms_of(see(admin, f"matching?{HERE}"), "matching")
    answer = act(admin, "matching", **form)
    assert link_of(answer, "Stop here") == "sessions"
    assert living(crowd) == [0, 1, 2, 3, 4, 5]
    # The form of that page still goes on, later, from there.
    (rest,) = forms_of(answer, "matching")
    assert said_in(act(admin, "matching", **rest))[0].startswith("3 sessions ended.")


@pytest.mark.usefixtures("small")
def test_who_signs_in_after_counting_began_stays(
    desk: Place, crowd: list[Person], clock: FakeClock
) -> None:
    admin = admin_of(desk)
    (form,) = forms_of(see(admin, f"matching?{HERE}"), "matching")
    clock.advance(2)
    late = sign_in(desk, "late")
    answer = act(admin, "matching", **form)
    clock.advance(2)
    late += sign_in(desk, "later")
    while forms := forms_of(answer, "matching"):
        answer = act(admin, "matching", **forms[0])
    assert said_in(answer) == ["5 sessions ended. That is all."]
    assert (living(crowd), living(late)) == ([2, 5], [0, 1])


def test_own_session_stays_where_it_matches(desk: Place) -> None:
    admin, other = admin_of(desk), admin_of(desk)
    (form,) = forms_of(see(admin, "matching?user=root"), "matching")
    assert said_in(act(admin, "matching", **form)) == ["1 session ended. That is all."]
    assert [see(one).status_code for one in (admin, other)] == [200, 401]


def test_many_conditions_are_all_meant(make_desk: MakeDesk, clock: FakeClock) -> None:
    place = make_desk(session={"idle_timeout": "3h"}, web={"require_fresh": False})
    people = sign_in(place, "a", "b") + sign_in(place, "c", address="198.51.100.4")
    clock.advance(3601)
    people[0].get("/")
    people += sign_in(place, "new")
    admin = admin_of(place)
    answer = see(admin, f"matching?{HERE}&older=3600&idle=3600&flagged=")
    assert said_in(answer) == ["1 session matches."]
    for text in ("Signed in longer ago than", "Not active for", "<dd>1 hour</dd>"):
        assert text in answer.text
    (form,) = forms_of(answer, "matching")
    act(admin, "matching", **form)
    assert living(people) == [0, 2, 3]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"asked": "1800000000"},
        {"user": "", "network": "", "asked": "1800000000"},
        {"user": "u0"},
        {"user": "u0", "asked": "x"},
        {"user": "u0", "asked": "-1"},
        {"user": "u0", "asked": "9" * 50},
        {"network": "everybody", "asked": "1800000100"},
        {"user": "x" * 600, "asked": "1800000100"},
        {"user": "u0", "country": "0", "asked": "1800000100"},
    ],
)
def test_form_without_a_whole_filter_ends_nobody(
    desk: Place, crowd: list[Person], fields: dict[str, str]
) -> None:
    admin = admin_of(desk)
    answer = act(admin, "matching", **fields)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("sessions?")
    assert living(crowd) == list(range(7))
    assert acts_in(desk) == []


@pytest.mark.parametrize(
    "tampered",
    [
        {"cursor": "x"},
        {"cursor": "\N{SNOWMAN}" * 300},
        {"cursor": "0" * 5000},
        {"looked": "-5"},
        {"looked": "99999999999"},
        {"looked": "1e9"},
        {"count": "²"},
        {"count": "99999999999"},
        {"asked": "1"},
        {"asked": "99999999999"},
    ],
)
@pytest.mark.usefixtures("small")
def test_tampered_progress_is_read_or_begins_anew(
    desk: Place, crowd: list[Person], tampered: dict[str, str]
) -> None:
    """An admin may end what they like: it is enough that nobody else ends, and all is told."""
    admin = admin_of(desk)
    fields = {"network": "203.0.113.0/24", "asked": "1800000100", **tampered}
    assert see(admin, "matching?" + "&".join(f"{k}={v}" for k, v in fields.items())).status_code
    answer = act(admin, "matching", **fields)
    assert answer.status_code == 200
    assert {2, 5} <= set(living(crowd))
    assert len(acts_in(desk)) == (tampered != {"asked": "1"})


def test_one_request_reads_no_more_than_a_page_of_the_store(
    desk: Place, crowd: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter that few match must not read a whole store in one request."""
    calls: list[object] = []
    whole = found_by

    async def counted(*given: object, **named: object) -> object:
        calls.append(given)
        return await whole(*given, **named)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(bulk, "found_by", counted)
    monkeypatch.setattr(scan, "BUDGET", 0)
    monkeypatch.setattr(scan, "COUNTED_AT_ONCE", 3)
    admin = admin_of(desk)
    answer = see(admin, "matching?network=198.51.100.0/24")
    assert (len(calls), said_in(answer)[0]) == (1, "2 sessions match.")
    assert len(crowd) == 7


@pytest.mark.usefixtures("small")
def test_store_that_fails_on_the_way_leaves_the_act_in_the_log(
    make_desk: MakeDesk, clock: FakeClock
) -> None:
    store = FaultyStore(MemoryStore(clock=clock))
    place = make_desk(store)
    people = sign_in(place, "ann", "ann")
    admin = admin_of(place)
    (form,) = forms_of(see(admin, "matching?user=ann"), "matching")
    token = token_of(admin)
    store.fail("revoke", when="after")
    answer = act(admin, "matching", token=token, **{k: form[k] for k in ("user", "asked")})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "may have been done in part" in answer.text
    (event,) = acts_in(place)
    assert event.reason == ("ended sessions that match; the store failed, and it may be incomplete")
    assert event.detail == {"filter": "user=ann"}
    assert len(living(people)) == 1
    done = act(admin, "matching", **{k: form[k] for k in ("user", "asked")})
    assert said_in(done) == ["1 session ended. That is all."]


def test_one_request_does_as_many_slices_as_it_has_time_for(
    desk: Place, crowd: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "COUNTED_AT_ONCE", 2)
    monkeypatch.setattr(scan, "ENDED_AT_ONCE", 2)
    monkeypatch.setattr(scan, "BUDGET", 600)
    admin = admin_of(desk)
    answer = see(admin, f"matching?{HERE}")
    assert said_in(answer) == ["5 sessions match."]
    (form,) = forms_of(answer, "matching")
    assert said_in(act(admin, "matching", **form)) == ["5 sessions ended. That is all."]
    assert living(crowd) == [2, 5]
    assert [event.detail["count"] for event in acts_in(desk)] == [5]
