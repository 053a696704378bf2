"""A request from another network or browser, on the way through the whole guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flow_kit import FIREFOX, NAVIGATE, Site

from gatehound import Detector, Event, Observation
from gatehound.testing import FakeClock

MakeSite = Callable[..., Site]


class Asks(Detector):
    """Wants all that there is, and notes how many other sessions it was shown."""

    name = "asks"
    needs = frozenset({"siblings"})

    def __init__(self) -> None:
        self.shown: list[int] = []

    def inspect(self, observation: Observation) -> None:
        self.shown.append(len(observation.siblings))


def test_sessions_that_are_found_over_while_others_are_listed_are_told_of(
    make_site: MakeSite, events: list[Event], clock: FakeClock
) -> None:
    asks = Asks()
    site = make_site(guard={"detectors": [asks]}, session={"idle_timeout": "30m"})
    first, second = site.browser(), site.browser(FIREFOX)
    first.login()
    clock.advance(600)
    second.login()
    clock.advance(1300)  # the first is over, and nobody has noticed
    second.address = "198.51.100.7"
    assert second.see().session is not None
    assert asks.shown == [0, 1, 0]
    assert [one.name for one in events].count("session_expired") == 1


@pytest.mark.parametrize("accept", ["text/html", f"text/html,{'x/y;q=0.1,' * 200}"])
def test_what_a_browser_accepts_at_whatever_length_is_read(
    make_site: MakeSite, accept: str
) -> None:
    browser = make_site().browser()
    browser.login()
    browser.address = "198.51.100.7"
    headers: dict[str, Any] = {**NAVIGATE, "accept": accept}
    seen = browser.see(headers=headers)
    assert seen.session is not None
    assert [one.code for one in seen.signals] == ["network_changed"]
