"""The same story through each framework: sign in, read, write, sign out, and what goes wrong.

Frameworks turn exceptions into a 500 of their own; ours have to come out as what they mean.
"""

from __future__ import annotations

import pytest
from framework_site import ON_A_LOOP, SITES, Site, cookie_of, make_site

from gatehound.wayback import NOBODY, WayBack


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> Site:
    return make_site(request.param)


@pytest.fixture(params=SITES)
def site_with_a_page(request: pytest.FixtureRequest) -> Site:
    """A site that has a page for signing in again."""
    return make_site(request.param, web={"step_up_url": "/again"})


@pytest.fixture(params=ON_A_LOOP)
def site_on_a_loop(request: pytest.FixtureRequest) -> Site:
    """A site whose endpoints run on the event loop's own thread."""
    return make_site(request.param)


@pytest.mark.slow  # the first one of a framework pays for its lazy imports
def test_a_user_signs_in_reads_and_signs_out(site: Site) -> None:
    assert site.ask("GET", "me").json() == {"user": None, "id": None, "ended": None}
    signed_in = site.ask("POST", "login")
    assert signed_in.status_code == 200
    assert signed_in.headers["cache-control"] == "private, no-store"
    cookie, public_id = cookie_of(signed_in), signed_in.json()["id"]
    me = site.ask("GET", "me", cookie)
    assert me.json() == {"user": "ann", "id": public_id, "ended": None}
    assert "set-cookie" not in me.headers
    assert "Cookie" in me.headers["vary"]
    assert site.living() == [public_id]
    signed_out = site.ask("POST", "logout", cookie)
    assert signed_out.json() == {"done": True}
    assert cookie_of(signed_out).endswith("=")
    assert site.living() == []
    assert site.ask("GET", "me", cookie).json() == {"user": None, "id": None, "ended": "logout"}


def test_the_client_address_is_there_and_marks_nothing(site: Site) -> None:
    answer = site.ask("GET", "public", site.sign_in())
    assert answer.json() == {"ip": "192.0.2.7"}
    assert "vary" not in answer.headers
    assert "cache-control" not in answer.headers


def test_app_data_lives_with_the_session(site: Site) -> None:
    cookie = site.sign_in()
    assert site.ask("POST", "count", cookie).json() == {"n": 1, "all": {"n": 1}}
    assert site.ask("POST", "count", cookie).json() == {"n": 2, "all": {"n": 2}}
    assert site.ask("POST", "count", site.sign_in()).json()["n"] == 1
    assert site.ask("POST", "forget", cookie).json() == {"done": True, "n": "gone"}


def test_a_demand_for_a_fresh_login_is_a_401(site: Site) -> None:
    answer = site.ask("GET", "fresh")
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:gatehound:fresh-login-required"
    assert answer.headers["cache-control"] == "private, no-store"
    assert site.ask("GET", "fresh", site.sign_in()).status_code == 200


def test_a_demand_for_a_fresh_login_redirects_people(site_with_a_page: Site) -> None:
    site = site_with_a_page
    site.headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    answer = site.ask("GET", "fresh")
    assert answer.status_code == 303
    page, _, value = answer.headers["location"].partition("?next=")
    way = WayBack(secret_keys=site.guard.settings.secret_keys, namespace="default")
    assert (page, way.open(value, NOBODY)) == ("/again", f"{site.prefix}fresh")


def test_an_outage_is_a_503_that_says_when_to_come_back(site: Site) -> None:
    cookie = site.sign_in()
    site.store.down = True
    answer = site.ask("GET", "me", cookie)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["type"] == "urn:gatehound:session-store-down"
    assert "set-cookie" not in answer.headers
    assert site.ask("GET", "public", cookie).status_code == 200
    site.store.down = False
    assert site.ask("GET", "me", cookie).json()["user"] == "ann"


def test_an_outage_during_a_login_is_a_503(site: Site) -> None:
    site.store.down = True
    answer = site.ask("POST", "login")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    ("deed", "status"), [("login-raise", 500), ("login-500", 500), ("login-stale", 401)]
)
def test_a_login_that_ends_in_an_error_leaves_no_session(
    site: Site, deed: str, status: int
) -> None:
    answer = site.ask("POST", deed)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    assert site.living() == []


def test_a_made_up_cookie_is_nobody(site: Site) -> None:
    cookie = site.sign_in()
    name, _, value = cookie.partition("=")
    turned = "B" if value[20] == "A" else "A"
    for forged in ("x", value[:-1], value[:20] + turned + value[21:], value + "A"):
        assert site.ask("GET", "me", f"{name}={forged}").json()["user"] is None
    assert site.ask("GET", "me", cookie).json()["user"] == "ann"


def test_the_plain_face_is_refused_on_the_loops_own_thread(site_on_a_loop: Site) -> None:
    answer = site_on_a_loop.ask("GET", "loop")
    assert answer.status_code == 200
    assert "own thread" in answer.json()["error"]
    assert site_on_a_loop.living() == []
