"""What both adapters add to a response, and when: cookies, caches, and answers of our own.

Everything here runs through ASGI and through WSGI (inside wsgiref.validate), from one table.
What one adapter alone has to let pass is in test_passthrough_asgi and test_passthrough_wsgi.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from gatehound import Settings, UsageError
from gatehound.asgi import GatehoundMiddleware as ASGIMiddleware
from gatehound.wayback import NOBODY, WayBack
from gatehound.wsgi import GatehoundMiddleware as WSGIMiddleware
from passthrough_kit import COOKIE, PLAIN, Boom, Headers, Outage, World, make_guard

WORLDS = ("asgi", "wsgi")
HTML = "text/html,application/xhtml+xml"


@pytest.fixture(params=WORLDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(name: str) -> World:
    return World(name, make_guard())


@pytest.fixture
def failing(name: str) -> tuple[World, Outage]:
    """A world whose store can be cut off."""
    store = Outage()
    return World(name, make_guard(store)), store


def with_store(name: str, **changes: Any) -> tuple[World, Outage]:
    store = Outage()
    return World(name, make_guard(store, **changes)), store


def lowered(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """ASGI writes names in lower case, WSGI as the app did."""
    return [(name.lower(), value) for name, value in headers]


# --- cookies ---


@pytest.mark.parametrize(
    ("verbs", "sets"),
    [
        ((), False),
        (("read",), False),
        (("login",), True),
        (("read", "rotate"), True),
        (("rotate",), True),
        (("reauthenticate",), True),
        (("logout",), True),
        (("sessions",), False),
        (("confirm",), False),
        (("terminate_others",), False),
        (("terminate_all",), True),
        (("fresh",), False),
    ],
)
def test_only_a_change_of_the_secret_sets_a_cookie(
    world: World, verbs: tuple[str, ...], sets: bool
) -> None:
    cookie = world.sign_in()
    answer = world.ask(*verbs, cookie=cookie, headers=(("Content-Type", "text/plain"),))
    if "fresh" in verbs:  # the sign-in may be a millisecond old: both answers are right
        assert answer.status in (200, 401)
    else:
        assert answer.status == 200
        assert answer.body == b"app"
    assert len(answer.set_cookies) == int(sets)


def test_the_cookie_of_a_login_is_fit_for_a_host_prefix(world: World) -> None:
    for written in world.ask("login").all("set-cookie"):
        attributes = {part.strip().lower() for part in written.split(";")[1:]}
        assert {"path=/", "secure", "httponly", "samesite=lax"} <= attributes
        assert not [a for a in attributes if a.startswith("domain")]


def test_a_logout_removes_the_cookie_and_ends_the_session(world: World) -> None:
    cookie = world.sign_in()
    answer = world.ask("logout", cookie=cookie)
    assert answer.cookie == ""
    assert "max-age=0" in answer.one("set-cookie").lower()
    assert world.living() == []


def test_cookies_of_the_app_stay_beside_ours(world: World) -> None:
    answer = world.ask("login", headers=(*PLAIN, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")))
    assert answer.all("set-cookie")[:2] == ["a=1", "b=2"]
    assert answer.all("set-cookie")[2].startswith(f"{COOKIE}=")


@pytest.mark.parametrize("verb", ["read", "rotate"])
def test_a_304_gets_no_header_of_ours(world: World, verb: str) -> None:
    cookie = world.sign_in()
    answer = world.ask(verb, cookie=cookie, status=304, headers=(("ETag", '"1"'),))
    assert (answer.status, answer.headers, answer.body) == (304, [("etag", '"1"')], b"") or (
        answer.headers == [("ETag", '"1"')]
    )


def test_head_is_dressed_like_get(world: World) -> None:
    cookie = world.sign_in()
    assert world.ask("read", cookie=cookie, method="HEAD").headers == (
        world.ask("read", cookie=cookie).headers
    )


# --- caches ---

CDN: Headers = (
    ("CDN-Cache-Control", "max-age=60"),
    ("Cloudflare-CDN-Cache-Control", "max-age=60"),
    ("Netlify-CDN-Cache-Control", "max-age=60"),
    ("Vercel-CDN-Cache-Control", "max-age=60"),
    ("Surrogate-Control", "max-age=60"),
    ("X-Accel-Expires", "60"),
)


@pytest.mark.parametrize("given", [(), CDN, (("Cache-Control", "public, max-age=9"),)])
def test_a_response_that_read_no_session_is_untouched(world: World, given: Headers) -> None:
    cookie = world.sign_in()
    answer = world.ask(cookie=cookie, headers=(*PLAIN, *given))
    assert lowered(answer.headers) == lowered((*PLAIN, *given))


@pytest.mark.parametrize(
    "given",
    [
        (),
        CDN,
        (("Cache-Control", "public, max-age=9"),),
        (("Cache-Control", "public"), ("Cache-Control", "max-age=9")),
        (("Expires", "Thu, 01 Jan 2099 00:00:00 GMT"), ("Pragma", "cache")),
    ],
)
def test_no_shared_cache_may_keep_a_set_cookie(world: World, given: Headers) -> None:
    answer = world.ask("login", headers=(*PLAIN, *given))
    assert answer.one("cache-control") == "private, no-store"
    assert answer.one("vary") == "Cookie"
    left = {key.lower() for key, _ in answer.headers}
    assert left == {"content-type", "cache-control", "set-cookie", "vary"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), ["private"]),
        ((("Cache-Control", "public, max-age=9"),), ["public, max-age=9"]),
        ((("cache-control", "no-store"),), ["no-store"]),
        ((("CDN-Cache-Control", "max-age=9"),), []),
    ],
)
def test_reading_says_private_where_the_app_says_nothing(
    world: World, given: Headers, expected: list[str]
) -> None:
    answer = world.ask("read", headers=(*PLAIN, *given))
    assert answer.all("cache-control") == expected
    assert answer.one("vary") == "Cookie"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["Accept"], ["Accept", "Cookie"]),
        (["cookie"], ["cookie"]),
        (["Accept, COOKIE"], ["Accept, COOKIE"]),
        (["*"], ["*"]),
        (["Accept", "Origin,Cookie"], ["Accept", "Origin,Cookie"]),
        (["X-Cookie"], ["X-Cookie", "Cookie"]),
    ],
)
@pytest.mark.parametrize("verb", ["read", "login"])
def test_vary_names_the_cookie_once(
    world: World, verb: str, given: list[str], expected: list[str]
) -> None:
    answer = world.ask(verb, headers=(*PLAIN, *(("Vary", value) for value in given)))
    assert answer.all("vary") == expected


# --- a login that the client never hears of ---


@pytest.mark.parametrize("status", [500, 503])
def test_a_login_before_an_error_response_leaves_no_session(world: World, status: int) -> None:
    answer = world.ask("login", status=status)
    assert (answer.status, answer.all("set-cookie"), world.living()) == (status, [], [])


@pytest.mark.parametrize("status", [200, 204, 302, 401, 404, 422])
def test_a_login_before_any_other_response_stays(world: World, status: int) -> None:
    headers = () if status == 204 else PLAIN
    answer = world.ask("login", status=status, headers=headers)
    assert answer.cookie
    assert len(world.living()) == 1


def test_a_login_before_an_exception_leaves_no_session(world: World) -> None:
    answer = world.ask("login", "boom")
    assert isinstance(answer.error, Boom)
    assert world.living() == []


def test_a_login_before_a_demand_for_a_fresher_one_leaves_no_session(world: World) -> None:
    answer = world.ask("login", "stale")
    assert (answer.status, answer.all("set-cookie"), world.living()) == (401, [], [])


def test_a_failed_login_does_not_end_the_session_of_another_browser(world: World) -> None:
    world.sign_in()
    kept = world.living()
    world.ask("login", "boom")
    assert world.living() == kept


@pytest.mark.parametrize("verb", ["rotate", "reauthenticate"])
def test_a_new_secret_reaches_the_browser_with_our_own_answers_too(world: World, verb: str) -> None:
    """The old secret is dead already: without the new one the user would be signed out."""
    cookie = world.sign_in()
    answer = world.ask(verb, "stale", cookie=cookie)
    assert answer.status == 401
    assert len(answer.all("set-cookie")) == 1
    assert world.ask("read", "sessions", cookie=answer.cookie).status == 200
    assert len(world.living()) == 1


def test_a_logout_reaches_the_browser_with_our_own_answers_too(world: World) -> None:
    cookie = world.sign_in()
    answer = world.ask("logout", "stale", cookie=cookie)
    assert (answer.status, answer.cookie) == (401, "")


# --- what the app lets through ---


def test_a_demand_for_a_fresh_login_is_a_401_for_programs(world: World) -> None:
    answer = world.ask("stale", cookie=world.sign_in())
    assert answer.status == 401
    assert answer.one("content-type") == "application/problem+json"
    assert answer.one("cache-control") == "private, no-store"
    assert json.loads(answer.body)["type"] == "urn:gatehound:fresh-login-required"


def test_a_demand_for_a_fresh_login_sends_people_to_the_page_for_it(name: str) -> None:
    world = World(name, make_guard(web={"step_up_url": "/again?x=1"}))
    way = WayBack(secret_keys=["s" * 40], namespace="default")
    for path, leads in (("//evil.example/a", "/"), ("/account/mail", "/account/mail")):
        answer = world.ask("stale", accept=HTML, path=path)
        page, _, value = answer.one("location").rpartition("&next=")
        assert (answer.status, page) == (303, "/again?x=1")
        assert way.open(value, NOBODY) == leads


def test_an_outage_is_a_503_for_who_reads_the_session(failing: tuple[World, Outage]) -> None:
    world, store = failing
    cookie = world.sign_in()
    store.down = True
    answer = world.ask("read", cookie=cookie)
    assert answer.status == 503
    assert answer.one("retry-after") == "5"
    assert answer.one("cache-control") == "private, no-store"
    assert answer.all("set-cookie") == []
    page = world.ask("read", cookie=cookie, accept=HTML)
    assert page.one("content-type") == "text/html; charset=utf-8"
    store.down = False
    assert world.ask("read", "rotate", cookie=cookie).status == 200


def test_an_outage_is_nothing_for_who_does_not_read_the_session(
    failing: tuple[World, Outage],
) -> None:
    world, store = failing
    cookie = world.sign_in()
    store.down = True
    assert world.ask(cookie=cookie).headers == world.ask().headers
    assert world.ask(cookie=cookie).status == 200


@pytest.mark.parametrize("cookie", ["", "made-up", "A" * 80 + "." + "A" * 43])
def test_an_outage_denies_nobody_who_has_no_cookie_of_ours(name: str, cookie: str) -> None:
    """Also where the store was down since the start, so that it was never prepared."""
    world, store = with_store(name, check_store_at_start=False)
    store.down = True
    assert world.ask("read", cookie=cookie).status == 200


def test_an_outage_with_policy_anonymous_shows_nobody(name: str) -> None:
    world, store = with_store(name, outage={"policy": "anonymous"})
    cookie = world.sign_in()
    store.down = True
    answer = world.ask("read", cookie=cookie)
    assert (answer.status, answer.all("set-cookie")) == (200, [])


@pytest.mark.parametrize("verb", ["login", "logout", "rotate", "reauthenticate", "terminate_all"])
def test_an_outage_during_a_change_is_a_503_too(failing: tuple[World, Outage], verb: str) -> None:
    """No cookie is cleared by it: the session lives on, and a thief's copy would too."""
    world, store = failing
    cookie = world.sign_in()
    store.down = True
    answer = world.ask(verb, cookie=cookie)
    assert (answer.status, answer.all("set-cookie")) == (503, [])
    assert answer.one("retry-after") == "5"


