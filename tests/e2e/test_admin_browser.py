"""The pages of admins in Chromium, at two widths, light and dark, with scripts and without.

All looks go through the ASGI server, and two of them through the WSGI one: the HTML is the same.
Not looked for here: what a screen reader makes of it, and other engines than Chromium's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
from look_kit import Look, Window, window, windows
from pages_kit import CHROME, ELSEWHERE, FAR, FIREFOX, HOME, IPHONE, Person, Site, site
from playwright.sync_api import Browser, Route, expect
from servers import redis

from parts import require
from serving import servers

pytestmark = [pytest.mark.full, pytest.mark.ci]

ADMIN = "/admin"
LOOKS = [
    Look(width, scheme, scripts)
    for scripts in (True, False)
    for width in (1280, 360)
    for scheme in ("light", "dark")
]
PLACES = [("asgi", look) for look in LOOKS] + [("wsgi", LOOKS[0]), ("wsgi", LOOKS[-1])]
WIDE, NARROW = LOOKS[0], LOOKS[2]
NARROWEST = 320  # CSS pixels: WCAG 2.2, 1.4.10
SMALL = 24  # CSS pixels: WCAG 2.2, 2.5.8
THUMB = 40


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    for part in ("openssl", "chromium"):
        require(part)
    with servers(tmp_path_factory.mktemp("office")) as started, ExitStack() as stack:
        stores = {world: f"sqlite:///{started.folder}/{world}.db" for world in ("asgi", "wsgi")}
        stores["redis"] = redis(started)
        stores["wsgi-redis"] = f"{stores['redis'].removesuffix('/0')}/1"
        yield {
            name: stack.enter_context(
                site(
                    started,
                    "wsgi" if name.startswith("wsgi") else "asgi",
                    store,
                    app="office",
                    GATEHOUND_WEB__ADMIN_PATH=ADMIN,
                    GATEHOUND_DETECTION__MODE="flag",
                )
            )
            for name, store in stores.items()
        }


@pytest.fixture(scope="module")
def admins(sites: dict[str, Site]) -> dict[str, Person]:
    """Fill each site with people and with what happened to them; return an admin of each."""
    return {name: filled(one) for name, one in sites.items()}


def filled(place: Site) -> Person:
    place.three_sessions("ada", methods="password totp")
    place.suspicious("grace")
    place.sign_in("x" * 200, FIREFOX, FAR)
    place.sign_in("<b>bob</b>", IPHONE, ELSEWHERE)
    place.sign_in("dora", IPHONE, ELSEWHERE)
    place.guard.sync.disable_user("dora")
    for _ in range(3):
        place.guard.sync.terminate_user("<b>bob</b>")
        place.sign_in("<b>bob</b>", IPHONE, ELSEWHERE)
    return place.sign_in("robin", CHROME, HOME, roles="admin")


@pytest.fixture(scope="module")
def shared(browser: Browser) -> Iterator[Callable[[Look], Window]]:
    with windows(browser, ADMIN, agrees=True) as given:
        yield given


# --- scenes: each opens a page, and returns its status and title ---

Opened = tuple[int, str]
Scene = Callable[[Site, Window, str], Opened]


def overview(place: Site, mine: Window, user: str) -> Opened:
    status = mine.open("/").status
    assert mine.page.locator("svg rect").count() >= 2
    mine.page.evaluate("document.querySelector('details').open = true")
    assert mine.page.locator("details tbody tr").count() == 48
    return status, "Overview"


def sessions(place: Site, mine: Window, user: str) -> Opened:
    status = mine.open("/sessions").status
    assert mine.page.locator(".gh-badge-flagged").count() >= 2
    assert mine.page.get_by_text("You, here").count() == 1
    return status, "Sessions"


def one_user(place: Site, mine: Window, user: str) -> Opened:
    status = mine.open("/user?id=ada").status
    assert mine.page.locator(".gh-reasons li").count() >= 1
    return status, "Ada Lovelace"


def disabled(place: Site, mine: Window, user: str) -> Opened:
    status = mine.open("/user?id=dora").status
    assert mine.page.get_by_text("Disabled", exact=True).count() == 1
    return status, "dora"


def people(place: Site, mine: Window, user: str) -> Opened:
    return mine.open("/sessions?q=a").status, "Users"


def counted(place: Site, mine: Window, user: str) -> Opened:
    status = mine.open("/matching?network=203.0.113.0%2F24&country=GB").status
    assert "Nothing has ended yet" in mine.page.locator("main").inner_text()
    return status, "End all that match"


def half_way(place: Site, mine: Window, user: str) -> Opened:
    for _ in range(4):
        place.sign_in(user)
    mine.open(f"/matching?user={user}")
    status = mine.press("End them").status
    mine.page.keyboard.press("Shift")  # who touches a key stops it
    assert mine.page.locator("progress").count() == 1
    assert "2 sessions ended. There are more" in mine.page.get_by_role("status").inner_text()
    return status, "End all that match"


def done(place: Site, mine: Window, user: str) -> Opened:
    place.sign_in(user)
    mine.open(f"/matching?user={user}")
    status = mine.press("End them").status
    assert mine.page.get_by_role("status").inner_text() == "1 session ended. That is all."
    return status, "End all that match"


def everyone(place: Site, mine: Window, user: str) -> Opened:
    return mine.open("/matching").status, "End all sessions of the site"


def events(place: Site, mine: Window, user: str) -> Opened:
    status = mine.open("/events?network=203.0.113.0%2F24&within=86400").status
    assert mine.page.locator("tbody tr").count() >= 3
    return status, "Activity"


def health(place: Site, mine: Window, user: str) -> Opened:
    return mine.open("/health").status, "Health"


def address(place: Site, mine: Window, user: str) -> Opened:
    return mine.open("/address").status, "Address"


def wrong(place: Site, mine: Window, user: str) -> Opened:
    status = mine.open("/sessions?network=999.1.1.1&country=4").status
    assert mine.page.get_by_role("alert").count() == 2
    return status, "Sessions"


def nobody(place: Site, mine: Window, user: str) -> Opened:
    mine.page.context.clear_cookies()
    return mine.open("/").status, "Please sign in"


def somebody_else(place: Site, mine: Window, user: str) -> Opened:
    mine.become(place.sign_in(user))
    return mine.open("/events").status, "Not for you"


SCENES: dict[Scene, int] = {
    overview: 200,
    sessions: 200,
    one_user: 200,
    disabled: 200,
    people: 200,
    counted: 200,
    half_way: 200,
    done: 200,
    everyone: 200,
    events: 200,
    health: 200,
    address: 200,
    wrong: 400,
    nobody: 401,
    somebody_else: 403,
}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize(("world", "look"), PLACES, ids=lambda one: getattr(one, "name", one))
def test_page_is_whole(
    scene: Scene,
    world: str,
    look: Look,
    sites: dict[str, Site],
    admins: dict[str, Person],
    shared: Callable[[Look], Window],
) -> None:
    mine = shared(look)
    mine.begin(sites[world].base)
    mine.become(admins[world])
    status, title = scene(sites[world], mine, f"{scene.__name__}-{look.name}")
    assert (status, mine.page.title()) == (SCENES[scene], title)
    # Chromium reports the status of the page itself, and nothing else may be told.
    assert [text for text in mine.told if f"status of {status} " not in text] == []
    assert mine.structure() == []
    assert_keyboard_reaches_all(mine)
    if look.scripts:
        assert mine.violations() == []
    assert_nothing_is_cut_off(mine)


def assert_keyboard_reaches_all(mine: Window) -> None:
    """Tab goes through every control, in the order in which people read, and shows where it is."""
    mine.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    count = mine.control_count()
    stops = [mine.tab() for _ in range(count)]
    assert [stop["index"] for stop in stops] == list(range(count))
    assert [pair for pair in pairwise(stops) if not reads_on(*pair)] == []
    assert [stop for stop in stops if not stop["seen"]] == []


def reads_on(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Say whether a control is below another, or beside it on its right."""
    return bool(other["top"] >= one["bottom"] - 1 or other["left"] > one["left"])


