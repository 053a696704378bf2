"""Checks of a store: what `create` refuses, and whom it ends to make room."""

from __future__ import annotations

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Created, Finished, Refused, Standing
from gatehound.testing.bench import MINUTE, Bench, equal, standing


def _named(finished: tuple[Finished, ...]) -> set[tuple[bytes, EndReason]]:
    return {(done.record.sid, done.reason) for done in finished}


async def check_limit_ends_the_oldest(bench: Bench) -> None:
    alias = bench.alias()
    made = []
    for _ in range(3):
        made.append(await bench.login(alias=alias, limit=3))
        bench.clock.advance(1)
    await bench.load(made[0], touch=0)  # the oldest is the one created first, used or not
    created = await bench.store.create(bench.new(alias=alias, limit=3))
    assert isinstance(created, Created), f"expected Created, got {created}"
    equal(_named(created.finished), {(made[0].sid, EndReason.LIMIT)}, "finished")
    equal(created.finished[0].at, bench.clock(), "finished at")
    answer = await bench.load(made[0])
    standing(answer, Standing.ENDED, "the oldest session")
    assert answer.ended is not None, "ENDED has to carry the tombstone"
    equal((answer.ended.reason, answer.ended.at), (EndReason.LIMIT, bench.clock()), "tombstone")
    events = await bench.events("session_terminated_limit")
    told = [(event.user_id, event.public_id, event.reason, event.at) for event in events]
    equal(told, [("anna", made[0].sid.hex(), "limit", bench.clock() / 1000)], "limit events")


async def check_limit_breaks_ties_by_sid(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias, limit=4) for _ in range(4)]
    for expected in sorted(new.sid for new in made)[:2]:
        bench.clock.advance(1)
        created = await bench.store.create(bench.new(alias=alias, limit=4))
        assert isinstance(created, Created), f"expected Created, got {created}"
        equal(_named(created.finished), {(expected, EndReason.LIMIT)}, "of equals, the lowest sid")


async def check_limit_ends_those_of_the_same_pair_first(bench: Bench) -> None:
    """A robot that logs in per call ends its own sessions, and not those of its owner."""
    alias, robot, owner = bench.alias(), bench.mint(6), bench.mint(6)
    made = []
    for pairs in ((owner, robot), (robot, b""), (owner, b""), (robot, owner), (b"", b"")):
        made.append(await bench.login(alias=alias, seen=bench.seen(pairs=pairs)))
        bench.clock.advance(1)
    new = bench.new(alias=alias, limit=5, seen=bench.seen(pairs=(robot, owner)))
    denied = await bench.store.create(replace(new, on_limit="deny"))
    equal(denied, Refused("limit", bench.clock()), "the same pair where the limit denies")
    created = await bench.store.create(new)
    assert isinstance(created, Created), f"expected Created, got {created}"
    equal(_named(created.finished), {(made[1].sid, EndReason.LIMIT)}, "the oldest of its pair")
    seen = bench.seen(pairs=(robot, b""))
    created = await bench.store.create(bench.new(alias=alias, limit=3, seen=seen))
    assert isinstance(created, Created), f"expected Created, got {created}"
    expected = {(sid, EndReason.LIMIT) for sid in (made[3].sid, new.sid, made[0].sid)}
    equal(_named(created.finished), expected, "all of its pair, then the oldest of the others")


async def check_limit_takes_no_pair_for_no_match(bench: Bench) -> None:
    alias = bench.alias()
    first = await bench.login(alias=alias, limit=2)
    bench.clock.advance(1)
    await bench.login(alias=alias, limit=2, seen=bench.seen(pairs=(b"", b"")))
    seen = bench.seen(pairs=(b"", b""))
    created = await bench.store.create(bench.new(alias=alias, limit=2, seen=seen))
    assert isinstance(created, Created), f"expected Created, got {created}"
    equal(_named(created.finished), {(first.sid, EndReason.LIMIT)}, "the oldest of all")


async def check_lower_limit_ends_as_many_as_needed(bench: Bench) -> None:
    alias = bench.alias()
    for _ in range(5):
        await bench.login(alias=alias, limit=5)
        bench.clock.advance(1)
    created = await bench.store.create(bench.new(alias=alias, limit=2))
    assert isinstance(created, Created), f"expected Created, got {created}"
    equal(len(created.finished), 4, "ended where the limit went from 5 to 2")
    equal(len((await bench.store.sessions(alias)).records), 2, "living sessions")


async def check_no_limit(bench: Bench) -> None:
    alias = bench.alias()
    for _ in range(20):
        await bench.login(alias=alias, limit=None)
    equal(len((await bench.store.sessions(alias)).records), 20, "sessions without a limit")


async def check_limit_is_each_users_own(bench: Bench) -> None:
    first = await bench.login(limit=1)
    second = await bench.login(limit=1)
    equal((await bench.lives(first), await bench.lives(second)), (True, True), "two users")


async def check_limit_denies(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias, limit=2, on_limit="deny") for _ in range(2)]
    before = await bench.store.sessions(alias)
    denied = bench.new(alias=alias, limit=2, on_limit="deny", roles=("admin",))
    event = Event("session_created", user_id="anna")
    equal(await bench.store.create(denied, event), Refused("limit", bench.clock()), "one too many")
    standing(await bench.load(denied), Standing.UNKNOWN, "the session that was denied")
    equal(await bench.store.sessions(alias), before, "the sessions that were there")
    equal(await bench.events(), [], "events of a denied login")
    await bench.store.revoke(alias, only=made[0].sid, reason=EndReason.LOGOUT)
    created = await bench.store.create(denied)
    assert isinstance(created, Created), f"expected Created once there is room, got {created}"


