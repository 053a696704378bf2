"""What the pages of admins must not do, for anybody and whatever is sent."""

from __future__ import annotations

from typing import Any

import httpx
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
from web_kit import ORIGIN, Person, Place, only_asgi

from gatehound import EndReason
from gatehound.testing import FakeClock
from gatehound.web import AdminPages

EVERY = (*PAGES, *EXPORTS, "address", "user?id=root", "no-such")


def assert_nothing_was_done(place: Place, people: list[Person]) -> None:
    assert [one.get("/sessions/").status_code for one in people] == [200] * len(people)
    assert acts_in(place) == []
    assert "/admin" not in " ".join(place.calls)


def send(person: Person, name: str, /, **fields: str) -> httpx.Response:
    """Send a form without looking at a page before."""
    return act(person, name, **{"token": "x", **fields})


# --- who ---


@pytest.mark.parametrize("page", EVERY)
def test_nobody_sees_nothing(desk: Place, page: str) -> None:
    people = sign_in(desk, "ann")
    answer = see(desk.person(), page)
    assert answer.status_code == 401
    assert "Please sign in" in answer.text
    assert "ann" not in answer.text.replace("/sign", "")
    assert 'href="./health"' not in answer.text
    assert_nothing_was_done(desk, people)


@pytest.mark.parametrize("name", FORMS)
def test_nobody_does_nothing(desk: Place, name: str) -> None:
    people = sign_in(desk, "ann")
    assert send(desk.person(), name, **FORMS[name]).status_code == 401
    assert_nothing_was_done(desk, people)


def test_admin_who_was_signed_out_is_told_why(desk: Place) -> None:
    admin, other = admin_of(desk), admin_of(desk, "other")
    act(other, "end-user", user="root")
    answer = see(admin, "sessions")
    assert answer.status_code == 401
    assert EndReason.ADMIN.text in answer.text


@pytest.mark.parametrize("roles", [(), ("user",), ("administratorx",), ("Admin",), ("admin ",)])
def test_who_has_not_the_role_sees_and_does_nothing(desk: Place, roles: tuple[str, ...]) -> None:
    people = sign_in(desk, "somebody-else")
    eve = desk.person().login("eve", *roles)
    for page in EVERY:
        answer = see(eve, page)
        assert answer.status_code == 403
        assert "You are signed in, and are not one of them." in answer.text
        assert "somebody-else" not in answer.text
        assert 'href="./sessions"' not in answer.text
    for name, fields in FORMS.items():
        for token in ("x", eve.token()):
            assert send(eve, name, **{**fields, "token": token}).status_code == 403
    assert_nothing_was_done(desk, people)


def test_role_that_is_gone_with_the_next_sign_in(desk: Place) -> None:
    admin = admin_of(desk)
    token = token_of(admin)
    admin.login("root")
    assert see(admin).status_code == 403
    assert send(admin, "end-user", token=token, user="ann").status_code == 403


def test_other_roles_of_the_settings(make_desk: MakeDesk) -> None:
    place = make_desk(web={"admin_roles": ["security"]})
    assert see(place.person().login("root", "admin")).status_code == 403
    assert see(place.person().login("eve", "user", "security")).status_code == 200
    nobody = make_desk(web={"admin_roles": []})
    assert see(nobody.person().login("root", "admin")).status_code == 403


async def _later(visit: Any) -> bool:
    return bool(visit.user_id == "sue")


def _mounted(place: Place, allow: Any) -> None:
    """Serve the pages where an app mounts them, with a word of its own."""
    pages = AdminPages(allow)
    served = pages.asgi if place.world == "asgi" else pages.wsgi
    place.app._divided = served


@pytest.mark.parametrize("allow", [lambda visit: visit.user_id == "sue", _later])
def test_allow_says_who(make_desk: MakeDesk, allow: Any) -> None:
    place = make_desk()
    people = [place.person().login(one, "admin") for one in ("root", "sue")]
    seen: list[str] = []

    def kept(visit: Any) -> Any:
        seen.append(visit.user_id)
        return allow(visit)

    _mounted(place, kept)
    assert [one.get("/health").status_code for one in people] == [403, 200]
    assert place.person().get("/health").status_code == 401
    assert seen == ["root", "sue"]  # and nobody who is not signed in


