"""The pages of a user in Chromium, at two widths, light and dark, with scripts and without.

All looks go through the ASGI server, and two of them through the WSGI one: the HTML is the same.
Not looked for here: what a screen reader makes of it, and other engines than Chromium's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from look_kit import Look, Window, window, windows
from pages_kit import CHROME, FAR, HOME, PATH, Person, Site, site
from playwright.sync_api import Browser, Dialog

from parts import require
from serving import servers

pytestmark = [pytest.mark.full, pytest.mark.ci]

LOOKS = [
    Look(width, scheme, scripts)
    for scripts in (True, False)
    for width in (1280, 360)
    for scheme in ("light", "dark")
]
PLACES = [("asgi", look) for look in LOOKS] + [("wsgi", LOOKS[0]), ("wsgi", LOOKS[-1])]
NARROWEST = 320  # CSS pixels: WCAG 2.2, 1.4.10


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    for part in ("openssl", "chromium"):
        require(part)
    with servers(tmp_path_factory.mktemp("pages")) as started, ExitStack() as stack:
        yield {
            world: stack.enter_context(
                site(started, world, f"sqlite:///{started.folder}/{world}.db")
            )
            for world in ("asgi", "wsgi")
        }


@pytest.fixture(scope="module")
def shared(browser: Browser) -> Iterator[Callable[[Look], Window]]:
    with windows(browser) as given:
        yield given


Opened = tuple[int, str]  # the status of what a window shows, and its title


def sessions(site: Site, mine: Window, user: str) -> Opened:
    mine.become(site.three_sessions(user, methods="password totp"))
    status = mine.open("/").status
    assert mine.page.locator(".gh-session").count() == 3
    assert mine.page.locator(".gh-badge-flagged").all_inner_texts() == ["Suspicious"]
    assert mine.page.locator(".gh-reasons li").count() > 1
    return status, "My sessions"


def flagged(site: Site, mine: Window, user: str) -> Opened:
    mine.become(site.suspicious(user))
    status = mine.open("/").status
    assert mine.page.get_by_role("button", name="This was me").count() == 1
    return status, "My sessions"


def ended(site: Site, mine: Window, user: str) -> Opened:
    mine.become(site.sign_in(user))
    site.guard.sync.terminate_user(user, "suspicious")
    status = mine.open("/ended").status
    assert "as if somebody else was using it" in mine.page.locator(".gh-told").inner_text()
    return status, "You are signed out"


def notice(site: Site, mine: Window, user: str) -> Opened:
    site.sign_in(user, address=FAR)
    [session] = site.guard.sync.sessions_of(user)
    return mine.open(site.guard.notice_path(session).removeprefix(PATH)).status, "Was this you?"


def noticed(site: Site, mine: Window, user: str) -> Opened:
    notice(site, mine, user)
    return mine.press("Sign only this one out").status, "Signed out"


def noticed_late(site: Site, mine: Window, user: str) -> Opened:
    site.sign_in(user, address=FAR)
    [session] = site.guard.sync.sessions_of(user)
    site.guard.sync.terminate_user(user)
    status = mine.open(site.guard.notice_path(session).removeprefix(PATH)).status
    assert "over already" in mine.page.locator(".gh-told").inner_text()
    return status, "Was this you?"


def address(site: Site, mine: Window, user: str) -> Opened:
    mine.become(site.sign_in(user, roles="admin"))
    status = mine.open("/address").status
    assert mine.page.locator(".gh-trace li").count() > 2
    return status, "My address"


def refused(site: Site, mine: Window, user: str) -> Opened:
    mine.become(site.sign_in(user))
    mine.open("/")
    mine.become(site.sign_in(user))
    mine.page.once("dialog", lambda dialog: dialog.accept())
    return mine.press("Sign out").status, "Nothing was done"


def signed_out(site: Site, mine: Window, user: str) -> Opened:
    return mine.open("/").status, "Please sign in"


SCENES: dict[Callable[[Site, Window, str], Opened], int] = {
    sessions: 200,
    flagged: 200,
    ended: 200,
    notice: 200,
    noticed: 200,
    noticed_late: 200,
    address: 200,
    refused: 403,
    signed_out: 401,
}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize(("world", "look"), PLACES, ids=lambda one: getattr(one, "name", one))
def test_page_is_whole(
    scene: Callable[[Site, Window, str], Opened],
    world: str,
    look: Look,
    sites: dict[str, Site],
    shared: Callable[[Look], Window],
) -> None:
    mine = shared(look)
    mine.begin(sites[world].base)
    status, title = scene(sites[world], mine, f"{scene.__name__}-{look.name}")
    assert (status, mine.page.title()) == (SCENES[scene], title)
    # Chromium reports the status of the page itself, and nothing else may be told.
    assert [text for text in mine.told if f"status of {status} " not in text] == []
    assert mine.structure() == []
    assert is_dark(mine) == (look.scheme == "dark")
    assert_keyboard_reaches_all(mine)
    if look.scripts:
        assert mine.violations() == []
    assert_nothing_is_cut_off(mine, look)


def is_dark(mine: Window) -> bool:
    colour = mine.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return int(colour.partition("(")[2].partition(",")[0]) < 128


def assert_keyboard_reaches_all(mine: Window) -> None:
    """Tab goes through every control, in the order in which people read, and shows where it is."""
    count = mine.control_count()
    stops = [mine.tab() for _ in range(count)]
    assert [stop["index"] for stop in stops] == list(range(count))
    places = [(round(stop["top"]), stop["left"]) for stop in stops]
    assert places == sorted(places)
    assert [stop for stop in stops if not stop["seen"]] == []


def assert_nothing_is_cut_off(mine: Window, look: Look) -> None:
    """Nothing is wider than the window, on a narrow one with long names neither."""
    assert mine.too_wide() == []
    if look.width > NARROWEST * 2:
        return
    for button in mine.page.locator("button").all():
        box = button.bounding_box()
        assert box is not None
        assert (box["height"] >= 40, box["width"] >= 240) == (True, True)  # a thumb's size
    mine.narrow(NARROWEST)
    mine.page.evaluate(
        "for (const one of document.querySelectorAll("
        "'.gh-device strong, .gh-facts span, .gh-reasons li, .gh-address strong, .gh-trace li'"
        ")) one.textContent = 'x'.repeat(120)"
    )
    assert mine.too_wide() == []


def test_german_words_have_room(sites: dict[str, Site], browser: Browser) -> None:
    site = sites["asgi"]
    with window(browser, site.base, LOOKS[2], language="de-DE") as mine:
        for person in (site.three_sessions("german"), site.suspicious("deutsch")):
            mine.become(person)
            mine.open("/")
            assert mine.page.title() == "Meine Sitzungen"
            assert (mine.told, mine.violations()) == ([], [])
            assert_nothing_is_cut_off(mine, LOOKS[2])


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
@pytest.mark.parametrize("world", ["asgi", "wsgi"])
def test_session_is_ended_with_the_keyboard(
    world: str, scripts: bool, sites: dict[str, Site], browser: Browser
) -> None:
    site = sites[world]
    user = f"keys-{scripts}"
    other = site.sign_in(user, address="192.0.2.4")
    with window(browser, site.base, Look(360, "light", scripts), site.sign_in(user)) as mine:
        asked: list[str] = []
        mine.page.on("dialog", lambda dialog: answer(dialog, asked, yes=True))
        mine.open("/")
        mine.tab_to("Sign this one out")
        with mine.page.expect_navigation(url="**/?gh-done=ended"):
            mine.page.keyboard.press("Enter")
        assert mine.page.get_by_role("status").inner_text() == "That device is signed out."
        assert mine.page.locator(".gh-session").count() == 1
        assert asked == (["Sign out Chrome on Windows?"] if scripts else [])
        assert mine.told == []
    assert site.visit(other).json() == {"user": None, "ip": "192.0.2.4", "ended": "user"}


def answer(dialog: Dialog, asked: list[str], *, yes: bool) -> None:
    asked.append(dialog.message)
    if yes:
        dialog.accept()
    else:
        dialog.dismiss()


def test_who_thinks_again_ends_nothing(sites: dict[str, Site], browser: Browser) -> None:
    site = sites["asgi"]
    other, me = site.sign_in("unsure", address="192.0.2.4"), site.sign_in("unsure")
    with window(browser, site.base, LOOKS[0], me) as mine:
        mine.open("/")
        asked: list[str] = []
        mine.page.on("dialog", lambda dialog: answer(dialog, asked, yes=False))
        for text in ("Sign this one out", "Sign out all other devices", "Sign out"):
            mine.page.get_by_role("button", name=text, exact=True).click()
        assert len(asked) == 3
        mine.open("/")
        assert mine.page.locator(".gh-session").count() == 2
    assert site.visit(other).json()["user"] == "unsure"


def test_this_was_me_takes_the_mark_away(sites: dict[str, Site], browser: Browser) -> None:
    site = sites["asgi"]
    thief = site.suspicious("marked")
    with window(browser, site.base, LOOKS[0], thief) as mine:
        mine.open("/")
        assert mine.press("This was me").status == 401  # from a place that is not known
    owner = Person(CHROME, HOME, thief.cookie)
    with window(browser, site.base, LOOKS[0], owner) as mine:
        mine.open("/")
        assert mine.press("This was me").status == 200
        assert "no longer marked" in mine.page.get_by_role("status").inner_text()
        assert mine.page.locator(".gh-badge-flagged").count() == 0


def test_a_page_that_is_not_whole_is_seen(sites: dict[str, Site], browser: Browser) -> None:
    with window(browser, sites["asgi"].base, LOOKS[2]) as mine:
        mine.open("/address")
        assert (mine.told, mine.structure(), mine.too_wide(), mine.violations()) == ([], [], [], [])
        mine.page.evaluate(
            """document.querySelector("main").insertAdjacentHTML("beforeend", `
              <h5 style="width: 900px">x</h5><p class="gh-soft">faint</p><img src="//a.example/x">
              <button id="b"></button><button id="b">x</button>`)"""
        )
        mine.page.locator("main p").last.evaluate(
            "(one) => one.style.setProperty('color', '#eeeeee')"
        )
        assert {text.partition(" ")[0] for text in mine.told} == {"Applying", "Loading"}
        assert len(mine.structure()) == 4
        names = {name for name, _ in mine.violations()}
        assert {"violations: color-contrast", "violations: image-alt"} <= names
        mine.page.locator("h5").evaluate("(one) => one.style.setProperty('width', '900px')")
        assert mine.too_wide()
