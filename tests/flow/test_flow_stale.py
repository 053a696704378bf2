"""`outage.policy` at `stale_ok`: what was valid a moment ago is shown, to who only reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flow_kit import CHROME, FIREFOX, POLL, Browser, Site, each, look

from gatehound import Event, SessionSuperseded, StoreUnavailable
from gatehound.errors import StoreCorrupt
from gatehound.recent import RecentSessions
from gatehound.stores.base import Store
from gatehound.stores.record import Record, Security, Seen
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]


class Hands:
    """The two clocks of this machine, moved by the test: (monotonic, wall)."""

    def __init__(self) -> None:
        self.monotonic, self.wall = 1000.0, 2_000_000.0

    def advance(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    def clocks(self) -> tuple[Callable[[], float], Callable[[], float]]:
        return lambda: self.monotonic, lambda: self.wall


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def faulty(store: Store) -> FaultyStore:
    return FaultyStore(store)


@pytest.fixture
def make_stale(make_site: MakeSite, faulty: FaultyStore, hands: Hands) -> MakeSite:
    def make(**more: Any) -> Site:
        site = make_site(over=faulty, **{"outage": {"policy": "stale_ok"}, **more})
        assert site.guard.recent is not None
        site.guard.recent._clocks = hands.clocks()
        return site

    return make


@pytest.fixture
def alice(make_stale: MakeSite) -> Browser:
    """Somebody whose session this process has just seen valid."""
    alice = make_stale().browser()
    alice.login("alice")
    assert alice.see().user_id == "alice"
    return alice


def denied(browser: Browser, **options: Any) -> bool:
    """True where reading the session answers 503, and leaves the cookie."""
    cookies = dict(browser.cookies)
    reply = browser.do(look, catch=False, **options)
    assert reply.all("set-cookie") == []
    assert browser.cookies == cookies
    if reply.status == 503:
        assert isinstance(reply.error, StoreUnavailable)
        assert reply.header("retry-after") == "5"
    return reply.status == 503


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("headers", [None, POLL])
def test_reading_shows_what_was_valid_a_moment_ago(
    alice: Browser,
    faulty: FaultyStore,
    hands: Hands,
    events: list[Event],
    method: str,
    headers: dict[str, str] | None,
) -> None:
    before = alice.see().session
    faulty.go_down()
    hands.advance(59.9)
    seen = alice.see(method=method, headers=headers)
    assert (seen.user_id, seen.session.public_id) == ("alice", before.public_id)
    assert (seen.ended, seen.action, seen.signals) == (None, 0, ())
    assert [event.name for event in events if event.name.startswith("store_")] == ["store_down"]
    faulty.heal()
    assert alice.see().user_id == "alice"


def test_it_is_shown_for_as_long_as_the_setting_says(
    make_stale: MakeSite, faulty: FaultyStore, hands: Hands
) -> None:
    alice = make_stale(outage={"policy": "stale_ok", "stale_for": "10s"}).browser()
    alice.login("alice")
    alice.see()
    faulty.go_down()
    hands.advance(9.9)
    assert alice.see().user_id == "alice"
    assert alice.see().user_id == "alice"  # being shown makes it no younger
    hands.advance(0.1)
    assert denied(alice)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
def test_what_may_write_is_denied(alice: Browser, faulty: FaultyStore, method: str) -> None:
    faulty.go_down()
    assert denied(alice, method=method)


@pytest.mark.parametrize(
    "job",
    [
        lambda visit: visit.require_fresh(),
        lambda visit: visit.confirm(),
        lambda visit: visit.sessions(),
        lambda visit: visit.terminate("0" * 16),
        lambda visit: visit.terminate_others(),
        lambda visit: visit.terminate_all(),
        lambda visit: visit.logout(),
        lambda visit: visit.rotate(),
        lambda visit: visit.reauthenticate(),
        lambda visit: visit.data.get("a"),
        lambda visit: visit.data.set("a", 1),
        lambda visit: visit.login("alice"),
    ],
)
@pytest.mark.parametrize("is_back", [False, True])
def test_nothing_but_reading_goes_on_it(
    alice: Browser, faulty: FaultyStore, job: Callable[[Any], Any], is_back: bool
) -> None:
    """Also where the store is back within the request: the session may have ended meanwhile."""
    faulty.go_down()

    def late(visit: Any) -> Any:
        assert visit.user_id == "alice"
        if is_back:
            faulty.heal()
        return job(visit)

    is_login = "login" in job.__code__.co_names
    reply = alice.do(late, catch=False)
    assert (reply.status, reply.all("set-cookie") == []) == (
        (200, False) if is_login and is_back else (503, True)
    )
    faulty.heal()
    assert alice.see().user_id == "alice"


def test_a_login_puts_an_end_to_the_outage_of_its_request(
    alice: Browser, faulty: FaultyStore
) -> None:
    faulty.go_down()

    def back(visit: Any) -> Any:
        faulty.heal()
        return visit.login("alice")

    def then(visit: Any) -> Any:
        return visit.require_fresh()

    assert alice.do(each(back, then)).error is None


def test_forms_are_shown_with_tokens(alice: Browser, faulty: FaultyStore) -> None:
    faulty.go_down()
    token = alice.do(lambda visit: visit.csrf_token("end")).value
    faulty.heal()
    assert alice.do(lambda visit: visit.check_csrf(token, "end"), method="POST").value is True


# --- what is not shown ---


def test_only_what_this_process_saw(
    make_stale: MakeSite, alice: Browser, faulty: FaultyStore
) -> None:
    alice.site = make_stale()  # another process
    faulty.go_down()
    assert denied(alice)


def test_only_with_the_secret_that_was_valid(alice: Browser, faulty: FaultyStore) -> None:
    old = dict(alice.cookies)
    alice.call("rotate")
    faulty.go_down()
    assert denied(alice)  # rotated here, and not seen since
    alice.cookies = old
    assert denied(alice)


def test_what_ends_here_is_forgotten_here(
    make_stale: MakeSite, alice: Browser, faulty: FaultyStore
) -> None:
    admin = alice.site.guard.sync
    ends: list[Callable[[], object]] = [
        lambda: alice.call("logout"),
        lambda: alice.call("terminate_all"),
        lambda: admin.terminate_user("alice"),
        lambda: admin.disable_user("alice"),
        admin.terminate_everyone,
        lambda: admin.forget_user("alice"),
    ]
    for end in ends:
        admin.enable_user("alice")
        alice.login("alice")
        cookies = dict(alice.cookies)
        assert alice.see().user_id == "alice"
        end()
        alice.cookies = cookies
        faulty.go_down()
        assert denied(alice)
        faulty.heal()


def test_the_limit_ends_here_too(make_stale: MakeSite, faulty: FaultyStore) -> None:
    site = make_stale(session={"max_per_user": 1})
    first = site.browser()
    first.login("alice")
    first.see()
    site.browser().login("alice")
    faulty.go_down()
    assert denied(first)


def test_what_was_ended_elsewhere_is_shown_until_its_time_is_up(
    make_site: MakeSite, alice: Browser, faulty: FaultyStore, hands: Hands, store: Store
) -> None:
    """What the policy risks, and the docs say so."""
    elsewhere = make_site()
    assert elsewhere.guard.sync.terminate_user("alice") == 1
    faulty.go_down()
    assert alice.see().user_id == "alice"
    hands.advance(60)
    assert denied(alice)
    faulty.heal()
    assert alice.see().ended.reason.value == "admin"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_not_after_the_store_has_said_that_it_is_over(
    make_site: MakeSite, alice: Browser, faulty: FaultyStore, method: str
) -> None:
    make_site().guard.sync.terminate_user("alice")  # another process
    assert alice.see(method=method).ended.reason.value == "admin"
    faulty.go_down()
    assert denied(alice)


def test_not_after_the_store_has_said_that_it_knows_none(
    make_site: MakeSite, alice: Browser, faulty: FaultyStore
) -> None:
    make_site().guard.sync.forget_user("alice")
    assert alice.see().user_id is None
    faulty.go_down()
    assert denied(alice)


def test_not_with_a_secret_that_was_replaced_elsewhere(
    make_site: MakeSite, alice: Browser, faulty: FaultyStore
) -> None:
    elsewhere = make_site().browser()
    elsewhere.cookies = dict(alice.cookies)
    elsewhere.call("rotate")
    assert isinstance(alice.do(look).error, SessionSuperseded)
    faulty.go_down()
    assert denied(alice)
    alice.cookies = elsewhere.cookies
    assert denied(alice)
    faulty.heal()
    assert alice.see().user_id == "alice"
    faulty.go_down()
    assert alice.see().user_id == "alice"


@pytest.mark.parametrize("is_routine", [False, True])
def test_not_with_a_secret_that_a_rotation_here_found_replaced(
    make_stale: MakeSite,
    faulty: FaultyStore,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    is_routine: bool,
) -> None:
    """Loaded as valid, and told otherwise later in the same request."""
    alice = make_stale(session={"rotate_every": "30m"}).browser()
    alice.login()
    alice.see()
    clock.advance(1800)
    rotate = faulty.store.rotate

    async def late(alias: bytes, sid: bytes, old: bytes, new: bytes, **given: Any) -> Any:
        await rotate(alias, sid, old, b"x" * 16)  # another process was quicker
        return await rotate(alias, sid, old, new, **given)

    monkeypatch.setattr(faulty.store, "rotate", late)
    cookies = dict(alice.cookies)
    alice.do(look if is_routine else lambda visit: visit.rotate())
    assert alice.cookies == cookies
    faulty.go_down()
    assert denied(alice)


@pytest.mark.parametrize("call", ["recall", "remember"])
def test_not_with_a_reused_secret_that_could_not_be_noted(
    make_site: MakeSite, alice: Browser, faulty: FaultyStore, clock: FakeClock, call: str
) -> None:
    """What follows from the answer asks the store too, and fails: the answer still counts."""
    elsewhere = make_site().browser()
    elsewhere.cookies = dict(alice.cookies)
    elsewhere.call("rotate")
    elsewhere.see()
    clock.advance(3600 - 1)
    faulty.fail(call)
    assert denied(alice)


def test_not_where_the_end_was_noticed_while_judging(
    make_site: MakeSite, alice: Browser, faulty: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember, elsewhere = faulty.store.remember, make_site().guard

    async def late(*args: Any, **given: Any) -> Any:
        await elsewhere.terminate_user("alice")
        return await remember(*args, **given)

    monkeypatch.setattr(faulty.store, "remember", late)
    alice.agent = FIREFOX  # new, and so written
    assert alice.see().user_id is None
    alice.agent = CHROME
    faulty.go_down()
    assert denied(alice)


@pytest.mark.parametrize("is_reuse", [False, True])
def test_not_where_the_end_was_noticed_while_flags_changed(
    make_site: MakeSite,
    alice: Browser,
    faulty: FaultyStore,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    is_reuse: bool,
) -> None:
    old = alice.site.browser()
    old.cookies = dict(alice.cookies)
    alice.call("rotate")
    clock.advance(61)
    public_id = alice.see().session.public_id
    remember, elsewhere = faulty.store.remember, make_site().guard

    async def late(*args: Any, **given: Any) -> Any:
        await elsewhere.terminate_user("alice")
        return await remember(*args, **given)

    monkeypatch.setattr(faulty.store, "remember", late)
    if is_reuse:
        assert old.see().user_id is None
    else:
        assert alice.site.guard.sync.clear_flag("alice", public_id) is False
    faulty.go_down()
    assert denied(alice)


def test_not_where_an_admin_here_found_it_ended(
    make_site: MakeSite, alice: Browser, faulty: FaultyStore
) -> None:
    public_id = alice.see().session.public_id
    make_site().guard.sync.terminate_user("alice")
    assert alice.site.guard.sync.terminate("alice", public_id) is False
    faulty.go_down()
    assert denied(alice)


@pytest.mark.parametrize("who", ["self", "other", "admin"])
def test_not_where_it_was_ended_here_and_the_answer_got_lost(
    alice: Browser, faulty: FaultyStore, who: str
) -> None:
    other = alice.site.browser()
    other.login("alice")
    public_id = alice.see().session.public_id
    faulty.fail("revoke", when="after")
    if who == "self":
        assert alice.do(lambda visit: visit.logout(), catch=False).status == 503
    elif who == "other":
        with pytest.raises(StoreUnavailable):
            other.call("terminate", public_id)
    else:
        with pytest.raises(StoreUnavailable):
            alice.site.guard.sync.terminate("alice", public_id)
    faulty.go_down()
    assert denied(alice)


def test_not_after_an_end_of_everyone_that_broke_off(
    alice: Browser, faulty: FaultyStore, events: list[Event]
) -> None:
    faulty.fail("revoke_everyone", when="after")
    with pytest.raises(StoreUnavailable):
        alice.site.guard.sync.terminate_everyone()
    assert events[-1].name == "everyone_terminated"
    faulty.go_down()
    assert denied(alice)


@pytest.mark.parametrize(
    ("settings", "kept", "over"),
    [
        ({"session": {"idle_timeout": "30s", "touch_interval": "1s"}}, 29, 30),
        (
            {"session": {"idle_timeout": "20s", "absolute_timeout": "20s", "touch_interval": 1}},
            19,
            20,
        ),
    ],
)
def test_it_is_never_shown_past_its_end(
    make_stale: MakeSite,
    faulty: FaultyStore,
    hands: Hands,
    settings: dict[str, Any],
    kept: int,
    over: int,
) -> None:
    alice = make_stale(**settings).browser()
    alice.login("alice")
    alice.see()
    faulty.go_down()
    hands.advance(kept)
    assert alice.see().user_id == "alice"
    hands.advance(over - kept)
    assert denied(alice)


def test_todays_settings_count_where_they_are_stricter(
    make_site: MakeSite, make_stale: MakeSite, faulty: FaultyStore, hands: Hands, clock: FakeClock
) -> None:
    alice = make_site(over=faulty).browser()
    alice.login("alice")
    alice.site = make_stale(session={"idle_timeout": "20s", "touch_interval": "1s"})
    clock.advance(10)
    alice.see()
    faulty.go_down()
    hands.advance(19)
    assert alice.see().user_id == "alice"
    hands.advance(1)
    assert denied(alice)


def test_not_from_another_network_or_browser(alice: Browser, faulty: FaultyStore) -> None:
    """Nothing can be judged in an outage: a thief's copy would get in unseen."""
    faulty.go_down()
    for agent, address in ((FIREFOX, "203.0.113.7"), (CHROME, "198.51.100.9")):
        thief = alice.site.browser(agent, address)
        thief.cookies = dict(alice.cookies)
        assert denied(thief)
    assert alice.see().user_id == "alice"


