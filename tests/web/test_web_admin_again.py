"""What an admin is told who has to sign in again or meets a store that is down; who did what."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from admin_kit import (
    FORMS,
    MakeDesk,
    act,
    acts_in,
    admin_of,
    forms_of,
    link_of,
    rob,
    said_in,
    see,
    sign_in,
)
from hypothesis import given
from hypothesis import strategies as st
from web_kit import Person, Place

from gatehound.listing import Users
from gatehound.passage import Passage
from gatehound.settings import Settings
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore
from gatehound.wayback import MAX_TARGET, WayBack
from gatehound.web.reply import way_back

AGAIN = "Nothing was done yet: please do it again."
PLACES = {
    "end": "/admin/user?id=ann&gh-done=again",
    "end-user": "/admin/user?id=ann&gh-done=again",
    "clear": "/admin/user?id=ann&gh-done=again",
    "disable": "/admin/user?id=ann&gh-done=again",
    "enable": "/admin/user?id=ann&gh-done=again",
    "export": "/admin/user?id=ann&gh-done=again",
    "forget": "/admin/user?id=ann&gh-done=again",
    "matching": "/admin/matching?user=ann&gh-done=again",
    "everyone": "/admin/matching?gh-done=again",
}


@pytest.fixture
def late(make_desk: MakeDesk, clock: FakeClock) -> Person:
    """An admin whose sign-in is too old, on a site with a page to sign in again."""
    place = make_desk(web={"step_up_url": "/again"})
    place.job = lambda visit: visit.next_target(None)
    sign_in(place, "ann")
    admin = admin_of(place)
    clock.advance(1200)
    return admin


def target_of(person: Person, answer: Any) -> str:
    """Where the app leads this person to, after they have signed in again."""
    location = answer.headers["location"]
    assert location.startswith("/again?next=")
    (sealed,) = parse_qs(location.partition("?")[2])["next"]
    person.place.job = lambda visit: visit.next_target(sealed)
    return person.get("/again").text


@pytest.mark.parametrize("name", FORMS)
def test_way_back_leads_to_where_the_form_was(late: Person, name: str) -> None:
    target = target_of(late, act(late, name, **FORMS[name]))
    assert target == PLACES[name]
    page = late.get(target)
    assert said_in(page)[0] == AGAIN
    assert acts_in(late.place) == []


def test_way_back_leads_to_the_list_with_its_filters(late: Person) -> None:
    (form,) = forms_of(see(late, "sessions?network=203.0.113.7&country="), "end")
    target = target_of(late, act(late, "end", **form))
    assert target == "/admin/sessions?network=203.0.113.7&gh-done=again"
    assert said_in(late.get(target)) == [AGAIN]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"list": "https://evil.example/"}, "/admin/sessions?gh-done=again"),
        ({"list": "//evil.example?network=1.2.3.4"}, "/admin/sessions?gh-done=again"),
        (
            {"list": "network=//evil.example&x=1"},
            "/admin/sessions?network=%2F%2Fevil.example&gh-done=again",
        ),
        ({"list": "&".join(["a=b"] * 99)}, "/admin/sessions?gh-done=again"),
        ({"list": f"user={'x' * 3000}"}, "/admin/sessions"),
        ({"user": "//evil.example/\\"}, "/admin/user?id=%2F%2Fevil.example%2F%5C&gh-done=again"),
        ({"user": ""}, "/admin/sessions?gh-done=again"),
        ({"user": "x" * 600}, "/admin/sessions?gh-done=again"),
    ],
)
def test_way_back_is_no_open_redirect(late: Person, fields: dict[str, str], wanted: str) -> None:
    assert target_of(late, act(late, "end", **{"user": "ann", **fields})) == wanted


@given(path=st.text(max_size=40), query=st.dictionaries(st.text(), st.text(), max_size=4))
def test_way_back_is_always_a_path_that_opens(path: str, query: dict[str, str]) -> None:
    """Not checked: that the path is the one that was given where it is safe."""
    keys = {"secret_keys": ["s" * 40], "identity_key": "i" * 40}
    passage = Passage.__new__(Passage)
    passage.ticket = None
    encoded = urlencode({k: v.encode("utf-8", "replace") for k, v in query.items() if k.isascii()})
    sealed = way_back(passage, Settings.from_dict(keys), f"/{path}", encoded)
    found = WayBack(secret_keys=["s" * 40], namespace="default").open(sealed, b"")
    assert found.startswith("/")
    assert not found.startswith(("//", "/\\"))
    assert len(found) <= MAX_TARGET


def test_without_a_page_to_sign_in_again_it_is_said_at_once(desk: Place, clock: FakeClock) -> None:
    sign_in(desk, "ann")
    admin = admin_of(desk)
    clock.advance(1200)
    answer = act(admin, "end-user", user="ann")
    assert answer.status_code == 401
    assert "Nothing was done yet: please do it again after that." in answer.text
    assert link_of(answer, "Back to where you were") == "user?id=ann&gh-done=again"
    read = admin.get("/sessions/")  # of a user: nothing was sent
    assert read.status_code == 401
    assert "Nothing was done yet" not in read.text


def test_reading_while_the_store_is_down_was_no_act(make_desk: MakeDesk, clock: FakeClock) -> None:
    store = FaultyStore(MemoryStore(clock=clock))
    place = make_desk(store)
    sign_in(place, "ann")
    admin = admin_of(place)
    store.fail("search")
    read = see(admin, "sessions")
    assert read.status_code == 503
    assert "Load this page again in a moment." in read.text
    assert "in part" not in read.text
    store.fail("revoke")
    assert "may have been done in part" in act(admin, "end-user", user="ann").text


def test_admin_is_told_before_that_their_own_session_is_among_them(desk: Place) -> None:
    sign_in(desk, "ann")
    admin = admin_of(desk)
    assert "Your own session is among them" in see(admin, "user?id=root").text
    assert "Your own session is among them" not in see(admin, "user?id=ann").text


# --- who did it ---


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("end", "session_terminated"),
        ("end-user", "session_terminated"),
        ("disable", "session_terminated"),
        ("disable", "user_disabled"),
        ("clear", "session_cleared"),
        ("matching", "session_terminated"),
    ],
)
def test_page_of_a_user_says_who_did_it(
    make_desk: MakeDesk, clock: FakeClock, name: str, event: str
) -> None:
    users = Users(describe=lambda ids: {one: (f"{one.title()} <b>", "") for one in ids})
    place = make_desk(guard={"users": users})
    (ann,) = sign_in(place, "ann")
    rob(ann, clock)
    admin = admin_of(place)
    clock.advance(1)
    (form,) = forms_of(see(admin, "user?id=ann"), "end")
    act(admin, name, **{**FORMS[name], "session": form["session"]})
    rows = see(admin, "user?id=ann").text.split("<tr>")
    (row,) = [one for one in rows if f"<code>{event}</code>" in one]
    assert "by Root &lt;b&gt;" in row
    (told,) = [one for one in place.events if one.name == event]
    assert told.detail["by"] == "root"


def test_enabling_says_who_did_it(desk: Place) -> None:
    admin = admin_of(desk)
    for name in ("disable", "enable"):
        act(admin, name, user="ann")
    named = [one for one in desk.events if one.name in ("user_disabled", "user_enabled")]
    assert [one.detail for one in named] == [{"by": "root"}] * 2
    assert see(admin, "user?id=ann").text.count("by root") == 2


def test_code_that_names_nobody_leaves_events_as_they_were(desk: Place) -> None:
    sign_in(desk, "ann", "bob")
    admin = desk.guard.sync
    admin.terminate_user("ann")
    admin.terminate_where(user_id="bob", dry_run=False, by="ada")
    ended = {one.user_id: one.detail for one in desk.events if one.name == "session_terminated"}
    assert ended == {"ann": {}, "bob": {"by": "ada"}}


def test_names_are_beside_ids_in_the_log(make_desk: MakeDesk) -> None:
    asked: list[list[str]] = []

    def describe(ids: Any) -> dict[str, tuple[str, str]]:
        asked.append(sorted(ids))
        return {one: ("Ann Ångström", "") for one in ids if one == "ann"}

    place = make_desk(guard={"users": Users(describe=describe)})
    sign_in(place, "ann", "bob")
    admin = admin_of(place)
    asked.clear()
    page = see(admin, "events")
    assert asked == [["ann", "bob", "root"]]
    assert link_of(page, "Ann Ångström") == "user?id=ann"
    assert '<span class="gh-soft">ann</span>' in page.text
    assert link_of(page, "bob") == "user?id=bob"


def test_filter_of_an_act_is_readable(desk: Place, clock: FakeClock) -> None:
    sign_in(desk, "ann")
    admin = admin_of(desk)
    clock.advance(1)
    (form,) = forms_of(see(admin, "matching?network=203.0.113.0/29&country="), "matching")
    act(admin, "matching", **form)
    see(admin, "events.csv?network=203.0.113.0/24&user=a%20b")
    assert [event.detail["filter"] for event in acts_in(desk)] == [
        "network=203.0.113.0/29",
        "user=a b, network=203.0.113.0/24",
    ]
