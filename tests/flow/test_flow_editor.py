"""Half an hour in the block editor of WordPress: nobody is flagged, and idle is idle.

The requests are a real browser's, recorded (see editor_kit); networks, the order of delivery and
the time are what these tests make of them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from editor_kit import RECORDING, Sent, Visit, at_once, half_an_hour, kinds, send, visit
from flow_kit import Seen, Site, look

from gatehound import Action, Activity, Event
from gatehound.testing import FakeClock

MakeSite = Callable[..., Site]
# Two providers of one city, in the databases of the demo.
HOME, HOTSPOT = "203.0.113.24", "2001:db8:49::77"
MINUTE = 60_000
SWITCH = 15 * MINUTE
IDLE = 10 * MINUTE
DESK, PLAIN, HALF_AN_HOUR = visit("desk"), visit("plain"), half_an_hour()
AGENT = DESK[0].headers["user-agent"]

N, A, B, X = Activity.NAVIGATE, Activity.ACTION, Activity.BACKGROUND, Activity.ASSET
CLASSES = {
    "page": N,
    "REST write": A,
    "upload": A,
    "library upload": A,
    "autosave": B,
    "REST read": B,
    "heartbeat": B,
    "wp-remove-post-lock": B,
    "get-community-events": B,  # of the dashboard
    "ajax": B,  # what is loaded by GET: the dashboard's news, a test of compression
}


class Desk:
    """A person's browser at a guarded site, and a clock that follows what is played."""

    def __init__(self, site: Site, clock: FakeClock) -> None:
        self.clock = clock
        self.began = clock()
        self.browser = site.browser(AGENT, HOME)
        self.browser.login("alice")

    def go_to(self, at: int) -> None:
        """Move the clock to so many milliseconds after the sign-in."""
        self.clock.advance(ms=self.began + at - self.clock())

    def play(self, sent: Sent, address: str = HOME, **options: Any) -> Seen:
        self.browser.address = address
        reply = send(self.browser, sent, look, **options)
        assert (reply.status, reply.error) == (200, None), sent
        seen: Seen = reply.value
        return seen


@pytest.fixture(params=["no database", "databases"])
def known(request: pytest.FixtureRequest, demo_databases: dict[str, str]) -> dict[str, str]:
    return demo_databases if request.param == "databases" else {}


def by_kind(sents: Visit, *wanted: str) -> Visit:
    return [sent for sent in sents if sent.kind in wanted]


def names(events: list[Event]) -> set[str]:
    return {event.name for event in events}


# --- what was recorded ---


def test_the_recording_contains_what_it_says() -> None:
    assert RECORDING["source"].keys() >= {"recorded", "modelled", "wordpress", "browser"}
    found = kinds(DESK)
    assert found["heartbeat"] >= 5
    assert found["autosave"] >= 3
    assert found["REST read"] >= 10
    assert found["REST write"] >= 3
    assert at_once(by_kind(DESK, "upload")) >= 3
    assert found["library upload"] >= 3
    assert found["wp-remove-post-lock"] >= 1  # sent by a page that closes
    assert {"post-new.php", "edit.php"} <= {sent.path.rpartition("/")[2] for sent in DESK}
    assert any("preview=true" in sent.query for sent in by_kind(DESK, "page"))
    assert any(sent.method == "OPTIONS" for sent in DESK)
    assert any(sent.headers.get("x-http-method-override") == "PUT" for sent in DESK)
    assert all("sec-fetch-mode" in sent.headers for sent in DESK)
    assert {sent.headers["user-agent"] for sent in DESK} == {AGENT}


def test_the_visit_over_http_has_no_fetch_metadata_and_no_permalinks() -> None:
    assert not any(name.startswith("sec-") for sent in PLAIN for name in sent.headers)
    assert not any(sent.path.startswith("/wp-json") for sent in PLAIN)
    assert by_kind(PLAIN, "autosave")
    assert by_kind(PLAIN, "heartbeat")
    assert by_kind(PLAIN, "upload")


def test_no_secret_was_recorded() -> None:
    for name in ("desk", "plain"):
        for line in chain.from_iterable(RECORDING[name]["headers"]):
            assert not line.lower().startswith(("cookie:", "authorization:"))
            assert not line.lower().startswith("x-wp-nonce:") or line.endswith(": x")


