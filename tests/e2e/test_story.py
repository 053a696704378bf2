"""The whole thing with real parts: nginx, uvicorn and gunicorn, Redis, and Chromium.

The same story runs through the ASGI and the WSGI upstream, which share one store; what one
of them made is valid at the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from front import ELSEWHERE, HOME, TRUST, Front, nginx
from playwright.sync_api import Browser, Page, sync_playwright
from servers import KEYS, gunicorn, redis, uvicorn

from gatehound import EndReason, Guard
from gatehound._sync import run_sync
from parts import CHROMIUM_OPTIONS, require
from passthrough_kit import World, make_guard
from serving import servers

pytestmark = pytest.mark.slow

COOKIE = "__Host-gatehound"
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36"
)
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"


@dataclass(frozen=True)
class Place:
    """What is running: both upstreams behind nginx, and a guard that reads their store."""

    fronts: dict[str, Front]
    guard: Guard


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    for part in ("nginx", "redis-server", "openssl", "chromium"):
        require(part)
    with servers(tmp_path_factory.mktemp("e2e")) as started:
        environ = {**KEYS, **TRUST, "GATEHOUND_STORE": redis(started)}
        upstreams = {
            "asgi": uvicorn(started, "shop:asgi", environ),
            "wsgi": gunicorn(started, "shop:wsgi", environ, workers=2, threads=4),
        }
        guard = Guard(
            {
                "secret_keys": [KEYS["GATEHOUND_SECRET_KEYS"]],
                "identity_key": KEYS["GATEHOUND_IDENTITY_KEY"],
                "store": environ["GATEHOUND_STORE"],
            },
            sinks=(),
        )
        yield Place(nginx(started, upstreams), guard)
        run_sync(guard.blocking().store.close())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require("chromium"), args=CHROMIUM_OPTIONS
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[[str], Page]]:
    """Open a page in a browser of its own: other cookies, another User-Agent."""
    contexts = []

    def opened(agent: str) -> Page:
        contexts.append(chromium.new_context(user_agent=agent, ignore_https_errors=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(params=["asgi", "wsgi"])
def upstream(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def front(place: Place, upstream: str) -> Front:
    return place.fronts[upstream]


def sign_in(page: Page, base: str, user: str) -> None:
    page.goto(f"{base}/")
    page.fill("input[name=user]", user)
    page.click("#enter")
    page.wait_for_selector("#user")


def listed(page: Page) -> set[tuple[str, str, str]]:
    """What the page says of each session: is it this one, address, device."""
    return {
        (
            row.get_attribute("data-current") or "",
            row.locator(".ip").inner_text(),
            row.locator(".device").inner_text(),
        )
        for row in page.locator("tr").all()
    }


def ask(base: str, cookie: str = "", forwarded: str = "") -> dict[str, str | None]:
    """Ask who one is, as a program that may say anything."""
    headers = {"User-Agent": WINDOWS}
    if cookie:
        headers["Cookie"] = f"{COOKIE}={cookie}"
    if forwarded:
        headers["X-Forwarded-For"] = forwarded
    answer = httpx.get(f"{base}/me", headers=headers, verify=False, timeout=15)  # noqa: S501 - the certificate is our own, made a second ago
    assert answer.status_code == 200
    found: dict[str, str | None] = answer.json()
    return found


def enter(base: str, user: str, agent: str = LINUX) -> str:
    """Sign in as a program; return the cookie's value."""
    answer = httpx.post(
        f"{base}/login",
        data={"user": user},
        headers={"User-Agent": agent},
        verify=False,  # noqa: S501 - the certificate is our own, made a second ago
        timeout=15,
    )
    assert answer.status_code == 303
    return str(answer.headers["set-cookie"]).partition(";")[0].partition("=")[2]


def test_a_user_sees_both_sessions_and_ends_the_other(
    place: Place, upstream: str, front: Front, open_page: Callable[[str], Page]
) -> None:
    user = f"ann-{upstream}"
    mine, other = open_page(WINDOWS), open_page(LINUX)
    sign_in(mine, front.home, user)
    sign_in(other, front.elsewhere, user)
    assert other.locator("#ip").inner_text() == ELSEWHERE

    mine.goto(f"{front.home}/")
    assert mine.locator("#user").inner_text() == user
    assert listed(mine) == {
        ("1", HOME, "Chrome on Windows"),
        ("0", ELSEWHERE, "Firefox on Linux"),
    }
    mine.locator("tr[data-current='0'] button").click()
    mine.wait_for_selector("tr[data-current='0']", state="detached")
    assert listed(mine) == {("1", HOME, "Chrome on Windows")}

    other.goto(f"{front.elsewhere}/")
    assert other.locator("#user").count() == 0
    assert other.locator("#ended").inner_text() == EndReason.USER.text
    mine.goto(f"{front.home}/")
    assert mine.locator("#user").inner_text() == user

    events = place.guard.sync.events(user_id=user).events
    told = [(event.name, event.reason, event.address) for event in events]
    assert ("session_terminated", "user", HOME) in told
    created = [address for name, _, address in told if name == "session_created"]
    assert created == [ELSEWHERE, HOME]  # newest first


