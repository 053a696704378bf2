"""Checks of a store: ending sessions, what stays of them, and that nothing brings them back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Memory, NewSession, Refused, Standing
from gatehound.stores.record import FLAGGED
from gatehound.testing.bench import DAY, HOUR, Bench, equal, standing

TEMPLATE = Event(
    "session_terminated", reason="by you", address="192.0.2.1", detail={"n": 1}, notify="user"
)


async def check_revoke_one(bench: Bench) -> None:
    new = await bench.login()
    other = await bench.login(alias=new.alias)
    record = await bench.record(new)
    bench.clock.advance(60)
    revoked = await bench.store.revoke(
        new.alias, only=new.sid, reason=EndReason.USER, event=TEMPLATE
    )
    now = bench.clock()
    equal(len(revoked.finished), 1, "finished")
    done = revoked.finished[0]
    equal((done.record, done.reason, done.at), (record, EndReason.USER, now), "finished")
    equal(revoked.now, now, "now")
    answer = await bench.load(new)
    standing(answer, Standing.ENDED, "the revoked session")
    assert answer.ended is not None, "ENDED has to carry the tombstone"
    equal((answer.ended.reason, answer.ended.at), (EndReason.USER, now), "tombstone")
    equal(answer.expired, False, "it did not expire")
    equal(await bench.lives(other), True, "another session of the user")
    again = await bench.store.revoke(
        new.alias, only=new.sid, reason=EndReason.ADMIN, event=TEMPLATE
    )
    equal(again.finished, (), "finished, the second time")
    equal((await bench.load(new)).ended, answer.ended, "the tombstone does not change")
    equal(len(await bench.events("session_terminated")), 1, "events")


async def check_revoke_fills_its_template(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias, user_id="anna") for _ in range(3)]
    bench.clock.advance(60)
    await bench.store.revoke(alias, reason=EndReason.ADMIN, event=TEMPLATE)
    events = await bench.events("session_terminated")
    equal({event.public_id for event in events}, {new.sid.hex() for new in made}, "public ids")
    equal(len(events), 3, "one event per ended session")
    for event in events:
        told = (event.user_id, event.reason, event.address, dict(event.detail), event.notify)
        equal(told, ("anna", "by you", "192.0.2.1", {"n": 1}, "user"), "event")
        equal(event.at, bench.clock() / 1000, "at of an event")


async def check_revoke_without_template_writes_no_event(bench: Bench) -> None:
    new = await bench.login()
    await bench.store.revoke(new.alias, reason=EndReason.ADMIN)
    equal(await bench.events(), [], "events")


async def check_revoke_others_keeps_one(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias) for _ in range(4)]
    stranger = await bench.login()
    kept = made.pop(1)
    revoked = await bench.store.revoke(alias, keep=kept.sid, reason=EndReason.PASSWORD_CHANGED)
    equal({done.record.sid for done in revoked.finished}, {new.sid for new in made}, "finished")
    equal(await bench.lives(kept), True, "the kept session")
    equal(await bench.lives(stranger), True, "the session of another user")
    for new in made:
        standing(await bench.load(new), Standing.ENDED, "the others")


async def check_revoke_all(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias) for _ in range(3)]
    stranger = await bench.login()
    revoked = await bench.store.revoke(alias, reason=EndReason.SUSPICIOUS)
    equal({done.record.sid for done in revoked.finished}, {new.sid for new in made}, "finished")
    equal({done.reason for done in revoked.finished}, {EndReason.SUSPICIOUS}, "reasons")
    equal((await bench.store.sessions(alias)).records, (), "sessions")
    equal(await bench.lives(stranger), True, "the session of another user")


async def check_revoke_needs_the_right_user(bench: Bench) -> None:
    new, other = await bench.login(), await bench.login()
    revoked = await bench.store.revoke(other.alias, only=new.sid, reason=EndReason.USER)
    equal((revoked.finished, revoked.epoch), ((), 0), "revoke of somebody else's session")
    equal(await bench.lives(new), True, "the session")


async def check_every_reason_is_kept(bench: Bench) -> None:
    for reason in EndReason:
        new = await bench.login()
        await bench.store.revoke(new.alias, only=new.sid, reason=reason)
        ended = (await bench.load(new)).ended
        assert ended is not None, f"no tombstone for {reason}"
        equal(ended.reason, reason, "reason of the tombstone")


async def check_tombstones_keep_the_newest_eight(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias, limit=None) for _ in range(10)]
    living = await bench.login(alias=alias, limit=None)
    for new in reversed(made):
        bench.clock.advance(1)
        await bench.store.revoke(alias, only=new.sid, reason=EndReason.USER)
    standings = [(await bench.load(new)).standing for new in made]
    equal(standings, [Standing.ENDED] * 8 + [Standing.UNKNOWN] * 2, "10 ended, newest first")
    equal(await bench.lives(living), True, "the session that lives")


async def check_eight_tombstones_of_one_call(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias, limit=None) for _ in range(12)]
    await bench.store.revoke(alias, reason=EndReason.USER)
    ended = sum([(await bench.load(new)).standing is Standing.ENDED for new in made])
    equal(ended, 8, "tombstones after 12 sessions ended at once")


async def check_tombstones_live_as_long_as_the_cookie(bench: Bench) -> None:
    # session life, when it is ended, how long its tombstone has to be there
    cases = (
        (12 * HOUR, HOUR, 11 * HOUR),
        (12 * HOUR, 12 * HOUR - 1, HOUR),
        (60 * DAY, HOUR, 14 * DAY),
    )
    for life, after, stays in cases:
        new = await bench.login(idle=life, absolute=life)
        bench.clock.advance(ms=after)
        await bench.store.revoke(new.alias, only=new.sid, reason=EndReason.USER)
        bench.clock.advance(ms=stays - 1)
        await bench.store.sweep()
        standing(await bench.load(new), Standing.ENDED, f"{stays} ms after, life {life}")
        bench.clock.advance(ms=25 * HOUR)  # a store may be a day late
        await bench.store.sweep()
        standing(await bench.load(new), Standing.UNKNOWN, "a day after the tombstone's time")


async def check_ended_sessions_stay_ended(bench: Bench) -> None:
    """Only create creates: no call on a session that is gone makes anything appear."""
    revoked, expired, stranger = await bench.login(), await bench.login(idle=HOUR), bench.new()
    await bench.store.data_set(revoked.alias, revoked.sid, {"a": b"1"})
    await bench.store.revoke(revoked.alias, only=revoked.sid, reason=EndReason.LOGOUT)
    bench.clock.advance(2 * 3600)
    for new in (revoked, expired, stranger):
        for name, call in _writes(bench, new):
            await call()
            await _nothing(bench, new, name)


def _writes(
    bench: Bench, new: NewSession
) -> list[tuple[str, Callable[[], Coroutine[Any, Any, object]]]]:
    store, alias, sid, secret = bench.store, new.alias, new.sid, new.secret_hash
    empty = Memory()
    event = Event("session_flagged", user_id="anna")
    changed = {"set_flags": FLAGGED, "seen": new.seen, "agent": "new", "events": (event,)}
    return [
        ("load", lambda: store.load(alias, sid, secret, touch=0)),
        ("rotate", lambda: store.rotate(alias, sid, secret, bench.secret(), event=event)),
        ("routine rotate", lambda: store.rotate(alias, sid, secret, secret, grace=1)),
        ("revoke", lambda: store.revoke(alias, only=sid, reason=EndReason.USER, event=event)),
        ("remember", lambda: store.remember(alias, sid, secret, memory=empty, user_memory=empty)),
        ("remember seen", lambda: store.remember(alias, sid, secret, **changed)),  # type: ignore[arg-type] # a table of keywords
        ("data_set", lambda: store.data_set(alias, sid, {"a": b"1", "b": b"2"})),
        ("data_incr", lambda: store.data_incr(alias, sid, "n")),
        ("data_delete", lambda: store.data_delete(alias, sid, ["a"])),
        ("sessions", lambda: store.sessions(alias)),
        ("enable", lambda: store.enable(alias)),
        ("sweep", store.sweep),
        ("revoke others", lambda: store.revoke(alias, keep=sid, reason=EndReason.USER)),
    ]


async def _nothing(bench: Bench, new: NewSession, name: str) -> None:
    answer = await bench.load(new)
    assert answer.standing in (Standing.ENDED, Standing.UNKNOWN), f"{name} brought it back"
    equal((await bench.store.sessions(new.alias)).records, (), f"sessions after {name}")
    equal(await bench.search(alias=new.alias), set(), f"search after {name}")
    equal(await bench.store.data_get(new.alias, new.sid), {}, f"app data after {name}")
    equal(await bench.store.recall(new.alias, new.sid), (Memory(), Memory()), f"after {name}")
    told = await bench.store.export(new.alias, "nobody")
    parts = (told["sessions"], any(told["memory"].values()), any(told["data"].values()))
    equal(parts, ([], False, False), f"export after {name}")
    equal(await bench.events("session_flagged"), [], f"events after {name}")


async def check_a_dead_session_answers_as_documented(bench: Bench) -> None:
    ended = await bench.login()
    await bench.store.revoke(ended.alias, only=ended.sid, reason=EndReason.LOGOUT)
    over = await bench.login()
    bench.clock.advance(2 * 3600)
    for new in (over, ended, bench.new(), replace(bench.new(), alias=ended.alias)):
        ids = (new.alias, new.sid)
        gone = await bench.store.remember(*ids, new.secret_hash, memory=Memory(b"x"))
        equal((gone.done, gone.gone, gone.now), (False, True, bench.clock()), "remember")
        equal(await bench.store.data_get(*ids), {}, "data_get")
        equal(await bench.store.data_set(*ids, {"a": b"1"}), False, "data_set")
        equal(await bench.store.data_delete(*ids, ["a"]), 0, "data_delete")
        equal(await bench.store.data_incr(*ids, "a"), None, "data_incr")


async def check_a_new_login_inherits_nothing(bench: Bench) -> None:
    old = await bench.login(memory=b"known")
    await bench.store.data_set(old.alias, old.sid, {"cart": b"3"})
    await bench.store.revoke(old.alias, only=old.sid, reason=EndReason.LOGOUT)
    new = await bench.login(alias=old.alias)
    equal(await bench.store.data_get(new.alias, new.sid), {}, "app data")
    equal((await bench.store.recall(new.alias, new.sid))[0], Memory(), "evidence")
    standing(await bench.load(old), Standing.ENDED, "the old session")


async def check_revoke_everyone(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias), await bench.login(alias=alias), await bench.login()]
    event = Event("session_terminated", reason="everyone")
    equal(await bench.store.revoke_everyone(event), 3, "how many were ended")
    for new in made:
        answer = await bench.load(new)
        standing(answer, Standing.ENDED, "a session from before")
        assert answer.ended is not None, "ENDED has to carry the tombstone"
        equal(answer.ended.reason, EndReason.EVERYONE, "reason")
        equal((await bench.store.sessions(new.alias)).records, (), "list")
        equal(await bench.store.data_set(new.alias, new.sid, {"a": b"1"}), False, "data_set")
    equal(await bench.search(), set(), "search")
    told = [written.detail for written in await bench.events("session_terminated")]
    equal(told, [{"count": 3}], "one event for all, which says how many")
    equal(await bench.events("session_expired"), [], "none of them expired")
    bench.clock.advance(3)
    later = await bench.login(alias=alias)
    equal(await bench.lives(later), True, "a session from after")
    equal(await bench.elsewhere(lambda: bench.lives(made[0])), False, "from another thread")
    equal(await bench.elsewhere(lambda: bench.lives(later)), True, "from another thread")


async def check_revoke_everyone_refuses_logins_that_began_before(bench: Bench) -> None:
    store, stranger = bench.store, bench.alias()
    here, gone = await bench.login(), await bench.login()
    await store.revoke(gone.alias, reason=EndReason.USER)
    bench.clock.advance(ms=1)
    users = {"signed in": here.alias, "signed out": gone.alias, "not known": stranger}
    for time in ("first", "second"):  # within one millisecond
        begun = {who: await store.epoch(alias) for who, alias in users.items()}
        await store.revoke_everyone()
        for who, alias in users.items():
            refused = await store.create(bench.new(alias=alias, epoch=begun[who]))
            equal(refused, Refused("epoch", bench.clock()), f"{who}, the {time} time")
    everybodys = await store.epoch(stranger)
    revoked = await store.revoke(stranger, reason=EndReason.USER)
    assert revoked.epoch > everybodys, "the epoch of a user passes that of everybody"
    equal(await store.epoch(stranger), revoked.epoch, "epoch, and the one that revoke tells")
    bench.clock.advance(3)
    for alias in users.values():
        later = await bench.login(alias=alias, epoch=await store.epoch(alias))
        equal(await bench.lives(later), True, "a login that began after")
