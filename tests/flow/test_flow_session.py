"""Signing in and out, limits and time, through both adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flow_kit import (
    FIREFOX,
    IDENTITY,
    OTHER_SECRET,
    POLL,
    SECRET,
    Job,
    Site,
)

from gatehound import (
    Event,
    FreshLoginRequired,
    Guard,
    LoginRefused,
    UsageError,
)
from gatehound.testing import FakeClock

MakeSite = Callable[..., Site]
NAME = "__Host-gatehound"


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def test_login_read_logout(site: Site, events: list[Event]) -> None:
    alice = site.browser()
    assert alice.see().user_id is None
    session = alice.login("alice", methods=("password", "totp"), roles=("editor",))
    assert (session.user_id, session.roles, session.aal) == ("alice", ("editor",), 2)
    assert session.methods == ("password", "totp")
    seen = alice.see()
    assert (seen.user_id, seen.ended) == ("alice", None)
    assert seen.session.public_id == session.public_id
    assert str(seen.session.address) == "203.0.113.7"
    assert alice.call("logout") is True
    assert alice.names == set()
    assert alice.see().user_id is None
    assert names(events) == ["session_created", "session_terminated"]
    assert events[0].detail["device"] == "Chrome on Windows"
    assert events[1].reason == "logout"
    assert {event.address for event in events} == {"203.0.113.7"}


def test_the_cookie_is_sent_at_login_and_never_on_a_read(site: Site) -> None:
    alice = site.browser()
    reply = alice.do(lambda visit: visit.login("alice"))
    (line,) = reply.set_cookies
    assert line.startswith(f"{NAME}=")
    assert line.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert reply.header("cache-control") == "private, no-store"
    read = alice.do(lambda visit: visit.user_id)
    assert (read.value, read.all("set-cookie")) == ("alice", [])
    assert (read.header("cache-control"), read.header("vary")) == ("private", "Cookie")
    untouched = alice.do()
    assert untouched.all("vary") == untouched.all("cache-control") == []


def test_a_login_ends_the_session_that_the_browser_had(site: Site) -> None:
    alice = site.browser()
    first = alice.login("alice")
    old = dict(alice.cookies)
    second = alice.login("alice")
    assert first.public_id != second.public_id
    thief = site.browser()
    thief.cookies = old
    seen = thief.see()
    assert (seen.user_id, seen.ended.reason.value) == (None, "replaced")
    other = site.browser()
    other.cookies = dict(alice.cookies)
    other.login("bob")
    assert alice.see().ended.reason.value == "replaced"


def test_an_id_that_the_client_chose_is_never_adopted(site: Site) -> None:
    alice = site.browser()
    alice.login()
    value = alice.cookies[NAME]
    for forged in ("x" * 124, value[:-1] + ("A" if value[-1] != "A" else "B"), ""):
        mallory = site.browser()
        mallory.cookies = {NAME: forged}
        assert mallory.see().user_id is None
        mallory.login("mallory")
        assert mallory.cookies[NAME] != forged


def test_the_sixth_login_ends_the_oldest_session(
    site: Site, clock: FakeClock, events: list[Event]
) -> None:
    browsers = []
    for _ in range(6):
        browser = site.browser()
        browser.login()
        browsers.append(browser)
        clock.advance(1)
    seen = browsers[0].see()
    assert (seen.user_id, seen.ended.reason.value) == (None, "limit")
    assert "made room" in seen.ended.text
    assert len(browsers[5].call("sessions")) == 5
    assert names(events).count("session_terminated_limit") == 1


def test_deny_refuses_the_login_and_says_so(make_site: MakeSite, events: list[Event]) -> None:
    site = make_site(session={"max_per_user": 1, "on_limit": "deny"})
    first, second = site.browser(), site.browser()
    first.login()
    with pytest.raises(LoginRefused) as caught:
        second.call("login", "alice")
    assert caught.value.reason == "limit"
    assert second.cookies == {}
    assert first.see().user_id == "alice"
    assert events[-1].name == "login_refused"
    assert events[-1].user_id == "alice"


def test_limits_by_role(make_site: MakeSite) -> None:
    site = make_site(roles={"admin": {"max_per_user": 1, "idle_timeout": "10m"}})
    browsers = [site.browser(), site.browser()]
    for browser in browsers:
        session = browser.login("root", roles=("admin",))
    assert session.idle_expires - session.last_seen == 600
    assert browsers[0].see().ended.reason.value == "limit"
    assert browsers[1].see().user_id == "root"


def test_background_traffic_does_not_keep_a_session_alive(site: Site, clock: FakeClock) -> None:
    reader, poller = site.browser(), site.browser()
    reader.login("reader")
    poller.login("poller")
    for _ in range(7):
        clock.advance(600)
        assert reader.see().user_id == "reader"
        polled = poller.see(headers=POLL)
    assert (polled.user_id, polled.ended.reason.value) == (None, "idle")
    assert "away" in polled.ended.text


def test_a_session_ends_at_its_absolute_age(site: Site, clock: FakeClock) -> None:
    alice = site.browser()
    alice.login()
    for _ in range(15):
        clock.advance(2900)
        seen = alice.see()
    assert seen.ended.reason.value == "absolute"


def test_remember_keeps_the_cookie_and_the_session(site: Site, clock: FakeClock) -> None:
    alice = site.browser()
    reply = alice.do(lambda visit: visit.login("alice", remember=True))
    assert "; Max-Age=1209600; " in reply.set_cookies[0]
    clock.advance(13 * 86400)
    assert alice.see().session.remembered
    clock.advance(86400 + 1)
    assert alice.see().ended.reason.value == "absolute"


@pytest.mark.parametrize(
    ("tightened", "wait", "reason"),
    [
        ({"idle_timeout": "10m"}, 700, "idle"),
        ({"absolute_timeout": "1h", "idle_timeout": "1h"}, 3500, None),
        ({"absolute_timeout": "1h", "idle_timeout": "55m"}, 3400, "idle"),
    ],
)
def test_tightened_settings_work_at_once(
    make_site: MakeSite,
    clock: FakeClock,
    events: list[Event],
    tightened: dict[str, str],
    wait: int,
    reason: str | None,
) -> None:
    lax, strict = make_site(), make_site(session=tightened)
    alice = lax.browser()
    alice.login()
    clock.advance(wait)
    alice.site = strict
    ended = alice.see().ended
    assert (ended.reason.value if ended else None) == reason
    assert names(events).count("session_expired") == (reason is not None)
    alice.site = lax
    assert alice.see().user_id == (None if reason else "alice")


def test_a_tightened_absolute_limit_ends_who_is_still_active(
    make_site: MakeSite, clock: FakeClock
) -> None:
    lax, strict = make_site(), make_site(session={"absolute_timeout": "1h", "idle_timeout": "1h"})
    alice = lax.browser()
    alice.login()
    for _ in range(2):
        clock.advance(1900)
        assert alice.see().user_id == "alice"
    alice.site = strict
    assert alice.see().ended.reason.value == "absolute"


def test_the_absolute_limit_counts_from_the_latest_proof(
    make_site: MakeSite, clock: FakeClock
) -> None:
    site = make_site(session={"absolute_timeout": "2h"})
    alice = site.browser()
    alice.login()
    clock.advance(3500)
    alice.call("reauthenticate")
    for _ in range(2):
        clock.advance(3500)
        assert alice.see().user_id == "alice"
    clock.advance(300)
    assert alice.see().ended.reason.value == "absolute"


def test_rotation_and_what_becomes_of_the_old_secret(
    site: Site, clock: FakeClock, events: list[Event]
) -> None:
    alice = site.browser()
    before = alice.login()
    old = dict(alice.cookies)
    alice.call("rotate")
    assert alice.cookies != old
    assert alice.see().session.public_id == before.public_id
    parallel = site.browser()
    parallel.cookies = dict(old)
    late = parallel.do(lambda visit: visit.user_id, catch=False)
    assert (late.status, late.all("set-cookie")) == (401, [])
    assert b"renewed a moment ago" in late.body
    assert "session_reuse" not in names(events)
    assert parallel.cookies == old  # a late request never clears the cookie of the new one
    clock.advance(61)
    assert parallel.see().user_id is None
    assert names(events)[-2:] == ["session_reuse", "session_flagged"]
    seen = alice.see()
    assert (seen.user_id, seen.session.flagged) == ("alice", True)
    assert seen.session.reasons == ("An old copy of this session's cookie was used",)


def test_reauthentication_makes_a_session_fresh(site: Site, clock: FakeClock) -> None:
    alice = site.browser()
    alice.login()
    alice.call("require_fresh")
    clock.advance(601)
    with pytest.raises(FreshLoginRequired) as caught:
        alice.call("require_fresh")
    assert (caught.value.max_age, caught.value.age) == (600, 601)
    alice.call("require_fresh", 900)
    alice.call("reauthenticate", methods=("passkey",))
    alice.call("require_fresh")
    assert alice.see().session.aal == 2
    with pytest.raises(FreshLoginRequired):
        site.browser().call("require_fresh")


def test_a_login_that_races_the_end_of_all_is_refused(site: Site) -> None:
    alice, elsewhere = site.browser(), site.browser()
    elsewhere.login()
    attempt = alice.call("begin_login", "alice")
    assert elsewhere.call("terminate_all", reason="password_changed") == 1
    assert elsewhere.names == set()
    with pytest.raises(LoginRefused) as caught:
        alice.call("login", "alice", attempt=attempt)
    assert caught.value.reason == "superseded"
    alice.login()


def test_ending_all_inside_a_request_renews_its_own_attempt(site: Site, world: str) -> None:
    alice = site.browser()
    alice.login()

    async def change_password(visit: Any) -> Any:
        attempt = await visit.begin_login("alice")
        await visit.terminate_all(reason="password_changed")
        return await visit.login("alice", attempt=attempt)

    def change_password_plain(visit: Any) -> Any:
        attempt = visit.begin_login("alice")
        visit.terminate_all(reason="password_changed")
        return visit.login("alice", attempt=attempt)

    job = change_password if world == "asgi" else change_password_plain
    result = alice.do(job, method="POST")
    assert result.error is None
    assert alice.see().user_id == "alice"


@pytest.mark.parametrize("typed", ["", "x" * 5000, "\ud800", "\x00"])
def test_what_somebody_typed_never_raises(site: Site, events: list[Event], typed: str) -> None:
    nobody = site.browser()
    nobody.call("begin_login", typed)
    nobody.call("login_failed", typed, "no such user")
    assert events[-1].name == "login_failed"
    with pytest.raises(UsageError):
        nobody.call("begin_login", None)


def test_an_attempt_belongs_to_its_user(site: Site) -> None:
    alice = site.browser()
    attempt = alice.call("begin_login", "alice")
    with pytest.raises(UsageError, match="attempt of another user"):
        alice.call("login", "bob", attempt=attempt)


def test_a_user_ends_their_own_sessions_only(site: Site, events: list[Event]) -> None:
    here, library, bob = site.browser(), site.browser(FIREFOX, "198.51.100.4"), site.browser()
    mine = here.login()
    there = library.login()
    theirs = bob.login("bob")
    listed = {s.public_id: s for s in here.call("sessions")}
    assert set(listed) == {mine.public_id, there.public_id}
    assert listed[mine.public_id].current
    assert not listed[there.public_id].current
    assert listed[there.public_id].device == "Firefox on Linux"
    assert str(listed[there.public_id].address) == "198.51.100.4"
    for wrong in (theirs.public_id, mine.public_id, "no-id", "", "\ud800", "0" * 16, "é" * 16):
        assert here.call("terminate", wrong) is False
    assert here.call("terminate", there.public_id) is True
    assert here.call("terminate", there.public_id) is False
    told = library.see()
    assert (told.user_id, told.ended.reason.value) == (None, "user")
    assert "another device" in told.ended.text
    assert bob.see().user_id == "bob"
    assert [e for e in names(events) if e != "session_created"][:1] == ["session_terminated"]


def test_ending_the_others_keeps_this_one(site: Site) -> None:
    browsers = [site.browser() for _ in range(3)]
    for browser in browsers:
        browser.login()
    assert browsers[1].call("terminate_others", reason="password_changed") == 2
    assert browsers[1].see().user_id == "alice"
    assert browsers[0].see().ended.reason.value == "password_changed"
    assert browsers[1].call("terminate_others") == 0


def test_nobody_has_nothing(site: Site) -> None:
    nobody = site.browser()
    assert nobody.call("sessions") == []
    assert nobody.call("terminate", "0" * 16) is False
    assert nobody.call("terminate_others") == nobody.call("terminate_all") == 0
    assert nobody.call("confirm") is False
    assert nobody.call("logout") is False
    for job in (
        lambda visit: visit.rotate(),
        lambda visit: visit.reauthenticate(),
        lambda visit: visit.data.set("a", 1),
    ):
        reply = nobody.do(job, catch=False, headers=POLL)
        assert isinstance(reply.error, FreshLoginRequired)
        assert (reply.error.age, reply.status) == (None, 401)


@pytest.mark.parametrize("user", [None, True, "", "x" * 513, 3.5, b"alice"])
def test_user_ids_that_cannot_be(site: Site, user: Any) -> None:
    with pytest.raises(UsageError, match="user id"):
        site.browser().call("login", user)


def test_user_ids_may_be_numbers_and_any_text(site: Site) -> None:
    for user in (7, "7", "ünïcode 🐕", "a/b:c{d}", "x" * 512):
        browser = site.browser()
        browser.login(user)  # type: ignore[arg-type]  # numbers are what many apps have
        assert browser.see().user_id == str(user)
    assert len(browser.site.guard.sync.sessions_of(7)) == 2


def test_unknown_methods_are_named(site: Site) -> None:
    with pytest.raises(UsageError, match=r"'carrier pigeon'.*password"):
        site.browser().call("login", "alice", methods=("carrier pigeon",))
    with pytest.raises(UsageError, match="at least one"):
        site.browser().call("login", "alice", methods=())


def test_rotating_secret_keys_keeps_sessions_and_ends_them_too(make_site: MakeSite) -> None:
    before = make_site()
    alice = before.browser()
    alice.login()
    after = make_site(secret_keys=[OTHER_SECRET, SECRET])
    alice.site = after
    assert alice.see().user_id == "alice"
    assert after.guard.sync.terminate_user("alice") == 1
    assert alice.see().ended.reason.value == "admin"
    new = after.browser()
    new.login()
    new.site = before
    assert new.see().user_id is None


def test_another_namespace_with_the_same_secret_opens_nothing(
    world: str, events: list[Event], clock: FakeClock
) -> None:
    from gatehound.stores.memory import MemoryStore

    def site(namespace: str) -> Site:
        settings = {"secret_keys": [SECRET], "identity_key": IDENTITY, "namespace": namespace}
        guard = Guard(settings, sinks=[events.append], store=MemoryStore(clock=clock))
        return Site(world, guard)

    alice = site("shop").browser()
    alice.login()
    alice.site = site("blog")
    assert alice.see().user_id is None
    assert events[-1].name == "token_forged"


def test_csrf_tokens_belong_to_session_and_action(site: Site) -> None:
    alice, bob = site.browser(), site.browser()
    alice.login()
    bob.login("bob")
    token = alice.do(lambda visit: visit.csrf_token("end")).value

    def check(text: str, action: str) -> Job:
        return lambda visit: visit.check_csrf(text, action)

    assert alice.do(check(token, "end")).value is True
    alice.call("rotate")
    assert alice.do(check(token, "end")).value is True
    for text, action in ((token, ""), (token + "x", "end"), ("", "end"), ("é\ud800", "end")):
        assert alice.do(check(text, action)).value is False
    assert bob.do(check(token, "end")).value is False
    assert site.browser().do(check(token, "end")).value is False


def test_app_data_field_by_field(site: Site) -> None:
    alice = site.browser()
    assert alice.do(lambda visit: visit.data.get("a", "none")).value == "none"
    alice.login()
    assert alice.do(lambda visit: visit.data.set("cart", {"items": [1, 2]})).value is True
    assert alice.do(lambda visit: visit.data.get("cart")).value == {"items": [1, 2]}
    assert alice.do(lambda visit: visit.data.incr("seen", 2)).value == 2
    assert alice.do(lambda visit: visit.data.incr("seen")).value == 3
    assert alice.do(lambda visit: visit.data.all()).value == {"cart": {"items": [1, 2]}, "seen": 3}
    assert alice.do(lambda visit: visit.data.delete("cart")).value is True
    assert alice.do(lambda visit: visit.data.delete("cart")).value is False
    alice.login()  # a new session begins with no data
    assert alice.do(lambda visit: visit.data.all()).value == {}


def test_ignored_paths_look_nothing_up(make_site: MakeSite) -> None:
    site = make_site(ignore_paths=["/static/"])
    alice = site.browser()
    alice.login()
    assert alice.see(path="/static/app.css").user_id is None
    assert alice.see(path="/").user_id == "alice"


def test_changed_cookie_attributes_reach_the_browser(make_site: MakeSite) -> None:
    before, after = make_site(), make_site(cookie={"samesite": "strict"})
    alice = before.browser()
    alice.login()
    alice.site = after
    assert alice.do(headers=POLL).all("set-cookie") == []
    reply = alice.do()
    assert reply.header("set-cookie").endswith("SameSite=Strict")
    assert alice.do().all("set-cookie") == []
    assert alice.see().user_id == "alice"


def test_routine_rotation_keeps_requests_in_flight(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    site = make_site(session={"rotate_every": "30m"})
    alice, parallel = site.browser(), site.browser()
    session = alice.login()
    parallel.cookies = dict(alice.cookies)
    clock.advance(1800)
    assert parallel.see(headers=POLL).user_id == "alice"  # not on a background request
    assert "session_rotated" not in names(events)
    reply = alice.do(lambda visit: visit.user_id)
    assert (reply.value, len(reply.all("set-cookie"))) == ("alice", 1)
    assert names(events)[-1] == "session_rotated"
    assert alice.see().session.public_id == session.public_id
    late = parallel.do(lambda visit: visit.user_id)
    assert (late.value, late.all("set-cookie")) == ("alice", [])
    error = parallel.do(lambda visit: visit.require_fresh()).error
    assert isinstance(error, FreshLoginRequired)
    clock.advance(61)
    assert parallel.see().user_id is None
    assert names(events)[-2:] == ["session_reuse", "session_flagged"]
    assert alice.see().user_id == "alice"


def test_a_routine_rotation_waits_for_an_answer_that_carries_the_cookie(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    site = make_site(session={"rotate_every": "30m"})
    alice = site.browser()
    alice.login()
    clock.advance(1800)
    for status in (304, 500):
        reply = alice.do(lambda visit: visit.user_id, status=status)
        assert (reply.status, reply.all("set-cookie")) == (status, [])
    assert "session_rotated" not in names(events)
    assert len(alice.do().all("set-cookie")) == 1
    assert names(events)[-1] == "session_rotated"


def test_an_old_secret_whose_successor_got_lost_is_no_alarm_at_home(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    site = make_site(session={"rotate_every": "30m"})
    alice = site.browser()
    alice.login()
    old = dict(alice.cookies)
    clock.advance(1800)
    alice.do()
    alice.cookies = old  # the answer never arrived
    assert alice.see().user_id == "alice"
    clock.advance(601)
    assert alice.see().user_id is None
    assert names(events)[-1] == "session_reuse"
    stranger = site.browser(FIREFOX, "192.0.2.66")
    stranger.cookies = old
    assert stranger.see().user_id is None
    assert names(events)[-1] == "session_flagged"


def test_logging_out_with_a_secret_that_was_just_replaced_ends_the_session(site: Site) -> None:
    alice, parallel = site.browser(), site.browser()
    alice.login()
    parallel.cookies = dict(alice.cookies)
    alice.call("rotate")
    assert parallel.call("logout") is True
    assert alice.see().ended.reason.value == "logout"


def test_sign_in_and_out_on_ignored_paths_are_real(make_site: MakeSite) -> None:
    site = make_site(ignore_paths=["/static/"])
    alice = site.browser()
    alice.login()
    old = dict(alice.cookies)
    alice.do(lambda visit: visit.login("bob"), path="/static/in")
    copy = site.browser()
    copy.cookies = old
    assert copy.see().ended.reason.value == "replaced"
    assert alice.do(lambda visit: visit.logout(), path="/static/out").value is True
    assert site.guard.sync.sessions_of("bob") == []


def test_a_bare_text_of_roles_or_methods_is_refused(site: Site) -> None:
    for options in ({"roles": "admin"}, {"methods": "totp"}):
        with pytest.raises(UsageError, match=r"write \('"):
            site.browser().call("login", "alice", **options)


def test_a_reason_that_is_none_is_named(site: Site) -> None:
    alice = site.browser()
    alice.login()
    for name in ("terminate_others", "terminate_all"):
        with pytest.raises(UsageError, match="'boredom' given; allowed are logout, limit"):
            alice.call(name, "boredom")


def test_a_name_that_is_taken_is_minted_anew(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import secrets

    first = site.browser().login()
    minted = [bytes.fromhex(first.public_id)]
    real = secrets.token_bytes
    monkeypatch.setattr(
        secrets, "token_bytes", lambda n: minted.pop() if n == 8 and minted else real(n)
    )
    assert site.browser().login().public_id != first.public_id
    assert minted == []
