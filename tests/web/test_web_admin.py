"""The pages of admins through both adapters: lists, filters, users, and where they are mounted.

Beside it: acts (_acts), ending many (_matching), the log (_activity), figures (_overview), what
must not be possible (_attempts), and a store that is down (_faults).
"""

from __future__ import annotations

import re
from importlib import resources
from urllib.parse import urlencode

import pytest
from admin_kit import (
    PAGES,
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
    token_of,
    users_in,
)
from msgspec.structs import replace
from web_kit import FIREFOX, Place, only_asgi

from gatehound import SettingsError, UsageError
from gatehound.listing import Users
from gatehound.stores.answer import Page, Query
from gatehound.testing import FakeClock
from gatehound.web import AdminPages
from gatehound.web.admin import scan

NAMES = {"ann": "Ann Ångström", "anton": "Anton O'Neil <b>", "bob": ""}
USERS = Users(
    describe=lambda ids: {one: (NAMES[one], "") for one in ids if NAMES.get(one)},
    find=lambda text: [one for one in NAMES if text.lower() in one],
)
CITIES = str(resources.files("gatehound.cli.demo") / "demo-city.mmdb")


@pytest.mark.parametrize("page", [*PAGES, "address", "user?id=nobody", "sessions?q=ann"])
def test_every_page_is_there_for_an_admin(desk: Place, page: str) -> None:
    admin = admin_of(desk)
    answer = see(admin, page)
    assert answer.status_code in (200, 303)
    assert "no-store" in answer.headers["cache-control"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    head = admin.ask("HEAD", f"/admin/{page}")
    assert (head.status_code, head.content) == (answer.status_code, b"")
    assert desk.calls == ["/login"]


def test_the_bare_path_leads_to_the_pages(desk: Place) -> None:
    assert admin_of(desk).get("/admin").headers["location"] == "admin/"


# --- lists ---


def test_list_shows_everybody_the_newest_first(make_desk: MakeDesk, clock: FakeClock) -> None:
    place = make_desk(guard={"users": USERS})
    for name in ("ann", "bob"):
        sign_in(place, name)
        clock.advance(60)
    admin = admin_of(place)
    answer = see(admin, "sessions")
    assert users_in(answer) == ["root", "bob", "ann"]
    for text in ("Ann Ångström", "Firefox on Linux", "203.0.113.7", "2 minutes ago", "You, here"):
        assert text in answer.text
    # One's own session is not ended here by a slip.
    assert [form["user"] for form in forms_of(answer, "end")] == ["bob", "ann"]
    assert "one by one" not in answer.text


def test_list_goes_on_page_by_page(
    desk: Place, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PAGE", 2)
    for name in "abcde":
        sign_in(desk, name)
        clock.advance(1)
    answer, seen = see(admin_of(desk), "sessions"), list[str]()
    while True:
        seen += users_in(answer)
        if not (more := link_of(answer, "Older ones")):
            break
        answer = see(admin_of(desk, "other"), more)
    assert seen == ["root", "e", "d", "c", "b", "a"]


def test_visitors_are_in_no_list_and_make_no_scan(desk: Place, clock: FakeClock) -> None:
    desk.job = lambda visit: visit.anonymous.set("cart", "1")
    desk.person().get("/cart")
    desk.job = lambda visit: "app"
    admin = admin_of(desk)
    assert users_in(see(admin, "sessions")) == ["root"]
    assert "one by one" not in see(admin, "sessions").text
    assert "one by one" in see(admin, "sessions?network=203.0.0.0/16").text
    assert "<strong>2</strong> sessions now" in see(admin).text


@pytest.mark.parametrize(
    ("query", "users"),
    [
        ("network=198.51.100.4", ["bob"]),
        ("network=198.51.100.99/24", ["bob"]),
        ("network=2001:db8::/32", []),
        ("country=de", ["ann"]),
        ("country=GB", ["bob"]),
        ("country=SE", []),
        ("flagged=yes", ["ann"]),
        ("older=21600", ["ann"]),
        ("idle=3600", ["bob"]),
        ("user=ann", ["ann"]),
        ("user=ann&country=GB", []),
        ("network=+198.51.100.4+", ["bob"]),
        ("no=such&older=", ["root", "bob", "ann"]),
    ],
)
def test_list_of_those_that_match(
    make_desk: MakeDesk, clock: FakeClock, query: str, users: list[str]
) -> None:
    place = make_desk(detection={"city_database": CITIES}, session={"idle_timeout": "12h"})
    (ann,) = sign_in(place, "ann", address="203.0.113.7")
    clock.advance(4 * 3600)
    sign_in(place, "bob", address="198.51.100.4")
    clock.advance(2 * 3600)
    rob(ann, clock)
    ann.get("/")
    answer = see(admin_of(place), f"sessions?{query}")
    assert answer.status_code == 200
    found = [one for one in users_in(answer) if one != "root"]
    assert found == [one for one in users if one != "root"]
    assert ("No session matches." in answer.text) == (users == [])


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("network=300.1.1.1", "An address is written as"),
        ("network=203.0.113.0/33", "An address is written as"),
        ("country=GBR", "A country is two letters"),
        ("country=ß", "A country is two letters"),
        ("country=4_", "A country is two letters"),
        ("older=1h", "That span of time"),
        ("older=0", "That span of time"),
        ("older=7200", "That span of time"),
        ("idle=-3600", "That span of time"),
        ("idle=9999999999", "That span of time"),
        (f"user={'x' * 1000}", "No user has such an id"),
        (f"user={'%C3%A9' * 300}", "No user has such an id"),
    ],
)
@pytest.mark.parametrize("page", ["sessions", "matching"])
def test_filter_that_cannot_be_used_is_named(desk: Place, query: str, said: str, page: str) -> None:
    sign_in(desk, "ann")
    admin = admin_of(desk)
    answer = see(admin, f"{page}?{query}")
    if page == "matching":
        assert answer.status_code == 303
        answer = see(admin, answer.headers["location"])
    assert answer.status_code == 400
    (told,) = said_in(answer)
    assert told.startswith(said)
    assert users_in(answer) == []
    assert "End all that match" not in answer.text