def test_the_replay_lasts_half_an_hour_at_the_intervals_that_were_recorded() -> None:
    assert 28 * MINUTE < HALF_AN_HOUR[-1].at < 31 * MINUTE
    made = [sent for sent in HALF_AN_HOUR if sent.repeated]
    assert len(HALF_AN_HOUR) - len(made) == len(DESK)
    assert kinds(made).keys() == {"heartbeat", "autosave"}
    for _, _, every, *_ in RECORDING["replay"]["repeated"]:
        assert 55_000 < every < 125_000


@pytest.mark.parametrize("recorded", [DESK, PLAIN], ids=["desk", "plain"])
def test_each_kind_has_its_class(recorded: Visit, site: Site, clock: FakeClock) -> None:
    desk = Desk(site, clock)
    for sent in recorded:
        activity = desk.play(sent).activity
        if sent.kind == "asset":
            # A script that is fetched over HTTP says no more than a poll would.
            assert activity is X or (activity is B and sent.headers["accept"] == "*/*"), sent
        else:
            assert activity is CLASSES[sent.kind], sent


# --- never flagged ---


def delivered(sents: Visit) -> list[tuple[Sent, str]]:
    """Say from where each arrives: from minute 15 on by the phone, and four uploads by both.

    Four pictures are under way while the laptop changes its network. The connections of the old
    one live for a moment, and the later picture of each pair overtakes the other.
    """
    first, second, third, fourth = by_kind(sents, "upload")[:4]
    crossing = iter((second, first, fourth, third))
    addresses = iter((HOME, HOTSPOT, HOME, HOTSPOT))
    order = []
    for sent in sents:
        if sent in (first, second, third, fourth):
            order.append((next(crossing), next(addresses)))
        else:
            order.append((sent, HOME if sent.at < first.at else HOTSPOT))
    return order


@pytest.mark.parametrize("rotate_every", [None, "5m"])
def test_nobody_is_flagged_for_half_an_hour_of_work(
    make_site: MakeSite,
    clock: FakeClock,
    events: list[Event],
    known: dict[str, str],
    rotate_every: str | None,
) -> None:
    site = make_site(session={"rotate_every": rotate_every}, detection=known)
    desk = Desk(site, clock)
    arrived = delivered(HALF_AN_HOUR)
    assert [address for sent, address in arrived if sent.kind == "upload"] == [
        *(HOME, HOTSPOT, HOME, HOTSPOT)
    ]
    for sent, address in arrived:
        desk.go_to(max(sent.at, clock() - desk.began))
        seen = desk.play(sent, address)
        assert (seen.user_id, seen.ended, seen.address) == ("alice", None, address), sent
        assert not seen.session.flagged, (sent, seen.signals)
        assert seen.action <= Action.RECORD, (sent, seen.signals)
    assert clock() - desk.began > 28 * MINUTE
    # The change was seen, where a database tells one provider from another.
    seen_once = [event.detail["level"] for event in events if event.name == "session_ip_shift"]
    assert seen_once == (["provider"] if known else [])
    assert names(events) <= {"session_created", "session_rotated", "session_ip_shift"}


def test_a_rule_of_any_change_would_have_flagged_it(make_site: MakeSite, clock: FakeClock) -> None:
    """The control: what arrives is a change, and is nothing because evidence is weighed."""
    desk = Desk(make_site(detection={"ip_shift": "strict"}), clock)
    flagged = [
        desk.play(sent, address).session.flagged
        for sent, address in delivered(HALF_AN_HOUR)
        if sent.phase == "upload"
    ]
    assert (flagged[0], flagged[-1]) == (False, True)


@pytest.mark.parametrize("seconds", [5, 30])
def test_old_connections_may_live_on_beside_new_ones(
    make_site: MakeSite, clock: FakeClock, events: list[Event], known: dict[str, str], seconds: int
) -> None:
    """Every second request comes by the old network for a while, whatever it is."""
    desk = Desk(make_site(detection=known), clock)
    before = [sent for sent in HALF_AN_HOUR if sent.at < SWITCH]
    after = [sent for sent in HALF_AN_HOUR if SWITCH <= sent.at < SWITCH + seconds * 1000]
    assert len(after) > 20
    for sent in (*before[-5:], *after):
        desk.go_to(sent.at)
        address = HOME if sent.at < SWITCH or after.index(sent) % 2 else HOTSPOT
        seen = desk.play(sent, address)
        assert (seen.user_id, seen.session.flagged) == ("alice", False), (sent, seen.signals)
    assert "session_flagged" not in names(events)