@pytest.mark.parametrize("verb", ["sessions", "rotate", "logout", "terminate_others", "login"])
def test_an_outage_that_begins_inside_the_request_is_a_503_too(
    failing: tuple[World, Outage], verb: str
) -> None:
    world, store = failing
    cookie = world.sign_in()
    answer = world.ask("read", store.cut, verb, cookie=cookie)
    assert (answer.status, answer.all("set-cookie")) == (503, [])


# --- the middleware itself ---


def test_a_second_middleware_inside_reuses_the_visit(world: World) -> None:
    answer = world.ask("login", wraps=2)
    assert len(answer.set_cookies) == 1
    assert answer.all("vary") == ["Cookie"]
    assert len(world.living()) == 1
    assert world.ask("rotate", cookie=answer.cookie, wraps=3).cookie != answer.cookie


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]", 200),
        ("[::1]:8000", 200),
        ("example.com", 403),
        ("localhost.example.com", 403),
        ("example.com:8000", 403),
        ("localhost:80:example.com", 403),
        ("127.0.0.1.example.com:80", 403),
        ("192.0.2.1", 403),
        ("[2001:db8::1]:80", 403),
    ],
)
def test_development_mode_answers_on_loopback_hosts_only(
    name: str, host: str, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    guard = make_guard(development=True, cookie={"name": COOKIE})
    world = World(name, guard)
    answer = world.ask("read", host=host, peer="127.0.0.1")
    assert answer.status == status
    assert (answer.body == b"app") is (status == 200)
    assert world.ask("read", host=host, peer="192.0.2.1").status == 403


@pytest.mark.parametrize("middleware", [ASGIMiddleware, WSGIMiddleware])
def test_a_guard_and_settings_together_are_refused(middleware: Any) -> None:
    with pytest.raises(UsageError, match="not both"):
        middleware(lambda *args: None, make_guard(), settings={})


@pytest.mark.parametrize("middleware", [ASGIMiddleware, WSGIMiddleware])
def test_settings_may_come_from_a_dict_or_the_environment(
    middleware: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"secret_keys": ["s" * 40], "identity_key": "i" * 40, "store": "memory://"}
    assert middleware(None, settings=keys).guard.settings.store == "memory://"
    typed = Settings.from_dict(keys)
    assert middleware(None, settings=typed).guard.settings == typed
    monkeypatch.setenv("GATEHOUND_SECRET_KEYS", "e" * 40)
    monkeypatch.setenv("GATEHOUND_IDENTITY_KEY", "i" * 40)
    monkeypatch.setenv("GATEHOUND_STORE", "memory://")
    assert middleware(None).guard.settings.secret_keys == ("e" * 40,)