def test_scan_shows_how_far_it_came_and_goes_on(
    desk: Place, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice that ends without a hit, as in a store without an index."""
    for number in range(6):
        sign_in(desk, f"u{number}", address="198.51.100.4" if number == 0 else "203.0.113.7")
        clock.advance(1)
    admin = admin_of(desk)
    monkeypatch.setattr(scan, "BUDGET", 0)
    store = desk.guard.store
    whole = store.search

    async def short(query: Query) -> Page:
        """Look at two sessions, matching or not."""
        page = await whole(replace(query, network=None, limit=2))
        matching = (await whole(replace(query, limit=1000))).records
        return replace(page, records=tuple(one for one in page.records if one in matching))

    monkeypatch.setattr(store, "search", short)
    monkeypatch.setattr("gatehound.listing.EMPTY_PAGES", 1)
    answer = see(admin, "sessions?network=198.51.100.0/24")
    assert "Looked at 2 of about 7 sessions. 0 sessions match so far." in answer.text
    assert '<progress max="7" value="2"' in answer.text
    assert "None of those that were looked at match." in answer.text
    steps = 1
    while more := link_of(answer, "Look on"):
        answer, steps = see(admin, more), steps + 1
    assert steps == 4
    assert "Looked at all 7 sessions. 1 session matches." in answer.text
    assert users_in(answer) == ["u0"]
    monkeypatch.setattr(scan, "BUDGET", 600)
    assert users_in(see(admin, "sessions?network=198.51.100.0/24")) == ["u0"]


# --- people ---


def test_one_user_is_gone_to_at_once(make_desk: MakeDesk) -> None:
    admin = admin_of(make_desk(guard={"users": USERS}))
    assert see(admin, "sessions?q=bob").headers["location"] == "user?id=bob"
    several = see(admin, "sessions?q=+AN+")
    assert "Ann Ångström" in several.text
    assert "Anton O&#39;Neil &lt;b&gt;" in several.text
    assert link_of(several, "Ann Ångström") == "user?id=ann"
    assert "No user is found for “zoë&lt;”" in see(admin, "sessions?q=zoë<").text


def test_without_names_the_text_is_the_id(desk: Place) -> None:
    admin = admin_of(desk)
    assert see(admin, "sessions?q=a%26b%2Fc").headers["location"] == "user?id=a%26b%2Fc"
    assert users_in(see(admin, "sessions?q=++")) == ["root"]
    long = see(admin, f"sessions?q={'x' * 1000}")
    assert see(admin, long.headers["location"]).status_code == 404


def test_user_with_sessions_reasons_and_activity(make_desk: MakeDesk, clock: FakeClock) -> None:
    place = make_desk(guard={"users": USERS})
    (ann,) = sign_in(place, "ann")
    rob(ann, clock)
    answer = see(admin_of(place), "user?id=ann")
    assert "<h1>Ann Ångström</h1>" in answer.text
    for text in ("Suspicious", "session_created", "session_flagged", "Clear the flag"):
        assert text in answer.text
    reasons = re.findall(r"<li>(.+?)</li>", answer.text)
    assert any("changed" in reason for reason in reasons)
    assert link_of(answer, "All activity of this user") == "events?user=ann"


def test_user_of_whom_nothing_is_known(desk: Place) -> None:
    answer = see(admin_of(desk), "user?id=nobody")
    assert answer.status_code == 200
    assert "signed in nowhere" in answer.text
    assert "Nothing is in the log." in answer.text
    assert forms_of(answer, "end-user") == []
    for page in ("user", "user?id=", f"user?id={'x' * 1000}"):
        missing = see(admin_of(desk), page)
        assert missing.status_code == 404
        assert "no user of this site" in missing.text


@pytest.mark.parametrize(
    "user",
    [
        "<script>\"'&</script>",
        "a/b?c=d&id=e#f",
        " spaces ",
        "ü\N{SNOWMAN}",
        "%41",
        "new\nline",
        "{{ 7*7 }}",
        "x" * 200,
    ],
)
def test_any_user_id_is_shown_and_acted_on(desk: Place, user: str) -> None:
    (person,) = sign_in(desk, user)
    admin = admin_of(desk)
    answer = see(admin, "sessions")
    assert "<script>" not in answer.text.replace("<script src", "")
    assert "49" not in re.findall(r"<td[^>]*>[^<]*", answer.text)
    (form,) = forms_of(answer, "end")
    assert form["user"].split() == user.split()  # browsers keep line breaks in no field
    page = see(admin, f"user?{urlencode({'id': user})}")
    assert (page.status_code, len(forms_of(page, "end"))) == (200, 1)
    done = act(admin, "end", user=user, session=form["session"])
    after = see(admin, done.headers["location"])
    assert said_in(after) == ["That session is over."]
    assert person.get("/sessions/").status_code == 401
    (event,) = acts_in(desk)
    assert event.detail["of_user"] == user


# --- settings and mounting ---


def test_address_is_explained(make_desk: MakeDesk) -> None:
    place = make_desk(client_ip={"mode": "x-forwarded-for", "trusted_proxies": ["203.0.113.9"]})
    sent = {"x-forwarded-for": "192.0.2.44"}
    admin = place.person(FIREFOX, "203.0.113.9")
    admin.get("/login?user=root&role=admin", headers=sent)
    answer = see(admin, "address", headers=sent)
    for text in ("192.0.2.44", "203.0.113.9", "x-forwarded-for", "How it was found"):
        assert text in answer.text
    assert "<dd>nobody</dd>" in see(admin_of(make_desk()), "address").text


def test_one_kind_of_pages_below_the_other(make_desk: MakeDesk) -> None:
    for own, theirs in (("/a", "/a/admin"), ("/a/me", "/a")):
        place = make_desk(web={"path": own, "admin_path": theirs})
        person = place.person().login("root", "admin")
        assert "Where you are signed in" in person.get(f"{own}/").text
        assert "<h1>Overview</h1>" in person.get(f"{theirs}/").text


@pytest.mark.parametrize("web", [{"path": "/same"}, {"path": None}])
def test_paths(make_desk: MakeDesk, web: dict[str, str | None]) -> None:
    if web["path"]:
        with pytest.raises(SettingsError, match=r"web\.admin_path: '/same' given"):
            make_desk(web={**web, "admin_path": "/same"})
        return
    place = make_desk(web=web)
    assert see(place.person().login("root", "admin")).status_code == 200
    assert place.person().get("/sessions/").text == "app"


@pytest.mark.parametrize("allow", ["admin", 1, True])
def test_allow_is_a_function(allow: object) -> None:
    with pytest.raises(UsageError, match=r"allow .+ given; allowed is a function of a visit"):
        AdminPages(allow)  # type: ignore[arg-type] # the test


@only_asgi
def test_pages_of_the_other_world_say_so(desk: Place) -> None:
    def job(visit: object) -> str:
        with pytest.raises(UsageError, match=r"mount AdminPages\.asgi there"):
            AdminPages().wsgi({"gatehound": visit}, lambda *told: None)
        return "told"

    desk.job = job
    assert desk.person().get("/").text == "told"


def test_token_is_that_of_admins_alone(desk: Place) -> None:
    admin = admin_of(desk)
    assert token_of(admin) != admin.token()


def test_start_says_what_acting_needs(
    make_desk: MakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    make_desk()
    assert "web.admin_path is set and web.step_up_url is not: 10 minutes" in caplog.text
    for web in ({"step_up_url": "/again"}, {"require_fresh": False}, {"admin_path": None}):
        caplog.clear()
        make_desk(web=web)
        assert "web.admin_path" not in caplog.text