def test_without_detection_any_network_will_do(make_stale: MakeSite, faulty: FaultyStore) -> None:
    alice = make_stale(detection={"mode": "off"}).browser()
    alice.login("alice")
    alice.see()
    faulty.go_down()
    alice.address = "198.51.100.9"
    assert alice.see().user_id == "alice"


def test_not_where_something_stands_against_it(alice: Browser, faulty: FaultyStore) -> None:
    thief = alice.site.browser("python-requests/2.32", "192.0.2.66")
    thief.cookies = dict(alice.cookies)
    thief.see()
    assert alice.see().session.flagged
    faulty.go_down()
    assert denied(alice)


def test_not_with_a_graced_secret(
    make_stale: MakeSite, faulty: FaultyStore, clock: FakeClock
) -> None:
    alice = make_stale(session={"rotate_every": "30m"}).browser()
    alice.login("alice")
    old = dict(alice.cookies)
    clock.advance(1800)
    alice.do()
    alice.see()
    alice.cookies, new = old, dict(alice.cookies)
    assert alice.see().user_id == "alice"
    faulty.go_down()
    assert denied(alice)
    alice.cookies = new
    assert alice.see().user_id == "alice"


def test_an_answer_that_cannot_be_read_is_no_silence(alice: Browser, faulty: FaultyStore) -> None:
    faulty.fail("load", error=StoreCorrupt("a reply was mixed up"))
    assert alice.do(look, catch=False).status == 503


