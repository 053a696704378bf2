"""Figures over time and the health of the store, against a log made by hand."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

import pytest
from admin_kit import MakeDesk, admin_of, link_of, rob, said_in, see, sign_in
from hypothesis import given
from hypothesis import strategies as st
from web_kit import FIREFOX, Place

from gatehound import Event, tally
from gatehound._sync import run_sync
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore
from gatehound.web.admin.chart import HEIGHT, WIDTH, chart, grouped

HOUR = 3600
FIGURE = re.compile(r'id="gh-(\w+)">[^<]*<strong>(\d+)</strong>')


def write(place: Place, name: str, many: int = 1, **detail: Any) -> None:
    for _ in range(many):
        run_sync(place.guard.store.append(Event(name, detail=detail)))


def figures_in(answer: Any) -> dict[str, int]:
    """The number beside each chart: of sessions now, of the others in all."""
    return {name: int(number) for name, number in FIGURE.findall(answer.text)}


def rows_in(answer: Any) -> dict[str, list[int]]:
    """The table below the charts: the begin of each bar, and its numbers."""
    table = answer.text[answer.text.index("<details>") : answer.text.index("</details>")]
    found = re.findall(r"<tr><td[^>]*>([^<]+)</td>(.*?)</tr>", table)
    return {at: [int(n) for n in re.findall(r">(\d+)</td>", cells)] for at, cells in found}


@pytest.fixture
def month(desk: Place, clock: FakeClock) -> Place:
    """A log of three moments, and two sessions that are there now."""
    write(desk, "session_created", 4)
    write(desk, "login_failed", count=30)
    clock.advance(40 * HOUR)
    write(desk, "session_terminated", 2)
    write(desk, "session_expired")
    write(desk, "session_flagged")
    write(desk, "login_refused", 3)
    clock.advance(2 * HOUR)
    write(desk, "step_up_required", 5)
    sign_in(desk, "ann")
    return desk


def test_two_days_by_the_hour(month: Place) -> None:
    answer = see(admin_of(month))
    assert figures_in(answer) == {
        "active": 2,
        "logins": 6,
        "ends": 3,
        "flags": 1,
        "failed": 33,
        "step_ups": 5,
    }
    rows = rows_in(answer)
    assert len(rows) == 48
    assert next(iter(rows)) == "2027-01-17 02:00 UTC"  # the hour that is under way
    # sessions, sign-ins, ended, flagged, failed, asked
    assert rows["2027-01-17 02:00 UTC"] == [2, 2, 0, 0, 0, 5]
    assert rows["2027-01-17 01:00 UTC"] == [0, 0, 0, 0, 0, 0]
    assert rows["2027-01-17 00:00 UTC"] == [0, 0, 3, 1, 3, 0]
    assert rows["2027-01-16 23:00 UTC"] == [3, 0, 0, 0, 0, 0]
    assert rows["2027-01-15 08:00 UTC"] == [3, 4, 0, 0, 30, 0]
    assert rows["2027-01-15 07:00 UTC"] == [0, 0, 0, 0, 0, 0]
    assert answer.text.count("<rect") == 2 + 1 + 1 + 2 + 1
    assert "<title>2027-01-17 00:00 UTC: 3</title>" in answer.text
    assert "<strong>2</strong> sessions now" in answer.text


def test_a_month_by_the_day(month: Place) -> None:
    answer = see(admin_of(month), "?range=31d")
    rows = rows_in(answer)
    assert len(rows) == 31
    assert sum(row[1] for row in rows.values()) == 6
    today, before, *_ = rows.values()
    assert (today, before) == ([2, 2, 3, 1, 3, 5], [3, 4, 0, 0, 30, 0])  # of 24 hours each
    assert figures_in(answer) == figures_in(see(admin_of(month, "other"))) | {
        "active": 2,
        "logins": 6,
    }
    for query in ("?range=x", "?range=", "?other=1"):
        assert len(rows_in(see(admin_of(month), query))) == 48


def test_figures_go_on_with_the_log(desk: Place, clock: FakeClock) -> None:
    admin = admin_of(desk)
    for wanted in (1, 2, 3):
        assert figures_in(see(admin))["logins"] == wanted
        sign_in(desk, f"u{wanted}")
        clock.advance(HOUR / 10)


def test_long_log_is_counted_in_several_looks(desk: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    write(desk, "login_failed", 50)
    monkeypatch.setattr(tally, "BATCH", 2)  # and twenty of them at a look
    admin = admin_of(desk)
    first = see(admin)
    assert "the log is long" in said_in(first)[0]
    assert figures_in(first)["failed"] == 40
    second = see(admin)
    assert (said_in(second), figures_in(second)["failed"]) == ([], 50)


def test_suspicion_and_findings(desk: Place, clock: FakeClock) -> None:
    (ann,) = sign_in(desk, "ann")
    rob(ann, clock)
    admin = admin_of(desk)
    for page in ("", "health"):
        answer = see(admin, page)
        marked = re.findall(r"marked, in mode \w+</td><td[^>]*>(\d+)</td>", answer.text)
        assert marked == ["1", "1"]
        assert "The mode is flag." in answer.text
        codes = run_sync(desk.guard.check())
        assert codes
        for finding in codes:
            assert finding.text in html.unescape(answer.text)
            assert f"gh-level-{finding.level}" in answer.text


def test_failed_sign_ins_of_this_hour(desk: Place) -> None:
    admin = admin_of(desk)
    assert "0 in all, for 0 users from 0 networks." in see(admin).text
    names = iter(("ann", "bob", "eve"))
    desk.job = lambda visit: visit.login_failed(next(names), "wrong password")
    for _ in range(3):
        desk.person(FIREFOX, "203.0.113.80").get("/")
    page = html.unescape(see(admin).text)
    assert "3 in all, for 3 users from 1 network." in page
    assert 'href="./events?network=203.0.113.0%2F24&name=login_failed"' in page
    listed = see(admin, "events?network=203.0.113.0%2F24&name=login_failed").text
    assert listed.count("wrong password") == 3


def test_health_shows_the_policy_and_the_store(desk: Place) -> None:
    answer = see(admin_of(desk), "health")
    text = html.unescape(answer.text)
    for line in run_sync(desk.guard.describe()).splitlines():
        assert f"<li>{line}</li>" in text
    assert "<dd>memory</dd>" in text
    assert re.search(r"<dd>\d+\.\d ms</dd>", text)
    assert re.search(r"<dd>-?\d+\.\d s</dd>", text)


def test_store_that_fails_in_a_tally_shows_why(make_desk: MakeDesk, clock: FakeClock) -> None:
    store = FaultyStore(MemoryStore(clock=clock))
    place = make_desk(store)
    admin = admin_of(place)
    for name in ("shelf", "tail", "put", "living", "counts"):
        store.fail(name)
        answer = see(admin)
        assert answer.status_code == 503
        assert "does not answer" in answer.text
        sign_in(place, "ann")  # so that there is something to put
    assert figures_in(see(admin))["logins"] == 6


def test_range_that_is_shown_is_marked(desk: Place) -> None:
    answer = see(admin_of(desk), "?range=31d")
    assert 'aria-current="true">31 days, by the day<' in answer.text
    assert link_of(answer, "2 days, by the hour") == "?range=2d"


# --- charts ---


def test_chart_of_nothing() -> None:
    assert chart([], []).bars == ()
    flat = chart([0.0, 1.0], [0, 0])
    assert [(bar.height, bar.y) for bar in flat.bars] == [(0.0, HEIGHT), (0.0, HEIGHT)]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=800))
def test_bars_are_inside_in_order_and_in_proportion(values: Sequence[int]) -> None:
    made = chart([float(n) for n in range(len(values))], values)
    assert (made.most, made.total, made.latest) == (max(values), sum(values), values[-1])
    assert [bar.value for bar in made.bars] == list(values)
    end = 0.0
    for bar in made.bars:
        assert bar.x >= end - 0.02
        end = bar.x + bar.width
        assert 0 <= bar.y <= HEIGHT
        assert bar.y + bar.height == pytest.approx(HEIGHT)
        if made.most:
            assert bar.height == pytest.approx(HEIGHT * bar.value / made.most, abs=0.01)
    assert end <= WIDTH + 0.02
    assert len(made.points.split()) == len(values)


@given(st.lists(st.integers(0, 99), max_size=50), st.integers(1, 9))
def test_groups_are_whole_and_the_last_is_the_latest(values: list[int], size: int) -> None:
    made = grouped(values, size)
    kept = len(values) // size * size
    assert len(made) == len(values) // size
    assert sum(made) == sum(values[len(values) - kept :])
    if made:
        assert made[-1] == sum(values[-size:])