def test_the_cookie_is_what_its_prefix_promises_and_goes_with_a_sign_out(
    front: Front, upstream: str, open_page: Callable[[str], Page]
) -> None:
    page = open_page(WINDOWS)
    sign_in(page, front.home, f"jar-{upstream}")
    (kept,) = [c for c in page.context.cookies() if c.get("name") == COOKIE]
    assert kept.get("secure")
    assert kept.get("httpOnly")
    assert (kept.get("sameSite"), kept.get("path"), kept.get("expires")) == ("Lax", "/", -1)
    assert page.evaluate("document.cookie") == ""
    page.click("#leave")
    page.wait_for_selector("#enter")
    assert [c for c in page.context.cookies() if c.get("name") == COOKIE] == []
    value = kept.get("value", "")
    assert ask(front.home, value) == {"user": None, "ip": HOME, "ended": "logout"}


def test_the_sixth_sign_in_ends_the_oldest_session(
    place: Place, front: Front, upstream: str, open_page: Callable[[str], Page]
) -> None:
    user = f"six-{upstream}"
    first = open_page(WINDOWS)
    sign_in(first, front.home, user)
    oldest = place.guard.sync.sessions_of(user)[0].public_id
    # Browsers of their own: those of one network and browser would make room for each other.
    later = [enter(front.elsewhere, user, f"{LINUX} {number}") for number in range(4)]
    first.reload()
    assert first.locator("#user").inner_text() == user
    assert first.locator("tr").count() == 5

    later.append(enter(front.elsewhere, user, f"{LINUX} 4"))
    first.reload()
    assert first.locator("#user").count() == 0
    assert first.locator("#ended").inner_text() == EndReason.LIMIT.text
    assert [ask(front.home, cookie)["user"] for cookie in later] == [user] * 5
    events = place.guard.sync.events(user_id=user, names={"session_terminated_limit"}).events
    assert [event.public_id for event in events] == [oldest]


def test_a_robot_that_signs_in_again_and_again_ends_its_own(
    place: Place, front: Front, upstream: str, open_page: Callable[[str], Page]
) -> None:
    user = f"robot-{upstream}"
    person = open_page(WINDOWS)
    sign_in(person, front.home, user)
    for _ in range(8):
        enter(front.elsewhere, user, "backup-script/1.0")
    person.reload()
    assert person.locator("#user").inner_text() == user
    assert person.locator("tr").count() == 5


def test_a_session_made_at_one_upstream_is_valid_at_the_other(
    place: Place, open_page: Callable[[str], Page]
) -> None:
    asgi, wsgi = place.fronts["asgi"], place.fronts["wsgi"]
    page = open_page(WINDOWS)
    for here, there in ((asgi, wsgi), (wsgi, asgi)):
        sign_in(page, here.home, "both")
        page.goto(f"{there.home}/")
        assert page.locator("#user").inner_text() == "both"
        page.click("#leave")
        page.wait_for_selector("#enter")
        page.goto(f"{here.home}/")
        assert page.locator("#user").count() == 0


def test_forged_and_foreign_cookies_change_nothing(
    place: Place, front: Front, upstream: str
) -> None:
    user = f"forged-{upstream}"
    cookie = enter(front.home, user)
    before = [session.public_id for session in place.guard.sync.sessions_of(user)]
    nobody = {"user": None, "ip": HOME, "ended": None}
    for position in (0, 5, 40, len(cookie) - 2):
        turned = "B" if cookie[position] == "A" else "A"
        assert ask(front.home, cookie[:position] + turned + cookie[position + 1 :]) == nobody
    assert ask(front.home, foreign_cookie(place.guard)) == nobody
    assert ask(front.home, cookie)["user"] == user
    assert [s.public_id for s in place.guard.sync.sessions_of(user)] == before


def foreign_cookie(guard: Guard) -> str:
    """Sign in at a site with the same secrets and store, and another namespace."""
    settings = guard.settings
    other = make_guard(
        secret_keys=list(settings.secret_keys),
        identity_key=settings.identity_key,
        store=settings.store,
        namespace="elsewhere",
    )
    cookie = World("wsgi", other).sign_in()
    run_sync(other.blocking().store.close())
    return cookie


def test_an_address_that_the_client_made_up_is_not_believed(front: Front, upstream: str) -> None:
    cookie = enter(front.home, f"ip-{upstream}")
    assert ask(front.home, cookie, "192.0.2.66")["ip"] == HOME
    assert ask(front.home, cookie, f"{ELSEWHERE}, 127.0.0.3")["ip"] == HOME
    past_nginx = ask(front.direct, cookie, HOME)
    assert past_nginx["ip"] == "127.0.0.1"