def assert_nothing_is_cut_off(mine: Window) -> None:
    """Nothing is wider than the window, on a narrow one with long words neither."""
    assert mine.too_wide() == []
    is_narrow = mine.look.width == 360
    for button in mine.page.locator("button").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= (THUMB if is_narrow else SMALL)
    if is_narrow:
        mine.narrow(NARROWEST)
        mine.page.evaluate(
            """for (const one of document.querySelectorAll(
              "td, dd, h1, main li, main > p, figcaption"
            )) if (!one.querySelector("form, label, a")) one.textContent = "x".repeat(120)"""
        )
        assert mine.too_wide() == []


def test_german_words_have_room(
    sites: dict[str, Site], admins: dict[str, Person], browser: Browser
) -> None:
    with window(browser, sites["asgi"].base, NARROW, admins["asgi"], "de-DE") as mine:
        mine.path = ADMIN
        for page in ("/", "/sessions", "/user?id=ada", "/matching?user=ada", "/events", "/health"):
            assert mine.open(page).headers["content-language"] == "de"
            assert (mine.told, mine.violations(), mine.too_wide()) == ([], [], [])


# --- with scripts ---


@pytest.fixture
def desk(
    sites: dict[str, Site], admins: dict[str, Person], browser: Browser
) -> Iterator[Callable[[str], Window]]:
    """Open a window of an admin at one of the sites, whose timers go when they are told to."""
    with ExitStack() as stack:

        def opened(name: str) -> Window:
            place = sites[name]
            admin = place.sign_in("robin", CHROME, HOME, roles="admin")
            mine = stack.enter_context(window(browser, place.base, WIDE, admin))
            mine.path = ADMIN
            mine.page.clock.install()
            mine.page.on("dialog", lambda dialog: dialog.accept())
            return mine

        yield opened