async def check_denied_login_ends_nobody(bench: Bench) -> None:
    alias = bench.alias()
    made = [await bench.login(alias=alias, limit=3) for _ in range(3)]
    denied = bench.new(alias=alias, limit=1, on_limit="deny", replaces=made[0].sid)
    equal(await bench.store.create(denied), Refused("limit", bench.clock()), "still too many")
    equal(await bench.lives(made[0]), True, "the session that a denied login would replace")


async def check_replaces_takes_the_place(bench: Bench) -> None:
    alias = bench.alias()
    made = []
    for _ in range(2):
        made.append(await bench.login(alias=alias, limit=2))
        bench.clock.advance(1)
    for on_limit in ("oldest", "deny"):
        victim = made.pop()
        new = bench.new(alias=alias, limit=2, on_limit=on_limit, replaces=victim.sid)
        created = await bench.store.create(new)
        assert isinstance(created, Created), f"expected Created, got {created}"
        equal(_named(created.finished), {(victim.sid, EndReason.REPLACED)}, "finished")
        answer = await bench.load(victim)
        standing(answer, Standing.ENDED, "the replaced session")
        assert answer.ended is not None, "ENDED has to carry the tombstone"
        equal(answer.ended.reason, EndReason.REPLACED, "reason")
        equal(await bench.lives(made[0]), True, "the session that was not replaced")
        made.append(new)
    events = await bench.events("session_terminated")
    equal([event.reason for event in events], ["replaced", "replaced"], "events")


async def check_replaces_somebody_elses_session_does_nothing(bench: Bench) -> None:
    other = await bench.login()
    created = await bench.store.create(bench.new(replaces=other.sid))
    assert isinstance(created, Created), f"expected Created, got {created}"
    equal(created.finished, (), "finished")
    equal(await bench.lives(other), True, "the session of the other user")


async def check_disabled_users_are_refused(bench: Bench) -> None:
    old = await bench.login()
    new = bench.new(alias=old.alias, limit=1, replaces=old.sid)
    await bench.store.disable(old.alias)
    event = Event("session_created", user_id="anna")
    equal(await bench.store.create(new, event), Refused("disabled", bench.clock()), "disabled")
    standing(await bench.load(new), Standing.UNKNOWN, "the refused session")
    equal(await bench.events("session_created"), [], "events of a refused login")
    bench.clock.advance(400 * 86_400)
    equal(await bench.store.create(new), Refused("disabled", bench.clock()), "a year later")
    equal(await bench.store.enable(old.alias), True, "enable")
    created = await bench.store.create(new)
    assert isinstance(created, Created), f"expected Created after enable, got {created}"


async def check_changed_epoch_is_refused(bench: Bench) -> None:
    first = await bench.login()
    epoch = await bench.store.epoch(first.alias)
    equal(epoch, 0, "the epoch where nothing was ever ended for all")
    login = bench.new(alias=first.alias, epoch=epoch)
    bench.clock.advance(ms=1)
    revoked = await bench.store.revoke(first.alias, reason=EndReason.PASSWORD_CHANGED)
    assert revoked.epoch > epoch, f"the epoch has to move forward, it went to {revoked.epoch}"
    equal(await bench.store.epoch(first.alias), revoked.epoch, "epoch() and revoke() agree")
    event = Event("session_created", user_id="anna")
    equal(await bench.store.create(login, event), Refused("epoch", bench.clock()), "stale epoch")
    standing(await bench.load(login), Standing.UNKNOWN, "the refused session")
    equal(await bench.events("session_created"), [], "events of a refused login")
    for epoch_given in (revoked.epoch, None):
        new = replace(bench.new(alias=first.alias), epoch=epoch_given)
        created = await bench.store.create(new)
        assert isinstance(created, Created), f"epoch {epoch_given}: expected Created, {created}"


async def check_epoch_moves_for_all_but_not_for_one(bench: Bench) -> None:
    new = await bench.login()
    epochs = [await bench.store.epoch(new.alias)]
    one = await bench.store.revoke(new.alias, only=new.sid, reason=EndReason.USER)
    equal((one.epoch, await bench.store.epoch(new.alias)), (0, 0), "epoch after ending one")
    kept = await bench.login(alias=new.alias)
    for keep in (kept.sid, None, None):
        revoked = await bench.store.revoke(new.alias, keep=keep, reason=EndReason.USER)
        epochs.append(revoked.epoch)
    assert epochs == sorted(set(epochs)), f"each end-all has to move the epoch: {epochs}"


async def check_first_login_that_races_end_all_is_refused(bench: Bench) -> None:
    """A thief's first login, begun with the old password, must not outlive its change."""
    new = bench.new(epoch=0)
    await bench.store.revoke(new.alias, reason=EndReason.PASSWORD_CHANGED)
    equal(await bench.store.create(new), Refused("epoch", bench.clock()), "no session before")


async def check_epoch_outlives_sessions_by_an_hour(bench: Bench) -> None:
    new = await bench.login()
    revoked = await bench.store.revoke(new.alias, reason=EndReason.PASSWORD_CHANGED)
    bench.clock.advance(ms=60 * MINUTE - 1)
    await bench.store.sweep()
    equal(await bench.store.epoch(new.alias), revoked.epoch, "epoch 59 minutes after")


async def check_epoch_stays_while_a_session_lives(bench: Bench) -> None:
    new = await bench.login(idle=30 * 24 * 60 * MINUTE, absolute=30 * 24 * 60 * MINUTE)
    revoked = await bench.store.revoke(new.alias, keep=new.sid, reason=EndReason.USER)
    bench.clock.advance(20 * 86_400)
    await bench.store.sweep()
    equal(await bench.store.epoch(new.alias), revoked.epoch, "epoch while a session lives")
