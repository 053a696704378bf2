"""What an admin does to one session, one user and all, and what is told of it."""

from __future__ import annotations

from admin_kit import (
    act,
    acts_in,
    admin_of,
    forms_of,
    rob,
    said_in,
    see,
    sign_in,
)
from web_kit import Place

from gatehound import EndReason
from gatehound.testing import FakeClock


def test_one_session_is_ended_and_its_user_told(desk: Place) -> None:
    ann, other = sign_in(desk, "ann", "ann")
    admin = admin_of(desk)
    forms = forms_of(see(admin, "user?id=ann"), "end")
    done = act(admin, "end", **forms[0])
    assert done.headers["location"] == "./user?id=ann&gh-done=ended"
    assert said_in(see(admin, done.headers["location"])) == ["That session is over."]
    told = [one.get("/sessions/") for one in (ann, other)]
    assert sorted(one.status_code for one in told) == [200, 401]
    assert any(EndReason.ADMIN.text in one.text for one in told)
    again = act(admin, "end", **forms[0])
    assert said_in(see(admin, again.headers["location"])) == ["That session was over already."]
    (event,) = acts_in(desk)
    assert (event.user_id, event.reason) == ("root", "ended a session")
    assert event.detail == {"of_user": "ann", "of_session": forms[0]["session"]}
    assert event.address == "203.0.113.9"
    assert event.public_id


def test_all_sessions_of_a_user_are_ended(desk: Place) -> None:
    people = [*sign_in(desk, "ann", "ann"), *sign_in(desk, "bob")]
    admin = admin_of(desk)
    done = act(admin, "end-user", user="ann")
    assert said_in(see(admin, done.headers["location"])) == ["All sessions of this user are over."]
    assert [one.get("/sessions/").status_code for one in people] == [401, 401, 200]
    again = act(admin, "end-user", user="ann")
    assert said_in(see(admin, again.headers["location"])) == ["There was nothing to do."]
    assert [dict(event.detail) for event in acts_in(desk)] == [
        {"of_user": "ann", "count": 2},
        {"of_user": "ann", "count": 0},
    ]


def test_flag_is_cleared(desk: Place, clock: FakeClock) -> None:
    (ann,) = sign_in(desk, "ann")
    rob(ann, clock)
    admin = admin_of(desk)
    (form,) = forms_of(see(admin, "user?id=ann"), "clear")
    done = act(admin, "clear", **form)
    after = see(admin, done.headers["location"])
    assert said_in(after) == ["The session is no longer marked."]
    assert forms_of(after, "clear") == []
    gone = act(admin, "clear", user="ann", session="0" * 16)
    assert gone.headers["location"] == "./user?id=ann&gh-done=gone"
    (event,) = acts_in(desk)
    assert event.reason == "cleared a flag"


def test_user_is_disabled_and_enabled(desk: Place) -> None:
    (ann,) = sign_in(desk, "ann")
    admin = admin_of(desk)
    done = act(admin, "disable", user="ann")
    page = see(admin, done.headers["location"])
    assert said_in(page) == ["The user is disabled, and signed out everywhere."]
    assert "Disabled</span>" in page.text
    assert (forms_of(page, "disable"), len(forms_of(page, "enable"))) == ([], 1)
    assert ann.get("/sessions/").status_code == 401
    assert ann.get("/login?user=ann").status_code == 403
    done = act(admin, "enable", user="ann")
    assert said_in(see(admin, done.headers["location"])) == ["The user may sign in again."]
    assert ann.get("/login?user=ann").status_code == 200
    assert act(admin, "enable", user="ann").headers["location"].endswith("gh-done=nothing")
    assert [event.reason for event in acts_in(desk)] == ["disabled a user", "enabled a user"]


def test_nobody_disables_oneself(desk: Place) -> None:
    admin = admin_of(desk)
    assert forms_of(see(admin, "user?id=root"), "disable") == []
    answer = act(admin, "disable", user="root")
    assert answer.status_code == 403
    assert "You cannot disable yourself" in answer.text
    assert see(admin).status_code == 200
    assert acts_in(desk) == []


def test_everyone_is_ended_after_the_tick_alone(desk: Place) -> None:
    people, admin = sign_in(desk, "ann", "bob"), admin_of(desk)
    done = act(admin, "everyone")
    assert done.headers["location"] == "./matching?gh-done=not-sure"
    asked = see(admin, "matching?gh-done=not-sure")
    assert said_in(asked) == ["Nothing was done: say that you are sure first."]
    assert "Everybody has to sign in again" in asked.text
    assert people[0].get("/sessions/").status_code == 200
    assert act(admin, "everyone", sure="yes").headers["location"] == "./sessions"
    assert [one.get("/sessions/").status_code for one in (*people, admin)] == [401] * 3
    assert see(admin, "sessions").status_code == 401
    (event,) = acts_in(desk)
    assert (event.user_id, event.reason) == ("root", "ended all sessions of the site")


def test_all_that_is_stored_of_a_user_is_exported(desk: Place) -> None:
    sign_in(desk, "ann")
    admin = admin_of(desk)
    answer = act(admin, "export", user="ann")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="user.json"'
    assert answer.headers["cache-control"] == "private, no-store"
    found = answer.json()
    assert (found["user_id"], len(found["sessions"])) == ("ann", 1)
    (event,) = acts_in(desk)
    assert (event.reason, dict(event.detail)) == ("exported a user", {"of_user": "ann"})


def test_a_user_is_erased_and_not_named_afterwards(desk: Place) -> None:
    (ann,) = sign_in(desk, "ann")
    admin = admin_of(desk)
    doubted = act(admin, "forget", user="ann")
    assert said_in(see(admin, doubted.headers["location"])) == [
        "Nothing was done: say that you are sure first."
    ]
    assert ann.get("/sessions/").status_code == 200
    done = act(admin, "forget", user="ann", sure="yes")
    assert said_in(see(admin, done.headers["location"])) == [
        "All that was stored of this user is erased."
    ]
    assert ann.get("/sessions/").status_code == 401
    assert act(admin, "export", user="ann").json()["events"] == []
    (event,) = [one for one in acts_in(desk) if one.reason == "erased a user"]
    assert dict(event.detail) == {"sessions": 1}


def test_who_cannot_be_a_user_is_neither_exported_nor_erased(desk: Place) -> None:
    admin = admin_of(desk)
    for name in ("export", "forget"):
        assert act(admin, name, user="", sure="yes").status_code == 404
        assert act(admin, name, user="ann", token="made-up").status_code == 403
    assert acts_in(desk) == []
