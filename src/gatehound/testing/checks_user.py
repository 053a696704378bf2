"""Checks of a store: disable, enable, forget and export a user, and the sweep."""

from __future__ import annotations

from typing import Any, Final

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Created, Memory, NewSession, Refused, Standing
from gatehound.testing.bench import Bench, equal, standing

EMPTY: Final[dict[str, Any]] = {
    "sessions": [],
    "agents": {},
    "ended": {},
    "memory": {},
    "user_memory": b"",
    "data": {},
    "events": [],
    "disabled": False,
}


async def check_list_says_who_is_disabled(bench: Bench) -> None:
    new, stranger = await bench.login(), await bench.login()
    sessions = bench.store.sessions
    equal((await sessions(new.alias)).disabled, False, "a user with a session")
    await bench.store.disable(new.alias)
    listed = await sessions(new.alias)
    equal((listed.records, listed.disabled), ((), True), "a disabled user")
    equal((await sessions(stranger.alias)).disabled, False, "another user")
    equal((await sessions(bench.alias())).disabled, False, "an unknown user")
    unknown = bench.alias()
    await bench.store.disable(unknown)
    equal((await sessions(unknown)).disabled, True, "a disabled user who never came")
    await bench.store.enable(new.alias)
    equal((await sessions(new.alias)).disabled, False, "an enabled user")


async def check_disable_ends_all_sessions(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias, user_id="anna") for _ in range(3)]
    stranger = await bench.login()
    bench.clock.advance(60)
    template = Event("session_terminated", reason="left the company")
    revoked = await bench.store.disable(alias, template)
    equal({done.record.sid for done in revoked.finished}, {new.sid for new in made}, "finished")
    equal({done.reason for done in revoked.finished}, {EndReason.DISABLED}, "reasons")
    equal(revoked.now, bench.clock(), "now")
    for new in made:
        answer = await bench.load(new)
        standing(answer, Standing.ENDED, "a session of a disabled user")
        assert answer.ended is not None, "ENDED has to carry the tombstone"
        equal(answer.ended.reason, EndReason.DISABLED, "reason")
    events = await bench.events("session_terminated")
    equal({event.public_id for event in events}, {new.sid.hex() for new in made}, "events")
    equal({event.reason for event in events}, {"left the company"}, "reason of the events")
    equal(await bench.lives(stranger), True, "the session of another user")


async def check_disable_works_on_an_unknown_user(bench: Bench) -> None:
    new = bench.new()
    equal((await bench.store.disable(new.alias)).finished, (), "finished")
    equal(await bench.store.create(new), Refused("disabled", bench.clock()), "the first login")
    again = await bench.store.disable(new.alias)
    equal(again.finished, (), "disabled twice")


async def check_enable_says_what_it_did(bench: Bench) -> None:
    new = await bench.login()
    equal(await bench.store.enable(bench.alias()), False, "an unknown user")
    equal(await bench.store.enable(new.alias), False, "a user who is not disabled")
    await bench.store.disable(new.alias)
    equal(await bench.store.enable(new.alias), True, "a disabled user")
    equal(await bench.store.enable(new.alias), False, "the second time")
    equal((await bench.load(new)).standing, Standing.ENDED, "enable brings no session back")


async def check_disable_moves_the_epoch(bench: Bench) -> None:
    """A login that began before must not get in once the user is enabled again."""
    old = await bench.login()
    epoch = await bench.store.epoch(old.alias)
    revoked = await bench.store.disable(old.alias)
    assert revoked.epoch > epoch, f"the epoch has to move forward from {epoch}: {revoked.epoch}"
    await bench.store.enable(old.alias)
    refused = await bench.store.create(bench.new(alias=old.alias, epoch=epoch))
    equal(refused, Refused("epoch", bench.clock()), "a login from before it was disabled")


async def _fill(bench: Bench, **changes: Any) -> NewSession:
    """Make a user of whom everything is stored: a living session, an ended one, all the rest."""
    ended = await bench.login(**changes)
    await bench.store.revoke(ended.alias, only=ended.sid, reason=EndReason.LOGOUT)
    created = Event("session_created", user_id=ended.user_id)
    new = await bench.login(event=created, alias=ended.alias, **changes)
    await bench.store.remember(
        new.alias, new.sid, new.secret_hash, memory=Memory(b"mem"), user_memory=Memory(b"user")
    )
    await bench.store.data_set(new.alias, new.sid, {"a": b"1"})
    return new