@pytest.mark.parametrize("world", ["asgi"])  # WSGI has none
def test_a_websocket_is_denied(alice: Browser, faulty: FaultyStore) -> None:
    """It would outlive the outage, and nobody would end it."""
    faulty.go_down()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            seen.append(scope["gatehound"].user_id)
        except StoreUnavailable as error:
            seen.append(error)

    real, alice.site.app.app = alice.site.app, app

    async def as_websocket(scope: Any, receive: Any, send: Any) -> None:
        await real({**scope, "type": "websocket"}, receive, send)

    alice.site.app = as_websocket
    alice.do()
    assert isinstance(seen[0], StoreUnavailable)


@pytest.mark.parametrize("policy", ["deny", "anonymous"])
def test_other_policies_remember_nobody(make_site: MakeSite, policy: str) -> None:
    assert make_site(outage={"policy": policy}).guard.recent is None


def test_the_policy_is_said_in_words(make_stale: MakeSite) -> None:
    told = make_stale().guard.sync.describe()
    assert "shows what was valid up to 1 minute ago to requests that only read" in told


# --- the memory itself ---


def record(number: int) -> Record:
    sid = number.to_bytes(8)
    return Record(b"a" * 12, "alice", (), Security(sid, b"h" * 16, 0, 0, 10**12, 10**9), Seen(0))