@pytest.mark.parametrize("answer", [None, 0, ""])
def test_allow_that_says_nothing_lets_nobody_in(desk: Place, answer: object) -> None:
    admin = admin_of(desk)
    _mounted(desk, lambda visit: answer)
    assert admin.get("/health").status_code == 403


def test_allow_that_fails_lets_nobody_in(desk: Place) -> None:
    admin = admin_of(desk)

    def fail(visit: object) -> bool:
        raise LookupError("the directory of staff is down")

    _mounted(desk, fail)
    with pytest.raises(LookupError, match="the directory of staff is down"):
        admin.get("/health")  # for the server's log, as any fault of an app


# --- forms ---


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.shop.example", "sec-fetch-site": "same-site"},
        {"origin": "null", "sec-fetch-site": ""},
        {"origin": "https://shop.example.evil.example", "sec-fetch-site": ""},
    ],
)
def test_form_of_another_site_does_nothing(desk: Place, name: str, headers: dict[str, str]) -> None:
    people, admin = sign_in(desk, "ann"), admin_of(desk)
    sent = {key: value for key, value in headers.items() if value}
    fields = {**FORMS[name], "token": token_of(admin)}
    answer = admin.ask("POST", f"/admin/{name}", data=fields, headers=sent)
    assert answer.status_code == 403
    assert "another site" in answer.text
    assert_nothing_was_done(desk, people)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("kind", ["none", "of users", "of another admin", "of before", "rubbish"])
def test_form_without_its_token_does_nothing(desk: Place, name: str, kind: str) -> None:
    people, admin = sign_in(desk, "ann"), admin_of(desk)
    token = {
        "none": "",
        "of users": admin.token(),
        "of another admin": token_of(admin_of(desk, "other")),
        "of before": token_of(admin),
        "rubbish": "\N{SNOWMAN}.x",
    }[kind]
    if kind == "of before":
        admin.login("root", "admin")
    answer = send(admin, name, **{**FORMS[name], "token": token})
    assert answer.status_code == 403
    assert "made too long ago" in answer.text
    assert_nothing_was_done(desk, people)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("url", [None, "/again"])
def test_acting_needs_a_fresh_sign_in_and_reading_does_not(
    make_desk: MakeDesk, clock: FakeClock, name: str, url: str | None
) -> None:
    place = make_desk(web={"step_up_url": url})
    people, admin = sign_in(place, "ann"), admin_of(place)
    clock.advance(1200)
    for page in PAGES:
        assert see(admin, page).status_code == 200
    answer = act(admin, name, **FORMS[name])
    assert answer.status_code == (401 if url is None else 303)
    if url is None:
        assert "sign in again" in answer.text
    else:
        assert answer.headers["location"].startswith("/again?next=")
    assert acts_in(place) == []
    assert people[0].get("/").status_code == 200
    assert place.guard.sync.sessions_of("ann") if place.world == "wsgi" else True
    waived = make_desk(web={"require_fresh": False})
    late = admin_of(waived)
    clock.advance(1200)
    assert act(late, name, **FORMS[name]).status_code in (200, 303)


@pytest.mark.parametrize("session", ["", "x", "ü" * 16, "0" * 9000, "A" * 16])
@pytest.mark.parametrize("name", ["end", "clear"])
def test_session_ids_are_only_looked_up(desk: Place, name: str, session: str) -> None:
    people, admin = sign_in(desk, "ann"), admin_of(desk)
    answer = act(admin, name, user="ann", session=session)
    assert answer.headers["location"] == "./user?id=ann&gh-done=gone"
    assert_nothing_was_done(desk, people)


