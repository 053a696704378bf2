"""A store that is down, and queries and forms of any kind: never a fault, always an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from admin_kit import (
    EXPORTS,
    FORMS,
    PAGES,
    MakeDesk,
    act,
    acts_in,
    admin_of,
    forms_of,
    see,
    sign_in,
    token_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_kit import FIREFOX, Person, Place

from gatehound import Event, Guard
from gatehound.stores.memory import MemoryStore
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import FakeClock, FaultyStore

READS = [*PAGES, *EXPORTS, "sessions?network=203.0.113.7", "sessions?q=ann"]


@pytest.fixture
def faulty(make_desk: MakeDesk, clock: FakeClock) -> tuple[Place, FaultyStore]:
    store = FaultyStore(MemoryStore(clock=clock))
    return make_desk(store), store


@pytest.mark.parametrize("page", READS)
def test_store_that_is_down_shows_why(faulty: tuple[Place, FaultyStore], page: str) -> None:
    place, store = faulty
    admin = admin_of(place)
    store.calls.clear()
    assert see(admin, page).status_code in (200, 303)
    calls = list(dict.fromkeys(store.calls))
    for name in calls:
        store.fail(name)
        answer = see(admin, page)
        assert answer.status_code in (200, 303, 503), name
        if answer.status_code == 503:
            assert "answer" in answer.text or "Sessions cannot be read" in answer.text
        store.heal()
    assert see(admin, page).status_code in (200, 303)
    store.go_down()
    assert see(admin, page).status_code == 503


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("end", "revoke"),
        ("end-user", "revoke"),
        ("clear", "sessions"),
        ("clear", "recall"),
        ("clear", "remember"),
        ("disable", "disable"),
        ("enable", "enable"),
        ("matching", "search"),
        ("matching", "revoke"),
        ("everyone", "revoke_everyone"),
    ],
)
def test_act_that_fails_says_so_and_is_in_the_log(
    faulty: tuple[Place, FaultyStore], name: str, call: str, when: Any
) -> None:
    place, store = faulty
    sign_in(place, "ann")
    admin = admin_of(place)
    (form,) = forms_of(see(admin, "user?id=ann"), "end")
    fields = {**FORMS[name], "token": token_of(admin), "session": form["session"]}
    store.fail(call, when=when)
    answer = act(admin, name, **fields)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "may have been done in part" in answer.text
    (event,) = acts_in(place)
    assert event.user_id == "root"
    assert name == "everyone" or event.reason.endswith("it may be incomplete")


def test_note_that_the_store_loses_is_told_to_the_sinks(
    faulty: tuple[Place, FaultyStore],
) -> None:
    place, store = faulty
    (ann,) = sign_in(place, "ann")
    admin = admin_of(place)
    token = token_of(admin)
    store.fail("append")
    assert act(admin, "end-user", token=token, user="ann").status_code == 303
    assert ann.get("/sessions/").status_code == 401
    assert [event.detail["of_user"] for event in acts_in(place)] == ["ann"]


# --- anything ---

TEXT = st.text(max_size=30) | st.sampled_from(
    ["ann", "root", "203.0.113.0/24", "::/0", "3600", "yes", "x" * 600, "\x00", "<b>", "0" * 16]
)
NAMED = st.sampled_from(
    [
        *("q", "id", "user", "network", "country", "flagged", "older", "idle", "cursor"),
        *("looked", "count", "asked", "name", "session", "within", "range", "gh-done", "sure"),
    ]
)
FIELDS = st.dictionaries(NAMED, TEXT, max_size=6)


@pytest.fixture
def open_desk(
    world: str, make_desk: MakeDesk, clock: FakeClock, tmp_path: Path
) -> tuple[Place, Person]:
    """One site for many examples, whose admin can always act; in one world over a file."""
    file = SQLiteStore(tmp_path / "s.db", clock=clock) if world == "wsgi" else None
    place = make_desk(file, web={"require_fresh": False})
    sign_in(place, "ann")
    return place, admin_of(place)


UNHURRIED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.slow
@UNHURRIED
@given(
    page=st.sampled_from(
        ["", "sessions", "user", "matching", "events", "health", "address", *EXPORTS]
    ),
    query=FIELDS.map(urlencode) | st.text("abq=&%+;?/~[]{}\\^|<> 0F", max_size=40),
)
def test_no_query_is_a_fault(open_desk: tuple[Place, Person], page: str, query: str) -> None:
    """Not checked: that what is shown is right."""
    place, admin = open_desk
    answer = see(admin, f"{page}?{query}")
    assert answer.status_code in (200, 303, 400, 404)
    assert "/admin" not in " ".join(place.calls)
    if answer.status_code == 303:
        assert answer.headers["location"].startswith(("sessions?", "user?", "events?"))


@pytest.mark.slow
@UNHURRIED
@given(name=st.sampled_from(sorted(FORMS)), fields=FIELDS, shape=st.sampled_from("tx"))
def test_no_form_is_a_fault(
    open_desk: tuple[Place, Person], name: str, fields: dict[str, str], shape: str
) -> None:
    """With the token and without; an act leaves one event at most, and nothing secret."""
    place, admin = open_desk
    if see(admin).status_code == 401:
        admin.login("root", "admin")
    before, token = len(acts_in(place)), token_of(admin) if shape == "t" else "x"
    answer = act(admin, name, **{**fields, "token": token})
    assert answer.status_code in (200, 303, 400, 403, 404)
    told = acts_in(place)[before:]
    assert len(told) <= (shape == "t")
    for event in told:
        assert_tells_who_and_nothing_secret(event, admin, place.guard, token)
    assert "/admin" not in " ".join(place.calls)


def assert_tells_who_and_nothing_secret(
    event: Event, admin: Person, guard: Guard, token: str
) -> None:
    assert event.user_id == "root"
    assert event.reason
    text = repr(event)
    secrets = [token, *(cookie.value for cookie in admin.cookies.jar), *guard.settings.secret_keys]
    assert not any(secret and secret in text for secret in secrets)


def test_agent_and_name_of_a_stranger_are_escaped(desk: Place) -> None:
    text = '"><img src=x onerror=alert(1)>'
    desk.person(f"{FIREFOX} {text}").login(text)
    admin = admin_of(desk)
    for page in ("sessions", f"user?{urlencode({'id': text})}", f"sessions?q={text}", "events"):
        assert "<img" not in see(admin, page).text
