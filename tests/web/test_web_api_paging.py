"""Lists of the JSON API, page by page, through both adapters."""

from __future__ import annotations

import pytest
from api_kit import MakePlace, ids, listed, problem
from web_kit import FIREFOX, Person, Place

from gatehound.testing import FakeClock
from gatehound.web.cursor import Cursors


@pytest.mark.parametrize("limit", [1, 7, 15, 29, 30, 31, 100])
def test_pages_show_each_session_once(make_place: MakePlace, clock: FakeClock, limit: int) -> None:
    place = make_place(session={"max_per_user": 40})
    own = place.person().login()
    for number in range(29):
        place.person(FIREFOX).login()
        clock.advance(10 if number % 3 else 0)  # some at the same moment
    seen, query = [], f"?limit={limit}"
    while True:
        said = listed(own, query)
        assert len(said["sessions"]) <= limit
        seen += said["sessions"]
        if said["cursor"] is None:
            break
        assert len(said["sessions"]) == limit
        query = f"?limit={limit}&cursor={said['cursor']}"
        clock.advance(1)  # the current one is active again with each of them
    assert [one["current"] for one in seen] == [True] + [False] * 29
    assert len({one["id"] for one in seen}) == 30
    active = [one["last_seen"] for one in seen[1:]]
    assert active == sorted(active, reverse=True)


def test_limit_is_50_where_none_is_given(make_place: MakePlace) -> None:
    place = make_place(session={"max_per_user": 60})
    person = place.person().login()
    for _ in range(50):
        place.person(FIREFOX).login()
    said = listed(person)
    assert (len(said["sessions"]), len(listed(person, f"?cursor={said['cursor']}"))) == (50, 2)


def test_list_goes_on_where_the_last_one_shown_has_ended(make_place: MakePlace) -> None:
    place = make_place(session={"max_per_user": 10})
    person = place.person().login()
    for _ in range(5):
        place.person(FIREFOX).login()
    every, first = ids(person), listed(person, "?limit=3")
    person.call("DELETE", f"sessions/{every[2]}")
    assert ids(person, f"?cursor={first['cursor']}") == every[3:]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "x", "", "1.5", "1e1", "9" * 5000, "%D9%A3"])
def test_limit_is_1_to_100(place: Place, limit: str) -> None:
    answer = place.person().login().call("GET", f"sessions?limit={limit}")
    assert problem(answer) == (400, "bad-limit")


def cursor_of(person: Person) -> str:
    return str(listed(person, "?limit=1")["cursor"])


def test_tampered_cursor_is_refused(place: Place) -> None:
    person = place.person().login()
    place.person(FIREFOX).login()
    good = cursor_of(person)
    assert len(ids(person, f"?cursor={good}")) == 1
    active, public_id, made, signature = good.split(".")
    bad = [
        "",
        "x",
        good[:-1],
        f"{good}.",
        f"{int(active) + 1}.{public_id}.{made}.{signature}",
        f"{active}.{'0' * 16}.{made}.{signature}",
        f"{active}.{public_id}.AAAA.{signature}",
        f"{active}.{public_id}.{signature}",
        f"{active}.{public_id}.{made}.",
        f"{active}.{public_id}.",
        f"{active}.{public_id}",
        signature,
        "%C3%BC",
        "%00",
        "." * 5000,
        person.api_token(),
    ]
    for cursor in bad:
        answer = person.call("GET", f"sessions?cursor={cursor}")
        assert problem(answer) == (400, "bad-cursor"), cursor


def test_cursor_of_another_session_is_refused(place: Place) -> None:
    ann, also_ann = place.person().login(), place.person(FIREFOX).login()
    eve = place.person().login("eve")
    place.person(FIREFOX).login("eve")
    for foreign in (cursor_of(also_ann), cursor_of(eve)):
        assert problem(ann.call("GET", f"sessions?cursor={foreign}")) == (400, "bad-cursor")


def test_cursor_of_an_old_key_is_good_and_of_another_namespace_is_not() -> None:
    old = Cursors(secret_keys=["a" * 32], namespace="shop")
    new = Cursors(secret_keys=["b" * 32, "a" * 32], namespace="shop")
    other = Cursors(secret_keys=["a" * 32], namespace="blog")
    cursor = old.make(b"s" * 8, 1234, "00ff")
    assert new.open(cursor, b"s" * 8) == (1234, "00ff")
    assert new.open(cursor, b"t" * 8) is None
    assert other.open(cursor, b"s" * 8) is None
    assert old.open(new.make(b"s" * 8, 1234, "00ff"), b"s" * 8) is None
