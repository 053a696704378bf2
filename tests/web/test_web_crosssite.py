"""The pages with `csrf.protect` on: their forms work, and other sites' requests never get there."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from web_kit import ORIGIN, SESSION, Place

from gatehound.web.crosssite import ACTIONS
from gatehound.web.demand import FORM

MakePlace = Callable[..., Place]


@pytest.fixture
def place(make_place: MakePlace) -> Place:
    return make_place(csrf={"protect": True})


def test_the_forms_of_the_pages_work(place: Place) -> None:
    ann, other = place.person().login(), place.person().login()
    found = SESSION.search(ann.get("/sessions/").text)
    assert found is not None
    assert ann.submit("end", session=found[1]).headers["location"] == "./?gh-done=ended"
    assert "sign-in" not in other.get("/").text
    assert ann.submit("end-others").status_code == 303
    old = {"sec-fetch-site": ""}  # a browser that names its origin alone
    assert ann.submit("sign-out", headers=old).headers["location"] == "./ended?signed-out"


def test_another_site_is_refused_before_the_pages(place: Place) -> None:
    ann = place.person().login()
    for headers in (
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"sec-fetch-site": "", "origin": "https://evil.example"},
        {"sec-fetch-site": "", "origin": ""},
    ):
        reply = ann.submit("sign-out", headers={**headers, "accept": "*/*"})
        assert reply.status_code == 403
        assert json.loads(reply.content)["type"] == "urn:gatehound:cross-site"
    assert ann.get("/sessions/").status_code == 200


def test_the_token_of_the_pages_is_one_in_the_header_too(place: Place) -> None:
    """A program that uses their API has this one, and names no origin."""
    assert FORM in ACTIONS
    ann = place.person().login()
    assert ann.ask("POST", "/pay", headers={"x-csrf-token": ann.token()}).text == "app"
    assert ann.ask("POST", "/pay").status_code == 403


def test_a_trusted_origin_is_let_through_to_the_app_alone(make_place: MakePlace) -> None:
    """The pages act for this very site, whoever the app trusts."""
    place = make_place(csrf={"protect": True, "trusted_origins": ["https://admin.example"]})
    ann, headers = place.person().login(), {"origin": "https://admin.example"}
    headers |= {"sec-fetch-site": "same-site", "host": ORIGIN.removeprefix("https://")}
    assert ann.ask("POST", "/pay", headers=headers).text == "app"
    assert ann.submit("sign-out", headers=headers).status_code == 403