@pytest.mark.parametrize("world", ["asgi", "wsgi"])
def test_log_is_followed_until_it_is_paused(
    world: str, sites: dict[str, Site], desk: Callable[[str], Window]
) -> None:
    mine = desk(world)
    mine.open("/events?name=session_created")
    link = mine.page.locator("tbody").get_by_text(f"tail-{world}", exact=True)
    follow = mine.page.get_by_role("button", name="Follow", exact=True)
    follow.click()
    sites[world].sign_in(f"tail-{world}")
    assert link.count() == 0
    mine.page.clock.run_for(3000)
    expect(link).to_have_count(1)  # and the page was not loaded anew:
    pause = mine.page.get_by_role("button", name="Pause", exact=True)
    assert pause.get_attribute("aria-pressed") == "true"
    pause.click()
    sites[world].sign_in(f"tail-{world}")
    mine.page.clock.run_for(9000)
    assert link.count() == 1
    follow.click()
    expect(link).to_have_count(2)
    assert mine.told == []


def test_log_stops_where_the_admin_is_signed_out(
    sites: dict[str, Site], desk: Callable[[str], Window]
) -> None:
    mine = desk("asgi")
    mine.open("/events")
    mine.page.get_by_role("button", name="Follow", exact=True).click()
    expect(mine.page.get_by_role("button", name="Pause", exact=True)).to_have_count(1)
    mine.page.context.clear_cookies()
    mine.page.clock.run_for(3000)
    expect(mine.page.get_by_role("button", name="Follow", exact=True)).to_have_count(1)
    assert mine.open("/events").status == 401


def test_ending_goes_on_by_itself(sites: dict[str, Site], desk: Callable[[str], Window]) -> None:
    place, mine = sites["asgi"], desk("asgi")
    thieves = [place.sign_in("many", address="192.0.2.4") for _ in range(5)]
    mine.open("/matching?user=many")
    mine.press("End them")
    for wanted in ("4 sessions ended. There are more", "5 sessions ended. That is all."):
        mine.page.clock.run_for(800)
        expect(mine.page.get_by_role("status")).to_contain_text(wanted)
    assert [place.visit(one).json()["ended"] for one in thieves] == ["admin"] * 5
    assert mine.told == []


@pytest.mark.parametrize("way", ["key", "link"])
def test_ending_is_stopped(way: str, sites: dict[str, Site], desk: Callable[[str], Window]) -> None:
    place, mine = sites["asgi"], desk("asgi")
    people = [place.sign_in(f"stopped-{way}", address="192.0.2.4") for _ in range(5)]
    mine.open(f"/matching?user=stopped-{way}")
    mine.press("End them")
    if way == "key":
        mine.page.keyboard.press("Escape")
        mine.page.clock.run_for(5000)
        assert "2 sessions ended. There are more" in mine.page.get_by_role("status").inner_text()
        assert mine.press("Go on").status == 200  # by hand, later
        mine.page.keyboard.press("Escape")
        wanted = 4
    else:
        mine.page.get_by_role("link", name="Stop here").click()
        mine.page.wait_for_url("**/sessions")
        mine.page.clock.run_for(5000)
        wanted = 2
    ended = [place.visit(one).json()["ended"] for one in people]
    assert ended.count("admin") == wanted