def test_session_is_reached_with_its_user_alone(desk: Place) -> None:
    people, admin = sign_in(desk, "ann", "bob"), admin_of(desk)
    (form,) = forms_of(see(admin, "user?id=ann"), "end")
    for name in ("end", "clear"):
        answer = act(admin, name, user="bob", session=form["session"])
        assert answer.headers["location"] == "./user?id=bob&gh-done=gone"
    assert_nothing_was_done(desk, people)


@pytest.mark.parametrize("user", ["", "x" * 513, "é" * 257])
@pytest.mark.parametrize("name", ["end", "end-user", "clear", "disable", "enable"])
def test_what_is_no_user_is_not_found(desk: Place, name: str, user: str) -> None:
    answer = act(admin_of(desk), name, user=user, session="0" * 16)
    assert answer.status_code == 404
    assert "no user of this site" in answer.text
    assert acts_in(desk) == []


def test_lone_surrogates_are_nobody(desk: Place) -> None:
    """Written as bytes of UTF-8 that no UTF-8 has."""
    people, admin = sign_in(desk, "ann"), admin_of(desk)
    for page in ("user?id=", "sessions?user=", "sessions?q=", "events?user=", "events.csv?user="):
        assert see(admin, f"{page}%ED%A0%80").status_code in (200, 303)
    desk.events.clear()  # of the export
    for name in ("end", "end-user", "matching"):
        data = f"token={token_of(admin)}&user=%ED%A0%80&session=%ED%A0%80&asked=1800000000"
        answer = admin.ask("POST", f"/admin/{name}", content=data, headers={"origin": ORIGIN})
        assert answer.status_code in (200, 303)
    assert [event.detail.get("count", 0) for event in acts_in(desk)] == [0]
    assert people[0].get("/sessions/").status_code == 200


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 403),
        (b"\xff\xfe", 403),
        (b"token", 403),
        (b"&".join([b"a=b"] * 500), 403),
        (b"token=" + b"x" * 20_000, 413),
    ],
)
@pytest.mark.parametrize("name", ["end-user", "everyone"])
def test_body_that_is_no_form_does_nothing(
    desk: Place, name: str, data: bytes, status: int
) -> None:
    people, admin = sign_in(desk, "ann"), admin_of(desk)
    answer = admin.ask("POST", f"/admin/{name}", content=data, headers={"origin": ORIGIN})
    assert answer.status_code == status
    assert_nothing_was_done(desk, people)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", f"/admin/{name}", 405) for name in FORMS if name != "matching"),
        ("POST", "/admin/", 405),
        ("POST", "/admin/sessions", 405),
        ("DELETE", "/admin/end", 405),
        ("PUT", "/admin/user?id=ann", 405),
        ("GET", "/admin/no-such", 404),
        ("GET", "/admin/user/ann", 404),
        ("GET", "/admin/sessions/", 404),
        ("GET", "/admin//", 404),
        ("GET", "/admin/%2F..%2Fsessions", 404),
        ("GET", "/admin/..%2fsessions", 404),
        ("GET", "/admin/events%2Ejsonl", 200),
        ("GET", "/admin/Events", 404),
        ("GET", "/admin/api/sessions", 404),
        ("GET", "/admin/frame.html", 404),
        ("GET", "/admin/static/../pages.py", 404),
        ("GET", "/admin/\u00e9", 404),
        ("GET", "/admin/%7F%00", 404),
    ],
)
def test_paths(desk: Place, method: str, path: str, status: int) -> None:
    admin = admin_of(desk)
    answer = admin.ask(method, path, headers={"origin": ORIGIN})
    assert answer.status_code == status
    if status == 405:
        assert answer.headers["allow"] in ("GET, HEAD", "POST", "GET, HEAD, POST")
    assert desk.calls == ["/login"]


@only_asgi
def test_pages_beside_the_path_are_those_of_the_app(desk: Place) -> None:
    admin = admin_of(desk)
    for path in ("/adminx", "/Admin/", "/admi", "/x/admin/"):
        assert admin.get(path).text == "app"