def make_recent(hands: Hands, size: int = 3) -> RecentSessions:
    monotonic, wall = hands.clocks()
    return RecentSessions(60.0, size=size, monotonic=monotonic, wall=wall)


def test_the_newest_are_kept(hands: Hands) -> None:
    recent = make_recent(hands)
    for number in (1, 2, 3, 1, 4):
        recent.keep(record(number), b"h" * 16, 0, recent.mark())
    found = [n for n in range(6) if recent.recall(n.to_bytes(8), b"h" * 16)]
    assert found == [1, 3, 4]
    assert recent.recall((1).to_bytes(8), b"x" * 16) is None


@pytest.mark.parametrize(("monotonic", "wall"), [(60, 0), (0, 60), (60, -3600)])
def test_the_clock_that_went_further_counts(hands: Hands, monotonic: float, wall: float) -> None:
    recent = make_recent(hands)
    recent.keep(record(1), b"h" * 16, 5000, recent.mark())
    hands.monotonic += monotonic - 1
    hands.wall += wall - 1
    assert recent.recall((1).to_bytes(8), b"h" * 16) == (record(1), 5000 + 59_000)
    hands.advance(1)
    assert recent.recall((1).to_bytes(8), b"h" * 16) is None


@pytest.mark.parametrize(
    ("event", "stays"),
    [
        (Event("session_terminated", public_id=(2).to_bytes(8).hex()), [1]),
        (Event("session_expired", public_id=(1).to_bytes(8).hex()), [2]),
        (Event("session_created", public_id=(1).to_bytes(8).hex()), [1, 2]),
        (Event("session_terminated"), [1, 2]),
        (Event("everyone_terminated"), []),
        (Event("user_forgotten"), []),
    ],
)
def test_events_make_it_forget(hands: Hands, event: Event, stays: list[int]) -> None:
    recent = make_recent(hands)
    for number in (1, 2):
        recent.keep(record(number), b"h" * 16, 0, recent.mark())
    recent.hear(event)
    assert [n for n in (1, 2) if recent.recall(n.to_bytes(8), b"h" * 16)] == stays


