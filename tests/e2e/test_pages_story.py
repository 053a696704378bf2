"""Somebody leaves a session open in a library, and ends it from home through the pages.

Two browsers behind nginx, so that each has an address of its own; the servers are uvicorn and
gunicorn, the stores SQLite, Redis and a Redis Cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from front import ELSEWHERE, HOME, TRUST, Front, nginx
from pages_kit import CHROME, FIREFOX
from playwright.sync_api import Browser, Page, Response
from servers import KEYS, gunicorn, redis, uvicorn

import zoo
from gatehound import EndReason
from parts import require
from serving import Servers, servers

pytestmark = [pytest.mark.full, pytest.mark.ci]


@pytest.fixture(scope="module", params=["sqlite", "redis", "cluster"])
def fronts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Front]]:
    """Start both upstreams over one kind of store, behind nginx."""
    for part in ("nginx", "openssl", "chromium"):
        require(part)
    folder = tmp_path_factory.mktemp(request.param)
    with servers(folder) as started:
        if request.param == "cluster":
            with zoo.cluster(folder) as cluster:
                yield serve(started, cluster.url)
        else:
            yield serve(
                started, redis(started) if request.param == "redis" else f"sqlite:///{folder}/s.db"
            )


def serve(started: Servers, store: str) -> dict[str, Front]:
    environ = {
        **KEYS,
        **TRUST,
        "GATEHOUND_STORE": store,
        "GATEHOUND_WEB__PATH": "/sessions",
        "GATEHOUND_WEB__SIGN_IN_URL": "/",
    }
    upstreams = {
        "asgi": uvicorn(started, "shop:asgi", environ),
        "wsgi": gunicorn(started, "shop:wsgi", environ, workers=2, threads=4),
    }
    return nginx(started, upstreams)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Open a page in a browser of its own, which says yes to every question."""
    contexts = []

    def opened(agent: str) -> Page:
        contexts.append(
            browser.new_context(user_agent=agent, ignore_https_errors=True, locale="en-GB")
        )
        contexts[-1].set_default_timeout(15_000)
        contexts[-1].on("dialog", lambda dialog: dialog.accept())
        return contexts[-1].new_page()

    yield opened
    for context in contexts:
        context.close()


def sign_in(page: Page, base: str, user: str) -> None:
    """Sign in; a store that has just started may answer the first one too late (503)."""
    for _ in range(4):
        page.goto(f"{base}/")
        page.fill("input[name=user]", user)
        answer = press(page, "Sign in")
        if answer.status == 200:
            break
        assert answer.status == 503, page.content()
    assert page.locator("#user").inner_text() == user


def press(page: Page, name: str, role: str = "button") -> Response:
    """Click on what has a name, and wait for what it leads to."""
    with page.expect_navigation() as found:
        page.get_by_role("link" if role == "link" else "button", name=name, exact=True).click()
    return found.value


def assert_signed_out(page: Page, response: Response) -> None:
    assert response.status == 401
    assert page.title() in ("You are signed out", "Please sign in")  # with a reason, or without
    assert page.locator(".gh-session").count() == 0


@pytest.mark.parametrize("world", ["asgi", "wsgi"])
def test_session_left_open_in_the_library_is_ended_from_home(
    world: str, fronts: dict[str, Front], open_page: Callable[[str], Page]
) -> None:
    front, user = fronts[world], f"ann-{world}"
    library, home = open_page(FIREFOX), open_page(CHROME)
    sign_in(library, front.elsewhere, user)
    sign_in(home, front.home, user)
    shop, list_page = library, library.context.new_page()  # what the next person there finds
    shop.goto(f"{front.elsewhere}/")
    list_page.goto(f"{front.elsewhere}/sessions/")
    reading = library.context.new_page()
    reading.goto(f"{front.elsewhere}/sessions/address")

    home.goto(f"{front.home}/sessions/")
    [mine, left_open] = home.locator(".gh-session").all_inner_texts()
    assert [text in mine for text in ("This device", "Chrome on Windows", HOME)] == [True] * 3
    assert [text in left_open for text in ("Firefox on Linux", ELSEWHERE)] == [True] * 2
    assert press(home, "Sign this one out").status == 200
    assert home.get_by_role("status").inner_text() == "That device is signed out."

    # The next click there says that it is over, and why.
    assert_signed_out(reading, press(reading, "My sessions", "link"))
    assert EndReason.USER.text in reading.locator(".gh-told").inner_text()
    # What was open before does nothing any more, and going back shows nothing.
    assert_signed_out(list_page, press(list_page, "Sign out all other devices"))
    shop.locator("tr[data-current='0'] button").click()
    assert shop.get_by_text("refused").count() == 1
    back = list_page.go_back()
    assert back is not None
    assert_signed_out(list_page, back)

    home.reload()
    assert home.locator(".gh-session").count() == 1
    assert home.get_by_text("You are signed in here and nowhere else.").count() == 1