# --- idle ---


def timers(sents: Visit) -> Visit:
    """The requests that nobody made: heartbeats and autosaves, recorded and repeated."""
    return by_kind(sents, "heartbeat", "autosave")


@pytest.mark.parametrize("kind", ["heartbeat", "autosave"])
def test_a_tab_that_is_left_open_ends_as_idle(
    make_site: MakeSite, clock: FakeClock, events: list[Event], kind: str
) -> None:
    """The polls go on, at the interval that was recorded; nobody is there."""
    desk = Desk(make_site(session={"idle_timeout": f"{IDLE // MINUTE}m"}), clock)
    poll, every = next(
        (DESK[place], every)
        for name, place, every, *_ in RECORDING["replay"]["repeated"]
        if name == kind
    )
    at, ends = every, []
    while at < 2 * IDLE:
        desk.go_to(at)
        seen = desk.play(poll)
        assert seen.activity is B
        assert (seen.user_id is None) == (at >= IDLE), at
        ends.append(seen.ended)
        at += every
    assert ends[0] is None
    assert ends[-1].reason.value == "idle"
    assert [event.reason for event in events if event.name == "session_expired"] == ["idle"]
    page = by_kind(DESK, "page")[0]
    assert desk.play(page).user_id is None  # who comes back has to sign in


def test_the_editor_alone_does_not_keep_a_session(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    """As above, with all that was recorded: who signs in, works and leaves is signed out."""
    desk = Desk(make_site(session={"idle_timeout": f"{IDLE // MINUTE}m"}), clock)
    worked = [sent for sent in HALF_AN_HOUR if sent.phase == "write"]
    last = max(sent.at for sent in worked if sent.kind in ("page", "REST write"))
    for sent in worked:
        desk.go_to(sent.at)
        assert desk.play(sent).user_id == "alice"
    touched = MINUTE  # the latest activity is known to within a minute: session.touch_interval
    left = [sent for sent in timers(HALF_AN_HOUR) if worked[-1].at < sent.at < SWITCH]
    assert left[-1].at > last + IDLE
    for sent in left:
        desk.go_to(sent.at)
        seen = desk.play(sent)
        if sent.at < last + IDLE - touched:
            assert seen.user_id == "alice", sent
        elif sent.at > last + IDLE:
            assert (seen.user_id, seen.ended.reason.value) == (None, "idle"), sent
    assert [event.reason for event in events if event.name == "session_expired"] == ["idle"]


PERSONS = {
    "saves": by_kind(DESK, "REST write"),
    "uploads": by_kind(DESK, "upload", "library upload"),
    "navigates": by_kind(DESK, "page"),
    "saves over HTTP": by_kind(PLAIN, "REST write"),
    "navigates over HTTP": by_kind(PLAIN, "page"),
}


@pytest.mark.parametrize("sents", PERSONS.values(), ids=PERSONS)
def test_who_saves_or_navigates_stays(sents: Visit, make_site: MakeSite, clock: FakeClock) -> None:
    """For more than an hour, with a person's request a little more often than the timeout."""
    desk = Desk(make_site(session={"idle_timeout": f"{IDLE // MINUTE}m"}), clock)
    poll = by_kind(DESK, "heartbeat")[0]
    for count in range(8):
        for at in range(0, IDLE - MINUTE, 2 * MINUTE):
            desk.go_to(count * (IDLE - MINUTE) + at)
            assert desk.play(poll).user_id == "alice"
        desk.go_to((count + 1) * (IDLE - MINUTE))
        assert desk.play(sents[count % len(sents)]).user_id == "alice"


def test_who_types_is_kept_where_the_site_says_that_autosaves_are_a_persons(
    make_site: MakeSite, clock: FakeClock
) -> None:
    site = make_site(
        session={"idle_timeout": f"{IDLE // MINUTE}m"},
        activity={"action_paths": ["POST *autosaves"]},
    )
    desk = Desk(site, clock)
    for sent in timers(HALF_AN_HOUR):
        if sent.at < SWITCH:
            desk.go_to(sent.at)
            assert desk.play(sent).user_id == "alice"