def test_an_answer_under_way_brings_back_nothing_that_was_forgotten(hands: Hands) -> None:
    recent = make_recent(hands)
    for number in (1, 2):
        recent.keep(record(number), b"h" * 16, 0, recent.mark())
    mark = recent.mark()
    recent.forget((1).to_bytes(8))
    recent.forget((9).to_bytes(8))
    recent.keep(record(1), b"h" * 16, 0, mark)
    assert [n for n in (1, 2) if recent.recall(n.to_bytes(8), b"h" * 16)] == [2]


@pytest.mark.parametrize(("secret", "is_kept"), [(b"h" * 16, False), (b"x" * 16, True)])
def test_a_secret_that_is_dead_takes_no_other_with_it(
    hands: Hands, secret: bytes, is_kept: bool
) -> None:
    recent = make_recent(hands)
    recent.keep(record(1), b"h" * 16, 0, recent.mark())
    recent.forget((1).to_bytes(8), secret)
    assert (recent.recall((1).to_bytes(8), b"h" * 16) is not None) == is_kept


def test_an_answer_under_way_brings_nothing_back(hands: Hands) -> None:
    recent = make_recent(hands)
    mark = recent.mark()
    recent.hear(Event("session_terminated", public_id=(1).to_bytes(8).hex()))
    recent.keep(record(1), b"h" * 16, 0, mark)
    assert recent.recall((1).to_bytes(8), b"h" * 16) is None
