"""Normal people who look like a thief all the same: docs/catalogue.md says so, and this is why.

A row of the catalogue may not do this; these are its edges, each beside what is still let be where
that is close. Whoever changes one changes the page.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from catalogue_kit import HOME, Person, Tale
from catalogue_looks import edge, iphone
from catalogue_run import FLAG, NOTIFY, RECORD, Outcome, Row, Story
from catalogue_world import v4
from stories_networks import browse

from gatehound import Action


def vpn_that_nobody_knows(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    browse(tale, laptop, v4("cloud"), HOME)


def vpn_that_nobody_knows_in_another_country(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    browse(tale, laptop, v4("rack_far"), HOME)


def vpn_that_nobody_knows_in_a_neighbouring_country(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    browse(tale, laptop, v4("rack_far", 1), HOME)


def antivirus_service_with_the_cookie(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    laptop.thief(address=v4("cloud")).send("page", "/list", method="HEAD")


def remote_desktop_abroad(tale: Tale) -> None:
    laptop = tale.settled()
    tale.begin()
    laptop.page("/list")
    tale.person(edge(), v4("cloud")).login()


@pytest.mark.parametrize(
    ("story", "action"),
    [
        (vpn_that_nobody_knows, FLAG),
        (vpn_that_nobody_knows_in_another_country, FLAG),
        (vpn_that_nobody_knows_in_a_neighbouring_country, RECORD),
        (antivirus_service_with_the_cookie, FLAG),
        (remote_desktop_abroad, NOTIFY),
    ],
)
def test_edge_of_the_catalogue(
    measure: Callable[..., Outcome], story: Story, action: Action
) -> None:
    outcome = measure(Row(story.__name__, story))
    assert outcome.actions == (action,), str(outcome)


# --- a phone that has left its line, and its thief ---


def _on_the_way(tale: Tale, *, hours: float) -> Person:
    """A phone that went out and came back, and is out again; `hours` since it was at home."""
    phone = tale.settled(iphone())
    for address in (v4("phone"), HOME, v4("phone", 1)):
        tale.wait(minutes=3)
        phone.move(address).page("/list")
    tale.wait(hours=hours)
    phone.page("/list")
    tale.begin()
    return phone


def phone_that_is_copied_on_its_way(tale: Tale) -> None:
    _on_the_way(tale, hours=0.5).thief(address=v4("brazil")).page("/list")


def phone_that_flies(tale: Tale) -> None:
    _on_the_way(tale, hours=13).move(v4("brazil")).page("/list")


@pytest.mark.parametrize(
    ("story", "action", "travels"),
    [
        (phone_that_is_copied_on_its_way, FLAG, True),
        (phone_that_flies, RECORD, False),
    ],
)
@pytest.mark.parametrize("world", ["asgi", "wsgi"])
def test_a_phone_is_compared_with_the_line_that_it_left(
    measure: Callable[..., Outcome], world: str, story: Story, action: Action, travels: bool
) -> None:
    """The line is one of the contexts that it has, so that coming back to it is not judged."""
    outcome = measure(Row(story.__name__, story), world)
    assert outcome.actions == (action,), str(outcome)
    assert ("travelled_too_fast" in str(outcome)) is travels