def test_figures_of_redis(sites: dict[str, Site], desk: Callable[[str], Window]) -> None:
    mine = desk("redis")
    logins = mine.page.locator("#gh-logins strong")
    mine.open("/")
    before = int(logins.inner_text())
    sites["redis"].sign_in("figures")
    sites["redis"].sign_in("figures")
    mine.open("/?range=31d")
    assert int(logins.inner_text()) == before + 2
    assert mine.open("/health").status == 200


def test_scan_goes_on_by_itself(sites: dict[str, Site], desk: Callable[[str], Window]) -> None:
    place, mine = sites["redis"], desk("redis")
    place.sign_in("needle", FIREFOX, "192.0.2.200")
    for number in range(7):
        place.sign_in(f"hay-{number}", FIREFOX, ELSEWHERE)
    mine.open("/sessions?network=192.0.2.200")
    needle = mine.page.locator("tbody").get_by_text("needle", exact=True)
    expect(needle).to_have_count(1)
    expect(mine.page.get_by_role("link", name="Look on")).to_have_count(0)
    expect(mine.page.get_by_role("status")).to_contain_text("1 session matches.")
    expect(mine.page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    assert mine.told == []


def test_scan_is_stopped(sites: dict[str, Site], desk: Callable[[str], Window]) -> None:
    place, mine = sites["redis"], desk("redis")
    for number in range(7):
        place.sign_in(f"hay-{number}", FIREFOX, ELSEWHERE)
    asked: list[str] = []

    def hold(route: Route) -> None:
        """Answer the second slice once somebody has stopped."""
        asked.append(route.request.url)
        mine.page.get_by_role("button", name="Stop", exact=True).click()
        route.continue_()

    mine.page.route("**/sessions?*cursor=*", hold)
    mine.open("/sessions?network=192.0.2.201")
    expect(mine.page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    expect(mine.page.get_by_role("status")).to_contain_text("Looked at 4 of")
    assert len(asked) == 1
    assert mine.page.get_by_role("link", name="Look on").count() == 1


# --- a story ---


@pytest.mark.parametrize("name", ["asgi", "wsgi", "redis", "wsgi-redis"])
def test_thief_is_found_by_address_and_ended(
    name: str, sites: dict[str, Site], desk: Callable[[str], Window], browser: Browser
) -> None:
    """Found, ended, told why; and the log says who did it."""
    place, mine = sites[name], desk(name)
    victim = place.sign_in("victim", CHROME, HOME)
    thief = Person(FIREFOX, "2001:db8:bad::7", place.sign_in("victim", CHROME, HOME).cookie)
    assert place.visit(thief).json()["user"] == "victim"
    mine.open("/events")
    mine.page.get_by_label("Address or network").fill("2001:db8:bad::/48")
    mine.press("Show")
    row = mine.page.locator("tbody tr").filter(has_text="session_flagged")
    expect(row).to_contain_text("2001:db8:bad::7")
    row.get_by_role("link", name="victim", exact=True).click()
    found = mine.page.locator("tr.gh-is-flagged")
    expect(found).to_contain_text("Operating system changed to Linux")
    found.get_by_role("button", name="End").click()
    expect(mine.page.get_by_role("status")).to_have_text("That session is over.")
    assert place.visit(thief).json()["ended"] == "admin"
    with window(browser, place.base, WIDE, thief) as theirs:
        assert theirs.open("/").status == 401
        assert "ended" in theirs.page.locator(".gh-told").inner_text()
    assert place.visit(victim).json()["user"] == "victim"
    mine.open("/events?name=admin_acted")
    first = mine.page.locator("tbody tr").first
    for text in ("robin", "ended a session", "user: victim", HOME):
        expect(first).to_contain_text(text)
    assert mine.told == []
