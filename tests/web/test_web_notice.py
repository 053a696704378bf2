""" "This was not me": the link of a notice, through both adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_kit import FIREFOX, ORIGIN, Person, Place

from gatehound import Action, Guard, Session, UsageError, Verdict
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore
from gatehound.tokens import NOTICE_LIFE, NoticeTokens

HERE = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
TOKENS = NoticeTokens(secret_keys=["s" * 40], namespace="default")
ALIAS, SID = b"a" * 12, b"s" * 8
TOKEN = TOKENS.make(ALIAS, SID)


def sessions(place: Place, user: str = "ann") -> list[Session]:
    return place.guard.sync.sessions_of(user)


def link(place: Place, device: str) -> str:
    """The notice of the session on that device."""
    [session] = [one for one in sessions(place) if device in one.device]
    return place.guard.notice_path(session)


def press(person: Person, path: str, what: str = "this", **headers: str) -> Any:
    return person.ask("POST", path, data={"what": what}, headers={**HERE, **headers})


def test_link_shows_and_does_nothing_by_itself(place: Place) -> None:
    thief = place.person(FIREFOX, "198.51.100.4").login()
    path = link(place, "Firefox")
    for method in ("GET", "HEAD", "GET"):
        page = place.person().ask(method, path)
        assert page.status_code == 200
    assert "Firefox on Linux" in page.text
    assert "198.51.100.4" in page.text
    assert thief.get("/sessions/").status_code == 200


def test_session_is_ended_by_somebody_who_is_not_signed_in(place: Place) -> None:
    thief, owner = place.person(FIREFOX).login(), place.person().login()
    done = press(place.person(), link(place, "Firefox"))
    assert done.status_code == 200
    assert "That session is over." in done.text
    assert "You said that a sign-in was not yours" in thief.get("/sessions/").text
    assert owner.get("/sessions/").status_code == 200
    [told] = [one for one in place.events if one.name == "session_terminated"]
    assert (told.notify, told.reason) == ("both", "reported")


def test_everything_is_ended(place: Place) -> None:
    thief, owner, other = place.person(FIREFOX).login(), place.person().login(), place.person()
    other.login("bob")
    done = press(owner, link(place, "Firefox"), "everywhere")
    assert "All sessions of your account are over, here too." in done.text
    assert [one.get("/sessions/").status_code for one in (thief, owner, other)] == [401, 401, 200]


def test_link_works_once(place: Place) -> None:
    place.person(FIREFOX).login()
    path = link(place, "Firefox")
    assert "That session is over." in press(place.person(), path).text
    again = place.person(FIREFOX).login()
    page = place.person().get(path)
    assert "over already" in page.text
    assert "<form" not in page.text
    for what in ("this", "everywhere"):
        assert "Nothing was done" in press(place.person(), path, what).text
    assert again.get("/sessions/").status_code == 200


def test_reload_of_the_answer_is_no_attack(place: Place) -> None:
    place.person(FIREFOX).login()
    path = link(place, "Firefox")
    press(place.person(), path)
    assert press(place.person(), path, **{"sec-fetch-site": "none"}).status_code == 200


def test_form_of_another_site_does_nothing(place: Place) -> None:
    thief = place.person(FIREFOX).login()
    sent = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert press(place.person(), link(place, "Firefox"), **sent).status_code == 403
    assert thief.get("/sessions/").status_code == 200


@pytest.mark.parametrize("spoil", ["", "x", "{}x", "x{}", "\N{SNOWMAN}", "{}" * 9])
def test_link_that_is_not_ours_is_not_found(place: Place, spoil: str) -> None:
    thief = place.person(FIREFOX).login()
    token = link(place, "Firefox").rpartition("/")[2]
    path = f"/sessions/notice/{spoil.format(*[token] * 9)}"
    for answer in (place.person().get(path), press(place.person(), path, "everywhere")):
        assert answer.status_code == 404
    assert thief.get("/sessions/").status_code == 200


def test_app_is_told(make_place: Callable[..., Place]) -> None:
    heard: list[tuple[Session, Verdict]] = []
    place = make_place(
        guard={"on_hijack": lambda session, verdict: heard.append((session, verdict))}
    )
    place.person(FIREFOX).login()
    press(place.person(), link(place, "Firefox"))
    [(session, verdict)] = heard
    assert (session.user_id, session.device) == ("ann", "Firefox on Linux")
    assert verdict.action is Action.TERMINATE
    assert [one.code for one in verdict.signals] == ["reported_by_user"]


def test_app_is_told_once_by_whoever_is_quickest(make_place: Callable[..., Place]) -> None:
    """Between the look at the session and its end somebody else ends it."""
    heard: list[Session] = []
    place = make_place(guard={"on_hijack": lambda session, verdict: heard.append(session)})
    place.person(FIREFOX).login()
    path, store = link(place, "Firefox"), place.guard.store
    revoke = store.revoke

    async def after_another(*args: Any, **options: Any) -> Any:
        await revoke(*args, **options)
        return await revoke(*args, **options)

    store.revoke = after_another  # type: ignore[method-assign] # the other one is in between
    assert "Nothing was done" in press(place.person(), path).text
    assert heard == []


def test_pages_of_a_session_that_is_over_lead_to_the_list(place: Place) -> None:
    thief = place.person(FIREFOX).login()
    path = link(place, "Firefox")
    thief.login()  # in the same browser: the session of the link is replaced, and nobody is told
    for page in (place.person().get(path), press(place.person(), path, "everywhere")):
        assert "may have signed in again" in page.text
        assert 'href="../"' in page.text


def test_link_opens_where_a_proof_is_due(
    make_place: Callable[..., Place], clock: FakeClock
) -> None:
    place = make_place(detection={"mode": "step-up"}, web={"step_up_url": "/again"})
    person = place.person().login()
    clock.advance(60)
    person.headers["user-agent"], person.address = "curl/8.5.0", "198.51.100.9"
    person.headers["accept"] = "*/*"
    person.get("/")
    person.headers["user-agent"] = FIREFOX
    person.get("/")
    path = place.guard.notice_path(sessions(place)[0])
    assert person.get("/anything").status_code in (303, 401)
    assert person.get(path).status_code == 200
    assert person.get(path.replace("/notice/", "/notice/../")).status_code in (303, 401)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_outage_is_said(make_place: Callable[..., Place], clock: FakeClock, method: str) -> None:
    store = FaultyStore(MemoryStore(clock=clock))
    place = make_place(store=store)
    place.person(FIREFOX).login()
    path = link(place, "Firefox")
    store.go_down()
    answer = place.person().ask(method, path, headers=HERE)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_path_needs_to_know_where_the_pages_are(make_place: Callable[..., Place]) -> None:
    place = make_place(web={"path": None})
    place.person().login()
    [session] = sessions(place)
    with pytest.raises(UsageError, match=r"set web\.path"):
        place.guard.notice_path(session)
    assert place.guard.notice_path(session, at="/me/").startswith("/me/notice/")


# --- tokens ---


@given(st.binary(min_size=12, max_size=12), st.binary(min_size=8, max_size=8))
def test_token_names_what_it_was_made_for(alias: bytes, sid: bytes) -> None:
    token = TOKENS.make(alias, sid)
    assert TOKENS.open(token) == (alias, sid)
    assert not set(token) & set("/?#%&+ =")


@given(st.data())
def test_changed_token_opens_nothing(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TOKEN) - 2))  # the last character has bits that nobody reads
    # Python reads "+" and "/" in the place of "-" and "_", which is the same signature.
    alike = {"-": "+", "_": "/"}.get(TOKEN[at], "")
    char = data.draw(st.characters(exclude_characters=TOKEN[at] + alike))
    assert TOKENS.open(TOKEN[:at] + char + TOKEN[at + 1 :]) is None


@given(st.text(max_size=300))
def test_rubbish_opens_nothing(text: str) -> None:
    assert TOKENS.open(text) is None


def test_token_is_of_one_purpose_namespace_and_key() -> None:
    token = TOKENS.make(ALIAS, SID)
    for other in (
        NoticeTokens(secret_keys=["s" * 40], namespace="other"),
        NoticeTokens(secret_keys=["t" * 40], namespace="default"),
    ):
        assert other.open(token) is None
    newer = NoticeTokens(secret_keys=["t" * 40, "s" * 40], namespace="default")
    assert newer.open(token) == (ALIAS, SID)
    guard = Guard({"development": True, "store": "memory://"}, sinks=[])
    assert guard.notices.open(guard.csrf.make(SID)) is None


@pytest.mark.parametrize(
    ("late", "opens"), [(-61, False), (-59, True), (NOTICE_LIFE, True), (NOTICE_LIFE + 1, False)]
)
def test_token_is_of_its_time(monkeypatch: pytest.MonkeyPatch, late: int, opens: bool) -> None:
    import time

    token, now = TOKENS.make(ALIAS, SID), int(time.time())
    monkeypatch.setattr("gatehound.tokens.time.time", lambda: float(now + late))
    assert (TOKENS.open(token) is not None) is opens