async def check_export_returns_everything(bench: Bench) -> None:
    await _fill(bench, user_id="zoë")
    new = await _fill(bench, user_id="anna")
    told = await bench.store.export(new.alias, "anna")
    public_id = new.sid.hex()
    equal(told["sessions"], [await bench.record(new)], "sessions")
    equal(told["agents"], {b"agent1": "Mozilla/5.0 (Made up)"}, "agents")
    reasons = [stone.reason for stone in told["ended"].values()]
    equal((reasons, public_id in told["ended"]), ([EndReason.LOGOUT], False), "ended")
    equal(told["memory"].get(public_id), b"mem", "memory")
    equal(told["user_memory"], b"user", "user_memory")
    equal(told["data"].get(public_id), {"a": b"1"}, "data")
    names = [(event.name, event.user_id) for event in told["events"]]
    equal(names, [("session_created", "anna")], "events")
    equal(told["disabled"], False, "disabled")
    await bench.store.disable(new.alias)
    told = await bench.store.export(new.alias, "anna")
    equal((told["sessions"], told["disabled"], len(told["ended"])), ([], True, 2), "disabled")


async def check_export_of_nobody_is_empty(bench: Bench) -> None:
    await _fill(bench, user_id="anna")
    told = await bench.store.export(bench.alias(), "nobody")
    equal(told, EMPTY, "export of an unknown user")


async def check_forget_erases_everything(bench: Bench) -> None:
    new, other = await _fill(bench, user_id="anna"), await _fill(bench, user_id="zoë")
    others = await bench.store.export(other.alias, "zoë")
    equal(await bench.store.forget(new.alias, "anna"), 1, "how many living sessions went")
    equal((await bench.load(new)).standing, Standing.UNKNOWN, "the session, without a tombstone")
    told = await bench.store.export(new.alias, "anna")
    equal(told, EMPTY, "export after it")
    equal(await bench.events(user_id="anna"), [], "events")
    equal((await bench.store.sessions(new.alias)).records, (), "list")
    equal(await bench.search(), {other.sid}, "search")
    equal(await bench.store.recall(new.alias, new.sid), (Memory(), Memory()), "evidence")
    equal(await bench.store.export(other.alias, "zoë"), others, "another user")
    equal(await bench.store.forget(new.alias, "anna"), 0, "the second time")
    equal(await bench.store.forget(bench.alias(), "nobody"), 0, "an unknown user")


async def check_a_new_login_after_forget_inherits_nothing(bench: Bench) -> None:
    old = await _fill(bench, user_id="anna")
    await bench.store.forget(old.alias, "anna")
    again = await bench.login(alias=old.alias, sid=old.sid, roles=())
    equal(await bench.store.data_get(again.alias, again.sid), {}, "app data")
    remembered = await bench.store.recall(again.alias, again.sid)
    equal(remembered, (Memory(), Memory()), "evidence")


async def check_forget_keeps_the_mark_and_the_epoch(bench: Bench) -> None:
    disabled, revoked = await _fill(bench), await _fill(bench)
    await bench.store.disable(disabled.alias)
    await bench.store.revoke(revoked.alias, reason=EndReason.PASSWORD_CHANGED)
    for old in (disabled, revoked):
        epoch = await bench.store.epoch(old.alias)
        await bench.store.forget(old.alias, "anna")
        equal(await bench.store.epoch(old.alias), epoch, "the epoch after forget")
    refused = await bench.store.create(bench.new(alias=disabled.alias))
    equal(refused, Refused("disabled", bench.clock()), "a disabled user who was forgotten")
    equal((await bench.store.export(disabled.alias, "anna"))["disabled"], True, "export")
    refused = await bench.store.create(bench.new(alias=revoked.alias, epoch=0))
    equal(refused, Refused("epoch", bench.clock()), "a login from before")


async def check_sweep_ends_what_is_over(bench: Bench) -> None:
    living = await bench.login()
    short = [await bench.login(idle=600_000) for _ in range(5)]
    short += [await bench.login(alias=living.alias, idle=600_000)]
    bench.clock.advance(1800)
    counts = []
    ended: dict[bytes, tuple[EndReason, str]] = {}
    for _ in range(3):
        swept = await bench.store.sweep(limit=4)
        counts.append(len(swept))
        ended |= {done.record.sid: (done.reason, done.record.user_id) for done in swept}
    equal(counts, [4, 2, 0], "how many each sweep of at most 4 ended, of 6")
    equal(ended, {new.sid: (EndReason.IDLE, "anna") for new in short}, "who was ended")
    events = [event.public_id for event in await bench.events("session_expired")]
    equal(sorted(filter(None, events)), sorted(new.sid.hex() for new in short), "events")
    answer = await bench.load(short[0])
    equal((answer.standing, answer.expired), (Standing.ENDED, False), "load after the sweep")
    equal(await bench.lives(living), True, "a living session")


async def check_sweep_of_an_empty_store(bench: Bench) -> None:
    equal(await bench.store.sweep(), (), "nothing to do")


async def check_a_user_returns_after_long_absence(bench: Bench) -> None:
    old = await bench.login()
    bench.clock.advance(400 * 86_400)
    await bench.store.sweep()
    created = await bench.store.create(bench.new(alias=old.alias, epoch=0))
    assert isinstance(created, Created), f"expected Created a year later, got {created}"
